//! Somebody else's webhook, called after ours, that adds a container: the reason for
//! `reinvocationPolicy: IfNeeded`.

use std::{convert::Infallible, sync::Arc};

use anyhow::ensure;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use cluster::{Authority, LABEL, Pair, eventually};
use http::{Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_rustls::TlsAcceptor;

use super::support::{
    POD_IDENTITY, ROLE, ROLE_ARN, SOON, ask, has_irsa, has_pod_identity, pod, registered, webhook,
};
use crate::plane::plane;

/// A webhook that puts a container named `sidecar` before all others, unless it is there.
#[derive(Debug)]
struct Sidecar {
    url: String,
    ca_pem: String,
    _running: JoinSet<()>,
}

// === impl Sidecar ===

impl Sidecar {
    async fn start() -> Self {
        let authority = Authority::new("sidecar").unwrap();
        let Pair { certificate, key } = authority.serving(&["127.0.0.1"]).unwrap();
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let tls = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/", listener.local_addr().unwrap());
        let mut running = JoinSet::new();
        running.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                connections.spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        let io = TokioIo::new(stream);
                        let served = http1::Builder::new().serve_connection(io, service_fn(answer));
                        drop(served.await);
                    }
                });
            }
        });
        Self { url, ca_pem: authority.pem().to_owned(), _running: running }
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let review: Value = serde_json::from_slice(&body).unwrap();
    let containers = review["request"]["object"]["spec"]["containers"].as_array().unwrap();
    let mut response = json!({ "uid": review["request"]["uid"], "allowed": true });
    if containers.iter().all(|container| container["name"] != "sidecar") {
        let sidecar = json!({ "name": "sidecar", "image": "sidecar" });
        let patch = json!([{ "op": "add", "path": "/spec/containers/0", "value": sidecar }]);
        response["patchType"] = json!("JSONPatch");
        response["patch"] = json!(STANDARD.encode(patch.to_string()));
    }
    let reply = json!({
        "apiVersion": review["apiVersion"], "kind": review["kind"], "response": response,
    });
    let answer = Response::builder().header(CONTENT_TYPE, "application/json");
    Ok(answer.body(Full::from(reply.to_string())).unwrap())
}

/// F2: what is half done is completed, and what is done is not done again.
#[tokio::test]
async fn a_container_that_a_later_webhook_adds_is_injected_on_the_second_pass() {
    let plane = plane().await;
    let (_webhook, namespace) = registered(plane, "sidecar-1", webhook(plane)).await;
    namespace.account("irsa", &json!({ ROLE_ARN: ROLE })).await;
    namespace.account("agent", &json!({ POD_IDENTITY: "true" })).await;
    let later = Sidecar::start().await;
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        // Webhooks are called in the order of these names.
        "metadata": { "name": "sidecar-2" },
        "webhooks": [{
            "name": "sidecar-2.pod-identity.test",
            "admissionReviewVersions": ["v1"],
            "clientConfig": { "url": later.url, "caBundle": STANDARD.encode(&later.ca_pem) },
            "namespaceSelector": { "matchLabels": { LABEL: "sidecar-1" } },
            "rules": [{
                "apiGroups": [""], "apiVersions": ["v1"],
                "operations": ["CREATE"], "resources": ["pods"],
            }],
            "failurePolicy": "Fail",
            "sideEffects": "None",
        }],
    });
    let path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
    let client = plane.client().unwrap();
    let made = ask(&client, Method::POST, path, "application/json", &configuration).await;
    assert_eq!(made.status, StatusCode::CREATED, "{:#}", made.body);

    for account in ["irsa", "agent"] {
        let stored = eventually("the API server calls both", SOON, || async {
            let stored = namespace.pod(&pod(account)).await;
            ensure!(stored["spec"]["containers"][0]["name"] == "sidecar", "{stored:#}");
            Ok(stored)
        });
        let stored = stored.await.unwrap();
        assert!(if account == "irsa" { has_irsa(&stored) } else { has_pod_identity(&stored) });
        for container in stored["spec"]["containers"].as_array().unwrap() {
            assert_eq!(container["env"].as_array().unwrap().len(), 2, "{stored:#}");
            assert_eq!(container["volumeMounts"].as_array().unwrap().len(), 2, "{stored:#}");
        }
        assert_eq!(stored["spec"]["volumes"].as_array().unwrap().len(), 2, "{stored:#}");
    }
}
