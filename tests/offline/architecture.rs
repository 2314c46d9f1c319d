//! The shape of the source: who may use whom, what is pure, how long things may be, what a kind declares.
//!
//! Each check is a function from source text to findings, with a test on text that breaks it: a check that cannot fail
//! proves nothing. Uses are found by reading `crate::` and `super::` paths, after comments, strings and test modules are
//! blanked; a path that a macro builds is not seen.

#![allow(clippy::unwrap_used, reason = "clippy permits it in test functions only, not in what they share")]

mod source;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use mandate::engine::kind::AnyKind;
use mandate::engine::port::{Access, Verb};
use mandate::kinds::KINDS;
use mandate::model::resource::Resource;
use regex::Regex;

use source::{Source, sources};

/// Each layer and what it may use besides itself. `engine::port` alone is meant where that is said.
const LAYERS: [(&str, &[&str]); 10] = [
    ("model", &[]),
    ("engine", &["model"]),
    ("kinds", &["model", "engine"]),
    ("adapters", &["model", "engine"]),
    ("world", &["model", "engine"]),
    // A stand-in for other people's systems: it must not know what asks it.
    ("sandbox", &["model", "engine::port"]),
    ("operator", &["model", "engine", "kinds", "adapters", "world"]),
    // A plan is the operator's own loop over a world in memory: there is no second implementation of the truth.
    ("offline", &["model", "engine", "kinds", "adapters", "world", "sandbox", "operator"]),
    ("http", &["model", "engine", "kinds", "adapters", "world", "offline", "operator"]),
    ("cli", &["model", "engine", "kinds", "adapters", "world", "sandbox", "offline", "operator", "http"]),
];

/// What a kind's files may be called if they are pure.
const PURE_FILES: [&str; 12] =
    ["api", "lifecycle", "rules", "decide", "children", "view", "calls", "evidence", "invariants", "propagation", "removal", "revisions"];
/// Pure files of the engine. `audit` is pure although kinds use it: it declares what an invariant is.
const PURE_ENGINE: [&str; 6] = ["decision", "outcome", "diff", "settle", "audit", "news"];

const MAX_FILE: usize = 500;
const MAX_FUNCTION: usize = 70;
const MAX_LOOP: usize = 60;

/// Uses of layers that may not be used.
fn upward_uses(source: &Source) -> Vec<String> {
    let Some(layer) = source.layer() else { return Vec::new() };
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == layer) else {
        return vec![format!("{}: {layer} is no layer: give it its place in LAYERS", source.path)];
    };
    let fits = |used: &str| {
        let under = |prefix: &str| used == prefix || used.strip_prefix(prefix).is_some_and(|rest| rest.starts_with("::"));
        under(layer) || allowed.iter().any(|allowed| under(allowed))
    };
    let wrong = source.uses().into_iter().filter(|used| !fits(used));
    wrong.map(|used| format!("{}: {layer} must not use {used}", source.path)).collect()
}

/// Uses of another kind than by its `api`.
fn uses_of_other_kinds(source: &Source, kinds: &BTreeSet<String>) -> Vec<String> {
    let Some(own) = source.kind() else { return Vec::new() };
    let mut wrong = Vec::new();
    for used in source.uses() {
        let mut parts = used.split("::");
        let (Some("kinds"), Some(other)) = (parts.next(), parts.next()) else { continue };
        if other == own || !kinds.contains(other) {
            continue;
        }
        match parts.next() {
            Some("api") => {}
            Some(part) => wrong.push(format!("{other}::{part}")),
            None => wrong
                .extend(source.members_of(other).into_iter().filter(|member| member != "api").map(|member| format!("{other}::{member}"))),
        }
    }
    wrong.into_iter().map(|used| format!("{}: {own} may use the api of another kind only, not {used}", source.path)).collect()
}

fn is_pure(source: &Source) -> bool {
    let stem = source.stem();
    match source.layer() {
        Some("model") => true,
        Some("engine") => PURE_ENGINE.contains(&stem),
        Some("kinds") => source.kind().is_some() && PURE_FILES.contains(&stem),
        Some(_) | None => false,
    }
}

/// What a pure file must not say.
fn impurities(source: &Source) -> Vec<String> {
    static IMPURE: LazyLock<Regex> = LazyLock::new(|| {
        let outside = r"\b(async|await|tokio|rand|reqwest|SystemTime|Instant|new_v4)\b|\bTimestamp::now\b|\bZoned::now\b";
        let library = r"\bstd::(fs|env|net|process|thread|io)\b|\bstd::\{[^}]*\b(fs|env|net|process|thread|io)\b";
        Regex::new(&format!("{outside}|{library}")).unwrap()
    });
    IMPURE.find_iter(&source.code).map(|word| format!("{}: a pure file says {:?}", source.path, word.as_str())).collect()
}

fn overlong(source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    if source.lines > MAX_FILE {
        findings.push(format!("{}: {} lines, more than {MAX_FILE}", source.path, source.lines));
    }
    for (name, lines) in source.functions() {
        let most = if source.path == "src/engine/step.rs" && name == "pass" { MAX_LOOP } else { MAX_FUNCTION };
        if lines > most {
            findings.push(format!("{}: {name} has {lines} lines, more than {most}", source.path));
        }
    }
    findings
}

fn unfinished(source: &Source) -> Vec<String> {
    static UNFINISHED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b(todo|unimplemented|dbg)!|#\[ignore").unwrap());
    UNFINISHED.find_iter(&source.everything).map(|word| format!("{}: {}", source.path, word.as_str())).collect()
}

/// What a kind does by the loop's nature and does not declare.
fn undeclared(resource: &Resource, children: &[&Resource], reads: &[Access], writes: &[Access]) -> Vec<String> {
    let may = |declared: &[Access], wanted: &Resource, verb: Verb| {
        declared.iter().any(|access| access.resource == wanted && access.verbs.contains(&verb))
    };
    let mut findings = Vec::new();
    for child in children {
        if !may(writes, child, Verb::Create) {
            findings.push(format!("{}: CHILDREN has {child} but WRITES does not create it", resource.kind));
        }
        if !may(reads, child, Verb::List) {
            findings.push(format!("{}: CHILDREN has {child} but READS does not list it", resource.kind));
        }
    }
    if !may(writes, resource, Verb::UpdateStatus) {
        findings.push(format!("{}: WRITES does not hold its own status", resource.kind));
    }
    for verb in [Verb::Get, Verb::List, Verb::Watch] {
        if !may(reads, resource, verb) {
            findings.push(format!("{}: READS does not hold {verb:?} of itself", resource.kind));
        }
    }
    findings
}

fn kind_folders(sources: &[Source]) -> BTreeSet<String> {
    sources.iter().filter_map(|source| source.kind().map(str::to_owned)).collect()
}

fn production() -> Vec<Source> {
    let found = sources("src");
    assert!(found.len() > 50, "the sources were not found");
    found.into_iter().filter(|source| !source.is_test()).collect()
}

fn none(findings: Vec<String>) {
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

#[test]
fn dependencies_point_one_way() {
    none(production().iter().flat_map(upward_uses).collect());
}

#[test]
fn a_kind_uses_only_the_api_of_another() {
    let sources = production();
    let kinds = kind_folders(&sources);
    assert_eq!(kinds.len(), 7, "{kinds:?}");
    none(sources.iter().flat_map(|source| uses_of_other_kinds(source, &kinds)).collect());
}

#[test]
fn nothing_below_decide_reads_clock_network_disk_or_environment() {
    let sources = production();
    let pure: Vec<&Source> = sources.iter().filter(|source| is_pure(source)).collect();
    assert!(pure.len() > 40, "{}", pure.len());
    none(pure.into_iter().flat_map(impurities).collect());
}

#[test]
fn files_and_functions_stay_short() {
    none(production().iter().flat_map(overlong).collect());
}

#[test]
fn nothing_is_left_unfinished_and_no_test_is_ignored() {
    none(sources("src").iter().chain(&sources("tests")).flat_map(unfinished).collect());
}

#[test]
fn a_kind_declares_what_the_loop_does_for_it() {
    let undeclared = |kind: &&dyn AnyKind| undeclared(kind.resource(), kind.children(), kind.reads(), kind.writes());
    none(KINDS.iter().flat_map(undeclared).collect());
}

/// The checks on text that breaks them.
mod broken {
    use super::*;

    fn at(path: &str, text: &str) -> Source {
        Source::new(path, text)
    }

    #[test]
    fn each_way_up_is_seen() {
        for (path, text) in [
            ("src/model/name.rs", "use crate::engine::port::Clock;"),
            ("src/engine/step.rs", "use crate::{model::name, kinds::KINDS};"),
            ("src/kinds/tenant/rules.rs", "fn f() { crate::adapters::n8n::x(); }"),
            ("src/kinds/tenant/rules.rs", "use super::super::super::world::memory;"),
            ("src/adapters/mod.rs", "use super::kinds::KINDS;"),
            ("src/world/store.rs", "use crate::adapters;"),
            ("src/sandbox/mod.rs", "use crate::engine::kind::Kind;"),
            ("src/operator/runner.rs", "use crate::offline::folder;"),
            ("src/http/mod.rs", "use crate::cli;"),
            ("src/newcomer/mod.rs", ""),
        ] {
            assert_eq!(upward_uses(&at(path, text)).len(), 1, "{path}: {text}");
        }
    }

    #[test]
    fn what_is_allowed_or_only_said_is_not_seen() {
        for (path, text) in [
            ("src/engine/step.rs", "use super::port::World; use crate::model::{name::DnsLabel, time};"),
            ("src/sandbox/mod.rs", "use crate::engine::port::Clock;"),
            ("src/model/name.rs", "// crate::kinds\nconst TEXT: &str = \"crate::kinds\";"),
            ("src/model/name.rs", "#[cfg(test)]\nmod tests {\n    use crate::kinds::KINDS;\n}"),
            ("src/main.rs", "use crate::cli;"),
        ] {
            assert_eq!(upward_uses(&at(path, text)), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn another_kinds_rules_are_seen_by_any_path() {
        let kinds = ["tenant", "provider"].map(str::to_owned).into();
        for text in [
            "use crate::kinds::provider::rules;",
            "use crate::kinds::{provider::decide::decide, status_value};",
            "use crate::kinds::provider;\nfn f() { provider::rules::check(); }",
            "use super::super::provider::rules::check;",
        ] {
            assert_eq!(uses_of_other_kinds(&at("src/kinds/tenant/decide.rs", text), &kinds).len(), 1, "{text}");
        }
        let fine = "use crate::kinds::{provider, status_value};\nuse crate::kinds::tenant::rules;\nfn f() { provider::api::x(); }";
        assert_eq!(uses_of_other_kinds(&at("src/kinds/tenant/decide.rs", fine), &kinds), Vec::<String>::new());
    }

    #[test]
    fn each_impurity_is_seen_in_code_and_not_in_words() {
        for text in [
            "async fn f() {}",
            "use tokio::time;",
            "use std::fs;",
            "use std::{fmt, fs};",
            "fn f() { std::env::var(\"x\"); }",
            "fn f() { jiff::Timestamp::now(); }",
            "use std::time::SystemTime;",
            "fn f() { rand::random(); }",
            "fn f() { uuid::Uuid::new_v4(); }",
        ] {
            assert_eq!(impurities(&at("src/model/x.rs", text)).len(), 1, "{text}");
        }
        assert_eq!(impurities(&at("src/model/x.rs", "// async\nconst X: &str = \"tokio\"; struct Operand;")), Vec::<String>::new());
        assert!(is_pure(&at("src/kinds/tenant/decide.rs", "")) && !is_pure(&at("src/kinds/tenant/facts.rs", "")));
    }

    #[test]
    fn length_is_counted_in_lines_of_code() {
        let body = |lines: usize| format!("fn long(x: [u8; 3]) {{\n{}}}\n", "    x();\n".repeat(lines));
        assert_eq!(overlong(&at("src/model/x.rs", &body(69))).len(), 1);
        assert_eq!(overlong(&at("src/model/x.rs", &body(68))).len(), 0);
        let commented = format!("fn long() {{\n{}}}\n", "    // why\n".repeat(100));
        assert_eq!(overlong(&at("src/model/x.rs", &commented)).len(), 0);
        assert_eq!(overlong(&at("src/engine/step.rs", &body(59).replace("long", "pass"))).len(), 1);
        assert_eq!(overlong(&at("src/model/x.rs", &"\n".repeat(501))).len(), 1);
    }

    #[test]
    fn unfinished_work_is_seen_in_code_and_not_in_words() {
        let (unwanted, words) = include_str!("architecture/unfinished.txt").split_once("\n=====\n").unwrap();
        let snippets: Vec<&str> = unwanted.split("\n---\n").collect();
        assert_eq!(snippets.len(), 4);
        for text in snippets {
            assert_eq!(unfinished(&at("src/model/x.rs", text)).len(), 1, "{text}");
        }
        assert_eq!(unfinished(&at("src/model/x.rs", words)), Vec::<String>::new());
    }

    #[test]
    fn an_undeclared_child_is_seen() {
        use mandate::model::resource::{NAMESPACE, SECRET};
        let all: &[Verb] = &[Verb::Get, Verb::List, Verb::Watch, Verb::UpdateStatus, Verb::Create];
        let own = [Access { resource: &SECRET, verbs: all }];
        assert_eq!(undeclared(&SECRET, &[], &own, &own), Vec::<String>::new());
        assert_eq!(undeclared(&SECRET, &[&NAMESPACE], &own, &own).len(), 2);
        assert_eq!(undeclared(&SECRET, &[], &[], &own).len(), 3);
        assert_eq!(undeclared(&SECRET, &[], &own, &[]).len(), 1);
    }
}
