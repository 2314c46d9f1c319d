//! The kubeconfig that points kubectl and every other client at `mandate up`.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Name of the cluster, user and context.
const NAME: &str = "mandate";

/// Kubeconfig text for a server, the certificate to know it by (PEM) and a token. It holds the token: the caller writes it
/// with mode 0600. The address is HTTPS because kubectl sends no token of a kubeconfig over anything else.
///
/// The text is JSON, which every YAML reader reads and in which no token needs escaping rules of its own.
#[must_use]
pub fn render(server: SocketAddr, certificate: &str, token: &str) -> String {
    let document = document(server, certificate, token);
    format!("{document:#}\n")
}

fn document(server: SocketAddr, certificate: &str, token: &str) -> Value {
    let cluster = json!({"server": format!("https://{server}"), "certificate-authority-data": STANDARD.encode(certificate)});
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": NAME, "cluster": cluster}],
        "users": [{"name": NAME, "user": {"token": token}}],
        "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": NAME}}],
        "current-context": NAME,
    })
}
