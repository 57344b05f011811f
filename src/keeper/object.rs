//! The two objects by name, as messages and RBAC rules spell them, and one request about one of
//! them: bounded in time, and an error that names verb and object.

use std::fmt;
use std::time::Duration;

use tokio::time::timeout;

use super::error::{KeeperError, Why};

/// How long one request may take. It is guarded, so one that arrives later does no harm.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// One object of the API server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Object {
    /// The kind, as people call it.
    pub kind: &'static str,
    /// The resource, as RBAC names it.
    pub resource: &'static str,
    /// The namespace, if it has one.
    pub namespace: Option<Box<str>>,
    /// The name.
    pub name: Box<str>,
}

// === impl Object ===

impl Object {
    /// The answer to a request about this object.
    pub(super) async fn ask<T>(
        self,
        verb: &'static str,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, KeeperError> {
        match timeout(ANSWER_WITHIN, request).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(KeeperError::of(verb, self, &error)),
            Err(_) => Err(KeeperError::Request { verb, object: self, why: Why::NoAnswer }),
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, resource: _, namespace, name } = self;
        match namespace {
            Some(namespace) => write!(f, "{kind} {namespace}/{name}"),
            None => write!(f, "{kind} {name}"),
        }
    }
}
