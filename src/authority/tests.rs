//! Certificates as clients see them, and the Secret's data, whatever it is.

use std::{
    collections::BTreeMap,
    fs,
    process::Command,
    sync::Arc,
    time::{Duration, SystemTime},
};

use proptest::prelude::*;
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

use super::{certificate::parse, *};
use crate::tls;

type Data = BTreeMap<String, Vec<u8>>;

const YEAR: Duration = Duration::from_hours(365 * 24);
const WEEK: Duration = Duration::from_hours(7 * 24);

/// A moment in whole seconds: certificates have no others.
fn now() -> SystemTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

fn ca() -> Ca {
    Ca::make(Validity::starting(now(), YEAR)).unwrap()
}

fn names() -> ServiceNames {
    ServiceNames::new("pod-identity-webhook", "eks")
}

fn leaf(ca: &Ca) -> Leaf {
    Leaf::signed_by(ca, Validity::starting(now(), WEEK), &names()).unwrap()
}

fn der(pem: &[u8]) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem).unwrap()
}

/// A client that trusts this bundle.
fn verify(bundle: &Bundle, leaf: &Leaf, name: &str, at: SystemTime) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bundle.bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let at = UnixTime::since_unix_epoch(at.duration_since(SystemTime::UNIX_EPOCH).unwrap());
    let name = ServerName::try_from(name.to_owned()).unwrap();
    verifier.verify_server_cert(&der(leaf.certificate()), &[], &name, &[], at).map(|_| ())
}

/// A ledger with everything in it.
fn full() -> Ledger {
    let until = now() + WEEK + Duration::from_nanos(123);
    Ledger::new(ca())
        .followed_by(ca(), until)
        .retiring(ca().certificate().clone(), until)
        .retiring(ca().certificate().clone(), until + WEEK)
}

fn written(ledger: &Ledger) -> Data {
    ledger.write(&Data::new())
}

// --- certificates

#[test]
fn each_name_of_the_service_verifies_and_no_other() {
    let ca = ca();
    let (leaf, bundle) = (leaf(&ca), Ledger::new(ca).bundle());
    let mut count = 0;
    for name in names().iter() {
        verify(&bundle, &leaf, name, now()).unwrap();
        count += 1;
    }
    assert_eq!(count, 4);
    for name in ["other.eks.svc", "pod-identity-webhook.default.svc", "eks.svc"] {
        verify(&bundle, &leaf, name, now()).unwrap_err();
    }
}

#[test]
fn a_leaf_verifies_with_any_bundle_that_has_its_ca_and_with_no_other() {
    let ledger = full();
    let name = "pod-identity-webhook.eks.svc";
    for signer in [ledger.current(), ledger.next().unwrap()] {
        verify(&ledger.bundle(), &leaf(signer), name, now()).unwrap();
    }
    verify(&ledger.bundle(), &leaf(&ca()), name, now()).unwrap_err();
}

#[test]
fn validity_begins_five_minutes_back_and_ends_when_it_was_asked_to() {
    let (ca, at) = (ca(), now());
    let leaf = Leaf::signed_by(&ca, Validity::starting(at, WEEK), &names()).unwrap();
    let bundle = Ledger::new(ca).bundle();
    let name = "pod-identity-webhook.eks.svc";
    let verify = |at| verify(&bundle, &leaf, name, at);
    verify(at - BACKDATE).unwrap();
    verify(at + WEEK).unwrap();
    verify(at - BACKDATE - Duration::from_secs(1)).unwrap_err();
    verify(at + WEEK + Duration::from_secs(1)).unwrap_err();
}

#[test]
fn a_leaf_ends_with_its_ca_at_the_latest() {
    let ca = Ca::make(Validity::starting(now(), WEEK)).unwrap();
    let leaf = Leaf::signed_by(&ca, Validity::starting(now(), YEAR), &names()).unwrap();
    assert_eq!(leaf.serving().validity.not_after, ca.validity().not_after);
    let der = der(leaf.certificate());
    let parsed = parse(&der).unwrap();
    let end = ca.validity().not_after.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(parsed.validity().not_after.timestamp(), i64::try_from(end.as_secs()).unwrap());
}

#[test]
fn an_expired_ca_signs_nothing_and_is_named() {
    let long_ago = now() - YEAR;
    let ca = Ca::make(Validity::starting(long_ago, WEEK)).unwrap();
    let error = Leaf::signed_by(&ca, Validity::starting(now(), WEEK), &names()).unwrap_err();
    assert!(matches!(error, LeafError::CaExpired { ca: id } if id == ca.id()), "{error}");
}

#[test]
fn certificates_say_what_they_are_for() {
    let ca = ca();
    let own = parse(ca.certificate().der()).unwrap();
    let constraints = own.basic_constraints().unwrap().unwrap();
    assert!(constraints.critical && constraints.value.ca);
    assert_eq!(constraints.value.path_len_constraint, Some(0));
    assert!(own.key_usage().unwrap().unwrap().value.key_cert_sign());
    assert!(own.subject().to_string().starts_with("CN=pod-identity-webhook CA "));

    let pem = leaf(&ca);
    let der = der(pem.certificate());
    let leaf = parse(&der).unwrap();
    assert!(!leaf.basic_constraints().unwrap().unwrap().value.ca);
    let usage = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && !usage.client_auth && !usage.any);
    let identifiers = leaf.iter_extensions().map(|extension| extension.oid.to_id_string());
    let identifiers: Vec<_> = identifiers.collect();
    // subjectKeyIdentifier and authorityKeyIdentifier (RFC 5280, 4.2.1).
    assert!(identifiers.contains(&"2.5.29.14".to_owned()), "{identifiers:?}");
    assert!(identifiers.contains(&"2.5.29.35".to_owned()), "{identifiers:?}");
    leaf.verify_signature(Some(own.public_key())).unwrap();
    own.verify_signature(None).unwrap();
}

#[test]
fn two_cas_differ_in_name_and_key() {
    let (one, other) = (ca(), ca());
    let subject = |ca: &Ca| parse(ca.certificate().der()).unwrap().subject().to_string();
    assert_ne!(subject(&one), subject(&other));
    assert_ne!(one.key(), other.key());
}

#[test]
fn a_leaf_is_a_pair_that_can_be_served() {
    let leaf = leaf(&ca());
    let files = tls::Files { certificate: "tls.crt".into(), key: "tls.key".into() };
    let pair = tls::Pair::parse(leaf.certificate(), leaf.key(), &files, now()).unwrap();
    assert_eq!(pair.not_after(), leaf.serving().validity.not_after);
}

#[test]
fn names_too_long_for_a_common_name_still_verify() {
    let (service, namespace) = ("s".repeat(63), "n".repeat(63));
    let (ca, names) = (ca(), ServiceNames::new(&service, &namespace));
    let leaf = Leaf::signed_by(&ca, Validity::starting(now(), WEEK), &names).unwrap();
    let bundle = Ledger::new(ca).bundle();
    verify(&bundle, &leaf, &format!("{service}.{namespace}.svc"), now()).unwrap();
}

#[test]
fn openssl_accepts_what_is_made() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("skipped: openssl_accepts_what_is_made (no openssl)");
        return;
    }
    let ledger = full();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("bundle.crt"), ledger.bundle().bytes()).unwrap();
    fs::write(path("leaf.crt"), leaf(ledger.current()).certificate()).unwrap();
    let verified = Command::new("openssl")
        .args(["verify", "-x509_strict", "-purpose", "sslserver"])
        .args(["-verify_hostname", "pod-identity-webhook.eks.svc", "-CAfile"])
        .args([path("bundle.crt"), path("leaf.crt")])
        .output()
        .unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

#[test]
fn a_validity_without_end_ends_when_x509_does() {
    let validity = Validity::starting(now(), Duration::MAX);
    let ca = Ca::make(validity).unwrap();
    assert_eq!(ca.validity(), validity);
    assert_eq!(Leaf::signed_by(&ca, validity, &names()).unwrap().serving().validity, validity);
}

#[test]
fn no_key_is_ever_printed() {
    let ca = ca();
    let text = format!("{ca:?} {:?} {:?}", Ledger::new(ca.clone()), leaf(&ca));
    assert!(text.contains("Key(hidden)") && !text.contains("PRIVATE"), "{text}");
}

// --- the Secret

#[test]
fn what_is_written_is_read_again() {
    for ledger in [full(), Ledger::new(ca())] {
        assert_eq!(Ledger::read(&written(&ledger)).unwrap(), ledger);
    }
}

#[test]
fn writing_keeps_the_keys_of_others_and_drops_those_of_ours_that_are_over() {
    let mut present = written(&full());
    present.insert("tls.crt".to_owned(), b"of the Go webhook".to_vec());
    let data = Ledger::new(ca()).write(&present);
    let keys: Vec<_> = data.keys().map(String::as_str).collect();
    assert_eq!(keys, ["ca.crt", "ca.key", "tls.crt"]);
    assert_eq!(data["tls.crt"], b"of the Go webhook");
}

#[test]
fn a_secret_without_our_keys_is_vacant() {
    let others = Data::from([("tls.crt".to_owned(), b"x".to_vec())]);
    for data in [Data::new(), others, Data::from([("ca.crt".to_owned(), Vec::new())])] {
        assert!(matches!(Secret::read(&data, "1".to_owned()), Secret::Vacant { .. }), "{data:?}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    fn refused(change: impl FnOnce(&mut Data)) -> String {
        let mut data = written(&full());
        change(&mut data);
        let error = Ledger::read(&data).unwrap_err();
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        text
    }
    fn set(key: &'static str, value: impl Into<Vec<u8>>) -> impl FnOnce(&mut Data) {
        let value = value.into();
        move |data| {
            data.insert(key.to_owned(), value);
        }
    }
    let other = ca();
    let leaf = leaf(&other);
    let cases = [
        (refused(|data| drop(data.remove("ca.key"))), "has no ca.key"),
        (refused(|data| drop(data.remove("next.crt"))), "has no next.crt"),
        (refused(set("ca.key", other.key().pem())), "key is not that of the certificate"),
        (refused(set("ca.key", "nothing")), "no PEM private key"),
        (refused(set("ca.crt", "nothing")), "no PEM certificate"),
        (refused(set("ca.crt", leaf.certificate())), "not the certificate of a CA"),
        (refused(set("next.crt", full().bundle().bytes())), "4 certificates in it"),
        (refused(set("next.crt", "-----BEGIN CERTIFICATE-----\n")), "not PEM"),
        (
            refused(set("retired.crt", leaf.certificate())),
            "retired.crt of the Secret is not a list",
        ),
        (refused(set("retired.json", "[]")), "retired.json of the Secret is not a JSON object"),
        (refused(set("retired.json", r#"{"a":"soon"}"#)), "has \"soon\" as a time"),
        (
            refused(|data| {
                let current = data["ca.crt"].clone();
                data.insert("retired.crt".to_owned(), current);
            }),
            "retired.crt of the Secret holds a CA that stands elsewhere",
        ),
    ];
    for (told, expected) in cases {
        assert!(told.contains(expected), "{told:?} does not say {expected:?}");
    }
}

#[test]
fn what_can_be_read_of_a_broken_secret_is_salvaged() {
    let ledger = full();
    let mut data = written(&ledger);
    data.insert("ca.key".to_owned(), b"lost".to_vec());
    let Secret::Corrupt { salvaged, .. } = Secret::read(&data, "1".to_owned()) else {
        panic!("not corrupt")
    };
    assert!(ledger.certificates().eq(&salvaged), "{salvaged:?}");
}

#[test]
fn a_foreign_ca_of_openssl_signs_as_well_as_ours() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("skipped: a_foreign_ca_of_openssl_signs_as_well_as_ours (no openssl)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    for (kind, options) in
        [("rsa:2048", vec![]), ("ec", vec!["-pkeyopt", "ec_paramgen_curve:P-384"])]
    {
        let made = Command::new("openssl")
            .args(["req", "-x509", "-nodes", "-days", "9", "-subj", "/O=House/CN=A CA"])
            .args(["-newkey", kind, "-keyout", &path("ca.key"), "-out", &path("ca.crt")])
            .args(options)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let read = |name: &str| fs::read(path(name)).unwrap();
        let ca = Ca::parse(&read("ca.crt"), &read("ca.key")).unwrap();
        let leaf = leaf(&ca);
        let bundle = Ledger::new(ca).bundle();
        verify(&bundle, &leaf, "pod-identity-webhook.eks.svc", now()).unwrap();
    }
}

#[test]
fn a_bundle_is_read_as_leniently_as_an_api_server_does() {
    let (one, other) = (ca(), ca());
    let text = format!(
        "# ours\n{}-----BEGIN CERTIFICATE-----\nbm9uZQ==\n-----END CERTIFICATE-----\n{}",
        one.certificate().pem(),
        other.certificate().pem()
    );
    let bundle = Bundle::read(text.as_bytes());
    assert!(bundle.trusts(one.id()) && bundle.trusts(other.id()));
    assert_eq!(bundle.certificates().len(), 2);
    assert_eq!(Bundle::read(full().bundle().bytes()).certificates().len(), 4);
}

fn damage() -> impl Strategy<Value = Vec<(usize, usize, Vec<u8>)>> {
    let bytes = prop::collection::vec(any::<u8>(), 0..40);
    prop::collection::vec((0..KEYS.len(), any::<usize>(), bytes), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_damaged_secret_is_a_ledger_or_an_error(damage in damage()) {
        static DATA: std::sync::OnceLock<Data> = std::sync::OnceLock::new();
        let mut data = DATA.get_or_init(|| written(&full())).clone();
        for (key, at, bytes) in damage {
            if let Some(value) = data.get_mut(KEYS[key]) {
                let at = at % (value.len() + 1);
                let end = (at + bytes.len()).min(value.len());
                value.splice(at..end, bytes);
            }
        }
        let _ = Secret::read(&data, String::new());
    }

    #[test]
    fn any_secret_is_a_ledger_or_an_error(
        data in prop::collection::btree_map(
            prop::sample::select(KEYS.to_vec()).prop_map(str::to_owned),
            prop::collection::vec(any::<u8>(), 0..200),
            0..6,
        ),
        bundle in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = Secret::read(&data, String::new());
        let _ = Bundle::read(&bundle);
    }

    #[test]
    fn any_der_in_pem_is_a_ca_or_an_error(der in prop::collection::vec(any::<u8>(), 0..300)) {
        let text = certificate::pem(&der);
        let _ = CaCertificate::from_pem(text.as_bytes());
    }
}
