//! A Pod Identity agent of one account: container credentials for an authorization token.
//!
//! It answers in the JSON that SDKs read from `AWS_CONTAINER_CREDENTIALS_FULL_URI`, see "Container
//! credential provider" in the AWS SDKs and Tools reference guide.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header::AUTHORIZATION, header::CONTENT_TYPE};
use serde_json::{Value, json};

use crate::loopback::Loopback;

use super::trust::{Claims, Refusal, Trust};

/// The audience that the service behind the real agent asks for.
const AUDIENCE: &str = "pods.eks.amazonaws.com";

/// The path of the real agent.
const PATH: &str = "/v1/credentials";

/// The endpoint and what became of each request.
pub(super) struct Agent {
    server: Loopback,
    verdicts: Arc<Mutex<Vec<Result<Claims, Refusal>>>>,
}

// === impl Agent ===

impl Agent {
    pub(super) async fn start(trust: Arc<Trust>) -> Self {
        let verdicts = Arc::new(Mutex::new(Vec::new()));
        let recorded = Arc::clone(&verdicts);
        let server = Loopback::serve(move |request| {
            let (verdict, response) = credentials(&trust, request);
            recorded.lock().unwrap().push(verdict);
            Some(response)
        });
        Self { server: server.await, verdicts }
    }

    /// What `--container-credentials-full-uri` is to be.
    pub(super) fn full_uri(&self) -> String {
        format!("{}{PATH}", self.server.url())
    }

    pub(super) fn verdicts(&self) -> Vec<Result<Claims, Refusal>> {
        self.verdicts.lock().unwrap().clone()
    }
}

fn credentials(
    trust: &Trust,
    request: &Request<Bytes>,
) -> (Result<Claims, Refusal>, Response<String>) {
    assert_eq!((request.method(), request.uri().path()), (&Method::GET, PATH));
    let token = request.headers().get(AUTHORIZATION).and_then(|token| token.to_str().ok());
    let verdict = trust.verify(token.unwrap_or_default(), AUDIENCE);
    let response = match &verdict {
        Ok(_) => response(
            StatusCode::OK,
            &json!({
                "AccessKeyId": "TEST-ACCESS-KEY-2",
                "SecretAccessKey": "TEST-SECRET-2",
                "Token": "TEST-SESSION-2",
                "AccountId": "111122223333",
                "Expiration": "2100-01-01T00:00:00Z",
            }),
        ),
        Err(refusal) => error(*refusal),
    };
    (verdict, response)
}

fn error(refusal: Refusal) -> Response<String> {
    let (status, code) = match refusal {
        Refusal::Unreadable | Refusal::Signature | Refusal::Issuer | Refusal::Audience => {
            (StatusCode::BAD_REQUEST, "InvalidTokenException")
        }
        Refusal::Expired => (StatusCode::BAD_REQUEST, "ExpiredTokenException"),
        Refusal::Subject | Refusal::Role => (StatusCode::FORBIDDEN, "AccessDeniedException"),
    };
    response(status, &json!({ "code": code, "message": format!("refused: {code}") }))
}

fn response(status: StatusCode, body: &Value) -> Response<String> {
    let response = Response::builder().status(status).header(CONTENT_TYPE, "application/json");
    response.body(body.to_string()).unwrap()
}
