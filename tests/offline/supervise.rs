//! Tasks live and end together, and the end says which and why.

#![allow(clippy::unwrap_used, reason = "clippy permits it in test functions only, not in what they share")]

use std::convert::Infallible;
use std::future::{pending, ready};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mandate::operator::supervise::{Asked, Stage, Supervisor, TaskEnd, Unclean, Why};
use tokio::time::{Instant, sleep};

const GRACE: Duration = Duration::from_secs(10);

type Log = Arc<Mutex<Vec<String>>>;

/// A task that takes a while to stop and writes down how it was asked.
fn obedient(supervisor: &mut Supervisor, stage: Stage, name: &'static str, takes: Duration, log: &Log) {
    let log = log.clone();
    supervisor.spawn(stage, name, move |stop| async move {
        let asked = stop.requested().await;
        sleep(takes).await;
        log.lock().unwrap().push(format!("{name} {asked:?}"));
        Ok::<_, Infallible>(())
    });
}

fn ended(task: &'static str, why: Why) -> Result<(), Unclean> {
    Err(Unclean(vec![TaskEnd { task, why }]))
}

#[tokio::test(start_paused = true)]
async fn a_signal_stops_the_work_before_the_lease_and_the_lease_before_the_rest() {
    let (mut supervisor, log) = (Supervisor::new(GRACE), Log::default());
    obedient(&mut supervisor, Stage::Last, "health", Duration::ZERO, &log);
    obedient(&mut supervisor, Stage::Lease, "election", Duration::from_secs(1), &log);
    obedient(&mut supervisor, Stage::Work, "runner", Duration::from_secs(3), &log);
    obedient(&mut supervisor, Stage::Work, "loader", Duration::from_secs(2), &log);
    let began = Instant::now();
    assert_eq!(supervisor.run(sleep(Duration::from_secs(1))).await, Ok(()));
    assert_eq!(*log.lock().unwrap(), ["loader Orderly", "runner Orderly", "election Orderly", "health Orderly"]);
    assert_eq!(began.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn the_first_task_that_ends_stops_all_and_is_named() {
    for (task, why, text) in [
        (0, Why::Returned, "task odd ended although nobody had asked it to"),
        (1, Why::Failed("no more".into()), "task odd failed: no more"),
        (2, Why::Panicked("out of luck".into()), "task odd panicked: out of luck"),
    ] {
        let (mut supervisor, log) = (Supervisor::new(GRACE), Log::default());
        obedient(&mut supervisor, Stage::Work, "runner", Duration::ZERO, &log);
        obedient(&mut supervisor, Stage::Last, "health", Duration::ZERO, &log);
        supervisor.spawn(Stage::Lease, "odd", move |_| async move {
            sleep(Duration::from_secs(1)).await;
            match task {
                0 => Ok(()),
                1 => Err("no more"),
                _ => panic!("out of luck"),
            }
        });
        let unclean = supervisor.run(pending()).await;
        assert_eq!(unclean, ended("odd", why));
        assert_eq!(unclean.unwrap_err().to_string(), text);
        assert_eq!(*log.lock().unwrap(), ["runner Orderly", "health Orderly"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_does_not_stop_is_cut_off_and_those_after_it_learn_it() {
    /// Says when it is dropped.
    struct Dropped(Log);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.lock().unwrap().push("deaf dropped".into());
        }
    }
    let (mut supervisor, log) = (Supervisor::new(GRACE), Log::default());
    let dropped = Dropped(log.clone());
    supervisor.spawn(Stage::Work, "deaf", move |_| async move {
        let _dropped = dropped;
        pending::<Result<(), Infallible>>().await
    });
    obedient(&mut supervisor, Stage::Lease, "election", Duration::ZERO, &log);
    let began = Instant::now();
    assert_eq!(supervisor.run(ready(())).await, ended("deaf", Why::CutOff));
    assert_eq!(began.elapsed(), GRACE);
    assert_eq!(*log.lock().unwrap(), ["deaf dropped", "election AfterCut"], "asked only when nothing runs any more");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_fails_while_stopping_makes_the_end_unclean() {
    let mut supervisor = Supervisor::new(GRACE);
    supervisor.spawn(Stage::Work, "runner", |stop| async move {
        assert_eq!(stop.requested().await, Asked::Orderly);
        Err::<(), _>("could not finish")
    });
    assert_eq!(supervisor.run(ready(())).await, ended("runner", Why::Failed("could not finish".into())));
}
