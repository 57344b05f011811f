//! The two objects by name, as messages and RBAC rules spell them.

use std::fmt;

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

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, resource: _, namespace, name } = self;
        match namespace {
            Some(namespace) => write!(f, "{kind} {namespace}/{name}"),
            None => write!(f, "{kind} {name}"),
        }
    }
}
