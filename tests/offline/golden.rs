//! What each numbered item of the provisioning contract looks like to people: transcripts in `golden/`, written as prose with
//! what was done and what was then observed between it.
//!
//! In a block that begins with ```` ```console ```` a line beginning with `$ ` is an act, done to the real loop over a world in
//! memory and the sandbox, in virtual time; what stands below it is everything observed since. Names that differ from run to
//! run are masked by their order of appearance: `sha256:hash-1`, `key-2`, `workflow-3`.
//!
//! To write what is observed anew: `MANDATE_UPDATE_DOCS=1 cargo test --test offline golden`. Then read the difference.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod mask;
mod script;
mod seen;
mod stage;

use std::path::{Path, PathBuf};

use script::Part;
use stage::Stage;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/offline/golden")
}

#[allow(clippy::disallowed_methods, reason = "whether to write or to compare is asked of whoever runs the tests")]
fn is_to_be_written() -> bool {
    std::env::var_os("MANDATE_UPDATE_DOCS").is_some()
}

/// Acts a transcript out and compares all of it.
async fn holds(name: &str) {
    let path = folder().join(name);
    let committed = std::fs::read_to_string(&path).unwrap();
    let mut stage = Stage::new().await;
    let mut now = String::new();
    for part in script::parts(&committed) {
        match part {
            Part::Text(line) => now.push_str(&format!("{line}\n")),
            Part::Act { line, act, typed } => {
                now.push_str(&format!("{typed}\n"));
                let observed = stage.act(&act).await.unwrap_or_else(|problem| panic!("{name}:{line}: {problem}"));
                now.push_str(&observed.iter().map(|line| format!("{line}\n")).collect::<String>());
            }
        }
    }
    if is_to_be_written() {
        std::fs::write(&path, &now).unwrap();
        return;
    }
    if now != committed {
        let differs = now.lines().zip(committed.lines()).position(|(now, before)| now != before);
        let at = differs.unwrap_or(now.lines().count().min(committed.lines().count()));
        let line = |text: &str| text.lines().nth(at).unwrap_or("(the end)").to_owned();
        panic!(
            "{name}:{}: behaviour has changed\n  committed: {}\n  now:       {}\nif that is meant: MANDATE_UPDATE_DOCS=1 cargo test --test offline golden, and read the difference\n\n{now}",
            at + 1,
            line(&committed),
            line(&now)
        );
    }
}

/// One test per transcript, so that one that differs is named.
macro_rules! transcripts {
    ($($test:ident = $file:literal),* $(,)?) => {
        const TRANSCRIPTS: &[&str] = &[$($file),*];
        $(
            #[tokio::test(start_paused = true)]
            async fn $test() {
                holds($file).await;
            }
        )*
    };
}

transcripts! {
    item_1_every_failure_is_classified_before_anything_is_done_about_it = "01-classified-before-any-action.md",
    item_2_a_step_is_repaired_once = "02-one-deterministic-repair.md",
    item_3_nothing_automatic_leaves_failed = "03-failed-halts-and-waits.md",
    item_4_people_order_a_retry_or_a_rollback = "04-retry-and-rollback.md",
    item_5_nothing_goes_silently = "05-deletion-and-release.md",
    item_6_an_upgrade_takes_over_when_it_is_verified = "06-upgrade.md",
    item_7_a_revision_reaches_every_live_assistant = "07-propagation.md",
    item_8_a_clone_is_its_template = "08-fidelity.md",
    item_9_people_act_in_the_open = "09-people.md",
    item_10_operators_are_told = "10-notification.md",
}

/// A transcript that no test acts out proves nothing.
#[test]
fn every_transcript_is_acted_out() {
    let mut found: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".md"))
        .collect();
    found.sort();
    assert_eq!(found, TRANSCRIPTS);
}

#[tokio::test(start_paused = true)]
async fn an_act_that_nobody_knows_is_named_with_those_that_are_known() {
    let mut stage = Stage::new().await;
    let problem = stage.act("setle").await.unwrap_err();
    assert!(problem.starts_with("unknown act \"setle\"; known: begin again, "), "{problem}");
    let problem = stage.act("fault vapi 402").await.unwrap_err();
    assert!(problem.starts_with("unknown fault \"402\"; known: 400, 401, "), "{problem}");
    let problem = stage.act("apply examples/nowhere.yaml").await.unwrap_err();
    assert_eq!(problem, "examples/nowhere.yaml does not exist");
}
