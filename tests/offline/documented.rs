//! Every reason that a kind can give is explained in its README, and every reason explained there can be given.
//! So are the codes of failures. A message is for one moment; the README says what to do.

#![allow(clippy::unwrap_used, reason = "clippy permits it in test functions only, not in what they share")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use mandate::kinds::crd;
use mandate::kinds::provisioningschema::api::ProvisioningSchema;
use mandate::kinds::provisioningschema::rules::lint;
use regex::Regex;
use serde_json::json;

/// Places where a reason is passed on instead of written down: the reasons of lint, gathered below by running it.
const PASSED_ON: [&str; 2] = ["reason, format!(\"{path} is missing: the schema must define it", "first.reason, format!(\"{}{suffix}\""];

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Sources of a kind, its tests left out, and what it shares with others.
fn sources(kind: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/kinds").join(kind);
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".rs") && name != "tests.rs" && !name.ends_with("_tests.rs") {
            text.push_str(&read(&format!("src/kinds/{kind}/{name}")));
        }
    }
    if kind == "operatordecision" {
        text.push_str(&read("src/model/decision.rs"));
    }
    text
}

/// Reasons written down in source text, and what stands where one is not.
fn reasons(text: &str) -> (BTreeSet<String>, Vec<String>) {
    let given = Regex::new(r#"Finding::(?:info|waiting|error)\(\s*(?:"([A-Za-z]+)"|([^\n]*))"#).unwrap();
    let mut known = BTreeSet::new();
    let mut passed_on = Vec::new();
    for found in given.captures_iter(text) {
        match found.get(1) {
            Some(reason) => drop(known.insert(reason.as_str().to_owned())),
            None => passed_on.push(found[2].to_owned()),
        }
    }
    passed_on.retain(|text| !PASSED_ON.iter().any(|known| text.starts_with(known)));
    (known, passed_on)
}

/// First cells of the tables below a heading, with the rest of their rows.
fn rows(readme: &str, heading: &str) -> BTreeMap<String, Vec<String>> {
    let section = readme.split("\n## ").find(|section| section.starts_with(heading)).unwrap_or_default();
    let row = |line: &str| {
        let mut cells = line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned());
        let name = cells.next()?.strip_prefix('`')?.strip_suffix('`')?.to_owned();
        Some((name, cells.collect()))
    };
    section.lines().filter(|line| line.starts_with('|')).filter_map(row).collect()
}

/// What is emitted and not explained, explained and not emitted, or explained by half.
fn gaps(emitted: &BTreeSet<String>, explained: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let mut gaps: Vec<String> =
        emitted.iter().filter(|reason| !explained.contains_key(*reason)).map(|reason| format!("{reason} has no row")).collect();
    gaps.extend(explained.keys().filter(|reason| !emitted.contains(*reason)).map(|reason| format!("{reason} is given nowhere")));
    let whole = |cells: &Vec<String>| cells.len() == 2 && cells.iter().all(|cell| !cell.is_empty());
    gaps.extend(explained.iter().filter(|(_, cells)| !whole(cells)).map(|(reason, _)| format!("{reason} lacks its meaning or what to do")));
    gaps
}

/// Reasons of a schema in which as much is missing as its type lets.
fn reasons_of_an_empty_schema() -> BTreeSet<String> {
    let empty = json!({
        "apiVersion": "mandate.dev/v1alpha1", "kind": "ProvisioningSchema", "metadata": {"name": "x"},
        "spec": {"constitutionVersion": "1.0", "product": "recepcionista-ia", "version": "1.0", "revision": 1},
    });
    let schema: ProvisioningSchema = serde_json::from_value(empty).unwrap();
    lint(&schema, &[]).into_iter().map(|linted| linted.finding.reason.to_owned()).collect()
}

fn folders() -> Vec<String> {
    crd::all().iter().map(|defined| defined.resource.kind.to_lowercase()).collect()
}

#[test]
fn every_reason_of_a_kind_has_a_row_that_says_what_to_do_and_no_row_is_stale() {
    let mut gaps_of_all = Vec::new();
    for kind in folders() {
        let (mut emitted, unknown) = reasons(&sources(&kind));
        assert_eq!(
            unknown,
            Vec::<String>::new(),
            "{kind}: reasons that cannot be read from the source; write them down or list them in PASSED_ON"
        );
        if kind == "provisioningschema" {
            emitted.extend(reasons_of_an_empty_schema());
        }
        let readme = read(&format!("src/kinds/{kind}/README.md"));
        gaps_of_all.extend(gaps(&emitted, &rows(&readme, "Reasons")).into_iter().map(|gap| format!("{kind}: {gap}")));
    }
    assert!(gaps_of_all.is_empty(), "\n{}", gaps_of_all.join("\n"));
}

#[test]
fn every_failure_code_has_a_row_that_says_what_to_do_and_no_row_is_stale() {
    let source = read("src/model/failure.rs");
    let codes = source.split("pub enum FailureCode {").nth(1).unwrap().split("\n}").next().unwrap();
    let emitted: BTreeSet<String> =
        Regex::new(r"(?m)^    ([A-Z][A-Za-z]+),").unwrap().captures_iter(codes).map(|code| code[1].to_owned()).collect();
    assert!(emitted.len() > 10, "{emitted:?}");
    let readme = read("src/kinds/provisioningrequest/README.md");
    assert_eq!(gaps(&emitted, &rows(&readme, "Failure codes")), Vec::<String>::new());
}

#[test]
fn every_readme_has_the_same_sections() {
    for kind in folders() {
        let readme = read(&format!("src/kinds/{kind}/README.md"));
        let sections: Vec<&str> = readme.split("\n## ").skip(1).filter_map(|section| section.lines().next()).collect();
        for wanted in ["Spec", "Status", "Columns", "Writes", "Reasons"] {
            assert!(sections.contains(&wanted), "{kind}: no section {wanted}: {sections:?}");
        }
    }
}

/// The columns of a README are those of its CRD.
#[test]
fn every_readme_names_the_columns_of_its_crd() {
    for defined in crd::all() {
        let kind = defined.resource.kind.to_lowercase();
        let readme = read(&format!("src/kinds/{kind}/README.md"));
        let section = readme.split("\n## ").find(|section| section.starts_with("Columns")).unwrap();
        let columns = defined.crd.pointer("/spec/versions/0/additionalPrinterColumns").unwrap().as_array().unwrap();
        for column in columns {
            let name = column["name"].as_str().unwrap();
            assert!(section.contains(name), "{kind}: section Columns does not name {name}");
        }
    }
}

#[test]
fn a_gap_on_either_side_is_seen() {
    let (emitted, unknown) = reasons("Finding::error(\"Known\", x); Finding::waiting(\n    \"Other\", y); Finding::info(name, z)");
    assert_eq!((emitted.len(), unknown), (2, vec!["name, z)".to_owned()]));
    let readme = "# K\n\n## Reasons\n\n| Reason | Meaning | What to do |\n|---|---|---|\n| `Known` | a | b |\n| `Stale` | a | b |\n| `Half` | a |\n\n## X\n| `Else` | a | b |\n";
    let explained = rows(readme, "Reasons");
    assert_eq!(explained.len(), 3);
    assert_eq!(
        gaps(&emitted, &explained),
        ["Other has no row", "Half is given nowhere", "Stale is given nowhere", "Half lacks its meaning or what to do"]
    );
}
