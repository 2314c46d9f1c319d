//! Runs every kind's invariants over a whole world (design section 7).

use std::sync::Arc;

use crate::model::object::Object;

/// One invariant: its number and sentence, and the objects that break it.
#[derive(Clone, Copy)]
pub struct Invariant {
    /// Number in design section 7.
    pub number: u8,
    /// What must hold.
    pub holds: &'static str,
    /// What breaks it in this world, one line each.
    pub broken: fn(&Snapshot) -> Vec<String>,
}

/// Every object of a world at one instant.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// All objects.
    pub objects: Vec<Arc<Object>>,
}

impl Snapshot {
    /// Objects of one kind, by kind name.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Arc<Object>> {
        self.objects.iter().filter(move |object| object.resource.kind == kind)
    }
}

/// All violations, each with the number of its invariant.
#[must_use]
pub fn violations(invariants: &[Invariant], world: &Snapshot) -> Vec<String> {
    let lines = |invariant: &Invariant| {
        let (number, holds) = (invariant.number, invariant.holds);
        (invariant.broken)(world).into_iter().map(move |line| format!("invariant {number} ({holds}): {line}"))
    };
    invariants.iter().flat_map(lines).collect()
}
