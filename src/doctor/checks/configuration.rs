//! The webhook configuration: who is called, for which Pods, and what if nobody answers.

use std::collections::{BTreeMap, BTreeSet};

use super::{count, entries, installation, or_passed, some};
use crate::doctor::line::Line;
use crate::doctor::observed::{Observed, Told};
use crate::installation::{
    Backend, EKS_ENTRY, Entry, FailurePolicy, Found, Installation, Labels, Reach, Reinvocation,
    Software,
};

/// The paths on which a webhook of this kind answers.
const PATHS: [&str; 2] = ["/mutate", "/mutate/strict"];

/// How long new Pods may wait for a webhook that hangs before somebody should know, in seconds.
const LONG: i32 = 15;

pub(in crate::doctor) fn present(observed: &Observed) -> Vec<Line> {
    let installation = match installation(observed) {
        Ok(installation) => installation,
        Err(lines) => return lines,
    };
    let name = &installation.configuration;
    if installation.entries.is_empty() {
        return vec![match installation.found {
            Found::ByLook => Line::finding(
                "no MutatingWebhookConfiguration calls a webhook of this kind for new Pods: none \
                 gets its identity",
                "install the webhook's manifests, or name the configuration by \
                 --webhook-configuration",
            ),
            Found::ByName | Found::ByNameAlone => Line::finding(
                format!("no entry of {name} is called for new Pods: none gets its identity"),
                "give one the rule CREATE of pods, apiGroups [\"\"], apiVersions [v1]",
            ),
        }];
    }
    let mut lines = Vec::new();
    for entry in &installation.entries {
        let path = entry.place.path();
        if !PATHS.contains(&path.as_str()) {
            lines.push(Line::finding(
                format!("{} calls the path {path:?}, on which nothing is answered", entry.name),
                "set the path /mutate in its clientConfig, or /mutate/strict",
            ));
        }
    }
    let places: BTreeSet<_> = installation.entries.iter().map(|e| e.place.to_string()).collect();
    let places = places.into_iter().collect::<Vec<_>>().join("; ");
    let names: BTreeSet<_> = installation.entries.iter().map(|e| &*e.configuration).collect();
    let names = some(names);
    or_passed(
        lines,
        match installation.found {
            Found::ByLook => format!("{names} calls {places} (there is no {name})"),
            Found::ByName | Found::ByNameAlone => format!("{names} calls {places}"),
        },
    )
}

pub(in crate::doctor) fn review_versions(observed: &Observed) -> Vec<Line> {
    let (installation, entries) = match (installation(observed), entries(observed)) {
        (Ok(installation), Ok(entries)) => (installation, entries),
        (Err(lines), _) | (_, Err(lines)) => return lines,
    };
    let mut lines = Vec::new();
    for entry in entries {
        let replicas = match installation.backend(entry).map(|backend| &backend.replicas) {
            Some(Ok(replicas)) => replicas.as_slice(),
            None => &[],
            // Which versions are right depends on who answers.
            Some(Err(unseen)) => {
                lines.push(Line::not_looked_at(format!(
                    "whether {} fits who answers {}: {unseen}",
                    entry.review_versions.join(", "),
                    entry.name
                )));
                continue;
            }
        };
        let is_go = replicas.iter().any(|replica| replica.software == Software::Go);
        let versions = entry.review_versions.join(", ");
        let has_v1 = entry.review_versions.iter().any(|version| version == "v1");
        let first = entry.review_versions.first().map(String::as_str);
        match (is_go, has_v1, first) {
            (true, _, Some("v1")) => lines.push(Line::note(
                format!(
                    "{} is sent v1 first, which the Go webhook up to v0.6.17 does not answer as \
                     API servers want it",
                    entry.name
                ),
                "list v1beta1 first in its admissionReviewVersions, or run this webhook",
            )),
            (true, ..) | (false, true, _) => {}
            (false, false, _) => lines.push(Line::finding(
                format!(
                    "{} takes {versions} only: an API server that has dropped it calls nobody",
                    entry.name
                ),
                "set admissionReviewVersions: [v1]; this webhook answers v1 and v1beta1",
            )),
        }
    }
    let versions: BTreeSet<_> = entries.iter().flat_map(|e| &e.review_versions).collect();
    let versions = versions.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    or_passed(lines, versions)
}

pub(in crate::doctor) fn failure_policy(observed: &Observed) -> Vec<Line> {
    let (installation, entries) = match (installation(observed), entries(observed)) {
        (Ok(installation), Ok(entries)) => (installation, entries),
        (Err(lines), _) | (_, Err(lines)) => return lines,
    };
    let mut lines = Vec::new();
    for entry in entries.iter().filter(|entry| entry.failure_policy == FailurePolicy::Fail) {
        lines.extend(match reach_of_own_pods(observed, installation, entry) {
            Ok(Reach::Called) => Some(Line::finding(
                format!(
                    "{} is called for the webhook's own Pods and fails without it: once all are \
                     down none can start",
                    entry.name
                ),
                match entry.place.service() {
                    Some((namespace, _)) => {
                        format!("exclude namespace {namespace} by its namespaceSelector")
                    }
                    None => "exclude its namespace by its namespaceSelector".to_owned(),
                },
            )),
            Ok(Reach::NotByRules | Reach::NotByNamespace | Reach::NotByLabels) => None,
            Err(why) => Some(Line::not_looked_at(format!(
                "whether {} is called for the webhook's own Pods: {why}",
                entry.name
            ))),
        });
    }
    let ignores = entries.iter().any(|entry| entry.failure_policy == FailurePolicy::Ignore);
    let fails = entries.iter().any(|entry| entry.failure_policy == FailurePolicy::Fail);
    let passed = match (ignores, fails) {
        (true, true) => "Ignore and Fail",
        (true, false) => "Ignore: while it does not answer, Pods start without an identity",
        (false, _) => "Fail: while it does not answer, Pods are refused",
    };
    or_passed(lines, passed)
}

/// Whether an entry is called for the Pods of the webhook that it calls, or why nobody can tell.
fn reach_of_own_pods(
    observed: &Observed,
    installation: &Installation,
    entry: &Entry,
) -> Result<Reach, String> {
    let Some(backend) = installation.backend(entry) else {
        return Err("it is called by URL, which names no Pod".to_owned());
    };
    let Backend { namespace, name, service, .. } = backend;
    let service = match service {
        Ok(Some(service)) => service,
        Ok(None) => return Err(format!("there is no Service {namespace}/{name}")),
        Err(unseen) => return Err(unseen.to_string()),
    };
    let namespaces = observed.namespaces.as_ref().map_err(ToString::to_string)?;
    let Some(labels) = namespaces.get(namespace) else {
        return Err(format!("there is no namespace {namespace}"));
    };
    match entry.reach(labels, &service.selector) {
        Reach::Called | Reach::NotByLabels if service.selector.is_empty() => {
            Err(format!("Service {namespace}/{name} has no selector, which names their labels"))
        }
        Reach::Called if !entry.conditions.is_empty() => {
            Err(format!("its matchConditions ({}) are not judged", entry.conditions.join(", ")))
        }
        reach => Ok(reach),
    }
}

pub(in crate::doctor) fn timeout(observed: &Observed) -> Vec<Line> {
    let (installation, entries) = match (installation(observed), entries(observed)) {
        (Ok(installation), Ok(entries)) => (installation, entries),
        (Err(lines), _) | (_, Err(lines)) => return lines,
    };
    let grace = installation.flags().settings.grace_period;
    let mut lines = Vec::new();
    for entry in entries {
        let seconds = entry.timeout_seconds;
        if seconds > LONG {
            lines.push(Line::note(
                format!("new Pods wait {seconds} s for {} if it hangs", entry.name),
                "set timeoutSeconds: 10",
            ));
        }
        let half = u64::try_from(seconds).unwrap_or_default() * 500;
        if u128::from(half) < grace.as_millis() {
            lines.push(Line::note(
                format!(
                    "half of the {seconds} s of {} is less than \
                     --service-account-lookup-grace-period: look-ups are cut short",
                    entry.name
                ),
                "set timeoutSeconds: 10, or a shorter grace period",
            ));
        }
    }
    let times: BTreeSet<_> = entries.iter().map(|entry| entry.timeout_seconds).collect();
    let times = times.iter().map(|s| format!("{s} s")).collect::<Vec<_>>().join(", ");
    or_passed(lines, times)
}

pub(in crate::doctor) fn reinvocation(observed: &Observed) -> Vec<Line> {
    let (installation, entries) = match (installation(observed), entries(observed)) {
        (Ok(installation), Ok(entries)) => (installation, entries),
        (Err(lines), _) | (_, Err(lines)) => return lines,
    };
    let mut lines = Vec::new();
    for entry in entries.iter().filter(|entry| entry.reinvocation == Reinvocation::Never) {
        // API servers call in the order of the configurations' names.
        let later = installation.others.iter().filter(|o| o.configuration > entry.configuration);
        let later: BTreeSet<_> = later.map(|other| &*other.configuration).collect();
        if !later.is_empty() {
            lines.push(Line::note(
                format!(
                    "{} is not called again: containers that {} may add after it get no identity",
                    entry.name,
                    some(later)
                ),
                "set reinvocationPolicy: IfNeeded",
            ));
        }
    }
    let again = entries.iter().all(|entry| entry.reinvocation == Reinvocation::IfNeeded);
    if !again && installation.found == Found::ByNameAlone {
        return vec![others_unseen()];
    }
    or_passed(lines, if again { "IfNeeded" } else { "Never, and no other webhook comes later" })
}

fn others_unseen() -> Line {
    Line::not_looked_at("other configurations: grant list on mutatingwebhookconfigurations")
}

pub(in crate::doctor) fn selectors(observed: &Observed) -> Vec<Line> {
    let entries = match entries(observed) {
        Ok(entries) => entries,
        Err(lines) => return lines,
    };
    let namespaces = match &observed.namespaces {
        Ok(namespaces) => namespaces,
        Err(unseen) => return vec![Line::not_looked_at(unseen.to_string())],
    };
    let accounts = match &observed.accounts {
        Ok(accounts) => accounts,
        Err(unseen) => return vec![Line::not_looked_at(unseen.to_string())],
    };
    let nobody = Labels::new();
    let in_namespace =
        |labels: &Labels| entries.iter().any(|entry| entry.selects_namespace(labels));
    let mut lines = Vec::new();
    let reached = namespaces.values().filter(|labels| in_namespace(labels)).count();
    let names: BTreeSet<_> = entries.iter().map(|entry| &*entry.name).collect();
    let names = some(names);
    if reached == 0 && !namespaces.is_empty() && observed.within.is_none() {
        return vec![Line::finding(
            format!(
                "the namespaceSelector of {names} matches none of {}",
                count(namespaces.len(), "namespace")
            ),
            "label the namespaces whose Pods are to get an identity, or correct the selector",
        )];
    }
    let mut excluded = BTreeMap::<Box<str>, Vec<Box<str>>>::new();
    for told in accounts.told().filter(Told::has_identity) {
        if namespaces.get(&told.namespace).is_some_and(|labels| !in_namespace(labels)) {
            excluded.entry(told.namespace).or_default().push(told.name);
        }
    }
    for (namespace, accounts) in excluded {
        lines.push(Line::finding(
            format!(
                "namespace {namespace} is excluded by the namespaceSelector of {names}, and has \
                 ServiceAccounts with an identity: {}",
                some(accounts.iter().map(AsRef::as_ref))
            ),
            format!(
                "label namespace {namespace} so that the selector matches it ({})",
                selector(entries)
            ),
        ));
    }
    let takes_plain =
        |labels: &Labels| entries.iter().any(|entry| entry.reach(labels, &nobody) == Reach::Called);
    if reached > 0 && !namespaces.values().any(takes_plain) {
        lines.push(Line::note(
            format!("the objectSelector of {names} wants labels that no Pod has by itself"),
            "see that every Pod that is to get an identity has them",
        ));
    }
    let served = format!("{reached} of {} are served", count(namespaces.len(), "namespace"));
    // Nobody evaluates CEL here.
    let conditions = entries.iter().filter(|entry| !entry.conditions.is_empty()).map(|entry| {
        format!("the matchConditions of {} ({})", entry.name, entry.conditions.join(", "))
    });
    let conditions = conditions.collect::<Vec<_>>().join(" and ");
    let passed = match conditions.as_str() {
        "" => served,
        conditions => {
            format!(
                "{served} by the selectors; {conditions} are met by the probe, and not judged here"
            )
        }
    };
    or_passed(lines, passed)
}

/// What the first selector wants.
fn selector(entries: &[Entry]) -> String {
    entries.first().map(|entry| entry.namespaces.to_string()).unwrap_or_default()
}

pub(in crate::doctor) fn overlap(observed: &Observed) -> Vec<Line> {
    let (installation, entries) = match (installation(observed), entries(observed)) {
        (Ok(installation), Ok(entries)) => (installation, entries),
        (Err(lines), _) | (_, Err(lines)) => return lines,
    };
    if installation.found == Found::ByNameAlone {
        return vec![others_unseen()];
    }
    let nobody = Labels::new();
    let meet = |a: &Entry, b: &Entry| match &observed.namespaces {
        Ok(namespaces) => namespaces.values().any(|labels| {
            a.reach(labels, &nobody) == Reach::Called && b.reach(labels, &nobody) == Reach::Called
        }),
        Err(_) => true,
    };
    // Entries of other configurations: by look if there is none of the name.
    let first = entries.first().map(|entry| &entry.configuration);
    let rivals = installation
        .similar
        .iter()
        .chain(entries.iter().filter(|entry| Some(&entry.configuration) != first));
    let mut lines = Vec::new();
    for rival in rivals {
        let ours = entries.iter().find(|ours| {
            ours.configuration != rival.configuration
                && !ours.place.is_server_of(&rival.place)
                && meet(ours, rival)
        });
        let Some(ours) = ours else { continue };
        let text = format!(
            "{} of {} calls another webhook of this kind ({}) for Pods that {} is called for, too",
            rival.name, rival.configuration, rival.place, ours.name
        );
        if let Err(unseen) = &observed.namespaces {
            lines.push(Line::not_looked_at(format!("whether {text}: {unseen}")));
            continue;
        }
        lines.push(if *rival.name == *EKS_ENTRY {
            Line::note(text, "nothing breaks; on EKS its own webhook is enough for annotations")
        } else {
            Line::finding(
                text,
                format!(
                    "remove the one that is not wanted: kubectl delete \
                     mutatingwebhookconfiguration {}",
                    rival.configuration
                ),
            )
        });
    }
    or_passed(lines, "no other webhook of this kind is called for the same Pods")
}
