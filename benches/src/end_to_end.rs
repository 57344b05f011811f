//! What a webhook adds to the creation of a Pod, through the real API server.
//!
//! Pods are created by dry run, one after the other, in namespaces that differ only in who is
//! called: nobody, the no-op, a server that answers one constant patch of the same edits, ours,
//! theirs. The constant patch is what no webhook can beat: the API server's own work on it is in it.

use anyhow::{Context, Result};
use cluster::{Registration, namespace, register};
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
    rbac::v1::ClusterRoleBinding,
};
use kube::{Api, api::PostParams};
use serde_json::json;

use crate::{
    Bench,
    accounts::WITH_ROLE,
    figures::{What, median},
    load::{Load, Pace},
    review::{Size, pod, review},
    subject::Kind,
};

/// How long the token of the load generator lives, in seconds.
const TOKEN_LIFE: i64 = 3 * 3600;

/// Creations of a Pod, in microseconds.
#[derive(Clone, Debug)]
pub(crate) struct Creation {
    pub(crate) who: &'static str,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) per_second: f64,
}

/// A namespace, and who is called there.
struct Place {
    who: &'static str,
    /// Where its figure goes: the constant patch stands where the no-op stands elsewhere.
    row: Option<Kind>,
    namespace: String,
    samples: Vec<[f64; 3]>,
}

pub(crate) async fn rows(bench: &mut Bench) -> Result<()> {
    let ours = bench.programs.start(Kind::Ours, &bench.plane, &[]).await?;
    let theirs = bench.programs.start(Kind::Theirs, &bench.plane, &[]).await?;
    let noop = bench.programs.start(Kind::Noop, &bench.plane, &[]).await?;
    let known = review(WITH_ROLE, Size::Usual);
    ours.injects(&known).await?;
    theirs.injects(&known).await?;

    let mut places = vec![place(bench, "no webhook", None).await?];
    for (who, row, subject) in [
        ("no-op", None, &noop),
        ("ours", Some(Kind::Ours), &ours),
        ("Go webhook", Some(Kind::Theirs), &theirs),
    ] {
        let place = place(bench, who, row).await?;
        let registration = Registration {
            namespaces: Some(label(who)),
            ..if subject.kind == Kind::Theirs {
                Registration::of_the_peer()
            } else {
                Registration::default()
            }
        };
        register(&bench.plane, &label(who), subject.callee(), registration).await?;
        places.push(place);
    }
    // The very edits that ours makes to this Pod.
    let patch = {
        let mut review: serde_json::Value = serde_json::from_slice(&known)?;
        review["request"]["object"] = pod(WITH_ROLE);
        let response = ours.ask(review.to_string().as_bytes()).await?;
        response["patch"].as_str().context("no patch")?.to_owned()
    };
    let constant = bench.programs.constant(&bench.plane, &patch).await?;
    let who = "constant patch";
    places.push(place(bench, who, Some(Kind::Noop)).await?);
    let registration = Registration { namespaces: Some(label(who)), ..Registration::default() };
    register(&bench.plane, &label(who), constant.callee(), registration).await?;

    // Both have to know the accounts of the new namespaces before anything is measured.
    for (subject, who) in [(&ours, "ours"), (&theirs, "Go webhook")] {
        let place = places.iter().find(|place| place.who == who).context("a place")?;
        let mut review: serde_json::Value = serde_json::from_slice(&known)?;
        review["request"]["namespace"] = json!(place.namespace);
        subject.injects(review.to_string().as_bytes()).await?;
    }

    let token = token(bench).await?;
    let body = bench.file("pod.json", pod(WITH_ROLE).to_string().as_bytes())?;
    for round in 0..=bench.scale.rounds {
        for place in &mut places {
            bench.say(&format!("creations, round {round}: {}", place.who));
            let load = Load {
                url: format!(
                    "{}/api/v1/namespaces/{}/pods?dryRun=All",
                    bench.plane.url(),
                    place.namespace
                ),
                body: &body,
                headers: vec![format!("Authorization: Bearer {token}")],
                connections: 1,
                calls: bench.scale.creations,
                pace: Pace::Closed,
                status: 201,
            };
            let outcome = bench.oha.run(&load).await?;
            // The first round warms up.
            if round > 0 {
                place.samples.push([outcome.p50, outcome.p99, outcome.per_second]);
            }
        }
    }
    let column = |place: &Place, column: usize| -> Vec<f64> {
        place.samples.iter().filter_map(|sample| sample.get(column).copied()).collect()
    };
    let [without, ..] = places.as_slice() else { return Ok(()) };
    let base = column(without, 0);
    for place in &places {
        if let Some(kind) = place.row {
            for (with, without) in column(place, 0).iter().zip(&base) {
                bench.figures.add(What::Added, kind, with - without);
            }
        }
        bench.creations.push(Creation {
            who: place.who,
            p50: median(&column(place, 0)).unwrap_or_default(),
            p99: median(&column(place, 1)).unwrap_or_default(),
            per_second: median(&column(place, 2)).unwrap_or_default(),
        });
    }
    Ok(())
}

/// A namespace with an account that has a role.
async fn place(bench: &Bench, who: &'static str, row: Option<Kind>) -> Result<Place> {
    let namespace = namespace(&bench.plane, &label(who)).await?;
    let account: ServiceAccount = serde_json::from_value(json!({"metadata": {
        "name": WITH_ROLE,
        "annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/team/with-role"},
    }}))?;
    let accounts: Api<ServiceAccount> = Api::namespaced(bench.plane.client()?, &namespace);
    accounts.create(&PostParams::default(), &account).await?;
    Ok(Place { who, row, namespace, samples: Vec::new() })
}

fn label(who: &str) -> String {
    who.to_lowercase().replace(' ', "-")
}

/// A token that may create Pods everywhere.
async fn token(bench: &Bench) -> Result<String> {
    const NAMESPACE: &str = crate::review::NAMESPACE;
    let client = bench.plane.client()?;
    let binding: ClusterRoleBinding = serde_json::from_value(json!({
        "metadata": {"name": "bench"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": WITH_ROLE, "namespace": NAMESPACE}],
    }))?;
    Api::all(client.clone()).create(&PostParams::default(), &binding).await?;
    let accounts: Api<ServiceAccount> = Api::namespaced(client, NAMESPACE);
    let request = TokenRequest {
        spec: TokenRequestSpec {
            expiration_seconds: Some(TOKEN_LIFE),
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    };
    let answer = accounts.create_token_request(WITH_ROLE, &PostParams::default(), &request).await?;
    Ok(answer.status.context("a TokenRequest without a token")?.token)
}
