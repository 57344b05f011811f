//! cert-manager's part, as far as the chart depends on it: a Certificate's Secret is filled in, and
//! the `caBundle` of what asks for it by annotation.
//!
//! It reads what the chart has rendered, the names of the certificate included. To issue takes it two
//! seconds, about as long as in a cluster, and its Certificate has to be there at the end of them.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use cluster::Authority;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::interval;

/// How often it looks.
const PERIOD: Duration = Duration::from_millis(200);
/// After how many looks at an empty Secret it has issued what belongs there.
const LOOKS: usize = 10;

/// A running stand-in, ended when this is dropped.
pub(super) struct CertManager {
    _working: JoinSet<()>,
}

// === impl CertManager ===

impl CertManager {
    /// Works for every Certificate of the cluster.
    pub(super) fn start(client: &Client) -> Self {
        let client = client.clone();
        let mut working = JoinSet::new();
        working.spawn(async move {
            let authority = Authority::new("cert-manager").unwrap();
            let mut ticks = interval(PERIOD);
            let mut wanting = BTreeMap::new();
            loop {
                ticks.tick().await;
                // What is in the way of this round may be gone in the next.
                let _ = issue(&client, &authority, &mut wanting).await;
            }
        });
        Self { _working: working }
    }
}

/// One look. `wanting` are the Secrets that were empty at the last ones, at how many.
async fn issue(
    client: &Client,
    authority: &Authority,
    wanting: &mut BTreeMap<String, usize>,
) -> Result<()> {
    let wanted = std::mem::take(wanting);
    let kind = GroupVersionKind::gvk("cert-manager.io", "v1", "Certificate");
    let certificates = ApiResource::from_gvk(&kind);
    let certificates: Api<DynamicObject> = Api::all_with(client.clone(), &certificates);
    let mut issued = BTreeMap::new();
    for certificate in certificates.list(&ListParams::default()).await? {
        let namespace = certificate.namespace().context("a namespace")?;
        let spec = &certificate.data["spec"];
        let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
        let name = spec["secretName"].as_str().context("a secretName")?;
        issued.insert(format!("{namespace}/{}", certificate.name_any()), authority.pem());
        let data = secrets.get_opt(name).await?.and_then(|secret| secret.data);
        if data.is_some_and(|data| data.contains_key("tls.crt")) {
            continue;
        }
        let key = format!("{namespace}/{name}");
        let looks = wanted.get(&key).copied().unwrap_or_default() + 1;
        if looks < LOOKS {
            wanting.insert(key, looks);
            continue;
        }
        let names: Vec<_> = spec["dnsNames"].as_array().into_iter().flatten().collect();
        let names: Vec<_> = names.into_iter().filter_map(|name| name.as_str()).collect();
        let pair = authority.serving(&names)?;
        let data =
            [("tls.crt", &*pair.certificate), ("tls.key", &*pair.key), ("ca.crt", authority.pem())];
        let data: BTreeMap<_, _> =
            data.map(|(key, text)| (key, ByteString(text.as_bytes().to_vec()))).into();
        let filled = Patch::Apply(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "data": data,
        }));
        secrets.patch(name, &PatchParams::apply("cert-manager").force(), &filled).await?;
    }
    let configurations: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    for mut configuration in configurations.list(&ListParams::default()).await? {
        let from = configuration.annotations().get("cert-manager.io/inject-ca-from");
        let Some(pem) = from.and_then(|from| issued.get(from)) else { continue };
        let bundle = Some(ByteString(pem.as_bytes().to_vec()));
        let mut changed = false;
        for entry in configuration.webhooks.iter_mut().flatten() {
            changed |= entry.client_config.ca_bundle != bundle;
            entry.client_config.ca_bundle.clone_from(&bundle);
        }
        if changed {
            let name = configuration.name_any();
            configurations.replace(&name, &Default::default(), &configuration).await?;
        }
    }
    Ok(())
}
