//! Lint: the rules of a schema, each protecting a guarantee of document 000.

use serde_json::Value;

use super::api::{ProvisioningSchema, ProvisioningSchemaSpec, Substitution, WebhookRef};
use crate::model::canonical;
use crate::model::finding::Finding;
use crate::model::source::Source;
use crate::model::step::Step;

/// Items that every verification must hold (000, responsibility of the operator).
const MANDATORY_CHECKS: [&str; 2] = ["vapi-configuration", "webhook-accessibility"];

/// Everything that is wrong with a schema, in the order of the rules.
#[must_use]
pub fn lint(schema: &ProvisioningSchema) -> Vec<Finding> {
    let name = schema.metadata.name.as_deref().unwrap_or_default();
    let mut findings: Vec<Finding> = named_by_content(name, &schema.spec).into_iter().collect();
    let rules: [fn(&ProvisioningSchemaSpec) -> Vec<Finding>; 8] = [
        constitution,
        workflows_present,
        names_unique,
        integrations_present,
        documents_well_formed,
        sources_in_order,
        webhooks_exist,
        verification_complete,
    ];
    findings.extend(rules.iter().flat_map(|rule| rule(&schema.spec)));
    findings.extend(fixed_order(&schema.spec));
    findings
}

/// A revision is found by its name (guarantee 7: what a request is pinned to never moves).
fn named_by_content(name: &str, spec: &ProvisioningSchemaSpec) -> Option<Finding> {
    let expected = spec.object_name();
    (name != expected)
        .then(|| Finding::error("NameMismatch", format!("metadata.name is {name}: it must be {expected}")).at("/metadata/name"))
}

/// Guarantee 3: only what the frozen constitution knows is executed.
fn constitution(spec: &ProvisioningSchemaSpec) -> Vec<Finding> {
    let version = &spec.constitution_version;
    let message = format!("spec.constitutionVersion is {version}: only 1.0 is implemented");
    if version == "1.0" { Vec::new() } else { vec![Finding::error("ConstitutionUnknown", message).at("/spec/constitutionVersion")] }
}

/// Guarantee 3 and 8: nothing is inferred, so there must be workflows to clone.
fn workflows_present(spec: &ProvisioningSchemaSpec) -> Vec<Finding> {
    if spec.workflows.is_empty() {
        let message = "spec.workflows is empty: list each workflow to clone with its templateId and digest";
        return vec![Finding::error("WorkflowsMissing", message).at("/spec/workflows")];
    }
    Vec::new()
}

/// Guarantee 1: a name refers to one thing.
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

/// Guarantee 8: JSON texts parse, and each substitution matches one place of theirs.
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

/// Fixed order: a step may only use what steps before it have made.
fn sources_in_order(spec: &ProvisioningSchemaSpec) -> Vec<Finding> {
    let nodes = spec.workflows.iter().enumerate().flat_map(|(at, workflow)| {
        let place = move |(index, place): (usize, &super::api::NodeSubstitution)| {
            (place.source.clone(), Step::WorkflowCloning, format!("/spec/workflows/{at}/substitutions/{index}/source"))
        };
        workflow.substitutions.iter().enumerate().map(place)
    });
    let list = |substitutions: &[Substitution], step: Step, field: &str| {
        let place = |(index, place): (usize, &Substitution)| (place.source.clone(), step, format!("{field}/substitutions/{index}/source"));
        substitutions.iter().enumerate().map(place).collect::<Vec<_>>()
    };
    let crm =
        spec.integrations.crm.iter().flat_map(|crm| list(&crm.substitutions, Step::IntegrationConfiguration, "/spec/integrations/crm"));
    let voice = spec.voice.iter().flat_map(|voice| list(&voice.substitutions, Step::VapiConfiguration, "/spec/voice"));
    nodes.chain(crm).chain(voice).filter_map(|(source, step, field)| source_finding(&source, step, field)).collect()
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

/// Guarantee 2: every webhook that is referred to is one that gets a path.
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

/// Guarantee 5 and the operator's part of the responsibility matrix.
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
fn fixed_order(spec: &ProvisioningSchemaSpec) -> Option<Finding> {
    let names = || Step::ALL.map(Step::name).join(", ");
    (!spec.order.is_empty() && spec.order != Step::ALL).then(|| {
        Finding::error("OrderContradicted", format!("spec.order must be {}: no step is skipped or moved", names())).at("/spec/order")
    })
}
