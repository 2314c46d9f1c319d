//! What a journey does outside, said without any of Mandate's code: groups in their order, the effects of a group in any.

use std::collections::BTreeSet;

use super::Scenario;
use super::journey::Journey;
use super::trace::Trace;

type Group = Vec<String>;

/// The clinic's workflows. Each has two webhooks.
const WORKFLOWS: [&str; 2] = ["booking", "intake"];

/// What an attempt has outside: which workflows were made, given their paths, activated; and what else.
#[derive(Clone, Copy)]
struct Parts {
    cloned: &'static [&'static str],
    updated: &'static [&'static str],
    active: &'static [&'static str],
    crm: bool,
    calcom: bool,
    assistant: bool,
}

const ALL: Parts = Parts { cloned: &WORKFLOWS, updated: &WORKFLOWS, active: &WORKFLOWS, ..INTEGRATED };
const INTEGRATED: Parts = Parts { crm: true, calcom: true, assistant: true, ..NONE };
const NONE: Parts = Parts { cloned: &[], updated: &[], active: &[], crm: false, calcom: false, assistant: false };
const WITHOUT_ASSISTANT: Parts = Parts { assistant: false, ..ALL };

/// How far an attempt comes: calls of the step that fails succeed, later steps do not begin. Where a reply is struck, a call
/// beside the one that fails may wait when the attempt ends.
fn reached(scenario: Scenario) -> Vec<Parts> {
    let cloned = Parts { cloned: &WORKFLOWS, ..NONE };
    let updated = |names| Parts { updated: names, ..cloned };
    let waits = scenario.strike.is_some();
    let (whole, also) = match scenario.failing.name {
        "person:clone" => (NONE, vec![]),
        "person:webhooks" => (cloned, vec![]),
        "person:activate" => (updated(&WORKFLOWS), vec![updated(&["booking"]), updated(&["intake"])]),
        "person:crm" => (Parts { crm: false, ..WITHOUT_ASSISTANT }, vec![Parts { crm: false, calcom: false, ..WITHOUT_ASSISTANT }]),
        "person:calcom" => (Parts { calcom: false, ..WITHOUT_ASSISTANT }, vec![Parts { crm: false, calcom: false, ..WITHOUT_ASSISTANT }]),
        "person:vapi" => (WITHOUT_ASSISTANT, vec![]),
        _ => (ALL, vec![]),
    };
    [whole].into_iter().chain(also.into_iter().filter(|_| waits)).collect()
}

fn n8n<'a>(operation: &'a str, names: &'a [&str]) -> impl Iterator<Item = String> + 'a {
    names.iter().map(move |name| format!("N8n {operation} {name}"))
}

fn hooks(operation: &str, of: &[&str]) -> Vec<String> {
    vec![format!("N8n {operation}"); of.len() * 2]
}

fn when(is: bool, line: &str) -> Option<String> {
    is.then(|| line.to_owned())
}

/// Steps 2 to 5.
fn made(parts: Parts, failing: &str) -> Vec<Group> {
    let mut clones: Group = n8n("Create", parts.cloned).collect();
    let mut webhooks: Group = n8n("Update", parts.updated).chain(n8n("Activate", parts.active)).collect();
    webhooks.extend(hooks("RegisterWebhook", parts.active));
    let integrations = when(parts.crm, "Crm Create").into_iter().chain(when(parts.calcom, "Calcom Create")).collect();
    let mut voice: Group = when(parts.assistant, "Vapi Create").into_iter().collect();
    match failing {
        "repair:clone" => clones.extend(["N8n Delete intake".into(), "N8n Create intake".into()]),
        "repair:activate" => webhooks.extend(["N8n Deactivate intake".into(), "N8n Activate intake".into()]),
        "repair:server" => voice.push("Vapi Update".into()),
        _ => {}
    }
    vec![clones, webhooks, integrations, voice]
}

/// The same parts taken away, the last first.
fn removed(parts: Parts) -> Vec<Group> {
    let integrations = when(parts.crm, "Crm Delete").into_iter().chain(when(parts.calcom, "Calcom Delete")).collect();
    let workflows = n8n("Delete", parts.cloned).chain(hooks("UnregisterWebhook", parts.active)).collect();
    vec![when(parts.assistant, "Vapi Delete").into_iter().collect(), integrations, workflows]
}

/// What fails in the end. A process that dies moves the struck reply to another request: that may be the one with the flaw,
/// which then has no effect to mend.
fn fails(scenario: Scenario) -> Vec<&'static str> {
    let moved = scenario.strike.is_some() && scenario.crash.is_some() && scenario.failing.is_mended();
    [scenario.failing.name].into_iter().chain(moved.then_some("none")).collect()
}

/// The effects of a journey. What a person sees to is done once they have, and nothing that was done is done again.
fn effects(scenario: Scenario, failing: &str, reached: Parts) -> Vec<Group> {
    match scenario.journey {
        Journey::Provision => made(reached, failing),
        Journey::Retry if failing.starts_with("person:") && !failing.starts_with("person:remove") => {
            [removed(WITHOUT_ASSISTANT), made(reached, failing), removed(reached), made(ALL, "none")].concat()
        }
        Journey::Retry => [removed(WITHOUT_ASSISTANT), made(ALL, failing)].concat(),
        Journey::Rollback => removed(ALL),
        Journey::Cutover => {
            let switched: Group = vec!["Crm Update".into(), "Calcom Update".into()];
            [vec![switched.clone(), switched], removed(ALL)].concat()
        }
        Journey::Propagate => vec![n8n("Update", &WORKFLOWS).chain(["Vapi Update".into()]).collect()],
    }
}

/// An effect in the words of the model.
fn worded(effect: &str) -> String {
    let words: Vec<&str> = effect.split(' ').collect();
    let named = words[0] == "N8n" && !words[1].contains("Webhook");
    let name = words.iter().find(|word| named && WORKFLOWS.contains(word));
    [words[0], words[1]].into_iter().chain(name.copied()).collect::<Vec<_>>().join(" ")
}

/// The first difference between what happened and what should have.
fn difference(happened: &[String], expected: &[Group]) -> Option<String> {
    let sorted = |lines: &[String]| {
        let mut lines = lines.to_vec();
        lines.sort();
        lines
    };
    let mut rest = happened;
    for group in expected {
        let (these, those) = rest.split_at(rest.len().min(group.len()));
        if sorted(these) != sorted(group) {
            return Some(format!("{these:?} instead of {group:?}"));
        }
        rest = those;
    }
    (!rest.is_empty()).then(|| format!("{rest:?} beyond the model"))
}

/// Holds what happened against the model, and against what happens when nothing comes between.
pub fn check(scenario: Scenario, trace: &Trace, calm: Option<&Trace>) {
    let mut happened: Vec<String> = trace.effects.iter().map(|effect| worded(effect)).collect();
    let ways = fails(scenario).into_iter().flat_map(|failing| reached(scenario).into_iter().map(move |parts| (failing, parts)));
    let mut expected: Vec<Vec<Group>> = ways.map(|(failing, parts)| effects(scenario, failing, parts)).collect();
    if scenario.failing.is_mended() {
        // Which of two workflows comes first, and has the flaw, is open.
        let nameless = |line: &mut String| *line = line.replace(" booking", "").replace(" intake", "");
        happened.iter_mut().chain(expected.iter_mut().flatten().flatten()).for_each(nameless);
    }
    let differences: Vec<String> = expected.iter().map_while(|expected| difference(&happened, expected)).collect();
    assert!(differences.len() < expected.len(), "{scenario}: {differences:#?}\n{trace}");
    let Some(calm) = calm else { return };
    assert_eq!((&trace.ends, &trace.acts), (&calm.ends, &calm.acts), "{scenario}: {trace}");
    let disturbed = scenario.strike.is_some() && scenario.failing.fault.is_some();
    if disturbed && !scenario.failing.is_mended() {
        // What waits beside a failure is done after the decision on it instead of before, if at all; and two that fail one
        // after the other may be told of one by one.
        let told: BTreeSet<_> = trace.told.iter().collect();
        assert_eq!(told, calm.told.iter().collect(), "{scenario}: {trace}");
    } else if fails(scenario).len() == 1 {
        assert_eq!((&trace.records, &trace.told), (&calm.records, &calm.told), "{scenario}: {trace}");
    }
}
