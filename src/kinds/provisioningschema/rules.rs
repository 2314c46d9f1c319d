//! Lint: the rules of a schema in one chain, each protecting a clause of document 000.
//!
//! `validate`, `schema lint` and the loop run this chain and no other. An error makes the schema unusable; what is awaited
//! and what is for information is told and refuses nothing.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::api::{ProvisioningSchema, ProvisioningSchemaSpec, Substitution, WebhookRef};
use super::{removal, revisions};
use crate::model::canonical;
use crate::model::finding::{Finding, Severity};
use crate::model::source::Source;
use crate::model::step::Step;

/// Items that every verification must hold (000, responsibility of the operator).
const MANDATORY_CHECKS: [&str; 2] = ["vapi-configuration", "webhook-accessibility"];

/// What of document 000 a rule protects. Serialized as it is displayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clause {
    /// Guarantee 1.
    Determinism,
    /// Guarantee 2.
    TenantIsolation,
    /// Guarantee 3.
    SchemaDriven,
    /// Guarantee 5.
    ManualVerification,
    /// Guarantee 6.
    Propagation,
    /// Guarantee 7.
    Immutability,
    /// Guarantee 8.
    Fidelity,
    /// The execution order contract.
    ExecutionOrder,
    /// The operator's part: rollback, and the timing of an upgrade.
    OperatorDecides,
}

impl fmt::Display for Clause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Determinism => "000 guarantee 1, state machine determinism",
            Self::TenantIsolation => "000 guarantee 2, tenant isolation at the webhook layer",
            Self::SchemaDriven => "000 guarantee 3, schema-driven execution",
            Self::ManualVerification => "000 guarantee 5, mandatory manual verification",
            Self::Propagation => "000 guarantee 6, version-governed propagation",
            Self::Immutability => "000 guarantee 7, canonical object immutability",
            Self::Fidelity => "000 guarantee 8, workflow cloning fidelity",
            Self::ExecutionOrder => "000 execution order contract",
            Self::OperatorDecides => "000 responsibility of the operator: rollback and upgrade timing",
        })
    }
}

impl Serialize for Clause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A finding, and what its rule protects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linted {
    /// What was found.
    pub finding: Finding,
    /// Why it matters.
    pub protects: Clause,
}

type Check = fn(&ProvisioningSchema) -> Vec<Finding>;

/// Rules that need nothing but the schema.
const OWN: [(Clause, Check); 12] = [
    (Clause::Immutability, named_by_content),
    (Clause::SchemaDriven, |schema| constitution(&schema.spec)),
    (Clause::SchemaDriven, |schema| workflows_present(&schema.spec)),
    (Clause::Determinism, |schema| names_unique(&schema.spec)),
    (Clause::SchemaDriven, |schema| integrations_present(&schema.spec)),
    (Clause::Fidelity, |schema| documents_well_formed(&schema.spec)),
    (Clause::ExecutionOrder, |schema| sources_in_order(&schema.spec)),
    (Clause::TenantIsolation, |schema| webhooks_exist(&schema.spec)),
    (Clause::ManualVerification, |schema| verification_complete(&schema.spec)),
    (Clause::ExecutionOrder, |schema| fixed_order(&schema.spec)),
    (Clause::OperatorDecides, |schema| removal::possible(&schema.spec)),
    (Clause::OperatorDecides, |schema| removal::switchable(&schema.spec)),
];

/// Everything that is to be said of a schema among the others of its product, in the order of the rules. The schema itself
/// may be among the others.
#[must_use]
pub fn lint(schema: &ProvisioningSchema, others: &[ProvisioningSchema]) -> Vec<Linted> {
    let own = OWN.iter().flat_map(|(protects, check)| linted(*protects, check(schema)));
    let across = revisions::RULES.iter().flat_map(|(protects, check)| linted(*protects, check(schema, others)));
    own.chain(across).collect()
}

/// Whether it breaks none of the rules that need nothing but itself.
#[must_use]
pub fn is_sound(schema: &ProvisioningSchema) -> bool {
    !OWN.iter().flat_map(|(_, check)| check(schema)).any(|finding| finding.severity == Severity::Error)
}

/// Whether it may be used: no rule refuses it.
#[must_use]
pub fn is_valid(schema: &ProvisioningSchema, others: &[ProvisioningSchema]) -> bool {
    !lint(schema, others).iter().any(|linted| linted.finding.severity == Severity::Error)
}

fn linted(protects: Clause, findings: Vec<Finding>) -> impl Iterator<Item = Linted> {
    findings.into_iter().map(move |finding| Linted { finding, protects })
}

/// A revision is found by its name: what a request is pinned to never moves.
fn named_by_content(schema: &ProvisioningSchema) -> Vec<Finding> {
    let name = schema.metadata.name.as_deref().unwrap_or_default();
    let expected = schema.spec.object_name();
    let finding = || Finding::error("NameMismatch", format!("metadata.name is {name}: it must be {expected}")).at("/metadata/name");
    (name != expected).then(finding).into_iter().collect()
}

/// Only what the frozen constitution knows is executed.
fn constitution(spec: &ProvisioningSchemaSpec) -> Vec<Finding> {
    let version = &spec.constitution_version;
    let message = format!("spec.constitutionVersion is {version}: only 1.0 is implemented");
    if version == "1.0" { Vec::new() } else { vec![Finding::error("ConstitutionUnknown", message).at("/spec/constitutionVersion")] }
}

/// Nothing is inferred, so there must be workflows to clone.
fn workflows_present(spec: &ProvisioningSchemaSpec) -> Vec<Finding> {
    if spec.workflows.is_empty() {
        let message = "spec.workflows is empty: list each workflow to clone with its templateId and digest";
        return vec![Finding::error("WorkflowsMissing", message).at("/spec/workflows")];
    }
    Vec::new()
}

/// A name refers to one thing.
fn names_unique(spec: &ProvisioningSchemaSpec) -> Vec<Finding> {
    let names = spec.workflows.iter().map(|workflow| workflow.name.as_str());
    let items = spec.verification.iter().map(|item| item.item.as_str());
    let mut findings = Vec::new();
    for (list, what) in [(names.collect::<Vec<_>>(), "workflows"), (items.collect(), "verification")] {
        for (index, name) in list.iter().enumerate() {
            if list.iter().take(index).any(|earlier| earlier == name) {
                let message = format!("spec.{what} names {name} twice");
                findings.push(Finding::error("NameNotUnique", message).at(format!("/spec/{what}/{index}")));
            }
        }
    }
    findings
}

/// Step 4 and 5 have something to do: CRM, calendar and voice are part of the product.
fn integrations_present(spec: &ProvisioningSchemaSpec) -> Vec<Finding> {
    let parts = [
        (spec.integrations.crm.is_none(), "CrmMissing", "/spec/integrations/crm"),
        (spec.integrations.calendar.is_none(), "CalendarMissing", "/spec/integrations/calendar"),
        (spec.voice.is_none(), "VoiceMissing", "/spec/voice"),
    ];
    let finding = |reason, field: &str| {
        let path = field.trim_start_matches('/').replace('/', ".");
        Finding::error(reason, format!("{path} is missing: the schema must define it, nothing is inferred")).at(field)
    };
    parts.iter().filter(|(missing, ..)| *missing).map(|(_, reason, field)| finding(reason, field)).collect()
}

/// JSON texts parse, and each substitution matches one place of theirs.
fn documents_well_formed(spec: &ProvisioningSchemaSpec) -> Vec<Finding> {
    let crm = spec.integrations.crm.iter().map(|crm| (&crm.body, &crm.substitutions, "/spec/integrations/crm", "body"));
    let voice = spec.voice.iter().map(|voice| (&voice.assistant, &voice.substitutions, "/spec/voice", "assistant"));
    let mut findings = Vec::new();
    for (text, substitutions, field, name) in crm.chain(voice) {
        match canonical::parse(text) {
            Ok(document) if document.is_object() => findings.extend(unmatched(&document, substitutions, field)),
            Ok(_) => findings.push(Finding::error("DocumentInvalid", format!("{name} is no JSON object")).at(format!("{field}/{name}"))),
            Err(error) => findings.push(Finding::error("DocumentInvalid", format!("{name}: {error}")).at(format!("{field}/{name}"))),
        }
    }
    findings
}

fn unmatched(document: &Value, substitutions: &[Substitution], field: &str) -> Vec<Finding> {
    let missing = substitutions.iter().enumerate().filter(|(_, place)| document.pointer(&place.pointer).is_none());
    missing
        .map(|(index, place)| {
            let message = format!("substitution of {} matches nothing at {}", place.source, place.pointer);
            Finding::error("SubstitutionUnmatched", message).at(format!("{field}/substitutions/{index}/pointer"))
        })
        .collect()
}

/// A step may only use what steps before it have made.
fn sources_in_order(spec: &ProvisioningSchemaSpec) -> Vec<Finding> {
    let uses = uses(spec).into_iter();
    uses.filter_map(|used| source_finding(used.source, used.step, used.field)).collect()
}

/// A source where it is used.
pub(super) struct Use<'a> {
    /// As written.
    pub source: &'a str,
    /// The step that uses it.
    pub step: Step,
    /// JSON pointer of the place.
    pub field: String,
}

/// Every place that names a source.
pub(super) fn uses(spec: &ProvisioningSchemaSpec) -> Vec<Use<'_>> {
    let mut uses = Vec::new();
    for (at, workflow) in spec.workflows.iter().enumerate() {
        for (index, place) in workflow.substitutions.iter().enumerate() {
            let field = format!("/spec/workflows/{at}/substitutions/{index}/source");
            uses.push(Use { source: &place.source, step: Step::WorkflowCloning, field });
        }
    }
    let crm = spec.integrations.crm.iter().map(|crm| (&crm.substitutions, Step::IntegrationConfiguration, "/spec/integrations/crm"));
    let voice = spec.voice.iter().map(|voice| (&voice.substitutions, Step::VapiConfiguration, "/spec/voice"));
    for (substitutions, step, field) in crm.chain(voice) {
        for (index, place) in substitutions.iter().enumerate() {
            uses.push(Use { source: &place.source, step, field: format!("{field}/substitutions/{index}/source") });
        }
    }
    uses
}

fn source_finding(text: &str, step: Step, field: String) -> Option<Finding> {
    match text.parse::<Source>() {
        Err(error) => Some(Finding::error("SourceUnknown", error.to_string()).at(field)),
        Ok(source) if source.usable_from() > step => {
            let message =
                format!("{text} exists only from step {} on, but step {step} would use it: the order is fixed", source.usable_from());
            Some(Finding::error("OrderContradicted", message).at(field))
        }
        Ok(_) => None,
    }
}

/// Every webhook that is referred to is one that gets a path.
fn webhooks_exist(spec: &ProvisioningSchemaSpec) -> Vec<Finding> {
    let calendar =
        spec.integrations.calendar.iter().map(|calendar| (calendar.webhook.clone(), "/spec/integrations/calendar/webhook".to_owned()));
    let voice = spec.voice.iter().map(|voice| (voice.server.clone(), "/spec/voice/server".to_owned()));
    let sources = spec.sources().filter_map(|text| match text.parse::<Source>() {
        Ok(Source::WebhookUrl(workflow, node)) => workflow.parse().ok().map(|workflow| (WebhookRef { workflow, node }, "/spec".to_owned())),
        Ok(Source::WorkflowId(workflow)) if !spec.workflows.iter().any(|known| known.name.as_str() == workflow) => {
            workflow.parse().ok().map(|workflow| (WebhookRef { workflow, node: String::new() }, "/spec".to_owned()))
        }
        Ok(_) | Err(_) => None,
    });
    let known = |webhook: &WebhookRef| {
        spec.workflows.iter().any(|workflow| workflow.name == webhook.workflow && workflow.webhooks.contains(&webhook.node))
    };
    calendar
        .chain(voice)
        .chain(sources)
        .filter(|(webhook, _)| !known(webhook))
        .map(|(webhook, field)| {
            let message = format!("no workflow {} lists a webhook {:?}: add it to its webhooks", webhook.workflow, webhook.node);
            Finding::error("WebhookUnknown", message).at(field)
        })
        .collect()
}

/// The operator's part of the responsibility matrix is in the checklist.
fn verification_complete(spec: &ProvisioningSchemaSpec) -> Vec<Finding> {
    let missing = MANDATORY_CHECKS.iter().filter(|check| !spec.verification.iter().any(|item| item.item.as_str() == **check));
    missing
        .map(|check| {
            let message = format!("spec.verification lacks {check}: an operator must check it before COMPLETED");
            Finding::error("VerificationIncomplete", message).at("/spec/verification")
        })
        .collect()
}

/// The order is stated for readers only, and must then be the fixed one.
fn fixed_order(spec: &ProvisioningSchemaSpec) -> Vec<Finding> {
    let names = || Step::ALL.map(Step::name).join(", ");
    let finding =
        || Finding::error("OrderContradicted", format!("spec.order must be {}: no step is skipped or moved", names())).at("/spec/order");
    (!spec.order.is_empty() && spec.order != Step::ALL).then(finding).into_iter().collect()
}
