//! Namespaces of a test's own, so that many tests share one control plane.
//!
//! Each carries a label whose value says which registered webhook it belongs to.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::{
    Api,
    api::{ObjectMeta, PostParams},
};

use crate::plane::ControlPlane;

/// The label of a namespace by which a [`Registration`](crate::Registration) selects it.
pub const LABEL: &str = "pod-identity-test";

/// Makes a namespace with a new name that begins with `prefix`, and names it.
///
/// It has the label `pod-identity-test=<prefix>`, so what [`register`](crate::register) registers
/// under the name `prefix` serves it. It also has its account `default`, which nobody else makes
/// where no kube-controller-manager runs and without which no Pod can be created.
pub async fn namespace(plane: &ControlPlane, prefix: &str) -> Result<String> {
    let client = plane.client()?;
    let namespace = Namespace {
        metadata: ObjectMeta {
            generate_name: Some(format!("{prefix}-")),
            labels: Some([(LABEL.to_owned(), prefix.to_owned())].into()),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    };
    let made = Api::all(client.clone()).create(&PostParams::default(), &namespace).await?;
    let name = made.metadata.name.context("a namespace without a name")?;

    let account = ServiceAccount {
        metadata: ObjectMeta { name: Some("default".to_owned()), ..ObjectMeta::default() },
        ..ServiceAccount::default()
    };
    let accounts: Api<ServiceAccount> = Api::namespaced(client, &name);
    match accounts.create(&PostParams::default(), &account).await {
        Ok(_) => Ok(name),
        // kube-controller-manager was faster.
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(name),
        Err(error) => Err(error).context("cannot create the account `default`"),
    }
}
