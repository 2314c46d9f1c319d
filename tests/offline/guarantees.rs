//! docs/guarantees.md: every guarantee and non-guarantee of document 000 has its row, and what a row names exists.

#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy permits it in test functions only, not in what they share")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use regex::Regex;

/// Document 000, "What the UPA Guarantees" and "What the UPA Does NOT Guarantee", in its numbering.
const GUARANTEED: [&str; 9] = [
    "State machine determinism",
    "Tenant isolation at the webhook layer",
    "Schema-driven execution",
    "Append-only error logging",
    "Mandatory manual verification",
    "Version-governed propagation",
    "Canonical Object immutability rules",
    "Workflow cloning fidelity",
    "Failure classification",
];
const NOT_GUARANTEED: [&str; 11] = [
    "VAPI availability",
    "CRM/Calendar API availability",
    "n8n platform stability",
    "Credential validity",
    "Fully automated provisioning",
    "Automated rollback",
    "Automated retry",
    "Partial provisioning recovery",
    "Multi-product provisioning",
    "Client self-service",
    "Real-time status updates",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Number, title and last cell of the rows below a heading.
fn rows(page: &str, heading: &str) -> Vec<(String, String, String)> {
    let section = page.split("\n## ").find(|section| section.lines().next() == Some(heading)).unwrap_or_default();
    let row = |line: &str| {
        let cells: Vec<String> = line.trim_matches('|').splitn(3, " | ").map(|cell| cell.trim().to_owned()).collect();
        let [number, title, proof] = <[String; 3]>::try_from(cells).ok()?;
        number.parse::<u32>().ok().map(|_| (number, title, proof))
    };
    section.lines().filter(|line| line.starts_with('|')).filter_map(row).collect()
}

/// Text and target of each link.
fn links(text: &str) -> Vec<(String, String)> {
    let link = Regex::new(r"\[([^\]]+)\]\(([^)]+)\)").unwrap();
    link.captures_iter(text).map(|found| (found[1].to_owned(), found[2].to_owned())).collect()
}

/// Names of the tests in a source file: functions with the attribute, and those that the cluster tests list.
fn tests(source: &str) -> BTreeSet<String> {
    let attributed = Regex::new(r"#\[(?:tokio::)?test[^\]]*\](?:\s*(?:#\[[^\]]*\]|//[^\n]*))*\s*(?:async )?fn ([a-z_0-9]+)").unwrap();
    let listed = Regex::new(r"tests!\[([^\]]*)\]").unwrap();
    let mut names: BTreeSet<String> = attributed.captures_iter(source).map(|found| found[1].to_owned()).collect();
    for list in listed.captures_iter(source) {
        names.extend(list[1].split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()));
    }
    names
}

/// The anchor of a heading, as repositories show it.
fn anchor(heading: &str) -> String {
    let kept =
        heading.to_lowercase().chars().filter(|character| character.is_alphanumeric() || " -".contains(*character)).collect::<String>();
    kept.replace(' ', "-")
}

/// What is wrong with one row.
fn gaps(title: &str, proof: &str) -> Vec<String> {
    let docs = root().join("docs");
    let limitations: BTreeSet<String> =
        read(&docs.join("known-limitations.md")).lines().filter_map(|line| line.strip_prefix("## ")).map(anchor).collect();
    let mut gaps = Vec::new();
    let mut proven = false;
    for (text, target) in links(proof) {
        let (file, place) = target.split_once('#').unwrap_or((&target, ""));
        let path = docs.join(file);
        if !path.is_file() {
            gaps.push(format!("{title}: {target} does not exist"));
        } else if let Some(name) = text.strip_prefix('`').and_then(|text| text.strip_suffix('`')) {
            proven = true;
            if !tests(&read(&path)).contains(name) {
                gaps.push(format!("{title}: there is no test {name} in {file}"));
            }
        } else if file == "known-limitations.md" {
            proven = true;
            if !limitations.contains(place) {
                gaps.push(format!("{title}: known-limitations.md has no section #{place}"));
            }
        }
    }
    if !proven {
        gaps.push(format!("{title}: neither a test nor a limitation"));
    }
    gaps
}

#[test]
fn every_guarantee_and_non_guarantee_has_its_row_and_what_a_row_names_exists() {
    let page = read(&root().join("docs/guarantees.md"));
    for (heading, titles) in [("Guaranteed", &GUARANTEED[..]), ("Not guaranteed", &NOT_GUARANTEED[..])] {
        let rows = rows(&page, heading);
        let found: Vec<(String, String)> = rows.iter().map(|(number, title, _)| (number.clone(), title.clone())).collect();
        let expected: Vec<(String, String)> =
            titles.iter().enumerate().map(|(index, title)| ((index + 1).to_string(), (*title).to_owned())).collect();
        assert_eq!(found, expected, "{heading}");
        let gaps: Vec<String> = rows.iter().flat_map(|(_, title, proof)| gaps(title, proof)).collect();
        assert!(gaps.is_empty(), "\n{}", gaps.join("\n"));
    }
}

#[test]
fn every_guarantee_is_proven_by_a_test_and_not_by_a_limitation() {
    for (_, title, proof) in rows(&read(&root().join("docs/guarantees.md")), "Guaranteed") {
        assert!(links(&proof).iter().any(|(text, _)| text.starts_with('`')), "{title}");
    }
}

#[test]
fn every_limitation_says_what_to_do() {
    let page = read(&root().join("docs/known-limitations.md"));
    let sections: Vec<&str> = page.split("\n## ").skip(1).collect();
    assert!(sections.len() >= 10);
    for section in sections {
        assert!(section.contains("\nWhat to do: "), "{:?}", section.lines().next());
    }
}

#[test]
fn a_gap_is_seen() {
    let missing = "[`no_such_test`](../tests/offline/guarantees.rs), [x](../tests/nowhere.rs), [y](known-limitations.md#nothing)";
    let expected = [
        "T: there is no test no_such_test in ../tests/offline/guarantees.rs",
        "T: ../tests/nowhere.rs does not exist",
        "T: known-limitations.md has no section #nothing",
    ];
    assert_eq!(gaps("T", missing), expected);
    assert_eq!(gaps("T", "words"), ["T: neither a test nor a limitation"]);
    assert_eq!(gaps("T", "[`a_gap_is_seen`](../tests/offline/guarantees.rs)"), Vec::<String>::new());
}
