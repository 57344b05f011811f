//! The report as a value, as a table and as JSON.

use std::fmt::{self, Write as _};
use std::time::SystemTime;

use serde::{Serialize, Serializer};

use crate::authority::{CaCertificate, CaId, Validity};

/// How many hexadecimal digits of a fingerprint are shown to people.
const SHOWN: usize = 16;

/// Everything that was found.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The Secret.
    pub secret: Held,
    /// The webhook configuration.
    pub configuration: String,
    /// Its entries that are ours.
    pub entries: Vec<Entry>,
    /// What is served; nothing if nobody was asked.
    pub served: Option<Served>,
    /// What does not fit.
    pub findings: Vec<String>,
}

/// What the Secret holds.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// The Secret.
    pub name: String,
    /// How it stands, in a word or some.
    pub state: String,
    /// Its CAs.
    pub authorities: Vec<Certificate>,
}

/// An entry of the webhook configuration.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// The CAs of its `caBundle`.
    pub authorities: Vec<Certificate>,
}

/// What is served at an address.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Served {
    /// The address.
    pub address: String,
    /// The leaf, if there was one.
    pub certificate: Option<Certificate>,
}

/// A certificate.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    /// What the Secret has it for.
    pub role: Option<Role>,
    /// Its subject.
    pub subject: String,
    /// The SHA-256 of its DER form, hexadecimal.
    pub fingerprint: String,
    /// From when on it holds.
    #[serde(serialize_with = "time")]
    pub not_before: SystemTime,
    /// Until when it holds.
    #[serde(serialize_with = "time")]
    pub not_after: SystemTime,
    /// The names that it is for, if it is a leaf.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// What comes next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn: Option<Turn>,
}

/// What a CA is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// It signs.
    Current,
    /// It is getting known.
    Next,
    /// It did sign.
    Retired,
}

/// What comes next for a certificate.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Turn {
    /// What.
    pub what: &'static str,
    /// When, if a clock decides.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "some_time")]
    pub at: Option<SystemTime>,
}

fn time<S: Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_seconds(*at))
}

#[expect(clippy::ref_option, reason = "serde's signature")]
fn some_time<S: Serializer>(at: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => time(at, serializer),
        None => serializer.serialize_none(),
    }
}

/// A CA as a sentence names it.
pub(super) fn name(ca: &CaCertificate) -> String {
    format!("{} ({})", subject(ca.der()), short(&ca.id().to_string()))
}

fn short(fingerprint: &str) -> String {
    fingerprint.chars().take(SHOWN).collect()
}

fn subject(der: &[u8]) -> String {
    x509_parser::parse_x509_certificate(der)
        .map_or_else(|_| "unreadable".to_owned(), |(_, parsed)| parsed.subject().to_string())
}

// === impl Report ===

impl Report {
    pub(super) fn new(secret: String, configuration: String) -> Self {
        Self {
            secret: Held { name: secret, state: String::new(), authorities: Vec::new() },
            configuration,
            entries: Vec::new(),
            served: None,
            findings: Vec::new(),
        }
    }

    /// Notes something that does not fit.
    pub(super) fn finds(&mut self, finding: String) {
        self.findings.push(finding);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![["", "SUBJECT", "FINGERPRINT", "NOT AFTER", "NEXT"].map(String::from)];
        let heading =
            |text: String| [text, String::new(), String::new(), String::new(), String::new()];
        let Self { secret, configuration, entries, served, findings } = self;
        rows.push(heading(if secret.authorities.is_empty() {
            format!("{}: {}", secret.name, secret.state)
        } else {
            secret.name.clone()
        }));
        rows.extend(secret.authorities.iter().map(Certificate::row));
        for entry in entries {
            rows.push(heading(format!("{configuration}, caBundle of {}", entry.name)));
            rows.extend(entry.authorities.iter().map(Certificate::row));
        }
        match served {
            None => rows.push(heading("served: not asked (--address)".to_owned())),
            Some(Served { address, certificate }) => {
                rows.push(heading(format!("served at {address}")));
                rows.extend(certificate.iter().map(Certificate::row));
            }
        }
        let is_heading = |row: &[String; 5]| row.iter().skip(1).all(String::is_empty);
        let mut widths = [0; 5];
        for row in rows.iter().filter(|row| !is_heading(row)) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for row in &rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(widths) {
                write!(line, "{cell:width$}  ")?;
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        if findings.is_empty() {
            return writeln!(f, "everything fits");
        }
        findings.iter().try_for_each(|finding| writeln!(f, "! {finding}"))
    }
}

// === impl Certificate ===

impl Certificate {
    pub(super) fn of_ca(ca: &CaCertificate, role: Option<Role>, turn: Option<Turn>) -> Self {
        let Validity { not_before, not_after } = ca.validity();
        Self {
            role,
            subject: subject(ca.der()),
            fingerprint: ca.id().to_string(),
            not_before,
            not_after,
            names: Vec::new(),
            turn,
        }
    }

    pub(super) fn of_leaf(der: &[u8], validity: Validity, names: Vec<String>) -> Self {
        let Validity { not_before, not_after } = validity;
        Self {
            role: None,
            subject: subject(der),
            fingerprint: CaId::of(der).to_string(),
            not_before,
            not_after,
            names,
            turn: Some(Turn { what: "it is renewed", at: Some(validity.renewal()) }),
        }
    }

    fn row(&self) -> [String; 5] {
        let role = match self.role {
            Some(Role::Current) => "  current",
            Some(Role::Next) => "  next",
            Some(Role::Retired) => "  retired",
            None => "",
        };
        let next = self.turn.map(|Turn { what, at }| match at {
            Some(at) => format!("{what}: {}", humantime::format_rfc3339_seconds(at)),
            None => what.to_owned(),
        });
        [
            role.to_owned(),
            self.subject.clone(),
            short(&self.fingerprint),
            humantime::format_rfc3339_seconds(self.not_after).to_string(),
            next.unwrap_or_default(),
        ]
    }
}
