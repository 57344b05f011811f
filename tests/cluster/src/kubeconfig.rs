//! Kubeconfig files: one cluster, one user, everything embedded.
//!
//! Written as JSON, which is YAML too, so that nothing needs quoting by hand.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::authority::Pair;

/// Who a kubeconfig speaks as.
#[derive(Debug)]
pub(crate) enum User<'a> {
    /// A client certificate.
    Certificate(&'a Pair),
    /// A bearer token.
    Token(&'a str),
}

/// The text of a kubeconfig for the API server at `url`.
pub(crate) fn render(url: &str, ca_pem: &str, user: &User<'_>) -> String {
    let user = match user {
        User::Certificate(Pair { certificate, key }) => json!({
            "client-certificate-data": STANDARD.encode(certificate),
            "client-key-data": STANDARD.encode(key),
        }),
        User::Token(token) => json!({ "token": token }),
    };
    let kubeconfig: Value = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "test", "cluster": {
            "server": url,
            "certificate-authority-data": STANDARD.encode(ca_pem),
        }}],
        "users": [{ "name": "test", "user": user }],
        "contexts": [{ "name": "test", "context": {
            "cluster": "test", "user": "test", "namespace": "default",
        }}],
        "current-context": "test",
    });
    format!("{kubeconfig:#}\n")
}
