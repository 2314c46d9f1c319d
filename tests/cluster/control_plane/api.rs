//! Plain requests to an API server, so that a test sees replies as they are.

use reqwest::{Certificate, Client, Method};
use serde_json::Value;

use super::users::User;

/// Requests of one user.
#[derive(Clone)]
pub struct Api {
    client: Client,
    address: String,
    token: String,
    /// `Impersonate-` headers.
    acting_as: Vec<(&'static str, String)>,
}

/// A reply.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// `Warning` headers.
    pub warnings: Vec<String>,
    /// The document; text that is no JSON is a string.
    pub body: Value,
}

impl Reply {
    /// The document as text.
    pub fn text(&self) -> String {
        self.body.to_string()
    }

    /// `message` of a Status.
    pub fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }
}

/// A client that trusts this certificate.
pub fn client(certificate: &str) -> Client {
    let mut builder = Client::builder().no_proxy();
    for trusted in Certificate::from_pem_bundle(certificate.as_bytes()).unwrap() {
        builder = builder.add_root_certificate(trusted);
    }
    builder.build().unwrap()
}

impl Api {
    /// Requests to `address` with a user's token, trusting this certificate.
    pub fn new(address: String, certificate: &str, user: &User) -> Self {
        Self { client: client(certificate), address, token: user.token.to_owned(), acting_as: Vec::new() }
    }

    /// The same, as somebody else in these groups.
    pub fn acting_as(mut self, user: &str, groups: &[&str]) -> Self {
        self.acting_as = vec![("impersonate-user", user.to_owned())];
        self.acting_as.extend(groups.iter().map(|group| ("impersonate-group", (*group).to_owned())));
        self
    }

    /// One request. `content` is the content type of the body.
    pub async fn send(&self, method: Method, path: &str, content: &str, body: Option<&Value>) -> Result<Reply, reqwest::Error> {
        let mut request = self.client.request(method, format!("{}{path}", self.address)).bearer_auth(&self.token);
        for (name, value) in &self.acting_as {
            request = request.header(*name, value);
        }
        if let Some(body) = body {
            request = request.header("content-type", content).body(body.to_string());
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let warnings = response.headers().get_all("warning").iter().filter_map(|value| value.to_str().ok().map(str::to_owned)).collect();
        let text = response.text().await?;
        Ok(Reply { status, warnings, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) })
    }

    /// GET
    pub async fn get(&self, path: &str) -> Result<Reply, reqwest::Error> {
        self.send(Method::GET, path, "", None).await
    }

    /// POST of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Reply, reqwest::Error> {
        self.send(Method::POST, path, "application/json", Some(body)).await
    }

    /// PUT of JSON.
    pub async fn put(&self, path: &str, body: &Value) -> Result<Reply, reqwest::Error> {
        self.send(Method::PUT, path, "application/json", Some(body)).await
    }

    /// PATCH with a JSON merge patch.
    pub async fn merge(&self, path: &str, body: &Value) -> Result<Reply, reqwest::Error> {
        self.send(Method::PATCH, path, "application/merge-patch+json", Some(body)).await
    }

    /// DELETE
    pub async fn delete(&self, path: &str) -> Result<Reply, reqwest::Error> {
        self.send(Method::DELETE, path, "application/json", None).await
    }
}
