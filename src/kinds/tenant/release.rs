//! How a tenant goes: never before what its namespace holds is on record elsewhere.
//!
//! ```text
//! deletion asked for -> nothing outside is anybody's -> Release decided on -> TenantReleased recorded, in the system namespace
//!   -> decision in the journal -> label off the namespace -> the decision says Accepted -> finalizer off
//! ```
//!
//! A crash between any two is found by what the former left: the record names its decision, the journal the same. A chain
//! that grew after it was recorded is recorded again before the label comes off. Whatever is appended at that very instant
//! by another pass puts the label back, and is released by a Tenant made anew. The namespace itself is never deleted here.

use serde_json::json;

use super::api::{Tenant, TenantJournal};
use super::facts::{Facts, Leaving};
use super::{children, evidence};
use crate::engine::decision::{Child, Finalizer};
use crate::engine::kind::Around;
use crate::kinds::decisions;
use crate::model::canonical;
use crate::model::condition::Summary;
use crate::model::decision::{Offer, Stand};
use crate::model::finding::Finding;
use crate::model::journal::TakenDecision;
use crate::model::record::RecordDraft;

/// Event of the records that hold what was released.
pub const RELEASED: &str = "TenantReleased";
/// Event of the record of the first of four eyes.
const PROPOSED: &str = "TenantReleaseProposed";
/// Chains in one record: with the longest names they stay below the limit of an entry, 64 KiB.
const CHAINS_PER_RECORD: usize = 64;

/// What shall be for a tenant that is being deleted.
pub struct Departure {
    /// Where it stands.
    pub summary: Summary,
    /// What a person may decide now.
    pub offer: Option<Offer>,
    /// Decisions taken, this moment's included.
    pub journal: TenantJournal,
    /// What has to be on record before the label comes off.
    pub records: Vec<RecordDraft>,
    /// What lives in the namespace; the namespace's label, once it comes off.
    pub children: Vec<Child>,
    /// Whether it is held.
    pub finalizer: Finalizer,
    /// Whether there is more to do as soon as this is written.
    pub again: bool,
}

/// How it goes.
pub fn departure(tenant: &Tenant, facts: &Facts, leaving: &Leaving, around: &Around<'_>) -> Departure {
    let journal = tenant.status.as_ref().map(|status| status.journal.clone()).unwrap_or_default();
    let namespace = facts.namespace.as_ref().filter(|namespace| namespace.consents_to == tenant.metadata.name && !namespace.going);
    let labelled = namespace.is_some_and(|namespace| namespace.holds_records);
    match journal.release(tenant.spec.four_eyes) {
        Some(release) if labelled => unlabel(tenant, facts, &journal, release),
        Some(release) => last_steps(leaving, &journal, release),
        None if labelled || (namespace.is_some() && !leaving.chains.is_empty()) => held(tenant, facts, leaving, around, journal),
        None => {
            let message = format!("Namespace {} holds no records of the tenant; it goes now", tenant.namespace_name());
            Departure::of(Summary::Progressing(Finding::waiting("Deleting", message)), journal, Finalizer::Absent)
        }
    }
}

impl Departure {
    fn of(summary: Summary, journal: TenantJournal, finalizer: Finalizer) -> Self {
        Self { summary, offer: None, journal, records: Vec::new(), children: Vec::new(), finalizer, again: false }
    }
}

/// Records live in the namespace, and nobody has decided yet, or just now.
fn held(tenant: &Tenant, facts: &Facts, leaving: &Leaving, around: &Around<'_>, mut journal: TenantJournal) -> Departure {
    let staying =
        |summary, journal| Departure { children: children::inside(tenant), ..Departure::of(summary, journal, Finalizer::Present) };
    let (name, space) = (tenant.metadata.name.as_deref().unwrap_or_default(), tenant.namespace_name());
    if let Some(broken) = &around.chain.broken {
        let message = format!(
            "deletion waits: the tenant's own audit chain does not verify: {broken}; run mandate verify on an export and compare with a backup"
        );
        return staying(Summary::Stalled(Finding::error("ChainBroken", message)), journal);
    }
    if !leaving.outside.is_empty() {
        let requests = leaving.outside.join(", ");
        let message = format!(
            "deletion waits: resources outside are left by ProvisioningRequest {requests}: decide on each in namespace {space}, rollback or release"
        );
        return staying(Summary::Awaiting(Finding::waiting("StillOutside", message)), journal);
    }
    let offer = evidence::offer(tenant, facts);
    let submitter = journal.proposal().map(|taken| taken.operator.clone());
    let four_eyes = tenant.spec.four_eyes;
    let stand = Stand {
        offer: offer.as_ref(),
        submitter: submitter.as_deref().unwrap_or_default(),
        four_eyes: four_eyes && submitter.is_some(),
        now: around.now,
    };
    let taken = recorded(leaving, &journal, around)
        .or_else(|| decisions::first_passing(&leaving.decisions, &journal.decisions, &stand, around.now));
    let Some(taken) = taken else {
        let who = submitter.map_or_else(
            || "an operator decides".to_owned(),
            |first| format!("{first} proposed their release; the tenant demands four eyes, and another operator decides"),
        );
        let message = format!(
            "deletion waits: Namespace {space} holds {} audit {}, and {who} that they may go: mandate decide release tenant/{name}",
            leaving.chains.len(),
            if leaving.chains.len() == 1 { "chain" } else { "chains" },
        );
        return Departure { offer, ..staying(Summary::Awaiting(Finding::waiting("AwaitingDecision", message)), journal) };
    };
    if four_eyes && submitter.is_none() {
        let records = decisions::record(&taken).map(|record| RecordDraft { event: PROPOSED, ..record });
        let message = format!("{} proposed the release: another operator decides on it too", taken.operator);
        journal.decisions.push(taken);
        let summary = Summary::Awaiting(Finding::waiting("AwaitingDecision", message));
        return Departure { records: records.into_iter().collect(), again: true, ..staying(summary, journal) };
    }
    let records = records(tenant, facts, &taken);
    let summary = released(&taken);
    journal.decisions.push(taken);
    Departure { records, again: true, ..staying(summary, journal) }
}

/// A decision that is on record already although the journal does not hold it: the record is the truth, whatever has
/// changed since.
fn recorded(leaving: &Leaving, journal: &TenantJournal, around: &Around<'_>) -> Option<TakenDecision> {
    let is_ours = |event: &str| event == RELEASED || event == PROPOSED;
    let entry_of = |uid: &str| around.chain.entries.iter().find(|entry| is_ours(&entry.event) && entry.payload["decisionUid"] == uid);
    let taken = |uid: Option<&String>| journal.decisions.iter().any(|before| Some(&before.uid) == uid);
    let mut new = leaving.decisions.iter().filter(|decision| !taken(decision.metadata.uid.as_ref()));
    new.find_map(|decision| Some(decisions::taken_at(decision, entry_of(decision.metadata.uid.as_deref()?)?.time)))
}

/// The label comes off once everything is on record.
fn unlabel(tenant: &Tenant, facts: &Facts, journal: &TenantJournal, release: &TakenDecision) -> Departure {
    Departure {
        records: records(tenant, facts, release),
        children: children::unlabelled(tenant, facts).into_iter().collect(),
        again: true,
        ..Departure::of(released(release), journal.clone(), Finalizer::Present)
    }
}

/// Nothing holds the namespace. The decision reads its fate from this tenant, which therefore outlives the judgement.
fn last_steps(leaving: &Leaving, journal: &TenantJournal, release: &TakenDecision) -> Departure {
    let own = leaving.decisions.iter().find(|decision| decision.metadata.uid.as_ref() == Some(&release.uid));
    let judged = own.is_none_or(|decision| decision.status.as_ref().is_some_and(|status| status.verdict.is_some()));
    let finalizer = if judged { Finalizer::Absent } else { Finalizer::Present };
    Departure::of(released(release), journal.clone(), finalizer)
}

fn released(release: &TakenDecision) -> Summary {
    let message = format!("released by {}: the namespace may be deleted, and the tenant goes now", release.operator);
    Summary::Progressing(Finding::waiting("Released", message))
}

/// Every chain head as it stands now, in as many records as it takes. The evidence is part of what identifies them: a chain
/// that grew since makes new ones.
fn records(tenant: &Tenant, facts: &Facts, release: &TakenDecision) -> Vec<RecordDraft> {
    let Some(evidence) = evidence::document(tenant, facts).map(|document| document.digest()) else { return Vec::new() };
    let heads: Vec<_> = facts.leaving.iter().flat_map(|leaving| &leaving.chains).map(evidence::head).collect();
    let parts = heads.len().div_ceil(CHAINS_PER_RECORD).max(1);
    let draft = |part: usize| {
        let chains: Vec<_> = heads.iter().skip((part - 1) * CHAINS_PER_RECORD).take(CHAINS_PER_RECORD).collect();
        let identity = json!({"decisionUid": release.uid, "act": release.act, "evidence": evidence, "part": part});
        let mut payload = json!({
            "decision": release.name, "decisionUid": release.uid, "act": release.act, "via": release.via, "decidedOn": release.hash,
            "evidence": evidence, "namespace": evidence::namespace(tenant, facts), "part": part, "parts": parts, "chains": chains,
        });
        if let Some(note) = &release.note {
            payload["note"] = note.as_str().into();
        }
        let cause = canonical::own(&identity).ok()?.digest();
        Some(RecordDraft { event: RELEASED, cause, actor: release.operator.clone(), payload })
    };
    (1..=parts).filter_map(draft).collect()
}
