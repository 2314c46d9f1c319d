//! Wherever the process dies, whatever reply is lost, whatever fails: every journey ends with the effects of the model, in
//! its order, each once.
//!
//! A scenario is a journey, a failure, a reply that is struck and a crash point; its seed says all four:
//! `cutover/person:calcom-switch/reply-lost@7/crash@31`. One is run again, and its trace printed, by
//! `MANDATE_SCENARIO=<seed> cargo test --release --test offline scenarios -- --nocapture`.
//! `MANDATE_SCENARIOS=all` runs every combination instead of every pair and a sample of the triples: hours.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]
#![allow(clippy::disallowed_methods, reason = "which scenarios run is told by the environment")]

mod journey;
mod model;
mod trace;

use std::collections::HashSet;
use std::fmt;

use journey::{FAILINGS, Failing, Journey, Prepared};
use mandate::model::canonical::Digest;
use mandate::sandbox::Fault;
use mandate::world::faulty::{CrashPlan, Fault as WorldFault, FaultPoint};
use trace::Trace;

/// Replies that are struck without a lasting failure: all of them are waits.
const STRIKES: [(&str, Fault, bool); 8] = [
    ("request-lost", Fault::RequestLost, false),
    ("reply-lost", Fault::ReplyLost, false),
    ("hang", Fault::Hang, false),
    ("hang-after-effect", Fault::Hang, true),
    ("error", Fault::InternalError, false),
    ("error-after-effect", Fault::InternalError, true),
    ("unavailable", Fault::Unavailable { retry_after_seconds: Some(2) }, false),
    ("too-many", Fault::TooManyRequests { retry_after_seconds: 3 }, false),
];

/// One combination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Scenario {
    journey: Journey,
    failing: &'static Failing,
    /// Which of [`STRIKES`], and the request that it hits, from 0.
    strike: Option<(usize, usize)>,
    /// The moment at which the process dies, from 1.
    crash: Option<usize>,
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.journey.name(), self.failing.name)?;
        match self.strike {
            None => f.write_str("/none")?,
            Some((strike, request)) => write!(f, "/{}@{request}", STRIKES[strike].0)?,
        }
        match self.crash {
            None => f.write_str("/none"),
            Some(moment) => write!(f, "/crash@{moment}"),
        }
    }
}

impl Scenario {
    /// The scenario of a seed.
    fn parse(seed: &str) -> Self {
        let parts: Vec<&str> = seed.split('/').collect();
        let &[journey, failing, strike, crash] = parts.as_slice() else { panic!("{seed}: journey/failure/reply/crash") };
        let journey = Journey::ALL.into_iter().find(|one| one.name() == journey).expect("a journey");
        let failing = FAILINGS.iter().find(|one| one.name == failing && one.journeys.contains(&journey)).expect("a failure of the journey");
        let strike = strike.split_once('@').map(|(name, request)| {
            (STRIKES.iter().position(|strike| strike.0 == name).expect("a strike"), request.parse().expect("a number"))
        });
        let crash = crash.strip_prefix("crash@").map(|moment| moment.parse().expect("a number"));
        Self { journey, failing, strike, crash }
    }

    /// Runs it, holds it against the model, and says what happened.
    async fn run(self, prepared: &Prepared, calm: Option<&Trace>) -> Trace {
        let plan = self.crash.map_or_else(CrashPlan::counting, |moment| CrashPlan::new(FaultPoint::Nth(moment), WorldFault::Crash));
        let trace = journey::run(self, prepared, &plan).await;
        model::check(self, &trace, calm);
        trace
    }
}

/// What the scenarios of a journey came to.
struct Tally {
    prepared: Prepared,
    run: usize,
    traces: HashSet<Digest>,
}

impl Tally {
    async fn run(&mut self, scenario: Scenario, calm: Option<&Trace>) -> Trace {
        let trace = scenario.run(&self.prepared, calm).await;
        self.run += 1;
        self.traces.insert(trace.digest());
        trace
    }
}

/// Of so many scenarios with two disturbances one is run, unless all are.
const SAMPLE: usize = if cfg!(debug_assertions) { 4001 } else { 401 };
/// Of so many with one.
const STRIDE: usize = if cfg!(debug_assertions) { 97 } else { 1 };

/// Each crash point of each failure, each struck reply of each failure, and a sample of the crash points with a struck reply.
async fn every(journey: Journey) {
    if let Ok(seed) = std::env::var("MANDATE_SCENARIO") {
        let scenario = Scenario::parse(&seed);
        if scenario.journey == journey {
            println!("{scenario}\n{}", scenario.run(&journey.prepared().await, None).await);
        }
        return;
    }
    let all = std::env::var("MANDATE_SCENARIOS").is_ok_and(|which| which == "all");
    let (stride, sample) = if all { (1, 1) } else { (STRIDE, SAMPLE) };
    let began = std::time::Instant::now();
    let mut tally = Tally { prepared: journey.prepared().await, run: 0, traces: HashSet::new() };
    let (mut pairs, mut triples) = (0, 0);
    for failing in FAILINGS.iter().filter(|failing| failing.journeys.contains(&journey)) {
        let undisturbed = Scenario { journey, failing, strike: None, crash: None };
        let calm = tally.run(undisturbed, None).await;
        for moment in 1..=calm.moments {
            pairs += 1;
            if pairs % stride == 0 {
                tally.run(Scenario { crash: Some(moment), ..undisturbed }, Some(&calm)).await;
            }
        }
        for strike in 0..STRIKES.len() {
            if journey == Journey::Retry && failing.is_of_creation() {
                // What is struck beside such a failure is gone through where the first attempt meets it.
                continue;
            }
            for request in (0..calm.requests()).filter(|request| is_struck(strike, failing, calm.request(*request))) {
                pairs += 1;
                if pairs % stride != 0 {
                    continue;
                }
                let struck = Scenario { strike: Some((strike, request)), ..undisturbed };
                let moments = tally.run(struck, Some(&calm)).await.moments;
                for moment in 1..=moments {
                    triples += 1;
                    if triples % sample == 0 {
                        tally.run(Scenario { crash: Some(moment), ..struck }, Some(&calm)).await;
                    }
                }
            }
        }
    }
    let seconds = began.elapsed().as_secs();
    println!("{}: {} scenarios with {} distinct traces in {seconds} s", journey.name(), tally.run, tally.traces.len());
    if !cfg!(debug_assertions) {
        let (found, floor) = (tally.traces.len(), journey.floor());
        assert!(found >= floor, "{found} distinct traces of {} scenarios, fewer than {floor}", tally.run);
    }
}

/// Whether a strike on a request is one of its own: not where the failure strikes, and a read has no effect to come after.
fn is_struck(strike: usize, failing: &Failing, request: &str) -> bool {
    let (_, _, after_effect) = STRIKES[strike];
    let is_read = request.starts_with("GET");
    !(failing.strikes(request) || after_effect && is_read)
}

#[tokio::test(start_paused = true)]
async fn provisioning_does_what_the_model_says_whatever_comes_between() {
    every(Journey::Provision).await;
}

#[tokio::test(start_paused = true)]
async fn a_retry_does_what_the_model_says_whatever_comes_between() {
    every(Journey::Retry).await;
}

#[tokio::test(start_paused = true)]
async fn a_rollback_does_what_the_model_says_whatever_comes_between() {
    every(Journey::Rollback).await;
}

#[tokio::test(start_paused = true)]
async fn a_cutover_does_what_the_model_says_whatever_comes_between() {
    every(Journey::Cutover).await;
}

#[tokio::test(start_paused = true)]
async fn a_propagation_does_what_the_model_says_whatever_comes_between() {
    every(Journey::Propagate).await;
}
