//! Rights, asked of the API server one by one: reviews of access, which are answered and not kept.
//!
//! The webhook's are those that README names for the flags that it runs with; one's own are those
//! that the selected checks use.

mod own;
mod webhook;

use futures::stream::{self, StreamExt as _};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SelfSubjectAccessReview,
    SelfSubjectAccessReviewSpec, SubjectAccessReview, SubjectAccessReviewSpec,
    SubjectAccessReviewStatus,
};
use kube::api::PostParams;
use kube::{Api, Client};

pub(super) use own::{Uses, own};
pub(super) use webhook::of_webhook;

use crate::doctor::observed::{Right, Standing};
use crate::installation::{Look, Unseen, What, Why};

const REGISTRATION: &str = "admissionregistration.k8s.io";

/// How many reviews are under way at a time.
const AT_A_TIME: usize = 8;

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
fn texts(rights: &[Right]) -> Vec<String> {
    rights.iter().map(|right| format!("{} {}", right.verb, right.objects())).collect()
}
