use serde_json::json;

use super::*;
use crate::model::resource::ours;
use crate::model::resource::{Resource, SECRET};

static REQUEST: Resource = ours("ProvisioningRequest", "provisioningrequests", true);
static SCHEMA: Resource = ours("ProvisioningSchema", "provisioningschemas", false);

fn notice(message: &str, remediation: &[&str]) -> Notice {
    Notice {
        topic: Topic::Failed,
        about: Regarding {
            api_version: "mandate.dev/v1alpha1".into(),
            key: ObjectKey::new(&REQUEST, "acme-dental", "receptionist-1"),
            uid: "00000000-0000-00c0-0000-000000000011".into(),
        },
        owner: None,
        operator: Some("maria@clinic.example".into()),
        reason: "Failed".into(),
        message: message.into(),
        remediation: remediation.iter().map(|&step| step.to_owned()).collect(),
        cause: Cause::Known(Digest::of_bytes(b"record")),
        time: None,
    }
}

#[test]
fn a_note_holds_what_to_do_whatever_has_to_be_cut_off() {
    let whole = "step: Code: it broke. Remedy: mend it. retry";
    assert_eq!(notice(whole, &["mend it", "retry"]).note(), whole);
    assert_eq!(notice("step 6 of 6: look", &[]).note(), "step 6 of 6: look");
    assert_eq!(notice("it broke", &["mend it"]).note(), "it broke Remedy: mend it");

    let long = format!("{}. Remedy: mend it. re", "x".repeat(MAX_NOTE));
    let note = notice(&long, &["mend it", "retry"]).note();
    assert_eq!(note.len(), MAX_NOTE);
    assert!(note.ends_with("xxx... Remedy: mend it. retry"), "{note}");

    let remedy = "y".repeat(2 * MAX_NOTE);
    let note = notice("it broke", &[&remedy]).note();
    assert!(note.len() <= MAX_NOTE && note.starts_with("Remedy: yyy") && note.ends_with("yyy..."), "{note}");

    let umlauts = notice(&"ü".repeat(MAX_NOTE), &[]).note();
    assert!(umlauts.len() <= MAX_NOTE && umlauts.ends_with("ü..."), "a character is cut off whole: {umlauts}");
}

#[test]
fn the_name_of_an_event_is_that_of_object_topic_and_cause() {
    let first = notice("a", &[]);
    let again = Notice { message: "b".into(), reason: "Rejected".into(), ..first.clone() };
    assert_eq!(first.event_name(), again.event_name(), "words are no part of it");
    assert_eq!(first.event_name(), "receptionist-1.".to_owned() + first.event_name().rsplit('.').next().unwrap());
    let others = [
        Notice { topic: Topic::Completed, ..first.clone() },
        Notice { cause: Cause::Known(Digest::of_bytes(b"another record")), ..first.clone() },
        Notice { about: Regarding { uid: "another".into(), ..first.about.clone() }, ..first.clone() },
    ];
    for other in others {
        assert_ne!(first.event_name(), other.event_name());
    }
    let mut long = first.clone();
    long.about.key.name = format!("{}-.{}", "a".repeat(235), "b".repeat(18));
    assert!(long.event_name().len() <= 253);
    assert!(long.event_name().starts_with(&format!("{}.", "a".repeat(235))), "{}", long.event_name());
}

#[test]
fn an_event_about_an_object_without_namespace_is_where_the_api_server_takes_it() {
    let mut about_schema = notice("a", &[]);
    about_schema.about.key = ObjectKey::new(&SCHEMA, "", "recepcionista-ia-1.0-r1");
    about_schema.operator = None;
    let event = about_schema.event("2026-01-01T00:00:00.000000Z", "p");
    assert_eq!(event.namespace(), "default");
    assert_eq!(event.body["regarding"].get("namespace"), None);
    assert_eq!(event.body["metadata"].get("annotations"), None);
    assert_eq!(about_schema.cloud_event()["source"], "/apis/mandate.dev/v1alpha1/provisioningschemas/recepcionista-ia-1.0-r1");
    assert_eq!(ObjectKey::new(&SECRET, "a", "b").path(), "/api/v1/namespaces/a/secrets/b");
}

#[test]
fn every_topic_has_a_type_of_its_own_that_says_its_version() {
    let types: std::collections::BTreeSet<&str> = Topic::ALL.iter().map(|topic| topic.event_type()).collect();
    assert_eq!(types.len(), Topic::ALL.len());
    assert!(types.iter().all(|name| name.starts_with("dev.mandate.") && name.ends_with(".v1")), "{types:?}");
}

#[test]
fn a_cloud_event_is_the_same_however_often_it_is_made() {
    let event = notice("it broke", &["mend it"]).cloud_event();
    assert_eq!(event, notice("it broke", &["mend it"]).cloud_event());
    assert_eq!(event["data"]["remediation"], json!(["mend it"]));
    assert_eq!(event.get("time"), None, "what has no time of its own gets none");
}
