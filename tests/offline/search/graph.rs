//! Every state of one side within the bounds, breadth first, each unit run once for all states that answer it alike.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use imbl::OrdMap;
use mandate::engine::kind::AnyKind;
use mandate::kinds::KINDS;
use mandate::kinds::operatordecision::api::DECISION;
use mandate::kinds::provisioningrequest::lifecycle::Transition;
use mandate::model::decision::Act;
use mandate::model::object::{Object, ObjectKey};
use serde_json::Value;

use super::checks::{Checks, of_rest};
use super::clinic;
use super::moves::{Bounds, Event, Move, decisions, events, journal, passing, spend};
use super::outside::Flaw;
use super::stage::{Ask, Done, Run, unit};
use super::state::{Kept, Side, Spent};

/// The kinds that pass, ours or broken ones in their place.
pub type Kinds = fn(&str) -> &'static dyn AnyKind;

/// Ours.
pub fn ours(kind: &str) -> &'static dyn AnyKind {
    KINDS.into_iter().find(|known| known.resource().kind == kind).unwrap()
}

/// What a unit did, by the answers that it got: asked in the same order while the answers are the same.
#[derive(Default)]
struct Tree {
    nodes: Vec<Node>,
}

enum Node {
    Ask(Ask, HashMap<u128, usize>),
    Done(Arc<Done>),
}

impl Tree {
    fn find(&self, side: &Side) -> Option<Arc<Done>> {
        let mut at = 0;
        loop {
            match self.nodes.get(at)? {
                Node::Done(done) => return Some(done.clone()),
                Node::Ask(ask, answers) => at = *answers.get(&ask.answer(side))?,
            }
        }
    }

    fn keep(&mut self, side: &Side, done: Arc<Done>) {
        let mut at = 0;
        for ask in &done.asks {
            if at == self.nodes.len() {
                self.nodes.push(Node::Ask(ask.clone(), HashMap::new()));
            }
            let next = self.nodes.len();
            let Some(Node::Ask(known, answers)) = self.nodes.get_mut(at) else { panic!("a unit that has ended asks {ask:?}") };
            assert_eq!(known, ask, "what a unit asks follows from the answers that it got");
            at = *answers.entry(ask.answer(side)).or_insert(next);
        }
        assert_eq!(at, self.nodes.len(), "nothing was known of these answers");
        self.nodes.push(Node::Done(done));
    }
}

/// All states of one side and how they follow from one another.
pub struct Graph {
    pub states: Vec<Reached>,
    pub next: Vec<Vec<u32>>,
    pub transitions: usize,
    pub units: usize,
    pub audited: usize,
    pub resting: usize,
    pub rows: BTreeSet<Transition>,
    /// What is wrong first, with the way to it.
    pub broken: Option<String>,
}

/// A side after units until it rests; nothing goes wrong.
pub fn settled(mut side: Side) -> Side {
    loop {
        let before = side.hash();
        side = passing(&side).iter().fold(side, |side, key| passed(&side, key));
        if side.hash() == before {
            return side;
        }
    }
}

/// A side after one unit; nothing goes wrong.
pub fn passed(side: &Side, key: &ObjectKey) -> Side {
    if !side.objects.contains_key(key) {
        return side.clone();
    }
    let done = unit(side, &clinic::shared(), ours(key.resource.kind), key, Run::Well);
    assert!(done.wrong.is_empty(), "{:?}", done.wrong);
    follow(side, key, &done, 0).unwrap_or_else(|| side.clone())
}

/// A side after a person's decision on the object of this name, settled.
pub fn decided(tenant: &str, side: &Side, subject: &str, act: Act) -> Side {
    let bounds = Bounds { attempts: 3, faults: 0, any_fault: true, meddling: 0, open: 1 };
    let wanted = Move::Decision(subject.to_owned(), act, None);
    let (_, after) = decisions(side, tenant, &bounds).into_iter().find(|(by, _)| *by == wanted).expect("the act is offered");
    settled(after)
}

/// How a state was first reached.
pub struct Reached {
    pub depth: u32,
    pub from: Option<(u32, Move)>,
    pub spent: Spent,
}

impl Graph {
    /// Nothing is wrong anywhere; says how much was looked at.
    pub fn holds(&self, what: &str) {
        if let Some(broken) = &self.broken {
            panic!("{what}:\n{broken}");
        }
        let (states, depth) = (self.states.len(), self.states.iter().map(|reached| reached.depth).max().unwrap());
        let Self { transitions, units, audited, resting, .. } = self;
        println!(
            "{what}: {states} states, {transitions} transitions, depth {depth}; {units} units run, {audited} worlds audited, {resting} at rest"
        );
    }
}

struct Search<'a> {
    tenant: &'a str,
    bounds: Bounds,
    kinds: Kinds,
    shared: OrdMap<ObjectKey, Kept>,
    known: HashMap<(ObjectKey, Run, bool), Tree>,
    checks: Checks,
    units: usize,
}

/// All states of this tenant's side that follow from `start`.
pub fn explore(tenant: &str, start: Side, bounds: Bounds, kinds: Kinds) -> Graph {
    let mut search = Search { tenant, bounds, kinds, shared: clinic::shared(), known: HashMap::new(), checks: Checks::new(), units: 0 };
    let mut graph = Graph {
        states: vec![Reached { depth: 0, from: None, spent: start.spent }],
        next: Vec::new(),
        transitions: 0,
        units: 0,
        audited: 0,
        resting: 0,
        rows: BTreeSet::new(),
        broken: None,
    };
    let mut numbers = HashMap::from([(start.hash(), 0_u32)]);
    let mut frontier = std::collections::VecDeque::from([start]);
    while let Some(side) = frontier.pop_front() {
        let number = u32::try_from(graph.next.len()).unwrap();
        let wrong = search.checks.of_state(&side);
        if !wrong.is_empty() {
            graph.broken = Some(told(&graph, number, None, &wrong));
            break;
        }
        let (moves, rests) = match search.moves(&side) {
            Ok(found) => found,
            Err((by, wrong)) => {
                graph.broken = Some(told(&graph, number, Some(&by), &wrong));
                break;
            }
        };
        let at_rest = if rests { of_rest(&side) } else { Vec::new() };
        if !at_rest.is_empty() {
            graph.broken = Some(told(&graph, number, None, &at_rest));
            break;
        }
        graph.resting += usize::from(rests);
        let mut next = Vec::with_capacity(moves.len());
        for (by, mut after) in moves {
            forget(&side, &mut after);
            graph.transitions += 1;
            let new = u32::try_from(graph.states.len()).unwrap();
            let target = *numbers.entry(after.hash()).or_insert(new);
            if target == new {
                let depth = graph.states[number as usize].depth + 1;
                graph.states.push(Reached { depth, from: Some((number, by)), spent: after.spent });
                frontier.push_back(after);
            }
            next.push(target);
        }
        graph.next.push(next);
    }
    graph.units = search.units;
    graph.audited = search.checks.audited;
    graph.rows = search.checks.rows;
    graph
}

/// The way to a state, and what is wrong there.
fn told(graph: &Graph, number: u32, last: Option<&Move>, wrong: &[String]) -> String {
    let mut way: Vec<String> = last.iter().map(ToString::to_string).collect();
    let mut at = number;
    while let Some((before, by)) = &graph.states[at as usize].from {
        way.push(by.to_string());
        at = *before;
    }
    way.reverse();
    let way: String = way.iter().enumerate().map(|(index, by)| format!("{:3}. {by}\n", index + 1)).collect();
    format!("{way}{}", wrong.join("\n"))
}

type Found = (Vec<(Move, Side)>, bool);

impl Search<'_> {
    /// Everything that can happen to a side, and whether it rests: no pass over it changes anything.
    fn moves(&mut self, side: &Side) -> Result<Found, (Move, Vec<String>)> {
        let mut moves = Vec::new();
        let mut rests = true;
        let keys = passing(side);
        for key in &keys {
            let well = self.unit(side, key, Run::Well)?;
            if let Some(after) = follow(side, key, &well, 0).filter(|_| is_quiet(side, key, &well)) {
                return Ok((vec![(Move::Unit(key.clone(), Run::Well), after)], false));
            }
        }
        for key in keys {
            let well = self.unit(side, &key, Run::Well)?;
            let Some(after) = follow(side, &key, &well, 0) else { continue };
            rests = false;
            moves.push((Move::Unit(key.clone(), Run::Well), after));
            for run in self.runs(side, &well) {
                let done = self.unit(side, &key, run)?;
                let cost = u8::from(!matches!(run, Run::Meanwhile(_)));
                if let Some(mut after) = follow(side, &key, &done, cost) {
                    if let Run::Meanwhile(event) = run {
                        spend(event, &mut after);
                    }
                    moves.push((Move::Unit(key.clone(), run), after));
                }
            }
        }
        moves.extend(events(side, self.tenant, &self.bounds).into_iter().map(|(event, after)| (Move::Event(event), after)));
        moves.extend(decisions(side, self.tenant, &self.bounds));
        Ok((moves, rests))
    }

    /// How else a unit can run that has run well.
    fn runs(&self, side: &Side, well: &Done) -> Vec<Run> {
        let mut runs = Vec::new();
        if side.spent.faults < self.bounds.faults {
            runs.extend((1..=well.crossings).filter(|_| self.bounds.any_fault).map(Run::Dies));
            let flawed = |(number, flaws): (usize, &Vec<Flaw>)| {
                let flaws = flaws.iter().filter(|flaw| self.bounds.any_fault || **flaw == Flaw::Refused);
                flaws.map(move |flaw| Run::Flawed(number, *flaw)).collect::<Vec<_>>()
            };
            runs.extend(well.calls.iter().enumerate().flat_map(flawed));
        }
        if !well.calls.is_empty() {
            let events = events(side, self.tenant, &self.bounds).into_iter();
            runs.extend(events.map(|(event, _)| event).filter(|event| *event == Event::Delete).map(Run::Meanwhile));
        }
        runs
    }

    fn unit(&mut self, side: &Side, key: &ObjectKey, run: Run) -> Result<Arc<Done>, (Move, Vec<String>)> {
        let tree = self.known.entry((key.clone(), run, side.passing.contains(key))).or_default();
        if let Some(done) = tree.find(side) {
            return Ok(done);
        }
        let done = Arc::new(unit(side, &self.shared, (self.kinds)(key.resource.kind), key, run));
        self.units += 1;
        let wrong = self.checks.of_unit(side, key, &done);
        if !wrong.is_empty() {
            return Err((Move::Unit(key.clone(), run), wrong));
        }
        tree.keep(side, done.clone());
        Ok(done)
    }
}

/// Fields of a status that no other object's decision depends on.
const SHOWN: [&str; 6] = ["conditions", "chain", "observedGeneration", "webhooks", "request", "schema"];

/// Whether a unit changes nothing that matters to any other move: it shows what is so already. Such a unit comes first, and
/// alone: in any other order the same states come about, but for what is shown in them.
fn is_quiet(side: &Side, key: &ObjectKey, done: &Done) -> bool {
    let [(written, Some(kept))] = done.writes.as_slice() else { return false };
    let before = &side.objects[key].object;
    let matters = |object: &Object| {
        let mut body = object.body.clone();
        body["metadata"]["resourceVersion"] = Value::Null;
        for shown in SHOWN {
            body["status"][shown] = Value::Null;
        }
        body
    };
    let same = matters(before) == matters(&kept.object);
    let silent = done.outside.is_none() && !done.goes_on && !side.passing.contains(key);
    written == key && silent && (same || is_taken(side, before))
}

/// Whether a decision was acted upon already, and has only to say so.
fn is_taken(side: &Side, decision: &Object) -> bool {
    let subject = |kept: &&Kept| kept.object.uid() == decision.body["spec"]["subject"]["uid"];
    let subject = side.objects.values().find(subject).filter(|_| decision.resource == &DECISION);
    subject.is_some_and(|kept| journal(&kept.object).decisions.iter().any(|taken| taken.uid == decision.uid()))
}

/// A decision that nobody should have made and that was judged is taken away with the move after that, which it was there for.
fn forget(before: &Side, after: &mut Side) {
    let judged = |kept: &&Kept| {
        kept.object.name().ends_with("-2") && ["Void", "Superseded"].map(Value::from).contains(&kept.object.body["status"]["verdict"])
    };
    for kept in before.of_kind("OperatorDecision").filter(judged) {
        after.objects.remove(&kept.object.key());
    }
}

/// The side after a unit; none when nothing has changed.
fn follow(side: &Side, key: &ObjectKey, done: &Done, faults: u8) -> Option<Side> {
    if done.writes.is_empty() && done.outside.is_none() && done.goes_on == side.passing.contains(key) {
        return None;
    }
    let mut after = side.clone();
    for (key, kept) in &done.writes {
        match kept {
            Some(kept) => drop(after.objects.insert(key.clone(), kept.clone())),
            None => drop(after.objects.remove(key)),
        }
    }
    if let Some(outside) = &done.outside {
        after.outside = outside.clone();
    }
    if done.goes_on {
        after.passing.insert(key.clone());
    } else {
        after.passing.remove(key);
    }
    after.spent.faults += faults;
    Some(after)
}
