//! Rules about a revision among the others of its product.
//!
//! The former of a revision is the highest one below it, of the same version, that may be used:
//!
//! ```text
//! r1 valid   r2 broken   r3        the former of r3 is r1
//! r1 valid   r2 changes webhooks   r2 is not propagable from r1, so r2 is not valid
//!                        r3        the former of r3 is r1, which is what live deployments are on
//! ```
//!
//! Only lower revisions are looked at: what was valid does not become invalid because something newer appears.

use std::collections::BTreeSet;

use super::api::{ProvisioningSchema, ProvisioningSchemaSpec, WorkflowSpec};
use super::rules::{self, Clause};
use crate::model::canonical;
use crate::model::finding::Finding;
use crate::model::source::Source;

type Check = fn(&ProvisioningSchema, &[ProvisioningSchema]) -> Vec<Finding>;

/// The rules.
pub(super) const RULES: [(Clause, Check); 4] = [
    (Clause::OperatorDecides, propagable),
    (Clause::Propagation, |schema, others| changed(schema, others).into_iter().collect()),
    (Clause::Propagation, |schema, others| next_revision(schema, others).into_iter().collect()),
    (Clause::Propagation, |schema, others| next_version(schema, others).into_iter().collect()),
];

/// The revision that live deployments of this version are on before this one is propagated.
#[must_use]
pub fn former<'a>(spec: &ProvisioningSchemaSpec, others: &'a [ProvisioningSchema]) -> Option<&'a ProvisioningSchemaSpec> {
    let mut lower: Vec<&ProvisioningSchema> = same_version(spec, others).filter(|other| other.spec.revision < spec.revision).collect();
    lower.sort_by_key(|other| other.spec.revision);
    lower.into_iter().filter(|other| rules::is_sound(other)).map(|other| &other.spec).fold(None, |former, next| match former {
        Some(former) if !obstacles(former, next).is_empty() => Some(former),
        Some(_) | None => Some(next),
    })
}

fn same_version<'a>(
    spec: &ProvisioningSchemaSpec,
    others: &'a [ProvisioningSchema],
) -> impl Iterator<Item = &'a ProvisioningSchema> + use<'a> {
    let (product, version) = (spec.product, spec.version.clone());
    others.iter().filter(move |other| other.spec.product == product && other.spec.version == version)
}

/// A revision can be put in place of the former under every live deployment. What cannot is an upgrade, whose timing is the
/// operator's.
fn propagable(schema: &ProvisioningSchema, others: &[ProvisioningSchema]) -> Vec<Finding> {
    let Some(former) = former(&schema.spec, others) else { return Vec::new() };
    let remedy = "live deployments cannot be brought there in place, publish it as a new version";
    let finding = |(what, field): (String, String)| {
        Finding::error("RevisionNotPropagable", format!("{what}, other than in r{}: {remedy}", former.revision)).at(field)
    };
    obstacles(former, &schema.spec).into_iter().map(finding).collect()
}

/// What stands in the way of replacing `former` by `next` in place, with the field that says so.
fn obstacles(former: &ProvisioningSchemaSpec, next: &ProvisioningSchemaSpec) -> Vec<(String, String)> {
    let mut obstacles = workflows(former, next);
    if !crm_is_same(former, next) {
        obstacles.push(("the CRM is defined".to_owned(), "/spec/integrations/crm".to_owned()));
    }
    let calendar = |spec: &ProvisioningSchemaSpec| {
        let calendar = spec.integrations.calendar.as_ref()?;
        Some((calendar.triggers.iter().cloned().collect::<BTreeSet<_>>(), calendar.webhook.clone()))
    };
    if calendar(former) != calendar(next) {
        obstacles.push(("the calendar is defined".to_owned(), "/spec/integrations/calendar".to_owned()));
    }
    obstacles.extend(inputs(former, next));
    obstacles
}

fn workflows(former: &ProvisioningSchemaSpec, next: &ProvisioningSchemaSpec) -> Vec<(String, String)> {
    let of = |spec: &ProvisioningSchemaSpec| spec.workflows.iter().map(|workflow| workflow.name.to_string()).collect::<BTreeSet<_>>();
    let (before, now) = (of(former), of(next));
    if before != now {
        let what = format!("the workflows are {}", now.into_iter().collect::<Vec<_>>().join(", "));
        return vec![(what, "/spec/workflows".to_owned())];
    }
    let nodes = |workflow: &WorkflowSpec| workflow.webhooks.iter().cloned().collect::<BTreeSet<_>>();
    let differs = |workflow: &WorkflowSpec| former.workflows.iter().any(|old| old.name == workflow.name && nodes(old) != nodes(workflow));
    let each = next.workflows.iter().enumerate().filter(|(_, workflow)| differs(workflow));
    each.map(|(index, workflow)| {
        let what = format!("the webhook nodes of {} are {:?}", workflow.name, nodes(workflow).into_iter().collect::<Vec<_>>());
        (what, format!("/spec/workflows/{index}/webhooks"))
    })
    .collect()
}

/// The body is compared as JSON: how it is written does not reach the vendor.
fn crm_is_same(former: &ProvisioningSchemaSpec, next: &ProvisioningSchemaSpec) -> bool {
    match (&former.integrations.crm, &next.integrations.crm) {
        (Some(before), Some(now)) => {
            before.resource == now.resource
                && before.substitutions == now.substitutions
                && canonical::parse(&before.body).ok() == canonical::parse(&now.body).ok()
        }
        (before, now) => before.is_none() && now.is_none(),
    }
}

/// Parameters and credentials that live deployments were never asked for.
fn inputs(former: &ProvisioningSchemaSpec, next: &ProvisioningSchemaSpec) -> Vec<(String, String)> {
    let given: BTreeSet<String> = former.sources().filter_map(input).collect();
    let mut named = BTreeSet::new();
    let mut obstacles = Vec::new();
    for used in rules::uses(next) {
        let Some(input) = input(used.source) else { continue };
        if !given.contains(&input) && named.insert(input.clone()) {
            obstacles.push((format!("{input} is asked for"), used.field));
        }
    }
    obstacles
}

/// What a deployment must give for this source.
fn input(source: &str) -> Option<String> {
    match source.parse().ok()? {
        Source::Parameter(name) => Some(format!("parameters.{name}")),
        Source::CredentialId(name) | Source::CredentialName(name) => Some(format!("credentials.{name}")),
        Source::TenantName | Source::DeploymentName | Source::WorkflowId(_) | Source::WebhookUrl(..) => None,
    }
}

/// A revision brings something to live deployments.
fn changed(schema: &ProvisioningSchema, others: &[ProvisioningSchema]) -> Option<Finding> {
    let former = former(&schema.spec, others)?;
    let brings = |spec: &ProvisioningSchemaSpec| {
        let workflow = |workflow: &WorkflowSpec| (workflow.name.to_string(), workflow.digest.clone(), workflow.substitutions.clone());
        let mut workflows: Vec<_> = spec.workflows.iter().map(workflow).collect();
        workflows.sort_by(|one, other| one.0.cmp(&other.0));
        (workflows, spec.voice.clone())
    };
    (brings(former) == brings(&schema.spec)).then(|| {
        let message = format!(
            "every digest is that of r{}, and so are substitutions and voice: nothing changes for live deployments; pin what has changed \
             with mandate schema pin, or drop this revision",
            former.revision
        );
        Finding::waiting("RevisionUnchanged", message).at("/spec/revision")
    })
}

/// Revisions follow one another.
fn next_revision(schema: &ProvisioningSchema, others: &[ProvisioningSchema]) -> Option<Finding> {
    let spec = &schema.spec;
    let before = same_version(spec, others).map(|other| other.spec.revision).filter(|revision| *revision < spec.revision).max()?;
    (before + 1 < spec.revision).then(|| {
        let message = format!(
            "revision {} follows revision {before}: {}-{}-r{} is missing; publish it, or number this one {}",
            spec.revision,
            spec.product,
            spec.version,
            before + 1,
            before + 1
        );
        Finding::waiting("RevisionGap", message).at("/spec/revision")
    })
}

/// Versions follow one another: X.Y is followed by X.(Y+1) or (X+1).0. Said of the first revision that there is.
fn next_version(schema: &ProvisioningSchema, others: &[ProvisioningSchema]) -> Option<Finding> {
    let spec = &schema.spec;
    let own = parts(&spec.version)?;
    if same_version(spec, others).any(|other| other.spec.revision < spec.revision) {
        return None;
    }
    let of_product = others.iter().filter(|other| other.spec.product == spec.product);
    let before = of_product.filter_map(|other| parts(&other.spec.version)).filter(|version| *version < own).max()?;
    let (major, minor) = before;
    (own != (major, minor.saturating_add(1)) && own != (major.saturating_add(1), 0)).then(|| {
        let message = format!(
            "version {} follows version {major}.{minor}: {major}.{} or {}.0 comes next; publish what is missing, or number this one so",
            spec.version,
            minor.saturating_add(1),
            major.saturating_add(1)
        );
        Finding::waiting("VersionGap", message).at("/spec/version")
    })
}

fn parts(version: &str) -> Option<(u64, u64)> {
    let (major, minor) = version.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Whether it is what live deployments of its version shall be on: valid, not being deleted, and the highest such.
#[must_use]
pub fn is_current(schema: &ProvisioningSchema, others: &[ProvisioningSchema]) -> bool {
    let usable = |one: &ProvisioningSchema| one.metadata.deletion_timestamp.is_none() && rules::is_valid(one, others);
    let higher = |other: &ProvisioningSchema| other.spec.revision > schema.spec.revision;
    usable(schema) && !same_version(&schema.spec, others).any(|other| higher(other) && usable(other))
}
