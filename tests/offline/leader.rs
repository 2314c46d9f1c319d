//! Of all candidates at most one leads, at any instant; and soon another, when it is gone.

#![allow(clippy::unwrap_used, reason = "clippy permits it in test functions only, not in what they share")]

mod fence;
mod random;
mod rig;

use std::sync::Arc;
use std::time::Duration;

use mandate::engine::port::{RandomIdentifiers, Verb, World};
use mandate::model::object::Object;
use mandate::model::resource::LEASE;
use mandate::operator::leader::{Election, InvalidOptions, Lost, Options};
use serde_json::{Value, json};
use tokio::time::sleep;

use rig::{Line, Made, Rig, SYSTEM, lease_key, millis, seconds};

/// Lease and retry period of [`Options::new`].
const HAND_OVER: Duration = Duration::from_secs(16);

async fn led() -> Rig {
    let mut rig = Rig::new().await;
    rig.start();
    rig.until_led_by_another(None, seconds(1)).await;
    rig.start();
    rig.start();
    sleep(seconds(5)).await;
    assert_eq!(rig.leaders(), [0]);
    rig
}

async fn with_lease(spec: Value) -> Rig {
    let rig = Rig::new().await;
    let mut lease = Object::named(&LEASE, SYSTEM, "mandate");
    lease.body["spec"] = spec;
    rig.admin().create(&lease).await.unwrap();
    rig
}

#[tokio::test(start_paused = true)]
async fn an_absent_lease_is_taken_at_once_and_says_who_holds_it() {
    let mut rig = Rig::new().await;
    rig.start();
    let (_, took) = rig.until_led_by_another(None, seconds(1)).await;
    assert!(took < millis(50), "{took:?}");
    let lease = rig.lease().await.unwrap();
    let spec = &lease.body["spec"];
    assert!(spec["holderIdentity"].as_str().unwrap().starts_with("pod-0_"), "{spec}");
    assert_eq!((&spec["leaseDurationSeconds"], &spec["leaseTransitions"]), (&json!(15), &json!(0)));
    assert!(spec["renewTime"].as_str().unwrap().starts_with("2026-01-31T12:00:00."), "{spec}");
    assert_eq!(spec["renewTime"].as_str().unwrap().len(), "2026-01-31T12:00:00.000000Z".len());
    assert_eq!(spec["acquireTime"], spec["renewTime"]);
}

#[tokio::test(start_paused = true)]
async fn a_leader_stays_and_costs_one_write_per_retry_period_while_standbys_ask_nothing() {
    let rig = led().await;
    let before: Vec<_> = rig.candidates.iter().map(|candidate| candidate.client.requests()).collect();
    sleep(seconds(60)).await;
    assert_eq!(rig.leaders(), [0]);
    let after = |number: usize| rig.candidates[number].client.requests();
    assert_eq!(after(1), before[1], "a standby follows the watch");
    assert_eq!(after(2), before[2], "a standby follows the watch");
    let renewals = after(0)[&Verb::Update] - before[0].get(&Verb::Update).copied().unwrap_or(0);
    assert!((29..=31).contains(&renewals), "{renewals}");
    let others = |requests: &std::collections::BTreeMap<Verb, u64>| {
        requests.iter().filter(|(verb, _)| **verb != Verb::Update).map(|(_, count)| *count).sum::<u64>()
    };
    assert_eq!(others(&after(0)), others(&before[0]), "a leader reads nothing");
    rig.check_fencing();
}

#[tokio::test(start_paused = true)]
async fn a_killed_leader_is_followed_within_the_lease_and_not_before_it_ends() {
    let mut rig = led().await;
    let killed_at = tokio::time::Instant::now();
    rig.candidates[0].kill();
    let (next, took) = rig.until_led_by_another(Some(0), HAND_OVER).await;
    // The last renewal may have been sent a retry period before the kill.
    assert!(took > seconds(12) && took <= HAND_OVER, "{took:?}");
    sleep(seconds(1)).await;
    assert_eq!(rig.leaders(), [next]);
    assert_eq!(rig.candidates[next].leadership.fencing(), Some(1));
    assert!(killed_at.elapsed() < HAND_OVER + seconds(2));
    rig.check_fencing();
}

#[tokio::test(start_paused = true)]
async fn a_released_lease_is_taken_at_once() {
    let mut rig = led().await;
    for (round, fencing) in [(0, 1), (1, 2)] {
        let leader = rig.leaders()[0];
        rig.candidates[leader].ask_to_stop();
        assert_eq!(rig.candidates[leader].ended().await, Ok(()), "round {round}");
        assert!(!rig.candidates[leader].leadership.is_held());
        let (next, took) = rig.until_led_by_another(Some(leader), seconds(1)).await;
        assert!(took < millis(50), "{took:?}");
        assert_eq!(rig.candidates[next].leadership.fencing(), Some(fencing));
    }
    let last = rig.leaders()[0];
    rig.candidates[last].ask_to_stop();
    rig.candidates[last].ended().await.unwrap();
    let lease = rig.lease().await.unwrap();
    assert_eq!(lease.body["spec"]["holderIdentity"], "");
    assert_eq!(lease.body["spec"]["leaseDurationSeconds"], 1);
    assert_eq!(lease.body["spec"]["leaseTransitions"], 2);
    rig.check_fencing();
}

#[tokio::test(start_paused = true)]
async fn a_lease_left_to_run_out_is_not_given_back() {
    let mut rig = led().await;
    rig.candidates[0].ask_to_leave_it();
    assert_eq!(rig.candidates[0].ended().await, Ok(()));
    let (_, took) = rig.until_led_by_another(Some(0), HAND_OVER).await;
    assert!(took > seconds(12), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_standby_that_stops_leaves_the_lease_alone() {
    let mut rig = led().await;
    let before = rig.lease().await.unwrap().body["spec"]["holderIdentity"].clone();
    rig.candidates[1].ask_to_stop();
    assert_eq!(rig.candidates[1].ended().await, Ok(()));
    assert_eq!(rig.lease().await.unwrap().body["spec"]["holderIdentity"], before);
    assert_eq!(rig.leaders(), [0]);
}

#[tokio::test(start_paused = true)]
async fn a_leader_cut_off_from_the_world_gives_up_before_another_can_lead() {
    for line in [Line::Refused, Line::Silent, Line::RepliesLost] {
        let mut rig = led().await;
        rig.candidates[0].line(line);
        let began = tokio::time::Instant::now();
        rig.candidates[0].leadership.ended().await;
        assert!(began.elapsed() <= seconds(10), "{line:?}: {:?}", began.elapsed());
        let lost = rig.candidates[0].ended().await.unwrap_err();
        assert!(matches!(&lost, Lost::NotRenewed { .. }), "{line:?}: {lost}");
        rig.until_led_by_another(Some(0), HAND_OVER + seconds(10)).await;
        rig.check_fencing();
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_halted_past_its_lease_writes_nothing_when_it_goes_on() {
    let mut rig = led().await;
    rig.candidates[0].halt();
    let (next, _) = rig.until_led_by_another(Some(0), HAND_OVER).await;
    sleep(seconds(3)).await;
    assert!(!rig.candidates[0].leadership.is_held(), "known without any of its tasks having run");
    let (before, renewed) = (count(&rig, 0), rig.candidates[0].client.requests());
    rig.candidates[0].go_on();
    let lost = rig.candidates[0].ended().await.unwrap_err();
    assert_eq!(lost.to_string(), "the lease was not renewed in time: this process did not get to it");
    sleep(seconds(1)).await;
    assert_eq!(count(&rig, 0), before);
    assert_eq!(rig.candidates[0].client.requests(), renewed, "not even a renewal is sent");
    assert_eq!(rig.leaders(), [next]);
    rig.check_fencing();
}

fn count(rig: &Rig, by: usize) -> usize {
    rig.done.lock().unwrap().iter().filter(|done| done.by == by).count()
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_meets_a_stranger_s_label_goes_on_with_the_newer_object() {
    let rig = led().await;
    for round in 0..20 {
        let mut lease = Object::clone(&rig.lease().await.unwrap());
        lease.set_metadata("labels", json!({"touched": round.to_string()}));
        rig.admin().update(&lease).await.unwrap();
        sleep(millis(1500)).await;
        assert_eq!(rig.leaders(), [0]);
    }
    assert_eq!(rig.lease().await.unwrap().body["metadata"]["labels"]["touched"], "19", "what others wrote stays");
    assert_eq!(rig.candidates[0].leadership.fencing(), Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_lease_taken_away_by_hand_is_noticed_at_once() {
    let mut rig = led().await;
    let mut lease = Object::clone(&rig.lease().await.unwrap());
    lease.body["spec"]["holderIdentity"] = "somebody".into();
    rig.admin().update(&lease).await.unwrap();
    let began = tokio::time::Instant::now();
    assert_eq!(rig.candidates[0].ended().await, Err(Lost::Taken { holder: "somebody".into() }));
    assert!(began.elapsed() < millis(50), "{:?}", began.elapsed());
    sleep(seconds(14)).await;
    assert_eq!(rig.leaders(), Vec::<usize>::new(), "somebody may lead for as long as the record says");
    rig.until_led_by_another(None, seconds(3)).await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_lease_ends_its_tenure_and_is_free_only_when_it_would_have_run_out() {
    let mut rig = led().await;
    let lease = rig.lease().await.unwrap();
    rig.candidates[0].line(Line::Silent);
    rig.admin().delete(&lease_key(), lease.uid()).await.unwrap();
    let (next, took) = rig.until_led_by_another(Some(0), HAND_OVER).await;
    assert!(took > seconds(14), "{took:?}: its holder could not know");
    assert_eq!(rig.candidates[next].leadership.fencing(), Some(1), "the number goes on although the record is gone");
    let lease = rig.lease().await.unwrap();
    rig.admin().delete(&lease_key(), lease.uid()).await.unwrap();
    assert_eq!(rig.candidates[next].ended().await, Err(Lost::Deleted));
    rig.check_fencing();
}

#[tokio::test(start_paused = true)]
async fn without_a_watch_a_standby_asks_each_retry_period() {
    let mut rig = led().await;
    rig.candidates[1].line(Line::NoWatch);
    rig.candidates[2].kill();
    sleep(seconds(5)).await;
    let reads = |rig: &Rig| rig.candidates[1].client.requests()[&Verb::Get];
    let before = reads(&rig);
    sleep(seconds(20)).await;
    assert!((9..=11).contains(&(reads(&rig) - before)), "{}", reads(&rig) - before);
    rig.candidates[0].ask_to_stop();
    rig.candidates[0].ended().await.unwrap();
    let (_, took) = rig.until_led_by_another(Some(0), seconds(3)).await;
    assert!(took <= millis(2100), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_watch_is_no_ground_to_take_a_lease_that_is_renewed() {
    let rig = led().await;
    // Silent for reads and watches alike, then open for requests: what the watch did not tell, the refusal does.
    rig.candidates[1].line(Line::Silent);
    sleep(seconds(40)).await;
    assert_eq!(rig.leaders(), [0]);
    rig.candidates[1].line(Line::Open);
    sleep(seconds(40)).await;
    assert_eq!(rig.leaders(), [0]);
}

#[tokio::test(start_paused = true)]
async fn a_garbled_record_counts_as_held_for_as_long_as_it_says_or_a_lease_lasts() {
    for (spec, waits) in [
        (json!("nonsense"), 15),
        (json!({"holderIdentity": 7}), 15),
        (json!({"holderIdentity": "x", "leaseDurationSeconds": -3}), 15),
        (json!({"holderIdentity": "x", "leaseDurationSeconds": "30"}), 15),
        (json!({"holderIdentity": "x", "leaseDurationSeconds": 40, "renewTime": "1970-01-01T00:00:00Z"}), 40),
        (json!({"holderIdentity": "x", "leaseDurationSeconds": 3, "leaseTransitions": "many"}), 3),
    ] {
        let mut rig = with_lease(spec.clone()).await;
        rig.start();
        let (_, took) = rig.until_led_by_another(None, seconds(60)).await;
        assert!(took >= seconds(waits) && took < seconds(waits + 1), "{spec}: {took:?}");
        assert_eq!(rig.candidates[0].leadership.fencing(), Some(1), "{spec}");
        assert!(rig.lease().await.unwrap().body["spec"]["holderIdentity"].as_str().unwrap().starts_with("pod-0_"));
    }
    for free in [json!({}), json!(null), json!({"holderIdentity": ""}), json!({"holderIdentity": null, "leaseTransitions": 4})] {
        let mut rig = with_lease(free.clone()).await;
        rig.start();
        let (_, took) = rig.until_led_by_another(None, seconds(60)).await;
        assert!(took < millis(50), "{free}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn wall_clocks_far_apart_make_no_difference() {
    let mut rig = Rig::new().await;
    rig.start_with(Made { skew: -86_400 * 365, ..Made::default() });
    rig.until_led_by_another(None, seconds(1)).await;
    rig.start_with(Made { skew: 86_400 * 365, ..Made::default() });
    sleep(seconds(60)).await;
    assert_eq!(rig.leaders(), [0]);
    rig.candidates[0].kill();
    let (_, took) = rig.until_led_by_another(Some(0), HAND_OVER).await;
    assert!(took > seconds(12), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_stands_still_is_no_dead_leader() {
    // The record of a renewal would be the same bytes, and a write that changes nothing is no change to those who watch.
    struct Still;
    impl mandate::engine::port::Clock for Still {
        fn now(&self) -> jiff::Timestamp {
            "2026-01-31T12:00:00Z".parse().unwrap()
        }
    }
    let mut rig = Rig::new().await;
    let options = Options::new(mandate::operator::leader::identity("still", &RandomIdentifiers), SYSTEM);
    let (election, leadership) = Election::new(Arc::new(rig.admin()), Arc::new(Still), options).unwrap();
    let leader = tokio::spawn(election.run(std::future::pending()));
    leadership.held().await;
    rig.start();
    sleep(seconds(60)).await;
    assert!(leadership.is_held() && rig.leaders().is_empty());
    leader.abort();
}

#[tokio::test(start_paused = true)]
async fn options_that_cannot_hold_the_guarantee_are_refused() {
    let rig = Rig::new().await;
    let refusal = |change: fn(&mut Options)| {
        let mut options = Options::new("x".into(), SYSTEM);
        change(&mut options);
        Election::new(Arc::new(rig.admin()), Arc::new(rig.clock.clone()), options).err().map(|error| error.to_string())
    };
    assert_eq!(refusal(|_| {}), None);
    assert_eq!(
        refusal(|options| options.renew_deadline = seconds(15)).unwrap(),
        "the renew deadline (15s) must be shorter than the lease duration (15s)"
    );
    assert_eq!(
        refusal(|options| options.retry_period = seconds(10)).unwrap(),
        "the retry period (10s) must be longer than zero and shorter than the renew deadline (10s)"
    );
    assert_eq!(
        refusal(|options| options.lease_duration = millis(15_500)).unwrap(),
        "the lease duration must be whole seconds, at least one, not 15.5s"
    );
    assert_eq!(refusal(|options| options.identity.clear()).unwrap(), InvalidOptions::NoIdentity.to_string());
}
