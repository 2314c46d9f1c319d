//! The READMEs show the tables that the code reads.

use std::fmt::Write as _;
use std::path::Path;

use mandate::kinds::assistantdeployment::lifecycle::ATTEMPTS;
use mandate::kinds::provisioningrequest::lifecycle::{Cause, TRANSITIONS};

use super::moves::waits_for_a_person;

fn readme(kind: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/kinds/{kind}/README.md"))).unwrap()
}

fn shows(kind: &str, table: &str) {
    assert!(readme(kind).contains(table), "src/kinds/{kind}/README.md does not show the table of the code, which is\n\n{table}");
}

#[test]
fn the_readme_shows_every_transition_of_a_request() {
    let mut table = "| From | When | To |\n|---|---|---|\n".to_owned();
    for row in TRANSITIONS {
        writeln!(table, "| {} | {} | {} |", row.from, row.cause, row.to).unwrap();
    }
    shows("provisioningrequest", &table);
}

#[test]
fn the_readme_shows_what_makes_the_next_request() {
    let mut table = "| Newest request | When | Next request |\n|---|---|---|\n".to_owned();
    for row in ATTEMPTS {
        let newest = row.newest.map_or_else(|| "none".to_owned(), |state| state.to_string());
        writeln!(table, "| {newest} | {} | {:?} |", row.cause, row.reason).unwrap();
    }
    shows("assistantdeployment", &table);
}

#[test]
fn only_a_decision_leads_out_of_a_state_that_waits_for_a_person() {
    let leave = |row: &&mandate::kinds::provisioningrequest::lifecycle::Transition| waits_for_a_person(row.from);
    for row in TRANSITIONS.iter().filter(leave) {
        assert!(matches!(row.cause, Cause::Decided(_)), "{row:?}");
    }
}

#[test]
fn a_state_and_a_cause_have_one_row_at_most() {
    let mut rows: Vec<_> = TRANSITIONS.iter().map(|row| (row.from, row.cause)).collect();
    rows.sort_unstable();
    rows.dedup();
    assert_eq!(rows.len(), TRANSITIONS.len());
}
