//! The instance metadata service, for the account and the partition of composed ARNs.
//!
//! IMDSv2 only: a token first, by PUT; version 1 is never asked. It is asked at start and never
//! again. Every request has 2 s and three tries; a refused PUT is final, a hop limit of 1 shows as
//! a time-out. Failure ends in one sentence that names the flags which make this unnecessary.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;

use crate::identity::{Composer, ComposerError};

/// The service's address, link-local on every EC2 instance.
pub const ENDPOINT: &str = "http://169.254.169.254";

/// The environment variable by which AWS's SDKs, and this, take another address.
pub const ENDPOINT_VARIABLE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";

/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How often a request is tried.
const TRIES: u32 = 3;

/// The longest answer that is read, in bytes; real ones have a few hundred.
const MAX_ANSWER: usize = 64 * 1024;

/// What is known without asking.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The account id.
    pub account: Option<Box<str>>,
    /// The partition.
    pub partition: Option<Box<str>>,
}

/// Why an ARN cannot be composed.
#[derive(Debug, thiserror::Error)]
#[error(
    "the instance metadata service at {endpoint} did not tell the AWS account and partition: set \
     --aws-account-id and --aws-partition (and --aws-default-region if a region is to be injected), \
     or let this Pod reach it (the instance's hop limit must be 2 or more)"
)]
pub struct ImdsError {
    endpoint: String,
    #[source]
    cause: Cause,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The address is not a URL.
    #[error("{ENDPOINT_VARIABLE} is not an http:// URL")]
    Endpoint(#[source] http::Error),
    /// No answer in time.
    #[error("no answer to {path} in {} s, {TRIES} times", TIMEOUT.as_secs())]
    TimedOut {
        /// What was asked for.
        path: &'static str,
    },
    /// The connection failed.
    #[error("no connection for {path}")]
    Unreachable {
        /// What was asked for.
        path: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer is a refusal.
    #[error("{path} was answered with {code}")]
    Refused {
        /// What was asked for.
        path: &'static str,
        /// The status.
        code: StatusCode,
    },
    /// The answer is not what it should be.
    #[error("the answer to {path} cannot be read")]
    Unreadable {
        /// What was asked for.
        path: &'static str,
    },
    /// The answer is no account or no partition.
    #[error("the answer names no usable account or partition")]
    Composer(#[source] ComposerError),
}

const TOKEN: &str = "/latest/api/token";
const IDENTITY: &str = "/latest/dynamic/instance-identity/document";
const PARTITION: &str = "/latest/meta-data/services/partition";

/// The part of the instance identity document that is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IdentityDocument {
    account_id: Box<str>,
}

struct Imds {
    endpoint: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// Asks the service at `endpoint` for what is not known yet.
///
/// # Errors
///
/// If it does not tell.
pub async fn composer(endpoint: &str, known: Known) -> Result<Composer, ImdsError> {
    let endpoint = endpoint.trim_end_matches('/').to_owned();
    let client = Client::builder(TokioExecutor::new()).build_http();
    let imds = Imds { endpoint, client };
    match imds.composer(known).await {
        Ok(composer) => Ok(composer),
        Err(cause) => Err(ImdsError { endpoint: imds.endpoint, cause }),
    }
}

// === impl Imds ===

impl Imds {
    async fn composer(&self, known: Known) -> Result<Composer, Cause> {
        let token = self.ask(TOKEN, None).await?;
        let account = match known.account {
            Some(account) => account,
            None => {
                let document = self.ask(IDENTITY, Some(&token)).await?;
                let document: IdentityDocument = serde_json::from_str(&document)
                    .map_err(|_| Cause::Unreadable { path: IDENTITY })?;
                document.account_id
            }
        };
        let partition = match known.partition {
            Some(partition) => partition,
            None => self.ask(PARTITION, Some(&token)).await?.trim().into(),
        };
        Composer::new(&partition, &account).map_err(Cause::Composer)
    }

    /// Asks for `path`: with a token for a value, without one for a token.
    async fn ask(&self, path: &'static str, token: Option<&str>) -> Result<String, Cause> {
        let mut last = Cause::TimedOut { path };
        for _ in 0..TRIES {
            last = match tokio::time::timeout(TIMEOUT, self.try_once(path, token)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(refused @ (Cause::Refused { .. } | Cause::Endpoint(_)))) => {
                    let is_final = !matches!(
                        refused,
                        Cause::Refused { code, .. }
                            if code.is_server_error() || code == StatusCode::TOO_MANY_REQUESTS
                    );
                    if is_final {
                        return Err(refused);
                    }
                    refused
                }
                Ok(Err(cause)) => cause,
                Err(_) => Cause::TimedOut { path },
            };
        }
        Err(last)
    }

    async fn try_once(&self, path: &'static str, token: Option<&str>) -> Result<String, Cause> {
        let request = Request::builder().uri(format!("{}{path}", self.endpoint));
        let request = match token {
            None => {
                request.method(Method::PUT).header("X-aws-ec2-metadata-token-ttl-seconds", "60")
            }
            Some(token) => request.method(Method::GET).header("X-aws-ec2-metadata-token", token),
        };
        let request = request.body(Full::default()).map_err(Cause::Endpoint)?;
        let unreachable =
            |source: Box<dyn std::error::Error + Send + Sync>| Cause::Unreachable { path, source };
        let response =
            self.client.request(request).await.map_err(|error| unreachable(error.into()))?;
        let code = response.status();
        if code != StatusCode::OK {
            return Err(Cause::Refused { path, code });
        }
        let body = Limited::new(response.into_body(), MAX_ANSWER);
        let body = body.collect().await.map_err(unreachable)?;
        String::from_utf8(body.to_bytes().into()).map_err(|_| Cause::Unreadable { path })
    }
}
