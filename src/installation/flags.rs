//! The flags of a server that runs elsewhere, read from its container as the server reads them.
//!
//! One parser, `cli`, for both. A flag that cannot be read is named and its default taken, and so is
//! a variable whose value stands in another object; neither is ever shown with a value.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvVar};

use crate::cli::{self, ENV_PREFIX, ServerSettings};

/// The flags of a server.
#[derive(Clone, Debug)]
pub struct Flags {
    /// As they are used.
    pub settings: Box<ServerSettings>,
    /// Flags that could not be read: their defaults count.
    pub unread: Vec<Box<str>>,
    /// Variables of ours whose values stand in other objects: they are not known.
    pub unknown: Vec<Box<str>>,
    /// Where they stand.
    pub origin: Origin,
}

/// Where flags stand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Origin {
    /// In the container of a replica.
    Container,
    /// Nowhere that can be seen: all are defaults.
    Defaults,
}

/// What the downward API says of a Pod.
#[derive(Clone, Copy, Debug)]
pub(super) struct About<'a> {
    pub(super) pod: &'a str,
    pub(super) namespace: &'a str,
    pub(super) account: &'a str,
}

// === impl Flags ===

impl Flags {
    /// Those of `container`.
    pub(super) fn read(container: &Container, about: &About<'_>) -> Self {
        let mut variables = BTreeMap::new();
        let mut unknown = Vec::new();
        for variable in container.env.iter().flatten() {
            match value(variable, about) {
                Some(value) => {
                    let value = expand(&value, &variables);
                    variables.insert(variable.name.as_str(), value);
                }
                None if variable.name.starts_with(ENV_PREFIX) => {
                    unknown.push(variable.name.as_str().into());
                }
                None => {}
            }
        }
        if container.env_from.iter().flatten().next().is_some() {
            unknown.push("envFrom".into());
        }
        // The first word of a command is the program, with or without arguments behind it.
        let command = container.command.iter().flatten().skip(1);
        let args: Vec<_> = command
            .chain(container.args.iter().flatten())
            .map(|arg| expand(arg, &variables))
            .collect();
        let ours = variables.iter().filter(|(name, _)| name.starts_with(ENV_PREFIX));
        let ours: Vec<_> = ours.map(|(name, value)| (*name, value.as_str())).collect();
        match cli::installed(&ours, args) {
            Some(cli::Installed { settings, unread }) => {
                Self { settings, unread, unknown, origin: Origin::Container }
            }
            None => Self { unknown, ..Self::defaults() },
        }
    }

    /// Those of a server that nothing is known of.
    pub fn defaults() -> Self {
        Self {
            settings: cli::defaults(),
            unread: Vec::new(),
            unknown: Vec::new(),
            origin: Origin::Defaults,
        }
    }
}

/// The value of a variable, if it stands in the Pod.
fn value(variable: &EnvVar, about: &About<'_>) -> Option<String> {
    let Some(source) = &variable.value_from else {
        return Some(variable.value.clone().unwrap_or_default());
    };
    match source.field_ref.as_ref()?.field_path.as_str() {
        "metadata.name" => Some(about.pod.to_owned()),
        "metadata.namespace" => Some(about.namespace.to_owned()),
        "spec.serviceAccountName" => Some(about.account.to_owned()),
        _ => None,
    }
}

/// `$(NAME)` becomes the variable's value and `$$` a dollar, as the kubelet has it; what is not
/// known stays.
fn expand(text: &str, variables: &BTreeMap<&str, String>) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let reference = after.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        match (after.strip_prefix('$'), reference) {
            (Some(after), _) => {
                expanded.push('$');
                rest = after;
            }
            (None, Some((name, behind))) if variables.contains_key(name) => {
                expanded.push_str(variables.get(name).map_or("", String::as_str));
                rest = behind;
            }
            (None, _) => {
                expanded.push('$');
                rest = after;
            }
        }
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cli::ConfigMapSource;

    fn flags(container: &Value) -> Flags {
        let about = About { pod: "webhook-0", namespace: "aws", account: "webhook" };
        Flags::read(&serde_json::from_value(container.clone()).unwrap(), &about)
    }

    fn texts(list: &[Box<str>]) -> Vec<&str> {
        list.iter().map(AsRef::as_ref).collect()
    }

    /// The Go webhook's own manifest, deploy/deployment-base.yaml, has all in `command`.
    #[test]
    fn the_arguments_of_command_and_args_are_read_alike() {
        let args =
            ["--in-cluster=false", "--namespace=default", "--token-audience=aud", "--logtostderr"];
        let command = ["/webhook"].iter().chain(&args).collect::<Vec<_>>();
        for container in
            [json!({ "name": "w", "args": args }), json!({ "name": "w", "command": command })]
        {
            let flags = flags(&container);
            assert_eq!((flags.origin, texts(&flags.unread)), (Origin::Container, vec![]));
            assert_eq!(&*flags.settings.namespace, "default");
            assert_eq!(&*flags.settings.injection.settings.defaults.audience, "aud");
        }
    }

    #[test]
    fn variables_count_where_no_flag_does_and_references_are_followed() {
        let flags = flags(&json!({ "name": "w",
            "args": ["--namespace=$(HERE)", "--port=8443", "--token-audience=$$(HERE)-$(NOBODY)"],
            "env": [
                { "name": "HERE", "valueFrom": { "fieldRef": { "fieldPath": "metadata.namespace" } } },
                { "name": "PODIDENTITY_PORT", "value": "1" },
                { "name": "PODIDENTITY_WATCH_CONFIG_MAP", "value": "true" },
                { "name": "PODIDENTITY_AWS_DEFAULT_REGION", "value": "" },
                { "name": "PODIDENTITY_TOKEN_EXPIRATION", "valueFrom": { "configMapKeyRef": { "name": "c", "key": "k" } } },
                { "name": "OTHER", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } },
            ],
            "envFrom": [{ "secretRef": { "name": "s" } }],
        }));
        assert_eq!(&*flags.settings.namespace, "aws");
        assert_eq!(flags.settings.port, 8443);
        assert_eq!(flags.settings.config_map, ConfigMapSource::Watched);
        assert_eq!(&*flags.settings.injection.settings.defaults.audience, "$(HERE)-$(NOBODY)");
        assert_eq!(texts(&flags.unread), [""; 0]);
        assert_eq!(texts(&flags.unknown), ["PODIDENTITY_TOKEN_EXPIRATION", "envFrom"]);
    }

    #[test]
    fn what_cannot_be_read_is_named_without_its_value_and_the_rest_counts() {
        let flags = flags(&json!({ "name": "w",
            "args": ["--of-tomorrow=marker", "--of-the-day-after", "marker", "--port=http", "--namespace=aws"],
            "env": [{ "name": "PODIDENTITY_TOKEN_EXPIRATION", "value": "marker" }],
        }));
        assert_eq!(&*flags.settings.namespace, "aws");
        assert_eq!(flags.settings.port, 443);
        let unread = texts(&flags.unread).join(" ");
        for flag in ["--of-tomorrow", "--of-the-day-after", "--port", "--token-expiration"] {
            assert!(unread.contains(flag), "{unread}");
        }
        assert!(!unread.contains("marker"), "{unread}");
    }

    #[test]
    fn a_container_that_does_not_serve_has_no_flags() {
        for container in [
            json!({ "name": "w", "args": ["mutate", "-f", "x"] }),
            json!({ "name": "w", "args": ["--version"] }),
        ] {
            assert_eq!(flags(&container).origin, Origin::Defaults);
        }
    }
}
