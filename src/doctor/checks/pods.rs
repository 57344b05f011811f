//! Pods that run: what they miss, what shadows their identity, and what they need on their node.

use std::collections::BTreeMap;

use super::{count, or_passed, some};
use crate::doctor::line::Line;
use crate::doctor::observed::{Observed, Pods};
use crate::installation::Documents;
use crate::plan::Reason;

/// Reasons for which an identity is there and not used.
const SHADOWS: [Reason; 2] = [Reason::ShadowedByStaticKeys, Reason::ShadowedByWebIdentity];

/// Reasons for which a container does not get its identity, or not as somebody thinks.
const CONTAINERS: [Reason; 6] = [
    Reason::MountPathTaken,
    Reason::EnvConflict,
    Reason::PodIdentityUnsupported,
    Reason::UnknownContainer,
    Reason::VolumeNameTaken,
    Reason::LabelTaken,
];

/// What keeps some Pods, or the identity of some, from being seen.
fn unseen(observed: &Observed, pods: &Pods) -> Vec<Line> {
    let unread = (pods.unread > 0)
        .then(|| Line::not_looked_at(format!("{}, which cannot be read", running(pods.unread))));
    let Documents { mappings, credentials, role_policy } = &observed.documents;
    let documents = [
        ("get an identity by", mappings.unseen("the mappings ConfigMap")),
        ("get an identity by", credentials.unseen("the container-credentials file")),
        ("have a role that is judged by", role_policy.unseen("the role policy")),
    ];
    let documents = documents.into_iter().filter_map(|(what, why)| Some((what, why?)));
    let documents = documents
        .map(|(what, why)| Line::not_looked_at(format!("Pods of accounts that {what} {why}")));
    unread.into_iter().chain(documents).collect()
}

fn pods(observed: &Observed) -> Result<&Pods, Vec<Line>> {
    let unseen = match (&observed.accounts, &observed.pods) {
        (Ok(_), Ok(pods)) => return Ok(pods),
        (Err(unseen), _) | (_, Err(unseen)) => unseen,
    };
    Err(vec![Line::not_looked_at(unseen.to_string())])
}

pub(in crate::doctor) fn missed(observed: &Observed) -> Vec<Line> {
    let pods = match pods(observed) {
        Ok(pods) => pods,
        Err(lines) => return lines,
    };
    let mut lacking = BTreeMap::<_, Vec<&str>>::new();
    for seen in &pods.seen {
        if let Some(verdict) = seen.lacks {
            lacking.entry(verdict.code()).or_default().push(&seen.pod);
        }
    }
    let scope = match &observed.within {
        Some(namespace) => format!("-n {namespace}"),
        None => "-A".to_owned(),
    };
    // Who is called for them decides whether new ones would have it.
    let called = match (&observed.installation, &observed.namespaces) {
        (Ok(_), Ok(_)) => None,
        (Err(unseen), _) | (_, Err(unseen)) => Some(unseen),
    };
    let lines = lacking.into_iter().map(|(code, names)| {
        let text = format!(
            "{} without the identity of now ({code}): {}",
            running(names.len()),
            some(names)
        );
        match called {
            Some(unseen) => {
                Line::not_looked_at(format!("whether the webhook is called for {text}: {unseen}"))
            }
            None => Line::finding(
                text,
                format!("recreate them; pod-identity-webhook audit pods {scope} lists all"),
            ),
        }
    });
    let mut lines: Vec<_> = lines.collect();
    if !pods.unlabelled.is_empty() {
        lines.push(Line::note(
            format!(
                "{} with an identity have labels that the objectSelector excludes: {}",
                running(pods.unlabelled.len()),
                some(pods.unlabelled.iter().map(String::as_str))
            ),
            "if that is not wanted, change the labels and recreate the Pods",
        ));
    }
    let with = pods.with_identity;
    let passed = format!(
        "{}, {with} with an identity: each has what it would get now",
        running(pods.looked_at)
    );
    let mut lines = or_passed(lines, passed);
    lines.extend(unseen(observed, pods));
    lines
}

pub(in crate::doctor) fn shadowing(observed: &Observed) -> Vec<Line> {
    of_reasons(observed, &SHADOWS, "no variable of a running Pod shadows its identity")
}

pub(in crate::doctor) fn containers(observed: &Observed) -> Vec<Line> {
    of_reasons(observed, &CONTAINERS, "no container of a running Pod stands in its own way")
}

/// The Pods with a warning of these reasons, those with the same sentence together.
fn of_reasons(observed: &Observed, reasons: &[Reason], passed: &str) -> Vec<Line> {
    let pods = match pods(observed) {
        Ok(pods) => pods,
        Err(lines) => return lines,
    };
    let mut by_sentence = BTreeMap::<(&str, &str), (Reason, Vec<&str>)>::new();
    for seen in &pods.seen {
        for (reason, text) in seen.warnings.iter().filter(|(reason, _)| reasons.contains(reason)) {
            let (_, names) =
                by_sentence.entry((reason.code(), text)).or_insert_with(|| (*reason, Vec::new()));
            names.push(&seen.pod);
        }
    }
    let lines = by_sentence.into_iter().map(|((code, text), (reason, names))| {
        // What sentences of warnings end in is for one who writes a Pod.
        let what = text.split([';', ':']).next().unwrap_or(text);
        let what = match what.strip_prefix("free ") {
            Some(place) => format!("something else is mounted at {place}"),
            None => what.to_owned(),
        };
        Line::finding(
            format!("Pod {}: {what} ({code})", some(names)),
            format!("{}, and recreate the Pod", remedy(reason)),
        )
    });
    let mut lines = or_passed(lines.collect(), passed);
    lines.extend(unseen(observed, pods));
    lines
}

/// What to do about a Pod that runs.
const fn remedy(reason: Reason) -> &'static str {
    match reason {
        Reason::ShadowedByStaticKeys => {
            "remove AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY from it"
        }
        Reason::ShadowedByWebIdentity => {
            "remove AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE from it"
        }
        Reason::MountPathTaken => "mount that volume elsewhere",
        Reason::EnvConflict => "remove the variable, or set both of the pair",
        Reason::PodIdentityUnsupported => "give the ServiceAccount a role-arn",
        Reason::UnknownContainer => "correct the annotation",
        Reason::VolumeNameTaken => "rename that volume",
        Reason::LabelTaken => "remove that label",
        _ => "see pod-identity-webhook explain pod",
    }
}

pub(in crate::doctor) fn agent(observed: &Observed) -> Vec<Line> {
    let pods = match pods(observed) {
        Ok(pods) => pods,
        Err(lines) => return lines,
    };
    if pods.agents_needed.is_empty() {
        let mut lines = vec![Line::nothing("no running Pod uses Pod Identity")];
        lines.extend(unseen(observed, pods));
        return lines;
    }
    let agent = match &observed.agent {
        Ok(agent) => agent,
        Err(unseen) => return vec![Line::not_looked_at(unseen.to_string())],
    };
    let without: Vec<_> =
        pods.agents_needed.keys().filter(|node| !agent.nodes.contains(*node)).collect();
    if without.is_empty() {
        return vec![Line::passed(format!("ready on {}", count(pods.agents_needed.len(), "node")))];
    }
    let waiting: usize = without.iter().filter_map(|node| pods.agents_needed.get(*node)).sum();
    let nodes = some(without.iter().map(|node| &***node));
    vec![if agent.daemon_sets.is_empty() {
        Line::finding(
            format!("{} use Pod Identity, and there is no Pod Identity agent", running(waiting)),
            "install the EKS add-on eks-pod-identity-agent",
        )
    } else {
        Line::finding(
            format!(
                "no Pod Identity agent is ready on {nodes}, where {} need it",
                running(waiting)
            ),
            format!("see why: kubectl describe daemonset {}", agent.daemon_sets.join(" ")),
        )
    }]
}

fn running(number: usize) -> String {
    count(number, "running Pod")
}
