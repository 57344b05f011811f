//! What the chart renders is what an API server takes: every object of every set, by a dry run with
//! strict validation of fields, and every Pod under Pod Security `restricted`.

use anyhow::Context;
use cluster::{ControlPlane, eventually};
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{
    DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams, ValidationDirective,
};
use kube::{Api, Client, discovery};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::helm::{Set, tool};
use crate::plane::plane;

/// How long what takes no time may take on a busy machine.
const SOON: std::time::Duration = std::time::Duration::from_mins(1);

/// The definitions that the chart's options need.
const DEFINITIONS: [&str; 5] = [
    "cert-manager.io_certificates.yaml",
    "cert-manager.io_issuers.yaml",
    "monitoring.coreos.com_podmonitors.yaml",
    "monitoring.coreos.com_prometheusrules.yaml",
    "monitoring.coreos.com_servicemonitors.yaml",
];

/// Whether the definitions are there.
static DEFINED: OnceCell<()> = OnceCell::const_new();

/// A dry run of a server-side apply, every unknown field an error.
fn strict() -> PatchParams {
    let validation = Some(ValidationDirective::Strict);
    PatchParams { dry_run: true, field_validation: validation, ..PatchParams::apply("chart-test") }
}

/// A client of a control plane that has cert-manager's and the Prometheus operator's definitions.
async fn client() -> (&'static ControlPlane, Client) {
    let plane = plane().await;
    let client = plane.client().unwrap();
    DEFINED.get_or_init(|| define(&client)).await;
    (plane, client)
}

/// Creates the definitions.
pub(crate) async fn define(client: &Client) {
    let all: Api<CustomResourceDefinition> = Api::all(client.clone());
    for name in DEFINITIONS {
        let text = std::fs::read_to_string(tool("crds").join(name)).unwrap();
        let definition: CustomResourceDefinition = serde_saphyr::from_str(&text).unwrap();
        all.create(&PostParams::default(), &definition).await.unwrap();
    }
}

/// Where an object belongs, once the API server knows its kind.
async fn api(client: &Client, object: &Value, namespace: &str) -> Api<DynamicObject> {
    let text = |key: &str| object[key].as_str().unwrap();
    let (group, version) = text("apiVersion").rsplit_once('/').unwrap_or(("", text("apiVersion")));
    let kind = GroupVersionKind::gvk(group, version, text("kind"));
    let found = eventually("the kind is served", SOON, || async {
        discovery::pinned_kind(client, &kind).await.context("it is not discovered")
    });
    let (resource, capabilities) = found.await.unwrap();
    match capabilities.scope {
        discovery::Scope::Cluster => Api::all_with(client.clone(), &resource),
        discovery::Scope::Namespaced => {
            let namespace = object["metadata"]["namespace"].as_str().unwrap_or(namespace);
            Api::namespaced_with(client.clone(), namespace, &resource)
        }
    }
}

/// A namespace that enforces Pod Security `restricted`.
async fn restricted(plane: &ControlPlane, client: &Client, name: &str) -> String {
    let namespace = cluster::namespace(plane, name).await.unwrap();
    let labels = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
    let patch = Patch::Merge(json!({ "metadata": { "labels": labels } }));
    let all: Api<Namespace> = Api::all(client.clone());
    all.patch(&namespace, &PatchParams::default(), &patch).await.unwrap();
    namespace
}

/// Creates the Pod of a Deployment, as a dry run: its account has to be there.
async fn pod(client: &Client, deployment: &Value, namespace: &str) -> kube::Result<Pod> {
    let template = &deployment["spec"]["template"];
    let account = template["spec"]["serviceAccountName"].as_str().unwrap();
    let account: ServiceAccount =
        serde_json::from_value(json!({ "metadata": { "name": account } })).unwrap();
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    accounts.create(&PostParams::default(), &account).await.unwrap();
    let mut pod: Pod = serde_json::from_value(template.clone()).unwrap();
    pod.metadata.generate_name = Some("webhook-".to_owned());
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    Api::namespaced(client.clone(), namespace).create(&dry, &pod).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_object_of_every_set_passes_strict_validation() {
    let (plane, client) = client().await;
    for set in Set::all() {
        let namespace = restricted(plane, &client, "chart").await;
        for mut object in set.render(&namespace) {
            let name = object["metadata"]["name"].as_str().unwrap().to_owned();
            // Namespaces that the values name are not there.
            if object["metadata"].get("namespace").is_some() {
                object["metadata"]["namespace"] = namespace.as_str().into();
            }
            let api = api(&client, &object, &namespace).await;
            let applied = api.patch(&name, &strict(), &Patch::Apply(&object)).await;
            applied.unwrap_or_else(|error| {
                panic!("{}: {} {name}: {error}\n{object:#}", set.name, object["kind"])
            });
        }
    }
}

/// The dry run is one that can fail.
#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_does_not_exist_is_refused() {
    let (_, client) = client().await;
    for (set, kind) in [("defaults", "Deployment"), ("cert-manager", "Certificate")] {
        let objects = Set::named(set).render("default");
        let found = objects.iter().find(|object| object["kind"] == kind).unwrap();
        let mut object = found.clone();
        object["spec"]["replica"] = json!(3);
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let api = api(&client, &object, "default").await;
        let refused = api.patch(&name, &strict(), &Patch::Apply(&object)).await.unwrap_err();
        assert!(refused.to_string().contains("replica"), "{refused}");
    }
}

/// With every set but that of the community chart, whose own default is `runAsNonRoot: false`.
#[tokio::test(flavor = "multi_thread")]
async fn the_pods_are_admitted_where_pod_security_restricted_is_enforced() {
    let (plane, client) = client().await;
    for set in Set::all() {
        let namespace = restricted(plane, &client, "chart-pods").await;
        let objects = set.render(&namespace);
        for deployment in objects.iter().filter(|object| object["kind"] == "Deployment") {
            let made = pod(&client, deployment, &namespace).await;
            match made {
                Ok(_) if set.name != "community" => {}
                Err(kube::Error::Api(status)) if set.name == "community" => {
                    assert!(status.message.contains("runAsNonRoot"), "{}", status.message);
                }
                other => panic!("{}: {other:?}", set.name),
            }
        }
    }
}
