//! What the API server gets back.
//!
//! `allowed: false` rejects the Pod whatever the failurePolicy, so it is said only where a person
//! chose it: on the strict endpoint, by `--invalid-role-arn=deny` or by `--role-not-allowed=deny`.
//! Warnings are bounded, since a request's warnings share 4,096 characters among all webhooks and one
//! with a control character vanishes (`apiserver/pkg/warning` of Kubernetes).

use std::borrow::Cow;
use std::fmt::Write as _;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::ser::Error as _;

use crate::patch::Patch;
use crate::plan::{Decision, Outcome, Reason, Warning};
use crate::sentence::escaped;

use super::Review;

/// The most warnings that a review is answered with; a line that counts the others comes besides.
pub const MAX_WARNINGS: usize = 5;

/// The most characters of a warning: beyond 120, API servers advise, clients break the line.
pub const MAX_WARNING_LENGTH: usize = 120;

/// The most characters of a sentence in a refusal, which has room for names of any legal length.
const MAX_SENTENCE_LENGTH: usize = 500;

/// What an edit takes in a patch as a rule, in bytes: two variables with their operations.
const EDIT: usize = 512;

/// What a reply takes besides its patch as a rule, in bytes.
const FRAME: usize = 512;

/// The two endpoints.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Endpoint {
    /// `/mutate`: a Pod is never refused for what is missing.
    Lenient,
    /// `/mutate/strict`: a Pod that lacks its identity is refused.
    Strict,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_annotations: Option<Audit>,
}

/// The part of Kubernetes' `Status` that an API server passes on.
#[derive(Serialize)]
struct Status {
    #[serde(rename = "status")]
    result: &'static str,
    message: String,
    reason: &'static str,
    code: u16,
}

#[derive(Serialize)]
struct Audit {
    method: &'static str,
    reason: &'static str,
    source: &'static str,
}

/// The reply to `review`, as the bytes of an AdmissionReview.
///
/// # Errors
///
/// None that is known: the reply is text and numbers. The type is serde's.
pub fn answer(
    review: &Review<'_>,
    decision: &Decision<'_>,
    endpoint: Endpoint,
) -> serde_json::Result<Vec<u8>> {
    let status = status(decision, endpoint);
    let allowed = status.is_none();
    let patch = if allowed && !decision.edits.is_empty() {
        written(&Patch::of_pod(&decision.edits), decision.edits.len() * EDIT)?
    } else {
        Vec::new()
    };
    let response = Response {
        uid: review.uid(),
        allowed,
        status,
        // A refusal's message says it already.
        warnings: if allowed { warnings(decision) } else { Vec::new() },
        audit_annotations: audit(decision),
    };
    let envelope =
        Envelope { api_version: review.version().name(), kind: "AdmissionReview", response };
    let reply = written(&envelope, FRAME + patch.len().div_ceil(3) * 4)?;
    if patch.is_empty() { Ok(reply) } else { with_patch(reply, &patch) }
}

/// The `reply` with a patch at the end of its response. That is base64, in which nothing is ever
/// escaped: serde would look at each of its thousands of letters.
fn with_patch(reply: Vec<u8>, patch: &[u8]) -> serde_json::Result<Vec<u8>> {
    const ENDS: &str = "}}";
    let mut reply = String::from_utf8(reply).map_err(serde_json::Error::custom)?;
    reply.truncate(reply.len().saturating_sub(ENDS.len()));
    let patch = Base64Display::new(patch, &STANDARD);
    write!(reply, r#","patchType":"JSONPatch","patch":"{patch}"{ENDS}"#)
        .map_err(serde_json::Error::custom)?;
    Ok(reply.into_bytes())
}

/// The JSON of `value`, for which there should be room in `room` bytes.
fn written(value: &impl Serialize, room: usize) -> serde_json::Result<Vec<u8>> {
    let mut json = Vec::with_capacity(room);
    serde_json::to_writer(&mut json, value)?;
    Ok(json)
}

/// What the reply says if it refuses the Pod.
pub fn refusal(decision: &Decision<'_>, endpoint: Endpoint) -> Option<String> {
    status(decision, endpoint).map(|status| status.message)
}

fn status(decision: &Decision<'_>, endpoint: Endpoint) -> Option<Status> {
    let (reason, code) = match (decision.outcome, endpoint) {
        (Outcome::Denied, _) | (Outcome::Incomplete, Endpoint::Strict) => ("Forbidden", 403),
        (Outcome::Failed, Endpoint::Strict) if decision.reason == Reason::UnreadablePod => {
            ("BadRequest", 400)
        }
        (Outcome::Failed, Endpoint::Strict) => ("ServiceUnavailable", 503),
        _ => return None,
    };
    let blocking = decision.warnings.blocking();
    let lines = lines(blocking.iter(), blocking.len(), sentence);
    let message = format!("pod-identity-webhook: {}", lines.join("; "));
    Some(Status { result: "Failure", message, reason, code })
}

/// None on a pass that finds its own work done: an annotation that is written twice with different
/// values is an error to the API server.
fn audit(decision: &Decision<'_>) -> Option<Audit> {
    if decision.outcome == Outcome::Unchanged {
        return None;
    }
    let identity = decision.identity.as_ref()?;
    Some(Audit {
        method: identity.method.name(),
        reason: decision.reason.code(),
        source: identity.source.name(),
    })
}

fn warnings<'a>(decision: &'a Decision<'_>) -> Vec<Cow<'a, str>> {
    lines(decision.warnings.iter(), decision.warnings.count(), line)
}

/// The first few of so many `warnings`, each as `write` writes it, and how many there are besides.
fn lines<'a>(
    warnings: impl Iterator<Item = &'a Warning>,
    count: usize,
    write: for<'t> fn(&'t str) -> Cow<'t, str>,
) -> Vec<Cow<'a, str>> {
    let mut lines: Vec<_> =
        warnings.take(MAX_WARNINGS).map(|warning| write(&warning.text)).collect();
    let more = count.saturating_sub(MAX_WARNINGS);
    if more > 0 {
        lines.push(Cow::Owned(format!("and {more} more")));
    }
    lines
}

fn line(text: &str) -> Cow<'_, str> {
    bounded(text, MAX_WARNING_LENGTH)
}

fn sentence(text: &str) -> Cow<'_, str> {
    bounded(text, MAX_SENTENCE_LENGTH)
}

fn bounded(text: &str, most: usize) -> Cow<'_, str> {
    let text = escaped(text);
    match text.char_indices().nth(most) {
        None => text,
        Some(_) => {
            let kept: String = text.chars().take(most.saturating_sub(1)).collect();
            Cow::Owned(format!("{kept}…"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_short_and_has_no_control_characters() {
        assert_eq!(line("a\nb\u{1b}[0m"), "a\\nb\\u{1b}[0m");
        assert_eq!(line(&"é".repeat(120)), "é".repeat(120));
        assert_eq!(line(&"é".repeat(121)), format!("{}…", "é".repeat(119)));
    }
}
