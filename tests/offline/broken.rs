//! examples/broken: each file is refused for one reason, and its `.expected` is what `mandate validate` says of it.

#![allow(clippy::unwrap_used, reason = "clippy permits it in test functions only, not in what they share")]

use std::collections::BTreeSet;
use std::path::Path;

use mandate::offline::folder::Folder;
use mandate::offline::validate::{refuses, validate};

use crate::examples::{files, folder};

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn each_broken_file_is_refused_in_the_words_of_its_expected() {
    let mut wrong = Vec::new();
    for path in files(&folder("broken"), ".yaml") {
        // Tests run at the root of the repository, so the file is named as its user would.
        let problems = validate(&Folder::read(&[format!("examples/broken/{}.yaml", stem(&path))])).unwrap();
        assert!(refuses(&problems, true), "{} is not refused", path.display());
        let said: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
        let expected = std::fs::read_to_string(path.with_extension("expected")).unwrap_or_default();
        if said != expected {
            wrong.push(format!("--- {}.expected\n{expected}--- what is said\n{said}", stem(&path)));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_broken_file_has_its_expected_and_none_is_left_over() {
    let stems = |ending: &str| files(&folder("broken"), ending).iter().map(|path| stem(path)).collect::<BTreeSet<_>>();
    assert_eq!(stems(".yaml"), stems(".expected"));
    assert!(stems(".yaml").len() >= 25);
}

/// A file with two faults would pass for the wrong one.
#[test]
fn each_broken_file_has_one_fault() {
    for path in files(&folder("broken"), ".expected") {
        let expected = std::fs::read_to_string(&path).unwrap();
        // What could not be checked because of the fault is no second one.
        let faults = expected.lines().filter(|line| !line.contains("some validation rules were not checked")).count();
        assert_eq!(faults, 1, "{}\n{expected}", path.display());
    }
}
