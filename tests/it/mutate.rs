//! `mutate`: documents in, documents and a report out. Files are real, the streams are buffers.

use std::io::{self, Write};
use std::path::Path;

use pod_identity_webhook::cli::{Command, MutateSettings, parse};
use pod_identity_webhook::mutate::{MutateError, Verdict, run};
use serde_json::{Value, json};
use tempfile::TempDir;

const ACCOUNT: &str = "\
apiVersion: v1
kind: ServiceAccount
metadata:
  name: web
  namespace: prod
  annotations:
    eks.amazonaws.com/role-arn: arn:aws:iam::111122223333:role/web
";

const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: prod
spec:
  template:
    spec:
      serviceAccountName: web
      containers:
      - name: app
        image: app:1
";

/// What `DEPLOYMENT` becomes beside `ACCOUNT`.
const INJECTED: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: prod
spec:
  template:
    spec:
      serviceAccountName: web
      containers:
      - name: app
        image: app:1
        env:
        - name: AWS_ROLE_ARN
          value: arn:aws:iam::111122223333:role/web
        - name: AWS_WEB_IDENTITY_TOKEN_FILE
          value: /var/run/secrets/eks.amazonaws.com/serviceaccount/token
        volumeMounts:
        - name: aws-iam-token
          readOnly: true
          mountPath: /var/run/secrets/eks.amazonaws.com/serviceaccount
      volumes:
      - name: aws-iam-token
        projected:
          sources:
          - serviceAccountToken:
              audience: sts.amazonaws.com
              expirationSeconds: 86400
              path: token
";

const BY_IRSA: &str =
    "deployment prod/web: injected by IRSA, from the ServiceAccount's role-arn (container app)\n";

/// What a run left behind; the folder of the files is cut off their names.
struct Ran {
    result: Result<Verdict, MutateError>,
    out: String,
    err: String,
}

fn settings(args: &[String]) -> MutateSettings {
    let command = ["pod-identity-webhook", "mutate"].map(String::from);
    match parse(command.iter().chain(args)) {
        Ok(Command::Mutate(settings)) => *settings,
        other => panic!("{other:?}"),
    }
}

/// Runs `mutate` over `files` (name and text, in that order; `-` is standard input).
fn mutate(files: &[(&str, &str)], flags: &[&str]) -> Ran {
    let folder = TempDir::new().unwrap();
    let prefix = format!("{}/", folder.path().display());
    let mut stdin = "";
    let mut args = Vec::new();
    for (name, text) in files {
        args.push("-f".to_owned());
        if *name == "-" {
            stdin = text;
            args.push("-".to_owned());
        } else {
            std::fs::write(folder.path().join(name), text).unwrap();
            args.push(format!("{prefix}{name}"));
        }
    }
    args.extend(flags.iter().map(|flag| flag.replace("{}", &prefix)));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let result = run(&settings(&args), &mut stdin.as_bytes(), &mut out, &mut err);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(&prefix, "");
    Ran { result, out: text(out), err: text(err) }
}

fn mutate_text(text: &str, flags: &[&str]) -> Ran {
    mutate(&[("-", text)], flags)
}

fn refusal(files: &[(&str, &str)], flags: &[&str]) -> String {
    let ran = mutate(files, flags);
    assert_eq!(
        (ran.out.as_str(), ran.err.as_str()),
        ("", ""),
        "nothing is written before all is decided"
    );
    let sentence = ran.result.unwrap_err().sentence();
    assert!(!sentence.contains('\n'), "{sentence}");
    without_folder(&sentence)
}

/// Cuts the temporary folder off every path.
fn without_folder(text: &str) -> String {
    let folder = std::env::temp_dir().display().to_string();
    text.split(' ')
        .map(|word| match word.strip_prefix(&folder) {
            Some(path) => path.trim_start_matches('/').split_once('/').map_or("", |(_, name)| name),
            None => word,
        })
        .collect::<Vec<_>>()
        .join(" ")
}

fn documents(parts: &[&str]) -> String {
    parts.join("---\n")
}

/// A workload of `kind` whose Pod stands at `root`, on the account `prod/web`.
fn workload(api_version: &str, kind: &str, root: &str) -> Value {
    let mut value = json!({"spec": {"serviceAccountName": "web", "containers": [{"name": "app"}]}});
    for field in root.rsplit('/').filter(|field| !field.is_empty()) {
        value = json!({ field: value });
    }
    value["apiVersion"] = api_version.into();
    value["kind"] = kind.into();
    value["metadata"] = json!({"name": "web", "namespace": "prod"});
    value
}

fn patches(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

// === documents ===

#[test]
fn what_is_not_changed_comes_back_byte_for_byte() {
    let yaml = [
        "# only a comment\n",
        "",
        "---\n# Source: chart/templates/a.yaml\n\n---\n# Source: chart/templates/b.yaml\na: {b:   c} # d\n",
        "apiVersion: v1\r\nkind: Pod # CRLF\r\nmetadata: {name: a}\r\nspec:\r\n  containers: []\r\n",
        "%YAML 1.1\n---\na: &x 1\nb: *x\n...\n---\nc: |+\n  d\n\n# no final newline: end",
        "\u{feff}a: 0644\n",
        &documents(&[ACCOUNT, DEPLOYMENT]).replace("role-arn", "other"),
    ];
    let json = ["{\"kind\": \"List\",   \"items\": []}  \n{\"a\":\n1}"];
    for text in yaml.iter().chain(&json) {
        let ran = mutate_text(text, &[]);
        assert_eq!(ran.out, *text);
        assert_eq!(ran.result.unwrap(), Verdict::Passed);
    }
    for text in yaml {
        assert_eq!(mutate_text(text, &["--output", "yaml"]).out, text);
    }
}

#[test]
fn a_changed_document_keeps_its_fields_and_their_order() {
    let head = "# Source: chart/templates/all.yaml\n";
    let text = documents(&[ACCOUNT, &format!("{head}{DEPLOYMENT}"), "kept:   as it # stands"]);
    let ran = mutate_text(&text, &[]);
    assert_eq!(
        ran.out,
        documents(&[ACCOUNT, &format!("{head}{INJECTED}"), "kept:   as it # stands"])
    );
    assert_eq!(ran.err, BY_IRSA);
}

#[test]
fn fields_of_tomorrow_and_odd_scalars_are_kept() {
    let odd = "      serviceAccountName: web
      tomorrow: {a: [1, 2.5, null, \"on\"]}
      containers:
      - name: app
        env:
        - name: MODE
          value: '0644'
        mode: 0644
";
    let (before, _) = DEPLOYMENT.split_once("      serviceAccountName").unwrap();
    let ran = mutate_text(&documents(&[ACCOUNT, &format!("{before}{odd}")]), &["-o", "json"]);
    let deployment: Value =
        serde_json::Deserializer::from_str(&ran.out).into_iter::<Value>().nth(1).unwrap().unwrap();
    let spec = &deployment["spec"]["template"]["spec"];
    assert_eq!(spec["tomorrow"], json!({"a": [1, 2.5, null, "on"]}));
    let container = &spec["containers"][0];
    assert_eq!((&container["mode"], &container["env"][0]["value"]), (&json!(420), &json!("0644")));
    let names: Vec<_> =
        container["env"].as_array().unwrap().iter().map(|var| var["name"].clone()).collect();
    assert_eq!(names, ["MODE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"]);
}

#[test]
fn comments_are_missed_once_and_only_where_one_was_lost() {
    const NOTE: &str = "note: a changed document loses its comments\n";
    let commented = DEPLOYMENT.replace("image: app:1", "image: app:1 # pinned");
    let other = commented.replace("name: web\n  namespace", "name: two\n  namespace");
    let ran = mutate_text(&documents(&[ACCOUNT, &commented, &other]), &[]);
    assert_eq!(ran.err.matches(NOTE).count(), 1, "{}", ran.err);
    assert!(ran.err.ends_with(NOTE));
    let ran = mutate_text(&documents(&["# stays\n", ACCOUNT, DEPLOYMENT]), &[]);
    assert_eq!(ran.err, BY_IRSA);
    let ran = mutate_text(&documents(&[ACCOUNT, &commented]), &["--output", "patch"]);
    assert_eq!(ran.err, BY_IRSA);
}

#[test]
fn the_output_is_left_as_it_is_by_a_second_run() {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        workload("v1", "Pod", ""), workload("batch/v1", "CronJob", "/spec/jobTemplate/spec/template"),
    ]});
    let text =
        documents(&[ACCOUNT, DEPLOYMENT, &format!("{list}\n"), &DEPLOYMENT.replace('\n', "\r\n")]);
    for output in [&[][..], &["--output", "yaml"], &["--output", "json"]] {
        let once = mutate_text(&text, output);
        assert!(once.err.contains("injected by"), "{}", once.err);
        let twice = mutate_text(&once.out, output);
        assert_eq!(twice.out, once.out);
        assert_eq!(
            twice.err.matches("nothing: already-injected (IRSA").count(),
            4,
            "{}",
            twice.err
        );
    }
}

// === workloads ===

#[test]
fn every_kind_of_workload_is_injected_where_its_pod_stands() {
    for (api_version, kind, root) in [
        ("v1", "Pod", ""),
        ("v1", "PodTemplate", "/template"),
        ("v1", "ReplicationController", "/spec/template"),
        ("apps/v1", "Deployment", "/spec/template"),
        ("apps/v1", "StatefulSet", "/spec/template"),
        ("apps/v1", "DaemonSet", "/spec/template"),
        ("apps/v1", "ReplicaSet", "/spec/template"),
        ("batch/v1", "Job", "/spec/template"),
        ("batch/v1", "CronJob", "/spec/jobTemplate/spec/template"),
    ] {
        let value = workload(api_version, kind, root);
        let text = documents(&[ACCOUNT, &format!("{value}\n")]);
        let ran = mutate_text(&text, &["--output", "patch"]);
        let [line] = patches(&ran.out).try_into().unwrap();
        assert_eq!(line["kind"], kind);
        assert_eq!(line["patch"][0]["path"], format!("{root}/spec/volumes"));
        let lower = kind.to_lowercase();
        assert!(ran.err.starts_with(&format!("{lower} prod/web: injected by IRSA")), "{}", ran.err);

        let changed = mutate_text(&text, &[]).out;
        let changed: Value = serde_json::from_str(changed.lines().last().unwrap()).unwrap();
        let mut expected = value.clone();
        let patch: json_patch::Patch = serde_json::from_value(line["patch"].clone()).unwrap();
        json_patch::patch(&mut expected, &patch).unwrap();
        assert_eq!(changed, expected);
    }
}

#[test]
fn kinds_of_other_api_groups_are_none_of_our_business() {
    let job = format!("{}\n", workload("batch.volcano.sh/v1alpha1", "Job", "/spec/template"));
    let text = documents(&[ACCOUNT, &job]);
    let ran = mutate_text(&text, &[]);
    assert_eq!(ran.out, text);
    assert_eq!(ran.err, "note: there is no workload among the documents\n");
}

#[test]
fn the_items_of_a_list_are_changed_in_their_places() {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}},
        workload("apps/v1", "Deployment", "/spec/template"),
        {"apiVersion": "v1", "kind": "PodList", "items": [
            {"metadata": {"name": "bare", "namespace": "prod"},
             "spec": {"serviceAccountName": "web", "containers": [{"name": "app"}]}}]},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web", "namespace": "prod",
            "annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/web"}}},
    ]});
    let text = serde_json::to_string_pretty(&list).unwrap();
    let ran = mutate_text(&text, &[]);
    assert_eq!(
        ran.err,
        format!(
            "{BY_IRSA}pod prod/bare: injected by IRSA, from the ServiceAccount's role-arn (container app)\n"
        )
    );
    let changed: Value = serde_json::from_str(&ran.out).unwrap();
    for at in ["/items/1/spec/template", "/items/2/items/0"] {
        let pod = changed.pointer(at).unwrap();
        assert_eq!(pod["spec"]["volumes"][0]["name"], "aws-iam-token", "{at}");
    }
    assert_eq!(
        (&changed["items"][0], &changed["items"][3]),
        (&list["items"][0], &list["items"][3])
    );
    let lines = patches(&mutate_text(&text, &["--output", "patch"]).out);
    assert_eq!(lines[0]["patch"][0]["path"], "/spec/template/spec/volumes");
    assert_eq!(lines[1]["patch"][0]["path"], "/spec/volumes");
    assert_eq!(lines[1]["kind"], "Pod");
}

#[test]
fn a_workload_may_stand_before_its_account_and_in_another_file() {
    let ran = mutate_text(&documents(&[DEPLOYMENT, ACCOUNT]), &[]);
    assert_eq!(ran.out, documents(&[INJECTED, ACCOUNT]));
    let ran = mutate(&[("app.yaml", DEPLOYMENT), ("-", ACCOUNT)], &[]);
    assert_eq!(ran.out, documents(&[INJECTED, ACCOUNT]));
}

#[test]
fn documents_without_a_namespace_are_in_the_default_one() {
    let account = ACCOUNT.replace("  namespace: prod\n", "");
    let bare = DEPLOYMENT.replace("  namespace: prod\n", "");
    let ran = mutate_text(&documents(&[&account, &bare]), &[]);
    assert!(ran.err.starts_with("deployment default/web: injected by IRSA"), "{}", ran.err);
    let ran = mutate_text(&documents(&[&account, DEPLOYMENT]), &["--default-namespace", "prod"]);
    assert_eq!(ran.err, BY_IRSA);
    let ran = mutate_text(&documents(&[ACCOUNT, &bare]), &[]);
    assert_eq!(
        ran.err,
        "deployment default/web: nothing: service-account-not-given (ServiceAccount web)\n"
    );
}

#[test]
fn the_pods_of_a_template_have_names_to_be_generated() {
    let name = "a-name-that-is-far-too-long-for-sts-to-take-as-the-name-of-a-session";
    let session = |mut value: Value, metadata: &str| {
        value.pointer_mut(metadata).unwrap()["metadata"] =
            json!({"name": name, "namespace": "prod"});
        let text = documents(&[ACCOUNT, &format!("{value}\n")]);
        let ran = mutate_text(&text, &["--output", "patch", "--role-session-name"]);
        let line = patches(&ran.out).remove(0);
        line["patch"][1]["value"].as_array().unwrap().last().unwrap().clone()
    };
    let template = session(workload("apps/v1", "Deployment", "/spec/template"), "/spec/template");
    assert_eq!(template["valueFrom"]["fieldRef"]["fieldPath"], "metadata.name");
    let pod = session(workload("v1", "Pod", ""), "");
    assert!(pod["value"].as_str().unwrap().starts_with("a-name-that-is"), "{pod}");
}

#[test]
fn a_lifetime_is_spread_by_names_and_the_same_every_time() {
    let account =
        ACCOUNT.replace("role-arn: arn:aws:iam::111122223333:role/web", "pod-identity: \"true\"");
    let seconds = |text: &str| {
        let ran = mutate_text(&documents(&[&account, text]), &["--output", "patch"]);
        let line = patches(&ran.out).remove(0);
        let volume = &line["patch"][0]["value"][0]["projected"]["sources"][0];
        volume["serviceAccountToken"]["expirationSeconds"].as_u64().unwrap()
    };
    let first = seconds(DEPLOYMENT);
    assert!((79_200..=86_400).contains(&first));
    assert_eq!(seconds(&format!("# elsewhere\n{DEPLOYMENT}")), first);
    assert_ne!(seconds(&DEPLOYMENT.replace("kind: Deployment", "kind: ReplicaSet")), first);
}

#[test]
fn an_object_without_a_pod_template_is_said_to_have_none() {
    let text =
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: patch}\nspec: {replicas: 3}\n";
    let ran = mutate_text(text, &["--check=all"]);
    assert_eq!(ran.out, text);
    assert_eq!(
        ran.err,
        "deployment default/patch: nothing: not-applicable (it has no Pod template)\n\
         check passed: 1 workload, 0 not completely injected, 0 whose ServiceAccount was not given\n"
    );
    assert_eq!(ran.result.unwrap(), Verdict::Passed);
}

#[test]
fn the_skip_label_keeps_a_template_as_it_is() {
    let metadata = "  template:\n    metadata:\n      labels:\n        eks.amazonaws.com/skip-pod-identity-webhook: ''\n";
    let text = documents(&[ACCOUNT, &DEPLOYMENT.replace("  template:\n", metadata)]);
    let ran = mutate_text(&text, &["--check=all"]);
    assert_eq!(ran.out, text);
    assert!(ran.err.starts_with("deployment prod/web: nothing: skip-label\n"), "{}", ran.err);
    assert_eq!(ran.result.unwrap(), Verdict::Passed);
}

// === where identities come from ===

fn mappings(namespace: &str, entries: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: pod-identity-webhook, namespace: {namespace}}}\n\
         data:\n  config: |\n    {{{entries}}}\n"
    )
}

const MAPPED: &str = r#""prod/*": {"RoleARN": "arn:aws:iam::111122223333:role/mapped"}"#;

#[test]
fn a_mapping_counts_for_an_account_that_is_known_to_have_no_role() {
    let bare = ACCOUNT.split_once("  annotations").unwrap().0;
    let map = mappings("eks", MAPPED);
    let ran = mutate_text(&documents(&[DEPLOYMENT, bare, &map]), &[]);
    assert_eq!(
        ran.err,
        "deployment prod/web: injected by IRSA, from the mappings ConfigMap (container app)\n"
    );
    assert!(ran.out.contains("role/mapped"));
    let ran = mutate_text(&documents(&[DEPLOYMENT, ACCOUNT, &map]), &[]);
    assert_eq!(ran.err, BY_IRSA);
    let ran = mutate_text(&documents(&[DEPLOYMENT, &map]), &[]);
    assert_eq!(
        ran.err,
        "deployment prod/web: nothing: service-account-not-given (ServiceAccount web)\n  \
         service-account-not-given: a mapping fits, but counts only if the account has no role; \
         give its document\n"
    );
}

#[test]
fn the_default_account_is_there_without_being_given() {
    let on_default = DEPLOYMENT.replace("      serviceAccountName: web\n", "");
    let ran = mutate_text(&on_default, &["--check=all"]);
    assert!(
        ran.err.starts_with("deployment prod/web: nothing: no-identity (ServiceAccount default)\n"),
        "{}",
        ran.err
    );
    assert_eq!(ran.result.unwrap(), Verdict::Passed);
    let ran = mutate_text(&documents(&[&on_default, &mappings("eks", MAPPED)]), &[]);
    assert!(ran.err.contains("from the mappings ConfigMap"), "{}", ran.err);
    let account = ACCOUNT.replace("name: web", "name: default");
    let ran = mutate_text(&documents(&[&on_default, &account]), &[]);
    assert_eq!(ran.err, BY_IRSA);
}

#[test]
fn the_container_credentials_file_beats_the_account_and_needs_none() {
    let listed = r#"{"identities": [{"namespace": "prod", "serviceAccount": "web"}, 7]}"#;
    let flag = "--watch-container-credentials-config={}listed.json";
    let given = [("listed.json", listed), ("app.yaml", DEPLOYMENT), ("sa.yaml", ACCOUNT)];
    let ran = mutate(&given, &[flag, "--check=all"]);
    assert_eq!(
        ran.err,
        "note: listed.json: the entry \"identities[1]\" was dropped: it is not an object with \
         namespace and serviceAccount\n\
         deployment prod/web: injected by Pod Identity, from the container-credentials file (container app)\n\
         check passed: 1 workload, 0 not completely injected, 0 whose ServiceAccount was not given\n"
    );
    assert_eq!(ran.result.unwrap(), Verdict::Passed);

    let ran = mutate(&given[..2], &[flag, "--check"]);
    assert!(ran.out.contains("eks.amazonaws.com/pod-identity: enabled"));
    assert!(
        ran.err.contains(
            "(container app)\n  service-account-not-given: annotations of the ServiceAccount may \
             change this; give its document\n"
        ),
        "{}",
        ran.err
    );
    assert_eq!(ran.result.unwrap(), Verdict::Passed);
    assert_eq!(mutate(&given[..2], &[flag, "--check=all"]).result.unwrap(), Verdict::Failed);
}

#[test]
fn of_an_account_that_is_given_twice_the_last_counts() {
    let other = ACCOUNT.replace("role/web", "role/other");
    let ran = mutate(&[("a.yaml", ACCOUNT), ("b.yaml", &other), ("c.yaml", DEPLOYMENT)], &[]);
    assert!(ran.out.contains("value: arn:aws:iam::111122223333:role/other"));
    assert_eq!(
        ran.err,
        format!(
            "note: b.yaml:1: serviceaccount prod/web is given again with other annotations; the \
             last one counts\n{BY_IRSA}"
        )
    );
    let ran = mutate_text(&documents(&[ACCOUNT, ACCOUNT, DEPLOYMENT]), &[]);
    assert_eq!(ran.err, BY_IRSA);
}

// === --check ===

#[test]
fn an_account_that_is_not_given_fails_the_check_of_all_only() {
    for (flags, verdict) in [
        (&[][..], Verdict::Passed),
        (&["--check"], Verdict::Passed),
        (&["--check=all"], Verdict::Failed),
    ] {
        let ran = mutate_text(DEPLOYMENT, flags);
        assert_eq!(ran.out, DEPLOYMENT);
        assert!(
            ran.err.starts_with(
                "deployment prod/web: nothing: service-account-not-given (ServiceAccount web)\n"
            ),
            "{}",
            ran.err
        );
        assert_eq!(ran.result.unwrap(), verdict);
    }
}

#[test]
fn a_workload_that_is_not_completely_injected_fails_the_check() {
    let conflict =
        format!("{DEPLOYMENT}        env:\n        - {{name: AWS_ROLE_ARN, value: mine}}\n");
    let text = documents(&[ACCOUNT, &conflict, DEPLOYMENT]);
    let ran = mutate_text(&text, &["--check"]);
    assert_eq!(
        ran.err,
        format!(
            "deployment prod/web: incomplete: env-conflict (IRSA, from the ServiceAccount's role-arn; container app)\n  \
             env-conflict: container app has only AWS_ROLE_ARN: remove it or complete the pair\n\
             {BY_IRSA}check failed: 2 workloads, 1 not completely injected, 0 whose ServiceAccount was not given\n"
        )
    );
    assert!(ran.out.contains("mine"), "the documents are written all the same");
    assert_eq!(ran.result.unwrap(), Verdict::Failed);
    assert_eq!(mutate_text(&text, &[]).result.unwrap(), Verdict::Passed);
}

#[test]
fn a_workload_that_would_be_denied_fails_the_check_and_is_left_as_it_is() {
    let account = ACCOUNT.replace("arn:aws:iam::111122223333:role/web", "web");
    let text = documents(&[&account, DEPLOYMENT]);
    for (flag, word) in [("deny", "denied"), ("skip", "incomplete")] {
        let ran = mutate_text(&text, &["--check", "--invalid-role-arn", flag]);
        assert_eq!(ran.out, text);
        let line = format!(
            "deployment prod/web: {word}: invalid-role-arn (IRSA, from the ServiceAccount's role-arn; nothing injected)\n  \
             invalid-role-arn: the ServiceAccount's role"
        );
        assert!(ran.err.starts_with(&line), "{}", ran.err);
        assert_eq!(ran.result.unwrap(), Verdict::Failed);
    }
    let flags = ["--compose-role-arn", "--aws-account-id=444455556666", "--aws-partition=aws-cn"];
    let ran = mutate_text(&text, &flags);
    assert!(ran.out.contains("arn:aws-cn:iam::444455556666:role/web"));
}

// === --output ===

#[test]
fn a_diff_shows_what_is_added_under_the_place_and_the_name() {
    let list = format!(
        "{}\n",
        json!({"kind": "List", "items": [
        workload("v1", "Pod", ""), workload("v1", "Pod", "")]})
    );
    let ran = mutate(
        &[("all.yaml", &documents(&[ACCOUNT, "# kept\n", DEPLOYMENT])), ("list.json", &list)],
        &["--output", "diff"],
    );
    let (first, second) = ran.out.split_once("--- list.json").unwrap();
    assert_eq!(
        first,
        "\
--- all.yaml:11 deployment/prod/web
+++ all.yaml:11 deployment/prod/web
@@ -11,3 +11,20 @@
       containers:
       - name: app
         image: app:1
+        env:
+        - name: AWS_ROLE_ARN
+          value: arn:aws:iam::111122223333:role/web
+        - name: AWS_WEB_IDENTITY_TOKEN_FILE
+          value: /var/run/secrets/eks.amazonaws.com/serviceaccount/token
+        volumeMounts:
+        - name: aws-iam-token
+          readOnly: true
+          mountPath: /var/run/secrets/eks.amazonaws.com/serviceaccount
+      volumes:
+      - name: aws-iam-token
+        projected:
+          sources:
+          - serviceAccountToken:
+              audience: sts.amazonaws.com
+              expirationSeconds: 86400
+              path: token
"
    );
    assert!(second.starts_with(":1 list\n+++ list.json:1 list\n@@ -1 +1 @@\n"), "{second}");
    assert_eq!(mutate_text(ACCOUNT, &["--output", "diff"]).out, "");
}

#[test]
fn a_diff_shows_the_comments_that_are_lost() {
    let commented = DEPLOYMENT.replace("image: app:1", "image: app:1 # pinned");
    let ran = mutate_text(&documents(&[ACCOUNT, &commented]), &["--output", "diff"]);
    assert!(
        ran.out.contains("\n-        image: app:1 # pinned\n+        image: app:1\n"),
        "{}",
        ran.out
    );
    assert!(ran.err.ends_with("note: a changed document loses its comments\n"));
}

#[test]
fn json_is_a_stream_of_documents_and_keeps_json_that_is_not_changed() {
    let odd = "{\"a\":   1,\n\t\"b\": [ ]}";
    let ran =
        mutate(&[("a.json", odd), ("b.yaml", &documents(&[ACCOUNT, DEPLOYMENT]))], &["-o", "json"]);
    assert!(ran.out.starts_with(&format!("{odd}\n{{\n  \"apiVersion\": \"v1\",\n")), "{}", ran.out);
    let values: Vec<Value> = serde_json::Deserializer::from_str(&ran.out)
        .into_iter::<Value>()
        .map(Result::unwrap)
        .collect();
    assert_eq!(values.len(), 3);
    assert_eq!(values[2]["spec"]["template"]["spec"]["volumes"][0]["name"], "aws-iam-token");
}

#[test]
fn yaml_turns_json_into_yaml_and_leaves_yaml_as_it_stands() {
    let json = "{\"a\": 1}\n{\"kind\": \"Secret\"}\n---\nb:   2 # kept\n";
    let deployment: String = serde_json::to_string(&workload("v1", "Pod", "")).unwrap();
    let ran = mutate(
        &[("a.json", json), ("b.json", &deployment), ("c.yaml", ACCOUNT)],
        &["--output", "yaml"],
    );
    let (head, rest) = ran.out.split_once("---\nspec:\n").unwrap();
    assert_eq!(head, "a: 1\n---\nkind: Secret\n---\nb:   2 # kept\n");
    assert!(rest.contains("\n  - name: aws-iam-token\n"), "{rest}");
    assert!(rest.ends_with(&format!("---\n{ACCOUNT}")), "{rest}");
}

#[test]
fn a_patch_is_one_line_for_each_changed_workload() {
    let mut pod = workload("v1", "Pod", "");
    pod["metadata"] = json!({"generateName": "web-", "namespace": "prod"});
    let ran = mutate_text(
        &documents(&[ACCOUNT, DEPLOYMENT, &format!("{pod}\n")]),
        &["--output", "patch"],
    );
    let lines = patches(&ran.out);
    assert_eq!(lines.len(), 2);
    let keys: Vec<_> = lines[0].as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["apiVersion", "kind", "namespace", "name", "patch"]);
    assert_eq!((&lines[1]["generateName"], lines[1].get("name")), (&json!("web-"), None));
    assert!(ran.err.contains("pod prod/web-*: injected"), "{}", ran.err);
}

#[test]
fn the_documents_of_several_files_stay_documents_of_their_own() {
    let json = "{\"a\": 1}";
    for (first, second, whole) in [
        ("a: 1\n", "b: 2\n", "a: 1\n---\nb: 2\n"),
        ("a: 1", "b: 2", "a: 1\n---\nb: 2"),
        ("a: 1", "---\nb: 2\n", "a: 1\n---\nb: 2\n"),
        ("a: 1\n---\n", "b: 2\n", "a: 1\n---\nb: 2\n"),
        ("a: 1\n...\n", "b: 2\n", "a: 1\n...\nb: 2\n"),
        ("a: 1\n", "# head\n\n---\nb: 2\n", "a: 1\n# head\n\n---\nb: 2\n"),
        ("a: 1\n", "# head\nb: 2\n", "a: 1\n---\n# head\nb: 2\n"),
        ("a: 1\n", "%YAML 1.1\n---\nb: 2\n", "a: 1\n...\n%YAML 1.1\n---\nb: 2\n"),
        ("a: 1\n", "\u{feff}b: 2\n", "a: 1\n---\nb: 2\n"),
        ("# nothing\n", "b: 2\n", "# nothing\nb: 2\n"),
        ("a: 1", "", "a: 1"),
        ("a: 1", "# nothing\n", "a: 1\n# nothing\n"),
        ("", "b: 2", "b: 2"),
        (json, "b: 2\n", "{\"a\": 1}\n---\nb: 2\n"),
        ("a: 1\n", json, "a: 1\n---\n{\"a\": 1}"),
        (json, json, "{\"a\": 1}\n{\"a\": 1}"),
    ] {
        let ran = mutate(&[("first", first), ("second", second)], &[]);
        assert_eq!(ran.out, whole, "{first:?} and {second:?}");
        assert_eq!(mutate_text(&ran.out, &[]).out, ran.out);
    }
}

// === what cannot be used ===

#[test]
fn bad_input_is_one_sentence_with_file_and_line_and_nothing_on_stdout() {
    let good = documents(&[ACCOUNT, DEPLOYMENT]);
    for (bad, sentence) in [
        ("a: 1\n---\nb: [1\n---\n", "bad:3:4: not valid YAML"),
        ("a: 1\na: 2\n", "bad:2:1: the same key stands twice in one mapping; remove one of them"),
        ("{\"a\": \n", "bad:2:"),
        (
            "---\n\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: b, env: [{name: {}}]}]}\n",
            "bad:3: spec.containers[0].env[0].name of pod default/a is not of the type that Kubernetes gives it",
        ),
        (
            "kind: Job\nmetadata: {name: a, namespace: b}\nspec: {template: {metadata: {labels: {v: 5}}}}\n",
            "bad:1: spec.template.metadata.labels.v of job b/a is not of the type that Kubernetes gives it",
        ),
        (
            "kind: CronJob\nspec: {jobTemplate: {spec: {template: []}}}\n",
            "bad:1: spec.jobTemplate.spec.template of cronjob default/* is not of the type",
        ),
        (
            "kind: ServiceAccount\nmetadata: {name: a, annotations: {eks.amazonaws.com/token-expiration: 600}}\n",
            "bad:1: the annotation eks.amazonaws.com/token-expiration of serviceaccount default/a is not a string: put it in quotes",
        ),
        (
            &mappings("eks", "\"a/b\": nonsense"),
            "bad:1: the mappings cannot be read: the key config of the ConfigMap pod-identity-webhook is not JSON: look at line 1, column",
        ),
        (
            "kind: ConfigMap\nmetadata: {name: pod-identity-webhook}\ndata: {config: {a/b: {}}}\n",
            "bad:1: the mappings cannot be read: the key config of the ConfigMap pod-identity-webhook is not of the form of text: write `config: |` above it",
        ),
        (
            "kind: ConfigMap\nmetadata: {name: pod-identity-webhook}\nbinaryData: {config: e30=}\n",
            "bad:1: the mappings cannot be read: the key config",
        ),
        (
            &documents(&[&mappings("a", ""), &mappings("b", "")]),
            "bad:1 and bad:8 both hold the mappings ConfigMap pod-identity-webhook: give one of them",
        ),
    ] {
        let said = refusal(&[("good", &good), ("bad", bad)], &[]);
        assert!(said.starts_with(sentence), "{said}");
    }
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let flag = "--watch-container-credentials-config={}";
    let files = [("app", DEPLOYMENT), ("credentials", "[]")];
    let said = refusal(&files, &["-f", "{}nowhere.yaml"]);
    assert!(said.starts_with("cannot read nowhere.yaml: No such file"), "{said}");
    let said = refusal(&files, &[&format!("{flag}nowhere.json")]);
    assert!(said.starts_with("cannot read nowhere.json: No such file"), "{said}");
    let said = refusal(&files, &[&format!("{flag}credentials")]);
    assert!(
        said.starts_with("credentials cannot be used: the container-credentials file is not"),
        "{said}"
    );
    assert_eq!(
        refusal(&[("-", ""), ("-", "")], &[]),
        "standard input can be read once only: give `-f -` once"
    );
    let args = ["-f".to_owned(), "-".to_owned()];
    let error = run(&settings(&args), &mut &b"\xff\xfe"[..], &mut Vec::new(), &mut Vec::new());
    assert_eq!(
        error.unwrap_err().sentence(),
        "stdin is not UTF-8 text: give YAML or JSON documents"
    );
}

/// A stdout that refuses everything.
struct Closed(io::ErrorKind);

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_has_gone_away_is_no_error_and_a_full_disk_is_one() {
    let settings = settings(&["-f", "-", "--check=all"].map(String::from));
    let mut err = Vec::new();
    let closed = &mut Closed(io::ErrorKind::BrokenPipe);
    let verdict = run(&settings, &mut DEPLOYMENT.as_bytes(), closed, &mut err);
    assert_eq!(verdict.unwrap(), Verdict::Failed);
    assert!(String::from_utf8(err).unwrap().contains("service-account-not-given"));
    let full = &mut Closed(io::ErrorKind::StorageFull);
    let error = run(&settings, &mut DEPLOYMENT.as_bytes(), full, &mut Vec::new()).unwrap_err();
    assert!(error.sentence().starts_with("cannot write to standard output: "));
}

#[test]
fn no_value_of_a_document_is_ever_said() {
    const MARKER: &str = "hunter2-marker";
    let secret = format!("apiVersion: v1\nkind: Secret\nstringData: {{password: {MARKER}}}\n");
    let env = format!(
        "{DEPLOYMENT}        env:\n        - {{name: AWS_ACCESS_KEY_ID, value: {MARKER}}}\n        \
         - {{name: AWS_ROLE_ARN, value: {MARKER}}}\n        args: [{MARKER}]\n"
    );
    let account = ACCOUNT.replace("arn:aws:iam::111122223333:role/web", MARKER);
    let text = documents(&[&secret, &account, &env]);
    for output in ["yaml", "json", "patch", "diff"] {
        let ran = mutate_text(&text, &["--check=all", "--output", output]);
        assert!(ran.err.contains("shadowed-by-static-keys"), "{}", ran.err);
        assert!(!ran.err.contains(MARKER), "{}", ran.err);
    }
    for bad in [
        format!("stringData: {{a: {MARKER}, a: {MARKER}}}\n"),
        format!("kind: Pod\nspec: {{containers: [{{name: a, env: {MARKER}}}]}}\n"),
        mappings("eks", MARKER),
        format!("kind: ServiceAccount\nmetadata: {{name: a, annotations: {{b: [{MARKER}]}}}}\n"),
        format!("a: \"{MARKER}\n"),
        format!("{{\"a\": \"{MARKER}\" \"b\"}}"),
    ] {
        let said = refusal(&[("bad", &bad)], &[]);
        assert!(!said.contains(MARKER), "{said}");
    }
}

#[test]
fn names_cannot_command_a_terminal() {
    let text = "kind: Pod\nmetadata: {name: \"a\\e[31m\\nb\"}\nspec: {serviceAccountName: \"\\t\", containers: []}\n";
    let ran = mutate_text(text, &[]);
    assert_eq!(
        ran.err,
        "pod default/a\\u{1b}[31m\\nb: nothing: service-account-not-given (ServiceAccount \\t)\n"
    );
}

// === the examples ===

const WEB_IDENTITY_MOUNT: &str = r#"[{"name":"aws-iam-token","readOnly":true,"mountPath":"/var/run/secrets/eks.amazonaws.com/serviceaccount"}]"#;
const POD_IDENTITY_MOUNT: &str = r#"[{"name":"eks-pod-identity-token","readOnly":true,"mountPath":"/var/run/secrets/pods.eks.amazonaws.com/serviceaccount"}]"#;

fn add(path: &str, value: impl Into<Value>) -> Value {
    let value = value.into();
    json!({"op": "add", "path": path, "value": value})
}

fn parsed(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

fn web_identity_volume(seconds: u64) -> Value {
    json!([{"name": "aws-iam-token", "projected": {"sources": [{"serviceAccountToken":
        {"audience": "sts.amazonaws.com", "expirationSeconds": seconds, "path": "token"}}]}}])
}

fn pod_identity_volume(seconds: u64) -> Value {
    json!([{"name": "eks-pod-identity-token", "projected": {"sources": [{"serviceAccountToken":
        {"audience": "pods.eks.amazonaws.com", "expirationSeconds": seconds, "path": "eks-pod-identity-token"}}]}}])
}

fn web_identity_env(role: &str) -> [Value; 2] {
    [
        json!({"name": "AWS_ROLE_ARN", "value": role}),
        json!({"name": "AWS_WEB_IDENTITY_TOKEN_FILE",
            "value": "/var/run/secrets/eks.amazonaws.com/serviceaccount/token"}),
    ]
}

fn pod_identity_env() -> [Value; 2] {
    [
        json!({"name": "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "value": "http://169.254.170.23/v1/credentials"}),
        json!({"name": "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            "value": "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount/eks-pod-identity-token"}),
    ]
}

/// Every example and the patches of its workloads, in order.
fn expected() -> Vec<(&'static str, Vec<Value>)> {
    let role = |name: &str| format!("arn:aws:iam::111122223333:role/{name}");
    let job = "/spec/template/spec";
    let env = |[first, second]: [Value; 2]| {
        let path = format!("{job}/containers/0/env/-");
        [add(&path, first), add(&path, second)]
    };
    let cron = "/spec/jobTemplate/spec/template/spec";
    let mut settings = vec![json!({"name": "AWS_STS_REGIONAL_ENDPOINTS", "value": "regional"})];
    settings.extend(web_identity_env(&role("checkout")));
    let label = json!({"eks.amazonaws.com/pod-identity": "enabled"});
    let [first, second] = env(web_identity_env(&role("s3-echoer")));
    let [third, fourth] = env(pod_identity_env());
    vec![
        (
            "mappings.yaml",
            vec![
                json!([
                    add(&format!("{job}/volumes"), web_identity_volume(3600)),
                    add(&format!("{job}/containers/0/env"), settings),
                    add(&format!("{job}/containers/0/volumeMounts"), parsed(WEB_IDENTITY_MOUNT)),
                ]),
                json!([
                    add(&format!("{cron}/volumes"), web_identity_volume(86_400)),
                    add(
                        &format!("{cron}/containers/0/env"),
                        json!(web_identity_env("arn:aws:iam::444455556666:role/team-backup")),
                    ),
                    add(&format!("{cron}/containers/0/volumeMounts"), parsed(WEB_IDENTITY_MOUNT)),
                ]),
            ],
        ),
        (
            "s3-echoer-pod-identity.yaml",
            vec![json!([
                add(&format!("{job}/volumes"), pod_identity_volume(84_596)),
                third,
                fourth,
                add(&format!("{job}/containers/0/volumeMounts"), parsed(POD_IDENTITY_MOUNT)),
                add("/spec/template/metadata", json!({ "labels": label })),
            ])],
        ),
        (
            "s3-echoer.yaml",
            vec![json!([
                add(&format!("{job}/volumes"), web_identity_volume(86_400)),
                first,
                second,
                add(&format!("{job}/containers/0/volumeMounts"), parsed(WEB_IDENTITY_MOUNT)),
            ])],
        ),
        (
            "s3-list-pod-identity.yaml",
            vec![json!([
                add("/spec/volumes", pod_identity_volume(79_976)),
                add("/spec/containers/0/env", json!(pod_identity_env())),
                add("/spec/containers/0/volumeMounts", parsed(POD_IDENTITY_MOUNT)),
                add("/metadata/labels", label),
            ])],
        ),
        (
            "s3-list.yaml",
            vec![json!([
                add("/spec/volumes", web_identity_volume(3600)),
                add("/spec/containers/0/env", json!(web_identity_env(&role("s3-list")))),
                add("/spec/containers/0/volumeMounts", parsed(WEB_IDENTITY_MOUNT)),
            ])],
        ),
    ]
}

fn example(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn every_example_is_injected_as_it_says() {
    let expected = expected();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    names.sort_unstable();
    assert_eq!(names, expected.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    for (name, patch) in expected {
        let text = example(name);
        let ran = mutate(&[(name, &text)], &["--check=all", "--output", "patch"]);
        assert_eq!(ran.result.unwrap(), Verdict::Passed, "{name}");
        let given: Vec<_> = patches(&ran.out).iter().map(|line| line["patch"].clone()).collect();
        assert_eq!(given, patch, "{name}");

        let ran = mutate(&[(name, &text)], &["--output", "diff"]);
        let removed = ran.out.lines().filter(|l| l.starts_with('-') && !l.starts_with("---"));
        assert_eq!(removed.count(), 0, "{name}: the diff in the README has additions only");
        assert!(!ran.err.contains("comments"), "{name}");

        let once = mutate(&[(name, &text)], &[]).out;
        assert_eq!(mutate(&[(name, &once)], &[]).out, once, "{name}");
    }
}

#[test]
fn the_examples_credentials_move_the_examples_to_pod_identity() {
    let credentials = example("container-credentials.json");
    for name in ["s3-echoer.yaml", "mappings.yaml"] {
        let ran = mutate(
            &[("container-credentials.json", &credentials), (name, &example(name))],
            &["--watch-container-credentials-config={}container-credentials.json", "--check=all"],
        );
        assert!(
            ran.err.contains("injected by Pod Identity, from the container-credentials file"),
            "{}",
            ran.err
        );
        assert_eq!(ran.result.unwrap(), Verdict::Passed);
    }
}
