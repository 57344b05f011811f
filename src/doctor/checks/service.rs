//! What stands behind the entries: Service, endpoints, who answers, software, flags.

use std::collections::BTreeSet;

use super::behind::{Replicas, Unasked, unanswered, unasked};
use super::{count, distinct, entries, installation, or_passed, some};
use crate::doctor::line::Line;
use crate::doctor::observed::{Answer, Observed, Served};
use crate::installation::{Entry, FailurePolicy, Origin, Place, Replica, Software};

pub(in crate::doctor) fn exists(observed: &Observed) -> Vec<Line> {
    let (installation, entries) = match (installation(observed), entries(observed)) {
        (Ok(installation), Ok(entries)) => (installation, entries),
        (Err(lines), _) | (_, Err(lines)) => return lines,
    };
    let mut lines = Vec::new();
    let mut good = BTreeSet::new();
    for entry in entries {
        let (Place::Service { namespace, name, port, path: _ }, Some(backend)) =
            (&entry.place, installation.backend(entry))
        else {
            continue;
        };
        match &backend.service {
            Err(unseen) => lines.push(Line::not_looked_at(unseen.to_string())),
            Ok(None) => lines.push(Line::finding(
                format!("there is no Service {namespace}/{name}, which {} calls", entry.name),
                "install it, or name the right one in the entry's clientConfig",
            )),
            Ok(Some(service)) if service.external_name.is_some() => {
                good.insert(format!("{namespace}/{name}, an ExternalName"));
            }
            Ok(Some(service)) if service.port(*port).is_none() => {
                let ports = service.ports.iter().map(|port| port.number.to_string());
                lines.push(Line::finding(
                    format!(
                        "Service {namespace}/{name} has no port {port}, which {} calls; it has {}",
                        entry.name,
                        ports.collect::<Vec<_>>().join(", ")
                    ),
                    "correct the port in the entry's clientConfig",
                ));
            }
            Ok(Some(_)) => {
                good.insert(format!("{namespace}/{name}, port {port}"));
            }
        }
    }
    let lines = distinct(lines);
    if good.is_empty() {
        return if lines.is_empty() { vec![Line::nothing("called by URL")] } else { lines };
    }
    or_passed(lines, good.into_iter().collect::<Vec<_>>().join("; "))
}

pub(in crate::doctor) fn endpoints(observed: &Observed) -> Vec<Line> {
    let (installation, entries) = match (installation(observed), entries(observed)) {
        (Ok(installation), Ok(entries)) => (installation, entries),
        (Err(lines), _) | (_, Err(lines)) => return lines,
    };
    let mut lines = Vec::new();
    let mut good = Vec::new();
    for backend in &installation.backends {
        let service = match &backend.service {
            Ok(Some(service)) if service.external_name.is_none() => service,
            Ok(_) => continue,
            Err(unseen) => {
                lines.push(Line::not_looked_at(unseen.to_string()));
                continue;
            }
        };
        let of = format!("Service {}/{}", backend.namespace, backend.name);
        let endpoints = match &backend.endpoints {
            Ok(endpoints) => endpoints,
            Err(unseen) => {
                lines.push(Line::not_looked_at(unseen.to_string()));
                continue;
            }
        };
        let ready = backend.ready().count();
        let called = entries.iter().filter(|entry| {
            let of = Some((&*backend.namespace, &*backend.name));
            entry.place.service() == of
        });
        let lacks = |entry: &&Entry| match &entry.place {
            Place::Service { port, .. } => service.port(*port).is_some_and(|port| {
                ready > 0 && backend.ready().all(|endpoint| endpoint.port(port).is_none())
            }),
            Place::Url(_) => false,
        };
        if called.clone().any(|entry| lacks(&entry)) {
            lines.push(Line::finding(
                format!("no ready replica of {of} has the port that is called"),
                "correct the Service's targetPort: it names or numbers a port of the container",
            ));
            continue;
        }
        let namespace = &backend.namespace;
        let selector: Vec<_> = service.selector.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let selector = selector.join(",");
        match (endpoints.len(), ready) {
            (0, _) => lines.push(Line::finding(
                format!("nothing stands behind {of}: its selector {selector} has no Pod"),
                format!("start the webhook: kubectl -n {namespace} get deployments,pods"),
            )),
            (all, 0) => lines.push(Line::finding(
                format!("none of {} of {of} is ready", count(all, "replica")),
                format!("see why: kubectl -n {namespace} describe pods -l {selector}"),
            )),
            (all, ready) if ready < all => lines.push(Line::note(
                format!("{ready} of {} of {of} are ready", count(all, "replica")),
                format!("see why: kubectl -n {namespace} describe pods -l {selector}"),
            )),
            (_, ready) => good.push(format!("{ready} of {} ready", count(ready, "replica"))),
        }
    }
    if good.is_empty() && lines.is_empty() {
        return vec![Line::nothing("no Service with endpoints is called")];
    }
    or_passed(lines, good.join("; "))
}

/// What follows while nobody answers these entries.
fn meanwhile(called: &[&Entry]) -> &'static str {
    if called.iter().any(|entry| entry.failure_policy == FailurePolicy::Ignore) {
        "meanwhile Pods start without an identity (failurePolicy Ignore)"
    } else {
        "meanwhile no Pod can be created (failurePolicy Fail)"
    }
}

/// What to do about it.
fn start(called: &[&Entry]) -> String {
    match called.iter().find_map(|entry| entry.place.service()) {
        Some((namespace, _)) => {
            format!("start the webhook: kubectl -n {namespace} get deployments,pods")
        }
        None => "start the webhook, or correct the URL".to_owned(),
    }
}

pub(in crate::doctor) fn reachable(observed: &Observed) -> Vec<Line> {
    let (installation, entries) = match (installation(observed), entries(observed)) {
        (Ok(installation), Ok(entries)) => (installation, entries),
        (Err(lines), _) | (_, Err(lines)) => return lines,
    };
    let mut lines = Vec::new();
    let mut good = BTreeSet::new();
    for Served { entries: called, target, answer } in &observed.served {
        let called: Vec<_> = called.iter().filter_map(|index| entries.get(*index)).collect();
        let meanwhile = meanwhile(&called);
        match answer {
            Answer::Shook { .. } => {
                good.insert(target.as_str());
            }
            Answer::Refused(why) => lines.push(Line::finding(
                format!("nobody answers at {target} ({why}): {meanwhile}"),
                start(&called),
            )),
            Answer::NoHandshake(why) => lines.push(Line::finding(
                format!("{target} shakes no hands ({why}): {meanwhile}"),
                "see its log: it may have no certificate yet, or be something else",
            )),
            Answer::OutOfReach(why) => lines.push(Line::not_looked_at(format!("{target}: {why}"))),
        }
    }
    for entry in entries {
        lines.extend(unasked(installation, entry).map(|unasked| match unasked {
            Unasked::Unseen(unseen) => Line::not_looked_at(unseen.to_string()),
            Unasked::NobodyThere => Line::finding(
                format!("nobody stands behind {}: {}", entry.place, meanwhile(&[entry])),
                start(&[entry]),
            ),
        }));
    }
    if observed.served.is_empty() && lines.is_empty() {
        return vec![Line::nothing("nobody is asked")];
    }
    or_passed(distinct(lines), some(good))
}

pub(in crate::doctor) fn ready(observed: &Observed) -> Vec<Line> {
    if let Err(lines) = entries(observed) {
        return lines;
    }
    let mut lines = Vec::new();
    let (mut good, mut without_page) = (0_usize, 0_usize);
    for served in &observed.served {
        let Answer::Shook { ready, .. } = &served.answer else { continue };
        let target = &served.target;
        let Some((status, text)) = ready else {
            let why = format!("{target} takes connections, and does not answer on /readyz");
            lines.push(Line::not_looked_at(why));
            continue;
        };
        let with = |mark: &str| -> Vec<String> {
            let lines = text.lines().filter_map(|line| line.strip_prefix(mark));
            lines.map(|line| line.trim().to_owned()).collect()
        };
        match status {
            200 => {
                good += 1;
                lines.extend(with("[!]").into_iter().map(|why| {
                    Line::note(format!("{target} says {why}"), "see its log for the whole story")
                }));
            }
            503 => {
                let mut reasons = with("[-]");
                if reasons.is_empty() {
                    reasons.push("it does not say why".to_owned());
                }
                lines.extend(reasons.into_iter().map(|why| {
                    Line::finding(
                        format!("{target} is not ready: {why}"),
                        "put that right: it becomes ready by itself",
                    )
                }));
            }
            // The Go webhook has no such page.
            404 => without_page += 1,
            status => lines.push(Line::not_looked_at(format!(
                "{target} answers on /readyz with the status {status}, which says nothing"
            ))),
        }
    }
    lines.extend(unanswered(observed));
    match (lines.is_empty(), good, without_page) {
        (true, 0, 0) => vec![Line::nothing("nobody is asked")],
        (true, 0, _) => vec![Line::nothing("it has no /readyz")],
        _ => or_passed(lines, "it says so itself"),
    }
}

pub(in crate::doctor) fn versions(observed: &Observed) -> Vec<Line> {
    let (replicas, unseen) = match Replicas::of(observed).and_then(Replicas::or_lines) {
        Ok(replicas) => replicas,
        Err(lines) => return lines,
    };
    let of = |software: Software| {
        let images: BTreeSet<_> =
            replicas.iter().filter(|r| r.software == software).map(|r| &*r.image).collect();
        images
    };
    let images: BTreeSet<_> = replicas.iter().map(|replica| &*replica.image).collect();
    let (ours, go) = (of(Software::Ours), of(Software::Go));
    let mut lines = unseen;
    if !ours.is_empty() && !go.is_empty() {
        lines.push(Line::finding(
            format!("the Go webhook ({}) and this one ({}) answer by turns", some(go), some(ours)),
            "remove the Deployment of the Go webhook, or give it a Service of its own",
        ));
    } else if images.len() > 1 {
        lines.push(Line::note(
            format!(
                "{} run side by side: {}",
                count(images.len(), "image"),
                some(images.iter().copied())
            ),
            "if no update is under way, look for a second Deployment behind the Service",
        ));
    }
    or_passed(lines, some(images))
}

pub(in crate::doctor) fn flags(observed: &Observed) -> Vec<Line> {
    let installation = match (installation(observed), entries(observed)) {
        (Ok(installation), Ok(_)) => installation,
        (Err(lines), _) | (_, Err(lines)) => return lines,
    };
    let unseen = match Replicas::of(observed) {
        Ok(Replicas { unseen, seen: _ }) => unseen,
        Err(lines) => return lines,
    };
    let Some((_, replica)) = installation.replica() else {
        let nobody = vec!["no Pod of the webhook is there".to_owned()];
        let unseen = if unseen.is_empty() { nobody } else { unseen };
        let line =
            |why| Line::not_looked_at(format!("{why}: its flags are taken for the defaults"));
        return unseen.into_iter().map(line).collect();
    };
    let Replica { pod, container, flags, .. } = replica;
    let mut lines: Vec<_> = unseen.into_iter().map(Line::not_looked_at).collect();
    if flags.origin == Origin::Defaults {
        lines.push(Line::not_looked_at(format!(
            "container {container} of Pod {pod} does not run the server by itself: its flags are \
             taken for the defaults"
        )));
    }
    if !flags.unread.is_empty() {
        lines.push(Line::not_looked_at(format!(
            "{} of Pod {pod}: this version cannot read them, and takes the defaults",
            some(flags.unread.iter().map(AsRef::as_ref))
        )));
    }
    if !flags.unknown.is_empty() {
        lines.push(Line::not_looked_at(format!(
            "{} of Pod {pod}: their values stand in other objects, and the defaults are taken",
            some(flags.unknown.iter().map(AsRef::as_ref))
        )));
    }
    or_passed(lines, format!("read from Pod {pod}"))
}
