//! Everything that can be said of manifests without a server.
//!
//! Each document is checked as the API server would on create, then by the rules of its kind, then its references within
//! what was given. A reference that is not among the manifests may exist elsewhere: that is a warning.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt as _;

use super::folder::{Document, Folder};
use super::problem::{Problem, field_of_pointer};
use super::templates::Templates;
use crate::engine::kind::Settings;
use crate::engine::port::{Query, Read, WorldError};
use crate::kinds::assistantdeployment::api::{AssistantDeployment, DEPLOYMENT};
use crate::kinds::assistantdeployment::{facts as deployment_facts, rules as deployment_rules};
use crate::kinds::operatordecision::api::{DECISION, OperatorDecision};
use crate::kinds::provider::api::{PROVIDER, Provider};
use crate::kinds::provider::{facts as provider_facts, rules as provider_rules};
use crate::kinds::provisioningrequest::facts::{ProviderFact, provider_fact};
use crate::kinds::provisioningrequest::rules as request_rules;
use crate::kinds::provisioningschema::api::{ProvisioningSchema, SCHEMA};
use crate::kinds::provisioningschema::rules::{self as schema_rules, Clause, Linted};
use crate::kinds::tenant::api::{TENANT, TENANT_LABEL, Tenant};
use crate::kinds::tenant::{facts as tenant_facts, rules as tenant_rules};
use crate::model::decision;
use crate::model::finding::{Finding, Severity};
use crate::model::object::{Object, ObjectKey};
use crate::model::resource::{NAMESPACE, Resource};
use crate::operator::{embedded, guards};
use crate::world::memory::{Checker, OpenError};

/// Checks everything that a folder holds. Problems come by file and place.
///
/// # Errors
/// [`OpenError`] when a schema of ours does not compile, which tests rule out.
pub fn validate(folder: &Folder) -> Result<Vec<Problem>, OpenError> {
    let checker = Checker::new(embedded::definitions())?;
    let (templates, mut problems) = Templates::read(&folder.sandboxes);
    problems.extend(folder.problems.iter().cloned());
    let mut given = Given::default();
    let mut sound = Vec::new();
    for document in &folder.documents {
        let mut object = document.object.clone();
        let found = admission(&checker, document, &mut object);
        let broken = found.iter().any(Problem::is_error);
        problems.extend(found);
        given.objects.insert(object.key(), Arc::new(object));
        if !broken {
            sound.push(document);
        }
    }
    let rules = Rules::new(&given, &templates);
    for document in sound {
        let key = document.object.key();
        let found = given.objects.get(&key).map(|object| rules.findings(object)).unwrap_or_default();
        problems.extend(found.into_iter().map(|(finding, protects)| Problem { protects, ..located(document, finding) }));
    }
    problems.sort_by(|one, other| one.place().cmp(&other.place()));
    problems.dedup();
    Ok(problems)
}

/// What the API server says of the document alone. Makes `object` what would be stored.
fn admission(checker: &Checker, document: &Document, object: &mut Object) -> Vec<Problem> {
    let name = object.key().to_string();
    let problem =
        |at, reason, message: String| Problem { object: Some(name.clone()), ..Problem::error(&document.file, at, reason, message) };
    if guards::is_made_by_controller(object.resource) {
        let message = format!("{} objects are made by the controller alone: remove it", object.resource.kind);
        return vec![problem(document.position_of(""), "MadeByController", message)];
    }
    let checked = match checker.check(object) {
        Ok(checked) => checked,
        Err(error) => return refused(document, error),
    };
    let unknown = checked.unknown.iter().map(|field| {
        let message = format!("unknown field {field:?}");
        problem(document.position_of_key(field), "UnknownField", message)
    });
    let mut problems: Vec<Problem> = unknown.collect();
    problems.extend(refused(document, WorldError::Invalid { key: object.key(), causes: checked.causes }));
    problems
}

/// What a refused write says of the document.
pub(super) fn refused(document: &Document, error: WorldError) -> Vec<Problem> {
    let name = document.object.key().to_string();
    let problem =
        |at, reason, field, message| Problem { object: Some(name.clone()), field, ..Problem::error(&document.file, at, reason, message) };
    let whole = |reason, message: String| vec![problem(document.position_of("/metadata"), reason, None, message)];
    match error {
        WorldError::Invalid { causes, .. } => {
            let each = causes.into_iter().map(|cause| {
                let at = document.position_of_field(&cause.field);
                problem(at, cause.reason, Some(cause.field).filter(|field| field != "<nil>"), cause.message)
            });
            each.collect()
        }
        WorldError::TooLarge { bytes, limit, .. } => whole("ObjectTooLarge", format!("the object has {bytes} bytes, more than {limit}")),
        WorldError::BadRequest(message) => whole("BadRequest", message),
        WorldError::Forbidden { message, .. } => whole("Forbidden", message),
        WorldError::NotFound(missing) => whole("NotFound", format!("{missing} does not exist")),
        WorldError::AlreadyExists(_)
        | WorldError::Conflict { .. }
        | WorldError::NotServed(_)
        | WorldError::Gone(_)
        | WorldError::Unavailable { .. }
        | WorldError::Unknown(_)
        | WorldError::WentBack { .. } => whole("NotApplied", error.to_string()),
    }
}

fn located(document: &Document, finding: Finding) -> Problem {
    let Finding { reason, message, severity, field } = finding;
    let at = document.position_of(field.as_deref().unwrap_or_default());
    Problem {
        severity,
        object: Some(document.object.key().to_string()),
        field: field.map(|pointer| field_of_pointer(&pointer)),
        ..Problem::error(&document.file, at, reason, message)
    }
}

/// The rules of the kinds, over what was given.
struct Rules<'a> {
    given: &'a Given,
    templates: &'a Templates,
    settings: Settings,
    /// By the namespace that they want.
    tenants: BTreeMap<String, Vec<Tenant>>,
    schemas: Vec<ProvisioningSchema>,
    /// By name. What one lacks itself is said of it, not of everyone who names it.
    providers: BTreeMap<String, ProviderFact>,
}

impl<'a> Rules<'a> {
    fn new(given: &'a Given, templates: &'a Templates) -> Self {
        let mut tenants: BTreeMap<String, Vec<Tenant>> = BTreeMap::new();
        for tenant in given.all::<Tenant>(&TENANT) {
            tenants.entry(tenant.namespace_name().to_owned()).or_default().push(tenant);
        }
        let schemas = given.all::<ProvisioningSchema>(&SCHEMA);
        let fact = |provider: Provider| {
            let name = provider.metadata.name.clone()?;
            Some((name.clone(), ProviderFact { configured: true, ..provider_fact(&name, &provider) }))
        };
        let providers = given.all::<Provider>(&PROVIDER).filter_map(fact).collect();
        Self { given, templates, settings: Settings::default(), tenants, schemas: schemas.collect(), providers }
    }

    /// What is to be said of an object; of a schema with what of document 000 is at stake.
    fn findings(&self, object: &Object) -> Vec<(Finding, Option<Clause>)> {
        let resource = object.resource;
        if resource == &SCHEMA {
            return match object.parse() {
                Ok(schema) => self.schema(&schema).into_iter().map(|linted| (linted.finding, Some(linted.protects))).collect(),
                Err(error) => vec![(Finding::error("ShapeInvalid", error.to_string()), None)],
            };
        }
        let found = if resource == &TENANT {
            object.parse().map(|tenant| self.tenant(&tenant))
        } else if resource == &PROVIDER {
            object.parse().map(|provider| self.provider(&provider))
        } else if resource == &DEPLOYMENT {
            object.parse().map(|deployment| self.deployment(&deployment))
        } else if resource == &DECISION {
            object.parse::<OperatorDecision>().map(|decision| decision::refusal_by_itself(&decision.spec.submission()))
        } else {
            Ok(Vec::new())
        };
        let mut found = found.unwrap_or_else(|error| vec![Finding::error("ShapeInvalid", error.to_string())]);
        found.extend(self.namespace(object));
        found.into_iter().map(|finding| (finding, None)).collect()
    }

    /// The namespace may be made by its tenant.
    fn namespace(&self, object: &Object) -> Option<Finding> {
        let name = object.namespace();
        let known = !object.resource.namespaced
            || name == self.settings.system_namespace
            || self.given.object(&ObjectKey::new(&NAMESPACE, "", name)).is_some()
            || self.tenants.contains_key(name);
        // A deployment says more: whose namespace it is.
        (!known && object.resource != &DEPLOYMENT)
            .then(|| Finding::waiting("NamespaceMissing", format!("Namespace {name} is not among the manifests")).at("/metadata/namespace"))
    }

    fn tenant(&self, tenant: &Tenant) -> Vec<Finding> {
        let refused = tenant_rules::check(tenant, &self.settings.system_namespace);
        let facts = now(tenant_facts::gather(tenant, self.given, &self.settings));
        refused.or_else(|| tenant_rules::consent(tenant, &facts?)).into_iter().collect()
    }

    fn schema(&self, schema: &ProvisioningSchema) -> Vec<Linted> {
        let mut findings = schema_rules::lint(schema, &self.schemas);
        findings.extend(self.templates.findings(&schema.spec));
        findings
    }

    fn provider(&self, provider: &Provider) -> Vec<Finding> {
        let facts = now(provider_facts::gather(provider, self.given, &self.settings));
        let unconfigured = facts.and_then(|facts| provider_rules::unconfigured(provider, &facts, &self.settings.system_namespace));
        let place = |finding: Finding| if finding.field.is_none() { finding.at("/spec/secretRef") } else { finding };
        unconfigured.map(place).into_iter().collect()
    }

    fn deployment(&self, deployment: &AssistantDeployment) -> Vec<Finding> {
        let mut findings: Vec<Finding> = decision::not_a_person(&deployment.spec.operator).into_iter().collect();
        let facts = self.deployment_facts(deployment);
        findings.extend(
            deployment_rules::unplaced(deployment, &facts)
                .into_iter()
                .map(|finding| if finding.field.is_none() { finding.at("/metadata/namespace") } else { finding }),
        );
        if let Some(schema) = &facts.schema {
            findings.extend(deployment_rules::unfit_inputs(&deployment.spec, &schema.spec));
        }
        let tenant = facts.tenant_name.as_deref().unwrap_or_default();
        findings.extend(request_rules::unusable_providers(&deployment.spec.providers, tenant, &self.providers).into_iter().filter(
            // Without a tenant nobody can say who is allowed.
            |finding| facts.tenant_name.is_some() || finding.reason != "ProviderNotAllowed",
        ));
        findings
    }

    /// What the loop would find once everything given is there and observed.
    fn deployment_facts(&self, deployment: &AssistantDeployment) -> deployment_facts::Facts {
        let namespace = deployment.metadata.namespace.as_deref().unwrap_or_default();
        let tenants = || self.tenants.get(namespace).into_iter().flatten();
        let tenant_name = match self.given.object(&ObjectKey::new(&NAMESPACE, "", namespace)) {
            Some(space) => space.label(TENANT_LABEL).map(str::to_owned),
            // A tenant makes its namespace, with the label on it.
            None => tenants().find_map(|tenant| tenant.metadata.name.clone()),
        };
        let tenant = tenants().find(|tenant| tenant.metadata.name == tenant_name);
        let wanted = self
            .schemas
            .iter()
            .filter(|schema| schema.spec.product == deployment.spec.product && schema.spec.version == deployment.spec.version);
        let (valid, invalid): (Vec<_>, Vec<_>) = wanted.partition(|schema| schema_rules::is_valid(schema, &self.schemas));
        deployment_facts::Facts {
            tenant_name,
            tenant: tenant.map(|_| deployment_facts::TenantFact { ready: true, suspended: false, four_eyes: true }),
            schema: valid.into_iter().max_by_key(|schema| schema.spec.revision).cloned(),
            invalid_schemas: invalid.into_iter().filter_map(|schema| schema.metadata.name.clone()).collect(),
            requests: Vec::new(),
            name_taken: false,
            schemas: Vec::new(),
            providers: BTreeMap::new(),
            decisions: Vec::new(),
        }
    }
}

/// What was given, read as the loop reads a world, so that its facts are gathered by the same code.
#[derive(Default)]
struct Given {
    objects: BTreeMap<ObjectKey, Arc<Object>>,
}

impl Given {
    fn object(&self, key: &ObjectKey) -> Option<&Arc<Object>> {
        self.objects.get(key)
    }

    /// Objects of one resource, those that have its shape.
    fn all<T: serde::de::DeserializeOwned>(&self, resource: &'static Resource) -> impl Iterator<Item = T> {
        let of_resource = self.objects.range(ObjectKey::new(resource, "", "")..).take_while(move |(key, _)| key.resource == resource);
        of_resource.filter_map(|(_, object)| object.parse().ok())
    }
}

#[async_trait]
impl Read for Given {
    async fn get(&self, key: &ObjectKey) -> Result<Option<Arc<Object>>, WorldError> {
        Ok(self.objects.get(key).cloned())
    }

    async fn list(&self, query: &Query) -> Result<Vec<Arc<Object>>, WorldError> {
        Ok(self.objects.values().filter(|object| query.selects(object)).cloned().collect())
    }
}

/// The result of reading what was given, which never waits.
fn now<T>(reading: impl Future<Output = Result<T, WorldError>>) -> Option<T> {
    reading.now_or_never()?.ok()
}

/// What of the problems is about schemas: their own, and those of files in which one may be hidden.
#[must_use]
pub fn of_schemas(problems: Vec<Problem>) -> Vec<Problem> {
    let of_schema = |object: &str| object.split(' ').next() == Some(SCHEMA.kind);
    let about = |problem: &Problem| problem.object.as_deref().map_or(problem.reason != "UnknownKind", of_schema);
    problems.into_iter().filter(about).collect()
}

/// Whether the problems refuse what was given; warnings do so only when asked to be strict.
#[must_use]
pub fn refuses(problems: &[Problem], strict: bool) -> bool {
    problems.iter().any(|problem| match problem.severity {
        Severity::Error => true,
        Severity::Waiting => strict,
        Severity::Info => false,
    })
}
