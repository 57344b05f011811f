//! The instance metadata service, for the account and the partition of composed ARNs.
//!
//! IMDSv2 only: a token first, by PUT; version 1 is never asked. It is asked at start and never
//! again, and never for what the flags tell. Every request has 2 s and three tries; a refused PUT
//! is final, a hop limit of 1 shows as a time-out. Failure ends in one sentence that names the
//! flags which make this unnecessary.

use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderValue;
use http::uri::{Scheme, Uri};
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

/// How long to wait before the next try, so that three refused connections are not one.
const PAUSE: Duration = Duration::from_millis(250);

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
    #[error("{ENDPOINT_VARIABLE} must be a URL that begins with http://, or be unset")]
    Endpoint,
    /// The URL cannot be asked.
    #[error("{path} cannot be asked for")]
    Request {
        /// What was to be asked for.
        path: &'static str,
        /// Why.
        #[source]
        source: http::Error,
    },
    /// No answer in time.
    #[error("no answer to {path} in {} s, {TRIES} times", TIMEOUT.as_secs())]
    TimedOut {
        /// What was asked for.
        path: &'static str,
    },
    /// There was no connection, or it broke.
    #[error("asking for {path} failed")]
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

struct Imds<'a> {
    endpoint: &'a str,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// Asks the service at `endpoint` for what is not known yet.
///
/// # Errors
///
/// If it does not tell.
pub async fn composer(endpoint: &str, known: Known) -> Result<Composer, ImdsError> {
    let endpoint = endpoint.trim_end_matches('/');
    let client = Client::builder(TokioExecutor::new()).build_http();
    let composer = Imds { endpoint, client }.composer(known).await;
    composer.map_err(|cause| ImdsError { endpoint: endpoint.to_owned(), cause })
}

// === impl Imds ===

impl Imds<'_> {
    async fn composer(&self, known: Known) -> Result<Composer, Cause> {
        let Known { account, partition } = known;
        let (account, partition) = match (account, partition) {
            (Some(account), Some(partition)) => (account, partition),
            (account, partition) => {
                let token = self.token().await?;
                let account = match account {
                    Some(account) => account,
                    None => self.account(&token).await?,
                };
                let partition = match partition {
                    Some(partition) => partition,
                    None => self.ask(PARTITION, Some(&token)).await?.trim().into(),
                };
                (account, partition)
            }
        };
        Composer::new(&partition, &account).map_err(Cause::Composer)
    }

    async fn token(&self) -> Result<HeaderValue, Cause> {
        let is_http = self.endpoint.parse::<Uri>().is_ok_and(|uri| {
            uri.scheme() == Some(&Scheme::HTTP) && uri.host().is_some_and(|host| !host.is_empty())
        });
        if !is_http {
            return Err(Cause::Endpoint);
        }
        let token = self.ask(TOKEN, None).await?;
        let mut token =
            HeaderValue::try_from(token.trim()).map_err(|_| Cause::Unreadable { path: TOKEN })?;
        token.set_sensitive(true);
        Ok(token)
    }

    async fn account(&self, token: &HeaderValue) -> Result<Box<str>, Cause> {
        let document = self.ask(IDENTITY, Some(token)).await?;
        let IdentityDocument { account_id } =
            serde_json::from_str(&document).map_err(|_| Cause::Unreadable { path: IDENTITY })?;
        Ok(account_id)
    }

    /// Asks for `path`: with a token for a value, without one for a token.
    async fn ask(&self, path: &'static str, token: Option<&HeaderValue>) -> Result<String, Cause> {
        let mut tries = 0;
        loop {
            tries += 1;
            let cause = match tokio::time::timeout(TIMEOUT, self.try_once(path, token)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(cause)) => cause,
                Err(_) => Cause::TimedOut { path },
            };
            if tries == TRIES || cause.is_final() {
                return Err(cause);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn try_once(
        &self,
        path: &'static str,
        token: Option<&HeaderValue>,
    ) -> Result<String, Cause> {
        let request = Request::builder().uri(format!("{}{path}", self.endpoint));
        let request = match token {
            None => {
                request.method(Method::PUT).header("X-aws-ec2-metadata-token-ttl-seconds", "60")
            }
            Some(token) => request.method(Method::GET).header("X-aws-ec2-metadata-token", token),
        };
        let request =
            request.body(Full::default()).map_err(|source| Cause::Request { path, source })?;
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

// === impl Cause ===

impl Cause {
    /// Whether another try would end the same way.
    fn is_final(&self) -> bool {
        match self {
            Self::TimedOut { .. } | Self::Unreachable { .. } => false,
            Self::Refused { code, .. } => {
                !code.is_server_error() && *code != StatusCode::TOO_MANY_REQUESTS
            }
            Self::Endpoint | Self::Request { .. } | Self::Unreadable { .. } | Self::Composer(_) => {
                true
            }
        }
    }
}
