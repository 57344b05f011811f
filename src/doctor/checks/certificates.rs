//! What is served, held against what API servers trust: chain, name and time.
//!
//! Trust is judged at a moment at which the certificate holds, so that one that has ended is told
//! once, as ended. webpki does not look at the time of the CAs of a bundle, and Go does: those that
//! do not hold now do not count.

use std::time::{Duration, SystemTime};

use super::behind::unanswered;
use super::{entries, or_passed};
use crate::authority::{Bundle, CaCertificate};
use crate::certificate::{self, Certificate, Chain};
use crate::doctor::line::Line;
use crate::doctor::observed::{Answer, Observed, Served};
use crate::installation::Entry;

/// The part of a certificate's life that is left when somebody should know: a tenth. Whoever renews
/// certificates has done so by then.
const LATE: u32 = 10;

/// What to do about a certificate that ends.
const RENEW: &str = "renew it: with --in-cluster=true the webhook does so by itself, else replace the \
                     files of --tls-cert and --tls-key";

/// A certificate that was served, and the entries that call there.
fn each<'a>(
    observed: &'a Observed,
    lines: &mut Vec<Line>,
    mut judge: impl FnMut(&'a Served, &'a Chain, Vec<&'a Entry>, &mut Vec<Line>),
) {
    let entries = observed.installation.as_ref().map(|i| i.entries.as_slice()).unwrap_or_default();
    for served in &observed.served {
        let called = served.entries.iter().filter_map(|index| entries.get(*index)).collect();
        if let Answer::Shook { chain, .. } = &served.answer {
            judge(served, chain, called, lines);
        }
    }
}

pub(in crate::doctor) fn trusted(observed: &Observed) -> Vec<Line> {
    if let Err(lines) = entries(observed) {
        return lines;
    }
    let mut lines = Vec::new();
    let mut seen = 0_usize;
    each(observed, &mut lines, |served, chain, entries, lines| {
        seen += 1;
        let Some(leaf) = chain.certificate() else {
            lines.push(Line::finding(
                format!("{} serves a certificate that cannot be read", served.target),
                "serve one that openssl x509 -text can read",
            ));
            return;
        };
        for entry in entries {
            lines.extend(trusts(observed.now, served, chain, &leaf, entry));
        }
    });
    lines.extend(unanswered(observed));
    if seen == 0 && lines.is_empty() {
        return vec![Line::nothing("nobody is asked")];
    }
    or_passed(lines, "the caBundle vouches for what is served")
}

/// What keeps API servers from trusting `chain`, by the entry's `caBundle`.
fn trusts(
    now: SystemTime,
    served: &Served,
    chain: &Chain,
    leaf: &Certificate,
    entry: &Entry,
) -> Option<Line> {
    let Entry { name, ca_bundle, .. } = entry;
    let (target, host) = (&served.target, entry.place.host());
    let bundle = Bundle::read(ca_bundle);
    if bundle.certificates().is_empty() {
        let what = if ca_bundle.is_empty() { "is empty" } else { "holds no CA" };
        return Some(Line::finding(
            format!("the caBundle of {name} {what}: API servers do not trust {target}"),
            "put the CA that signed its certificate there, or have the webhook do it: \
             --in-cluster=true",
        ));
    }
    let at = now.clamp(leaf.not_before, leaf.not_after);
    let why = certificate::verify(chain, &bundle, &host, at).err()?;
    let names: Vec<_> = leaf.names.iter().map(|name| plain(name)).collect();
    if !names.contains(&host.as_str()) && !names.iter().any(|name| name.starts_with("*.")) {
        return Some(Line::finding(
            format!(
                "{target} serves a certificate for {}, and {name} calls {host}",
                names.join(", ")
            ),
            format!("issue it for {host}"),
        ));
    }
    Some(Line::finding(
        format!("the caBundle of {name} does not vouch for what {target} serves: {why}"),
        "put the CA that signed it into the caBundle: pod-identity-webhook certificate --address \
         shows both; a webhook with --in-cluster=true does it by itself",
    ))
}

/// `localhost` of `DNSName(localhost)`.
fn plain(name: &str) -> &str {
    name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name)
}

pub(in crate::doctor) fn expiry(observed: &Observed) -> Vec<Line> {
    if let Err(lines) = entries(observed) {
        return lines;
    }
    let now = observed.now;
    let mut lines = Vec::new();
    let mut soonest = None::<SystemTime>;
    each(observed, &mut lines, |served, chain, entries, lines| {
        let Some(leaf) = chain.certificate() else {
            lines.push(Line::not_looked_at(format!(
                "{} serves a certificate that cannot be read",
                served.target
            )));
            return;
        };
        soonest = Some(soonest.map_or(leaf.not_after, |soonest| soonest.min(leaf.not_after)));
        lines.extend(holds(now, &served.target, &leaf));
        for entry in entries {
            let bundle = Bundle::read(&entry.ca_bundle);
            lines.extend(vouches(now, chain, &leaf, entry, &bundle));
        }
    });
    lines.extend(unanswered(observed));
    match (soonest, lines.is_empty()) {
        (Some(soonest), true) => {
            vec![Line::passed(format!("until {}", humantime::format_rfc3339_seconds(soonest)))]
        }
        (None, true) => vec![Line::nothing("nobody is asked")],
        (_, false) => lines,
    }
}

/// Whether a leaf holds now and for some time.
fn holds(now: SystemTime, target: &str, leaf: &Certificate) -> Option<Line> {
    let Certificate { not_before, not_after, .. } = leaf;
    let until = humantime::format_rfc3339_seconds(*not_after);
    if now > *not_after {
        return Some(Line::finding(format!("the certificate of {target} ended at {until}"), RENEW));
    }
    if now < *not_before {
        let from = humantime::format_rfc3339_seconds(*not_before);
        return Some(Line::finding(
            format!("the certificate of {target} holds only from {from} on"),
            "compare the clocks, or issue it anew",
        ));
    }
    let left = not_after.duration_since(now).unwrap_or_default();
    let life = not_after.duration_since(*not_before).unwrap_or(Duration::MAX);
    (left < life / LATE).then(|| {
        Line::note(
            format!("the certificate of {target} ends at {until}, and is not renewed"),
            RENEW,
        )
    })
}

/// Whether a CA that holds now vouches for the chain, if any does.
fn vouches(
    now: SystemTime,
    chain: &Chain,
    leaf: &Certificate,
    entry: &Entry,
    bundle: &Bundle,
) -> Option<Line> {
    let holds = |ca: &&CaCertificate| {
        let validity = ca.validity();
        validity.not_before <= now && now <= validity.not_after
    };
    let at = now.clamp(leaf.not_before, leaf.not_after);
    let host = entry.place.host();
    let takes = |bundle: &Bundle| certificate::verify(chain, bundle, &host, at).is_ok();
    let standing = Bundle::of(bundle.certificates().iter().filter(holds));
    (takes(bundle) && !takes(&standing)).then(|| {
        Line::finding(
            format!("the CA in the caBundle of {} has ended", entry.name),
            "make a new CA, and put it there before it signs",
        )
    })
}
