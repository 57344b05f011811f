//! What SDKs may prefer to the identity, by names alone.
//!
//! The order in which SDKs look for credentials differs; what all have in common is keys in the
//! environment first, and the Pod Identity agent behind everything but the node's own address (AWS
//! SDKs and Tools Reference Guide, "Standardized credential providers"). A profile comes before web
//! identity in some and behind it in others. So what is not certain is a hint.

use crate::pod::{Container as View, FULL_URI, WEB_IDENTITY_TOKEN_FILE};

use super::explanation::{Certainty, Shadow};

/// The keys that every SDK takes first.
pub(super) const ACCESS_KEY_ID: &str = "AWS_ACCESS_KEY_ID";

/// How Pods get an identity.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Path {
    /// IRSA.
    WebIdentity,
    /// EKS Pod Identity.
    ContainerCredentials,
}

/// What may stand before an identity of this `path` in `container`.
pub(super) fn shadows(container: &View<'_>, path: Path) -> Vec<Shadow> {
    let mut shadows = Vec::new();
    let mut found = |certainty, by: &str, says: String| {
        shadows.push(Shadow { by: by.to_owned(), certainty, says });
    };
    if container.sets(ACCESS_KEY_ID) {
        let says = format!("{ACCESS_KEY_ID} is set, and SDKs prefer it; remove it");
        found(Certainty::Certain, ACCESS_KEY_ID, says);
    }
    if path == Path::ContainerCredentials && container.sets(WEB_IDENTITY_TOKEN_FILE) {
        let says = format!("{WEB_IDENTITY_TOKEN_FILE} is set, and SDKs prefer it; remove it");
        found(Certainty::Certain, WEB_IDENTITY_TOKEN_FILE, says);
    }
    let preferred = match path {
        Path::WebIdentity => "some SDKs prefer a profile to web identity",
        Path::ContainerCredentials => "SDKs prefer a profile to the Pod Identity agent",
    };
    for by in ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"] {
        if container.sets(by) {
            let says = format!("{by} is set, and {preferred}; remove it");
            found(Certainty::Possible, by, says);
        }
    }
    for by in ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"] {
        if container.sets(by) {
            let says =
                format!("{by} is set, and {preferred}; see that its file has no credentials");
            found(Certainty::Possible, by, says);
        }
    }
    for by in container.volume_mounts.iter().flatten().filter_map(|m| m.mount_path.as_deref()) {
        if by.split('/').any(|part| part == ".aws") {
            let says = format!("{by} is mounted, and {preferred}; see that it has no credentials");
            found(Certainty::Possible, by, says);
        }
    }
    if container.has_env_from() && !container.sets(ACCESS_KEY_ID) {
        let says =
            format!("envFrom may bring {ACCESS_KEY_ID}, which SDKs prefer; see that it does not");
        found(Certainty::Possible, "envFrom", says);
    }
    if path == Path::ContainerCredentials {
        let relative = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
        if container.sets(relative) {
            let says = format!("{relative} is set, and SDKs prefer it to {FULL_URI}; remove it");
            found(Certainty::Possible, relative, says);
        }
        let proxy = ["HTTP_PROXY", "http_proxy"].into_iter().find(|proxy| container.sets(proxy));
        let exempt = ["NO_PROXY", "no_proxy"].into_iter().any(|no| container.sets(no));
        if let Some(proxy) = proxy.filter(|_| !exempt) {
            let says = format!("{proxy} is set, and the agent is not behind a proxy; set NO_PROXY");
            found(Certainty::Possible, proxy, says);
        }
    }
    shadows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::Pod;

    fn by(container: &str, path: Path) -> Vec<(String, Certainty)> {
        let pod = format!(r#"{{"spec":{{"containers":[{container}]}}}}"#);
        let pod = Pod::read(&pod).unwrap();
        shadows(&pod.containers()[0], path).into_iter().map(|s| (s.by, s.certainty)).collect()
    }

    #[test]
    fn what_stands_before_the_identity_is_named_and_no_value_is() {
        use Path::{ContainerCredentials, WebIdentity};

        let env = |names: &[&str]| {
            let env: Vec<_> = names
                .iter()
                .map(|name| format!(r#"{{"name":"{name}","value":"marker"}}"#))
                .collect();
            format!(r#"{{"name":"c","env":[{}]}}"#, env.join(","))
        };
        let certain = |by: &str| (by.to_owned(), Certainty::Certain);
        let possible = |by: &str| (by.to_owned(), Certainty::Possible);
        assert_eq!(by(&env(&["AWS_REGION"]), WebIdentity), []);
        assert_eq!(by(&env(&["AWS_ACCESS_KEY_ID"]), WebIdentity), [certain("AWS_ACCESS_KEY_ID")]);
        assert_eq!(by(&env(&["AWS_WEB_IDENTITY_TOKEN_FILE"]), WebIdentity), []);
        assert_eq!(
            by(&env(&["AWS_WEB_IDENTITY_TOKEN_FILE"]), ContainerCredentials),
            [certain("AWS_WEB_IDENTITY_TOKEN_FILE")]
        );
        assert_eq!(
            by(&env(&["AWS_PROFILE", "AWS_CONFIG_FILE"]), WebIdentity),
            [possible("AWS_PROFILE"), possible("AWS_CONFIG_FILE")]
        );
        assert_eq!(by(&env(&["HTTP_PROXY"]), ContainerCredentials), [possible("HTTP_PROXY")]);
        assert_eq!(by(&env(&["HTTP_PROXY", "NO_PROXY"]), ContainerCredentials), []);
        assert_eq!(by(&env(&["HTTP_PROXY"]), WebIdentity), []);
        let mount = r#"{"name":"c","volumeMounts":[{"name":"v","mountPath":"/root/.aws"}]}"#;
        assert_eq!(by(mount, WebIdentity), [possible("/root/.aws")]);
        let env_from = r#"{"name":"c","envFrom":[{"secretRef":{"name":"s"}}]}"#;
        assert_eq!(by(env_from, WebIdentity), [possible("envFrom")]);
    }
}
