//! A ServiceAccount, as far as the webhook cares: who it is, and what its annotations say.
//!
//! `Annotations` is what a cache keeps for each account, so it holds the known keys and nothing
//! else: not the account's other annotations, not its labels, not its managed fields. A key that
//! looks like one of ours but is not is kept by name, so that it can be warned about; it never acts.

use std::fmt;

/// The domain of AWS's own documentation; the default of `--annotation-prefix`.
pub const DEFAULT_ANNOTATION_PREFIX: &str = "eks.amazonaws.com";

/// The domain that people write for [`DEFAULT_ANNOTATION_PREFIX`] by mistake.
const MISTAKEN_PREFIX: &str = "eks.amazon.com";

/// The key that people write for `sts-regional-endpoints` by mistake.
const MISTAKEN_STS_KEY: &str = "sts-regional-endpoint";

/// A ServiceAccount by namespace and name, both valid Kubernetes names.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AccountRef {
    namespace: Box<str>,
    name: Box<str>,
}

/// A namespace or a ServiceAccount name that no Kubernetes object can have.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a valid Kubernetes name")]
pub struct InvalidName;

/// The annotations of ours that a ServiceAccount may carry, without their prefix.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Key {
    /// `role-arn`: the IAM role, IRSA.
    RoleArn,
    /// `pod-identity`: whether the account uses EKS Pod Identity.
    PodIdentity,
    /// `audience`: the audience of the IRSA token.
    Audience,
    /// `token-expiration`: the token's lifetime in seconds.
    TokenExpiration,
    /// `sts-regional-endpoints`: whether SDKs use the regional STS endpoint.
    StsRegionalEndpoints,
    /// `skip-containers`: containers to leave alone.
    SkipContainers,
    /// `include-containers`: the only containers to touch.
    IncludeContainers,
    /// `region`: the AWS region.
    Region,
    /// `role-session-name`: whether the Pod's name becomes the STS session name.
    RoleSessionName,
}

/// What the annotations of one ServiceAccount say; blank values are absent ones.
///
/// A cache holds one for each of a hundred thousand accounts, so all of it is one allocation, and
/// none where nothing is said.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Annotations {
    /// One entry behind the other: a letter that stands for the key ([`Key::letter`]), the length
    /// of the value in bytes, a colon, the value. The names of near misses stand behind a letter of
    /// their own.
    packed: Option<Box<str>>,
}

/// What stands for the name of an annotation that misses a known one.
const NEAR_MISS: char = '~';

// === impl AccountRef ===

impl AccountRef {
    /// Takes `namespace` and `name` if Kubernetes could have such an object: a namespace is an
    /// RFC 1123 label, a ServiceAccount's name an RFC 1123 subdomain.
    pub fn new(namespace: &str, name: &str) -> Result<Self, InvalidName> {
        if !is_label(namespace) || !is_subdomain(name) {
            return Err(InvalidName);
        }
        Ok(Self { namespace: namespace.into(), name: name.into() })
    }

    /// The account's namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The account's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for AccountRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, name } = self;
        write!(f, "{namespace}/{name}")
    }
}

/// Whether `s` is an RFC 1123 label, such as a namespace, a Service or a volume must be named.
pub fn is_label(s: &str) -> bool {
    s.len() <= 63 && is_subdomain_part(s)
}

/// Whether `s` is an RFC 1123 subdomain, as which Kubernetes takes most names.
pub fn is_subdomain(s: &str) -> bool {
    s.len() <= 253 && s.split('.').all(is_subdomain_part)
}

fn is_subdomain_part(s: &str) -> bool {
    !s.is_empty()
        && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !s.starts_with('-')
        && !s.ends_with('-')
}

// === impl Key ===

impl Key {
    /// Every key.
    pub const ALL: [Self; 9] = [
        Self::RoleArn,
        Self::PodIdentity,
        Self::Audience,
        Self::TokenExpiration,
        Self::StsRegionalEndpoints,
        Self::SkipContainers,
        Self::IncludeContainers,
        Self::Region,
        Self::RoleSessionName,
    ];

    /// The annotation's name without its prefix.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RoleArn => "role-arn",
            Self::PodIdentity => "pod-identity",
            Self::Audience => "audience",
            Self::TokenExpiration => "token-expiration",
            Self::StsRegionalEndpoints => "sts-regional-endpoints",
            Self::SkipContainers => "skip-containers",
            Self::IncludeContainers => "include-containers",
            Self::Region => "region",
            Self::RoleSessionName => "role-session-name",
        }
    }

    /// What stands for the key where space counts.
    const fn letter(self) -> char {
        match self {
            Self::RoleArn => 'r',
            Self::PodIdentity => 'p',
            Self::Audience => 'a',
            Self::TokenExpiration => 't',
            Self::StsRegionalEndpoints => 's',
            Self::SkipContainers => 'k',
            Self::IncludeContainers => 'i',
            Self::Region => 'g',
            Self::RoleSessionName => 'n',
        }
    }

    /// The key that the annotation `prefix/name` is, if it is one of ours to the letter.
    pub fn of(prefix: &str, annotation: &str) -> Option<Self> {
        strip_prefix(prefix, annotation).and_then(Self::named)
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.name() == name)
    }

    /// The key that the author of `annotation` most likely meant.
    fn meant_by(prefix: &str, annotation: &str) -> Option<Self> {
        let (domain, name) = annotation.rsplit_once('/')?;
        let ours = [prefix, MISTAKEN_PREFIX].iter().any(|ours| domain.eq_ignore_ascii_case(ours));
        if !ours {
            return None;
        }
        if name.eq_ignore_ascii_case(MISTAKEN_STS_KEY) {
            return Some(Self::StsRegionalEndpoints);
        }
        Self::ALL.into_iter().find(|key| key.name().eq_ignore_ascii_case(name))
    }
}

// === impl Annotations ===

impl Annotations {
    /// Keeps of `annotations` what starts with `prefix` and a slash and is known, and the names of
    /// those that miss a known one by a little.
    pub fn read<'a>(
        prefix: &str,
        annotations: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let (mut known, mut near) = (Vec::new(), Vec::new());
        for (annotation, value) in annotations {
            if value.trim().is_empty() {
                continue;
            }
            match Key::of(prefix, annotation) {
                Some(key) => known.push((key, value)),
                None => near.extend(Key::meant_by(prefix, annotation).map(|key| (key, annotation))),
            }
        }
        // The right annotation beside the wrong one: nobody has to do anything.
        near.retain(|(meant, _)| !known.iter().any(|(key, _)| key == meant));
        let known = known.into_iter().map(|(key, value)| (key.letter(), value));
        let near = near.into_iter().map(|(_, annotation)| (NEAR_MISS, annotation));
        let mut packed = String::new();
        for (letter, text) in known.chain(near) {
            packed.extend([letter]);
            packed.extend([&text.len().to_string(), ":", text]);
        }
        Self { packed: (!packed.is_empty()).then(|| packed.into_boxed_str()) }
    }

    /// The value of `key`, never blank.
    pub fn value(&self, key: Key) -> Option<&str> {
        let letter = key.letter();
        self.entries().find(|(of, _)| *of == letter).map(|(_, value)| value)
    }

    /// Annotations that miss a known one by a little, each with the key that was meant.
    pub fn near_misses(&self, prefix: &str) -> impl Iterator<Item = (&str, Key)> {
        self.entries()
            .filter(|(letter, _)| *letter == NEAR_MISS)
            .filter_map(move |(_, found)| Key::meant_by(prefix, found).map(|key| (found, key)))
    }

    /// Whether the account asks for an identity by itself.
    pub fn names_an_identity(&self) -> bool {
        self.value(Key::RoleArn).is_some()
            || self.value(Key::PodIdentity).is_some_and(|v| super::values::switch(v) == Ok(true))
    }

    /// Each letter with its text.
    fn entries(&self) -> impl Iterator<Item = (char, &str)> {
        let mut rest = self.packed.as_deref().unwrap_or_default();
        std::iter::from_fn(move || {
            let letter = rest.chars().next()?;
            let (length, behind) = rest.get(letter.len_utf8()..)?.split_once(':')?;
            let (text, behind) = behind.split_at_checked(length.parse().ok()?)?;
            rest = behind;
            Some((letter, text))
        })
    }
}

/// What follows `prefix/` in `annotation`.
fn strip_prefix<'a>(prefix: &str, annotation: &'a str) -> Option<&'a str> {
    annotation.strip_prefix(prefix)?.strip_prefix('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(annotations: &[(&str, &str)]) -> Annotations {
        Annotations::read(DEFAULT_ANNOTATION_PREFIX, annotations.iter().copied())
    }

    #[test]
    fn names_are_those_that_kubernetes_allows() {
        for (namespace, name) in [("a", "b"), ("prod-1", "my.app-2"), ("0", "x0.y1.z2")] {
            assert!(AccountRef::new(namespace, name).is_ok(), "{namespace}/{name}");
        }
        for (namespace, name) in
            [("", "b"), ("a", ""), ("A", "b"), ("a.b", "c"), ("a", "-b"), ("a", "b."), ("a/b", "c")]
        {
            assert!(AccountRef::new(namespace, name).is_err(), "{namespace}/{name}");
        }
        assert!(AccountRef::new(&"n".repeat(64), "a").is_err());
        assert!(AccountRef::new("a", &"n".repeat(254)).is_err());
    }

    /// F12: a cached account holds the annotations with our prefix and nothing else.
    #[test]
    fn only_known_annotations_are_kept() {
        let read = read(&[
            ("eks.amazonaws.com/role-arn", "arn"),
            ("eks.amazonaws.com/unheard-of", "x"),
            ("kubectl.kubernetes.io/last-applied-configuration", "{}"),
            ("eks.amazonaws.com/audience", "  "),
        ]);
        assert_eq!(read.value(Key::RoleArn), Some("arn"));
        assert_eq!(read.value(Key::Audience), None);
        assert_eq!(read.packed.as_deref(), Some("r3:arn"));
    }

    #[test]
    fn a_key_that_misses_a_known_one_is_named_and_never_acts() {
        let read = read(&[
            ("eks.amazon.com/role-arn", "arn"),
            ("eks.amazonaws.com/sts-regional-endpoint", "true"),
            ("EKS.amazonaws.com/Audience", "sts"),
            ("eks.amazon.com/sts-regional-endpoint", "true"),
            ("example.com/role-arn", "theirs"),
        ]);
        assert_eq!(Key::ALL.map(|key| read.value(key)), [None; 9]);
        assert_eq!(
            read.near_misses(DEFAULT_ANNOTATION_PREFIX).collect::<Vec<_>>(),
            [
                ("eks.amazon.com/role-arn", Key::RoleArn),
                ("eks.amazonaws.com/sts-regional-endpoint", Key::StsRegionalEndpoints),
                ("EKS.amazonaws.com/Audience", Key::Audience),
                ("eks.amazon.com/sts-regional-endpoint", Key::StsRegionalEndpoints),
            ]
        );
    }

    #[test]
    fn every_value_comes_back_as_it_was_whatever_is_in_it() {
        let values = ["r3:arn", "é:\u{0}", "12", ":", "~1:x", "a\nb", " x ", "0:", "p4:true"];
        let names = Key::ALL.map(|key| format!("{DEFAULT_ANNOTATION_PREFIX}/{}", key.name()));
        let pairs: Vec<_> = names.iter().map(String::as_str).zip(values).collect();
        let read = read(&pairs);
        assert_eq!(Key::ALL.map(|key| read.value(key)), values.map(Some));
        let letters: std::collections::BTreeSet<_> = Key::ALL.iter().map(|k| k.letter()).collect();
        assert_eq!(letters.len(), Key::ALL.len());
        assert!(!letters.contains(&NEAR_MISS));
        assert_eq!(Annotations::read("x", []), Annotations::default());
    }

    #[test]
    fn a_near_miss_beside_the_right_key_needs_nobody() {
        let read =
            read(&[("eks.amazon.com/role-arn", "old"), ("eks.amazonaws.com/role-arn", "new")]);
        assert_eq!(read.near_misses(DEFAULT_ANNOTATION_PREFIX).count(), 0);
    }
}
