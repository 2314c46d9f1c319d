//! The fault list is complete and usable.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use mandate::adapters::{Classified, FaultRow, failures_page, faults};
use mandate::model::call::ProviderType;

#[test]
fn every_fault_has_a_code_of_its_own_and_what_a_person_must_resolve_says_how() {
    let mut codes = BTreeSet::new();
    for row in faults() {
        assert!(codes.insert(row.code), "{} twice", row.code);
        assert!(!row.providers.is_empty() && !row.occurs.is_empty(), "{}", row.code);
        match row.classified {
            Classified::HumanAction(_) | Classified::Repair(..) => {
                assert!((2..=8).contains(&row.remediation.len()), "{}", row.code);
                let steps = row.remediation.join("\n");
                assert!(steps.contains("`mandate ") || steps.contains("`kubectl "), "{} names no command", row.code);
                assert!(steps.contains("{object}") || steps.contains("Provider {provider}"), "{} names no object", row.code);
            }
            Classified::Passing(_) => assert!(row.remediation.is_empty(), "{}", row.code),
        }
        assert!(row.remediation.iter().all(|step| step.len() <= 400), "{}", row.code);
    }
    assert!(codes.len() >= 30);
}

/// To write it anew: `MANDATE_UPDATE_DOCS=1 cargo test --test offline docs_failures`.
#[test]
#[allow(clippy::disallowed_methods, reason = "whoever changed a fault says that the page shall follow")]
fn docs_failures_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/failures.md");
    if std::env::var_os("MANDATE_UPDATE_DOCS").is_some() {
        fs::write(&path, failures_page()).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == failures_page(), "docs/failures.md is stale: run MANDATE_UPDATE_DOCS=1 cargo test --test offline docs_failures");
}

#[test]
fn the_page_tells_every_fault_under_each_adapter_that_can_meet_it() {
    let page = failures_page();
    let sections: Vec<&str> = page.split("\n## ").collect();
    let told = |heading: &str, row: &FaultRow| {
        let section = sections.iter().find(|section| section.starts_with(heading)).unwrap();
        section.contains(&format!("| [`{}`](#", row.code))
    };
    for row in faults() {
        for (provider, heading) in
            [(ProviderType::N8n, "n8n"), (ProviderType::Vapi, "VAPI"), (ProviderType::Calcom, "Cal.com"), (ProviderType::Http, "Declared")]
        {
            assert_eq!(told(heading, row), row.providers.contains(&provider), "{} under {heading}", row.code);
        }
        assert!(page.contains(&format!("\n### {}\n\n{}\n", row.code, row.occurs)), "{}", row.code);
        assert!(row.remediation.iter().all(|step| page.contains(step)), "{}", row.code);
    }
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
        for constructor in [
            "Outcome::Refused",
            "Outcome::NoEffect",
            "Outcome::Unknown",
            "Failure::human",
            "Failure::fixable",
            "Failure {",
            " Fault {",
            "(Fault {",
        ] {
            assert!(!text.contains(constructor), "{} has {constructor}", path.display());
        }
    }
}
