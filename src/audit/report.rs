//! The report of one look: a table for people, or JSON for programs.
//!
//! Names come from objects and roles from annotations, so what a terminal would obey is escaped.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use serde_json::json;

use super::Scope;
use super::finding::{Cause, Finding, Owner};
use crate::drift::Remedy;
use crate::sentence::escaped;

const HEADINGS: [&str; 7] =
    ["NAMESPACE", "POD", "OWNER", "ACCOUNT", "EXPECTED", "REASON", "WHAT TO DO"];

/// The column of [`HEADINGS`] that has the reason.
const REASON: usize = 5;

const HEADING: Style = Style::new().bold();
const RECREATE: Style = AnsiColor::Yellow.on_default();
const REPAIR: Style = AnsiColor::Red.on_default();

/// What one look came to.
#[derive(Clone, Debug)]
pub struct Report {
    scope: Scope,
    /// How many Pods were looked at.
    pub(super) looked: u64,
    /// How many Pods could not be read.
    pub(super) unread: u64,
    pub(super) findings: Vec<Finding>,
    notes: Vec<String>,
}

/// How a look ended, as the exit code says it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ended {
    /// No Pod lacks an identity.
    Clean,
    /// Some do.
    Found,
    /// Some Pods could not be read.
    Unread,
}

// === impl Report ===

impl Report {
    pub(super) fn new(scope: &Scope, notes: Vec<String>) -> Self {
        Self { scope: scope.clone(), looked: 0, unread: 0, findings: Vec::new(), notes }
    }

    /// Notes something that a reader of the report has to know.
    pub(super) fn notes(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Everything was looked at.
    pub(super) fn complete(&mut self) {
        let key = |finding: &Finding| (finding.namespace.clone(), finding.pod.clone());
        self.findings.sort_by_cached_key(key);
        // A list that expired on the way may have shown a Pod twice.
        self.findings.dedup_by_key(|finding| key(finding));
    }

    /// What was found.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// How it ended.
    pub fn ended(&self) -> Ended {
        match (self.unread, self.findings.as_slice()) {
            (1.., _) => Ended::Unread,
            (0, []) => Ended::Clean,
            (0, _) => Ended::Found,
        }
    }

    /// The report for people, with colours.
    pub fn table(&self) -> String {
        let mut text = String::new();
        if !self.findings.is_empty() {
            let rows: Vec<_> = self.findings.iter().map(row).collect();
            let mut widths = HEADINGS.map(str::len);
            for row in &rows {
                for (width, cell) in widths.iter_mut().zip(row) {
                    *width = (*width).max(cell.chars().count());
                }
            }
            write_row(&mut text, &HEADINGS.map(str::to_owned), widths, [HEADING; 7]);
            for (finding, row) in self.findings.iter().zip(&rows) {
                let mut styles = [Style::new(); 7];
                if let Some(style) = styles.get_mut(REASON) {
                    *style = style_of(finding.cause);
                }
                write_row(&mut text, row, widths, styles);
            }
            text.push('\n');
        }
        text.push_str(&self.summary());
        text.push('\n');
        for note in &self.notes {
            // Writing to a String does not fail.
            let _infallible = writeln!(text, "note: {}", escaped(note));
        }
        text
    }

    /// The line under the table.
    fn summary(&self) -> String {
        let Self { scope, looked, unread, findings, notes: _ } = self;
        let mut reasons = BTreeMap::<_, u64>::new();
        for finding in findings {
            *reasons.entry(finding.cause.code()).or_default() += 1;
        }
        let pods = |n: u64| if n == 1 { "Pod" } else { "Pods" };
        let mut line = if findings.is_empty() {
            format!("{looked} {} in {scope}: none lacks the identity of its account", pods(*looked))
        } else {
            let reasons: Vec<_> =
                reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
            format!(
                "{} of {looked} {} in {scope} without the identity of the account: {}",
                findings.len(),
                pods(*looked),
                reasons.join(", ")
            )
        };
        if *unread > 0 {
            let _infallible = write!(line, "; {unread} {} could not be read", pods(*unread));
        }
        line
    }

    /// The report for programs.
    pub fn json(&self) -> String {
        let Self { scope, looked, unread, findings, notes } = self;
        let scope = match scope {
            Scope::All => None,
            Scope::Namespace(namespace) => Some(namespace),
        };
        let findings: Vec<_> = findings.iter().map(Shown::of).collect();
        let report = json!({
            "namespace": scope, "looked": looked, "unread": unread, "findings": findings, "notes": notes,
        });
        format!("{report:#}\n")
    }
}

fn row(finding: &Finding) -> [String; 7] {
    let Finding { namespace, pod, owner, account, expected, cause, advice, containers: _ } =
        finding;
    let owner = owner.as_ref().map_or_else(|| "-".to_owned(), named);
    let expected = expected.text();
    [namespace, pod, &*owner, account, &*expected, cause.code(), &**advice]
        .map(|cell| escaped(cell).into_owned())
}

fn named(Owner { kind, name }: &Owner) -> String {
    format!("{kind}/{name}")
}

fn write_row(text: &mut String, row: &[String; 7], widths: [usize; 7], styles: [Style; 7]) {
    let last = row.len() - 1;
    for (at, ((cell, width), style)) in row.iter().zip(widths).zip(styles).enumerate() {
        // Writing to a String does not fail.
        let _infallible = if at == last {
            writeln!(text, "{style}{cell}{style:#}")
        } else {
            let gap = " ".repeat(width - cell.chars().count() + 2);
            write!(text, "{style}{cell}{style:#}{gap}")
        };
    }
}

fn style_of(cause: Cause) -> Style {
    match cause.remedy() {
        Remedy::Recreate => RECREATE,
        Remedy::Repair | Remedy::None => REPAIR,
    }
}

/// A finding as JSON has it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    namespace: &'a str,
    pod: &'a str,
    owner: Option<ShownOwner<'a>>,
    service_account: &'a str,
    expected: ShownIdentity<'a>,
    reason: &'static str,
    advice: &'a str,
    containers: Vec<ShownContainer<'a>>,
}

#[derive(Serialize)]
struct ShownOwner<'a> {
    kind: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownIdentity<'a> {
    method: &'static str,
    role_arn: Option<&'a str>,
    source: &'static str,
}

#[derive(Serialize)]
struct ShownContainer<'a> {
    name: &'a str,
    what: &'a [Box<str>],
}

// === impl Shown ===

impl<'a> Shown<'a> {
    fn of(finding: &'a Finding) -> Self {
        let Finding { namespace, pod, owner, account, expected, cause, advice, containers } =
            finding;
        let containers = containers.iter();
        Self {
            namespace,
            pod,
            owner: owner.as_ref().map(|Owner { kind, name }| ShownOwner { kind, name }),
            service_account: account,
            expected: ShownIdentity {
                method: expected.method,
                role_arn: expected.role.as_deref(),
                source: expected.source,
            },
            reason: cause.code(),
            advice,
            containers: containers
                .map(|container| ShownContainer { name: &container.name, what: &container.what })
                .collect(),
        }
    }
}
