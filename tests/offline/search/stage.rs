//! One unit of one pass, by the real loop: `engine::step::pass` over a side of the world, up to the status write after its next
//! calls. There it is cut, with the following intents on disk: the next unit goes on as the same pass would. A unit may also
//! die after any of its writes or calls, or meet a flaw in one of its calls, or have its tenant change its mind during them.
//!
//! What a unit asked for is noted, so that its outcome serves for every state in which the answers are the same.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::FutureExt as _;
use futures::stream::BoxStream;
use imbl::OrdMap;
use jiff::Timestamp;
use mandate::engine::kind::{AnyKind, Settings};
use mandate::engine::outcome::Outcome;
use mandate::engine::port::{Backends, Clock, Delta, Feed, Query, Read, Silent, World, WorldError};
use mandate::engine::step::{Doors, pass};
use mandate::kinds::auditrecord::api::RECORD;
use mandate::model::call::KeyedCall;
use mandate::model::object::{Object, ObjectKey};
use mandate::operator::ledger::ObjectLedger;
use serde_json::Value;

use super::moves::Event;
use super::outside::{Flaw, Performing, flaws};
use super::state::{Kept, NOW, Outside, Side, delete, hash128, put, remove};

/// How a unit runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Run {
    /// As it should.
    Well,
    /// It dies after this many writes and calls.
    Dies(usize),
    /// This call meets a flaw.
    Flawed(usize, Flaw),
    /// This happens to its side while its first call is under way.
    Meanwhile(Event),
}

/// What a unit asked its side for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Ask {
    Get(ObjectKey),
    List(Query),
    Outside,
}

impl Ask {
    /// The side's answer, as a hash.
    pub fn answer(&self, side: &Side) -> u128 {
        match self {
            Self::Get(key) => side.objects.get(key).map_or(0, |kept| kept.hash),
            Self::List(query) => {
                let found = side.objects.values().filter(|kept| kept.is_selected(query));
                found.fold(1_u128, |sum, kept| sum.wrapping_add(kept.hash))
            }
            Self::Outside => hash128(&side.outside),
        }
    }
}

/// What a unit did.
#[derive(Default)]
pub struct Done {
    pub asks: Vec<Ask>,
    /// Objects that it wrote, none where one is gone.
    pub writes: Vec<(ObjectKey, Option<Kept>)>,
    /// The outside, if it was touched.
    pub outside: Option<Arc<Outside>>,
    /// Whether the pass goes on by itself.
    pub goes_on: bool,
    /// Writes and calls.
    pub crossings: usize,
    /// Flaws that each of its calls can meet.
    pub calls: Vec<Vec<Flaw>>,
    /// What it must not have done.
    pub wrong: Vec<String>,
}

struct Inner {
    objects: OrdMap<ObjectKey, Kept>,
    outside: Outside,
    done: Done,
    called: bool,
    cut: bool,
    dead: bool,
}

/// The doors of one unit.
pub struct Stage<'a> {
    shared: &'a OrdMap<ObjectKey, Kept>,
    kind: &'a dyn AnyKind,
    passing: &'a ObjectKey,
    /// UID of the passing object.
    uid: String,
    /// Whether the intents on disk are this very pass's.
    goes_on: bool,
    run: Run,
    inner: Mutex<Inner>,
}

/// Runs one unit.
pub fn unit(side: &Side, shared: &OrdMap<ObjectKey, Kept>, kind: &dyn AnyKind, key: &ObjectKey, run: Run) -> Done {
    let object = &side.objects[key].object;
    let inner = Inner {
        objects: side.objects.clone(),
        outside: Outside::clone(&side.outside),
        done: Done::default(),
        called: false,
        cut: false,
        dead: false,
    };
    let stage = Stage {
        shared,
        kind,
        passing: key,
        uid: object.uid().to_owned(),
        goes_on: side.passing.contains(key),
        run,
        inner: Mutex::new(inner),
    };
    let settings = Settings::default();
    let ledger = ObjectLedger { read: &stage, world: &stage, clock: &stage, system_namespace: &settings.system_namespace };
    let doors = Doors { read: &stage, world: &stage, backends: &stage, ledger: &ledger, clock: &stage, notifier: &Silent };
    // Nothing here ever waits but what is dead or cut, and that for good.
    let ended = pass(kind, key, &doors, &settings).now_or_never();
    if let Some(Err(error)) = &ended {
        stage.wrong(format!("the pass over {key} ended with {error}"));
    }
    let inner = stage.inner.into_inner().unwrap();
    let mut done = inner.done;
    for (key, kept) in &inner.objects {
        if side.objects.get(key).is_none_or(|before| before.hash != kept.hash) {
            done.writes.push((key.clone(), Some(kept.clone())));
        }
    }
    let gone = side.objects.keys().filter(|key| !inner.objects.contains_key(*key));
    done.writes.extend(gone.map(|key| (key.clone(), None)));
    done.outside = (inner.outside != *side.outside).then(|| Arc::new(inner.outside));
    done.goes_on = ended.is_none() && !inner.dead;
    done
}

impl Stage<'_> {
    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    fn wrong(&self, what: String) {
        self.inner().done.wrong.push(what);
    }

    fn asks(&self, ask: Ask) {
        let asks = &mut self.inner().done.asks;
        if !asks.contains(&ask) {
            asks.push(ask);
        }
    }

    /// A pass over an object in one namespace reads and writes nothing in another.
    fn stays_inside(&self, key: &ObjectKey, doing: &str) {
        let tenants = key.resource.kind == "Tenant" || key.resource.kind == "Namespace";
        let place = if tenants { &key.name } else { &key.namespace };
        if !place.is_empty() && *place != self.passing.namespace {
            self.wrong(format!("the pass over {} {doing} {key}", self.passing));
        }
    }

    /// Whoever is dead does nothing more, for good.
    async fn alive(&self) {
        let dead = self.inner().dead;
        if dead {
            futures::future::pending::<()>().await;
        }
    }

    /// Something was done: the unit dies if it is to die now.
    async fn crossed(&self) {
        {
            let mut inner = self.inner();
            inner.done.crossings += 1;
            inner.dead = self.run == Run::Dies(inner.done.crossings);
        }
        self.alive().await;
    }

    fn matches(&self, object: &Object) -> Result<(), WorldError> {
        self.stays_inside(&object.key(), "writes");
        let key = object.key();
        let stored = self.inner().objects.get(&key).map(|kept| kept.object.clone());
        let stored = stored.ok_or_else(|| WorldError::NotFound(key.clone()))?;
        if stored.uid() != object.uid() || stored.resource_version() != object.resource_version() {
            return Err(WorldError::Conflict { key, message: "the object has changed".into() });
        }
        Ok(())
    }
}

#[async_trait]
impl Read for Stage<'_> {
    async fn get(&self, key: &ObjectKey) -> Result<Option<Arc<Object>>, WorldError> {
        if let Some(kept) = self.shared.get(key) {
            return Ok(Some(kept.object.clone()));
        }
        self.stays_inside(key, "reads");
        self.asks(Ask::Get(key.clone()));
        Ok(self.inner().objects.get(key).map(|kept| kept.object.clone()))
    }

    async fn list(&self, query: &Query) -> Result<Vec<Arc<Object>>, WorldError> {
        let shared = self.shared.values().filter(|kept| kept.is_selected(query));
        let mut found: Vec<_> = shared.map(|kept| kept.object.clone()).collect();
        if query.resource.namespaced {
            if query.namespace.is_none() && query.related.is_none() {
                self.wrong(format!("the pass over {} lists all {}", self.passing, query.resource.plural));
            }
            self.asks(Ask::List(query.clone()));
            found.extend(self.inner().objects.values().filter(|kept| kept.is_selected(query)).map(|kept| kept.object.clone()));
        }
        Ok(found)
    }
}

#[async_trait]
impl World for Stage<'_> {
    async fn create(&self, object: &Object) -> Result<Arc<Object>, WorldError> {
        self.alive().await;
        let key = object.key();
        self.stays_inside(&key, "creates");
        if self.inner().objects.contains_key(&key) {
            return Err(WorldError::AlreadyExists(key));
        }
        let stored = put(&mut self.inner().objects, object.clone());
        self.crossed().await;
        Ok(stored)
    }

    async fn update(&self, object: &Object) -> Result<Arc<Object>, WorldError> {
        self.alive().await;
        self.matches(object)?;
        let key = object.key();
        let stored = {
            let mut inner = self.inner();
            let before = inner.objects[&key].object.clone();
            if before.body["spec"] != object.body["spec"] {
                inner.done.wrong.push(format!("the spec of {key} is written"));
            }
            let mut object = object.clone();
            object.body["status"] = before.body["status"].clone();
            let stored = put(&mut inner.objects, object);
            if stored.is_going() && stored.finalizers().is_empty() {
                remove(&mut inner.objects, &key);
            }
            stored
        };
        self.crossed().await;
        Ok(stored)
    }

    async fn update_status(&self, object: &Object) -> Result<Arc<Object>, WorldError> {
        self.alive().await;
        self.matches(object)?;
        let stored = {
            let mut inner = self.inner();
            let mut stored = Object::clone(&inner.objects[&object.key()].object);
            stored.body["status"] = object.body["status"].clone();
            stored.body["status"].get_mut("journal").into_iter().for_each(over);
            inner.cut = inner.called;
            put(&mut inner.objects, stored)
        };
        self.crossed().await;
        Ok(stored)
    }

    async fn delete(&self, key: &ObjectKey, _: &str) -> Result<(), WorldError> {
        self.alive().await;
        self.stays_inside(key, "deletes");
        if key.resource == &RECORD {
            self.wrong(format!("{key} is deleted"));
        }
        delete(&mut self.inner().objects, key);
        self.crossed().await;
        Ok(())
    }

    fn watch(&self, _: &Feed) -> BoxStream<'static, Result<Delta, WorldError>> {
        Box::pin(futures::stream::pending())
    }
}

#[async_trait]
impl Backends for Stage<'_> {
    async fn perform(&self, call: &KeyedCall) -> Outcome {
        self.alive().await;
        let cut = self.inner().cut;
        if cut {
            futures::future::pending::<()>().await;
        }
        self.asks(Ask::Outside);
        let outcome = self.performed(call);
        self.crossed().await;
        outcome
    }
}

impl Stage<'_> {
    fn performed(&self, call: &KeyedCall) -> Outcome {
        let mut call = call.clone();
        call.resumed &= !self.goes_on;
        let mut inner = self.inner();
        inner.called = true;
        let number = inner.done.calls.len();
        inner.done.calls.push(flaws(&call.call));
        if let (Run::Meanwhile(event), 0) = (self.run, number) {
            event.happens(&mut inner.objects, &self.passing.namespace);
        }
        let on_disk = inner.objects.get(self.passing).map(|kept| kept.object.clone());
        let intended = on_disk.is_some_and(|object| self.kind.calls(&object).iter().any(|entry| entry.key == call.key && entry.is_open()));
        let mut wrong = Vec::new();
        if !intended {
            wrong.push(format!("{} is sent without its intent on disk", call.name));
        }
        let flaw = match self.run {
            Run::Flawed(at, flaw) if at == number => Some(flaw),
            Run::Well | Run::Dies(_) | Run::Flawed(..) | Run::Meanwhile(_) => None,
        };
        let mut performing =
            Performing { tenant: &self.passing.namespace, of: (&self.passing.name, &self.uid), call: &call, wrong: &mut wrong };
        let outcome = performing.outcome(&mut inner.outside, flaw);
        inner.done.wrong.extend(wrong);
        outcome
    }
}

/// Time stands still, so a wait is over as soon as it is written down.
fn over(journal: &mut Value) {
    match journal {
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == "retryAt" {
                    *value = NOW.into();
                } else {
                    over(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(over),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

impl Clock for Stage<'_> {
    fn now(&self) -> Timestamp {
        NOW.parse().unwrap()
    }
}
