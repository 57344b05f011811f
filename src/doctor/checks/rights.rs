//! Rights: the webhook's own, and those of whoever asks.

use std::collections::BTreeSet;

use super::behind::Replicas;
use super::{distinct, or_passed, some};
use crate::doctor::line::Line;
use crate::doctor::observed::{Observed, Right, Standing};

pub(in crate::doctor) fn of_webhook(observed: &Observed) -> Vec<Line> {
    let mut lines = match Replicas::of(observed).and_then(Replicas::or_lines) {
        Ok((_, unseen)) => unseen,
        Err(lines) => return lines,
    };
    // The verbs that are missing for the same objects make one line.
    let mut missing = Vec::<(&Right, Vec<&str>)>::new();
    for right in &observed.rights {
        match &right.standing {
            Ok(Standing::Granted) => {}
            Err(unseen) => lines.push(Line::not_looked_at(unseen.to_string())),
            Ok(Standing::Missing) => {
                let same = |(other, _): &&mut (&Right, Vec<&str>)| {
                    let of = |r: &Right| {
                        (r.who.clone(), r.resource, r.namespace.clone(), r.name.clone())
                    };
                    of(other) == of(right)
                };
                match missing.iter_mut().find(same) {
                    Some((_, verbs)) => verbs.push(right.verb),
                    None => missing.push((right, vec![right.verb])),
                }
            }
        }
    }
    lines = distinct(lines);
    lines.extend(missing.into_iter().map(|(right, verbs)| {
        let who = right.who.as_deref().unwrap_or_default();
        let verbs = verbs.join(", ");
        Line::finding(
            format!("{who} may not {verbs} {}", right.objects()),
            format!("grant it by a {}", role(right, &verbs)),
        )
    }));
    let who: BTreeSet<_> =
        observed.rights.iter().filter_map(|right| right.who.as_deref()).collect();
    let have = if who.len() > 1 { "have what they need" } else { "has what it needs" };
    or_passed(lines, format!("{} {have}", some(who)))
}

/// What kind of role grants a right.
fn role(right: &Right, verbs: &str) -> String {
    let Right { group, resource, namespace, name, .. } = right;
    let kind = if namespace.is_some() { "Role" } else { "ClusterRole" };
    let names = name.as_ref().map(|name| format!(", resourceNames: [{name}]")).unwrap_or_default();
    format!(
        "{kind} with {{apiGroups: [{group:?}], resources: [{resource}]{names}, verbs: [{verbs}]}}"
    )
}

pub(in crate::doctor) fn own(observed: &Observed) -> Vec<Line> {
    let mut lines = Vec::new();
    for right in &observed.own_rights {
        match &right.standing {
            Ok(Standing::Granted) => {}
            Ok(Standing::Missing) => {
                lines.push(Line::not_looked_at(format!(
                    "what takes {} {}: you may not",
                    right.verb,
                    right.objects()
                )));
            }
            Err(unseen) => lines.push(Line::not_looked_at(unseen.to_string())),
        }
    }
    or_passed(distinct(lines), "yours are enough for these checks")
}
