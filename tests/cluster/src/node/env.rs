//! The environment of a container: what the Pod says, and the addresses of Services.
//!
//! Nothing of this machine's environment is in it. Each Service of the namespace is, as kubelet has
//! it: one called `pod-identity-webhook` makes `POD_IDENTITY_WEBHOOK_PORT=tcp://…`.

use std::{collections::BTreeMap, net::Ipv4Addr};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{ConfigMap, EnvVar, EnvVarSource, Pod, Secret, Service};
use kube::{Api, Client, ResourceExt, api::ListParams};

use crate::apart;

/// All variables: of Services, then of the Pod, which win.
pub(super) async fn environment(
    client: &Client,
    pod: &Pod,
    address: Ipv4Addr,
    variables: &[EnvVar],
) -> Result<BTreeMap<String, String>> {
    let namespace = pod.namespace().context("a Pod without a namespace")?;
    let mut environment = BTreeMap::from([
        ("KUBERNETES_SERVICE_HOST".to_owned(), apart::API_SERVICE.to_string()),
        ("KUBERNETES_SERVICE_PORT".to_owned(), "443".to_owned()),
        (
            "PATH".to_owned(),
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        ),
        ("HOSTNAME".to_owned(), pod.name_any()),
    ]);
    let links = pod.spec.as_ref().and_then(|spec| spec.enable_service_links);
    if links != Some(false) {
        let services: Api<Service> = Api::namespaced(client.clone(), &namespace);
        for service in services.list(&ListParams::default()).await? {
            environment.extend(links_to(&service));
        }
    }
    for variable in variables {
        let value = match (&variable.value, &variable.value_from) {
            (Some(value), None) => Some(expand(value, &environment)),
            (None, Some(source)) => follow(client, pod, &namespace, address, source)
                .await
                .with_context(|| format!("env {}", variable.name))?,
            (None, None) => Some(String::new()),
            (Some(_), Some(_)) => bail!("env {}: value and valueFrom", variable.name),
        };
        environment.extend(value.map(|value| (variable.name.clone(), value)));
    }
    Ok(environment)
}

/// Replaces `$(NAME)` by the variable where there is one, and `$$` by `$`.
pub(super) fn expand(text: &str, environment: &BTreeMap<String, String>) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let reference = after.strip_prefix('(').and_then(|after| after.split_once(')'));
        let value = reference.and_then(|(name, rest)| Some((environment.get(name)?, rest)));
        rest = match (value, after.strip_prefix('$')) {
            (Some((value, after)), _) => {
                expanded.push_str(value);
                after
            }
            (None, Some(after)) => {
                expanded.push('$');
                after
            }
            (None, None) => {
                expanded.push('$');
                after
            }
        };
    }
    expanded + rest
}

/// Where a variable points to; None where that is optional and absent.
async fn follow(
    client: &Client,
    pod: &Pod,
    namespace: &str,
    address: Ipv4Addr,
    source: &EnvVarSource,
) -> Result<Option<String>> {
    if let Some(reference) = &source.field_ref {
        return Ok(Some(field(pod, address, &reference.field_path)?));
    }
    if let Some(reference) = &source.secret_key_ref {
        let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
        let secret = secrets.get_opt(&reference.name).await?;
        let value = secret.and_then(|secret| secret.data?.remove(&reference.key));
        let value = value.map(|value| String::from_utf8(value.0)).transpose()?;
        return required(value, reference.optional, &reference.name, &reference.key);
    }
    if let Some(reference) = &source.config_map_key_ref {
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        let map = maps.get_opt(&reference.name).await?;
        let value = map.and_then(|map| map.data?.remove(&reference.key));
        return required(value, reference.optional, &reference.name, &reference.key);
    }
    bail!("this source is not known to this node: {source:?}")
}

fn required(
    value: Option<String>,
    optional: Option<bool>,
    name: &str,
    key: &str,
) -> Result<Option<String>> {
    match value {
        None if optional != Some(true) => bail!("there is no {name} with the key {key}"),
        value => Ok(value),
    }
}

/// The field of a Pod that `fieldRef` names.
pub(super) fn field(pod: &Pod, address: Ipv4Addr, path: &str) -> Result<String> {
    let spec = pod.spec.as_ref().context("a Pod without a spec")?;
    let value = match path {
        "metadata.name" => pod.metadata.name.clone(),
        "metadata.namespace" => pod.metadata.namespace.clone(),
        "metadata.uid" => pod.metadata.uid.clone(),
        "spec.nodeName" => spec.node_name.clone(),
        "spec.serviceAccountName" => spec.service_account_name.clone(),
        "status.podIP" => Some(address.to_string()),
        "status.hostIP" => Some(apart::NODE.to_string()),
        other => bail!("fieldRef {other} is not known to this node"),
    };
    Ok(value.unwrap_or_default())
}

/// The variables by which a Service is known.
fn links_to(service: &Service) -> Vec<(String, String)> {
    let spec = service.spec.clone().unwrap_or_default();
    let address = spec.cluster_ip.filter(|address| address != "None" && !address.is_empty());
    let (Some(address), Some(first)) = (address, spec.ports.iter().flatten().next()) else {
        return Vec::new();
    };
    let name = service.name_any().to_uppercase().replace('-', "_");
    let mut links = vec![
        (format!("{name}_SERVICE_HOST"), address.clone()),
        (format!("{name}_SERVICE_PORT"), first.port.to_string()),
        (format!("{name}_PORT"), format!("tcp://{address}:{}", first.port)),
    ];
    for port in spec.ports.iter().flatten() {
        let each = format!("{name}_PORT_{}_TCP", port.port);
        links.extend([
            (each.clone(), format!("tcp://{address}:{}", port.port)),
            (format!("{each}_PROTO"), "tcp".to_owned()),
            (format!("{each}_PORT"), port.port.to_string()),
            (format!("{each}_ADDR"), address.clone()),
        ]);
        if let Some(port_name) = &port.name {
            let port_name = port_name.to_uppercase().replace('-', "_");
            links.push((format!("{name}_SERVICE_PORT_{port_name}"), port.port.to_string()));
        }
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_expanded_as_kubelet_does_it() {
        let environment = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
        for (text, expanded) in [
            ("--a=$(A)", "--a=1"),
            ("$(A)$(A)-$(B)", "11-$(B)"),
            ("$$(A) $", "$(A) $"),
            ("no reference", "no reference"),
        ] {
            assert_eq!(expand(text, &environment), expanded, "{text}");
        }
    }
}
