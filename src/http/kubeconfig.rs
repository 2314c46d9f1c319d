//! The kubeconfig that points kubectl and every other client at `mandate up`.

use std::net::SocketAddr;

use serde_json::{Value, json};

/// Name of the cluster, user and context.
const NAME: &str = "mandate";

/// Kubeconfig text for a server and a token. It holds the token: the caller writes it with mode 0600.
///
/// The text is JSON, which every YAML reader reads and in which no token needs escaping rules of its own.
#[must_use]
pub fn render(server: SocketAddr, token: &str) -> String {
    let document = document(server, token);
    format!("{document:#}\n")
}

fn document(server: SocketAddr, token: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": NAME, "cluster": {"server": format!("http://{server}")}}],
        "users": [{"name": NAME, "user": {"token": token}}],
        "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": NAME}}],
        "current-context": NAME,
    })
}
