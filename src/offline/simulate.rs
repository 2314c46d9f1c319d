//! What manifests come to, played through without a server: the same loop over a world in memory and simulated systems.
//!
//! The manifests are applied as whoever they say acts; identifiers are counted, not random, so that the same manifests give
//! the same identifiers. The templates in the manifests' `sandbox` folder stand for those at the workflow provider; without
//! them nothing that follows the reading of templates can be played.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use uuid::Uuid;

use super::folder::{Document, Folder};
use super::problem::Problem;
use super::validate;
use crate::adapters::Adapters;
use crate::adapters::transport::InProcess;
use crate::engine::audit::Snapshot;
use crate::engine::outcome::{Fault, Outcome};
use crate::engine::port::{Backends, Clock, Identifiers, SecretError, SecretValue, Secrets};
use crate::kinds::assistantdeployment::api::DEPLOYMENT;
use crate::kinds::operatordecision::api::DECISION;
use crate::kinds::provisioningrequest::api::{ProvisioningRequest, REQUEST};
use crate::kinds::provisioningschema::api::SCHEMA;
use crate::model::call::{Call, CallClass, IdempotencyKey, KeyedCall, ProviderType, SecretKey};
use crate::model::canonical::Digest;
use crate::model::condition::{Condition, READY, STALLED, Truth};
use crate::model::journal::{CallEntry, Evidence};
use crate::model::object::{OWNER_UID, Object, ObjectKey};
use crate::model::pointer;
use crate::model::resource::NAMESPACE;
use crate::model::step::Step;
use crate::operator::embedded;
use crate::operator::guards::OPERATORS;
use crate::operator::runner::{Operator, Setup};
use crate::sandbox::{CALCOM_KEY, CRM_KEY, N8N_KEY, Sandbox, SandboxError, SandboxOptions, VAPI_KEY};
use crate::world::memory::{Memory, OpenError};
use crate::world::server::{ApiServer, FieldValidation, Identity, WriteOptions};

/// Wake-ups that are later than this are not waited for: the plan shows what is waited for instead.
const HORIZON: Duration = Duration::from_secs(2);
/// A simulation that has not settled by then is given up.
const DEADLINE: Duration = Duration::from_secs(120);
/// When a call that cannot be played is tried again: after the end of the play, but within what a call may wait in all.
const LATER: Duration = Duration::from_secs(60);

/// Why nothing could be played.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// The world.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The simulated systems.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// More than one folder of templates.
    #[error("templates lie in {} and {}: plan one folder at a time", .0.display(), .1.display())]
    TwoSandboxes(PathBuf, PathBuf),
    /// It went on and on.
    #[error("the simulation did not settle within {} s", DEADLINE.as_secs())]
    Unsettled,
}

/// What manifests come to.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Simulation {
    /// Manifests that could not be applied.
    pub refused: Vec<Problem>,
    /// What the controller would create, by kind, namespace and name.
    pub created: Vec<Created>,
    /// What it would do outside, in order of steps.
    pub calls: Vec<PlannedCall>,
    /// Where each object would stand, by kind, namespace and name.
    pub objects: Vec<Standing>,
    /// Hashes of what is frozen.
    pub hashes: Vec<KnownHash>,
    /// Whether there were templates to play with.
    pub with_templates: bool,
}

/// An object that the controller would create.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Created {
    /// Kind.
    pub kind: String,
    /// Namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// Name; the identifiers in it, where there are any, will be others.
    pub name: String,
    /// For whom: `Kind namespace/name`.
    pub owner: String,
}

/// A call that the controller would make.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedCall {
    /// Request: `namespace/name`.
    pub request: String,
    /// Step.
    pub step: Step,
    /// Name within the step.
    pub name: String,
    /// Operation.
    pub operation: String,
    /// Provider.
    pub provider: String,
    /// Class: what makes a repetition harmless.
    pub class: CallClass,
    /// Digest of what would be sent; none where it covers identifiers that only the real world gives.
    pub input: Option<Digest>,
    /// `Done`, or what stands in the way.
    pub outcome: String,
}

/// Where an object would stand.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// `Kind namespace/name`.
    pub object: String,
    /// Condition `Ready`.
    pub ready: Truth,
    /// Whether only a change by a person helps.
    pub stalled: bool,
    /// Its reason.
    pub reason: String,
    /// Its message.
    pub message: String,
}

/// The hash of something frozen.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KnownHash {
    /// `Kind namespace/name`.
    pub object: String,
    /// What is hashed.
    pub of: &'static str,
    /// The digest; none where it covers identifiers that only the real world gives.
    pub digest: Option<Digest>,
}

/// Plays the manifests through until nothing moves any more.
///
/// # Errors
/// [`SimulateError`]; a manifest that is refused is part of the result.
pub async fn simulate(folder: &Folder, clock: Arc<dyn Clock>) -> Result<Simulation, SimulateError> {
    let mut plan = play(folder, &clock, FIRST_SERIES).await?;
    // A digest that other identifiers change covers some, and cannot be known before the real ones are given.
    let other = play(folder, &clock, SECOND_SERIES).await?;
    for call in &mut plan.calls {
        let same = |known: &&PlannedCall| (&known.request, known.step, &known.name) == (&call.request, call.step, &call.name);
        let again = other.calls.iter().find(same).and_then(|known| known.input.as_ref());
        call.input = call.input.take().filter(|input| again == Some(input));
    }
    for hash in &mut plan.hashes {
        let again = other.hashes.iter().find(|known| (&known.object, known.of) == (&hash.object, hash.of));
        hash.digest = hash.digest.take().filter(|digest| again.is_some_and(|known| known.digest.as_ref() == Some(digest)));
    }
    Ok(plan)
}

/// First identifiers of the two plays, so far apart that they share none.
const FIRST_SERIES: u64 = 1;
const SECOND_SERIES: u64 = 1 << 32;

async fn play(folder: &Folder, clock: &Arc<dyn Clock>, series: u64) -> Result<Simulation, SimulateError> {
    let templates = match folder.sandboxes.as_slice() {
        [] => None,
        [only] => Some(only.clone()),
        [one, other, ..] => return Err(SimulateError::TwoSandboxes(one.clone(), other.clone())),
    };
    let with_templates = templates.is_some();
    let ids: Arc<dyn Identifiers> = Arc::new(Counted(AtomicU64::new(series)));
    let memory = embedded::open(Arc::clone(clock), Arc::clone(&ids), None)?;
    let sandbox = Sandbox::open(SandboxOptions { templates, ..SandboxOptions::new(Arc::clone(clock), ids) })?;
    let adapters = Adapters::new(Arc::new(InProcess::new(sandbox.router())), Arc::new(SandboxKeys), Arc::clone(clock));
    let systems = Arc::new(Simulated { adapters, with_templates, noted: Mutex::default() });
    let (setup, _) = embedded::setup(&memory, Arc::clone(&systems) as Arc<dyn Backends>, Arc::clone(clock), |world| world);
    let mut pending: Vec<&Document> = folder.documents.iter().collect();
    // A namespace takes content only once it exists.
    pending.sort_by_key(|document| document.object.resource != &NAMESPACE);
    let mut refused;
    loop {
        let before = pending.len();
        (pending, refused) = apply(&memory, pending).await;
        settle(setup.clone()).await?;
        if pending.is_empty() || pending.len() == before {
            break;
        }
    }
    let noted = systems.noted.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut problems = folder.problems.clone();
    problems.extend(refused);
    Ok(told(&memory.snapshot(), folder, problems, &noted, with_templates))
}

/// Creates what can be created. Returns what cannot, and why.
async fn apply<'a>(memory: &Memory, documents: Vec<&'a Document>) -> (Vec<&'a Document>, Vec<Problem>) {
    let (mut left, mut problems) = (Vec::new(), Vec::new());
    let options = WriteOptions { field_validation: FieldValidation::Strict, dry_run: false };
    for document in documents {
        let who = submitter(&document.object);
        if let Err(error) = memory.create(&who, document.object.clone(), options).await {
            left.push(document);
            problems.extend(validate::refused(document, error));
        }
    }
    (left, problems)
}

/// Whoever the manifest says acts; for everything else whoever applies manifests.
fn submitter(object: &Object) -> Identity {
    let by_person = object.resource == &DEPLOYMENT || object.resource == &DECISION;
    match pointer::text(&object.body, "/spec/operator") {
        Some(operator) if by_person && pointer::text(&object.body, "/spec/via") == Some("Direct") => {
            Identity { username: operator.to_owned(), groups: vec![OPERATORS.to_owned()] }
        }
        Some(_) | None => Identity::loader(),
    }
}

/// Runs the loop until nothing moves. Everything is applied before it starts, so nothing can be under way unseen.
async fn settle(setup: Setup) -> Result<(), SimulateError> {
    let operator = Operator::new(setup);
    let mut load = operator.load();
    let mut settled = false;
    let ran = operator
        .run(async {
            let settling = load.wait_for(|load| load.is_settled(HORIZON));
            settled = tokio::time::timeout(DEADLINE, settling).await.is_ok_and(|load| load.is_ok());
        })
        .await;
    // A world in memory goes forward only, so an operator that ended by itself has not settled either.
    if settled && ran.is_ok() { Ok(()) } else { Err(SimulateError::Unsettled) }
}

/// Identifiers that are counted, and spread as random ones are.
struct Counted(AtomicU64);

impl Identifiers for Counted {
    fn uuid(&self) -> Uuid {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        Uuid::new_v5(&Uuid::NAMESPACE_OID, &number.to_be_bytes())
    }
}

/// The simulated systems' own keys. No secret of the manifests is used.
struct SandboxKeys;

#[async_trait]
impl Secrets for SandboxKeys {
    async fn secret(&self, provider: &str, key: &SecretKey) -> Result<SecretValue, SecretError> {
        let known = [("n8n", N8N_KEY), ("vapi", VAPI_KEY), ("calcom", CALCOM_KEY), ("crm", CRM_KEY)];
        let found = known.iter().find(|(system, _)| *system == key.name);
        found.map(|(_, key)| SecretValue((*key).to_owned())).ok_or_else(|| SecretError::Missing(format!("no key for {provider}")))
    }
}

/// What was asked of the simulated systems.
#[derive(Debug, Clone)]
struct Noted {
    input: Digest,
    class: CallClass,
}

/// The simulated systems in place of the providers, whatever their address is.
struct Simulated {
    adapters: Adapters,
    with_templates: bool,
    noted: Mutex<BTreeMap<IdempotencyKey, Noted>>,
}

#[async_trait]
impl Backends for Simulated {
    async fn perform(&self, call: &KeyedCall) -> Outcome {
        let noted = Noted { input: call.input.clone(), class: call.call.class() };
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).insert(call.key.clone(), noted);
        if !self.with_templates && matches!(call.call, Call::ReadTemplate { .. }) {
            let message = "there is no sandbox folder with templates beside the manifests, so nothing after this can be played".to_owned();
            return Outcome::NoEffect { fault: Fault { code: "NotSimulated", message }, retry_after: Some(LATER) };
        }
        let system = match call.provider.provider_type {
            ProviderType::N8n => "n8n",
            ProviderType::Vapi => "vapi",
            ProviderType::Calcom => "calcom",
            ProviderType::Http if call.provider.base_url.ends_with("/crm") => "crm",
            // Nothing is known of another API than that it gives an identifier.
            ProviderType::Http => {
                let evidence = Evidence { external_id: Some(call.key.mark().to_owned()), ..Evidence::default() };
                return Outcome::Done(evidence);
            }
        };
        let mut call = call.clone();
        call.provider.base_url = format!("http://sandbox.invalid/{system}");
        call.provider.secret = Some(SecretKey { name: system.to_owned(), key: String::new() });
        call.provider.per_minute = 0;
        self.adapters.perform(&call).await
    }
}

/// The result, from everything that is there at the end.
fn told(
    world: &Snapshot,
    folder: &Folder,
    refused: Vec<Problem>,
    noted: &BTreeMap<IdempotencyKey, Noted>,
    with_templates: bool,
) -> Simulation {
    let mut objects: Vec<&Object> = world.objects.iter().map(AsRef::as_ref).collect();
    objects.sort_by_key(|object| object.key());
    let given: std::collections::BTreeSet<ObjectKey> = folder.documents.iter().map(|document| document.object.key()).collect();
    let created = objects.iter().filter(|object| !given.contains(&object.key())).filter_map(|object| created(object, &objects)).collect();
    let requests: Vec<ProvisioningRequest> =
        objects.iter().filter(|object| object.resource == &REQUEST).filter_map(|object| object.parse().ok()).collect();
    Simulation {
        refused,
        created,
        calls: requests.iter().flat_map(|request| calls(request, noted)).collect(),
        objects: objects.iter().filter_map(|object| standing(object)).collect(),
        hashes: objects.iter().flat_map(|object| hashes(object)).collect(),
        with_templates,
    }
}

fn created(object: &Object, all: &[&Object]) -> Option<Created> {
    let uid = object.label(OWNER_UID)?;
    let owner = all.iter().find(|owner| owner.uid() == uid)?;
    Some(Created {
        kind: object.resource.kind.to_owned(),
        namespace: object.namespace().to_owned(),
        name: object.name().replace(uid, "<uid>"),
        owner: owner.key().to_string(),
    })
}

fn calls(request: &ProvisioningRequest, noted: &BTreeMap<IdempotencyKey, Noted>) -> Vec<PlannedCall> {
    let metadata = &request.metadata;
    let name = format!("{}/{}", metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default());
    let steps = request.status.iter().flat_map(|status| &status.journal.steps);
    let all = steps.flat_map(|step| step.calls.iter().map(|call| (step.step, call)));
    let planned = |(step, call): (Step, &CallEntry)| {
        let Noted { input, class } = noted.get(&call.key)?.clone();
        Some(PlannedCall {
            request: name.clone(),
            step,
            name: call.name.clone(),
            operation: call.operation.clone(),
            provider: call.provider.clone(),
            class,
            input: Some(input),
            outcome: outcome(call),
        })
    };
    all.filter_map(planned).collect()
}

fn outcome(call: &CallEntry) -> String {
    match (&call.failure, &call.waits) {
        (Some(failure), _) => failure.code.to_string(),
        (None, _) if call.result.is_some() => "Done".to_owned(),
        (None, Some(waits)) => waits.code.clone(),
        (None, None) => "Open".to_owned(),
    }
}

fn standing(object: &Object) -> Option<Standing> {
    let conditions = object.body.pointer("/status/conditions")?;
    let conditions: Vec<Condition> = serde_json::from_value(conditions.clone()).ok()?;
    let ready = conditions.iter().find(|condition| condition.kind == READY)?;
    Some(Standing {
        object: object.key().to_string(),
        ready: ready.status,
        stalled: conditions.iter().any(|condition| condition.kind == STALLED && condition.status == Truth::True),
        reason: ready.reason.clone(),
        message: ready.message.clone(),
    })
}

fn hashes(object: &Object) -> Vec<KnownHash> {
    let known = |of, digest: Option<Digest>| KnownHash { object: object.key().to_string(), of, digest };
    let stated = |place: &str| pointer::text(&object.body, place).and_then(|text| text.parse::<Digest>().ok());
    if object.resource == &SCHEMA {
        return vec![known("spec", stated("/status/digest"))];
    }
    if object.resource == &REQUEST {
        let spec = object.parse::<ProvisioningRequest>().ok().and_then(|request| request.spec.digest().ok());
        return vec![known("spec", spec), known("evidence", stated("/status/decision/hash"))];
    }
    Vec::new()
}
