//! The world that fails on purpose.

use std::time::Duration;

use futures::stream::StreamExt;
use mandate::engine::port::{Read, World, WorldError};
use mandate::world::faulty::{CrashPlan, Fault, FaultPoint, Faulty, Point, Verdict};

use super::*;

fn through(memory: &Memory, plan: &Arc<CrashPlan>) -> Faulty {
    Faulty::new(Arc::new(memory.client(Identity::controller(), None)), Arc::clone(plan))
}

/// The process under test: three writes.
async fn three_writes(world: &dyn World) -> Result<(), WorldError> {
    let made = world.create(&widget("a", json!({}))).await?;
    let noted = world.update_status(&edited(&made, |body| body["status"] = json!({"note": "n"}))).await?;
    world.update(&edited(&noted, |body| body["spec"]["size"] = 2.into())).await?;
    Ok(())
}

/// Writes that have happened.
async fn progress(memory: &Memory) -> u64 {
    memory.resource_version() - 2
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_every_moment_leaves_exactly_what_was_written_before_it() {
    let counting = CrashPlan::counting();
    three_writes(&through(&world().await, &counting)).await.unwrap();
    let write = [Point::BeforeWrite, Point::AfterWriteBeforeReply, Point::AfterWrite];
    assert_eq!(counting.points(), [write, write, write].concat());

    for n in 1..=counting.hits() {
        let memory = world().await;
        let plan = CrashPlan::new(FaultPoint::Nth(n), Fault::Crash);
        let process = through(&memory, &plan);
        tokio::select! {
            biased;
            outcome = three_writes(&process) => panic!("the process ended with {outcome:?}"),
            () = plan.crashed() => {}
        }
        let written = u64::try_from((n + 1) / 3).unwrap();
        assert_eq!((plan.hits(), progress(&memory).await), (n, written), "{:?}", plan.points().last());

        let dead = tokio::time::timeout(Duration::from_secs(3600), process.get(&key("a"))).await;
        assert!(dead.is_err(), "a dead process hears nothing more");
        assert_eq!(plan.tick(Point::BeforeCall), Verdict::Crash);
    }
}

#[tokio::test]
async fn a_write_that_is_refused_has_no_effect_and_one_whose_reply_is_lost_has() {
    for (at, written, unknown) in [
        (FaultPoint::Before(1), 0, false),
        (FaultPoint::After(1), 1, true),
        (FaultPoint::Before(2), 1, false),
        (FaultPoint::After(2), 2, true),
        (FaultPoint::Before(3), 2, false),
        (FaultPoint::After(3), 3, true),
    ] {
        let memory = world().await;
        let plan = CrashPlan::new(at, Fault::Fail);
        let error = three_writes(&through(&memory, &plan)).await.unwrap_err();
        let (refused, lost) = (matches!(error, WorldError::Unavailable { .. }), matches!(error, WorldError::Unknown(_)));
        assert_eq!((refused, lost, progress(&memory).await), (!unknown, unknown, written), "{at:?}: {error}");
        assert!(!plan.has_crashed());
    }
}

#[tokio::test]
async fn one_fault_is_one_fault() {
    let memory = world().await;
    let world = through(&memory, &CrashPlan::new(FaultPoint::Before(1), Fault::Fail));
    three_writes(&world).await.unwrap_err();
    three_writes(&world).await.unwrap();
}

#[tokio::test]
async fn reads_are_interrupted_only_when_asked_for() {
    let memory = world().await;
    let plan = CrashPlan::new(FaultPoint::Nth(1), Fault::Fail);
    let world = through(&memory, &plan);
    world.get(&key("a")).await.unwrap();
    assert_eq!(plan.hits(), 0);
    assert!(matches!(world.with_reads().get(&key("a")).await, Err(WorldError::Unavailable { .. })));
    assert_eq!(plan.points(), [Point::BeforeRead]);
}

#[tokio::test(start_paused = true)]
async fn watches_fall_silent_when_the_process_dies() {
    let memory = world().await;
    let plan = CrashPlan::new(FaultPoint::Nth(1), Fault::Crash);
    let world = through(&memory, &plan);
    let mut deltas = world.watch(&whole(&WIDGET));
    assert!(deltas.next().await.is_some());
    assert_eq!(plan.tick(Point::BeforeCall), Verdict::Crash, "another participant is where it dies");
    create(&memory, widget("a", json!({}))).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(3600), deltas.next()).await.is_err());
}
