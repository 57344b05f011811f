//! What is said about Pods that run. Each Pod is one that a webhook made, then changed by a word.

use super::*;
use crate::identity::{Annotations, Guard, Knowledge, Listed, RolePolicy, Sources};
use crate::plan::{Ask, UnfitRole, decide};

const PREFIX: &str = "eks.amazonaws.com";
const ROLE: &str = "arn:aws:iam::111122223333:role/app";
const OTHER_ROLE: &str = "arn:aws:iam::444455556666:role/app";

/// As the webhook injects it under [`ROLE`], with what admission adds on its own.
const INJECTED: &str = r#"{"metadata":{"name":"a","namespace":"n"},"spec":{"serviceAccountName":"sa",
    "containers":[{"name":"app","env":[{"name":"SECRET","value":"marker"},
        {"name":"AWS_ROLE_ARN","value":"arn:aws:iam::111122223333:role/app"},
        {"name":"AWS_WEB_IDENTITY_TOKEN_FILE","value":"/var/run/secrets/eks.amazonaws.com/serviceaccount/token"}],
      "volumeMounts":[{"name":"kube-api-access-x","readOnly":true,"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"},
        {"name":"aws-iam-token","readOnly":true,"mountPath":"/var/run/secrets/eks.amazonaws.com/serviceaccount"}]}],
    "volumes":[{"name":"aws-iam-token","projected":{"defaultMode":420,"sources":[{"serviceAccountToken":
        {"audience":"sts.amazonaws.com","expirationSeconds":86400,"path":"token"}}]}},
      {"name":"kube-api-access-x","projected":{"sources":[{"serviceAccountToken":{"expirationSeconds":3607,"path":"token"}},
        {"configMap":{"name":"kube-root-ca.crt"}}]}}]},"status":{"phase":"Running"}}"#;

/// As the webhook injects it under `pod-identity: true`.
const POD_IDENTITY: &str = r#"{"metadata":{"name":"a","labels":{"eks.amazonaws.com/pod-identity":"enabled"}},
    "spec":{"serviceAccountName":"sa","containers":[{"name":"app","env":[
        {"name":"AWS_CONTAINER_CREDENTIALS_FULL_URI","value":"http://169.254.170.23/v1/credentials"},
        {"name":"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
         "value":"/var/run/secrets/pods.eks.amazonaws.com/serviceaccount/eks-pod-identity-token"}],
      "volumeMounts":[{"name":"eks-pod-identity-token","readOnly":true,
        "mountPath":"/var/run/secrets/pods.eks.amazonaws.com/serviceaccount"}]}],
    "volumes":[{"name":"eks-pod-identity-token","projected":{"sources":[{"serviceAccountToken":
        {"audience":"pods.eks.amazonaws.com","expirationSeconds":80000,"path":"eks-pod-identity-token"}}]}}]}}"#;

const PLAIN: &str =
    r#"{"metadata":{"name":"a"},"spec":{"serviceAccountName":"sa","containers":[{"name":"app"}]}}"#;

type Seen = (Verdict, Vec<(String, String)>);

fn seen(pod: &str, annotations: &[(&str, &str)], settings: &Settings) -> Seen {
    let keys: Vec<_> = annotations.iter().map(|(k, v)| (format!("{PREFIX}/{k}"), *v)).collect();
    let account = Annotations::read(PREFIX, keys.iter().map(|(k, v)| (k.as_str(), *v)));
    let sources = Sources {
        credentials_file: Listed::No,
        account: Knowledge::Known(&account),
        mapping: None,
        guard: None,
    };
    let ask = Ask::Create(Pod::read(pod).unwrap());
    let decision = decide(&ask, &sources, Spread::by_names(&["n", "a"]), settings);
    let drift = compare(ask.pod().unwrap(), &decision, settings);
    assert!(!format!("{drift:?}").contains("marker"));
    let states =
        drift.containers.iter().map(|c| (c.name.to_owned(), format!("{:?}", c.state))).collect();
    (drift.verdict, states)
}

fn of_role(pod: &str) -> Seen {
    seen(pod, &[("role-arn", ROLE)], &Settings::default())
}

fn state(seen: &Seen) -> (Verdict, &str) {
    (seen.0, seen.1[0].1.as_str())
}

#[test]
fn a_pod_that_was_injected_is_complete() {
    assert_eq!(state(&of_role(INJECTED)), (Verdict::Complete, "Has"));
    let pod_identity = seen(POD_IDENTITY, &[("pod-identity", "true")], &Settings::default());
    assert_eq!(state(&pod_identity), (Verdict::Complete, "Has"));
}

#[test]
fn a_pod_that_was_missed_lacks_everything() {
    assert_eq!(state(&of_role(PLAIN)), (Verdict::Missing, "Lacks([Variables, Mount, Volume])"));
    assert_eq!(Verdict::Missing.remedy(), Remedy::Recreate);
}

#[test]
fn a_pod_of_an_account_without_an_identity_lacks_none() {
    let (verdict, containers) = seen(PLAIN, &[], &Settings::default());
    assert_eq!(verdict, Verdict::NotMeant(Reason::NoIdentity));
    assert_eq!(verdict.remedy(), Remedy::None);
    assert_eq!(containers, []);
}

#[test]
fn one_container_of_two_is_a_part() {
    let pod = INJECTED.replace(r#""containers":["#, r#""containers":[{"name":"second"},"#);
    let (verdict, containers) = of_role(&pod);
    assert_eq!(verdict, Verdict::Partial);
    assert_eq!(containers[0].1, "Lacks([Variables, Mount])");
    assert_eq!(containers[1].1, "Has");
}

#[test]
fn a_mount_that_is_gone_is_a_part() {
    let pod = INJECTED.replace(
        r#"{"name":"aws-iam-token","readOnly":true,"mountPath":"/var/run/secrets/eks.amazonaws.com/serviceaccount"}"#,
        r#"{"name":"data","mountPath":"/data"}"#,
    );
    assert_eq!(state(&of_role(&pod)), (Verdict::Partial, "Lacks([Mount])"));
}

#[test]
fn another_role_is_told_if_it_is_one() {
    let seen_as = seen(INJECTED, &[("role-arn", OTHER_ROLE)], &Settings::default());
    let difference = r#"HasAnother([Role { has: Some("arn:aws:iam::111122223333:role/app") }])"#;
    assert_eq!(state(&seen_as), (Verdict::OtherRole, difference));
    let pod = INJECTED.replace(ROLE, "marker");
    assert_eq!(state(&of_role(&pod)), (Verdict::OtherRole, "HasAnother([Role { has: None }])"));
}

#[test]
fn another_audience_is_another_identity() {
    let account = [("role-arn", ROLE), ("audience", "sts.amazonaws.com.cn")];
    let seen = seen(INJECTED, &account, &Settings::default());
    let difference = r#"HasAnother([Audience { has: Some("sts.amazonaws.com") }])"#;
    assert_eq!(state(&seen), (Verdict::OtherAudience, difference));
}

#[test]
fn another_mount_path_is_another_place_if_a_webhook_put_the_token_there() {
    let settings = Settings { web_identity_mount_path: "/var/aws".into(), ..Settings::default() };
    let moved = seen(INJECTED, &[("role-arn", ROLE)], &settings);
    assert_eq!(state(&moved), (Verdict::OtherTokenPath, "HasAnother([TokenPath])"));
    let own = INJECTED.replace("aws-iam-token", "my-token");
    let own = seen(&own, &[("role-arn", ROLE)], &settings);
    assert_eq!(state(&own), (Verdict::AuthorsOwn, "AuthorsOwn"));
}

#[test]
fn the_other_method_is_another_identity_both_ways() {
    let now_pod_identity = seen(INJECTED, &[("pod-identity", "true")], &Settings::default());
    assert_eq!(state(&now_pod_identity), (Verdict::OtherMethod, "HasAnother([Method])"));
    assert_eq!(state(&of_role(POD_IDENTITY)), (Verdict::OtherMethod, "HasAnother([Method])"));
}

#[test]
fn another_address_is_another_endpoint() {
    let mut settings = Settings::default();
    settings.container_credentials.full_uri = "http://[fd00:ec2::23]/v1/credentials".into();
    let seen = seen(POD_IDENTITY, &[("pod-identity", "true")], &settings);
    assert_eq!(state(&seen), (Verdict::OtherEndpoint, "HasAnother([Endpoint])"));
}

/// N18: the author set both.
#[test]
fn the_author_s_own_pair_is_the_author_s_choice() {
    for (role, file) in [
        (r#""value":"arn:aws:iam::444455556666:role/own""#, r#""value":"/own/token""#),
        (r#""valueFrom":{"configMapKeyRef":{"name":"c","key":"k"}}"#, r#""value":"/own/token""#),
        (
            r#""value":"$(ROLE)""#,
            r#""value":"/var/run/secrets/eks.amazonaws.com/serviceaccount/token""#,
        ),
    ] {
        let pod = format!(
            r#"{{"spec":{{"containers":[{{"name":"app","env":[{{"name":"AWS_ROLE_ARN",{role}}},
                {{"name":"AWS_WEB_IDENTITY_TOKEN_FILE",{file}}}]}}]}}}}"#
        );
        let seen = of_role(&pod);
        assert_eq!(state(&seen), (Verdict::AuthorsOwn, "AuthorsOwn"), "{role} {file}");
        assert_eq!(seen.0.remedy(), Remedy::None);
    }
}

#[test]
fn what_a_new_pod_would_not_get_either_is_withheld() {
    let half = r#"{"spec":{"containers":[{"name":"app","env":[{"name":"AWS_ROLE_ARN"}]}]}}"#;
    assert_eq!(
        state(&of_role(half)),
        (Verdict::Withheld(Reason::EnvConflict), "Withheld(EnvConflict)")
    );
    let taken = r#"{"spec":{"containers":[{"name":"app","volumeMounts":[{"name":"mine",
        "mountPath":"/var/run/secrets/eks.amazonaws.com/serviceaccount/"}]}]}}"#;
    let seen_as = of_role(taken);
    assert_eq!(
        state(&seen_as),
        (Verdict::Withheld(Reason::MountPathTaken), "Withheld(MountPathTaken)")
    );
    assert_eq!(seen_as.0.remedy(), Remedy::Repair);
    let settings = Settings { invalid_role_arn: UnfitRole::Skip, ..Settings::default() };
    let seen = seen(PLAIN, &[("role-arn", "app")], &settings);
    assert_eq!(seen.0, Verdict::Withheld(Reason::InvalidRoleArn));
}

/// A Pod that has the role from before the policy is told as well: it runs with what it may not have.
#[test]
fn a_role_that_the_policy_does_not_allow_is_withheld_whether_the_pod_has_it_or_not() {
    let policy = RolePolicy::default();
    let account = Annotations::read(PREFIX, [("eks.amazonaws.com/role-arn", ROLE)]);
    let sources = Sources {
        credentials_file: Listed::No,
        account: Knowledge::Known(&account),
        mapping: None,
        guard: Some(Guard { policy: &policy, namespace: "shop" }),
    };
    let of = |pod: &str, settings: &Settings| {
        let ask = Ask::Create(Pod::read(pod).unwrap());
        let decision = decide(&ask, &sources, Spread::by_names(&[]), settings);
        compare(ask.pod().unwrap(), &decision, settings).verdict
    };
    for role_not_allowed in [UnfitRole::Skip, UnfitRole::Deny] {
        let settings = Settings { role_not_allowed, ..Settings::default() };
        for pod in [PLAIN, INJECTED] {
            assert_eq!(of(pod, &settings), Verdict::Withheld(Reason::RoleNotAllowed));
        }
    }
    let injects = Settings { role_not_allowed: UnfitRole::Inject, ..Settings::default() };
    assert_eq!(
        [PLAIN, INJECTED].map(|pod| of(pod, &injects)),
        [Verdict::Missing, Verdict::Complete]
    );
}

#[test]
fn a_container_that_is_left_out_lacks_nothing() {
    let account = [("role-arn", ROLE), ("skip-containers", "app")];
    let seen = seen(PLAIN, &account, &Settings::default());
    assert_eq!(state(&seen), (Verdict::NotMeant(Reason::ContainersSkipped), "Skipped"));
}

#[test]
fn a_region_that_came_later_is_a_setting_and_no_other_identity() {
    let mut settings = Settings::default();
    settings.defaults.region = Some("eu-west-1".into());
    let account = Annotations::read(PREFIX, [("eks.amazonaws.com/role-arn", ROLE)]);
    let sources = Sources {
        credentials_file: Listed::No,
        account: Knowledge::Known(&account),
        mapping: None,
        guard: None,
    };
    let ask = Ask::Create(Pod::read(INJECTED).unwrap());
    let decision = decide(&ask, &sources, Spread::by_names(&[]), &settings);
    let drift = compare(ask.pod().unwrap(), &decision, &settings);
    assert_eq!(drift.verdict, Verdict::Complete);
    assert_eq!(drift.containers[0].unset, ["AWS_DEFAULT_REGION", "AWS_REGION"]);
}

#[test]
fn a_windows_pod_is_told_by_its_windows_paths() {
    let windows = INJECTED
        .replace(r#""serviceAccountName""#, r#""os":{"name":"windows"},"serviceAccountName""#)
        .replace(
            r#""value":"/var/run/secrets/eks.amazonaws.com/serviceaccount/token""#,
            r#""value":"C:\\var\\run\\secrets\\eks.amazonaws.com\\serviceaccount\\token""#,
        );
    assert_eq!(state(&of_role(&windows)), (Verdict::Complete, "Has"));
}

#[test]
fn codes_are_unique_among_themselves_and_the_reasons() {
    let own = [
        Verdict::Missing,
        Verdict::Partial,
        Verdict::OtherMethod,
        Verdict::OtherRole,
        Verdict::OtherAudience,
        Verdict::OtherTokenPath,
        Verdict::OtherEndpoint,
        Verdict::Complete,
        Verdict::AuthorsOwn,
    ];
    let mut codes: Vec<_> =
        own.map(Verdict::code).into_iter().chain(Reason::ALL.map(Reason::code)).collect();
    let all = codes.len();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), all);
}
