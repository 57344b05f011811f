//! Kinds of Pod on which the two webhooks are of one mind, from a table of dimensions.
//!
//! Each kind takes one variant of every dimension, by a stride of its own for each, so that the
//! variants meet in ever new company and the same kinds come out every time. What the two webhooks
//! see differently is not here but in `differences`, one at a time.

use std::fmt::Write as _;

use serde_json::json;

use super::sketch::{Account, LISTED, LISTED_ROLE, Path, ROLE, Sketch, WEB};

/// How many kinds there are.
pub(super) const COUNT: usize = OF_DIMENSIONS + NAMED.len();
/// How many come of the dimensions.
const OF_DIMENSIONS: usize = 68;

/// What a variant is called, and what it does to the Pod.
type Variant = (&'static str, fn(&mut Sketch));

/// The accounts, by where their identity comes from.
pub(super) const ACCOUNTS: [Account; 9] = [
    WEB,
    Account::of_a_role(
        "tuned",
        &[
            ("role-arn", ROLE),
            ("audience", "custom.example"),
            ("token-expiration", "7200"),
            ("sts-regional-endpoints", "true"),
        ],
    )
    .for_audience("custom.example"),
    Account::of_a_role(
        "floored",
        &[("role-arn", ROLE), ("token-expiration", "300"), ("sts-regional-endpoints", "false")],
    ),
    Account::of_a_role("malformed", &[("role-arn", "arn:aws:iam::111122223333:user/app")]),
    Account::of_a_role("mapped", &[]).for_audience("mapped.example"),
    Account::of_a_role("anywhere", &[]).for_audience("mapped.example"),
    LISTED,
    Account::listed(
        "listed-tuned",
        &[("token-expiration", "7200"), ("sts-regional-endpoints", "true")],
    ),
    Account::of_nothing("nothing", &[("audience", "unused.example")]),
];

const CONTAINERS: [Variant; 5] = [
    ("one", |_| {}),
    ("three", |sketch| {
        sketch.push("containers", json!({ "name": "side", "image": "side" }));
        sketch.push(
            "containers",
            json!({ "name": "more", "image": "more", "env": [], "volumeMounts": [] }),
        );
    }),
    ("init", |sketch| {
        sketch.push("initContainers", json!({ "name": "init", "image": "init" }));
    }),
    ("sidecar", |sketch| {
        let sidecar = json!({ "name": "side", "image": "side", "restartPolicy": "Always" });
        sketch.push("initContainers", json!({ "name": "init", "image": "init" }));
        sketch.push("initContainers", sidecar);
    }),
    ("full", |sketch| {
        let container = &mut sketch.pod["spec"]["containers"][0];
        container["command"] = json!(["app", "--flag"]);
        container["resources"] = json!({ "limits": { "cpu": "1", "memory": "64Mi" } });
        container["ports"] = json!([{ "containerPort": 8080, "name": "http" }]);
        container["livenessProbe"] = json!({ "grpc": { "port": 9000 } });
        container["securityContext"] = json!({ "runAsNonRoot": true, "runAsUser": 1000 });
        container["lifecycle"] = json!({ "preStop": { "sleep": { "seconds": 5 } } });
        sketch.pod["spec"]["securityContext"] = json!({ "fsGroup": 1000 });
        sketch.pod["spec"]["topologySpreadConstraints"] = json!([{
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": { "matchLabels": { "app": "app" } },
            "matchLabelKeys": ["pod-template-hash"],
        }]);
    }),
];

/// What the container `app` sets itself.
const ENV: [Variant; 9] = [
    ("none", |_| {}),
    ("own", |sketch| {
        sketch.env("LOG_LEVEL", "info");
    }),
    ("pair", |sketch| {
        for name in sketch.account.path.pair() {
            sketch.env(name, "of-the-author");
        }
    }),
    ("half-a-pair", |sketch| {
        sketch.env(sketch.account.path.pair()[1], "of-the-author");
    }),
    ("region", |sketch| {
        sketch.env("AWS_REGION", "ap-south-1");
    }),
    ("sts", |sketch| {
        sketch.env("AWS_STS_REGIONAL_ENDPOINTS", "legacy");
    }),
    ("keys", |sketch| {
        let key = json!({ "secretKeyRef": { "name": "keys", "key": "id" } });
        sketch.push_to_app("env", json!({ "name": "AWS_ACCESS_KEY_ID", "valueFrom": key }));
    }),
    ("the-other-path-s", |sketch| {
        let other = match sketch.account.path {
            Path::ContainerCredentials => Path::WebIdentity,
            Path::WebIdentity | Path::None => Path::ContainerCredentials,
        };
        for name in other.pair() {
            sketch.env(name, "of-the-author");
        }
    }),
    ("from", |sketch| {
        let from = json!({ "configMapRef": { "name": "environment" } });
        sketch.push_to_app("envFrom", from);
    }),
];

const VOLUMES: [Variant; 6] = [
    ("the-api-s", |_| {}),
    ("none", |sketch| {
        sketch.pod["spec"]["automountServiceAccountToken"] = json!(false);
    }),
    ("own", |sketch| {
        sketch.own_volume("data").mount("data", "/data");
    }),
    ("ours-unused", |sketch| {
        let (path, audience) = (sketch.account.path, sketch.audience());
        sketch.token_volume(path.volume(), audience);
    }),
    ("ours-mounted", |sketch| {
        let (path, audience) = (sketch.account.path, sketch.audience());
        sketch.token_volume(path.volume(), audience).mount(path.volume(), path.mount_path());
    }),
    ("many", |sketch| {
        sketch.pod["spec"]["automountServiceAccountToken"] = json!(false);
        for name in ["b", "a"] {
            sketch.own_volume(name).mount(name, &format!("/{name}"));
        }
    }),
];

const PLATFORM: [Variant; 5] = [
    ("any", |_| {}),
    ("windows", |sketch| {
        sketch.pod["spec"]["nodeSelector"] = json!({ "kubernetes.io/os": "windows" });
    }),
    ("old-windows", |sketch| {
        sketch.pod["spec"]["nodeSelector"] = json!({ "beta.kubernetes.io/os": "windows" });
    }),
    ("fargate", |sketch| {
        sketch.pod["spec"]["schedulerName"] = json!("fargate-scheduler");
    }),
    ("arm", |sketch| {
        let selector = json!({ "kubernetes.io/os": "linux", "kubernetes.io/arch": "arm64" });
        sketch.pod["spec"]["nodeSelector"] = selector;
    }),
];

const ANNOTATIONS: [Variant; 7] = [
    ("none", |_| {}),
    ("skip-one", |sketch| {
        sketch.push("containers", json!({ "name": "skipped", "image": "skipped" }));
        sketch.annotate("skip-containers", "skipped");
    }),
    ("skip-two", |sketch| {
        sketch.push("initContainers", json!({ "name": "first", "image": "first" }));
        sketch.push("containers", json!({ "name": "skipped", "image": "skipped" }));
        sketch.annotate("skip-containers", "first,skipped");
    }),
    ("skip-nobody", |sketch| {
        sketch.annotate("skip-containers", "who");
    }),
    ("hour", |sketch| {
        sketch.annotate("token-expiration", "3600");
    }),
    ("minute", |sketch| {
        sketch.annotate("token-expiration", "60");
    }),
    ("soon", |sketch| {
        sketch.annotate("token-expiration", "soon");
    }),
];

const LABELS: [Variant; 3] = [
    ("none", |_| {}),
    ("own", |sketch| {
        sketch.pod["metadata"]["labels"] = json!({ "app": "app" });
    }),
    ("ours", |sketch| {
        let label = json!({ "eks.amazonaws.com/pod-identity": "enabled" });
        sketch.pod["metadata"]["labels"] = label;
    }),
];

const DIMENSIONS: [(&str, &[Variant]); 6] = [
    ("containers", &CONTAINERS),
    ("env", &ENV),
    ("volumes", &VOLUMES),
    ("platform", &PLATFORM),
    ("annotations", &ANNOTATIONS),
    ("labels", &LABELS),
];

/// The kind that has all of IRSA already.
pub(super) const COMPLETE: &str = "complete";

/// Kinds that no dimension makes.
const NAMED: [(Account, Variant); 2] = [
    (
        WEB,
        (COMPLETE, |sketch| {
            sketch.env("AWS_ROLE_ARN", ROLE).env(
                "AWS_WEB_IDENTITY_TOKEN_FILE",
                "/var/run/secrets/eks.amazonaws.com/serviceaccount/token",
            );
            let audience = sketch.audience();
            sketch
                .token_volume("aws-iam-token", audience)
                .mount("aws-iam-token", Path::WebIdentity.mount_path());
        }),
    ),
    (LISTED_ROLE, ("listed-with-a-role", |_| {})),
];

/// The kinds, each with what it is made of, for webhooks whose flag is `audience`.
pub(super) fn kinds(audience: &'static str) -> Vec<(Sketch, String)> {
    let of_dimensions = (0..OF_DIMENSIONS).map(|number| {
        let account = ACCOUNTS[number % ACCOUNTS.len()];
        let mut sketch = Sketch::new(&format!("kind-{number:02}"), account, audience);
        let mut made_of = format!("account {}", account.name);
        for (index, (dimension, variants)) in DIMENSIONS.into_iter().enumerate() {
            let (variant, alter) = variants[pick(number, index, variants.len())];
            alter(&mut sketch);
            write!(made_of, ", {dimension} {variant}").unwrap();
        }
        (sketch, made_of)
    });
    let named = NAMED.into_iter().map(|(account, (name, alter))| {
        let mut sketch = Sketch::new(name, account, audience);
        alter(&mut sketch);
        (sketch, format!("account {}", account.name))
    });
    of_dimensions.chain(named).collect()
}

/// Which of `len` variants of the dimension at `index` the kind `number` takes: a step on with
/// each round of accounts, another one with each round of its own.
fn pick(number: usize, index: usize, len: usize) -> usize {
    let round = number / ACCOUNTS.len();
    (number * (index + 1) + round * (index + 3) + number / len) % len
}

#[test]
fn the_kinds_differ_and_leave_no_variant_out_under_either_path() {
    let kinds = kinds("sts.amazonaws.com");
    let mut made_of: Vec<_> = kinds.iter().map(|(_, made_of)| made_of.clone()).collect();
    made_of.sort();
    made_of.dedup();
    assert_eq!(made_of.len(), COUNT);
    for path in [Path::WebIdentity, Path::ContainerCredentials] {
        for (dimension, variants) in DIMENSIONS {
            for (variant, _) in variants {
                let wanted = format!("{dimension} {variant}");
                let is_there = kinds.iter().any(|(sketch, made_of)| {
                    sketch.account.path == path && made_of.split(", ").any(|part| part == wanted)
                });
                assert!(is_there, "no kind of {path:?} has {wanted}");
            }
        }
    }
}
