//! A namespace that a webhook serves, with accounts and Pods in it, and the command asked about them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::ensure;
use cluster::{ControlPlane, Registration, Webhook, eventually, namespace, register};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, ServiceAccount};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::{explain, text};
use crate::plane::plane;

/// How long anything may take that is waited for, on a machine that has other things to do.
pub(super) const SOON: Duration = Duration::from_mins(2);

pub(super) const ROLE: &str = "arn:aws:iam::111122223333:role/web";
pub(super) const ROLE_ARN: &str = "eks.amazonaws.com/role-arn";
pub(super) const POD_IDENTITY: &str = "eks.amazonaws.com/pod-identity";

/// Who annotates accounts.
pub(super) const ANNOTATOR: &str = "annotator";

/// The value of a variable of every container here, which nobody may ever repeat.
pub(super) const MARKER: &str = "a-secret-of-theirs";

/// See the module.
pub(super) struct Stage {
    pub(super) plane: &'static ControlPlane,
    pub(super) client: Client,
    pub(super) namespace: String,
    kubeconfig: PathBuf,
    configuration: String,
    /// Serves as long as the stage stands.
    _webhook: Option<Webhook>,
}

/// What was told.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) code: i32,
    pub(super) text: String,
    pub(super) json: Value,
}

// === impl Stage ===

impl Stage {
    /// A namespace that a webhook serves, which is registered as `name`.
    pub(super) async fn served(name: &str) -> Self {
        let plane = plane().await;
        let webhook = Webhook::builder(plane).binary(env!("CARGO_BIN_EXE_pod-identity-webhook"));
        let webhook = webhook.start().await.unwrap();
        register(plane, name, &webhook, Registration::default()).await.unwrap();
        Self { _webhook: Some(webhook), ..Self::unserved(name).await }
    }

    /// A namespace whose Pods nobody sees; a configuration called `name` may be there or not.
    pub(super) async fn unserved(name: &str) -> Self {
        let plane = plane().await;
        Self {
            plane,
            client: plane.client().unwrap(),
            namespace: namespace(plane, name).await.unwrap(),
            kubeconfig: plane.kubeconfig().to_owned(),
            configuration: name.to_owned(),
            _webhook: None,
        }
    }

    /// The same, asked with the rights of an account.
    pub(super) fn asked_by(self, kubeconfig: PathBuf) -> Self {
        Self { kubeconfig, ..self }
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Makes an account with these annotations.
    pub(super) async fn account(&self, name: &str, annotations: &Value) {
        let account = json!({ "metadata": { "name": name, "annotations": annotations } });
        let account: ServiceAccount = serde_json::from_value(account).unwrap();
        self.api().create(&PostParams::default(), &account).await.unwrap();
    }

    pub(super) async fn delete_account(&self, name: &str) {
        self.api::<ServiceAccount>().delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// Makes a Pod of `account` under the same name, with `over` laid over its only container.
    pub(super) async fn pod(&self, account: &str, over: &Value) -> Pod {
        self.pod_with(account, &json!({}), over).await
    }

    /// The same with annotations.
    pub(super) async fn pod_with(&self, account: &str, annotations: &Value, over: &Value) -> Pod {
        let env = over["env"].as_array().cloned().unwrap_or_default();
        let marked = json!({ "name": "DATABASE_PASSWORD", "value": MARKER });
        let env: Vec<_> = [marked].into_iter().chain(env).collect();
        let mut container = json!({ "name": "app", "image": "app" });
        json_patch::merge(&mut container, over);
        container["env"] = json!(env);
        let pod = json!({
            "metadata": { "name": account, "annotations": annotations },
            "spec": {
                "serviceAccountName": account,
                "containers": [container],
                "volumes": [{ "name": "v", "emptyDir": {} }],
            },
        });
        let pod: Pod = serde_json::from_value(pod).unwrap();
        self.api().create(&PostParams::default(), &pod).await.unwrap()
    }

    /// Annotates an account.
    pub(super) async fn annotate(&self, account: &str, annotations: &Value) {
        let patch = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
        let api = self.api::<ServiceAccount>();
        api.patch(account, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Annotates an account in a later second than that in which `pod` was created: times of the
    /// API server have no fractions.
    pub(super) async fn annotate_after(&self, pod: &Pod, account: &str, annotations: &Value) {
        let created = pod.metadata.creation_timestamp.as_ref().unwrap().0;
        let api = self.api::<ServiceAccount>();
        eventually("the account is written in a later second", SOON, || async {
            // Each time another value, since what changes nothing is written nowhere.
            let mut patch = json!({ "metadata": { "annotations": { ROLE_ARN: null } } });
            let params =
                PatchParams { field_manager: Some(ANNOTATOR.to_owned()), ..PatchParams::default() };
            api.patch(account, &params, &Patch::Merge(&patch)).await?;
            patch["metadata"]["annotations"] = annotations.clone();
            let patched = api.patch(account, &params, &Patch::Merge(&patch)).await?;
            let times = patched.metadata.managed_fields.unwrap_or_default();
            let last = times.into_iter().filter_map(|entry| entry.time).map(|time| time.0).max();
            ensure!(last.is_some_and(|last| last > created), "{last:?}, and the Pod {created}");
            Ok(())
        })
        .await
        .unwrap();
    }

    /// Makes the mappings ConfigMap in the namespace.
    pub(super) async fn mappings(&self, config: &Value) {
        let map = json!({
            "metadata": { "name": "pod-identity-webhook" },
            "data": { "config": config.to_string() },
        });
        let map: ConfigMap = serde_json::from_value(map).unwrap();
        self.api().create(&PostParams::default(), &map).await.unwrap();
    }

    /// What is told in both forms; that they agree, and tell no value, is asserted.
    pub(super) fn explain(&self, args: &[&str]) -> Told {
        let kubeconfig = format!("--kubeconfig={}", self.kubeconfig.display());
        let configuration = format!("--webhook-configuration={}", self.configuration);
        let mut all = vec!["-n", &self.namespace, &kubeconfig, &configuration];
        all.extend(args);
        let of_text = explain(Path::new("."), &all);
        all.push("--output=json");
        let of_json = explain(Path::new("."), &all);
        assert_eq!(of_text.status.code(), of_json.status.code());
        let told = format!("{}{}", text(&of_text.stdout), text(&of_text.stderr));
        assert!(!told.contains(MARKER) && !text(&of_json.stdout).contains(MARKER), "{told}");
        let code = of_text.status.code().unwrap();
        let json = serde_json::from_slice(&of_json.stdout).unwrap_or_default();
        Told { code, text: told, json }
    }
}

// === impl Told ===

impl Told {
    /// The codes of what is wrong.
    pub(super) fn problems(&self) -> Vec<&str> {
        let findings = self.json["findings"].as_array().into_iter().flatten();
        findings
            .filter(|finding| finding["weight"] == "problem")
            .map(|finding| finding["code"].as_str().unwrap())
            .collect()
    }

    /// That this alone is wrong, and that the next step has these words.
    pub(super) fn has(&self, problem: &str, next: &str) {
        assert_eq!(self.code, 1, "{}", self.text);
        assert_eq!(self.problems(), [problem], "{}", self.text);
        assert!(self.text.lines().next().unwrap().ends_with(problem), "{}", self.text);
        let step = self.json["next"].as_str().unwrap();
        assert!(step.contains(next), "{step}");
    }
}
