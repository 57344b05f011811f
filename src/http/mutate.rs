//! `/mutate` and `/mutate/strict`: one call, from its bytes to its bytes.

use std::time::Duration;

use axum::extract::Request;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use tracing::Instrument as _;

use super::record::{Call, record};
use super::{Inner, refusal};
use crate::accounts::Facts;
use crate::admission::{Endpoint, Review, answer};
use crate::plan::{Ask, Decision, Spread, decide};
use crate::pod::{Container, MAX_OBJECTS, Unreadable};
use crate::server::{BodyError, Budget, Held};
use crate::telemetry::Route;
use crate::telemetry::traces::CallSpan;

/// The largest body, in bytes. A legal Pod can make a review of over 8 MiB: etcd takes 1.5 MiB,
/// but the review of an update holds the object twice, and a CREATE may be larger than what is
/// stored.
pub const MAX_BODY: usize = 20 * 1024 * 1024;

/// How long a body may take to arrive, which is as long as the API server waits for an answer by
/// default (`timeoutSeconds`).
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// The API server's patience, where it does not say: the default of `timeoutSeconds`.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest patience that an API server has: the largest `timeoutSeconds`.
const MAX_TIMEOUT: Duration = Duration::from_secs(30);

/// What an object of a Pod costs at most while it is looked at, in bytes.
const OBJECT_BYTES: usize = size_of::<Container<'static>>();

/// The objects of a body for which nothing is paid; a usual review has some hundred.
const FREE_OBJECTS: usize = 1024;

/// Answers one call, within a span of its own.
pub(super) async fn mutate(inner: &Inner, endpoint: Endpoint, request: Request) -> Response {
    let route = match endpoint {
        Endpoint::Lenient => Route::Mutate,
        Endpoint::Strict => Route::MutateStrict,
    };
    let span = CallSpan::begin(route.as_str(), request.headers());
    let response = answered(inner, endpoint, request, &span).instrument(span.span().clone()).await;
    span.answered(response.status().as_u16());
    response
}

async fn answered(
    inner: &Inner,
    endpoint: Endpoint,
    request: Request,
    span: &CallSpan,
) -> Response {
    let (head, body) = request.into_parts();
    if !is_json(&head.headers) {
        return refusal(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body must be JSON: send it with Content-Type: application/json",
        );
    }
    let declared = declared_length(&head.headers);
    let read = inner.budget.read_body(body, declared, MAX_BODY, BODY_WITHIN).await;
    let held = match read.and_then(|held| paid_to_be_read(&inner.budget, held)) {
        Ok(held) => held,
        Err(error) => {
            let code = match error {
                BodyError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
                BodyError::TooSlow { .. } => StatusCode::REQUEST_TIMEOUT,
                BodyError::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::BAD_REQUEST,
            };
            // The rest of the body is not read, so nothing else can come on this connection.
            let mut response = refusal(code, &error.to_string());
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            return response;
        }
    };
    let (review, ask) = match Review::read(&held) {
        Ok(read) => read,
        Err(error) => {
            tracing::warn!(%error, "not a review");
            return refusal(StatusCode::BAD_REQUEST, &error.to_string());
        }
    };
    // Half of the API server's patience: the other half is for the way there and back.
    let limit = timeout(head.uri.query()).unwrap_or(DEFAULT_TIMEOUT).min(MAX_TIMEOUT) / 2;
    match decided(inner, endpoint, &review, ask, limit, span).await {
        Ok(reply) => ([(CONTENT_TYPE, "application/json")], reply).into_response(),
        Err(error) => {
            tracing::error!(%error, uid = review.uid(), "the reply could not be written");
            refusal(StatusCode::INTERNAL_SERVER_ERROR, "the reply could not be written")
        }
    }
}

/// Pays for what the objects in a body cost while they are looked at, beyond what every call may
/// cost: bodies of nothing but braces are much larger then.
fn paid_to_be_read(budget: &Budget, mut held: Held) -> Result<Held, BodyError> {
    let objects = memchr::memchr_iter(b'{', &held).count();
    let beyond = objects.min(2 * MAX_OBJECTS).saturating_sub(FREE_OBJECTS);
    if beyond > 0 {
        budget.pay_more(&mut held, beyond * OBJECT_BYTES)?;
    }
    Ok(held)
}

async fn decided(
    inner: &Inner,
    endpoint: Endpoint,
    review: &Review<'_>,
    ask: Result<Ask<'_>, Unreadable>,
    limit: Duration,
    span: &CallSpan,
) -> serde_json::Result<Vec<u8>> {
    let ask = match ask {
        Ok(ask) => ask,
        Err(error) => {
            let decision = Decision::unreadable(&error);
            record(inner, &Call { review, endpoint, ask: None, facts: None, span }, &decision);
            return answer(review, &decision, endpoint);
        }
    };
    let facts = match ask.account() {
        Ok(name) => inner.accounts.look_up(review.namespace(), name, limit).await,
        Err(_) => Facts::none(),
    };
    let spread = Spread::by_request(review.uid());
    let decision = decide(&ask, &facts.sources(), spread, &inner.settings);
    let call = Call { review, endpoint, ask: Some(&ask), facts: Some(&facts), span };
    record(inner, &call, &decision);
    answer(review, &decision, endpoint)
}

fn is_json(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
        let essence = value.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("application/json")
    })
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The `timeout` that the API server adds to the webhook's URL.
fn timeout(query: Option<&str>) -> Option<Duration> {
    query?
        .split('&')
        .find_map(|pair| pair.strip_prefix("timeout="))
        .and_then(|value| crate::duration::parse(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_servers_patience_is_read_from_the_url() {
        assert_eq!(timeout(Some("timeout=5s")), Some(Duration::from_secs(5)));
        assert_eq!(timeout(Some("a=b&timeout=30s")), Some(Duration::from_secs(30)));
        assert_eq!(timeout(Some("timeout=soon")), None);
        assert_eq!(timeout(None), None);
    }

    #[test]
    fn json_may_have_a_character_set() {
        let with = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, value.parse().unwrap());
            is_json(&headers)
        };
        assert!(with("application/json"));
        assert!(with("application/json; charset=utf-8"));
        assert!(!with("application/yaml"));
        assert!(!with("text/plain"));
        assert!(!is_json(&HeaderMap::new()));
    }
}
