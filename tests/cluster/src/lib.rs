//! A real control plane for tests and for the demo.
//!
//! [`ControlPlane`] runs etcd and kube-apiserver, and kube-controller-manager when asked, on
//! loopback with fresh keys; [`Webhook`] runs our binary against it, and [`Peer`] the Go webhook;
//! [`register`] tells the API server to call either, for the Pods of the namespaces that
//! [`namespace()`] makes; [`eventually()`] is the one way to wait; [`Heard`] is what a thread of the
//! test itself logs, and [`Mount`] is a volume that the kubelet updates.
//!
//! Everything that is started here ends with the value that stands for it, and with this process
//! if that is killed first.

mod apart;
mod assets;
mod authority;
mod builder;
mod etcd;
mod eventually;
mod folder;
mod heard;
mod http;
mod kubeconfig;
mod log;
mod mount;
mod namespace;
mod node;
mod peer;
mod plane;
mod ports;
mod process;
mod registration;
mod webhook;

pub use apart::apart;
pub use assets::peer as peer_binary;
pub use authority::{Authority, Pair};
pub use builder::{Builder, Issuer};
pub use eventually::eventually;
pub use heard::{Heard, attentive};
pub use mount::Mount;
pub use namespace::{LABEL, namespace};
pub use node::{Image, Nodes, PodRun};
pub use peer::{Peer, PeerBuilder};
pub use plane::ControlPlane;
pub use process::Signal;
pub use registration::{
    Callee, Calls, FailurePolicy, Registration, ReviewVersion, WebhookPath, register,
};
pub use webhook::{Webhook, WebhookBuilder};
