//! The connection of commands that talk to an API server: a cluster's, or that of `up`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use kube::api::{Api, DynamicObject};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::ApiResource;
use kube::{Client, Config};

use super::CommandError;
use crate::kinds::crd;
use crate::model::resource::{BUILT_IN, Resource};

/// Deadline of one request.
const REQUEST: Duration = Duration::from_secs(30);

/// Which API server, as kubectl names it.
#[derive(Debug, Clone, Args)]
pub(super) struct Connection {
    /// Kubeconfig; that of `up` is DIR/.mandate/kubeconfig [default: as kubectl finds it]
    #[arg(long, value_name = "FILE", env = "KUBECONFIG", hide_env = true, global = true)]
    kubeconfig: Option<PathBuf>,
    /// Context in the kubeconfig
    #[arg(long, value_name = "NAME", global = true)]
    context: Option<String>,
}

impl Connection {
    /// Where the API server is and who asks: from a kubeconfig, or from inside the cluster where there is none.
    pub(super) async fn config(&self) -> Result<Config, CommandError> {
        let unusable = |error: &dyn std::fmt::Display| CommandError::Unreachable(format!("reading the kubeconfig: {error}"));
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        if let Some(path) = &self.kubeconfig {
            let file = Kubeconfig::read_from(path).map_err(|error| unusable(&error))?;
            return Config::from_custom_kubeconfig(file, &options).await.map_err(|error| unusable(&error));
        }
        match Config::from_kubeconfig(&options).await {
            Ok(config) => Ok(config),
            Err(error) => Config::incluster().map_err(|_| unusable(&error)),
        }
    }

    /// A client, and the namespace of the context.
    pub(super) async fn client(&self) -> Result<(Client, String), CommandError> {
        let unusable = |error: &dyn std::fmt::Display| CommandError::Unreachable(format!("preparing the client: {error}"));
        let mut config = self.config().await?;
        config.connect_timeout = Some(Duration::from_secs(5));
        config.read_timeout = Some(REQUEST);
        let namespace = config.default_namespace.clone();
        let client = Client::try_from(config).map_err(|error| unusable(&error))?;
        Ok((client, namespace))
    }
}

/// The error of a request, as exit codes know it.
pub(super) fn request_error(error: kube::Error) -> CommandError {
    if let kube::Error::Api(status) = &error {
        return CommandError::Failed(format!("the API server says: {}", status.message));
    }
    CommandError::Unreachable(format!("the API server cannot be reached: {error}"))
}

/// The resource that a user means: kind, plural or short name, upper or lower case.
pub(super) fn resource_named(word: &str) -> Result<&'static Resource, CommandError> {
    let wanted = word.to_lowercase();
    let wanted = wanted.strip_suffix(".mandate.dev").unwrap_or(&wanted);
    let ours = crd::all();
    let is_meant = |resource: &Resource| wanted == resource.plural || wanted == resource.kind.to_lowercase();
    let short = |defined: &&crd::Defined| {
        let names = defined.crd.pointer("/spec/names/shortNames").and_then(serde_json::Value::as_array);
        names.is_some_and(|names| names.iter().any(|name| name == wanted))
    };
    let by_name = ours.iter().map(|defined| defined.resource).chain(BUILT_IN).find(|resource| is_meant(resource));
    by_name.or_else(|| ours.iter().find(short).map(|defined| defined.resource)).ok_or_else(|| {
        let known: Vec<&str> = ours.iter().map(|defined| defined.resource.plural).collect();
        CommandError::Usage(format!("there is no resource {word:?}; known: {}", known.join(", ")))
    })
}

/// The API of a resource, in a namespace or (empty) in all.
pub(super) fn api(client: Client, resource: &Resource, namespace: &str) -> Api<DynamicObject> {
    let described = ApiResource {
        group: resource.group.to_owned(),
        version: resource.version.to_owned(),
        api_version: resource.api_version(),
        kind: resource.kind.to_owned(),
        plural: resource.plural.to_owned(),
    };
    if resource.namespaced && !namespace.is_empty() {
        Api::namespaced_with(client, namespace, &described)
    } else {
        Api::all_with(client, &described)
    }
}

/// Path of a resource's collection.
pub(super) fn path(resource: &Resource, namespace: &str) -> String {
    let root = if resource.group.is_empty() { format!("/api/{}", resource.version) } else { format!("/apis/{}", resource.api_version()) };
    if resource.namespaced && !namespace.is_empty() {
        format!("{root}/namespaces/{namespace}/{}", resource.plural)
    } else {
        format!("{root}/{}", resource.plural)
    }
}
