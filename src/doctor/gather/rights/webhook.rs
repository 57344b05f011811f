//! The rights of the webhook, by the flags that it runs with.

use std::collections::BTreeSet;

use kube::Client;

use super::{REGISTRATION, all, review, within};
use crate::accounts::CONFIG_MAP;
use crate::cli::{CertificateSource, Certificates, ConfigMapSource, ServerSettings};
use crate::doctor::observed::Right;
use crate::installation::{Installation, Software};

/// The rights of each account that a replica runs as.
pub(in crate::doctor::gather) async fn of_webhook(
    client: &Client,
    installation: &Installation,
) -> Vec<Right> {
    let mut asked = Vec::new();
    let mut known = BTreeSet::new();
    for (namespace, replica) in installation.replicas() {
        let who = format!("system:serviceaccount:{namespace}:{}", replica.account);
        if known.insert(who.clone()) {
            let of = needed(&replica.flags.settings, replica.software);
            asked.extend(
                of.into_iter().map(|right| Right { who: Some(who.as_str().into()), ..right }),
            );
        }
    }
    review(client, asked).await
}

/// What a server with these settings needs.
fn needed(settings: &ServerSettings, software: Software) -> Vec<Right> {
    let mut rights = vec![all("list", "", "serviceaccounts"), all("watch", "", "serviceaccounts")];
    // The Go webhook looks one up only where it is told to wait for it, and does without.
    if software != Software::Go && !settings.grace_period.is_zero() {
        rights.push(all("get", "", "serviceaccounts"));
    }
    let namespace = &settings.namespace;
    if settings.config_map == ConfigMapSource::Watched {
        for verb in ["list", "watch"] {
            rights.push(Right {
                name: Some(CONFIG_MAP.into()),
                ..within(verb, "", "configmaps", namespace)
            });
        }
    }
    // The Go webhook keeps its certificates in other ways.
    if software == Software::Go {
        return rights;
    }
    let Certificates { source, webhook_configuration, webhook_url: _ } = &settings.certificates;
    let (secret, keeps_bundle) = match source {
        CertificateSource::Managed { secret, policy: _ } => (Some(secret), true),
        CertificateSource::Files { ca_bundle } => (None, ca_bundle.is_some()),
    };
    for verb in ["get", "watch", "patch"] {
        if keeps_bundle {
            let name = Some(webhook_configuration.clone());
            rights.push(Right { name, ..all(verb, REGISTRATION, "mutatingwebhookconfigurations") });
        }
        if let Some(secret) = secret {
            rights.push(Right {
                name: Some(secret.clone()),
                ..within(verb, "", "secrets", namespace)
            });
        }
    }
    rights
}

#[cfg(test)]
mod tests {
    use super::super::texts;
    use super::*;

    /// The Go webhook's own role has more, which it lives without.
    #[test]
    fn the_go_webhook_needs_to_list_and_watch_accounts_and_no_more() {
        let settings = crate::cli::defaults();
        let needed = |software| texts(&needed(&settings, software));
        assert_eq!(needed(Software::Go), ["list serviceaccounts", "watch serviceaccounts"]);
        assert_eq!(needed(Software::Ours)[2], "get serviceaccounts");
    }
}
