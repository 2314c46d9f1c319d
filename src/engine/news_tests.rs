use serde_json::json;

use super::*;
use crate::model::record::{BrokenLink, ChainHead, RecordDraft, Subject, entry_text, read_entry};
use crate::model::resource::{Resource, ours};

static THING: Resource = ours("Thing", "things", true);
const TELLS: &[Telling] = &[
    Telling { condition: "Ready", reason: "AwaitingVerification", topic: Topic::AwaitingVerification, proof: Proof::Offer },
    Telling { condition: "Ready", reason: "Failed", topic: Topic::Failed, proof: Proof::Record("ThingFailed") },
    Telling { condition: "UpToDate", reason: "Propagated", topic: Topic::Propagated, proof: Proof::Record("ThingPropagated") },
];

fn hash(digit: char) -> String {
    format!("sha256:{}", digit.to_string().repeat(64))
}

/// A thing whose status says this of these conditions, with this many entries in its chain.
fn thing(said: &[(&str, &str)], entries: usize) -> Object {
    let mut object = Object::named(&THING, "acme", "x");
    object.set_metadata("uid", "7f".into());
    let conditions: Vec<Value> =
        said.iter().map(|(kind, reason)| json!({"type": kind, "status": "False", "reason": reason, "message": "said"})).collect();
    object.body["status"] = json!({"conditions": conditions, "decision": {"hash": hash('a')}});
    if entries > 0 {
        object.body["status"]["chain"] = json!({"length": entries, "head": hash('c')});
    }
    object
}

/// A chain of these events.
fn chain(events: &[&'static str]) -> Chain {
    let subject = Subject { kind: "Thing".into(), namespace: "acme".into(), name: "x".into(), uid: "7f".into() };
    let mut chain = Chain::default();
    for event in events {
        let cause = Digest::of_bytes(event.as_bytes());
        let payload = json!({"remediation": ["mend it"]});
        let draft = RecordDraft { event, cause, actor: "mandate".into(), payload };
        let time = Time::new("2026-01-01T00:00:00Z".parse().unwrap());
        let text = entry_text(&subject, chain.head.as_ref(), time, &draft).unwrap();
        let place = u32::try_from(chain.entries.len()).unwrap() + 1;
        chain.entries.push(read_entry(place, text.as_str(), text.digest().as_str()).unwrap());
        chain.head = Some(ChainHead { length: place, head: text.digest() });
    }
    chain
}

fn broken() -> Chain {
    Chain { broken: Some(BrokenLink::Sequence { expected: 1, found: 2 }), ..Chain::default() }
}

fn topics(notices: &[Notice]) -> Vec<Topic> {
    notices.iter().map(|notice| notice.topic).collect()
}

#[test]
fn only_what_becomes_so_is_news() {
    let (failing, nothing) = (chain(&["ThingBegan", "ThingFailed"]), thing(&[("Ready", "Provisioning")], 1));
    let failed = thing(&[("Ready", "Failed")], 2);
    let told = news(TELLS, &nothing, &failed, &failing, &[]);
    assert_eq!(topics(&told), [Topic::Failed]);
    assert_eq!(Some(told[0].cause.digest()), failing.head.as_ref().map(|head| &head.head), "the record that says it");
    assert_eq!(told[0].remediation, ["mend it"]);
    assert_eq!(news(TELLS, &failed, &failed, &failing, &[]), []);
    assert_eq!(news(TELLS, &failed, &nothing, &failing, &[]), []);
}

#[test]
fn a_later_record_changes_nothing_of_what_was_told() {
    let failed = thing(&[("Ready", "Failed")], 1);
    let noted = thing(&[("Ready", "Failed")], 2);
    let longer = chain(&["ThingFailed", "Intervened"]);
    assert_eq!(news(TELLS, &failed, &noted, &longer, &[]), []);
    let again = lasting(TELLS, &noted, &longer);
    assert_eq!(again[0].cause, Cause::Known(longer.entries[1].previous.clone().unwrap()));
}

#[test]
fn the_next_record_of_the_same_event_is_told_though_the_words_are_the_same() {
    let (first, second) = (thing(&[("UpToDate", "Propagated")], 1), thing(&[("UpToDate", "Propagated")], 2));
    let twice = chain(&["ThingPropagated", "ThingPropagated"]);
    assert_eq!(topics(&news(TELLS, &first, &second, &twice, &[])), [Topic::Propagated]);
}

#[test]
fn a_condition_that_goes_and_comes_back_is_told_once() {
    let (failed, elsewhere) = (thing(&[("Ready", "Failed")], 1), thing(&[("Ready", "AwaitingDecision")], 1));
    let known = chain(&["ThingFailed"]);
    assert_eq!(news(TELLS, &failed, &elsewhere, &known, &[]), []);
    assert_eq!(news(TELLS, &elsewhere, &failed, &known, &[]), []);
    assert_eq!(topics(&lasting(TELLS, &failed, &known)), [Topic::Failed], "it stands all the same");
}

#[test]
fn a_reason_without_its_record_tells_nothing() {
    let fresh = thing(&[("UpToDate", "Propagated")], 1);
    assert_eq!(news(TELLS, &thing(&[], 0), &fresh, &chain(&["ThingBegan"]), &[]), []);
}

#[test]
fn two_conditions_tell_two_things() {
    let both = thing(&[("Ready", "Failed"), ("UpToDate", "Propagated")], 2);
    let told = news(TELLS, &thing(&[], 0), &both, &chain(&["ThingFailed", "ThingPropagated"]), &[]);
    assert_eq!(topics(&told), [Topic::Failed, Topic::Propagated]);
}

#[test]
fn an_offer_of_other_evidence_is_told_anew() {
    let waiting = thing(&[("Ready", "AwaitingVerification")], 0);
    let mut moved = waiting.clone();
    moved.body["status"]["decision"]["hash"] = hash('b').into();
    let told = news(TELLS, &waiting, &moved, &Chain::default(), &[]);
    assert_eq!(told[0].cause.digest().as_str(), hash('b'));
    assert_eq!(news(TELLS, &waiting, &waiting, &Chain::default(), &[]), []);
}

#[test]
fn a_broken_chain_keeps_no_outcome_from_being_told_once() {
    let failed = thing(&[("Ready", "Failed")], 0);
    let told = news(TELLS, &thing(&[("Ready", "Provisioning")], 0), &failed, &broken(), &[]);
    assert_eq!(topics(&told), [Topic::Failed]);
    assert_eq!(news(TELLS, &failed, &failed, &broken(), &[]), []);
    assert_eq!(lasting(TELLS, &failed, &broken()), [], "nothing is told again that has no lasting identity");
}

#[test]
fn the_time_of_an_offer_is_that_of_the_last_thing_done() {
    let mut waiting = thing(&[("Ready", "AwaitingVerification")], 0);
    waiting.body["status"]["journal"] = json!({"steps": [
        {"doneAt": "2026-01-01T00:00:05Z", "calls": [{"intendedAt": "2026-01-01T00:00:09Z"}]},
        {"doneAt": "2026-01-01T00:00:07Z"},
    ]});
    let told = lasting(TELLS, &waiting, &Chain::default());
    assert_eq!(told[0].time.map(|time| time.to_string()).as_deref(), Some("2026-01-01T00:00:07Z"));
}

/// The process died between the record and its status; the next one wrote what it intended, then did it again.
#[test]
fn a_record_that_is_older_than_the_status_before_is_news_with_the_first_that_accounts_for_it() {
    let known = chain(&["ThingBegan", "ThingFailed"]);
    let (intending, failed) = (thing(&[("Ready", "Provisioning")], 2), thing(&[("Ready", "Failed")], 2));
    let [began, drafted] = ["ThingBegan", "ThingFailed"].map(|event| RecordDraft {
        event,
        cause: Digest::of_bytes(event.as_bytes()),
        actor: "mandate".into(),
        payload: json!({}),
    });
    assert_eq!(topics(&news(TELLS, &intending, &failed, &known, &[drafted])), [Topic::Failed]);
    assert_eq!(news(TELLS, &intending, &failed, &known, &[began]), [], "what was accounted for came and went");
}
