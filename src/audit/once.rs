//! One look at every Pod of a scope.
//!
//! Accounts first, then Pods: an account that changes meanwhile is judged as it was. What is held
//! is a page of Pods, the accounts that say something, and what was found.

use kube::Client;

use super::calls::Calls;
use super::expectation::Expectation;
use super::finding::{Cause, Finding, judge};
use super::known::Known;
use super::lists::List;
use super::report::Report;
use super::sight::Sight;
use super::{JUDGED, Scope};
use crate::drift::Remedy;
use crate::installation::{Look, Unseen, Why};
use crate::plan::Settings;

/// Looks at every Pod of `scope`; `progress` is told how many were looked at and how many are left,
/// as far as the API server says.
///
/// # Errors
///
/// What could not be looked at, without which nothing can be said.
pub async fn once(
    client: &Client,
    scope: &Scope,
    expectation: Expectation,
    mut progress: impl FnMut(u64, Option<u64>),
) -> Look<Report> {
    let Expectation { settings, documents, entries, notes, .. } = expectation;
    let prefix = settings.defaults.annotation_prefix.clone();
    let known = Known::list(client, scope, &prefix, documents).await?;
    let mut report = Report::new(scope, notes);
    let calls = match Calls::look(client, scope, entries).await {
        Ok(calls) => calls,
        Err(unseen @ Unseen { why: Why::Forbidden, .. }) => {
            report.notes(format!("{unseen}: whether the webhook is called for a Pod is not known"));
            Calls::default()
        }
        Err(unseen) => return Err(unseen),
    };
    let look = Looker { known, calls, settings };
    List::new(scope.what("pods"), scope.url("pods"))
        .fields(JUDGED)
        .each(client, |page| {
            for object in page.objects() {
                look.at(object, &mut report);
            }
            progress(report.looked, page.remaining());
        })
        .await?;
    report.complete();
    Ok(report)
}

struct Looker {
    known: Known,
    calls: Calls,
    settings: Settings,
}

// === impl Looker ===

impl Looker {
    fn at(&self, json: &str, report: &mut Report) {
        match Sight::read(json) {
            Ok(sight) => {
                report.looked += 1;
                report.findings.extend(self.finding(&sight));
            }
            Err(_) => report.unread += 1,
        }
    }

    fn finding(&self, sight: &Sight<'_>) -> Option<Finding> {
        let account = sight.ask().account().ok()?;
        let sources = self.known.sources(sight.namespace(), account);
        let judgement = judge(sight, &sources, &self.settings)?;
        let cause = judgement.cause()?;
        let missed = self.calls.miss(sight.namespace(), sight.ask().pod()?);
        let cause =
            missed.filter(|_| cause.remedy() == Remedy::Recreate).map_or(cause, Cause::NotCalled);
        judgement.finding(cause, account)
    }
}
