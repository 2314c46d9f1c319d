//! kill -9 at any moment costs nothing but time: no effect is lost, none happens twice.

use std::collections::BTreeMap;
use std::time::Duration;

use mandate::engine::audit::violations;
use mandate::kinds;
use mandate::sandbox::{Fault, FaultRule};
use tokio::time::Instant;

use super::rig::{Clinic, complaint, until};

/// One exchange: half of it before the effect, half after.
const LATENCY: Duration = Duration::from_millis(160);
/// Nothing more comes when no exchange has begun for so long.
const QUIET: Duration = Duration::from_millis(1500);
/// How long after an exchange has begun to kill: before its effect, after its effect, after its reply.
const MOMENTS: [u64; 7] = [30, 100, 165, 130, 5, 70, 155];
/// Exchanges before the first kill of a clinic, in turn: so that late positions are met as often as early ones.
const HEAD_STARTS: [u64; 4] = [1, 11, 6, 15];
const LANES: usize = 4;
/// Of one lane, before its request waits for a person.
const EARLY_KILLS: usize = 12;
const KILLS: usize = 14;

/// What a kill left behind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    state: String,
    /// Requests with an effect outside.
    commits: usize,
    /// Calls with a result in the journal.
    results: usize,
}

impl Position {
    fn of(clinic: &Clinic) -> Self {
        let world = clinic.stored();
        let broken = violations(&kinds::invariants(), &world);
        assert!(broken.is_empty(), "{broken:#?}");
        let request = world.of_kind("ProvisioningRequest").next();
        let status = request.map(|request| &request.body["status"]);
        let state = status.map_or("no request", |status| status["state"].as_str().unwrap_or("no state")).to_owned();
        let steps = status.and_then(|status| status["journal"]["steps"].as_array()).into_iter().flatten();
        let calls = steps.filter_map(|step| step["calls"].as_array()).flatten();
        let results = calls.filter(|call| call["result"].is_object()).count();
        Self { state, commits: clinic.effect_log().matches('\n').count(), results }
    }

    fn is_early(&self) -> bool {
        !["MANUAL_VERIFICATION", "COMPLETED"].contains(&self.state.as_str())
    }
}

/// Serves the clinic until the moment comes, and kills.
async fn killed_at(clinic: &Clinic, exchanges: u64, later: u64) -> Position {
    let mut up = clinic.up();
    let latency = [FaultRule::new(Fault::Latency { milliseconds: LATENCY.as_millis().try_into().unwrap() })];
    until("the sandbox answers", async || {
        up.assert_running();
        clinic.disturb(&latency).await.then_some(())
    })
    .await;
    let (mut met, mut since) = (0, Instant::now());
    until("the moment of the kill", async || {
        let now = clinic.exchanges().await;
        if now != met {
            (met, since) = (now, Instant::now());
        }
        (met >= exchanges || since.elapsed() > QUIET).then_some(())
    })
    .await;
    // The moment itself: nothing is waited for.
    tokio::time::sleep(Duration::from_millis(later)).await;
    up.kill();
    Position::of(clinic)
}

/// From MANUAL_VERIFICATION to COMPLETED, with a kill as soon as the decision is written when `disturbed`.
async fn completed(clinic: &Clinic, disturbed: bool) -> Vec<String> {
    let up = clinic.up();
    clinic.request_is("MANUAL_VERIFICATION").await;
    let decide = ["decide", "verify", "-n", "acme-dental", "receptionist-1", "--operator", "ben@acme-dental.example", "--all-checks"];
    let decided = clinic.ask(&decide).await;
    assert!(decided.status.success(), "{}", complaint(&decided));
    let up = if disturbed {
        up.kill();
        clinic.up()
    } else {
        up
    };
    clinic.request_is("COMPLETED").await;
    let effects = clinic.masked_effects().await;
    let (ended, _) = up.terminate().await;
    assert!(ended.success());
    let world = clinic.stored();
    let events: Vec<&str> = world.of_kind("AuditRecord").filter_map(|record| record.body["spec"]["event"].as_str()).collect();
    assert_eq!(events, ["ProvisioningInitiated", "ProvisioningVerified"]);
    effects
}

/// Clinics one after the other, each killed on its way, until there were kills enough.
async fn lane(number: usize, expected: &[String]) -> Vec<Position> {
    let mut moments = MOMENTS.into_iter().cycle().skip(number);
    let mut head_starts = HEAD_STARTS.into_iter().cycle().skip(number);
    let mut positions: Vec<Position> = Vec::new();
    let enough =
        |positions: &[Position]| positions.len() >= KILLS && positions.iter().filter(|position| position.is_early()).count() >= EARLY_KILLS;
    while !enough(&positions) {
        let clinic = Clinic::new();
        let mut exchanges = head_starts.next().unwrap();
        let mut last = None;
        while !enough(&positions) {
            let position = killed_at(&clinic, exchanges, moments.next().unwrap()).await;
            positions.push(position.clone());
            if !position.is_early() {
                break;
            }
            // Later and later after a restart, until one gets further.
            exchanges = if last.as_ref() == Some(&position) { exchanges + 2 } else { 1 };
            last = Some(position);
        }
        assert_eq!(completed(&clinic, true).await, expected, "each effect exactly once, killed at {positions:?}");
        positions.push(Position::of(&clinic));
    }
    positions
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_kills_cost_nothing_but_time() {
    let started = Instant::now();
    let expected = completed(&Clinic::new(), false).await;
    assert!(expected.len() >= 10, "{expected:#?}");
    let lanes = (0..LANES).map(|number| lane(number, &expected));
    let positions = futures::future::join_all(lanes).await.concat();

    let early = positions.iter().filter(|position| position.is_early()).count();
    let mut histogram: BTreeMap<&Position, usize> = BTreeMap::new();
    positions.iter().for_each(|position| *histogram.entry(position).or_default() += 1);
    let shown: Vec<String> = histogram.iter().map(|(at, times)| format!("{times} x {} {}/{}", at.state, at.commits, at.results)).collect();
    println!(
        "{} kills, {early} before MANUAL_VERIFICATION, {:.0} s; state, requests with effects / results: {}",
        positions.len(),
        started.elapsed().as_secs_f64(),
        shown.join(", ")
    );
    assert!(positions.len() >= 50 && early >= 40, "{} kills, {early} of them early", positions.len());
    assert!(histogram.len() >= 6, "kills are spread");
}
