//! An STS of one operation, `AssumeRoleWithWebIdentity`, for one role.
//!
//! It answers in the XML of the real one, errors too, with credentials that are plainly not real.
//! See `AssumeRoleWithWebIdentity` in the AWS Security Token Service API reference.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header::CONTENT_TYPE};

use crate::loopback::Loopback;

use super::trust::{Claims, Refusal, Trust};

/// The one role that there is.
pub(super) const ROLE_ARN: &str = "arn:aws:iam::111122223333:role/team/app";

/// The audience of the role's trust policy.
const AUDIENCE: &str = "sts.amazonaws.com";

/// The endpoint and what it was asked.
pub(super) struct Sts {
    server: Loopback,
    calls: Arc<Mutex<Vec<Call>>>,
}

/// One request and what became of it.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) session_name: String,
    pub(super) verdict: Result<Claims, Refusal>,
}

// === impl Sts ===

impl Sts {
    pub(super) async fn start(trust: Arc<Trust>) -> Self {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let recorded = Arc::clone(&calls);
        let server = Loopback::serve(move |request| {
            let (call, response) = assume_role(&trust, request);
            recorded.lock().unwrap().push(call);
            Some(response)
        });
        Self { server: server.await, calls }
    }

    pub(super) fn url(&self) -> String {
        self.server.url()
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }
}

fn assume_role(trust: &Trust, request: &Request<Bytes>) -> (Call, Response<String>) {
    assert_eq!((request.method(), request.uri().path()), (&Method::POST, "/"));
    assert!(request.headers().get("authorization").is_none(), "this call is never signed");
    let form: HashMap<_, _> = form_urlencoded::parse(request.body()).into_owned().collect();
    assert_eq!(form["Action"], "AssumeRoleWithWebIdentity");
    assert_eq!(form["Version"], "2011-06-15");
    let session_name = form["RoleSessionName"].clone();
    assert!((2..=64).contains(&session_name.len()), "{session_name}");

    let verdict = match form["RoleArn"].as_str() {
        ROLE_ARN => trust.verify(&form["WebIdentityToken"], AUDIENCE),
        _ => Err(Refusal::Role),
    };
    let response = match &verdict {
        Ok(claims) => response(StatusCode::OK, &credentials(claims, &session_name)),
        Err(refusal) => error(*refusal),
    };
    (Call { session_name, verdict }, response)
}

fn credentials(claims: &Claims, session_name: &str) -> String {
    let Claims { sub, .. } = claims;
    format!(
        r#"<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <SubjectFromWebIdentityToken>{sub}</SubjectFromWebIdentityToken>
    <Audience>{AUDIENCE}</Audience>
    <AssumedRoleUser>
      <Arn>arn:aws:sts::111122223333:assumed-role/app/{session_name}</Arn>
      <AssumedRoleId>TEST-ROLE-ID:{session_name}</AssumedRoleId>
    </AssumedRoleUser>
    <Credentials>
      <AccessKeyId>TEST-ACCESS-KEY-1</AccessKeyId>
      <SecretAccessKey>TEST-SECRET-1</SecretAccessKey>
      <SessionToken>TEST-SESSION-1</SessionToken>
      <Expiration>2100-01-01T00:00:00Z</Expiration>
    </Credentials>
  </AssumeRoleWithWebIdentityResult>
  <ResponseMetadata><RequestId>TEST-REQUEST-1</RequestId></ResponseMetadata>
</AssumeRoleWithWebIdentityResponse>"#
    )
}

fn error(refusal: Refusal) -> Response<String> {
    let (status, code, message) = match refusal {
        Refusal::Audience => {
            (StatusCode::BAD_REQUEST, "InvalidIdentityToken", "Incorrect token audience")
        }
        Refusal::Unreadable | Refusal::Signature | Refusal::Issuer => (
            StatusCode::BAD_REQUEST,
            "InvalidIdentityToken",
            "Couldn't retrieve verification key from your identity provider",
        ),
        Refusal::Expired => (StatusCode::BAD_REQUEST, "ExpiredTokenException", "Token expired"),
        Refusal::Subject | Refusal::Role => (
            StatusCode::FORBIDDEN,
            "AccessDenied",
            "Not authorized to perform sts:AssumeRoleWithWebIdentity",
        ),
    };
    let body = format!(
        r#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>
  <RequestId>TEST-REQUEST-1</RequestId>
</ErrorResponse>"#
    );
    response(status, &body)
}

fn response(status: StatusCode, body: &str) -> Response<String> {
    let response = Response::builder().status(status).header(CONTENT_TYPE, "text/xml");
    response.body(body.to_owned()).unwrap()
}
