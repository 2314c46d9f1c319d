//! The fault list is complete and usable.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use mandate::adapters::{Classified, faults};

#[test]
fn every_fault_has_a_code_of_its_own_and_what_a_person_must_resolve_says_how() {
    let mut codes = BTreeSet::new();
    for row in faults() {
        assert!(codes.insert(row.code), "{} twice", row.code);
        assert!(!row.providers.is_empty() && !row.occurs.is_empty(), "{}", row.code);
        match row.classified {
            Classified::HumanAction(_) => assert!((1..=8).contains(&row.remediation.len()), "{}", row.code),
            Classified::Passing(_) => assert!(row.remediation.is_empty(), "{}", row.code),
        }
        assert!(row.remediation.iter().all(|step| step.len() <= 400), "{}", row.code);
    }
    assert!(codes.len() >= 30);
}

/// An outcome other than `Done` can only be made from a row: the constructors stand in one file.
#[test]
fn no_adapter_makes_a_failure_past_the_fault_list() {
    let mut files = 0;
    check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/adapters"), &mut files);
    assert!(files >= 12);
}

fn check(folder: &Path, files: &mut usize) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            check(&path, files);
            continue;
        }
        *files += 1;
        if path.ends_with("adapters/faults.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for constructor in
            ["Outcome::Refused", "Outcome::NoEffect", "Outcome::Unknown", "Failure::human", "Failure {", " Fault {", "(Fault {"]
        {
            assert!(!text.contains(constructor), "{} has {constructor}", path.display());
        }
    }
}
