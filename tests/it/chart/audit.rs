//! The audit that the chart runs: it judges as the webhook decides, and what watches the one watches
//! the other.

use pod_identity_webhook::cli::{self, Command, Errand, Namespaces, PodsSettings, Whose};
use serde_json::{Value, json};

use super::helm::{
    NAMESPACE, Set, args, args_of, component, container_of, documents, only, only_of, template,
};

fn settings(objects: &[Value]) -> PodsSettings {
    let args = args_of(only_of(objects, "audit", "Deployment"));
    match cli::parse(["webhook".to_owned()].into_iter().chain(args.clone())) {
        Ok(Command::AuditPods(settings)) => *settings,
        other => panic!("{args:#?}: {other:?}"),
    }
}

/// A set of values, with an audit.
fn render(set: &Set, values: &[&str]) -> Vec<Value> {
    let audit = ["--set", "audit.enabled=true"];
    let args = [&set.args()[..], &audit, values].concat();
    documents(&template(NAMESPACE, &args).unwrap())
}

#[test]
fn there_is_none_by_default() {
    let objects = Set::named("defaults").render(NAMESPACE);
    assert!(objects.iter().all(|object| component(object) == "webhook"));
}

#[test]
fn the_audit_is_told_what_the_webhook_is_told() {
    for set in Set::all() {
        let objects = render(&set, &[]);
        let arguments = args(&objects);
        let Ok(Command::Serve(webhook)) =
            cli::parse(["webhook".to_owned()].into_iter().chain(arguments))
        else {
            panic!("{}", set.name)
        };
        let audit = settings(&objects);
        let Whose::Given(given) = audit.whose else { panic!("{}: {:?}", set.name, audit.whose) };
        let injection = format!("{:?}", given.injection);
        assert_eq!(injection, format!("{:?}", webhook.injection), "{}", set.name);
        assert_eq!(given.config_map, webhook.config_map, "{}", set.name);
        assert_eq!(given.namespace, webhook.namespace, "{}", set.name);
        assert_eq!(given.credentials_file, webhook.credentials_file, "{}", set.name);
        let Errand::Watch(watch) = audit.errand else { panic!("{}", set.name) };
        assert_eq!(watch.metrics_port, webhook.metrics_port, "{}", set.name);
        assert_eq!(format!("{:?}", watch.log), format!("{:?}", webhook.log), "{}", set.name);

        let [audit, webhook] = ["audit", "webhook"].map(|of| only_of(&objects, of, "Deployment"));
        for field in ["env", "image", "securityContext"] {
            let [audit, webhook] = [audit, webhook].map(container_of);
            assert_eq!(audit.get(field), webhook.get(field), "{}: {field}", set.name);
        }
        if let Some(file) = given.credentials_file {
            let folder = file.parent().unwrap().to_str().unwrap();
            let [in_audit, in_webhook] = [audit, webhook].map(|deployment| {
                let mounts = container_of(deployment)["volumeMounts"].as_array().unwrap();
                let mount = mounts.iter().find(|mount| mount["mountPath"] == folder).unwrap();
                let volumes = deployment["spec"]["template"]["spec"]["volumes"].as_array();
                let volume = volumes.unwrap().iter().find(|it| it["name"] == mount["name"]);
                (mount, volume.unwrap())
            });
            assert_eq!(in_audit, in_webhook, "{}", set.name);
        }
    }
}

/// Of more arguments it takes those that say what is injected, and no other.
#[test]
fn more_arguments_of_the_webhook_count_for_the_audit_where_they_say_what_is_injected() {
    let command = cli::command();
    let audit = command.find_subcommand("audit").unwrap().find_subcommand("pods").unwrap();
    let is_judged_by = |arg: &&clap::Arg| {
        let documents = ["watch-config-map", "watch-container-credentials-config"];
        arg.get_help_heading() == Some("What is injected")
            || documents.contains(&arg.get_long().unwrap())
    };
    let longs = |args: Vec<&clap::Arg>| {
        let longs = args.into_iter().filter_map(clap::Arg::get_long);
        longs.map(str::to_owned).collect::<Vec<_>>()
    };
    let judged = longs(audit.get_arguments().filter(is_judged_by).collect());
    assert!(judged.len() > 15, "{judged:?}");
    let of_both = |form: &dyn Fn(&String) -> Vec<String>| {
        let all = longs(command.get_arguments().collect());
        let given: Vec<_> = all.iter().flat_map(form).collect();
        let wanted: Vec<_> =
            all.iter().filter(|long| judged.contains(long)).flat_map(form).collect();
        (given, wanted)
    };
    for (given, wanted) in [
        of_both(&|long| vec![format!("--{long}=x")]),
        of_both(&|long| vec![format!("--{long}"), "x".to_owned()]),
    ] {
        let values = format!("config.extraArgs={}", json!(given));
        let objects = render(&Set::named("defaults"), &["--set-json", &values]);
        let args = args_of(only_of(&objects, "audit", "Deployment"));
        assert!(args.ends_with(&wanted), "{args:#?}");
        let begin = args.len() - wanted.len();
        assert!(args[..begin].iter().all(|arg| !arg.ends_with("=x")), "{args:#?}");
    }
}

#[test]
fn the_values_say_where_it_looks_and_what_it_may_do() {
    let objects = Set::named("audit").render(NAMESPACE);
    let audit = settings(&objects);
    assert_eq!(audit.namespaces, Namespaces::Named("shop".into()));
    let Errand::Watch(watch) = audit.errand else { panic!() };
    assert_eq!(watch.evictions.map(u32::from), Some(3));
    assert_eq!(watch.bind_address.map(|address| address.to_string()).as_deref(), Some("::"));

    let objects = render(&Set::named("defaults"), &[]);
    let audit = settings(&objects);
    assert_eq!(audit.namespaces, Namespaces::All);
    let Errand::Watch(watch) = audit.errand else { panic!() };
    assert_eq!(watch.evictions, None);
    // Two at a time would count everything twice.
    let spec = &only_of(&objects, "audit", "Deployment")["spec"];
    assert_eq!((&spec["replicas"], &spec["strategy"]["type"]), (&json!(1), &json!("Recreate")));
    assert_eq!(only_of(&objects, "audit", "ServiceAccount")["automountServiceAccountToken"], false);
    assert_eq!(spec["template"]["spec"]["automountServiceAccountToken"], true);
}

/// Selectors of the one never take the other's Pods, and monitoring takes both.
#[test]
fn services_and_policies_are_apart_and_monitors_see_both() {
    let has = |labels: &Value, selector: &Value| {
        let equal = selector["matchLabels"].as_object().unwrap();
        let equal = equal.iter().all(|(key, value)| labels[key] == *value);
        let expressions = selector["matchExpressions"].as_array().into_iter().flatten();
        equal
            && expressions.into_iter().all(|expression| {
                let key = expression["key"].as_str().unwrap();
                expression["operator"] == "In"
                    && expression["values"].as_array().unwrap().contains(&labels[key])
            })
    };
    for (set, of_audit) in [("everything", true), ("monitoring", false)] {
        let set = Set::named(set);
        let objects = set.render(NAMESPACE);
        for (kind, of) in [("ServiceMonitor", "Service"), ("PodMonitor", "Deployment")] {
            let selector = &only(&objects, kind)["spec"]["selector"];
            let all = objects.iter().filter(|object| object["kind"] == of);
            let seen: Vec<_> = all
                .filter(|object| match of {
                    "Service" => has(&object["metadata"]["labels"], selector),
                    _ => has(&object["spec"]["template"]["metadata"]["labels"], selector),
                })
                .map(component)
                .collect();
            let expected: &[_] = if of_audit { &["audit", "webhook"] } else { &["webhook"] };
            let mut sorted = seen.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, expected, "{}: {kind}", set.name);
        }
        // A monitor looks for no audit where there is none.
        let text = json!(only(&objects, "PodMonitor")["spec"]).to_string();
        assert_eq!(text.contains("audit"), of_audit, "{text}");
    }

    let objects = Set::named("everything").render(NAMESPACE);
    for of in ["audit", "webhook"] {
        let deployment = only_of(&objects, of, "Deployment");
        let other = if of == "audit" { "webhook" } else { "audit" };
        let labels =
            |of| &only_of(&objects, of, "Deployment")["spec"]["template"]["metadata"]["labels"];
        let selectors = [
            deployment["spec"]["selector"].clone(),
            only_of(&objects, of, "NetworkPolicy")["spec"]["podSelector"].clone(),
            json!({ "matchLabels": only_of(&objects, of, "Service")["spec"]["selector"] }),
        ];
        for selector in selectors {
            assert!(has(labels(of), &selector) && !has(labels(other), &selector), "{selector}");
        }
    }
}
