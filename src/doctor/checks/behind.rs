//! Who stands behind the entries, as far as it can be seen: the replicas, and those who were asked.
//!
//! What keeps somebody from being seen is a line in the place of what a check would have said of
//! them: whoever is not seen is not passed, nor taken for somebody who is not there.

use super::{distinct, entries, installation};
use crate::doctor::line::Line;
use crate::doctor::observed::{Answer, Observed};
use crate::installation::{Endpoint, Entry, Installation, Place, Replica, Unseen};

/// The replicas of the webhook.
pub(super) struct Replicas<'a> {
    /// Those that are seen.
    pub(super) seen: Vec<&'a Replica>,
    /// What keeps others from being seen.
    pub(super) unseen: Vec<String>,
}

/// Why nobody was asked for an entry.
pub(super) enum Unasked<'a> {
    /// Nobody can tell who is there.
    Unseen(&'a Unseen),
    /// Nobody is there.
    NobodyThere,
}

// === impl Replicas ===

impl<'a> Replicas<'a> {
    /// The replicas behind all entries, or the one line of a check without an entry.
    pub(super) fn of(observed: &'a Observed) -> Result<Self, Vec<Line>> {
        let (installation, entries) = (installation(observed)?, entries(observed)?);
        let unseen = |entry: &Entry| match installation.backend(entry) {
            None => Some(format!("{} is called by URL, which names no Pod", entry.name)),
            Some(backend) => match (&backend.replicas, &backend.service) {
                (Err(unseen), _) => Some(unseen.to_string()),
                (Ok(replicas), Ok(Some(service))) if replicas.is_empty() => {
                    let external = service.external_name.as_ref()?;
                    Some(format!("{} is called at {external}, which names no Pod", entry.name))
                }
                (Ok(_), _) => None,
            },
        };
        Ok(Self {
            seen: installation.replicas().map(|(_, replica)| replica).collect(),
            unseen: distinct(entries.iter().filter_map(unseen).collect()),
        })
    }

    /// Those that are seen, and a line for each thing that keeps others from being seen; or all
    /// lines of a check if none is seen.
    pub(super) fn or_lines(self) -> Result<(Vec<&'a Replica>, Vec<Line>), Vec<Line>> {
        let Self { seen, unseen } = self;
        let unseen: Vec<_> = unseen.into_iter().map(Line::not_looked_at).collect();
        match (seen.is_empty(), unseen.is_empty()) {
            (true, true) => Err(vec![Line::nothing("no Pod of the webhook is there")]),
            (true, false) => Err(unseen),
            (false, _) => Ok((seen, unseen)),
        }
    }
}

/// Why nobody was asked for `entry`, if so.
pub(super) fn unasked<'a>(installation: &'a Installation, entry: &Entry) -> Option<Unasked<'a>> {
    let Place::Service { port, .. } = &entry.place else { return None };
    let backend = installation.backend(entry)?;
    let service = match &backend.service {
        Ok(Some(service)) => service,
        Ok(None) => return Some(Unasked::NobodyThere),
        Err(unseen) => return Some(Unasked::Unseen(unseen)),
    };
    if service.external_name.is_some() {
        return None;
    }
    if let Err(unseen) = &backend.endpoints {
        return Some(Unasked::Unseen(unseen));
    }
    let port = service.port(*port);
    let takes = |endpoint: &Endpoint| port.is_some_and(|port| endpoint.port(port).is_some());
    (!backend.ready().any(takes)).then_some(Unasked::NobodyThere)
}

/// A line for everything that is called and does not show a certificate.
pub(super) fn unanswered(observed: &Observed) -> Vec<Line> {
    let (Ok(installation), Ok(entries)) = (installation(observed), entries(observed)) else {
        return Vec::new();
    };
    let silent = observed.served.iter().filter_map(|served| match &served.answer {
        Answer::Shook { .. } => None,
        Answer::Refused(why) | Answer::NoHandshake(why) | Answer::OutOfReach(why) => {
            Some(format!("{}: {why}", served.target))
        }
    });
    let nobody = entries.iter().filter_map(|entry| match unasked(installation, entry)? {
        Unasked::Unseen(unseen) => Some(unseen.to_string()),
        Unasked::NobodyThere => Some(format!("nobody stands behind {}", entry.place)),
    });
    distinct(silent.chain(nobody).map(Line::not_looked_at).collect())
}
