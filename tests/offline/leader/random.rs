//! Anything may happen to anybody: never two leaders, and always one again.

use mandate::operator::leader::Lost;
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::time::{Instant, sleep};

use super::rig::{Line, Made, Rig, millis, seconds};

#[derive(Debug, Clone, Copy)]
enum Act {
    Kill,
    Stop,
    Leave,
    Halt,
    GoOn,
    Line(Line),
    Delete,
    Touch,
    Start { skew: i64 },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => Just(Act::Kill),
        2 => Just(Act::Stop),
        1 => Just(Act::Leave),
        3 => Just(Act::Halt),
        3 => Just(Act::GoOn),
        2 => Just(Act::Line(Line::Refused)),
        2 => Just(Act::Line(Line::Silent)),
        2 => Just(Act::Line(Line::RepliesLost)),
        1 => Just(Act::Line(Line::NoWatch)),
        4 => Just(Act::Line(Line::Open)),
        1 => Just(Act::Delete),
        1 => Just(Act::Touch),
        3 => (-100_000i64..100_000).prop_map(|skew| Act::Start { skew }),
    ]
}

fn run(delay: u64, seed: u64, acts: Vec<(u64, usize, Act)>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut rig = Rig::new().await;
        for number in 0..3 {
            rig.start_with(Made { delay, skew: 0, seed: seed + number });
        }
        // Whoever takes a deleted lease without having seen it counts from 0.
        let counted = !acts.iter().any(|(_, _, act)| matches!(act, Act::Delete));
        for (after, who, act) in acts {
            watched(&rig, after).await;
            perform(&mut rig, who, act, delay, seed).await;
        }
        for candidate in &rig.candidates {
            candidate.line(Line::Open);
            candidate.go_on();
        }
        rig.start_with(Made { delay, skew: 0, seed });
        watched(&rig, 2_000).await;
        // A lease may have been taken just now by one whose reply was lost, and delays take their part.
        let limit = seconds(15 + 15) + millis(20 * delay);
        rig.until_led_by_another(None, limit).await;
        if counted {
            rig.check_fencing();
        }
    });
}

/// Lets time pass and looks at every moment.
async fn watched(rig: &Rig, milliseconds: u64) {
    let until = Instant::now() + millis(milliseconds);
    while Instant::now() < until {
        assert!(rig.leaders().len() <= 1, "two leaders: {:?}", rig.leaders());
        sleep(millis(20)).await;
    }
}

async fn perform(rig: &mut Rig, who: usize, act: Act, delay: u64, seed: u64) {
    use mandate::engine::port::World;
    let who = who % rig.candidates.len();
    let candidate = &mut rig.candidates[who];
    match act {
        Act::Kill => candidate.kill(),
        Act::Stop => candidate.ask_to_stop(),
        Act::Leave => candidate.ask_to_leave_it(),
        Act::Halt => candidate.halt(),
        Act::GoOn => candidate.go_on(),
        Act::Line(line) => candidate.line(line),
        Act::Start { skew } => drop(rig.start_with(Made { delay, skew, seed: seed ^ 77 })),
        Act::Touch => {
            let Some(lease) = rig.lease().await else { return };
            let mut touched = mandate::model::object::Object::clone(&lease);
            touched.set_metadata("labels", serde_json::json!({"seen": lease.resource_version()}));
            drop(rig.admin().update(&touched).await);
        }
        Act::Delete => {
            // A process that never saw the lease cannot know that it was deleted under a holder: only those who saw it wait.
            watched(rig, 12_000).await;
            let Some(lease) = rig.lease().await else { return };
            drop(rig.admin().delete(&super::rig::lease_key(), lease.uid()).await);
            watched(rig, 16_000).await;
        }
    }
    for candidate in &mut rig.candidates {
        if candidate.alive && candidate.task.is_finished() {
            match candidate.ended().await {
                Ok(()) | Err(Lost::NotRenewed { .. } | Lost::Taken { .. } | Lost::Deleted) => {}
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_at_most_one_leads_and_then_one_leads_again(
        delay in prop_oneof![Just(0u64), 1u64..400, 400u64..3_000],
        seed in any::<u32>(),
        acts in vec((0u64..20_000, any::<usize>(), act()), 1..25),
    ) {
        run(delay, u64::from(seed), acts);
    }
}
