//! What stands behind the Service that an entry calls: its ports, its endpoints, its Pods.
//!
//! Each of the three is looked at by itself, since rights may be missing for any of them. A Service
//! without a selector has the Pods that its endpoints name.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{self, Pod};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::ListParams;
use kube::{Api, Client};

use super::replica::Replica;
use super::unseen::{Look, What};

/// The label by which an `EndpointSlice` names its Service.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// A Service and what stands behind it.
#[derive(Clone, Debug)]
pub struct Backend {
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// The Service itself; `None` if there is none.
    pub service: Look<Option<Service>>,
    /// The endpoints of its `EndpointSlices`.
    pub endpoints: Look<Vec<Endpoint>>,
    /// Its Pods.
    pub replicas: Look<Vec<Replica>>,
}

/// A Service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Service {
    /// Its ports.
    pub ports: Vec<Port>,
    /// The labels of its Pods; none if somebody else sees to its endpoints.
    pub selector: BTreeMap<String, String>,
    /// The name that it stands for, if it has no endpoints of its own.
    pub external_name: Option<Box<str>>,
}

/// A port of a Service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Port {
    /// Its number.
    pub number: i32,
    /// Its name, if it has one; the port of an endpoint has the same.
    pub name: Option<Box<str>>,
    /// The port of the Pods: a number, or the name of a container's port.
    pub target: Box<str>,
}

/// An address behind a Service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endpoint {
    /// The address.
    pub address: Box<str>,
    /// Its ports, each with the name of the Service's port.
    pub ports: Vec<(Option<Box<str>>, u16)>,
    /// Whether it gets connections.
    pub readiness: Readiness,
    /// The Pod, if it is one.
    pub pod: Option<Box<str>>,
}

/// Whether an endpoint or a Pod gets connections.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Readiness {
    /// It does.
    Ready,
    /// It does not.
    NotReady,
}

// === impl Backend ===

impl Backend {
    pub(super) async fn look(client: &Client, namespace: &str, name: &str) -> Self {
        let services: Api<v1::Service> = Api::namespaced(client.clone(), namespace);
        let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
        let params = ListParams::default().labels(&format!("{SERVICE_LABEL}={name}"));
        let service = What::within("services", namespace).named(name);
        let slices_of = What::within("endpointslices", namespace);
        let (service, endpoints) = futures::join!(
            service.ask("get", services.get_opt(name)),
            slices_of.ask("list", slices.list(&params)),
        );
        let service = service.map(|found| found.map(Service::read));
        let endpoints = endpoints.map(|slices| slices.items.into_iter().flat_map(read).collect());
        let replicas = Self::replicas(client, namespace, &service, &endpoints).await;
        Self { namespace: namespace.into(), name: name.into(), service, endpoints, replicas }
    }

    async fn replicas(
        client: &Client,
        namespace: &str,
        service: &Look<Option<Service>>,
        endpoints: &Look<Vec<Endpoint>>,
    ) -> Look<Vec<Replica>> {
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let selector = match service {
            Ok(Some(service)) => &service.selector,
            Ok(None) => return Ok(Vec::new()),
            Err(unseen) => return Err(unseen.clone()),
        };
        let selector: Vec<_> = selector.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let found = if selector.is_empty() {
            let endpoints = endpoints.as_ref().map_err(Clone::clone)?;
            let mut found = Vec::new();
            for name in endpoints.iter().filter_map(|endpoint| endpoint.pod.as_deref()) {
                let pod = What::within("pods", namespace).named(name);
                found.extend(pod.ask("get", pods.get_opt(name)).await?);
            }
            found
        } else {
            let params = ListParams::default().labels(&selector.join(","));
            What::within("pods", namespace).ask("list", pods.list(&params)).await?.items
        };
        // Pods that have ended, or are to end, stand behind no Service.
        let is_over = |pod: &Pod| {
            let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
            matches!(phase, Some("Succeeded" | "Failed"))
                || pod.metadata.deletion_timestamp.is_some()
        };
        Ok(found.into_iter().filter(|pod| !is_over(pod)).map(Replica::read).collect())
    }

    /// The endpoints that get connections.
    pub fn ready(&self) -> impl Iterator<Item = &Endpoint> {
        let endpoints = self.endpoints.as_deref().unwrap_or_default();
        endpoints.iter().filter(|endpoint| endpoint.readiness == Readiness::Ready)
    }
}

// === impl Service ===

impl Service {
    fn read(service: v1::Service) -> Self {
        let spec = service.spec.unwrap_or_default();
        let port = |port: v1::ServicePort| Port {
            number: port.port,
            name: port.name.filter(|name| !name.is_empty()).map(Into::into),
            target: match port.target_port {
                Some(IntOrString::Int(number)) => number.to_string().into(),
                Some(IntOrString::String(name)) => name.into(),
                None => port.port.to_string().into(),
            },
        };
        let is_external = spec.type_.as_deref() == Some("ExternalName");
        Self {
            external_name: spec.external_name.filter(|_| is_external).map(Into::into),
            ports: spec.ports.unwrap_or_default().into_iter().map(port).collect(),
            selector: spec.selector.unwrap_or_default(),
        }
    }

    /// The port of that number.
    pub fn port(&self, number: u16) -> Option<&Port> {
        self.ports.iter().find(|port| port.number == i32::from(number))
    }
}

// === impl Endpoint ===

fn read(slice: EndpointSlice) -> Vec<Endpoint> {
    let ports: Vec<_> = slice
        .ports
        .unwrap_or_default()
        .into_iter()
        .filter_map(|port| {
            let number = port.port?.try_into().ok()?;
            Some((port.name.filter(|name| !name.is_empty()).map(Into::into), number))
        })
        .collect();
    let endpoint = |endpoint: k8s_openapi::api::discovery::v1::Endpoint| {
        let pod = endpoint.target_ref.filter(|target| target.kind.as_deref() == Some("Pod"));
        Some(Endpoint {
            address: endpoint.addresses.into_iter().next()?.into(),
            ports: ports.clone(),
            // Nothing said is ready (`EndpointConditions.ready` of the Kubernetes API).
            readiness: match endpoint.conditions.and_then(|conditions| conditions.ready) {
                Some(false) => Readiness::NotReady,
                Some(true) | None => Readiness::Ready,
            },
            pod: pod.and_then(|target| target.name).map(Into::into),
        })
    };
    slice.endpoints.into_iter().filter_map(endpoint).collect()
}

impl Endpoint {
    /// Its port for a port of the Service.
    pub fn port(&self, port: &Port) -> Option<u16> {
        self.ports.iter().find(|(name, _)| *name == port.name).map(|(_, number)| *number)
    }
}
