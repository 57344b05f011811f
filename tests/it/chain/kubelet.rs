//! kubelet's part: what a Pod's first container would find in its environment and its files.
//!
//! Everything is read from the Pod as the API server has stored it, nothing from what a test asked
//! for: the token is requested with exactly the projected volume's own settings.

use std::collections::BTreeMap;
use std::path::PathBuf;

use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount, ServiceAccountTokenProjection};
use kube::api::PostParams;
use kube::{Api, Client};

/// The token that a Pod's volume projects, and where.
pub(super) struct Projection {
    pub(super) source: ServiceAccountTokenProjection,
    pub(super) file: PathBuf,
}

/// The one volume of the Pod whose token is for somebody else than the API server.
pub(super) fn projection(pod: &Pod) -> Projection {
    let spec = pod.spec.as_ref().unwrap();
    let volumes = spec.volumes.iter().flatten();
    let mut found = volumes.filter_map(|volume| {
        let sources = volume.projected.as_ref()?.sources.as_ref()?;
        let source = sources.iter().find_map(|source| source.service_account_token.as_ref())?;
        let is_for_others = source.audience.as_deref().is_some_and(|audience| !audience.is_empty());
        is_for_others.then(|| (volume.name.as_str(), source.clone()))
    });
    let (volume, source) = found.next().expect("a token volume");
    assert!(found.next().is_none(), "one token volume");

    let mounts = spec.containers[0].volume_mounts.iter().flatten();
    let mount = mounts.into_iter().find(|mount| mount.name == volume).expect("its mount");
    assert_eq!(mount.read_only, Some(true));
    let file = PathBuf::from(&mount.mount_path).join(&source.path);
    Projection { source, file }
}

/// The names of the Pod's volumes.
pub(super) fn volume_names(pod: &Pod) -> Vec<&str> {
    let volumes = pod.spec.as_ref().unwrap().volumes.iter().flatten();
    volumes.map(|volume| volume.name.as_str()).collect()
}

/// The environment of the Pod's first container, with the references that kubelet follows.
pub(super) fn environment(pod: &Pod) -> BTreeMap<String, String> {
    let variables = pod.spec.as_ref().unwrap().containers[0].env.iter().flatten();
    let resolved = variables.map(|variable| {
        let value = match (&variable.value, &variable.value_from) {
            (Some(value), None) => value.clone(),
            (None, Some(source)) => {
                let field = source.field_ref.as_ref().expect("a reference to a field");
                assert_eq!(field.field_path, "metadata.name");
                pod.metadata.name.clone().unwrap()
            }
            other => panic!("{}: {other:?}", variable.name),
        };
        (variable.name.clone(), value)
    });
    resolved.collect()
}

/// A token of the Pod's account, bound to the Pod, for `audience` and as long as `source` says.
pub(super) async fn token(
    client: &Client,
    pod: &Pod,
    source: &ServiceAccountTokenProjection,
    audience: &str,
) -> String {
    let metadata = &pod.metadata;
    let account = pod.spec.as_ref().unwrap().service_account_name.as_ref().unwrap();
    let accounts: Api<ServiceAccount> =
        Api::namespaced(client.clone(), metadata.namespace.as_ref().unwrap());
    let request = TokenRequest {
        spec: TokenRequestSpec {
            audiences: vec![audience.to_owned()],
            expiration_seconds: source.expiration_seconds,
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: metadata.name.clone(),
                uid: metadata.uid.clone(),
            }),
        },
        ..TokenRequest::default()
    };
    let answer = accounts.create_token_request(account, &PostParams::default(), &request).await;
    answer.unwrap().status.unwrap().token
}

/// Writes the token where the volume would have it, as kubelet does: without a line's end.
pub(super) fn write(projection: &Projection, token: &str) {
    std::fs::create_dir_all(projection.file.parent().unwrap()).unwrap();
    std::fs::write(&projection.file, token).unwrap();
}
