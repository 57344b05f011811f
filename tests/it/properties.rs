//! What holds of all Pods, not only of those that somebody thought of.
//!
//! Pods, accounts, mappings and flags are made up, with unknown fields at every level, odd keys,
//! missing, `null` and empty lists, and whatever may clash with ours. 512 of them by default;
//! `PROPTEST_CASES` makes more. What is asserted is in `oracle`; here are the Pods.

use pod_identity_webhook::accounts::{Credentials, Mappings};
use pod_identity_webhook::admission::Endpoint;
use pod_identity_webhook::cli::{self, Command};
use pod_identity_webhook::identity::glob::Glob;
use pod_identity_webhook::identity::{Annotations, RolePolicy, Rule, Unruled};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use serde_json::{Map, Value, json};

use crate::oracle::{Name, World, check_patch};

/// Stands in every value that nobody may repeat: variables and fields that are not known.
const MARKER: &str = "a-secret-of-theirs";

const IRSA_PATH: &str = "/var/run/secrets/eks.amazonaws.com/serviceaccount";
const POD_IDENTITY_PATH: &str = "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount";
const ROLE: &str = "arn:aws:iam::111122223333:role/cart";

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_reply_keeps_what_every_reply_owes(world in world(), review in review()) {
        let body = serde_json::to_vec(&review).unwrap();
        let lenient = world.reply(&body, Endpoint::Lenient);
        let strict = world.reply(&body, Endpoint::Strict);
        for reply in [&lenient, &strict] {
            prop_assert!(!reply.review.to_string().contains(MARKER));
            let patch = reply.patch.as_ref().map(Value::to_string).unwrap_or_default();
            prop_assert!(!patch.contains(MARKER), "{}", patch);
            if let Some(patch) = &reply.patch {
                check_patch(&world, &review, patch);
            }
        }
        if strict.allowed() {
            prop_assert_eq!(&strict.review, &lenient.review);
        }
    }

    #[test]
    fn no_bytes_end_in_a_panic(world in world(), bytes in vec(any::<u8>(), 0..200)) {
        let _ = world.bytes(&bytes, Endpoint::Lenient);
    }

    /// What is nearly a review gets further than what is none.
    #[test]
    fn no_damage_to_a_review_ends_in_a_panic(
        world in world(),
        review in review(),
        damage in vec((any::<Index>(), any::<u8>()), 0..4),
        cut in option::of(any::<Index>()),
    ) {
        let mut body = serde_json::to_vec(&review).unwrap();
        for (at, byte) in damage {
            let at = at.index(body.len());
            body[at] = byte;
        }
        if let Some(cut) = cut {
            body.truncate(cut.index(body.len()));
        }
        for endpoint in [Endpoint::Lenient, Endpoint::Strict] {
            if let Ok(reply) = world.bytes(&body, endpoint) {
                prop_assert!(serde_json::from_slice::<Value>(&reply).is_ok());
            }
        }
    }

    /// A member of any type in any place: what cannot be read is answered, what can be is patched.
    #[test]
    fn no_member_of_another_type_spoils_the_patch(
        world in world(),
        mut review in review(),
        at in any::<Index>(),
        other in prop_oneof![
            Just(json!(null)), Just(json!([])), Just(json!({})), Just(json!("")), Just(json!(7)),
            Just(json!([{}])), Just(json!([[], []])), Just(json!({"name": []})),
        ],
    ) {
        let places = places(&review["request"]["object"]);
        let place = &places[at.index(places.len())];
        *review["request"]["object"].pointer_mut(place).unwrap() = other;
        let body = serde_json::to_vec(&review).unwrap();
        if let Some(patch) = &world.reply(&body, Endpoint::Lenient).patch {
            check_patch(&world, &review, patch);
        }
    }
}

fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig {
        cases: cases.unwrap_or(512),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// The pointers of everything in `value`, its own among them.
fn places(value: &Value) -> Vec<String> {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| (key.replace('~', "~0").replace('/', "~1"), value))
            .collect(),
        Value::Array(list) => {
            list.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect()
        }
        _ => Vec::new(),
    };
    let inner = inner.into_iter().flat_map(|(token, value)| {
        places(value).into_iter().map(move |rest| format!("/{token}{rest}"))
    });
    std::iter::once(String::new()).chain(inner).collect()
}

// === the world ===

fn world() -> impl Strategy<Value = World> {
    (
        flags(),
        ["shop", "prod"].map(|namespace| {
            annotations_of_an_account()
                .prop_map(move |pairs| ((namespace.to_owned(), "cart".to_owned()), pairs))
        }),
        vec((key(), mapping()), 0..3),
        vec(name(), 0..2),
        option::weighted(0.3, policy()),
        prop_oneof![19 => Just(None), 1 => Just(Some("the API server did not answer in time"))],
    )
        .prop_map(|(flags, accounts, mappings, credentials, role_policy, outage)| {
            let args = ["pod-identity-webhook", "mutate", "-f", "-"];
            let settings = match cli::parse(args.into_iter().chain(flags)) {
                Ok(Command::Mutate(settings)) => settings.injection.settings,
                other => panic!("{other:?}"),
            };
            let mappings = Value::Object(mappings.into_iter().collect()).to_string();
            let (mappings, _) = Mappings::parse(&mappings).unwrap();
            let identities = credentials.into_iter().map(
                |(namespace, account)| json!({ "namespace": namespace, "serviceAccount": account }),
            );
            let credentials = json!({ "identities": identities.collect::<Vec<_>>() }).to_string();
            let (credentials, _) = Credentials::parse(credentials.as_bytes()).unwrap();
            let prefix = settings.defaults.annotation_prefix.clone();
            let read = |pairs: Vec<(String, String)>| {
                Annotations::read(&prefix, pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())))
            };
            World {
                accounts: accounts.into_iter().map(|(name, pairs)| (name, read(pairs))).collect(),
                outage,
                mappings,
                credentials,
                role_policy,
                settings,
            }
        })
}

fn flags() -> impl Strategy<Value = Vec<&'static str>> {
    let flags = vec![
        "--token-audience=flag",
        "--token-mount-path=/run/aws/",
        "--token-expiration=600",
        "--aws-default-region=eu-west-1",
        "--region-with-env-from=skip",
        "--sts-regional-endpoint",
        "--role-session-name",
        "--invalid-role-arn=skip",
        "--invalid-role-arn=deny",
        "--role-not-allowed=inject",
        "--role-not-allowed=deny",
        "--container-credentials-token-mount-path=/run/agent",
        "--container-credentials-token-volume-name=data",
        "--container-credentials-token-path=dir/jwt",
        "--container-credentials-full-uri=http://[fd00:ec2::23]/v1/credentials",
    ];
    (subsequence(flags, 0..5), prop::bool::weighted(0.1)).prop_map(|(mut flags, other)| {
        flags.extend(other.then_some("--annotation-prefix=example.com"));
        flags
    })
}

fn name() -> impl Strategy<Value = Name> {
    (select(vec!["shop", "prod"]), account())
        .prop_map(|(namespace, name)| (namespace.to_owned(), name.to_owned()))
}

fn account() -> impl Strategy<Value = &'static str> {
    select(vec!["cart", "default"])
}

fn key() -> impl Strategy<Value = String> {
    select(vec!["shop/cart", "*/cart", "shop/*", "sh*/*", "*/*"]).prop_map(str::to_owned)
}

fn policy() -> impl Strategy<Value = RolePolicy> {
    let rule = (
        select(vec!["shop", "sh*", "prod", "*"]),
        select(vec!["*", "arn:aws:iam::111122223333:role/*", "arn:aws:iam::444455556666:*"]),
    );
    let rule = rule.prop_map(|(namespace, role)| Rule {
        namespaces: vec![Glob::new(namespace)],
        roles: vec![Glob::new(role)],
    });
    (vec(rule, 0..3), select(vec![Unruled::Allow, Unruled::Deny]))
        .prop_map(|(rules, default)| RolePolicy { default, rules })
}

fn mapping() -> impl Strategy<Value = Value> {
    object(vec![
        ("RoleARN", one_of(vec![json!(ROLE), json!("cart"), json!("")])),
        ("Audience", one_of(vec![json!("mapped"), json!(null)])),
        ("UseRegionalSTS", one_of(vec![json!(true), json!(false)])),
        ("TokenExpiration", one_of(vec![json!(0), json!(600), json!(86_400)])),
    ])
}

fn annotations_of_an_account() -> impl Strategy<Value = Vec<(String, String)>> {
    let identity = prop_oneof![
        6 => Just(Some(("role-arn", ROLE))),
        6 => Just(Some(("pod-identity", "true"))),
        1 => Just(Some(("pod-identity", "maybe"))),
        1 => Just(Some(("role-arn", "'arn:aws:iam::1:role/x'"))),
        1 => Just(Some(("Role-Arn", ROLE))),
        1 => Just(None),
    ];
    let settings = vec![
        ("audience", "annotated"),
        ("token-expiration", "1h"),
        ("token-expiration", "86400"),
        ("sts-regional-endpoints", "T"),
        ("sts-regional-endpoint", "true"),
        ("skip-containers", "a, b"),
        ("include-containers", "a,c"),
        ("region", "ap-south-1"),
        ("role-session-name", "true"),
    ];
    (prefix(), identity, subsequence(settings, 0..4)).prop_map(|(prefix, identity, settings)| {
        let pairs = identity.into_iter().chain(settings);
        pairs
            .into_iter()
            .map(|(key, value)| (format!("{prefix}/{key}"), value.to_owned()))
            .collect()
    })
}

fn prefix() -> impl Strategy<Value = &'static str> {
    prop_oneof![10 => Just("eks.amazonaws.com"), 1 => Just("example.com"), 1 => Just("eks.amazon.com")]
}

// === the review ===

fn review() -> impl Strategy<Value = Value> {
    let versions = select(vec!["admission.k8s.io/v1", "admission.k8s.io/v1beta1"]);
    let uids = select(vec!["705ab4f5-6393-11e8-b7cc-42010a800002", "\"\\ü/\u{7}"]);
    let updates = prop::bool::weighted(0.3);
    (versions, uids, pod(), updates, any::<Index>(), name()).prop_map(
        |(version, uid, pod, updates, known, (namespace, _))| {
            let mut review = json!({
                "apiVersion": version,
                "kind": "AdmissionReview",
                "request": {
                    "uid": uid,
                    "resource": { "group": "", "version": "v1", "resource": "pods" },
                    "namespace": namespace,
                    "operation": "CREATE",
                    "object": pod.clone(),
                    "oldObject": null,
                },
            });
            if updates {
                // Without a token volume, which none can be added to by now, there is no more to see.
                let standing = [
                    token_volume("sts.amazonaws.com", "token"),
                    token_volume("pods.eks.amazonaws.com", "eks-pod-identity-token"),
                ];
                let volumes = review.pointer_mut("/request/object/spec/volumes");
                if let Some(volumes) = volumes.and_then(Value::as_array_mut) {
                    volumes.extend(standing);
                }
                let mut before = pod;
                let list = before.pointer_mut("/spec/ephemeralContainers");
                if let Some(list) = list.and_then(Value::as_array_mut) {
                    // Some of them are old; new ones may stand before them.
                    list.drain(..known.index(list.len() + 1));
                }
                review["request"]["operation"] = "UPDATE".into();
                review["request"]["subResource"] = "ephemeralcontainers".into();
                review["request"]["oldObject"] = before;
            }
            review
        },
    )
}

fn pod() -> impl Strategy<Value = Value> {
    let metadata = prop_oneof![
        1 => Just(None),
        1 => Just(Some(Value::Null)),
        8 => metadata().prop_map(Some),
    ];
    let spec = prop_oneof![
        1 => Just(None),
        1 => Just(Some(Value::Null)),
        48 => spec().prop_map(Some),
    ];
    object(vec![
        ("apiVersion", Just(Some(json!("v1"))).boxed()),
        ("metadata", metadata.boxed()),
        ("spec", spec.boxed()),
    ])
}

fn metadata() -> impl Strategy<Value = Value> {
    let long = "a".repeat(65);
    let names = vec![json!("cart"), json!("a"), json!(long), json!(null), json!("")];
    let pairs = vec![
        ("eks.amazonaws.com/pod-identity", "enabled"),
        ("eks.amazonaws.com/pod-identity", "no"),
        ("a~1b/c~", "x"),
        ("ünï", ""),
    ];
    let skips = prop::bool::weighted(0.03);
    let labels = (subsequence(pairs, 0..4), skips).prop_map(|(mut labels, skips)| {
        labels.extend(skips.then_some(("eks.amazonaws.com/skip-pod-identity-webhook", "")));
        Value::Object(labels.into_iter().map(|(k, v)| (k.to_owned(), v.into())).collect())
    });
    let annotations = (prefix(), vec(0..3_usize, 4)).prop_map(|(prefix, chosen)| {
        let pairs = [
            ("token-expiration", ["1000", "soon"]),
            ("skip-containers", ["a", " b ,ghost\u{1b}"]),
            ("include-containers", ["a,b,c", ","]),
            ("unheard-of", ["x", ""]),
        ];
        let chosen = pairs.iter().zip(chosen).filter_map(|((key, values), at)| {
            Some((format!("{prefix}/{key}"), Value::from(*values.get(at)?)))
        });
        Value::Object(chosen.collect())
    });
    object(vec![
        ("name", one_of(names)),
        ("generateName", one_of(vec![json!("cart-")])),
        ("labels", maybe(labels)),
        ("annotations", maybe(annotations)),
    ])
}

fn spec() -> impl Strategy<Value = Value> {
    let windows = json!({ "kubernetes.io/os": "windows" });
    let terms = json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{ "matchExpressions": [
            { "key": "kubernetes.io/os", "operator": "In", "values": ["windows"] },
        ] }],
    } } });
    let accounts = prop_oneof![
        12 => Just(Some(json!("cart"))),
        1 => one_of(vec![json!(""), json!(null)]),
    ];
    object(vec![
        ("serviceAccountName", accounts.boxed()),
        ("schedulerName", rarely(json!("fargate-scheduler"))),
        ("nodeSelector", rarely(windows)),
        ("os", rarely(json!({ "name": "windows" }))),
        ("affinity", rarely(terms)),
        ("volumes", list(volume(), 0..5)),
        ("initContainers", list(container(), 0..3)),
        ("containers", list(container(), 0..8)),
        ("ephemeralContainers", list(container(), 0..4)),
    ])
}

fn volume() -> impl Strategy<Value = Value> {
    let audiences = one_of(vec![
        json!("sts.amazonaws.com"),
        json!("pods.eks.amazonaws.com"),
        json!("flag"),
        json!(null),
    ]);
    let paths = one_of(vec![json!("token"), json!("eks-pod-identity-token"), json!("dir/jwt")]);
    let token = object(vec![("audience", audiences), ("path", paths)]);
    let source = object(vec![
        ("serviceAccountToken", maybe(token)),
        ("secret", rarely(json!({ "name": "s" }))),
    ]);
    let projected = object(vec![("sources", list(source, 1..3))]);
    let other = object(vec![
        ("name", volume_name()),
        ("emptyDir", rarely(json!({}))),
        ("projected", maybe(projected)),
    ]);
    let names = select(vec!["aws-iam-token", "eks-pod-identity-token", "data"]);
    let tokens = select(vec![
        ("sts.amazonaws.com", "token"),
        ("pods.eks.amazonaws.com", "eks-pod-identity-token"),
    ]);
    let ours = (names, tokens).prop_map(|(name, (audience, path))| {
        let mut volume = token_volume(audience, path);
        volume["name"] = name.into();
        volume
    });
    prop_oneof![2 => other, 1 => ours]
}

fn token_volume(audience: &str, path: &str) -> Value {
    let token = json!({ "audience": audience, "expirationSeconds": 3600, "path": path });
    json!({ "name": path, "projected": { "sources": [{ "serviceAccountToken": token }] } })
}

fn volume_name() -> BoxedStrategy<Option<Value>> {
    one_of(vec![
        json!("aws-iam-token"),
        json!("aws-iam-token-2"),
        json!("eks-pod-identity-token"),
        json!("eks-pod-identity-token-2"),
        json!("data"),
        json!("ü~/"),
    ])
}

fn container() -> impl Strategy<Value = Value> {
    let names = one_of(["a", "b", "c", "d~/", "e\n"].map(Value::from).to_vec());
    let variables = [
        "AWS_ROLE_ARN",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_STS_REGIONAL_ENDPOINTS",
        "AWS_ROLE_SESSION_NAME",
        "AWS_ACCESS_KEY_ID",
        "LANG",
        "PATH",
    ];
    let variable = object(vec![
        ("name", one_of(variables.map(Value::from).to_vec())),
        ("value", one_of(vec![json!(MARKER)])),
        ("valueFrom", rarely(json!({ "secretKeyRef": { "name": MARKER } }))),
    ]);
    let paths = one_of(vec![
        json!(IRSA_PATH),
        json!(format!("{IRSA_PATH}/")),
        json!(POD_IDENTITY_PATH),
        json!(format!("{POD_IDENTITY_PATH}/")),
        json!("/run/aws"),
        json!("/run/agent"),
        json!("/data"),
    ]);
    let mount = object(vec![
        ("name", volume_name()),
        ("mountPath", paths.clone()),
        ("subPath", one_of(vec![json!(""), json!("x"), json!(null)])),
        ("subPathExpr", rarely(json!("$(X)"))),
    ]);
    let device = object(vec![("devicePath", paths)]);
    object(vec![
        ("name", names),
        ("env", list(variable, 0..4)),
        ("envFrom", list(junk(), 0..2)),
        ("volumeMounts", list(mount, 0..3)),
        ("volumeDevices", rarely_list(device)),
    ])
}

// === JSON ===

type Member = (&'static str, BoxedStrategy<Option<Value>>);

/// An object of `members`, those that are there, and now and then one that nobody knows.
fn object(members: Vec<Member>) -> BoxedStrategy<Value> {
    let (names, values): (Vec<_>, Vec<_>) = members.into_iter().unzip();
    let unknown =
        prop_oneof![3 => Just(None), 1 => (odd_key(), junk(), any::<Index>()).prop_map(Some)];
    (values, unknown)
        .prop_map(move |(values, unknown)| {
            let mut members: Vec<(String, Value)> = names
                .iter()
                .zip(values)
                .filter_map(|(name, value)| Some(((*name).to_owned(), value?)))
                .collect();
            if let Some((key, value, at)) = unknown {
                members.insert(at.index(members.len() + 1), (key.to_owned(), value));
            }
            Value::Object(members.into_iter().collect::<Map<_, _>>())
        })
        .boxed()
}

fn odd_key() -> impl Strategy<Value = &'static str> {
    select(vec!["tomorrow", "a/b", "a~b", "~1", "ünïcödé", "", "with space", "\"\\\n"])
}

/// A value of no type that is known, with the marker in it.
fn junk() -> BoxedStrategy<Value> {
    let leaf = select(vec![
        json!(MARKER),
        json!(null),
        json!(true),
        json!(0),
        json!(2.5),
        json!(u64::MAX),
        json!(-1e-9),
        json!("~/\u{2028}\u{0}"),
        json!({}),
        json!([]),
    ]);
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::Array),
            vec((odd_key(), inner), 0..3).prop_map(|members| {
                Value::Object(members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
            }),
        ]
    })
    .boxed()
}

fn list(
    element: impl Strategy<Value = Value> + 'static,
    length: std::ops::Range<usize>,
) -> BoxedStrategy<Option<Value>> {
    maybe(vec(element, length).prop_map(Value::Array))
}

fn rarely_list(element: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Option<Value>> {
    prop_oneof![
        6 => Just(None),
        1 => Just(Some(Value::Null)),
        1 => vec(element, 0..2).prop_map(|list| Some(Value::Array(list))),
    ]
    .boxed()
}

/// Missing, `null`, or there.
fn maybe(value: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Option<Value>> {
    prop_oneof![1 => Just(None), 1 => Just(Some(Value::Null)), 10 => value.prop_map(Some)].boxed()
}

fn one_of(values: Vec<Value>) -> BoxedStrategy<Option<Value>> {
    prop_oneof![1 => Just(None), 5 => select(values).prop_map(Some)].boxed()
}

fn rarely(value: Value) -> BoxedStrategy<Option<Value>> {
    prop_oneof![8 => Just(None), 1 => Just(Some(value))].boxed()
}
