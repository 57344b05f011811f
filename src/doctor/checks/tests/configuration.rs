//! The webhook configuration.

use super::*;

#[test]
fn a_configuration_is_found_by_name_or_by_look_and_must_call_a_path_of_ours() {
    let with = |found, configurations| Observed {
        installation: Ok(Installation::new(NAME, found, configurations).with(vec![backend()])),
        ..healthy()
    };
    let none = with(Found::ByName, Vec::new());
    says(&none, "configuration", Mark::Finding, "no MutatingWebhookConfiguration calls");
    let other = configuration(NAME, &json!({ "rules": null }));
    let other = with(Found::ByName, vec![other]);
    says(&other, "configuration", Mark::Finding, "no entry of pod-identity-webhook is called");
    let chart = configuration("amazon-eks-pod-identity-webhook", &json!({}));
    let chart = with(Found::ByName, vec![chart]);
    says(&chart, "configuration", Mark::Passed, "(there is no pod-identity-webhook)");
    let path = json!({ "clientConfig": { "service": { "path": "/" } } });
    let path = with(Found::ByName, vec![configuration(NAME, &path)]);
    says(&path, "configuration", Mark::Finding, "calls the path \"/\"");
}

/// The Go webhook v0.6.17 answers v1 without apiVersion and kind.
#[test]
fn the_review_version_depends_on_who_answers() {
    let with = |versions: Value, image: &str| {
        let configuration = configuration(NAME, &json!({ "admissionReviewVersions": versions }));
        let backend = Backend { replicas: Ok(vec![replica("webhook-0", image, &[])]), ..backend() };
        Observed { installation: Ok(installation(vec![configuration], backend)), ..healthy() }
    };
    let says = |versions, image, mark, text| {
        self::says(&with(versions, image), "review-versions", mark, text);
    };
    says(json!(["v1beta1"]), OURS, Mark::Finding, "takes v1beta1 only");
    says(json!(["v1beta1", "v1"]), OURS, Mark::Passed, "v1, v1beta1");
    says(json!(["v1beta1"]), GO, Mark::Passed, "v1beta1");
    says(json!(["v1", "v1beta1"]), GO, Mark::Note, "is sent v1 first");
}

#[test]
fn a_webhook_that_its_own_pods_wait_for_can_never_start_again() {
    let with = |over: Value| Observed {
        installation: Ok(installation(vec![configuration(NAME, &over)], backend())),
        ..healthy()
    };
    let fail = with(json!({ "failurePolicy": "Fail" }));
    says(&fail, "failure-policy", Mark::Finding, "is called for the webhook's own Pods");
    let not_home = json!({ "failurePolicy": "Fail", "namespaceSelector": { "matchExpressions": [
        { "key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["eks"] },
    ] } });
    says(&with(not_home), "failure-policy", Mark::Passed, "Fail: ");
}

/// What could not be looked at is no pass: neither namespaces, nor the Service, nor what only CEL says.
#[test]
fn whether_a_webhook_waits_for_itself_is_not_passed_unseen() {
    let over = |mut over: Value| {
        over["failurePolicy"] = json!("Fail");
        configuration(NAME, &over)
    };
    let with = |configuration, change: &dyn Fn(&mut Backend)| {
        let mut backend = backend();
        change(&mut backend);
        Observed { installation: Ok(installation(vec![configuration], backend)), ..healthy() }
    };
    let unseen = |observed: &Observed, why: &str| {
        let start = "whether pod-identity-webhook.example is called for the webhook's own Pods: ";
        says(observed, "failure-policy", Mark::NotLookedAt, &format!("{start}{why}"));
    };
    let nothing = |_: &mut Backend| {};
    let mut namespaces = with(over(json!({})), &nothing);
    namespaces.namespaces = Err(forbidden("namespaces"));
    unseen(&namespaces, "cannot list namespaces");
    let service = with(over(json!({})), &|b| b.service = Err(forbidden("services")));
    unseen(&service, "cannot list services");
    unseen(&with(over(json!({})), &|b| b.service = Ok(None)), "there is no Service");
    let without_selector = with(over(json!({})), &|backend| {
        if let Ok(Some(service)) = &mut backend.service {
            service.selector.clear();
        }
    });
    unseen(&without_selector, "Service eks/pod-identity-webhook has no selector");
    let conditions = json!({ "matchConditions": [{ "name": "not-itself", "expression": "true" }] });
    unseen(&with(over(conditions), &nothing), "its matchConditions (not-itself) are not judged");
    let url = json!({ "clientConfig": { "service": null, "url": "https://192.0.2.9/mutate" } });
    unseen(&with(over(url), &nothing), "it is called by URL");
}

#[test]
fn times_that_are_too_long_or_too_short_are_noted() {
    let with = |seconds: i32, args: &[&str]| {
        let configuration = configuration(NAME, &json!({ "timeoutSeconds": seconds }));
        let backend = Backend { replicas: Ok(vec![replica("webhook-0", OURS, args)]), ..backend() };
        Observed { installation: Ok(installation(vec![configuration], backend)), ..healthy() }
    };
    says(&with(30, &[]), "timeout", Mark::Note, "new Pods wait 30 s");
    let grace = ["--service-account-lookup-grace-period=2s"];
    says(&with(2, &grace), "timeout", Mark::Note, "look-ups are cut short");
    says(&with(4, &grace), "timeout", Mark::Passed, "4 s");
}

#[test]
fn webhooks_that_come_later_and_may_add_containers_are_noted() {
    let with = |others: &[&str]| {
        let mut all = vec![configuration(NAME, &json!({ "reinvocationPolicy": "Never" }))];
        all.extend(others.iter().map(|name| {
            configuration(name, &json!({ "clientConfig": { "service": { "name": "mesh" } } }))
        }));
        Observed { installation: Ok(installation(all, backend())), ..healthy() }
    };
    says(&with(&["sidecars"]), "reinvocation", Mark::Note, "containers that sidecars may add");
    says(&with(&["a-mesh"]), "reinvocation", Mark::Passed, "no other webhook comes later");
}

/// A finding, or a pass, about webhooks takes all of them, and the namespaces that they are called for.
#[test]
fn other_webhooks_that_cannot_be_seen_are_not_passed() {
    let never = configuration(NAME, &json!({ "reinvocationPolicy": "Never" }));
    let found = Installation::new(NAME, Found::ByNameAlone, vec![never]).with(vec![backend()]);
    let alone = Observed { installation: Ok(found), ..healthy() };
    for id in ["reinvocation", "overlap"] {
        says(&alone, id, Mark::NotLookedAt, "other configurations: grant list");
    }
    let go = json!({ "clientConfig": { "service": { "name": "go" } } });
    let all = vec![configuration(NAME, &json!({})), configuration("eks-pod-identity", &go)];
    let namespaces = Err(forbidden("namespaces"));
    let both = Observed { installation: Ok(installation(all, backend())), namespaces, ..healthy() };
    says(&both, "overlap", Mark::NotLookedAt, "cannot list namespaces");
}

#[test]
fn selectors_that_match_nothing_or_nothing_without_labels_are_told() {
    let with = |over: Value| Observed {
        installation: Ok(installation(vec![configuration(NAME, &over)], backend())),
        ..healthy()
    };
    let nothing = with(json!({ "namespaceSelector": { "matchLabels": { "a": "b" } } }));
    says(&nothing, "selectors", Mark::Finding, "matches none of 2 namespaces");
    let labelled = with(json!({ "objectSelector": { "matchLabels": { "a": "b" } } }));
    says(&labelled, "selectors", Mark::Note, "wants labels that no Pod has by itself");
    let conditions = with(json!({ "matchConditions": [
        { "name": "no-mirror", "expression": "true" }, { "name": "not-itself", "expression": "true" },
    ] }));
    let text = "2 of 2 namespaces are served by the selectors; the matchConditions of \
                pod-identity-webhook.example (no-mirror, not-itself) are met by the probe";
    says(&conditions, "selectors", Mark::Passed, text);
}

/// A stale Go webhook beside ours.
#[test]
fn another_webhook_of_this_kind_for_the_same_pods_is_told() {
    let with = |over: Value| {
        let other = configuration("eks-pod-identity", &over);
        let all = vec![configuration(NAME, &json!({})), other];
        Observed { installation: Ok(installation(all, backend())), ..healthy() }
    };
    let service = json!({ "clientConfig": { "service": { "name": "go" } } });
    says(&with(service.clone()), "overlap", Mark::Finding, "calls another webhook of this kind");
    let mut elsewhere = service;
    elsewhere["namespaceSelector"] = json!({ "matchLabels": { "a": "b" } });
    says(&with(elsewhere), "overlap", Mark::Passed, "no other webhook");
    let eks = json!({
        "name": "iam-for-pods.amazonaws.com",
        "clientConfig": { "service": null, "url": "https://127.0.0.1:23443/mutate" },
    });
    says(&with(eks), "overlap", Mark::Note, "iam-for-pods.amazonaws.com");
    // Another configuration that calls another path of the same Service is no other webhook.
    let strict = json!({ "clientConfig": { "service": { "path": "/mutate/strict" } } });
    says(&with(strict), "overlap", Mark::Passed, "no other webhook");
    // Two entries of one configuration are one webhook.
    let twice = {
        let mut one = configuration(NAME, &json!({}));
        let strict = json!({ "name": "strict.example", "clientConfig": { "service": { "path": "/mutate/strict" } } });
        one.webhooks.as_mut().unwrap().extend(configuration(NAME, &strict).webhooks.unwrap());
        Observed { installation: Ok(installation(vec![one], backend())), ..healthy() }
    };
    says(&twice, "overlap", Mark::Passed, "no other webhook");
}
