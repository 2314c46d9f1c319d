use serde_json::{Value, json};

use super::api::{DeploymentCounts, ProvisioningSchema, ProvisioningSchemaStatus};
use super::facts::Facts;
use super::propagation::{Live, Standing, standing};
use super::{decide, propagation, revisions, rules};
use crate::engine::decision::Decision;
use crate::engine::kind::{Around, Chain, Settings};
use crate::kinds::assistantdeployment::api::DEPLOYMENT;
use crate::kinds::operatordecision::api::OperatorDecision;
use crate::model::canonical::{self, Digest};
use crate::model::decision::Act;
use crate::model::finding::Severity;
use crate::model::object::Object;
use crate::model::record::{self, Subject};
use crate::model::time::Time;

fn document(version: &str, revision: u32) -> Value {
    let webhook = json!({"workflow": "intake", "node": "Call events"});
    let request = |method: &str, path: &str, status: u16| json!({"method": method, "path": path, "success": [status]});
    json!({
        "apiVersion": "mandate.dev/v1alpha1", "kind": "ProvisioningSchema",
        "metadata": {"name": format!("recepcionista-ia-{version}-r{revision}"), "uid": format!("uid-{version}-{revision}"), "generation": 1},
        "spec": {
            "constitutionVersion": "1.0", "product": "recepcionista-ia", "version": version, "revision": revision,
            "workflows": [{
                "name": "intake", "templateId": "tPlIntake0000001", "digest": Digest::of_bytes(format!("{revision}").as_bytes()),
                "nodeTypes": ["n8n-nodes-base.webhook"], "webhooks": ["Call events"],
                "substitutions": [{"node": "Greet", "pointer": "/parameters/text", "source": "parameters.greeting"}],
            }],
            "integrations": {
                "crm": {
                    "resource": {
                        "create": request("POST", "/v1/subscriptions", 201), "keyPointer": "/externalId", "idPointer": "/id",
                        "lookup": {"path": "/v1/subscriptions?externalId={key}", "items": "/items", "key": "/externalId"},
                        "enable": request("PATCH", "/v1/subscriptions/{id}", 200), "disable": request("PATCH", "/v1/subscriptions/{id}", 200),
                        "remove": request("DELETE", "/v1/subscriptions/{id}", 200),
                    },
                    "body": "{\"callbackUrl\":\"https://template.example\"}",
                    "substitutions": [{"pointer": "/callbackUrl", "source": "webhooks.intake.Call events"}],
                },
                "calendar": {"triggers": ["BOOKING_CREATED"], "webhook": webhook},
            },
            "voice": {"assistant": "{\"firstMessage\":\"Hola.\"}", "server": webhook},
            "verification": [{"item": "vapi-configuration", "check": "Call."}, {"item": "webhook-accessibility", "check": "POST."}],
        },
    })
}

fn changed(version: &str, revision: u32, change: impl FnOnce(&mut Value)) -> ProvisioningSchema {
    let mut document = document(version, revision);
    change(&mut document["spec"]);
    serde_json::from_value(document).unwrap()
}

fn schema(version: &str, revision: u32) -> ProvisioningSchema {
    changed(version, revision, |_| {})
}

fn said(schema: &ProvisioningSchema, others: &[ProvisioningSchema]) -> Vec<(Severity, &'static str, String)> {
    let each = rules::lint(schema, others).into_iter().map(|linted| linted.finding);
    each.map(|finding| (finding.severity, finding.reason, finding.field.unwrap_or_default())).collect()
}

#[test]
fn what_cannot_be_taken_back_or_switched_on_is_refused_and_what_cannot_be_switched_off_is_told() {
    const CRM: &str = "/spec/integrations/crm/resource";
    type Case = (fn(&mut Value), Option<(Severity, &'static str, String)>);
    let cases: [Case; 8] = [
        (|_| {}, None),
        (|resource| drop(resource.as_object_mut().unwrap().remove("remove")), Some((Severity::Error, "RemovalMissing", CRM.into()))),
        (|resource| resource["remove"]["path"] = json!("/v1/all"), Some((Severity::Error, "RemovalMissing", format!("{CRM}/remove/path")))),
        (|resource| resource["remove"]["path"] = json!("/v1/by-key/{key}"), None),
        (|resource| resource["idPointer"] = json!("id"), Some((Severity::Error, "RemovalMissing", format!("{CRM}/idPointer")))),
        (|resource| drop(resource.as_object_mut().unwrap().remove("lookup")), None),
        (|resource| drop(resource.as_object_mut().unwrap().remove("enable")), Some((Severity::Error, "SwitchIncomplete", CRM.into()))),
        (|resource| drop(resource.as_object_mut().unwrap().remove("disable")), Some((Severity::Info, "SwitchMissing", CRM.into()))),
    ];
    for (change, expected) in cases {
        let schema = changed("1.0", 1, |spec| change(&mut spec["integrations"]["crm"]["resource"]));
        assert_eq!(said(&schema, &[]), expected.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn a_revision_that_live_deployments_cannot_be_brought_to_in_place_is_refused_at_the_field_that_differs() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 9] = [
        (|spec| spec["workflows"][0]["name"] = json!("entry"), "/spec/workflows"),
        (|spec| spec["workflows"][0]["webhooks"] = json!(["Call events", "More"]), "/spec/workflows/0/webhooks"),
        (|spec| spec["integrations"]["crm"]["resource"]["create"]["path"] = json!("/v2"), "/spec/integrations/crm"),
        (|spec| spec["integrations"]["crm"]["body"] = json!("{\"callbackUrl\":\"\",\"more\":1}"), "/spec/integrations/crm"),
        (|spec| spec["integrations"]["calendar"]["triggers"] = json!(["BOOKING_CANCELLED"]), "/spec/integrations/calendar"),
        (
            |spec| spec["workflows"][0]["substitutions"][0]["source"] = json!("parameters.welcome"),
            "/spec/workflows/0/substitutions/0/source",
        ),
        (
            |spec| spec["voice"]["substitutions"] = json!([{"pointer": "/firstMessage", "source": "parameters.welcome"}]),
            "/spec/voice/substitutions/0/source",
        ),
        (
            |spec| spec["workflows"][0]["substitutions"][0]["source"] = json!("credentials.crm.id"),
            "/spec/workflows/0/substitutions/0/source",
        ),
        // One finding for an input, not for each of its places.
        (
            |spec| {
                spec["voice"]["assistant"] = json!("{\"a\":\"\",\"b\":\"\"}");
                spec["voice"]["substitutions"] =
                    json!([{"pointer": "/a", "source": "credentials.crm.id"}, {"pointer": "/b", "source": "credentials.crm.name"}]);
            },
            "/spec/voice/substitutions/0/source",
        ),
    ];
    for (change, field) in cases {
        let next = changed("1.0", 2, |spec| {
            change(spec);
            if spec["workflows"][0]["name"] == "entry" {
                *spec =
                    serde_json::from_str(&spec.to_string().replace("\"intake\"", "\"entry\"").replace("s.intake.", "s.entry.")).unwrap();
            }
        });
        let found: Vec<_> = said(&next, &[schema("1.0", 1)]).into_iter().filter(|(severity, ..)| *severity == Severity::Error).collect();
        assert!(found.iter().all(|(_, reason, _)| *reason == "RevisionNotPropagable"), "{found:?}");
        assert_eq!(found.iter().map(|(.., field)| field.as_str()).next(), Some(field), "{found:?}");
        assert_eq!(said(&next, &[]), [], "alone there is nothing to propagate from");
        assert_eq!(said(&changed("2.0", 2, |_| {}), &[schema("1.0", 1)]), [], "another version is an upgrade");
    }
}

#[test]
fn what_propagation_carries_may_change() {
    type Change = fn(&mut Value);
    let cases: [Change; 5] = [
        |spec| spec["voice"]["assistant"] = json!("{\"firstMessage\":\"Buenas.\"}"),
        |spec| spec["verification"][0]["check"] = json!("Call twice."),
        |spec| drop(spec["workflows"][0].as_object_mut().unwrap().remove("substitutions")),
        |spec| spec["integrations"]["crm"]["body"] = json!("{ \"callbackUrl\": \"https://template.example\" }"),
        |spec| spec["workflows"][0]["templateId"] = json!("other"),
    ];
    for change in cases {
        assert_eq!(said(&changed("1.0", 2, change), &[schema("1.0", 1)]), []);
    }
}

#[test]
fn a_revision_that_brings_nothing_and_a_gap_before_it_are_told_and_refuse_nothing() {
    let same = |revision| changed("1.0", revision, |spec| spec["workflows"][0]["digest"] = json!(Digest::of_bytes(b"1")));
    let told = |reason, field: &str| vec![(Severity::Waiting, reason, field.to_owned())];
    let unchanged = told("RevisionUnchanged", "/spec/revision");
    assert_eq!(said(&same(2), &[schema("1.0", 1)]), unchanged);
    assert!(rules::is_valid(&same(2), &[schema("1.0", 1)]));
    assert_eq!(said(&schema("1.0", 3), &[schema("1.0", 1), schema("1.0", 3)]), told("RevisionGap", "/spec/revision"));
    assert_eq!(said(&schema("1.0", 3), &[schema("1.0", 4)]), [], "what was before the first there is, is nobody's business any more");
    for (version, gap) in [("1.1", false), ("2.0", false), ("1.2", true), ("2.1", true), ("3.0", true), ("0.9", false)] {
        let found = said(&schema(version, 1), &[schema("1.0", 1)]);
        assert_eq!(found, if gap { told("VersionGap", "/spec/version") } else { Vec::new() }, "{version}");
    }
    assert_eq!(said(&schema("1.2", 2), &[schema("1.0", 1), schema("1.2", 1)]), [], "the first revision tells of the gap");
    assert_eq!(said(&schema("1.10", 1), &[schema("1.9", 1)]), [], "versions are numbers, not text");
}

#[test]
fn the_former_revision_is_the_highest_below_that_may_be_used() {
    let broken = changed("1.0", 2, |spec| drop(spec.as_object_mut().unwrap().remove("voice")));
    let elsewhere = changed("1.0", 3, |spec| spec["integrations"]["calendar"]["triggers"] = json!(["BOOKING_CANCELLED"]));
    let all = [schema("1.0", 1), broken, elsewhere.clone(), schema("1.1", 1)];
    let former = |revision| revisions::former(&schema("1.0", revision).spec, &all).map(|former| former.revision);
    assert_eq!((former(1), former(2), former(3), former(4)), (None, Some(1), Some(1), Some(1)));
    assert!(rules::is_valid(&schema("1.0", 4), &all));
    assert!(!rules::is_valid(&elsewhere, &all));
    let is_current = |version, revision| revisions::is_current(&schema(version, revision), &all);
    assert_eq!([is_current("1.0", 1), is_current("1.1", 1), is_current("1.0", 4)], [true, true, true], "nothing above r1 may be used");
    let mut with_next = all.to_vec();
    with_next.push(schema("1.0", 4));
    assert!(!revisions::is_current(&schema("1.0", 1), &with_next));
    with_next[4].metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    assert!(revisions::is_current(&schema("1.0", 1), &with_next), "what is being deleted is current no more");
}

fn at(second: i64) -> Time {
    Time::new(jiff::Timestamp::from_second(second).unwrap())
}

/// A deployment that is live on this schema; `up_to_date` is its condition's status and reason.
fn live(on: &ProvisioningSchema, up_to_date: Option<(&str, &str)>) -> Live {
    let mut object = Object::named(&DEPLOYMENT, "acme-dental", "receptionist");
    object.body["status"]["schema"] = json!({"name": on.metadata.name, "digest": on.spec.digest().unwrap()});
    if let Some((status, reason)) = up_to_date {
        object.body["status"]["conditions"] = json!([
            {"type": "Ready", "status": "False", "reason": "PropagationFailed"}, {"type": "UpToDate", "status": status, "reason": reason},
        ]);
    }
    Live::of(&object).unwrap()
}

#[test]
fn each_live_deployment_of_the_version_is_current_pending_or_failed() {
    let (r1, r2) = (schema("1.0", 1), schema("1.0", 2));
    let forged = changed("1.0", 2, |spec| spec["voice"]["assistant"] = json!("{}"));
    let all = [
        live(&r2, Some(("True", "UpToDate"))),
        live(&r1, Some(("False", "PropagationFailed"))),
        live(&r1, Some(("False", "PropagationPending"))),
        live(&r1, Some(("False", "Suspended"))),
        live(&r1, None),
        live(&forged, None),
        live(&schema("1.1", 1), None),
        live(&schema("1.01", 1), None),
    ];
    assert_eq!(propagation::count(&r2, &all), DeploymentCounts { live: 6, current: 1, pending: 4, failed: 1 });
    assert_eq!(propagation::count(&schema("2.0", 1), &all), DeploymentCounts::default());
    assert_eq!(Live::of(&Object::named(&DEPLOYMENT, "a", "b")), None);
}

#[test]
fn a_propagation_can_be_validated_once_all_are_on_the_current_revision_and_it_follows_another() {
    let (r1, r2, r3) = (schema("1.0", 1), schema("1.0", 2), schema("1.0", 3));
    let counts = |live, current, pending, failed| DeploymentCounts { live, current, pending, failed };
    let all = [r1.clone(), r2.clone()];
    for (schema, others, counts, expected) in [
        (&r2, &all[..], counts(3, 3, 0, 0), Standing::Done),
        (&r2, &all[..], counts(3, 2, 1, 0), Standing::UnderWay),
        (&r2, &all[..], counts(3, 1, 1, 1), Standing::Failing),
        (&r2, &all[..], counts(0, 0, 0, 0), Standing::None),
        (&r1, &all[..1], counts(3, 3, 0, 0), Standing::None),
        (&r2, &[r1.clone(), r2.clone(), r3][..], counts(3, 3, 0, 0), Standing::None),
    ] {
        assert_eq!(standing(schema, others, counts, &[]), expected, "{counts:?}");
    }
    let offer = |standing| propagation::offer(&r2, standing);
    let done = offer(Standing::Done).unwrap();
    assert_eq!(done.acts, [Act::ValidatePropagation]);
    assert_eq!(offer(Standing::Failing).unwrap().acts, []);
    assert_eq!(offer(Standing::UnderWay).unwrap().hash, done.hash);
    assert_eq!((offer(Standing::None), offer(Standing::Validated)), (None, None));
    assert_ne!(propagation::offer(&r1, Standing::Done).unwrap().hash, done.hash);
}

/// A world of schemas and what deployments have live, with a schema that is decided on again and again.
struct Stage {
    schema: ProvisioningSchema,
    facts: Facts,
    chain: Chain,
    writes: usize,
}

impl Stage {
    fn new(schema: ProvisioningSchema, before: ProvisioningSchema, live: Vec<Live>) -> Self {
        let facts = Facts { pinned_by: Vec::new(), others: vec![before, schema.clone()], live, decisions: Vec::new() };
        Self { schema, facts, chain: Chain::default(), writes: 0 }
    }

    fn look(&self, now: Time) -> Decision {
        let settings = Settings::default();
        decide::decide(&self.schema, &self.facts, &Around { now, settings: &settings, chain: &self.chain })
    }

    /// A pass: the records, then the status if it differs.
    fn pass(&mut self, now: Time) -> Decision {
        let mut decision = self.look(now);
        for draft in decision.records.clone() {
            self.append(&draft, now);
            decision = self.look(now);
        }
        let status: ProvisioningSchemaStatus = serde_json::from_value(decision.status.clone()).unwrap();
        if self.schema.status.as_ref() != Some(&status) {
            self.writes += 1;
            self.schema.status = Some(status);
        }
        decision
    }

    fn append(&mut self, draft: &record::RecordDraft, now: Time) {
        if self.chain.entries.iter().any(|entry| entry.event == draft.event && entry.cause == draft.cause) {
            return;
        }
        let uid = self.schema.metadata.uid.clone().unwrap();
        let subject = Subject { kind: "ProvisioningSchema".into(), namespace: String::new(), name: "x".into(), uid };
        let text = record::entry_text(&subject, self.chain.head.as_ref(), now, draft).unwrap();
        let number = u32::try_from(self.chain.entries.len() + 1).unwrap();
        self.chain.entries.push(record::read_entry(number, text.as_str(), text.digest().as_str()).unwrap());
        self.chain.head = Some(record::ChainHead { length: number, head: text.digest() });
    }

    fn status(&self) -> &ProvisioningSchemaStatus {
        self.schema.status.as_ref().unwrap()
    }

    fn condition(&self, kind: &str) -> Option<(String, String)> {
        let found = self.status().conditions.iter().find(|condition| condition.kind == kind)?;
        Some((format!("{:?}", found.status), found.reason.clone()))
    }
}

fn validation(of: &ProvisioningSchema, hash: &Digest, uid: &str) -> OperatorDecision {
    serde_json::from_value(json!({
        "apiVersion": "mandate.dev/v1alpha1", "kind": "OperatorDecision",
        "metadata": {"name": "validatepropagation-1", "namespace": "mandate-system", "uid": uid},
        "spec": {
            "subject": {"kind": "ProvisioningSchema", "name": of.metadata.name, "uid": of.metadata.uid, "hash": hash},
            "act": "ValidatePropagation", "operator": "ben@platform.example", "via": "Relay",
        },
    }))
    .unwrap()
}

/// 40 a second for 25 s: were each move a write, there would be a thousand.
#[test]
fn a_thousand_deployments_that_are_brought_along_cost_a_write_every_ten_seconds_and_one_at_the_end() {
    let (r1, r2) = (schema("1.0", 1), schema("1.0", 2));
    let mut stage = Stage::new(r2.clone(), r1.clone(), vec![live(&r1, None); 1000]);
    stage.pass(at(0));
    assert_eq!(stage.writes, 1);
    let mut wake = None;
    for number in 0..1000 {
        stage.facts.live[number] = live(&r2, None);
        wake = stage.pass(at(i64::try_from(number / 40).unwrap())).wake.or(wake);
    }
    // 25 s: at 10 s, at 20 s, and when the last has come.
    assert_eq!(stage.writes, 4);
    assert_eq!(stage.status().deployments, Some(DeploymentCounts { live: 1000, current: 1000, pending: 0, failed: 0 }));
    assert_eq!(stage.status().decision.as_ref().unwrap().acts, [Act::ValidatePropagation]);
    assert_eq!(stage.pass(at(1000)).wake, None);
    assert_eq!(stage.writes, 4, "a steady state writes nothing");
}

#[test]
fn counts_that_moved_within_ten_seconds_are_written_when_those_are_over() {
    let (r1, r2) = (schema("1.0", 1), schema("1.0", 2));
    let mut stage = Stage::new(r2.clone(), r1.clone(), vec![live(&r1, None); 3]);
    stage.pass(at(100));
    stage.facts.live[0] = live(&r2, None);
    let decision = stage.pass(at(103));
    assert_eq!((decision.wake, stage.writes), (Some(at(110)), 1));
    assert_eq!(stage.status().deployments.unwrap().current, 0, "what is shown is the last census");
    assert_eq!(stage.pass(at(109)).wake, Some(at(110)));
    let decision = stage.pass(at(110));
    assert_eq!((decision.wake, stage.writes, stage.status().deployments.unwrap().current), (None, 2, 1));
    stage.facts.live[1] = live(&r1, Some(("False", "PropagationFailed")));
    stage.pass(at(111));
    assert_eq!((stage.writes, stage.status().deployments.unwrap().failed), (3, 1), "more than counts moved: nobody waits for that");
    assert_eq!(stage.condition("Propagated"), Some(("False".into(), "PropagationIncomplete".into())));
}

#[test]
fn an_operators_validation_is_refused_while_one_failed_and_closes_the_propagation_once_all_are_there() {
    let (r1, r2) = (schema("1.0", 1), schema("1.0", 2));
    let mut stage = Stage::new(r2.clone(), r1.clone(), vec![live(&r2, None), live(&r1, Some(("False", "PropagationFailed")))]);
    stage.pass(at(0));
    let hash = stage.status().decision.clone().unwrap().hash;
    stage.facts.decisions = vec![validation(&r2, &hash, "early")];
    stage.pass(at(1));
    assert_eq!((stage.status().journal.decisions.len(), stage.chain.entries.len()), (0, 0));
    // The decision's own pass has judged it by now: it stays refused.
    stage.facts.decisions[0].status = serde_json::from_value(json!({"verdict": "Void"})).unwrap();
    stage.facts.live[1] = live(&r2, None);
    stage.pass(at(2));
    assert_eq!(stage.condition("Propagated"), Some(("False".into(), "AwaitingValidation".into())));
    stage.facts.decisions.push(validation(&r2, &hash, "later"));
    let writes = stage.writes;
    stage.pass(at(3));
    assert_eq!(stage.writes, writes + 1, "decision, condition and chain head in one write");
    assert_eq!(stage.condition("Propagated"), Some(("True".into(), "PropagationValidated".into())));
    assert_eq!((stage.status().decision.clone(), stage.status().chain.as_ref().unwrap().length), (None, 1));
    let entry = &stage.chain.entries[0];
    assert_eq!((entry.event.as_str(), entry.actor.as_str()), ("PropagationValidated", "ben@platform.example"));
    assert_eq!((entry.payload["decisionUid"].as_str(), entry.payload["evidence"].as_str()), (Some("later"), Some(hash.as_str())));
    stage.pass(at(4));
    assert_eq!((stage.writes, stage.chain.entries.len()), (writes + 1, 1));
}

/// The process dies between the record and the status, and meanwhile a deployment fails.
#[test]
fn a_validation_that_is_on_record_stands_whatever_happened_before_it_reached_the_status() {
    let (r1, r2) = (schema("1.0", 1), schema("1.0", 2));
    let mut stage = Stage::new(r2.clone(), r1.clone(), vec![live(&r2, None)]);
    stage.pass(at(0));
    let hash = stage.status().decision.clone().unwrap().hash;
    stage.facts.decisions = vec![validation(&r2, &hash, "one")];
    let draft = stage.look(at(5)).records.remove(0);
    stage.append(&draft, at(5));
    stage.facts.live.push(live(&r1, Some(("False", "PropagationFailed"))));
    stage.pass(at(9));
    assert_eq!(stage.status().journal.decisions.iter().map(|taken| (taken.uid.as_str(), taken.at)).collect::<Vec<_>>(), [("one", at(5))]);
    assert_eq!(stage.chain.entries.len(), 1);
}

#[test]
fn a_schema_says_whether_it_follows_and_what_refuses_it() {
    let (r1, r3) = (schema("1.0", 1), schema("1.0", 3));
    let mut first = Stage::new(r1.clone(), r1.clone(), Vec::new());
    first.pass(at(0));
    assert_eq!((first.condition("InSequence"), first.condition("Propagated"), first.status().deployments), (None, None, None));
    let mut gap = Stage::new(r3, r1.clone(), Vec::new());
    gap.pass(at(0));
    assert_eq!(gap.condition("InSequence"), Some(("False".into(), "RevisionGap".into())));
    assert_eq!(gap.condition("Ready"), Some(("True".into(), "Valid".into())));
    let other = changed("1.0", 2, |spec| spec["workflows"][0]["webhooks"] = json!(["Call events", "More"]));
    let mut refused = Stage::new(other, r1.clone(), Vec::new());
    refused.pass(at(0));
    assert_eq!(refused.condition("Ready"), Some(("False".into(), "RevisionNotPropagable".into())));
    assert_eq!(refused.condition("Stalled").map(|(status, _)| status), Some("True".into()));
    let mut follows = Stage::new(schema("1.0", 2), r1, Vec::new());
    follows.pass(at(0));
    assert_eq!(follows.condition("InSequence"), Some(("True".into(), "Follows".into())));
}

#[test]
fn the_evidence_of_a_propagation_holds_subject_and_digest_and_nothing_that_moves() {
    let r2 = schema("1.0", 2);
    let text = propagation::document(&r2).unwrap();
    let document = canonical::parse(text.as_str()).unwrap();
    assert_eq!(document["schemaDigest"], json!(r2.spec.digest().unwrap()));
    assert_eq!(document.as_object().unwrap().keys().collect::<Vec<_>>(), ["@type", "schemaDigest", "subject"]);
}
