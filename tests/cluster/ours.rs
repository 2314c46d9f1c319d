//! Our objects, policies and roles on a control plane of a test.

use std::time::Duration;

use mandate::operator::guards::manifest;
use mandate::operator::rbac;
use serde_json::{Value, json};

use crate::control_plane::api::{Api, Reply};
use crate::control_plane::users::ADMIN;
use crate::control_plane::{ControlPlane, Controllers, eventually};

/// How long the API server may take until it applies what was written.
pub const SOON: Duration = Duration::from_secs(30);
/// The namespace of the tests' objects.
pub const ACME: &str = "acme-dental";
/// The controller's finalizer.
pub const FINALIZER: &str = "mandate.dev/outside";

/// Where a manifest is posted.
pub fn collection(document: &Value) -> String {
    let text = |field: &str| document[field].as_str().unwrap();
    let (api_version, kind) = (text("apiVersion"), text("kind").to_lowercase());
    let plural = if let Some(stem) = kind.strip_suffix('y') { format!("{stem}ies") } else { format!("{kind}s") };
    let root = if api_version.contains('/') { format!("/apis/{api_version}") } else { format!("/api/{api_version}") };
    match document["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{root}/namespaces/{namespace}/{plural}"),
        None => format!("{root}/{plural}"),
    }
}

/// The object's own path.
pub fn path(document: &Value) -> String {
    format!("{}/{}", collection(document), document["metadata"]["name"].as_str().unwrap())
}

/// Creates, and says why when that is refused.
pub async fn create(api: &Api, document: &Value) -> Value {
    let made = api.post(&collection(document), document).await.unwrap();
    assert_eq!(made.status, 201, "{}: {}", path(document), made.text());
    made.body
}

fn object(kind: &str, namespace: Option<&str>, name: &str, spec: Value) -> Value {
    let mut metadata = json!({"name": name, "labels": {"test": "guards"}});
    if let Some(namespace) = namespace {
        metadata["namespace"] = namespace.into();
    }
    json!({"apiVersion": "mandate.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
}

fn digest(digit: &str) -> String {
    format!("sha256:{}", digit.repeat(64))
}

/// A decision in somebody's name.
pub fn decision(namespace: &str, name: &str, operator: &str, via: &str) -> Value {
    let subject = json!({"kind": "ProvisioningRequest", "name": "x-1", "uid": "u", "hash": digest("a")});
    object("OperatorDecision", Some(namespace), name, json!({"subject": subject, "act": "Verify", "operator": operator, "via": via}))
}

/// A deployment in somebody's name.
pub fn deployment(name: &str, operator: &str, via: &str) -> Value {
    let providers = json!({"workflows": "n8n", "crm": "crm", "calendar": "calcom", "voice": "vapi"});
    let spec = json!({"product": "recepcionista-ia", "version": "1.0", "operator": operator, "via": via, "providers": providers});
    object("AssistantDeployment", Some(ACME), name, spec)
}

/// A record. What it says is not looked at here.
pub fn record(namespace: &str, name: &str) -> Value {
    let subject = json!({"kind": "Tenant", "name": "acme-dental", "uid": "u"});
    let spec = json!({
        "entry": "{}", "hash": digest("b"), "subject": subject, "sequence": 1, "event": "Tried", "actor": "nobody",
        "time": "2026-01-01T00:00:00Z",
    });
    object("AuditRecord", Some(namespace), name, spec)
}

/// A request.
pub fn request(name: &str) -> Value {
    let providers = json!({"workflows": "n8n", "crm": "crm", "calendar": "calcom", "voice": "vapi"});
    let spec = json!({
        "deployment": {"name": "x", "uid": "u"}, "tenantName": "acme-dental", "productType": "recepcionista-ia", "version": "1.0",
        "schemaRef": {"name": "recepcionista-ia-1.0-r1", "digest": digest("c")}, "operator": "ana", "via": "Relay", "attempt": 1,
        "pathAttempt": 1, "reason": "Initial", "demo": false, "providers": providers,
    });
    object("ProvisioningRequest", Some(ACME), name, spec)
}

/// The first document of a kind in the clinic example.
pub fn example(file: &str) -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/clinic").join(file);
    serde_yaml::from_multiple::<Value>(&std::fs::read_to_string(path).unwrap()).unwrap().swap_remove(0)
}

/// One object of every kind, each with the controller's finalizer. Made before anything guards them.
pub async fn objects(admin: &Api) -> Vec<Value> {
    let mut made = Vec::new();
    let wanted = [
        deployment("held", "ben@acme-dental.example", "Direct"),
        record(ACME, "held"),
        decision(ACME, "held", "ben@acme-dental.example", "Direct"),
        example("20-providers.yaml"),
        request("held"),
        example("30-schema.yaml"),
        example("10-tenant.yaml"),
    ];
    for mut document in wanted {
        document["metadata"]["finalizers"] = json!([FINALIZER]);
        made.push(create(admin, &document).await);
    }
    made
}

/// A control plane with our definitions, the namespaces and the generated roles.
pub async fn plane(controllers: Controllers) -> ControlPlane {
    let plane = ControlPlane::with_definitions(controllers).await;
    let admin = plane.api(&ADMIN);
    for name in [ACME, "mandate-system"] {
        create(&admin, &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})).await;
    }
    for document in rbac::documents("mandate-system") {
        create(&admin, &document).await;
    }
    plane
}

/// Creates the policies, and waits until each refuses something: a request that changes nothing either way.
pub async fn guard(admin: &Api, objects: &[Value]) {
    for document in manifest::documents("mandate-system") {
        create(admin, &document).await;
    }
    for object in objects {
        eventually(&format!("{} is guarded", path(object)), SOON, || async {
            let bare = json!({"metadata": {"finalizers": null}});
            let probed = admin.merge(&format!("{}?dryRun=All", path(object)), &bare).await;
            probed.is_ok_and(|reply| reply.status == 403)
        })
        .await;
    }
}

/// That a guard refused, and what it said.
pub fn refused(reply: &Reply, plural: &str, name: &str, words: &str) {
    let policy = format!("{plural}.mandate.dev");
    let denial = format!("ValidatingAdmissionPolicy '{policy}' with binding '{policy}' denied request: {words}");
    assert_eq!(reply.message(), format!("{policy} {name:?} is forbidden: {denial}"), "{}", reply.text());
    assert_eq!((reply.status, &reply.body["reason"]), (403, &json!("Forbidden")));
    let details = json!({"name": name, "group": "mandate.dev", "kind": plural, "causes": [{"message": denial}]});
    assert_eq!(reply.body["details"], details);
}

/// That a request was permitted.
pub fn permitted(reply: &Reply, what: &str) {
    assert!(matches!(reply.status, 200 | 201), "{what}: {}", reply.text());
}

/// A control plane under the guards, with one object of every kind.
pub struct Guarded {
    pub plane: ControlPlane,
    /// Each with the controller's finalizer.
    pub objects: Vec<Value>,
}

impl Guarded {
    /// Without stock controllers: nobody but the test writes.
    pub async fn start() -> Self {
        let plane = plane(Controllers::None).await;
        let admin = plane.api(&ADMIN);
        let objects = objects(&admin).await;
        guard(&admin, &objects).await;
        Self { plane, objects }
    }

    /// The object of a kind.
    pub fn of(&self, kind: &str) -> &Value {
        self.objects.iter().find(|object| object["kind"] == kind).unwrap()
    }

    /// What is stored of an object.
    pub async fn stored(&self, object: &Value) -> Value {
        let reply = self.plane.api(&ADMIN).get(&path(object)).await.unwrap();
        permitted(&reply, &path(object));
        reply.body
    }

    /// Edits what is stored and puts it back, or at a part of it: `/status`.
    pub async fn edit(&self, who: &Api, object: &Value, part: &str, edit: impl FnOnce(&mut Value)) -> Reply {
        let mut edited = self.stored(object).await;
        edit(&mut edited);
        who.put(&format!("{}{part}", path(object)), &edited).await.unwrap()
    }

    /// Would an edit be taken? Nothing is stored.
    pub async fn try_edit(&self, who: &Api, object: &Value, part: &str, edit: impl FnOnce(&mut Value)) -> Reply {
        self.edit(who, object, &format!("{part}?dryRun=All"), edit).await
    }
}

/// The plural of an object's kind.
pub fn plural(object: &Value) -> String {
    format!("{}s", object["kind"].as_str().unwrap().to_lowercase())
}

/// The name of an object.
pub fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap()
}
