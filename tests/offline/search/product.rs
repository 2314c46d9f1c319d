//! Both tenants at once: every pair of states of their sides that the shared bounds allow. No unit of one side reads or writes
//! anything of the other (each was watched for that), so a move of one leaves the other where it is.

use super::graph::Graph;
use super::state::Spent;

/// What was found.
pub struct Pairs {
    pub states: usize,
    pub transitions: usize,
    pub depth: usize,
}

struct Seen {
    bits: Vec<u64>,
    width: usize,
}

impl Seen {
    /// Whether the pair is new.
    fn add(&mut self, (one, other): (u32, u32)) -> bool {
        let at = one as usize * self.width + other as usize;
        let (word, bit) = (at / 64, 1_u64 << (at % 64));
        let new = self.bits[word] & bit == 0;
        self.bits[word] |= bit;
        new
    }
}

/// All pairs with no more than this many faults and meddlings in all.
pub fn pairs(one: &Graph, other: &Graph, faults: u8, meddling: u8) -> Pairs {
    let allowed = |one: Spent, other: Spent| one.faults + other.faults <= faults && one.meddling + other.meddling <= meddling;
    let mut seen = Seen { bits: vec![0; one.states.len() * other.states.len() / 64 + 1], width: other.states.len() };
    let mut found = Pairs { states: 0, transitions: 0, depth: 0 };
    let mut level = vec![(0_u32, 0_u32)];
    seen.add((0, 0));
    while !level.is_empty() {
        found.states += level.len();
        let mut next = Vec::new();
        for (a, b) in level {
            let of_one = one.next[a as usize].iter().map(|to| (*to, b));
            let of_other = other.next[b as usize].iter().map(|to| (a, *to));
            for pair in of_one.chain(of_other) {
                if allowed(one.states[pair.0 as usize].spent, other.states[pair.1 as usize].spent) {
                    found.transitions += 1;
                    if seen.add(pair) {
                        next.push(pair);
                    }
                }
            }
        }
        found.depth += usize::from(!next.is_empty());
        level = next;
    }
    found
}
