//! Values that are wrong: each is refused by a sentence that names it.
//!
//! `refusals.txt` has all of them; `UPDATE_GOLDEN=1` writes it anew.

use std::fmt::Write as _;

use super::helm::{NAMESPACE, path, template};

/// What a person gets wrong, as it would be typed.
const WRONG: &[&[&str]] = &[
    // Typos.
    &["--set", "replicas=3"],
    &["--set", "config.tokenAudiance=sts.amazonaws.com"],
    &["--set", "certificates.self.caValidty=1h"],
    &["--set", "pki.certmanager.enabled=true"],
    &["--set", "mutatingWebhook.failurePolicies=Fail"],
    &["--set", "metrics.serviceMonitor.intervall=1m"],
    &["--set", "resources.limit.memory=1Gi"],
    &["--set", "config.podIdentityWebhookMap.data.shop/app.roleArn=arn"],
    // The wrong type.
    &["--set", "replicaCount=two"],
    &["--set", "strict.enabled=yes"],
    &["--set", "podLabels.billing=7"],
    &["--set", "config.composeRoleArn.accountId=111122223333"],
    &["--set", "imagePullSecrets[0]=registry"],
    // A value that cannot be.
    &["--set", "certificates.mode=certmanager"],
    &["--set", "mutatingWebhook.failurePolicy=ignore"],
    &["--set", "mutatingWebhook.timeoutSeconds=60"],
    &["--set", "config.tokenExpiration=300"],
    &["--set", "config.ports.webhook=70000"],
    &["--set", "config.shutdownDelaySeconds=-1"],
    &["--set", "config.serviceAccountLookupGracePeriod=500"],
    &["--set", "config.extraArgs[0]=4"],
    &["--set", "config.podIdentityWebhookMap.name=mappings"],
    &["--set", "config.podIdentityWebhookMap.data.app.RoleARN=arn"],
    &["--set", "config.containerCredentials.identities[0].namespace=shop"],
    &["--set", "config.rolePolicy.default=none"],
    &["--set", "config.rolePolicy.rules[0].namespaces[0]=shop,config.rolePolicy.rules[0].role=arn"],
    &["--set-json", r#"config.rolePolicy.rules=[{"namespaces":["shop"],"roles":["shop"]}]"#],
    &["--set", "image.digest=0.1.0"],
    &["--set", "networkPolicy.apiServerCidrs[0]=10.0.0.1"],
    &["--set", "podDisruptionBudget.minAvailable=half"],
    &["--set", "pki.cert=/etc/tls.crt"],
    &["--set", "audit.namespace=Shop"],
    &["--set", "audit.evict.perMinute=0"],
    // Values that do not go together.
    &["--set", "certificates.mode=existingSecret"],
    &["--set", "certificates.mode=files"],
    &["--set", "pki.certManager.enabled=true,pki.certManager.existingIssuer.enabled=true"],
    &["--set", "mutualTls.enabled=true"],
    &["--set", "mutualTls.enabled=true,mutualTls.existingSecret=a,mutualTls.existingConfigMap=b"],
    &["--set-json", r#"config.rolePolicy.rules=[{"namespaces":["shop"],"roles":[]}]"#],
    &["--set", "terminationGracePeriodSeconds=30"],
    &["--set", "autoscaling.enabled=true,autoscaling.minReplicas=6"],
    &["--set", "config.ports.metrics=8443"],
    &["--set", "service.port=9999"],
    &["--set", "audit.enabled=true,config.composeRoleArn.enabled=true"],
    &["--set", "monitoring.prometheusRule.enabled=true,monitoring.prometheusRule.disabled[0]=Slow"],
];

/// What helm says, without what it says of every chart.
fn said(error: &str) -> String {
    let told = error.lines().filter(|line| {
        !(line.trim().is_empty()
            || line.starts_with("Error: values don't meet")
            || line.starts_with("pod-identity-webhook:")
            || line.starts_with("Use --debug"))
    });
    // Where in the templates a check failed is of no use to a person.
    let told = told.map(|line| match line.split_once("Error: execution error at (") {
        Some((_, rest)) => format!("- {}", rest.split_once("): ").unwrap().1),
        None => line.to_owned(),
    });
    told.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_wrong_value_is_refused_by_a_sentence_that_names_it() {
    let mut text = String::new();
    for values in WRONG {
        let refused = template(NAMESPACE, values);
        let error = refused.err().unwrap_or_else(|| panic!("{values:?} is taken"));
        writeln!(text, "{}\n{}\n", values.join(" "), said(&error)).unwrap();
    }
    let golden = path("tests/it/chart/refusals.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    assert_eq!(text, expected, "run UPDATE_GOLDEN=1 cargo test --test it chart::refusals");
}
