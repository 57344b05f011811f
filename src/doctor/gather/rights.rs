//! Rights, asked of the API server one by one: reviews of access, which are answered and not kept.
//!
//! The webhook's are those that README names for the flags that it runs with; one's own are those
//! that the selected checks use.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt as _};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SelfSubjectAccessReview,
    SelfSubjectAccessReviewSpec, SubjectAccessReview, SubjectAccessReviewSpec,
    SubjectAccessReviewStatus,
};
use kube::api::PostParams;
use kube::{Api, Client};

use super::Question;
use crate::accounts::CONFIG_MAP;
use crate::cli::{CertificateSource, Certificates, ConfigMapSource, ServerSettings};
use crate::doctor::check::{Need, Selection};
use crate::doctor::observed::{Right, Standing, Told};
use crate::installation::{Installation, Look, Software, Unseen, What, Why};

const REGISTRATION: &str = "admissionregistration.k8s.io";

/// How many reviews are under way at a time.
const AT_A_TIME: usize = 8;

/// The rights of each account that a replica runs as.
pub(super) async fn of_webhook(client: &Client, installation: &Installation) -> Vec<Right> {
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

/// The rights of whoever asks, for the checks of `selection`.
pub(super) async fn own(
    client: &Client,
    question: &Question,
    selection: &Selection,
    installation: Option<&Installation>,
    chosen: Option<&Told>,
) -> Vec<Right> {
    let scope = |verb, group, resource| Right {
        namespace: question.namespace.clone(),
        ..all(verb, group, resource)
    };
    let mut rights = vec![all("list", REGISTRATION, "mutatingwebhookconfigurations")];
    for backend in installation.map(|i| i.backends.as_slice()).unwrap_or_default() {
        rights.push(within("get", "", "services", &backend.namespace));
        rights.push(within("list", "discovery.k8s.io", "endpointslices", &backend.namespace));
        rights.push(within("list", "", "pods", &backend.namespace));
    }
    for (need, right) in [
        (Need::Namespaces, all("list", "", "namespaces")),
        (Need::Accounts, scope("list", "", "serviceaccounts")),
        (Need::Pods, scope("list", "", "pods")),
        (Need::Rights, all("create", "authorization.k8s.io", "subjectaccessreviews")),
        (Need::FailOpen, all("get", "", "/metrics")),
        (Need::Agent, within("list", "apps", "daemonsets", "kube-system")),
    ] {
        if selection.needs(need) {
            rights.push(right);
        }
    }
    if let Some(told) = chosen {
        if selection.needs(Need::Probe) {
            rights.push(within("create", "", "pods", &told.namespace));
        }
        if selection.needs(Need::Token) {
            rights.push(within("create", "", "serviceaccounts/token", &told.namespace));
        }
    }
    review(client, rights).await
}

fn all(verb: &'static str, group: &'static str, resource: &'static str) -> Right {
    let standing = Ok(Standing::Missing);
    Right { who: None, verb, group, resource, namespace: None, name: None, standing }
}

fn within(
    verb: &'static str,
    group: &'static str,
    resource: &'static str,
    namespace: &str,
) -> Right {
    Right { namespace: Some(namespace.into()), ..all(verb, group, resource) }
}

/// Asks whether they are there.
async fn review(client: &Client, rights: Vec<Right>) -> Vec<Right> {
    let ask = |right: Right| async move {
        let standing = one(client, &right).await;
        Right { standing, ..right }
    };
    stream::iter(rights).map(ask).buffered(AT_A_TIME).collect().await
}

async fn one(client: &Client, right: &Right) -> Look<Standing> {
    let Right { who, verb, group, resource, namespace, name, standing: _ } = right;
    let is_path = resource.starts_with('/');
    let (plural, subresource) = match resource.split_once('/') {
        Some((plural, subresource)) if !is_path => (plural, Some(subresource.to_owned())),
        _ => (*resource, None),
    };
    let attributes = (!is_path).then(|| ResourceAttributes {
        group: Some((*group).to_owned()),
        resource: Some(plural.to_owned()),
        subresource,
        verb: Some((*verb).to_owned()),
        namespace: namespace.as_deref().map(str::to_owned),
        name: name.as_deref().map(str::to_owned),
        ..ResourceAttributes::default()
    });
    let path = is_path.then(|| NonResourceAttributes {
        path: Some((*resource).to_owned()),
        verb: Some((*verb).to_owned()),
    });
    let params = PostParams::default();
    let status = match who {
        None => {
            let review = SelfSubjectAccessReview {
                spec: SelfSubjectAccessReviewSpec {
                    resource_attributes: attributes,
                    non_resource_attributes: path,
                },
                ..SelfSubjectAccessReview::default()
            };
            let api = Api::<SelfSubjectAccessReview>::all(client.clone());
            let what = What::all("selfsubjectaccessreviews");
            what.ask("create", api.create(&params, &review)).await?.status
        }
        Some(who) => {
            let namespace = who.split(':').nth(2).unwrap_or_default();
            let review = SubjectAccessReview {
                spec: SubjectAccessReviewSpec {
                    user: Some(who.clone().into()),
                    groups: Some(vec![
                        "system:serviceaccounts".to_owned(),
                        format!("system:serviceaccounts:{namespace}"),
                        "system:authenticated".to_owned(),
                    ]),
                    resource_attributes: attributes,
                    ..SubjectAccessReviewSpec::default()
                },
                ..SubjectAccessReview::default()
            };
            let api = Api::<SubjectAccessReview>::all(client.clone());
            let what = What::all("subjectaccessreviews");
            what.ask("create", api.create(&params, &review)).await?.status
        }
    };
    match status {
        Some(SubjectAccessReviewStatus { allowed: true, .. }) => Ok(Standing::Granted),
        Some(_) => Ok(Standing::Missing),
        None => Err(Unseen {
            verb: "create",
            what: What::all("subjectaccessreviews"),
            why: Why::Unreadable,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(rights: &[Right]) -> Vec<String> {
        rights.iter().map(|right| format!("{} {}", right.verb, right.objects())).collect()
    }

    /// The Go webhook's own role has more, which it lives without.
    #[test]
    fn the_go_webhook_needs_to_list_and_watch_accounts_and_no_more() {
        let settings = crate::cli::defaults();
        let needed = |software| texts(&needed(&settings, software));
        assert_eq!(needed(Software::Go), ["list serviceaccounts", "watch serviceaccounts"]);
        assert_eq!(needed(Software::Ours)[2], "get serviceaccounts");
    }
}
