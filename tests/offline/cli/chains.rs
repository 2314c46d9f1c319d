//! Audit chains proven from an export, and every way to tamper with one.

use mandate::kinds::auditrecord::api::AuditRecordSpec;
use mandate::model::canonical::Digest;
use mandate::model::record::{ChainHead, RecordDraft, Subject, entry_text, read_entry, record_name};
use mandate::model::time::Time;
use mandate::offline::verify::verify;
use mandate::offline::yaml;
use serde_json::{Value, json};

const EVENTS: [&str; 3] = ["ProvisioningInitiated", "ProvisioningFailed", "ProvisioningRejected"];

/// Records as kubectl prints them, and the request they are about.
fn export() -> Vec<Value> {
    let subject = Subject {
        kind: "ProvisioningRequest".into(),
        namespace: "acme-dental".into(),
        name: "receptionist-1".into(),
        uid: "6f2c1de5-0000-4000-8000-000000000001".into(),
    };
    let mut objects = Vec::new();
    let mut head: Option<ChainHead> = None;
    for event in EVENTS {
        let draft =
            RecordDraft { event, cause: Digest::of_bytes(event.as_bytes()), actor: "ana@clinic.example".into(), payload: json!({"n": 1}) };
        let time = Time::new(jiff::Timestamp::from_second(1_700_000_000).unwrap());
        let text = entry_text(&subject, head.as_ref(), time, &draft).unwrap();
        let hash = text.digest();
        let sequence = head.as_ref().map_or(1, |head| head.length + 1);
        let entry = read_entry(sequence, text.as_str(), hash.as_str()).unwrap();
        objects.push(json!({
            "apiVersion": "mandate.dev/v1alpha1", "kind": "AuditRecord",
            "metadata": {"name": record_name(&subject, sequence), "namespace": "acme-dental", "uid": format!("r{sequence}")},
            "spec": AuditRecordSpec::holding(&entry, text.into_string(), hash.clone()),
        }));
        head = Some(ChainHead { length: sequence, head: hash });
    }
    objects.push(json!({
        "apiVersion": "mandate.dev/v1alpha1", "kind": "ProvisioningRequest",
        "metadata": {"name": subject.name, "namespace": subject.namespace, "uid": subject.uid},
        "status": {"chain": head},
    }));
    objects
}

fn list(objects: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()
}

/// What is wrong with an export first; empty when it verifies.
fn broken(objects: &[Value]) -> String {
    let reports = verify(&yaml::read(&list(objects)).unwrap());
    reports.into_iter().find_map(|report| report.broken).unwrap_or_default()
}

#[test]
fn an_export_verifies_in_any_order_and_form() {
    let mut objects = export();
    objects.reverse();
    assert_eq!(broken(&objects), "");
    let twice: Vec<Value> = objects.iter().chain(&objects).cloned().collect();
    assert_eq!(broken(&twice), "");
    let answer = json!({"apiVersion": "mandate.dev/v1alpha1", "kind": "AuditRecordList", "items": export()[..3]}).to_string();
    let reports = verify(&yaml::read(&answer).unwrap());
    assert_eq!((reports[0].entries, reports[0].broken.as_deref()), (3, None), "a list as the API answers it");
    let documents: Vec<String> = objects.iter().map(|object| serde_yaml::to_string(object).unwrap()).collect();
    let output = super::mandate(&["verify", "-"], &documents.join("---\n"));
    let said = super::said(&output);
    let head = objects[0]["status"]["chain"]["head"].as_str().unwrap();
    assert_eq!(said, format!("ProvisioningRequest acme-dental/receptionist-1: 3 entries, head {head}: ok\n"));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn an_export_may_be_longer_than_any_object() {
    let many: Vec<Value> = (0..800)
        .flat_map(|number| {
            let mut objects = export();
            let uid = format!("6f2c1de5-0000-4000-8000-{number:012}");
            objects.iter_mut().for_each(|object| object["spec"]["subject"]["uid"] = json!(uid));
            objects.truncate(3);
            objects
        })
        .collect();
    let text = list(&many);
    assert!(text.len() > mandate::model::limits::MAX_OBJECT_BYTES);
    let reports = verify(&yaml::read(&text).unwrap());
    assert_eq!(reports.len(), 800);
    assert_eq!(reports.iter().filter(|report| report.broken.is_some()).count(), 799, "all but the one whose column is true");
}

#[test]
fn one_changed_byte_exits_with_1_and_names_the_record() {
    let text = list(&export()).replacen("ProvisioningFailed", "ProvisioningFaileD", 1);
    let output = super::mandate(&["verify", "-"], &text);
    assert_eq!(output.status.code(), Some(1));
    let name = "AuditRecord provisioningrequest-6f2c1de5-0000-4000-8000-000000000001-2";
    assert!(super::said(&output).contains(&format!("BROKEN: {name}: entry 2: its text hashes to ")), "{}", super::said(&output));
}

#[test]
fn an_export_without_records_proves_nothing() {
    let output = super::mandate(&["verify", "-"], "kind: Namespace\napiVersion: v1\nmetadata: {name: a}\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no AuditRecord"), "{output:?}");
}

#[test]
fn every_column_says_what_the_entry_says() {
    for (place, forged) in [
        ("/metadata/name", json!("provisioningrequest-x-2")),
        ("/metadata/namespace", json!("elsewhere")),
        ("/spec/event", json!("ProvisioningVerified")),
        ("/spec/actor", json!("eve@clinic.example")),
        ("/spec/time", json!("2020-01-01T00:00:00Z")),
        ("/spec/subject/name", json!("receptionist-2")),
        ("/spec/subject/kind", json!("Tenant")),
    ] {
        let mut objects = export();
        *objects[1].pointer_mut(place).unwrap() = forged.clone();
        let said = broken(&objects);
        let field = place.trim_start_matches('/').replace('/', ".");
        assert!(said.contains(&format!("{field} is {forged} but the entry says ")), "{place}: {said}");
    }
}

#[test]
fn a_record_taken_out_moved_or_put_in_is_seen() {
    let cut = |index: usize| {
        let mut objects = export();
        objects.remove(index);
        broken(&objects)
    };
    assert!(cut(0).contains("expected entry 1, found entry 2"), "{}", cut(0));
    assert!(cut(1).contains("expected entry 2, found entry 3"), "{}", cut(1));
    assert!(cut(2).contains("record 3 is missing: status.chain of the subject counts 3, the export holds 2"), "{}", cut(2));
    let mut uncounted = export();
    uncounted[3]["status"]["chain"] = json!({"length": 2, "head": uncounted[1]["spec"]["hash"]});
    assert!(broken(&uncounted).contains("record 3 is not counted"), "{}", broken(&uncounted));
    let mut renumbered = export();
    renumbered[2]["spec"]["sequence"] = json!(4);
    assert!(broken(&renumbered).contains("spec.sequence is \"4\" but the entry says \"3\""), "{}", broken(&renumbered));
}

#[test]
fn a_subject_without_its_records_and_records_without_their_subject_are_told_apart() {
    let objects = export();
    assert!(broken(&objects[3..]).contains("record 1 is missing"), "{}", broken(&objects[3..]));
    let reports = verify(&yaml::read(&list(&objects[..2])).unwrap());
    assert_eq!((reports[0].entries, reports[0].compared, reports[0].broken.as_deref()), (2, false, None));
    let output = super::mandate(&["verify", "-"], &list(&objects[..2]));
    assert!(super::said(&output).contains("a tail that was cut off would not show"), "{}", super::said(&output));
}

#[test]
fn a_record_prints_its_entry_and_hashes_to_its_own_hash() {
    let record = export().remove(0);
    let output = super::mandate(&["canonical", "-"], &record.to_string());
    assert_eq!(super::said(&output), record["spec"]["entry"].as_str().unwrap());
    let output = super::mandate(&["hash", "-"], &record.to_string());
    assert_eq!(super::said(&output).trim_end(), record["spec"]["hash"].as_str().unwrap());
}
