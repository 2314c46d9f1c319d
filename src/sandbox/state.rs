//! What the simulated systems hold: one collection per vendor, changed only together with the effect log.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use uuid::Uuid;

use crate::engine::port::Identifiers;

use super::calcom::Hook;
use super::crm::Subscription;
use super::faults::Flaws;
use super::log::{Draft, Entry, Log, LogError, Operation, Vendor};
use super::n8n::Workflows;
use super::vapi::Assistant;

/// A resource that has an id.
pub(super) trait Resource {
    /// Server-made id, unique within its vendor.
    fn id(&self) -> &str;
}

/// Resources of one kind in the order they were created, found by id.
#[derive(Debug, Clone)]
pub(super) struct Collection<T> {
    items: BTreeMap<u64, Slot<T>>,
    places: HashMap<String, u64>,
    next: u64,
}

#[derive(Debug, Clone)]
struct Slot<T> {
    item: T,
    visible_from: Timestamp,
}

impl<T> Default for Collection<T> {
    fn default() -> Self {
        Self { items: BTreeMap::new(), places: HashMap::new(), next: 0 }
    }
}

impl<T: Resource> Collection<T> {
    /// Puts a new resource last, or replaces the one of the same id in its place. Reads see a new one from `visible_from` on.
    pub(super) fn put(&mut self, item: T, visible_from: Timestamp) {
        if let Some(slot) = self.places.get(item.id()).and_then(|place| self.items.get_mut(place)) {
            slot.item = item;
            return;
        }
        self.places.insert(item.id().to_owned(), self.next);
        self.items.insert(self.next, Slot { item, visible_from });
        self.next += 1;
    }

    /// Takes a resource away.
    pub(super) fn remove(&mut self, id: &str) -> Option<T> {
        let place = self.places.remove(id)?;
        self.items.remove(&place).map(|slot| slot.item)
    }

    /// The resource as writes see it: at once.
    pub(super) fn get(&self, id: &str) -> Option<&T> {
        self.places.get(id).and_then(|place| self.items.get(place)).map(|slot| &slot.item)
    }

    /// The resource as reads see it at `now`.
    pub(super) fn read(&self, id: &str, now: Timestamp) -> Option<&T> {
        let slot = self.places.get(id).and_then(|place| self.items.get(place))?;
        (slot.visible_from <= now).then_some(&slot.item)
    }

    /// All resources as reads see them at `now`, oldest first.
    pub(super) fn list(&self, now: Timestamp) -> impl DoubleEndedIterator<Item = &T> {
        self.items.values().filter(move |slot| slot.visible_from <= now).map(|slot| &slot.item)
    }

    /// As [`Collection::list`], after a place, each resource with its own place: a position that later deletes do not shift.
    pub(super) fn list_after(&self, place: Option<u64>, now: Timestamp) -> impl Iterator<Item = (u64, &T)> {
        let first = place.map_or(0, |place| place.saturating_add(1));
        self.items.range(first..).filter(move |(_, slot)| slot.visible_from <= now).map(|(place, slot)| (*place, &slot.item))
    }

    /// All resources as writes see them, oldest first.
    pub(super) fn all(&self) -> impl Iterator<Item = &T> {
        self.items.values().map(|slot| &slot.item)
    }
}

/// Everything the sandbox remembers.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) log: Log,
    pub(super) workflows: Workflows,
    pub(super) assistants: Collection<Assistant>,
    pub(super) hooks: Collection<Hook>,
    pub(super) subscriptions: Collection<Subscription>,
}

impl State {
    /// The same, kept in memory alone.
    pub(super) fn fork(&self) -> Self {
        Self {
            log: self.log.fork(),
            workflows: self.workflows.clone(),
            assistants: self.assistants.clone(),
            hooks: self.hooks.clone(),
            subscriptions: self.subscriptions.clone(),
        }
    }

    /// Applies one line of the log.
    pub(super) fn fold(&mut self, entry: &Entry) -> Result<(), String> {
        let Some(effect) = entry.effects.first() else { return Err(String::from("no effect")) };
        match &entry.resource {
            None => match effect.vendor {
                Vendor::N8n => self.workflows.remove(&effect.id),
                Vendor::Vapi => drop(self.assistants.remove(&effect.id)),
                Vendor::Calcom => drop(self.hooks.remove(&effect.id)),
                Vendor::Crm => drop(self.subscriptions.remove(&effect.id)),
            },
            Some(resource) => self.restore(effect.vendor, resource, &effect.digest)?,
        }
        Ok(())
    }

    fn restore(&mut self, vendor: Vendor, resource: &Value, digest: &str) -> Result<(), String> {
        let always = Timestamp::MIN;
        match vendor {
            Vendor::N8n => self.workflows.restore(resource, digest)?,
            Vendor::Vapi => self.assistants.put(Assistant::restored(resource)?, always),
            Vendor::Calcom => self.hooks.put(parsed(resource)?, always),
            Vendor::Crm => self.subscriptions.put(parsed(resource)?, always),
        }
        Ok(())
    }
}

fn parsed<T: serde::de::DeserializeOwned>(resource: &Value) -> Result<T, String> {
    serde_json::from_value(resource.clone()).map_err(|error| error.to_string())
}

/// What answering one request may use.
pub(super) struct Context<'a> {
    pub(super) state: &'a mut State,
    pub(super) ids: &'a dyn Identifiers,
    /// The request's instant, whole milliseconds, as all four vendors write times.
    pub(super) now: Timestamp,
    /// How long reads do not see what this request creates.
    pub(super) hidden_for: SignedDuration,
    /// What goes wrong with the effect of this request.
    pub(super) flaws: Flaws,
}

impl Context<'_> {
    /// A new version 4 UUID.
    pub(super) fn uuid(&self) -> Uuid {
        self.ids.uuid()
    }

    /// From when reads see what this request creates.
    pub(super) fn visible_from(&self) -> Timestamp {
        if self.hidden_for.is_zero() { Timestamp::MIN } else { self.now.saturating_add(self.hidden_for).unwrap_or(Timestamp::MAX) }
    }

    /// Logs one effect with the resource it leaves behind; call before changing a collection, and change nothing on an error.
    pub(super) fn record(&mut self, effect: Draft, resource: Option<&str>) -> Result<(), LogError> {
        self.record_all(vec![effect], resource)
    }

    /// As [`Context::record`], for an effect with consequences.
    pub(super) fn record_all(&mut self, effects: Vec<Draft>, resource: Option<&str>) -> Result<(), LogError> {
        debug_assert_eq!(resource.is_none(), effects.first().is_some_and(|effect| effect.operation == Operation::Delete));
        self.state.log.append(self.now, effects, resource)
    }
}

/// `2026-01-31T09:00:00.000Z`, as all four vendors write times.
pub(super) fn written(at: Timestamp) -> String {
    format!("{at:.3}")
}
