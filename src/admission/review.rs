//! What the API server sends.
//!
//! Read in two steps: first the envelope, in which the Pod is a slice that is only skipped over;
//! then the Pod. So an envelope can be answered, with its uid, whatever is in it.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::plan::Ask;
use crate::pod::{Pod, Text, Unreadable, from_object};

/// A request of the API server for an opinion on one object.
#[derive(Debug)]
pub struct Review<'a> {
    version: Version,
    request: Request<'a>,
}

/// The versions of `admission.k8s.io`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Version {
    V1,
    V1Beta1,
}

/// Whether the object will be stored if it is allowed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DryRun {
    /// It will not: nothing may be written or counted for it.
    Yes,
    /// It will.
    No,
}

/// The body is not an AdmissionReview that can be answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAReview {
    /// The body is empty.
    #[error("the body is empty; send an AdmissionReview of admission.k8s.io/v1 or v1beta1")]
    Empty,
    /// The body is not JSON, or its members have other types.
    #[error(
        "the body is not the JSON of an AdmissionReview (line {line}, column {column}); send one of \
         admission.k8s.io/v1 or v1beta1"
    )]
    Malformed {
        /// Where reading ended.
        line: usize,
        /// Where reading ended.
        column: usize,
    },
    /// The body is some other object.
    #[error("the body is not an AdmissionReview of admission.k8s.io/v1 or v1beta1; send one")]
    OtherKind,
    /// Nothing to answer, or nothing to answer to.
    #[error("the AdmissionReview has no request with a uid; send one that has")]
    NoRequest,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
struct Envelope<'a> {
    #[serde(borrow, default)]
    api_version: Option<Text<'a>>,
    #[serde(borrow, default)]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    request: Option<Request<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
struct Request<'a> {
    #[serde(borrow, default)]
    uid: Option<Text<'a>>,
    #[serde(borrow, default)]
    resource: Option<Resource<'a>>,
    #[serde(borrow, default)]
    sub_resource: Option<Text<'a>>,
    #[serde(borrow, default)]
    operation: Option<Text<'a>>,
    #[serde(borrow, default)]
    namespace: Option<Text<'a>>,
    #[serde(borrow, default)]
    object: Option<&'a RawValue>,
    #[serde(borrow, default)]
    old_object: Option<&'a RawValue>,
    #[serde(default)]
    dry_run: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(remote = "Self")]
struct Resource<'a> {
    #[serde(borrow, default)]
    group: Option<Text<'a>>,
    #[serde(borrow, default)]
    resource: Option<Text<'a>>,
}

from_object!(Envelope, Request, Resource);

// === impl Review ===

impl<'a> Review<'a> {
    /// Reads the envelope; the object inside is not looked at.
    ///
    /// # Errors
    ///
    /// If there is nothing that could be answered with a uid.
    pub fn read(body: &'a [u8]) -> Result<Self, NotAReview> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Err(NotAReview::Empty);
        }
        let envelope: Envelope<'_> = serde_json::from_slice(body)
            .map_err(|e| NotAReview::Malformed { line: e.line(), column: e.column() })?;
        let Envelope { api_version, kind, request } = envelope;
        let version = match (kind.as_deref(), api_version.as_deref()) {
            (Some("AdmissionReview"), Some("admission.k8s.io/v1")) => Version::V1,
            (Some("AdmissionReview"), Some("admission.k8s.io/v1beta1")) => Version::V1Beta1,
            _ => return Err(NotAReview::OtherKind),
        };
        let request = request
            .filter(|request| request.uid.as_deref().is_some_and(|uid| !uid.is_empty()))
            .ok_or(NotAReview::NoRequest)?;
        Ok(Self { version, request })
    }

    /// The review's own uid.
    pub fn uid(&self) -> &str {
        self.request.uid.as_deref().unwrap_or_default()
    }

    /// The namespace of the request, which is the Pod's whatever its metadata says.
    pub fn namespace(&self) -> &str {
        self.request.namespace.as_deref().unwrap_or_default()
    }

    /// Whether the object will be stored.
    pub fn dry_run(&self) -> DryRun {
        if self.request.dry_run == Some(true) { DryRun::Yes } else { DryRun::No }
    }

    /// What is asked.
    ///
    /// # Errors
    ///
    /// If it concerns a Pod that cannot be read.
    pub fn ask(&self) -> Result<Ask<'a>, Unreadable> {
        let Request { resource, sub_resource, operation, object, old_object, .. } = &self.request;
        let is_pod = resource.as_ref().is_some_and(|r| {
            r.resource.as_deref() == Some("pods")
                && r.group.as_deref().unwrap_or_default().is_empty()
        });
        let pod = |raw: Option<&'a RawValue>| Pod::read(raw.map_or("", RawValue::get));
        match (sub_resource.as_deref().unwrap_or_default(), operation.as_deref()) {
            ("", Some("CREATE")) if is_pod => Ok(Ask::Create(pod(*object)?)),
            ("ephemeralcontainers", Some("UPDATE")) if is_pod => {
                Ok(Ask::AddEphemeral { pod: pod(*object)?, before: pod(*old_object)? })
            }
            _ => Ok(Ask::NotApplicable),
        }
    }

    pub(super) fn version(&self) -> Version {
        self.version
    }
}

// === impl Version ===

impl Version {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::V1 => "admission.k8s.io/v1",
            Self::V1Beta1 => "admission.k8s.io/v1beta1",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn review(version: &str, request: &str) -> String {
        format!(
            r#"{{"apiVersion":"admission.k8s.io/{version}","kind":"AdmissionReview","request":{request}}}"#
        )
    }

    #[test]
    fn what_cannot_be_answered_is_no_review() {
        for (body, error) in [
            ("", NotAReview::Empty),
            (" \n", NotAReview::Empty),
            (r#"{"apiVersion":"v1","kind":"Pod"}"#, NotAReview::OtherKind),
            (r#"{"kind":"AdmissionReview"}"#, NotAReview::OtherKind),
            (&review("v2", r#"{"uid":"u"}"#), NotAReview::OtherKind),
            (&review("v1", "null"), NotAReview::NoRequest),
            (&review("v1", r#"{"uid":""}"#), NotAReview::NoRequest),
            (r#"{"kind":"#, NotAReview::Malformed { line: 1, column: 8 }),
        ] {
            assert_eq!(Review::read(body.as_bytes()).unwrap_err(), error, "{body}");
        }
        for body in [
            b"{\"kind\":\"\xff\"}".as_slice(),
            br#"["admission.k8s.io/v1","AdmissionReview",{"uid":"u"}]"#,
            br#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":["u"]}"#,
        ] {
            assert!(matches!(Review::read(body), Err(NotAReview::Malformed { .. })));
        }
    }

    #[test]
    fn creations_and_ephemeral_containers_are_asked_about_and_nothing_else() {
        let ask = |request: &str| {
            let body = review("v1", request);
            let review = Review::read(body.as_bytes()).unwrap();
            review.ask().map(|ask| match ask {
                Ask::Create(_) => "create",
                Ask::AddEphemeral { .. } => "ephemeral",
                Ask::NotApplicable => "other",
            })
        };
        let pods = r#""uid":"u","resource":{"group":"","version":"v1","resource":"pods"}"#;
        let object = r#""object":{"spec":{}}"#;
        assert_eq!(ask(&format!(r#"{{{pods},"operation":"CREATE",{object}}}"#)), Ok("create"));
        assert_eq!(
            ask(&format!(
                r#"{{{pods},"subResource":"ephemeralcontainers","operation":"UPDATE",{object},"oldObject":{{}}}}"#
            )),
            Ok("ephemeral")
        );
        assert_eq!(ask(&format!(r#"{{{pods},"operation":"UPDATE",{object}}}"#)), Ok("other"));
        assert_eq!(
            ask(&format!(r#"{{{pods},"subResource":"binding","operation":"CREATE"}}"#)),
            Ok("other")
        );
        assert_eq!(
            ask(
                r#"{"uid":"u","resource":{"group":"apps","resource":"pods"},"operation":"CREATE"}"#
            ),
            Ok("other")
        );
        assert!(ask(&format!(r#"{{{pods},"operation":"CREATE"}}"#)).is_err());
        assert!(ask(&format!(r#"{{{pods},"operation":"CREATE","object":[1]}}"#)).is_err());
    }
}
