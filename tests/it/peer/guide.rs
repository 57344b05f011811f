//! What `manifests/migrate.md` says is so: its values are those of the charts, its values files are
//! taken by ours, and the arguments that it speaks of are taken by whom it says.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process;

use cluster::Peer;
use pod_identity_webhook::cli::{self, Command};
use serde_json::{Value, json};

use crate::plane::plane;

/// The values of the community chart amazon-eks-pod-identity-webhook 2.6.5; of maps that are handed
/// on as they are, the map.
const COMMUNITY: &[&str] = &[
    "nameOverride",
    "fullnameOverride",
    "namespaceOverride",
    "replicaCount",
    "strategy",
    "podDisruptionBudget.enabled",
    "podDisruptionBudget.minAvailable",
    "podDisruptionBudget.maxUnavailable",
    "priorityClassName",
    "image.registry",
    "image.repository",
    "image.tag",
    "image.pullPolicy",
    "imagePullSecrets",
    "config.annotationPrefix",
    "config.defaultAwsRegion",
    "config.extraArgs",
    "config.ports.webhook",
    "config.ports.metrics",
    "config.stsRegionalEndpoint",
    "config.tokenAudience",
    "config.tokenExpiration",
    "config.tokenMountPath",
    "config.podIdentityWebhookMap.enabled",
    "config.podIdentityWebhookMap.name",
    "config.podIdentityWebhookMap.data",
    "mutatingWebhook.annotations",
    "mutatingWebhook.failurePolicy",
    "mutatingWebhook.namespaceSelector",
    "mutatingWebhook.objectSelector.matchExpressions",
    "mutatingWebhook.objectSelector.matchLabels",
    "pki.certManager.enabled",
    "pki.certManager.certificate.duration",
    "pki.certManager.certificate.renewBefore",
    "pki.certManager.existingIssuer.enabled",
    "pki.certManager.existingIssuer.kind",
    "pki.certManager.existingIssuer.name",
    "pki.caBundle",
    "pki.cert",
    "pki.key",
    "pki.existingSecret",
    "metrics.serviceMonitor.enabled",
    "metrics.serviceMonitor.namespace",
    "metrics.serviceMonitor.additionalLabels",
    "metrics.serviceMonitor.interval",
    "metrics.serviceMonitor.scrapeTimeout",
    "metrics.serviceMonitor.honorLabels",
    "metrics.serviceMonitor.relabelings",
    "metrics.serviceMonitor.endpointAdditionalProperties",
    "readinessProbe",
    "livenessProbe",
    "annotations",
    "hostNetwork",
    "resources.limits",
    "resources.requests",
    "securityContext",
    "podSecurityContext",
    "service.type",
    "service.annotations",
    "service.labels",
    "serviceAccount.create",
    "serviceAccount.name",
    "serviceAccount.annotations",
    "podLabels",
    "podAnnotations",
    "affinity",
    "nodeSelector",
    "tolerations",
];

/// The arguments with which the Go webhook is started elsewhere.
const ELSEWHERE: [(&str, &[&str]); 3] = [
    (
        "its own manifests",
        &[
            "--in-cluster=false",
            "--namespace=default",
            "--service-name=pod-identity-webhook",
            "--annotation-prefix=eks.amazonaws.com",
            "--token-audience=sts.amazonaws.com",
            "--logtostderr",
        ],
    ),
    (
        "kOps",
        &[
            "--in-cluster=false",
            "--namespace=kube-system",
            "--service-name=pod-identity-webhook",
            "--annotation-prefix=eks.amazonaws.com",
            "--token-audience=amazonaws.com",
            "--logtostderr",
            "--watch-config-map",
            "--sts-regional-endpoint",
            "--aws-default-region=eu-central-1",
            "--v=5",
        ],
    ),
    (
        "OpenShift",
        &[
            "--aws-default-region=us-east-1",
            "--in-cluster=false",
            "--tls-cert=/var/run/app/certs/tls.crt",
            "--tls-key=/var/run/app/certs/tls.key",
            "--namespace=openshift-cloud-credential-operator",
            "--port=9443",
            "--service-name=pod-identity-webhook",
            "--annotation-prefix=eks.amazonaws.com",
            "--token-audience=sts.amazonaws.com",
            "--logtostderr",
        ],
    ),
];

fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

fn guide() -> String {
    std::fs::read_to_string(path("manifests/migrate.md")).unwrap()
}

fn values() -> Value {
    let text = std::fs::read_to_string(path("manifests/chart/values.yaml")).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

/// What stands in backticks in a text.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The text behind a heading, up to the next one.
fn section<'a>(guide: &'a str, heading: &str) -> &'a str {
    let start = guide.find(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("{heading}"));
    let section = &guide[start + 1..];
    section.find("\n## ").map_or(section, |end| &section[..end])
}

/// The YAML of the block whose first line is `# name`.
fn block(guide: &str, name: &str) -> String {
    let start = format!("```yaml\n# {name}\n");
    let (_, block) = guide.split_once(&start).unwrap_or_else(|| panic!("no block {name}"));
    block.split_once("```").unwrap().0.to_owned()
}

/// What the chart makes of a values file.
fn render(values: &str) -> Vec<Value> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(values.as_bytes()).unwrap();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| path("target"), PathBuf::from);
    let output = process::Command::new(path("").join(target).join("tools/helm"))
        .args(["template", "pod-identity-webhook-next", "manifests/chart", "--namespace", "eks"])
        .arg("--values")
        .arg(file.path())
        .current_dir(path(""))
        .output()
        .expect("helm is there: run `make chart-tools`");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_saphyr::from_multiple(&String::from_utf8(output.stdout).unwrap()).unwrap()
}

fn only<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    objects.iter().find(|object| object["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"))
}

#[test]
fn every_value_of_the_community_chart_has_a_row_and_no_other() {
    let guide = guide();
    let rows =
        section(&guide, "From the community chart").lines().filter(|line| line.starts_with("| `"));
    let columns: Vec<_> = rows.map(|row| row.split(" | ").next().unwrap()).collect();
    let named: Vec<_> = columns.iter().flat_map(|column| quoted(column)).collect();
    let set: BTreeSet<_> = named.iter().copied().collect();
    assert_eq!(set.len(), named.len(), "a value has two rows: {named:?}");
    assert_eq!(set, COMMUNITY.iter().copied().collect());
}

/// In the rows and everywhere else.
#[test]
fn every_value_that_is_named_is_one_of_the_chart() {
    let (guide, values) = (guide(), values());
    let is_name = |quoted: &&str| quoted.chars().all(|c| c.is_ascii_alphanumeric() || c == '.');
    let mut seen = 0;
    for name in quoted(&guide.replace("```", "")).filter(is_name) {
        let mut keys = name.split('.');
        let Some(mut value) = keys.next().and_then(|key| values.get(key)) else { continue };
        seen += 1;
        for key in keys {
            value = value.get(key).unwrap_or_else(|| panic!("{name} is not in values.yaml"));
        }
    }
    assert!(seen > COMMUNITY.len(), "{seen}");
}

/// On the way back: the community chart's schema takes no name at the top that it does not know.
#[test]
fn the_names_that_the_community_chart_refuses_are_those_that_it_has_not() {
    let guide = guide();
    let row = section(&guide, "Back again")
        .lines()
        .find(|line| line.starts_with("| values that only our chart has |"))
        .unwrap();
    let refused: BTreeSet<_> = quoted(row).filter(|name| !name.contains('.')).collect();
    let theirs = COMMUNITY.iter().map(|name| name.split('.').next().unwrap());
    // Helm itself knows `global`.
    let theirs: BTreeSet<_> = theirs.chain(["global"]).collect();
    let values = values();
    let ours: BTreeSet<_> = values.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(refused, ours.difference(&theirs).copied().collect());
}

#[test]
fn the_values_files_are_taken_and_say_what_the_other_webhook_s_arguments_say() {
    let guide = guide();
    for (name, of) in [("values.yaml", 0), ("kops.yaml", 1)] {
        let objects = render(&block(&guide, name));
        let args =
            &only(&objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"];
        let ours = settings(args.as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()));
        let (_, theirs) = ELSEWHERE[of];
        let theirs = settings(theirs.iter().copied());
        let told = |settings: &cli::ServerSettings| format!("{:#?}", settings.injection.settings);
        assert_eq!(told(&ours), told(&theirs), "{name}");
        assert_eq!(ours.config_map, theirs.config_map, "{name}");
    }
    let kops = render(&block(&guide, "kops.yaml"));
    let hook = &only(&kops, "MutatingWebhookConfiguration")["webhooks"][0];
    assert_eq!(hook["failurePolicy"], "Ignore", "until it answers");
    let left_out =
        json!({ "key": "kops.k8s.io/managed-by", "operator": "NotIn", "values": ["kops"] });
    assert!(hook["objectSelector"]["matchExpressions"].as_array().unwrap().contains(&left_out));

    let openshift = render(&block(&guide, "openshift.yaml"));
    let spec = &only(&openshift, "Deployment")["spec"]["template"]["spec"];
    for context in [&spec["securityContext"], &spec["containers"][0]["securityContext"]] {
        assert_eq!(
            (context.get("runAsUser"), context.get("runAsGroup")),
            (None, None),
            "{context}"
        );
    }
    for object in openshift.iter().filter(|object| object["metadata"].get("namespace").is_none()) {
        assert_ne!(object["metadata"]["name"], "pod-identity-webhook", "that is the operator's");
    }
    let hook = &only(&openshift, "MutatingWebhookConfiguration")["webhooks"][0];
    let level = json!({ "key": "openshift.io/run-level", "operator": "NotIn", "values": ["0"] });
    assert!(hook["namespaceSelector"]["matchExpressions"].as_array().unwrap().contains(&level));
}

/// In place, the arguments stay.
#[test]
fn the_arguments_of_the_go_webhook_elsewhere_are_taken() {
    for (of, args) in ELSEWHERE {
        let settings = settings(args.iter().copied());
        assert_eq!(settings.without_effect, ["--logtostderr"], "{of}");
        assert_eq!(settings.metrics_port, 9999, "{of}");
    }
}

/// Why the image is the one value that has to be changed.
#[tokio::test]
async fn the_go_webhook_ends_on_our_arguments() {
    let started = Peer::builder(plane().await).arg("--shutdown-delay=10s").start().await;
    let error = format!("{:#}", started.unwrap_err());
    assert!(error.contains("unknown flag: --shutdown-delay"), "{error}");
}

fn settings<'a>(args: impl Iterator<Item = &'a str>) -> cli::ServerSettings {
    match cli::parse(std::iter::once("pod-identity-webhook").chain(args)) {
        Ok(Command::Serve(settings)) => *settings,
        other => panic!("{other:?}"),
    }
}
