//! `certificate`: what the Secret holds, what the bundles hold, what is served, and whether it fits.
//!
//! Reads and never writes. Whether API servers trust what is served is tried as they do: with the
//! certificates of the entry's own `caBundle`, for the name by which the entry calls. Keys of the
//! Secret are read, since they are part of whether it makes sense, and never shown.

mod report;
mod served;

use std::time::SystemTime;

use kube::Client;

pub use report::{Certificate, Entry, Held, Report, Role, Served, Turn};
pub use served::{Chain, handshake, verify};

use crate::authority::{CaCertificate, Ledger, Secret};
use crate::keeper::{KeeperError, SecretRef, Target};

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// The Secret.
    pub secret: SecretRef,
    /// The entries.
    pub target: Target,
    /// Where to ask what is served, `host:port`.
    pub address: Option<Box<str>>,
}

/// Looks at everything.
///
/// # Errors
///
/// If the API server does not tell.
pub async fn look(client: &Client, question: &Question) -> Result<Report, KeeperError> {
    let Question { secret, target, address } = question;
    let entries = target.read(client).await?;
    let found = secret.read(client).await?;
    let served = match address {
        Some(address) => Some(served::ask(address).await),
        None => None,
    };
    let mut report = Report::new(secret.object().to_string(), target.object().to_string());
    report.holds(&found);
    let ledger = match &found {
        Secret::Held { ledger, .. } => Some(&**ledger),
        _ => None,
    };
    let Some(entries) = entries else {
        report.finds(format!("there is no {}: nobody calls", target.object()));
        report.is_served(address.as_deref(), served, None);
        return Ok(report);
    };
    if entries.entries.is_empty() {
        report.finds(format!("no entry of {} is ours", target.object()));
    }
    let now = SystemTime::now();
    let mut tried = Vec::new();
    for entry in &entries.entries {
        report.compare(entry, ledger);
        if let Some(Ok(chain)) = &served {
            let outcome = served::verify(chain, &entry.bundle, &entry.host, now);
            tried.push((entry.name.as_str(), outcome));
        }
    }
    report.is_served(address.as_deref(), served, Some(&tried));
    Ok(report)
}

// === impl Report ===

impl Report {
    fn holds(&mut self, secret: &Secret) {
        self.secret.state = match secret {
            Secret::Unknown => "unknown".to_owned(),
            Secret::Missing => "there is none".to_owned(),
            Secret::Vacant { .. } => "there is no CA in it".to_owned(),
            Secret::Corrupt { error, .. } => {
                self.finds(format!("{} makes no sense: {error}", self.secret.name));
                format!("makes no sense: {error}")
            }
            Secret::Held { ledger, .. } => {
                self.secret.authorities = authorities(ledger);
                "holds".to_owned()
            }
        };
    }

    fn compare(&mut self, entry: &crate::keeper::Entry, ledger: Option<&Ledger>) {
        let bundle = &entry.bundle;
        let name = &entry.name;
        if bundle.certificates().is_empty() {
            self.finds(format!("the caBundle of {name} holds no CA"));
        }
        if let Some(ledger) = ledger {
            for ca in ledger.certificates().filter(|ca| !bundle.trusts(ca.id())) {
                self.finds(format!("the caBundle of {name} lacks {}", report::name(ca)));
            }
            for ca in bundle.certificates().iter().filter(|ca| !ledger.contains(ca.id())) {
                let ca = report::name(ca);
                self.finds(format!("the caBundle of {name} holds {ca}, which the Secret does not"));
            }
        }
        let of = |ca: &CaCertificate| {
            let role = ledger.and_then(|ledger| role(ledger, ca));
            Certificate::of_ca(ca, role, None)
        };
        let authorities = bundle.certificates().iter().map(of).collect();
        self.entries.push(Entry { name: name.clone(), authorities });
    }

    fn is_served(
        &mut self,
        address: Option<&str>,
        served: Option<Result<served::Chain, String>>,
        tried: Option<&[(&str, Result<(), String>)]>,
    ) {
        let Some(address) = address else { return };
        let certificate = match served {
            Some(Ok(chain)) => chain.certificate(),
            Some(Err(why)) => {
                self.finds(format!("{address} serves nothing: {why}"));
                None
            }
            None => None,
        };
        for (entry, outcome) in tried.unwrap_or_default() {
            if let Err(why) = outcome {
                self.finds(format!(
                    "API servers do not trust what {address} serves, by the caBundle of {entry}: \
                     {why}"
                ));
            }
        }
        self.served = Some(Served { address: address.to_owned(), certificate });
    }
}

fn authorities(ledger: &Ledger) -> Vec<Certificate> {
    let current = ledger.current().certificate();
    let turn = Turn { what: "the next CA is made", at: Some(current.validity().renewal()) };
    let mut all = vec![Certificate::of_ca(current, Some(Role::Current), Some(turn))];
    all.extend(ledger.next().map(|next| {
        let turn = Turn { what: "it signs once it is known", at: None };
        Certificate::of_ca(next.certificate(), Some(Role::Next), Some(turn))
    }));
    all.extend(ledger.retired().iter().map(|retired| {
        let turn = Turn { what: "it is dropped", at: Some(retired.until) };
        Certificate::of_ca(&retired.certificate, Some(Role::Retired), Some(turn))
    }));
    all
}

fn role(ledger: &Ledger, ca: &CaCertificate) -> Option<Role> {
    if ledger.current().id() == ca.id() {
        return Some(Role::Current);
    }
    if ledger.next().is_some_and(|next| next.id() == ca.id()) {
        return Some(Role::Next);
    }
    ledger.contains(ca.id()).then_some(Role::Retired)
}
