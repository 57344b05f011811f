//! Each set of values: lint is content, the binary takes the arguments, and what the sets are for
//! is there.

use pod_identity_webhook::cli::{
    self, CertificateSource, Command, ConfigMapSource, ServerSettings,
};
use pod_identity_webhook::identity::{Guard, Role};
use pod_identity_webhook::plan::UnfitRole;
use pod_identity_webhook::policy;
use serde_json::{Value, json};

use super::helm::{NAMESPACE, Set, args, container, documents, only, path, run, template};

fn settings(objects: &[Value]) -> ServerSettings {
    let args = args(objects);
    match cli::parse(["webhook".to_owned()].into_iter().chain(args.clone())) {
        Ok(Command::Serve(settings)) => *settings,
        other => panic!("{args:#?}: {other:?}"),
    }
}

fn render(name: &str) -> Vec<Value> {
    Set::named(name).render(NAMESPACE)
}

fn kinds(objects: &[Value]) -> Vec<&str> {
    let mut kinds: Vec<_> = objects.iter().filter_map(|object| object["kind"].as_str()).collect();
    kinds.sort_unstable();
    kinds
}

#[test]
fn lint_is_content_with_every_set() {
    for set in Set::all() {
        let mut args = vec!["lint", "--strict", "manifests/chart", "--namespace", NAMESPACE];
        args.extend(set.args());
        run("helm", &args).unwrap_or_else(|error| panic!("{}: {error}", set.name));
    }
}

#[test]
fn the_binary_takes_the_arguments_of_every_set() {
    for set in Set::all() {
        let objects = set.render(NAMESPACE);
        let settings = settings(&objects);
        let deployment = only(&objects, "Deployment");
        assert_eq!(deployment["metadata"]["namespace"], *settings.namespace, "{}", set.name);
        let service = only(&objects, "Service");
        assert_eq!(service["metadata"]["name"], *settings.service_name, "{}", set.name);

        let ports = &container(&objects)["ports"];
        assert_eq!(ports[0]["containerPort"], settings.port, "{}", set.name);
        assert_eq!(ports[1]["containerPort"], settings.metrics_port, "{}", set.name);
        // It may take the whole of its time to stop.
        let grace = &deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"];
        let least = settings.shutdown_delay.as_secs() + 30;
        assert!(grace.as_u64().unwrap() >= least, "{}: {grace}", set.name);
    }
}

/// What the flags name is what is there.
#[test]
fn every_file_that_an_argument_names_is_mounted() {
    for set in Set::all() {
        let objects = set.render(NAMESPACE);
        let container = container(&objects);
        let mounts: Vec<_> = container["volumeMounts"].as_array().into_iter().flatten().collect();
        let settings = settings(&objects);
        let mut files: Vec<_> = settings.credentials_file.into_iter().collect();
        files.extend(settings.clients.map(|clients| clients.ca));
        if let CertificateSource::Files { ca_bundle } = settings.certificates.source {
            files.extend([settings.tls_cert, settings.tls_key]);
            files.extend(ca_bundle.map(|file| file.path));
        }
        for file in files {
            let folder = file.parent().unwrap().to_str().unwrap();
            let mount = mounts.iter().find(|mount| mount["mountPath"] == folder);
            let mount = mount.unwrap_or_else(|| panic!("{}: {folder} is not mounted", set.name));
            assert!(mount.get("subPath").is_none(), "a subPath never changes");
            let volumes = &only(&objects, "Deployment")["spec"]["template"]["spec"]["volumes"];
            let volumes = volumes.as_array().unwrap();
            let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).unwrap();
            let name = file.file_name().unwrap().to_str().unwrap();
            let holds = |source: &Value| {
                let items = source["items"].as_array();
                items.is_none_or(|items| items.iter().any(|item| item["path"] == name))
            };
            let parts = volume["projected"]["sources"].as_array().cloned();
            let held = parts.unwrap_or_else(|| vec![(*volume).clone()]).iter().any(|part| {
                part.get("secret").or_else(|| part.get("configMap")).is_some_and(holds)
            });
            assert!(held, "{}: {name} is not in {volume}", set.name);
        }
    }
}

/// No region is invented, two replicas, and all that keeps Pods being created.
#[test]
fn the_defaults_hold_in_production() {
    let objects = render("defaults");
    assert!(!args(&objects).iter().any(|arg| arg.starts_with("--aws-default-region")));
    let deployment = &only(&objects, "Deployment")["spec"];
    assert_eq!(deployment["replicas"], 2);
    let strategy = json!({
        "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 0, "maxSurge": 1 },
    });
    assert_eq!(deployment["strategy"], strategy);
    let pod = &deployment["template"]["spec"];
    assert_eq!(pod["priorityClassName"], "system-cluster-critical");
    assert_eq!(pod["terminationGracePeriodSeconds"], 60);
    let spread = &pod["topologySpreadConstraints"][0];
    assert_eq!(spread["labelSelector"], deployment["selector"]);
    let apart = &pod["affinity"]["podAntiAffinity"];
    let apart = &apart["preferredDuringSchedulingIgnoredDuringExecution"][0]["podAffinityTerm"];
    assert_eq!(apart["labelSelector"], deployment["selector"]);
    let limits = &container(&objects)["resources"]["limits"];
    assert!(limits.get("memory").is_some() && limits.get("cpu").is_none(), "{limits}");
    assert_eq!(only(&objects, "PodDisruptionBudget")["spec"]["maxUnavailable"], 1);
    let expected = [
        "ClusterRole",
        "ClusterRoleBinding",
        "Deployment",
        "MutatingWebhookConfiguration",
        "PodDisruptionBudget",
        "Role",
        "RoleBinding",
        "Secret",
        "Service",
        "ServiceAccount",
    ];
    assert_eq!(kinds(&objects), expected);
}

/// field.md O7: what a Prometheus scrapes by annotations is the plain port.
#[test]
fn the_scrape_annotations_name_the_plain_port() {
    for (set, port) in [("defaults", 9999), ("names", 9443)] {
        let objects = render(set);
        let service = only(&objects, "Service");
        let annotations = &service["metadata"]["annotations"];
        let expected = json!({
            "prometheus.io/scrape": "true",
            "prometheus.io/scheme": "http",
            "prometheus.io/port": port.to_string(),
            "prometheus.io/path": "/metrics",
        });
        assert_eq!(*annotations, expected);
        assert_eq!(settings(&objects).metrics_port, port);
        let ports = service["spec"]["ports"].as_array().unwrap();
        assert!(ports.iter().any(|at| at["port"] == port && at["targetPort"] == "metrics"));
    }
    let without = render("monitoring");
    assert!(only(&without, "Service")["metadata"].get("annotations").is_none());
}

/// The account's token is in the webhook's Pods, and in no other Pod that uses the account.
#[test]
fn only_the_webhook_gets_the_token_of_its_account() {
    let objects = render("defaults");
    assert_eq!(only(&objects, "ServiceAccount")["automountServiceAccountToken"], false);
    let pod = &only(&objects, "Deployment")["spec"]["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], true);
}

/// An upgrade would put back what a manifest says.
#[test]
fn what_others_fill_in_is_installed_empty() {
    for (set, names) in [
        ("defaults", &["pod-identity-webhook"][..]),
        ("cert-manager", &["pod-identity-webhook-tls", "pod-identity-webhook-ca"]),
        ("cert-manager-issuer", &["pod-identity-webhook-tls"]),
        ("existing-secret", &[]),
    ] {
        let objects = render(set);
        let secrets: Vec<_> = objects.iter().filter(|object| object["kind"] == "Secret").collect();
        let found: Vec<_> = secrets.iter().map(|secret| &secret["metadata"]["name"]).collect();
        assert_eq!(found, names, "{set}");
        for secret in secrets {
            assert!(secret.get("data").is_none() && secret.get("stringData").is_none(), "{set}");
        }
    }
}

#[test]
fn the_configmaps_hold_what_the_values_say() {
    let objects = render("mappings");
    assert_eq!(settings(&objects).config_map, ConfigMapSource::Watched);
    let map = only(&objects, "ConfigMap");
    assert_eq!(map["metadata"]["name"], "pod-identity-webhook");
    let config: Value = serde_json::from_str(map["data"]["config"].as_str().unwrap()).unwrap();
    let expected = json!({
        "shop/checkout": {
            "RoleARN": "arn:aws:iam::111122223333:role/checkout",
            "UseRegionalSTS": true,
            "TokenExpiration": 3600,
        },
        "team-*/backup": {
            "RoleARN": "arn:aws:iam::444455556666:role/backup",
            "Audience": "sts.amazonaws.com",
        },
        "eks-jobs/*": { "RoleARN": "arn:aws:iam::111122223333:role/jobs" },
    });
    assert_eq!(config, expected);

    let objects = render("identities");
    let file = settings(&objects).credentials_file.unwrap();
    let map = only(&objects, "ConfigMap");
    let key = file.file_name().unwrap().to_str().unwrap();
    let config: Value = serde_json::from_str(map["data"][key].as_str().unwrap()).unwrap();
    let expected = json!({ "identities": [
        { "namespace": "default", "serviceAccount": "s3-echoer" },
        { "namespace": "shop", "serviceAccount": "checkout" },
    ] });
    assert_eq!(config, expected);
}

/// What the chart writes is what the webhook reads, and globs stay text.
#[test]
fn the_configmap_of_a_role_policy_is_a_role_policy() {
    let objects = render("role-policy");
    let injection = settings(&objects).injection;
    let file = injection.role_policy.unwrap();
    let key = file.file_name().unwrap().to_str().unwrap();
    let text = only(&objects, "ConfigMap")["data"][key].as_str().unwrap();
    let policy = policy::parse(key, text).unwrap();
    let asked = |namespace, role| {
        Guard { policy: &policy, namespace }.judge(&Role::read(role, None)).is_granted()
    };
    assert!(asked("shop-eu", "arn:aws:iam::111122223333:role/shop/cart"));
    assert!(!asked("shop", "arn:aws:iam::111122223333:role/other"));
    assert!(!asked("quiet", "arn:aws:iam::111122223333:role/shop/cart"));
    assert!(!asked("other", "arn:aws:iam::111122223333:role/shop/cart"));
    assert_eq!(injection.settings.role_not_allowed, UnfitRole::Deny);
}

/// The community chart's names of values mean here what they mean there.
#[test]
fn a_values_file_of_the_community_chart_is_taken_as_it_is() {
    let objects = render("community");
    let settings = settings(&objects);
    assert!(matches!(settings.certificates.source, CertificateSource::Files { ca_bundle: None }));
    assert_eq!(settings.port, 8443);
    assert_eq!(settings.config_map, ConfigMapSource::Watched);
    let region = settings.injection.settings.defaults.region;
    assert_eq!(region.as_deref(), Some("us-east-1"));
    let image = &container(&objects)["image"];
    assert_eq!(*image, "registry.example/pod-identity-webhook:0.1.0");
    assert_eq!(only(&objects, "PodDisruptionBudget")["spec"]["minAvailable"], 1);
    let probe = json!({ "path": "/healthz", "port": "https", "scheme": "HTTPS" });
    assert_eq!(container(&objects)["livenessProbe"]["httpGet"], probe);
    assert_eq!(container(&objects)["readinessProbe"]["httpGet"], probe);
    let configuration = only(&objects, "MutatingWebhookConfiguration");
    let injected = &configuration["metadata"]["annotations"]["cert-manager.io/inject-ca-from"];
    assert_eq!(*injected, "eks/amazon-eks-pod-identity-webhook");
}

/// The keys of values.yaml and of its schema, one by one.
#[test]
fn the_schema_knows_every_value_and_no_other() {
    fn compare(at: &str, value: &Value, schema: &Value, root: &Value) {
        let schema = match schema["$ref"].as_str() {
            Some(name) => &root["definitions"][name.trim_start_matches("#/definitions/")],
            None => schema,
        };
        let Some(properties) = schema["properties"].as_object() else { return };
        assert_eq!(schema["additionalProperties"], false, "{at} takes what it does not know");
        let Some(value) = value.as_object() else { return };
        for key in properties.keys() {
            // Selectors and resources have keys that are not set by default.
            let optional =
                ["elector", ".resources", ".affinity"].iter().any(|end| at.ends_with(end));
            assert!(optional || value.contains_key(key), "{at}.{key} is not in values.yaml");
        }
        for (key, value) in value {
            let schema = properties.get(key);
            let schema = schema.unwrap_or_else(|| panic!("{at}.{key} is not in the schema"));
            compare(&format!("{at}.{key}"), value, schema, root);
        }
    }

    let read = |name: &str| std::fs::read_to_string(path("manifests/chart").join(name)).unwrap();
    let schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    let values = documents(&read("values.yaml")).remove(0);
    compare("", &values, &schema, &schema);
}

#[test]
fn the_same_values_are_rendered_the_same_twice() {
    let set = Set::named("everything");
    assert_eq!(template(NAMESPACE, &set.args()), template(NAMESPACE, &set.args()));
}

/// The rules and the dashboard are those of `manifests/monitoring`, and the values change of them
/// what they say and nothing else.
#[test]
fn the_alerts_and_the_dashboard_are_those_of_the_repository() {
    let read =
        |file: &str| std::fs::read_to_string(path("manifests/monitoring").join(file)).unwrap();
    let objects = Set::named("monitoring").render(NAMESPACE);
    let of_source: Value = serde_saphyr::from_str(&read("rules.yaml")).unwrap();
    let mut expected = of_source["groups"][0]["rules"].as_array().unwrap().clone();
    expected.retain(|rule| rule["alert"] != "PodIdentityWebhookEventsLost");
    for rule in &mut expected {
        rule["labels"]["team"] = "platform".into();
    }
    let rule = only(&objects, "PrometheusRule");
    assert_eq!(rule["metadata"]["labels"]["release"], "prometheus");
    assert_eq!(rule["spec"]["groups"][0]["rules"], Value::from(expected));
    let dashboard = objects
        .iter()
        .find(|object| object["metadata"]["labels"]["grafana_dashboard"] == "1")
        .unwrap();
    assert_eq!(dashboard["metadata"]["namespace"], "grafana");
    assert_eq!(dashboard["metadata"]["annotations"]["grafana_folder"], "Kubernetes");
    let shown: Value =
        serde_json::from_str(dashboard["data"]["pod-identity-webhook.json"].as_str().unwrap())
            .unwrap();
    assert_eq!(shown, serde_json::from_str::<Value>(&read("dashboard.json")).unwrap());
}
