//! Single values, parsed once: role ARNs, booleans, lifetimes, lists of names.
//!
//! A value that cannot be read is not an error here: the next source counts and the reader is
//! told. Nothing in this file decides between sources.

use std::borrow::Cow;
use std::collections::HashSet;
use std::num::IntErrorKind;

/// The shortest lifetime that the API server accepts for a bound token: 10 minutes
/// (`TokenRequestSpec.expirationSeconds` of the Kubernetes API).
pub const MIN_EXPIRATION_SECONDS: u64 = 600;

/// The longest lifetime that the API server's validation accepts: 2^32 seconds
/// (`ValidateTokenRequest` of Kubernetes).
pub const MAX_EXPIRATION_SECONDS: u64 = 1 << 32;

/// The default of `--token-expiration`: a day, in seconds.
pub const DEFAULT_EXPIRATION_SECONDS: u64 = 86_400;

/// An IAM role, as far as its ARN can be judged without asking AWS.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Role<'a> {
    /// `arn:<partition>:iam::<account>:role/<path and name>`.
    Valid(Cow<'a, str>),
    /// Something else; kept as it stood.
    Invalid(Cow<'a, str>),
}

/// What completes a bare role name to an ARN (`--compose-role-arn`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Composer {
    partition: Box<str>,
    account: Box<str>,
}

/// What a partition or an account id must look like.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ComposerError {
    /// Not `aws` with lower-case letters, digits and dashes behind it.
    #[error("a partition is aws, aws-cn, aws-us-gov or the like")]
    Partition,
    /// Not twelve digits.
    #[error("an account id is twelve digits, such as 111122223333")]
    Account,
}

/// A list of container names as an annotation writes it: comma separated, spaces trimmed, empty
/// ones left out. Both the list and the Pod may be as long as a body: looking a name up must not
/// walk the list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Names<'a> {
    listed: Vec<&'a str>,
    set: HashSet<&'a str>,
}

/// A value that is not of its type; what is allowed is the reader's to say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Unreadable;

// === impl Role ===

impl<'a> Role<'a> {
    /// Judges `value` as it stands, completed by `composer` when there is no `arn:` in it.
    pub fn read(value: &'a str, composer: Option<&Composer>) -> Self {
        let arn = match composer {
            Some(composer) if !value.contains("arn:") => Cow::Owned(composer.arn(value)),
            _ => Cow::Borrowed(value),
        };
        if is_role_arn(&arn) { Self::Valid(arn) } else { Self::Invalid(arn) }
    }

    /// The partition and the account of a valid one, such as `aws` and `111122223333`.
    pub fn partition_and_account(&self) -> Option<(&str, &str)> {
        let Self::Valid(arn) = self else { return None };
        let mut parts = arn.split(':').skip(1);
        Some((parts.next()?, parts.nth(2)?))
    }

    /// The text that goes into `AWS_ROLE_ARN`.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Valid(arn) | Self::Invalid(arn) => arn,
        }
    }
}

/// `^arn:aws[a-z0-9-]*:iam::[0-9]{12}:role/[A-Za-z0-9_\-/.@+=,]+$`
fn is_role_arn(s: &str) -> bool {
    let mut parts = s.splitn(6, ':');
    let mut next = || parts.next().unwrap_or_default();
    next() == "arn"
        && is_partition(next())
        && next() == "iam"
        && next().is_empty()
        && is_account(next())
        && next().strip_prefix("role/").is_some_and(|name| {
            !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-/.@+=,".contains(&b))
        })
}

fn is_partition(s: &str) -> bool {
    s.strip_prefix("aws").is_some_and(|rest| {
        rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    })
}

fn is_account(s: &str) -> bool {
    s.len() == 12 && s.bytes().all(|b| b.is_ascii_digit())
}

// === impl Composer ===

impl Composer {
    /// Composes ARNs of `partition` (such as `aws-cn`) and `account` (twelve digits).
    pub fn new(partition: &str, account: &str) -> Result<Self, ComposerError> {
        if !is_partition(partition) {
            return Err(ComposerError::Partition);
        }
        if !is_account(account) {
            return Err(ComposerError::Account);
        }
        Ok(Self { partition: partition.into(), account: account.into() })
    }

    /// The partition.
    pub fn partition(&self) -> &str {
        &self.partition
    }

    /// The account.
    pub fn account(&self) -> &str {
        &self.account
    }

    fn arn(&self, role: &str) -> String {
        let Self { partition, account } = self;
        format!("arn:{partition}:iam::{account}:role/{role}")
    }
}

// === impl Names ===

impl<'a> Names<'a> {
    /// Reads a comma separated list.
    pub fn read(list: &'a str) -> Self {
        let listed: Vec<_> =
            list.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        let set = listed.iter().copied().collect();
        Self { listed, set }
    }

    /// Each name, in the list's order.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> {
        self.listed.iter().copied()
    }

    /// Whether `name` is in the list.
    pub fn contains(&self, name: &str) -> bool {
        self.set.contains(name)
    }
}

/// Go's `strconv.ParseBool`, which the existing webhooks read booleans with.
pub fn boolean(value: &str) -> Result<bool, Unreadable> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(Unreadable),
    }
}

/// A boolean for which `enabled` means true as well, as the Pod's label has it.
pub fn switch(value: &str) -> Result<bool, Unreadable> {
    if value == "enabled" { Ok(true) } else { boolean(value) }
}

/// A token lifetime in seconds, brought between [`MIN_EXPIRATION_SECONDS`] and
/// [`MAX_EXPIRATION_SECONDS`], however long the number is.
pub fn expiration(value: &str) -> Result<u64, Unreadable> {
    // Overflow is reported as soon as it happens, whatever follows.
    let is_whole = value.trim_start_matches(['+', '-']).bytes().all(|b| b.is_ascii_digit());
    match value.parse::<i64>().map_err(|error| *error.kind()) {
        Ok(seconds) => Ok(bound_expiration(seconds)),
        Err(IntErrorKind::PosOverflow) if is_whole => Ok(MAX_EXPIRATION_SECONDS),
        Err(IntErrorKind::NegOverflow) if is_whole => Ok(MIN_EXPIRATION_SECONDS),
        Err(_) => Err(Unreadable),
    }
}

/// Brings a lifetime between the floor and the ceiling.
pub fn bound_expiration(seconds: i64) -> u64 {
    u64::try_from(seconds).unwrap_or(0).clamp(MIN_EXPIRATION_SECONDS, MAX_EXPIRATION_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_arn_is_judged_by_its_form() {
        for arn in [
            "arn:aws:iam::111122223333:role/s3-reader",
            "arn:aws-cn:iam::111122223333:role/path/to/name",
            "arn:aws-eusc:iam::444455556666:role/a+b=c,d.e@f-g_h",
            "arn:aws-iso-b:iam::444455556666:role/x",
        ] {
            assert_eq!(Role::read(arn, None), Role::Valid(arn.into()), "{arn}");
        }
        let role = Role::read("arn:aws-cn:iam::111122223333:role/a", None);
        assert_eq!(role.partition_and_account(), Some(("aws-cn", "111122223333")));
        for arn in [
            "arn:aws:iam::11112222333:role/x",
            "arn:aws:iam::111122223333:user/x",
            "arn:aws:iam::111122223333:role/",
            "arn:gcp:iam::111122223333:role/x",
            "arn:aws:sts::111122223333:role/x",
            "arn:aws:iam:eu-west-1:111122223333:role/x",
            "\"arn:aws:iam::111122223333:role/x\"",
            "arn:aws:iam::111122223333:role/x ",
            "arn:aws:iam::111122223333:role/a:b",
            "s3-reader",
            "",
        ] {
            assert_eq!(Role::read(arn, None), Role::Invalid(arn.into()), "{arn}");
        }
    }

    /// F15: aws-eusc and every other partition is composed as it is given, never guessed.
    #[test]
    fn a_bare_role_name_is_composed() {
        let composer = Composer::new("aws-eusc", "111122223333").unwrap();
        assert_eq!(
            Role::read("team/app", Some(&composer)).as_str(),
            "arn:aws-eusc:iam::111122223333:role/team/app"
        );
        let whole = "arn:aws:iam::444455556666:role/x";
        assert_eq!(Role::read(whole, Some(&composer)), Role::Valid(whole.into()));
        let quoted = "\"arn:aws:iam::444455556666:role/x\"";
        assert_eq!(Role::read(quoted, Some(&composer)), Role::Invalid(quoted.into()));
        assert_eq!(Composer::new("azure", "111122223333"), Err(ComposerError::Partition));
        assert_eq!(Composer::new("aws", "1111"), Err(ComposerError::Account));
    }

    #[test]
    fn booleans_are_those_of_go() {
        for value in ["1", "t", "T", "true", "TRUE", "True"] {
            assert_eq!(boolean(value), Ok(true));
        }
        for value in ["0", "f", "F", "false", "FALSE", "False"] {
            assert_eq!(boolean(value), Ok(false));
        }
        for value in ["", "yes", "tRUE", "enabled", " true"] {
            assert_eq!(boolean(value), Err(Unreadable));
        }
        assert_eq!(switch("enabled"), Ok(true));
    }

    /// F7: the floor is 600 s, the API server's own.
    #[test]
    fn a_lifetime_is_kept_between_floor_and_ceiling() {
        assert_eq!(expiration("3600"), Ok(3600));
        assert_eq!(expiration("599"), Ok(600));
        assert_eq!(expiration("-1"), Ok(600));
        assert_eq!(expiration("4294967297"), Ok(1 << 32));
        assert_eq!(expiration("1h"), Err(Unreadable));
        assert_eq!(expiration("99999999999999999999"), Ok(1 << 32));
        assert_eq!(expiration("-99999999999999999999"), Ok(600));
        assert_eq!(expiration("99999999999999999999s"), Err(Unreadable));
        assert_eq!(expiration("3600.0"), Err(Unreadable));
    }

    /// N26: a space behind the comma is no part of the name.
    #[test]
    fn a_list_of_names_is_trimmed() {
        let names = Names::read(" a, b ,,c\t");
        assert_eq!(names.iter().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert!(names.contains("b") && !names.contains(""));
    }
}
