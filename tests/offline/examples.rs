//! The examples that users copy: each document fits, nothing in them is stale, nothing is left over.
//!
//! A template was edited? `the_pinned_digests_are_those_of_the_templates` prints the digest to put into the schema.

#![allow(clippy::unwrap_used, reason = "clippy permits it in test functions only, not in what they share")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use http::StatusCode;
use mandate::kinds::assistantdeployment::api::{AssistantDeployment, AssistantDeploymentSpec};
use mandate::kinds::assistantdeployment::rules::unfit_inputs;
use mandate::kinds::provider::api::{PROVIDER_LABEL, Provider};
use mandate::kinds::provisioningschema::api::{ProvisioningSchema, WorkflowSpec};
use mandate::kinds::provisioningschema::rules::lint;
use mandate::kinds::tenant::api::{TENANT_LABEL, Tenant};
use mandate::model::canonical;
use mandate::model::source::Source;
use mandate::model::workflow;
use mandate::offline::folder::Folder;
use mandate::offline::validate::validate;
use mandate::sandbox::{CALCOM_KEY, CRM_KEY, N8N_KEY, VAPI_KEY};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::sandbox::bench::{Bench, WORKFLOWS, options};

pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

/// Files of a folder that end so, by name.
pub fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().ends_with(ending))
        .collect();
    files.sort();
    files
}

fn documents() -> Vec<Value> {
    let read = |path: &PathBuf| serde_yaml::from_multiple::<Value>(&std::fs::read_to_string(path).unwrap()).unwrap();
    files(&folder("clinic"), ".yaml").iter().flat_map(read).collect()
}

fn all<T: DeserializeOwned>(kind: &str) -> Vec<T> {
    documents().into_iter().filter(|document| document["kind"] == kind).map(|document| serde_json::from_value(document).unwrap()).collect()
}

fn only<T: DeserializeOwned>(kind: &str) -> T {
    let mut found = all(kind);
    assert_eq!(found.len(), 1, "{kind}");
    found.remove(0)
}

fn schema() -> ProvisioningSchema {
    only("ProvisioningSchema")
}

fn deployment() -> AssistantDeploymentSpec {
    only::<AssistantDeployment>("AssistantDeployment").spec
}

/// Templates by id.
fn templates() -> BTreeMap<String, Value> {
    let read = |path: PathBuf| serde_json::from_str::<Value>(&std::fs::read_to_string(path).unwrap()).unwrap();
    let by_id = |template: Value| (template["id"].as_str().unwrap().to_owned(), template);
    files(&folder("clinic/sandbox"), ".json").into_iter().map(read).map(by_id).collect()
}

/// Each workflow of the schema with its template.
fn pinned() -> Vec<(WorkflowSpec, Value)> {
    let templates = templates();
    schema().spec.workflows.into_iter().map(|workflow| (workflow.clone(), templates[&workflow.template_id].clone())).collect()
}

/// The example's own value of a source; what only a run knows is made up.
fn value(source: &str) -> String {
    let spec = deployment();
    match source.parse::<Source>().unwrap() {
        Source::TenantName => "acme-dental".into(),
        Source::DeploymentName => "receptionist".into(),
        Source::Parameter(name) => spec.parameters[&name].clone(),
        Source::CredentialId(name) => spec.credentials[&name].id.clone(),
        Source::CredentialName(name) => spec.credentials[&name].name.clone(),
        Source::WorkflowId(name) => format!("id-of-{name}"),
        Source::WebhookUrl(workflow, _) => format!("https://webhooks.example/{workflow}"),
    }
}

fn substituted(workflow: &WorkflowSpec, template: &Value) -> Value {
    let places = workflow.template().places;
    let values: Vec<String> = places.iter().map(|place| value(&place.source)).collect();
    workflow::substitute(template, &places, &values).unwrap()
}

#[test]
fn validation_finds_nothing_in_the_clinic() {
    let folder = Folder::read(&[folder("clinic")]);
    let problems = validate(&folder).unwrap();
    assert_eq!(problems.iter().map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new());
    assert_eq!(folder.documents.len(), documents().len());
}

#[test]
fn every_document_fits_its_type_and_the_rules_find_nothing() {
    let kinds: BTreeSet<String> = documents().iter().map(|document| document["kind"].as_str().unwrap().to_owned()).collect();
    let expected = ["AssistantDeployment", "Namespace", "Provider", "ProvisioningSchema", "Secret", "Tenant"];
    assert_eq!(kinds, expected.map(str::to_owned).into());
    assert_eq!(all::<Provider>("Provider").len(), 4);
    assert_eq!(lint(&schema(), &[]), []);
    assert_eq!(unfit_inputs(&deployment(), &schema().spec), []);
}

#[test]
fn the_namespace_consents_to_the_tenant_and_references_meet() {
    let tenant: Tenant = only("Tenant");
    let namespace = documents().into_iter().find(|document| document["metadata"]["name"] == tenant.namespace_name()).unwrap();
    assert_eq!(namespace["metadata"]["labels"][TENANT_LABEL], tenant.metadata.name.unwrap());
    assert_eq!(only::<AssistantDeployment>("AssistantDeployment").metadata.namespace.unwrap(), "acme-dental");
    let providers: BTreeSet<String> = all::<Provider>("Provider").into_iter().map(|provider| provider.metadata.name.unwrap()).collect();
    let names = deployment().providers;
    assert_eq!(providers, [names.workflows, names.crm, names.calendar, names.voice].into());
}

#[test]
fn the_secrets_hold_the_keys_of_the_sandbox_for_the_providers_that_name_them() {
    let keys = BTreeMap::from([("n8n", N8N_KEY), ("vapi", VAPI_KEY), ("calcom", CALCOM_KEY), ("crm", CRM_KEY)]);
    let secrets: Vec<Value> = all("Secret");
    for provider in all::<Provider>("Provider") {
        let name = provider.metadata.name.unwrap();
        let reference = provider.spec.secret_ref.unwrap();
        let secret = secrets.iter().find(|secret| secret["metadata"]["name"] == reference.name).unwrap();
        assert_eq!(secret["metadata"]["namespace"], "mandate-system");
        assert_eq!(secret["metadata"]["labels"][PROVIDER_LABEL], name);
        assert_eq!(secret["stringData"][&reference.key], keys[name.as_str()]);
    }
    assert_eq!(secrets.len(), keys.len());
}

#[test]
fn the_pinned_digests_are_those_of_the_templates() {
    assert_eq!(pinned().len(), templates().len());
    for (workflow, template) in pinned() {
        let pin = workflow.template();
        let actual = workflow::structural_digest(&template, &pin.places, &pin.webhooks).unwrap();
        assert_eq!(workflow.digest, actual, "workflow {}: set its digest in 30-schema.yaml to {actual}", workflow.name);
    }
}

#[test]
fn the_schema_lists_exactly_what_the_templates_hold() {
    for (workflow, template) in pinned() {
        assert!(workflow::nodes(&template).unwrap().len() >= 10);
        assert_eq!(workflow.node_types, workflow::node_types(&template).unwrap());
        workflow::check_webhooks(&template, &workflow.webhooks).unwrap();
        for node in workflow::nodes(&template).unwrap().iter().filter(|node| node["type"] == workflow::WEBHOOK_NODE) {
            let path = node.pointer(workflow::WEBHOOK_PATH).and_then(Value::as_str).unwrap();
            assert_eq!(path.parse::<Uuid>().unwrap().to_string(), path, "the path of {} is a bare UUID", node["name"]);
        }
    }
}

#[test]
fn every_node_is_reached_from_a_webhook_and_no_connection_leads_nowhere() {
    for (workflow, template) in pinned() {
        let names: BTreeSet<&str> = workflow::nodes(&template).unwrap().iter().map(|node| node["name"].as_str().unwrap()).collect();
        let targets = |name: &str| -> Vec<&str> {
            let outputs = template["connections"][name]["main"].as_array();
            outputs.into_iter().flatten().flat_map(|output| output.as_array().unwrap()).map(|to| to["node"].as_str().unwrap()).collect()
        };
        let mut reached: BTreeSet<&str> = BTreeSet::new();
        let mut open: Vec<&str> = workflow.webhooks.iter().map(String::as_str).collect();
        while let Some(name) = open.pop() {
            assert!(names.contains(name), "{}: a connection leads to {name:?}, which is no node", workflow.name);
            if reached.insert(name) {
                open.extend(targets(name));
            }
        }
        assert_eq!(reached, names, "{}", workflow.name);
        assert!(template["connections"].as_object().unwrap().keys().all(|from| names.contains(from.as_str())));
    }
}

#[test]
fn substitution_leaves_nothing_of_the_template_behind() {
    let placeholders = ["template.example", "Template ", "template clinic", "tplC", "+10000000000", "\"template\""];
    let clean = |what: &str, document: &Value| {
        let text = document.to_string();
        for placeholder in placeholders {
            assert!(!text.contains(placeholder), "{what} still holds {placeholder:?}");
        }
    };
    for (workflow, template) in pinned() {
        assert!(template.to_string().contains("emplate"), "{}: nothing to substitute", workflow.name);
        clean(workflow.name.as_str(), &substituted(&workflow, &template)["nodes"]);
    }
    let spec = schema().spec;
    let (crm, voice) = (spec.integrations.crm.unwrap(), spec.voice.unwrap());
    for (what, text, substitutions) in [("crm", crm.body, crm.substitutions), ("voice", voice.assistant, voice.substitutions)] {
        let mut document = canonical::parse(&text).unwrap();
        assert_eq!(canonical::foreign(&document).unwrap().as_str(), text, "{what} is not canonical text");
        for place in substitutions {
            *document.pointer_mut(&place.pointer).unwrap() = value(&place.source).into();
        }
        clean(what, &document);
    }
}

#[tokio::test(start_paused = true)]
async fn the_sandbox_serves_the_templates_and_takes_their_clones() {
    let bench = Bench::with(mandate::sandbox::SandboxOptions { templates: Some(folder("clinic/sandbox")), ..options(1) });
    for (workflow, template) in pinned() {
        let pin = workflow.template();
        let (status, served) = bench.get(&format!("{WORKFLOWS}/{}", workflow.template_id)).await;
        assert_eq!(status, StatusCode::OK, "{served}");
        assert_eq!(workflow::structural_digest(&served, &pin.places, &pin.webhooks).unwrap(), workflow.digest);
        let clone = substituted(&workflow, &template);
        let body = json!({"name": "clone", "nodes": clone["nodes"], "connections": clone["connections"], "settings": clone["settings"]});
        let id = bench.workflow(body).await;
        let (status, active) = bench.activate(&id).await;
        assert_eq!(status, StatusCode::OK, "{active}");
        assert_eq!(active["triggerCount"], workflow.webhooks.len());
        assert_eq!(workflow::structural_digest(&active, &pin.places, &pin.webhooks).unwrap(), workflow.digest);
    }
}
