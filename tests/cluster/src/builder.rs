//! How a control plane is to be, and its first start.
//!
//! kube-apiserver cannot choose its own port: it gets one that was free a moment ago, and a start
//! that loses it to somebody faster is done again with another, from the beginning.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::{
    apart, assets,
    authority::{Authority, SigningKey},
    etcd::Etcd,
    folder::Folder,
    kubeconfig::{self, User},
    plane::{ControlPlane, Parts, Start},
    ports,
};

/// How often a start that lost its port is done again.
const STARTS: usize = 5;
/// The names of the API server's serving certificate.
const NAMES: [&str; 3] = ["127.0.0.1", "localhost", "kubernetes.default.svc"];
/// The controllers that tests need: Pods of Deployments and Jobs, an account per namespace, and what
/// evictions ask for.
const CONTROLLERS: &str = "deployment-controller,replicaset-controller,job-controller,\
                           serviceaccount-controller,disruption-controller";
/// Those that a cluster with Pods that run needs besides: endpoints of Services, the authority's
/// certificate in each namespace, and what becomes of the objects of an owner that is deleted.
const CLUSTER_CONTROLLERS: &str = "endpointslice-controller,root-ca-certificate-publisher-controller,\
    garbage-collector-controller,namespace-controller";
/// What the audit log holds: one line per request and per webhook's annotations, without bodies.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  resources: [{group: '', resources: [pods, pods/ephemeralcontainers]}]
- level: None
";

/// Options of a [`ControlPlane`]. Begin with [`ControlPlane::builder`].
#[derive(Clone, Debug, Default)]
pub struct Builder {
    feature_gates: BTreeMap<String, bool>,
    apiserver_args: Vec<String>,
    controllers: Controllers,
    issuer: Issuer,
    place: Place,
}

/// Who service account tokens say has issued them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Issuer {
    /// `https://kubernetes.default.svc`, as most clusters have it.
    #[default]
    Service,
    /// The API server's own URL on loopback, so that OIDC discovery can be followed.
    Apiserver,
}

/// Whether kube-controller-manager runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Controllers {
    #[default]
    None,
    Few,
    Cluster,
}

/// Where the API server listens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// A free port of loopback.
    #[default]
    Loopback,
    /// The addresses of [`apart`](crate::apart()), at the port that clusters use.
    Apart,
}

// === impl Builder ===

impl Builder {
    /// Sets a feature gate of the API server: `feature_gate("WatchList", false)`.
    #[must_use]
    pub fn feature_gate(mut self, gate: &str, enabled: bool) -> Self {
        self.feature_gates.insert(gate.to_owned(), enabled);
        self
    }

    /// Adds an argument of kube-apiserver, after ours: of two the last one wins, unless the flag is
    /// a list.
    #[must_use]
    pub fn apiserver_arg(mut self, arg: impl Into<String>) -> Self {
        self.apiserver_args.push(arg.into());
        self
    }

    /// Runs kube-controller-manager too, with the controllers of Deployments, `ReplicaSets`, Jobs,
    /// ServiceAccounts and disruptions and no others.
    #[must_use]
    pub fn controller_manager(mut self) -> Self {
        self.controllers = Controllers::Few;
        self
    }

    /// Chooses the issuer of service account tokens.
    #[must_use]
    pub fn issuer(mut self, issuer: Issuer) -> Self {
        self.issuer = issuer;
        self
    }

    /// Makes it the control plane of a whole cluster, for a test that runs [`apart`](crate::apart()):
    /// a scheduler, the controllers that connect Services to Pods and clear up after owners, and an
    /// API server that Pods reach at the address of the Service `kubernetes` and that itself
    /// reaches webhooks through their Services.
    #[must_use]
    pub fn whole_cluster(mut self) -> Self {
        self.controllers = Controllers::Cluster;
        self.place = Place::Apart;
        self
    }

    /// Starts the control plane and waits, for a minute at most, until it is ready.
    ///
    /// The error has the last lines of the log of whatever did not start.
    pub async fn start(self) -> Result<ControlPlane> {
        let apiserver = assets::binary("kube-apiserver")?;
        let etcd = assets::binary("etcd")?;
        let controllers = match self.controllers {
            Controllers::None => None,
            Controllers::Few | Controllers::Cluster => {
                Some(assets::binary("kube-controller-manager")?)
            }
        };
        let scheduler = match self.controllers {
            Controllers::None | Controllers::Few => None,
            Controllers::Cluster => Some(assets::binary("kube-scheduler")?),
        };
        for _ in 0..STARTS {
            let folder = Folder::new("pod-identity-control-plane-")?;
            let etcd = Etcd::start(&etcd, &folder).await?;
            let parts = self.parts(apiserver.clone(), folder, etcd).await?;
            let mut plane = ControlPlane::new(parts);
            match plane.start_and_wait().await? {
                Start::Ready => {}
                Start::PortLost => continue,
            }
            if let Some(binary) = &controllers {
                self.start_controllers(&mut plane, binary).await?;
            }
            if let Some(binary) = &scheduler {
                start_scheduler(&mut plane, binary)?;
            }
            return Ok(plane);
        }
        bail!("kube-apiserver lost its port to another process in each of {STARTS} tries")
    }

    /// Makes the keys and files of a control plane that has its folder and its etcd.
    async fn parts(&self, apiserver: PathBuf, folder: Folder, etcd: Etcd) -> Result<Parts> {
        let (url, listen) = match self.place {
            Place::Loopback => {
                let port = ports::free_port()?;
                (format!("https://127.0.0.1:{port}"), loopback(port))
            }
            Place::Apart => (format!("https://{}", apart::NODE), at_the_node()),
        };
        let issuer = match self.issuer {
            Issuer::Service => "https://kubernetes.default.svc".to_owned(),
            Issuer::Apiserver => url.clone(),
        };
        let authority = Authority::new("control-plane")?;
        let (node, service) = (apart::NODE.to_string(), apart::API_SERVICE.to_string());
        let names: Vec<_> = NAMES.into_iter().chain([node.as_str(), service.as_str()]).collect();
        let serving = authority.serving(&names)?;
        let admin = authority.client("admin", "system:masters")?;
        let tokens = SigningKey::new()?;

        let text = kubeconfig::render(&url, authority.pem(), &User::Certificate(&admin));
        let kubeconfig = folder.write("admin.kubeconfig", &text)?;
        let parsed = Kubeconfig::from_yaml(&text)?;
        let options = KubeConfigOptions::default();
        let mut config = kube::Config::from_custom_kubeconfig(parsed, &options).await?;
        config.proxy_url = None;

        let file = |name: &str, text: &str| -> Result<String> {
            Ok(folder.write(name, text)?.display().to_string())
        };
        let ca = file("ca.crt", authority.pem())?;
        let mut args = vec![
            format!("--etcd-servers={}", etcd.url),
            // Endpoints may not be loopback addresses: nobody writes the `kubernetes` ones.
            "--endpoint-reconciler-type=none".to_owned(),
            "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
            format!("--tls-cert-file={}", file("apiserver.crt", &serving.certificate)?),
            format!("--tls-private-key-file={}", file("apiserver.key", &serving.key)?),
            format!("--client-ca-file={ca}"),
            "--anonymous-auth=false".to_owned(),
            "--authorization-mode=RBAC".to_owned(),
            "--allow-privileged=true".to_owned(),
            format!("--service-account-issuer={issuer}"),
            format!("--service-account-signing-key-file={}", file("sa.key", &tokens.private)?),
            format!("--service-account-key-file={}", file("sa.pub", &tokens.public)?),
            format!("--audit-policy-file={}", file("audit-policy.yaml", AUDIT_POLICY)?),
            format!("--audit-log-path={}", folder.path().join("audit.log").display()),
            "--profiling=false".to_owned(),
        ];
        if !self.feature_gates.is_empty() {
            let gates: Vec<_> =
                self.feature_gates.iter().map(|(gate, on)| format!("{gate}={on}")).collect();
            args.push(format!("--feature-gates={}", gates.join(",")));
        }
        args.extend(listen);
        args.extend(self.apiserver_args.iter().cloned());
        let etcd = etcd.process;
        Ok(Parts { folder, etcd, apiserver, args, config, kubeconfig, authority, url, issuer })
    }

    /// Starts kube-controller-manager and waits until it has made the first account.
    async fn start_controllers(&self, plane: &mut ControlPlane, binary: &Path) -> Result<()> {
        let controllers = match self.controllers {
            Controllers::None | Controllers::Few => CONTROLLERS.to_owned(),
            Controllers::Cluster => format!("{CONTROLLERS},{CLUSTER_CONTROLLERS}"),
        };
        let args = [
            format!("--kubeconfig={}", plane.kubeconfig().display()),
            format!("--controllers={controllers}"),
            format!("--root-ca-file={}", plane.folder().join("ca.crt").display()),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
            "--concurrent-deployment-syncs=1".to_owned(),
            // The default of 20 makes hundreds of Pods a matter of minutes.
            "--kube-api-qps=500".to_owned(),
            "--kube-api-burst=1000".to_owned(),
        ];
        plane.start_beside("kube-controller-manager", binary, &args)?;
        plane.wait_for_controllers().await
    }
}

/// How the API server listens where it shares the machine's loopback.
fn loopback(port: u16) -> Vec<String> {
    vec![
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        "--advertise-address=127.0.0.1".to_owned(),
    ]
}

/// How it listens where it has addresses of its own, and that it goes to the endpoints of a
/// webhook's Service itself: no kube-proxy is there to do it.
fn at_the_node() -> Vec<String> {
    vec![
        "--bind-address=0.0.0.0".to_owned(),
        "--secure-port=443".to_owned(),
        format!("--advertise-address={}", apart::NODE),
        "--enable-aggregator-routing=true".to_owned(),
    ]
}

fn start_scheduler(plane: &mut ControlPlane, binary: &Path) -> Result<()> {
    let args = [
        format!("--kubeconfig={}", plane.kubeconfig().display()),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
    ];
    plane.start_beside("kube-scheduler", binary, &args)
}
