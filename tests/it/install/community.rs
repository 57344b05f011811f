//! A Deployment with the community chart's arguments, mounts, probes and rights: the image is
//! changed, and nothing else.

use std::collections::BTreeMap;

use anyhow::ensure;
use cluster::{Authority, Pair, eventually};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{DynamicObject, GroupVersionKind, PostParams};
use kube::{Api, discovery};
use serde_json::{Value, json};

use super::shop::{Method, Run, Shop};
use super::stage::{HOME, METRICS, NAME, SOON, Stage};

/// What the community chart makes of its values.
#[derive(Clone, Debug)]
pub(super) struct Community {
    pub(super) image: String,
    pub(super) replicas: usize,
    pub(super) failure_policy: &'static str,
    pub(super) values: Values,
}

/// What else it can be told that reaches the webhook or its Pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Values {
    Default,
    EverythingOn,
}

// === impl Community ===

impl Default for Community {
    fn default() -> Self {
        Self {
            image: format!("{NAME}:0.1.0"),
            replicas: 1,
            failure_policy: "Ignore",
            values: Values::Default,
        }
    }
}

impl Community {
    /// Installs it into a namespace of its own.
    pub(super) async fn install(&self, stage: &Stage) {
        let home: Namespace =
            serde_json::from_value(json!({ "metadata": { "name": HOME } })).unwrap();
        Api::all(stage.client.clone()).create(&PostParams::default(), &home).await.unwrap();
        let authority = Authority::new("cert-manager").unwrap();
        for object in self.objects(&authority) {
            create(stage, object).await;
        }
    }

    fn command(&self) -> Vec<&'static str> {
        let mut command = vec![
            "/webhook",
            "--annotation-prefix=eks.amazonaws.com",
            "--aws-default-region=us-east-1",
            "--in-cluster=false",
            "--logtostderr",
            "--namespace=$(POD_NAMESPACE)",
            "--metrics-port=9999",
            "--port=8443",
            "--service-name=pod-identity-webhook",
            "--sts-regional-endpoint=true",
            "--token-audience=sts.amazonaws.com",
            "--token-expiration=86400",
            "--token-mount-path=/var/run/secrets/eks.amazonaws.com/serviceaccount",
            "--tls-cert=/etc/webhook/certs/tls.crt",
            "--tls-key=/etc/webhook/certs/tls.key",
        ];
        if self.values == Values::EverythingOn {
            // The mappings, and `config.extraArgs` with what else the Go webhook takes.
            command.extend([
                "--watch-config-map",
                "--v=4",
                "--alsologtostderr",
                "--stderrthreshold=INFO",
                "--resync-period=1m",
                "--service-account-lookup-grace-period=100ms",
                "--compose-role-arn=false",
                "--enable-debugging-handlers",
                "--tls-min-version=VersionTLS12",
            ]);
        }
        command
    }

    fn deployment(&self) -> Value {
        let labels = json!({
            "app.kubernetes.io/name": NAME, "app.kubernetes.io/instance": "community",
        });
        let healthz =
            json!({ "httpGet": { "path": "/healthz", "port": "https", "scheme": "HTTPS" } });
        let mut pod = json!({
            "containers": [{
                "name": "amazon-eks-pod-identity-webhook",
                "image": self.image,
                "command": self.command(),
                "ports": [
                    { "name": "https", "containerPort": 8443, "protocol": "TCP" },
                    { "name": "metrics", "containerPort": 9999, "protocol": "TCP" },
                ],
                "env": [{
                    "name": "POD_NAMESPACE",
                    "valueFrom": { "fieldRef": { "fieldPath": "metadata.namespace" } },
                }],
                "livenessProbe": healthz,
                "readinessProbe": healthz,
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "runAsGroup": 1,
                    "runAsNonRoot": false,
                    "runAsUser": 65534,
                    "capabilities": { "drop": ["ALL"] },
                },
                "volumeMounts": [
                    { "name": "cert", "mountPath": "/etc/webhook/certs", "readOnly": true },
                ],
            }],
            "hostNetwork": false,
            "serviceAccountName": NAME,
            "securityContext": { "seccompProfile": { "type": "RuntimeDefault" } },
            "volumes": [{ "name": "cert", "secret": { "secretName": "pod-identity-webhook-cert" } }],
        });
        if self.values == Values::EverythingOn {
            pod["priorityClassName"] = "system-cluster-critical".into();
            pod["containers"][0]["resources"] =
                json!({ "limits": { "cpu": "100m", "memory": "128Mi" } });
            pod["tolerations"] = json!([{ "operator": "Exists" }]);
            pod["nodeSelector"] = json!({ "kubernetes.io/os": "linux" });
        }
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": NAME, "namespace": HOME },
            "spec": {
                "replicas": self.replicas,
                "selector": { "matchLabels": labels },
                "template": { "metadata": { "labels": labels }, "spec": pod },
            },
        })
    }

    /// Its rights: more than are needed, none of the webhook configuration, none of Secrets.
    fn rights(&self) -> Vec<Value> {
        let group = "rbac.authorization.k8s.io";
        let granted = |kind: &str, rules: Value| {
            let subject = json!({ "kind": "ServiceAccount", "name": NAME, "namespace": HOME });
            let role = json!({ "apiGroup": group, "kind": kind, "name": NAME });
            let metadata = match kind {
                "Role" => json!({ "name": NAME, "namespace": HOME }),
                _ => json!({ "name": NAME }),
            };
            [
                json!({
                    "apiVersion": format!("{group}/v1"), "kind": kind,
                    "metadata": metadata, "rules": rules,
                }),
                json!({
                    "apiVersion": format!("{group}/v1"), "kind": format!("{kind}Binding"),
                    "metadata": metadata, "roleRef": role, "subjects": [subject],
                }),
            ]
        };
        let read = json!(["get", "watch", "list"]);
        let mut rights = granted("ClusterRole", json!([
            { "apiGroups": [""], "resources": ["serviceaccounts"], "verbs": read },
            {
                "apiGroups": ["certificates.k8s.io"], "resources": ["certificatesigningrequests"],
                "verbs": ["create", "get", "list", "watch"],
            },
        ]))
        .to_vec();
        if self.values == Values::EverythingOn {
            let rules = json!([{ "apiGroups": [""], "resources": ["configmaps"], "verbs": read }]);
            rights.extend(granted("Role", rules));
        }
        rights
    }

    fn objects(&self, authority: &Authority) -> Vec<Value> {
        let host = format!("{NAME}.{HOME}.svc");
        let Pair { certificate, key } = authority.serving(&[&host]).unwrap();
        let metadata = json!({ "name": NAME, "namespace": HOME });
        let mut objects = self.rights();
        objects.extend([
            json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata }),
            json!({
                "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
                "metadata": { "name": "pod-identity-webhook-cert", "namespace": HOME },
                "stringData": { "tls.crt": certificate, "tls.key": key, "ca.crt": authority.pem() },
            }),
            json!({
                "apiVersion": "v1", "kind": "Service", "metadata": metadata,
                "spec": {
                    "selector": { "app.kubernetes.io/name": NAME },
                    "ports": [
                        { "name": "https", "port": 8443, "targetPort": "https" },
                        { "name": "metrics", "port": 9999, "targetPort": "metrics" },
                    ],
                },
            }),
            self.deployment(),
            self.configuration(authority),
        ]);
        if self.values == Values::EverythingOn {
            let mapped = json!({ "shop/mapped": {
                "RoleARN": "arn:aws:iam::111122223333:role/mapped", "Audience": "sts.amazonaws.com",
            }});
            objects.push(json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata,
                "data": { "config": mapped.to_string() },
            }));
        }
        objects
    }

    /// Reviews of v1beta1, at the Service's own port.
    fn configuration(&self, authority: &Authority) -> Value {
        let bundle = k8s_openapi::ByteString(authority.pem().as_bytes().to_vec());
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": { "name": NAME },
            "webhooks": [{
                "name": "pod-identity-webhook.amazonaws.com",
                "failurePolicy": self.failure_policy,
                "clientConfig": {
                    "caBundle": bundle,
                    "service": { "name": NAME, "namespace": HOME, "port": 8443, "path": "/mutate" },
                },
                "rules": [{
                    "operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"],
                    "resources": ["pods"],
                }],
                "objectSelector": { "matchExpressions": [{
                    "key": "app.kubernetes.io/name", "operator": "NotIn", "values": [NAME],
                }] },
                "sideEffects": "None",
                "admissionReviewVersions": ["v1beta1"],
            }],
        })
    }
}

async fn create(stage: &Stage, object: Value) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
    let (group, version) = version.rsplit_once('/').unwrap_or(("", &version));
    let kind = GroupVersionKind::gvk(group, version, &kind);
    let (resource, _) = discovery::pinned_kind(&stage.client, &kind).await.unwrap();
    let api: Api<DynamicObject> = match object["metadata"]["namespace"].as_str() {
        Some(namespace) => Api::namespaced_with(stage.client.clone(), namespace, &resource),
        None => Api::all_with(stage.client.clone(), &resource),
    };
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    api.create(&PostParams::default(), &object).await.unwrap();
}

/// Installs it, and sees Pods injected.
async fn serves(community: Community) {
    let stage = Stage::set().await;
    let shop = Shop::open(&stage.client, "shop", &json!({})).await;
    community.install(&stage).await;
    stage.settled().await;
    shop.is_served().await;

    let mapped: ServiceAccount =
        serde_json::from_value(json!({ "metadata": { "name": "mapped" } })).unwrap();
    let accounts = Api::namespaced(stage.client.clone(), "shop");
    accounts.create(&PostParams::default(), &mapped).await.unwrap();
    let mut pod = Method::Irsa.pod();
    pod["spec"]["serviceAccountName"] = "mapped".into();
    let stored = shop.create(&pod, Run::Real).await.unwrap();
    let expected = match community.values {
        Values::Default => None,
        Values::EverythingOn => Some(Method::Irsa),
    };
    assert_eq!(Method::of(&stored).unwrap(), expected);
    let region = |pod: &Value| -> BTreeMap<String, String> {
        let env = pod["spec"]["containers"][0]["env"].as_array().into_iter().flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        env.map(|variable| (text(&variable["name"]), text(&variable["value"]))).collect()
    };
    let stored = shop.create(&Method::Irsa.pod(), Run::Real).await.unwrap();
    assert_eq!(region(&stored)["AWS_REGION"], "us-east-1");
    assert_eq!(region(&stored)["AWS_STS_REGIONAL_ENDPOINTS"], "regional");

    // What its Prometheus would scrape; the calls are on whichever replica the connection is.
    let runs = stage.runs().await.unwrap();
    assert_eq!(runs.len(), community.replicas);
    eventually("the dashboards have their numbers", SOON, || async {
        let mut counted = 0;
        for run in &runs {
            let (status, text) = run.get(METRICS, "/metrics").await?;
            ensure!(status == 200, "{status}");
            for name in
                ["pod_identity_webhook_used", "http_request_count", "http_request_latencies"]
            {
                ensure!(text.contains(name), "no {name}");
            }
            let count = "pod_identity_webhook_pod_count{method=\"sts_web_identity\"}";
            counted += usize::from(text.contains(count));
        }
        ensure!(counted > 0, "nobody has counted a Pod");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(stage.nodes().runs().len(), community.replicas, "none was started again");
}

#[test]
fn it_runs_in_the_community_charts_deployment_as_that_comes() {
    cluster::apart(it_runs_in_the_community_charts_deployment_as_that_comes, async {
        serves(Community::default()).await;
    });
}

#[test]
fn it_runs_in_the_community_charts_deployment_with_everything_on() {
    cluster::apart(it_runs_in_the_community_charts_deployment_with_everything_on, async {
        let values = Values::EverythingOn;
        serves(Community { values, replicas: 3, ..Community::default() }).await;
    });
}
