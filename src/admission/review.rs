//! What the API server sends.
//!
//! An envelope can be answered, with its uid, whatever is in it. So a body that cannot be read as the
//! review of a Pod at once is read in two steps: first the envelope, in which the object is a slice
//! that is only skipped over; then the object.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::plan::Ask;
use crate::pod::{MAX_OBJECTS, Pod, Text, Unreadable, from_object};

/// A request of the API server for an opinion on one object.
#[derive(Debug)]
pub struct Review<'a> {
    version: Version,
    uid: Text<'a>,
    namespace: Option<Text<'a>>,
    dry_run: DryRun,
}

/// The longest body that is read at once, in bytes: an object takes two, so that no shorter one has
/// more objects than a Pod may hold.
const AT_ONCE: usize = 2 * MAX_OBJECTS;

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

/// The whole, with objects that are read or skipped over.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self", bound(deserialize = "O: Deserialize<'de>"))]
struct Envelope<'a, O> {
    #[serde(borrow, default)]
    api_version: Option<Text<'a>>,
    #[serde(borrow, default)]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    request: Option<Request<'a, O>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self", bound(deserialize = "O: Deserialize<'de>"))]
struct Request<'a, O> {
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
    #[serde(default = "none")]
    object: Option<O>,
    #[serde(default = "none")]
    old_object: Option<O>,
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

from_object!(Envelope<O>, Request<O>, Resource);

/// `Option::default` without a bound on what is in it.
fn none<O>() -> Option<O> {
    None
}

/// What an object in a request is, read or not.
trait Object<'a> {
    /// The Pod that it is.
    fn pod(self) -> Result<Pod<'a>, Unreadable>;
}

impl<'a> Object<'a> for Pod<'a> {
    fn pod(self) -> Result<Self, Unreadable> {
        Ok(self)
    }
}

impl<'a> Object<'a> for &'a RawValue {
    fn pod(self) -> Result<Pod<'a>, Unreadable> {
        Pod::read(self.get())
    }
}

// === impl Review ===

impl<'a> Review<'a> {
    /// Reads the envelope, and what is asked, if that concerns a Pod that can be read.
    ///
    /// # Errors
    ///
    /// If there is nothing that could be answered with a uid.
    pub fn read(body: &'a [u8]) -> Result<(Self, Result<Ask<'a>, Unreadable>), NotAReview> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Err(NotAReview::Empty);
        }
        if body.len() <= AT_ONCE
            && let Ok(text) = str::from_utf8(body)
            && let Ok(envelope) = serde_json::from_str::<Envelope<'a, Pod<'a>>>(text)
        {
            return Self::of(envelope);
        }
        serde_json::from_slice::<Envelope<'a, &'a RawValue>>(body)
            .map_err(|e| NotAReview::Malformed { line: e.line(), column: e.column() })
            .and_then(Self::of)
    }

    fn of<O: Object<'a>>(
        envelope: Envelope<'a, O>,
    ) -> Result<(Self, Result<Ask<'a>, Unreadable>), NotAReview> {
        let Envelope { api_version, kind, request } = envelope;
        let version = match (kind.as_deref(), api_version.as_deref()) {
            (Some("AdmissionReview"), Some("admission.k8s.io/v1")) => Version::V1,
            (Some("AdmissionReview"), Some("admission.k8s.io/v1beta1")) => Version::V1Beta1,
            _ => return Err(NotAReview::OtherKind),
        };
        let Some(mut request) = request else { return Err(NotAReview::NoRequest) };
        let uid = request.uid.take().filter(|uid| !uid.is_empty()).ok_or(NotAReview::NoRequest)?;
        let dry_run = if request.dry_run == Some(true) { DryRun::Yes } else { DryRun::No };
        let namespace = request.namespace.take();
        Ok((Self { version, uid, namespace, dry_run }, request.ask()))
    }

    /// The review's own uid.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// The namespace of the request, which is the Pod's whatever its metadata says.
    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }

    /// Whether the object will be stored.
    pub fn dry_run(&self) -> DryRun {
        self.dry_run
    }

    pub(super) fn version(&self) -> Version {
        self.version
    }
}

// === impl Request ===

impl<'a, O: Object<'a>> Request<'a, O> {
    fn ask(self) -> Result<Ask<'a>, Unreadable> {
        let Self { resource, sub_resource, operation, object, old_object, .. } = self;
        let is_pod = resource.is_some_and(|r| {
            r.resource.as_deref() == Some("pods")
                && r.group.as_deref().unwrap_or_default().is_empty()
        });
        let pod = |object: Option<O>| object.map_or_else(|| Pod::read(""), Object::pod);
        match (sub_resource.as_deref().unwrap_or_default(), operation.as_deref()) {
            ("", Some("CREATE")) if is_pod => Ok(Ask::Create(pod(object)?)),
            ("ephemeralcontainers", Some("UPDATE")) if is_pod => {
                Ok(Ask::AddEphemeral { pod: pod(object)?, before: pod(old_object)? })
            }
            _ => Ok(Ask::NotApplicable),
        }
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
            let (_, ask) = Review::read(body.as_bytes()).unwrap();
            ask.map(|ask| match ask {
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
        assert_eq!(
            ask(&format!(r#"{{{pods},"operation":"UPDATE","object":{{"spec":[1]}}}}"#)),
            Ok("other"),
            "what is not asked about need not be a Pod"
        );
        assert!(ask(&format!(r#"{{{pods},"operation":"CREATE"}}"#)).is_err());
        assert!(ask(&format!(r#"{{{pods},"operation":"CREATE","object":[1]}}"#)).is_err());
    }
}
