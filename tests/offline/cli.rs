//! The offline half of the command line: through the binary for exit codes and what is printed, through the library for
//! the cases.

#![allow(clippy::unwrap_used, reason = "clippy permits it in test functions only, not in what they share")]

mod chains;
mod crds;
mod decide;
mod folders;
mod generated;
mod schema;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use mandate::model::canonical::Digest;
use regex::Regex;
use serde_json::Value;

/// The binary at the root of the repository, with this on its standard input.
fn mandate(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mandate"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that refuses its arguments may be gone before it has read anything.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

/// A copy of examples/clinic to break.
fn clinic() -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/clinic");
    std::fs::create_dir(copy.path().join("sandbox")).unwrap();
    for folder in ["", "sandbox"] {
        for entry in std::fs::read_dir(from.join(folder)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                std::fs::copy(entry.path(), copy.path().join(folder).join(entry.file_name())).unwrap();
            }
        }
    }
    copy
}

/// Everything below a folder that may tell a person what to type.
fn texts(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(texts(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs" || ending == "md") {
            found.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
        }
    }
    found
}

/// A message that names a command which does not exist costs whoever follows it more than one that names none.
#[test]
fn every_decision_that_a_text_names_is_one_that_the_command_line_takes() {
    let help = mandate(&["decide", "--help"], "");
    let help = said(&help).split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, values) = help.split_once("[possible values: ").unwrap();
    let acts: Vec<&str> = values.split(']').next().unwrap().split(", ").collect();
    assert_eq!(acts.len(), mandate::model::decision::Act::ALL.len(), "{acts:?}");
    let named = Regex::new("mandate decide ([a-z][a-z|-]+)").unwrap();
    let (mut strange, mut found) = (Vec::new(), 0);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = ("README.md".to_owned(), std::fs::read_to_string(root.join("README.md")).unwrap());
    for (file, text) in texts(&root.join("src")).into_iter().chain(texts(&root.join("docs"))).chain([readme]) {
        for command in named.captures_iter(&text) {
            found += 1;
            strange.extend(command[1].split('|').filter(|act| !acts.contains(act)).map(|act| format!("{file}: {act}")));
        }
    }
    assert!(found >= 30, "{found} commands: too few to mean anything");
    assert_eq!(strange, Vec::<String>::new());
}

#[test]
fn the_clinic_is_valid_to_the_last_reference() {
    let output = mandate(&["validate", "--strict", "examples/clinic"], "");
    assert_eq!((output.status.code(), said(&output)), (Some(0), "13 objects in 6 files: valid\n"));
}

#[test]
fn a_broken_file_exits_with_1_and_names_the_place() {
    let output = mandate(&["validate", "examples/broken/unknown-field.yaml"], "");
    assert_eq!(output.status.code(), Some(1));
    let first = said(&output).lines().next().unwrap();
    let expected = "examples/broken/unknown-field.yaml:17:3: error: Tenant acme-dental: unknown field \"spec.fourEye\" [UnknownField]";
    assert_eq!(first, expected);
}

#[test]
fn a_missing_reference_is_a_warning_until_it_is_asked_to_be_strict() {
    let lax = mandate(&["validate", "-o", "json", "examples/broken/missing-reference.yaml"], "");
    assert_eq!(lax.status.code(), Some(0));
    let problems: Value = serde_json::from_slice(&lax.stdout).unwrap();
    assert_eq!((problems[0]["reason"].as_str(), problems[0]["severity"].as_str()), (Some("ProviderMissing"), Some("Waiting")));
    let strict = mandate(&["validate", "--strict", "examples/broken/missing-reference.yaml"], "");
    assert_eq!(strict.status.code(), Some(1));
}

#[test]
fn manifests_are_read_from_the_standard_input() {
    let output = mandate(&["validate", "-"], "kind: Namespace\napiVersion: v1\nmetadata: {name: Acme}\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).starts_with("-:3:18: error: Namespace Acme: metadata.name: Invalid value: \"Acme\": "), "{}", said(&output));
}

#[test]
fn what_cannot_be_meant_exits_with_2_and_a_file_that_is_not_there_with_1() {
    assert_eq!(mandate(&["validate"], "").status.code(), Some(2));
    let output = mandate(&["validate", "examples/nowhere"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).starts_with("examples/nowhere: error: "), "{}", said(&output));
}

/// To write it anew: `mandate plan examples/clinic > tests/offline/cli/clinic-plan.txt`
#[test]
fn the_plan_of_the_clinic_is_the_committed_one() {
    let output = mandate(&["plan", "examples/clinic"], "");
    assert_eq!(said(&output), include_str!("cli/clinic-plan.txt"));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_plan_states_hashes_that_hold_and_none_that_would_not() {
    let output = mandate(&["plan", "-o", "json", "examples/clinic"], "");
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    let schema = plan["hashes"].as_array().unwrap().iter().find(|hash| !hash["digest"].is_null()).unwrap();
    let hashed = mandate(&["hash", "examples/clinic/30-schema.yaml"], "");
    assert_eq!(schema["digest"].as_str().unwrap(), said(&hashed).trim_end());
    let input = |name: &str| plan["calls"].as_array().unwrap().iter().find(|call| call["name"] == name).unwrap()["input"].clone();
    assert!(input("clone/intake").is_string(), "nothing in it comes from outside");
    assert!(input("publish/intake").is_null(), "it names the clone, whose identifier only n8n gives");
}

#[test]
fn a_plan_without_templates_says_where_it_ends() {
    let copy = clinic();
    std::fs::remove_dir_all(copy.path().join("sandbox")).unwrap();
    let output = mandate(&["plan", copy.path().to_str().unwrap()], "");
    assert_eq!(output.status.code(), Some(0), "a play that cannot go on is no failure of the manifests");
    assert!(said(&output).contains("what follows step 1 was not played"), "{}", said(&output));
    assert!(said(&output).contains("NotSimulated") && !said(&output).contains("CloneWorkflow"), "{}", said(&output));
}

#[test]
fn a_plan_that_would_get_stuck_exits_with_1() {
    let copy = clinic();
    let path = copy.path().join("30-schema.yaml");
    let schema = std::fs::read_to_string(&path).unwrap().replace("constitutionVersion: \"1.0\"", "constitutionVersion: \"1.1\"");
    std::fs::write(&path, schema).unwrap();
    let output = mandate(&["plan", copy.path().to_str().unwrap()], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("ConstitutionUnknown"), "{}", said(&output));
}

#[test]
fn the_printed_text_hashes_to_the_printed_hash() {
    let document = r#"{"b": 1.0e0, "a": [true, null, "\u00e9"], "n": 7}"#;
    for arguments in [
        vec!["-", "--foreign"],
        vec!["-", "--pointer", "/a"],
        vec!["examples/clinic/30-schema.yaml"],
        vec!["examples/clinic/10-tenant.yaml", "--pointer", "/spec"],
    ] {
        let text = mandate(&[&["canonical"], arguments.as_slice()].concat(), document);
        let hash = mandate(&[&["hash"], arguments.as_slice()].concat(), document);
        assert_eq!((text.status.code(), hash.status.code()), (Some(0), Some(0)), "{arguments:?}");
        assert_eq!(said(&hash), format!("{}\n", Digest::of_bytes(&text.stdout)), "{arguments:?}");
    }
    assert_eq!(said(&mandate(&["canonical", "-", "--foreign"], document)), "{\"a\":[true,null,\"\u{e9}\"],\"b\":1,\"n\":7}");
    let refused = mandate(&["canonical", "-"], r#"{"a": 0.5}"#);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("/a: 0.5 is not an integer"), "{refused:?}");
}
