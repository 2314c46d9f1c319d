//! The work queue: each object at most once, human acts first, tenants in turn, delayed wake-ups.
//!
//! An object that is being worked on is not handed out again; if it is asked for meanwhile, it comes back when its pass
//! ends. A namespace gets at most half of the workers while others wait.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use tokio::time::Instant;

use crate::model::object::ObjectKey;

/// Priorities, most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// An act of a person.
    Human,
    /// Never seen before.
    New,
    /// Everything else.
    Rest,
}

const LANES: [Priority; 3] = [Priority::Human, Priority::New, Priority::Rest];

/// Objects of one priority, by namespace in turn.
#[derive(Debug, Default)]
struct Lane {
    turns: VecDeque<String>,
    waiting: HashMap<String, VecDeque<Arc<ObjectKey>>>,
}

/// The queue.
#[derive(Debug)]
pub struct Queue {
    lanes: BTreeMap<Priority, Lane>,
    queued: HashMap<Arc<ObjectKey>, Priority>,
    /// Under way; with a priority if asked for again meanwhile.
    under_way: HashMap<Arc<ObjectKey>, Option<Priority>>,
    under_way_in: HashMap<String, usize>,
    wakes: BTreeSet<(Instant, Arc<ObjectKey>)>,
    wake_of: HashMap<Arc<ObjectKey>, Instant>,
    workers: usize,
}

impl Queue {
    /// A queue for this many workers.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self {
            lanes: LANES.iter().map(|priority| (*priority, Lane::default())).collect(),
            queued: HashMap::new(),
            under_way: HashMap::new(),
            under_way_in: HashMap::new(),
            wakes: BTreeSet::new(),
            wake_of: HashMap::new(),
            workers: workers.max(1),
        }
    }

    /// Asks for a pass over an object. A more urgent request moves it forward.
    pub fn push(&mut self, key: Arc<ObjectKey>, priority: Priority) {
        if let Some(again) = self.under_way.get_mut(&key) {
            *again = Some(again.map_or(priority, |before| before.min(priority)));
            return;
        }
        if self.queued.get(&key).is_some_and(|present| *present <= priority) {
            return;
        }
        self.queued.insert(key.clone(), priority);
        let lane = self.lanes.entry(priority).or_default();
        let line = lane.waiting.entry(key.namespace.clone()).or_default();
        if line.is_empty() {
            lane.turns.push_back(key.namespace.clone());
        }
        line.push_back(key);
    }

    /// Asks for a pass at an instant; replaces an earlier wish.
    pub fn wake_at(&mut self, key: Arc<ObjectKey>, at: Option<Instant>) {
        if let Some(before) = self.wake_of.remove(&key) {
            self.wakes.remove(&(before, key.clone()));
        }
        if let Some(at) = at {
            self.wake_of.insert(key.clone(), at);
            self.wakes.insert((at, key));
        }
    }

    /// Asks for a pass at this instant at the latest. One that is under way may not have seen why: it is followed by another.
    pub fn wake_by(&mut self, key: Arc<ObjectKey>, at: Instant) {
        if self.under_way.contains_key(&key) {
            self.push(key, Priority::Rest);
        } else if self.wake_of.get(&key).is_none_or(|before| *before > at) {
            self.wake_at(key, Some(at));
        }
    }

    /// The next wake-up.
    #[must_use]
    pub fn next_wake(&self) -> Option<Instant> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// Moves what is due from the wake-ups into the queue.
    pub fn wake_due(&mut self, now: Instant) {
        while self.next_wake().is_some_and(|at| at <= now) {
            let Some((_, key)) = self.wakes.pop_first() else { return };
            self.wake_of.remove(&key);
            self.push(key, Priority::Rest);
        }
    }

    /// The next object to work on. It is under way until [`Queue::done`].
    pub fn pop(&mut self) -> Option<Arc<ObjectKey>> {
        if self.under_way.len() >= self.workers {
            return None;
        }
        let share = self.workers.div_ceil(2);
        for priority in LANES {
            let Some(lane) = self.lanes.get_mut(&priority) else { continue };
            for _ in 0..lane.turns.len() {
                let Some(namespace) = lane.turns.pop_front() else { break };
                if self.under_way_in.get(&namespace).is_some_and(|busy| *busy >= share) {
                    lane.turns.push_back(namespace);
                    continue;
                }
                let found = take(lane, &namespace, |key| self.queued.get(key) == Some(&priority));
                if let Some(key) = found {
                    self.queued.remove(&key);
                    self.under_way.insert(key.clone(), None);
                    *self.under_way_in.entry(namespace).or_default() += 1;
                    return Some(key);
                }
            }
        }
        None
    }

    /// The pass over an object has ended.
    pub fn done(&mut self, key: &Arc<ObjectKey>) {
        if let Some(busy) = self.under_way_in.get_mut(&key.namespace) {
            *busy -= 1;
            if *busy == 0 {
                self.under_way_in.remove(&key.namespace);
            }
        }
        if let Some(Some(again)) = self.under_way.remove(key) {
            self.push(key.clone(), again);
        }
    }

    /// Passes under way.
    #[must_use]
    pub fn busy(&self) -> usize {
        self.under_way.len()
    }

    /// Objects that wait for a worker.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.queued.len()
    }
}

/// Takes the first live entry of a namespace's line and gives the namespace another turn while more wait.
/// Entries that were moved to a more urgent lane are stale and dropped.
fn take(lane: &mut Lane, namespace: &str, live: impl Fn(&Arc<ObjectKey>) -> bool) -> Option<Arc<ObjectKey>> {
    let line = lane.waiting.get_mut(namespace)?;
    let mut found = None;
    while found.is_none() {
        match line.pop_front() {
            Some(key) if live(&key) => found = Some(key),
            Some(_) => {}
            None => break,
        }
    }
    if line.is_empty() {
        lane.waiting.remove(namespace);
    } else {
        lane.turns.push_back(namespace.to_owned());
    }
    found
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::resource::SECRET;

    fn key(namespace: &str, name: &str) -> Arc<ObjectKey> {
        Arc::new(ObjectKey::new(&SECRET, namespace, name))
    }

    fn drain(queue: &mut Queue) -> Vec<String> {
        let mut names = Vec::new();
        while let Some(key) = queue.pop() {
            names.push(format!("{}/{}", key.namespace, key.name));
            queue.done(&key);
        }
        names
    }

    #[test]
    fn an_object_is_handed_out_once_and_comes_back_if_it_was_asked_for_meanwhile() {
        let mut queue = Queue::new(8);
        queue.push(key("a", "1"), Priority::Rest);
        queue.push(key("a", "1"), Priority::Rest);
        let first = queue.pop().unwrap();
        queue.push(key("a", "1"), Priority::Rest);
        assert_eq!(queue.pop(), None);
        queue.done(&first);
        assert_eq!(drain(&mut queue), ["a/1"]);
    }

    #[test]
    fn human_acts_overtake_and_move_what_already_waits() {
        let mut queue = Queue::new(8);
        queue.push(key("a", "rest"), Priority::Rest);
        queue.push(key("a", "new"), Priority::New);
        queue.push(key("a", "asked"), Priority::Rest);
        queue.push(key("a", "asked"), Priority::Human);
        assert_eq!(drain(&mut queue), ["a/asked", "a/new", "a/rest"]);
    }

    #[test]
    fn a_flooding_tenant_waits_its_turn_and_holds_at_most_half_of_the_workers() {
        let mut queue = Queue::new(4);
        (0..100).for_each(|number| queue.push(key("flood", &number.to_string()), Priority::New));
        queue.push(key("quiet", "1"), Priority::New);
        let taken: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|key| key.namespace.clone()).collect();
        assert_eq!(taken, ["flood", "quiet", "flood"]);
    }

    #[test]
    fn the_newest_wake_up_replaces_the_one_before() {
        let mut queue = Queue::new(1);
        let now = Instant::now();
        queue.wake_at(key("a", "1"), Some(now + Duration::from_secs(5)));
        queue.wake_at(key("a", "1"), Some(now + Duration::from_secs(9)));
        queue.wake_due(now + Duration::from_secs(6));
        assert_eq!(queue.pop(), None);
        queue.wake_due(now + Duration::from_secs(9));
        assert_eq!(drain(&mut queue), ["a/1"]);
        assert_eq!(queue.next_wake(), None);
    }

    #[test]
    fn a_wake_up_by_an_instant_never_puts_one_off_and_is_not_lost_by_a_pass_under_way() {
        let (now, mut queue) = (Instant::now(), Queue::new(2));
        let second = std::time::Duration::from_secs(1);
        queue.wake_by(key("a", "x"), now + second);
        queue.wake_by(key("a", "x"), now + second * 2);
        assert_eq!(queue.next_wake(), Some(now + second));
        queue.push(key("a", "y"), Priority::Rest);
        let under_way = queue.pop().unwrap();
        queue.wake_by(under_way.clone(), now + second);
        queue.done(&under_way);
        assert_eq!(queue.pop(), Some(under_way));
    }
}
