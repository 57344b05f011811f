//! Plain questions to a server on loopback: a method, a path, a body; a status and a body back.
//!
//! kube's client is used as the HTTP client: it is in the tree already, with its TLS, and its
//! `send` passes every status on. Each question has a connection of its own, so none is ever lost
//! to a server that closes idle ones.

use std::time::Duration;

use anyhow::{Context, Result};
use http::{Method, Request, StatusCode, header::CONTENT_TYPE};
use kube::{Client, Config, client::Body};

use crate::authority::Authority;

/// How long a question may take altogether.
const ANSWER: Duration = Duration::from_mins(1);

/// Whose certificates are accepted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trust<'a> {
    /// Those that this authority signed.
    Authority(&'a Authority),
    /// Everybody's, as probes do.
    Anybody,
}

/// Asks `method path` of the server at `base`, whose certificate, if it has one, is to be trusted.
pub(crate) async fn ask(
    base: &str,
    trust: impl Into<Trust<'_>>,
    method: Method,
    path: &str,
    content: Option<(&str, Vec<u8>)>,
) -> Result<(StatusCode, String)> {
    let mut config = Config::new(base.parse()?);
    match trust.into() {
        Trust::Authority(authority) => config.root_cert = Some(vec![authority.der().to_vec()]),
        Trust::Anybody => config.accept_invalid_certs = true,
    }
    config.default_retry = false;
    let client = Client::try_from(config)?;

    let mut request = Request::builder().method(method).uri(path);
    let mut body = Vec::new();
    if let Some((content_type, bytes)) = content {
        request = request.header(CONTENT_TYPE, content_type);
        body = bytes;
    }
    let request = request.body(Body::from(body))?;
    let exchange = async {
        let answer = client.send(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect_bytes().await?;
        anyhow::Ok((status, String::from_utf8_lossy(&body).into_owned()))
    };
    let answer = tokio::time::timeout(ANSWER, exchange).await;
    answer.with_context(|| format!("no answer within {ANSWER:?} from {base}{path}"))?
}

// === impl Trust ===

impl<'a> From<&'a Authority> for Trust<'a> {
    fn from(authority: &'a Authority) -> Self {
        Self::Authority(authority)
    }
}
