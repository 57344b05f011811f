//! The rights of whoever asks: those that the selected checks use, and no others.
//!
//! What a check looks at in `gather` stands here as a right, so that one that is missing is named.

use kube::Client;

use super::super::cluster::AGENT_NAMESPACE;
use super::super::issuer::{DISCOVERY, KEYS};
use super::super::{Question, Standpoint};
use super::{REGISTRATION, all, review, within};
use crate::accounts::CONFIG_MAP;
use crate::cli::ConfigMapSource;
use crate::doctor::check::{Need, Selection};
use crate::doctor::observed::{Agent, Pods, Right, Told};
use crate::installation::{Installation, Look, Mounted};

/// What was looked at, as far as it settles which rights that took.
#[derive(Clone, Copy)]
pub(in crate::doctor::gather) struct Uses<'a> {
    pub(in crate::doctor::gather) question: &'a Question,
    pub(in crate::doctor::gather) selection: &'a Selection,
    pub(in crate::doctor::gather) installation: Option<&'a Installation>,
    /// The account whose Pod was tried.
    pub(in crate::doctor::gather) probed: Option<&'a Told>,
    /// The account that a token was asked for.
    pub(in crate::doctor::gather) token_of: Option<&'a Told>,
    pub(in crate::doctor::gather) pods: &'a Look<Pods>,
    pub(in crate::doctor::gather) agent: &'a Look<Agent>,
}

/// The rights of whoever asks, for the checks of `selection`.
pub(in crate::doctor::gather) async fn own(client: &Client, uses: Uses<'_>) -> Vec<Right> {
    review(client, uses.rights()).await
}

// === impl Uses ===

impl Uses<'_> {
    /// The rights, each once.
    fn rights(self) -> Vec<Right> {
        let Self { question, selection, installation, probed, token_of, pods: _, agent: _ } = self;
        let scope = |verb, group, resource| Right {
            namespace: question.namespace.clone(),
            ..all(verb, group, resource)
        };
        let mut rights = vec![all("list", REGISTRATION, "mutatingwebhookconfigurations")];
        rights.extend(installation.into_iter().flat_map(|installation| self.behind(installation)));
        for (need, right) in [
            (Need::Namespaces, all("list", "", "namespaces")),
            (Need::Accounts, scope("list", "", "serviceaccounts")),
            (Need::Pods, scope("list", "", "pods")),
            (Need::Rights, all("create", "authorization.k8s.io", "subjectaccessreviews")),
            (Need::FailOpen, all("get", "", "/metrics")),
        ] {
            if selection.needs(need) {
                rights.push(right);
            }
        }
        rights.extend(self.agent());
        if let Some(told) = probed.filter(|_| selection.needs(Need::Probe)) {
            rights.push(within("create", "", "pods", &told.namespace));
        }
        if let Some(told) = token_of.filter(|_| selection.needs(Need::Token)) {
            rights.push(within("create", "", "serviceaccounts/token", &told.namespace));
            if selection.needs(Need::Issuer) {
                rights.extend([DISCOVERY, KEYS].map(|path| all("get", "", path)));
            }
        }
        let mut each = Vec::new();
        for right in rights {
            if !each.contains(&right) {
                each.push(right);
            }
        }
        each
    }

    /// For what stands behind the entries.
    fn behind(self, installation: &Installation) -> Vec<Right> {
        let Self { question, selection, .. } = self;
        let mut rights = Vec::new();
        for backend in &installation.backends {
            let namespace = &backend.namespace;
            rights.push(within("get", "", "services", namespace));
            rights.push(within("list", "discovery.k8s.io", "endpointslices", namespace));
            // Pods that no selector names are asked for one by one.
            let has_selector = match &backend.service {
                Ok(Some(service)) => !service.selector.is_empty(),
                Ok(None) | Err(_) => true,
            };
            let verb = if has_selector { "list" } else { "get" };
            rights.push(within(verb, "", "pods", namespace));
            let is_forwarded = selection.needs(Need::Served)
                && question.standpoint == Standpoint::Outside
                && backend.ready().any(|endpoint| endpoint.pod.is_some());
            if is_forwarded {
                // A WebSocket is a GET; Kubernetes 1.35 wants `create` for it as well.
                for verb in ["get", "create"] {
                    rights.push(within(verb, "", "pods/portforward", namespace));
                }
            }
        }
        if selection.needs(Need::Accounts) {
            let settings = &installation.flags().settings;
            let map = |namespace: &str, name: &str| Right {
                name: Some(name.into()),
                ..within("get", "", "configmaps", namespace)
            };
            if settings.config_map == ConfigMapSource::Watched {
                rights.push(map(&settings.namespace, CONFIG_MAP));
            }
            if let Some((namespace, replica)) = installation.replica()
                && let Some(Mounted::ConfigMap { name, key: _ }) = &replica.credentials
            {
                rights.push(map(namespace, name));
            }
        }
        rights
    }

    /// For the agent, which is looked at where a Pod uses it.
    fn agent(self) -> Vec<Right> {
        let Self { selection, pods, agent, .. } = self;
        let is_needed = pods.as_ref().is_ok_and(|pods| !pods.agents_needed.is_empty());
        if !selection.needs(Need::Agent) || !is_needed {
            return Vec::new();
        }
        let mut rights = vec![
            within("list", "apps", "daemonsets", AGENT_NAMESPACE),
            within("list", "", "pods", AGENT_NAMESPACE),
        ];
        // Of EKS Auto Mode, where the agents do not tell enough.
        if agent.is_err() {
            rights.push(all("list", "", "nodes"));
        }
        rights
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    use super::super::texts;
    use super::*;
    use crate::doctor::observed::Path;
    use crate::installation::{
        Backend, Endpoint, Found, Readiness, Replica, Service, Unseen, What, Why,
    };
    use crate::plan::Outcome;

    /// A webhook that reads both documents, behind a Service with a replica that is ready.
    fn installation() -> Installation {
        let pod = json!({
            "metadata": { "name": "webhook-0" },
            "spec": {
                "containers": [{
                    "name": "webhook",
                    "args": [
                        "--namespace=aws", "--watch-config-map",
                        "--watch-container-credentials-config=/etc/ids/ids.json",
                    ],
                    "volumeMounts": [{ "name": "ids", "mountPath": "/etc/ids" }],
                }],
                "volumes": [{ "name": "ids", "configMap": { "name": "ids" } }],
            },
        });
        let endpoint = Endpoint {
            address: "192.0.2.1".into(),
            ports: Vec::new(),
            readiness: Readiness::Ready,
            pod: Some("webhook-0".into()),
        };
        let selector = [("app".to_owned(), "webhook".to_owned())].into();
        let backend = Backend {
            namespace: "eks".into(),
            name: "webhook".into(),
            service: Ok(Some(Service { ports: Vec::new(), selector, external_name: None })),
            endpoints: Ok(vec![endpoint]),
            replicas: Ok(vec![Replica::read(serde_json::from_value::<Pod>(pod).unwrap())]),
        };
        Installation::new("webhook", Found::ByName, Vec::new()).with(vec![backend])
    }

    fn own(only: &[&str], standpoint: Standpoint) -> Vec<String> {
        let told = Told {
            namespace: "shop".into(),
            name: "app".into(),
            path: Some(Path::WebIdentity),
            outcome: Outcome::Injected,
            audience: "".into(),
            expiration: 0,
            warnings: Vec::new(),
        };
        let uses = Uses {
            question: &Question {
                configuration: "webhook".into(),
                namespace: None,
                api_server: http::Uri::default(),
                standpoint,
            },
            selection: &Selection::of(only, &[]),
            installation: Some(&installation()),
            probed: Some(&told),
            token_of: Some(&told),
            pods: &Ok(Pods { agents_needed: [("node-1".into(), 1)].into(), ..Pods::default() }),
            agent: &Err(Unseen { verb: "list", what: What::all("nodes"), why: Why::Forbidden }),
        };
        texts(&uses.rights())
    }

    #[test]
    fn one_s_own_rights_are_those_that_the_checks_use() {
        let behind = [
            "list mutatingwebhookconfigurations",
            "get services in eks",
            "list endpointslices in eks",
            "list pods in eks",
        ];
        let with = |more: &[&str]| {
            behind.iter().chain(more).map(|right| (*right).to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(own(&["timeout"], Standpoint::Outside), with(&[]));
        assert_eq!(
            own(&["certificate"], Standpoint::Outside),
            with(&["get pods/portforward in eks", "create pods/portforward in eks"])
        );
        // From inside, a replica is asked at its address.
        assert_eq!(own(&["certificate"], Standpoint::Inside), with(&[]));
        let accounts = [
            "get configmaps pod-identity-webhook in aws",
            "get configmaps ids in eks",
            "list serviceaccounts",
        ];
        assert_eq!(own(&["role-arns"], Standpoint::Outside), with(&accounts));
        let issuer = [
            "create serviceaccounts/token in shop",
            "get /.well-known/openid-configuration",
            "get /openid/v1/jwks",
        ];
        let issuer: Vec<_> = accounts.iter().chain(&issuer).copied().collect();
        assert_eq!(own(&["issuer"], Standpoint::Outside), with(&issuer));
        let agent = [
            "list pods",
            "list daemonsets in kube-system",
            "list pods in kube-system",
            "list nodes",
        ];
        let agent: Vec<_> = accounts.iter().chain(&agent).copied().collect();
        assert_eq!(own(&["agent"], Standpoint::Outside), with(&agent));
    }
}
