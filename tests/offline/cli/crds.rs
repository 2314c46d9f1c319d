//! The committed CRDs are the generated ones, and hold what the API server and its users need.

use std::path::Path;

use mandate::kinds::crd;
use serde_json::{Value, json};

#[test]
fn the_committed_crds_are_fresh() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    for defined in crd::all() {
        let path = folder.join(format!("{}.yaml", defined.resource));
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == crd::yaml(defined).unwrap(), "{} is stale: run `mandate crds --dir crds`", path.display());
    }
    let names = |resource: &dyn std::fmt::Display| format!("{resource}.yaml");
    let known: Vec<String> = crd::all().iter().map(|defined| names(&defined.resource)).collect();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // Other generated files may lie beside them; a CRD of no kind may not.
        assert!(!name.ends_with(".mandate.dev.yaml") || known.contains(&name), "{name} is of no kind");
    }
}

#[test]
fn all_crds_are_printed_as_one_stream() {
    let output = super::mandate(&["crds"], "");
    let printed: Vec<Value> = serde_yaml::from_multiple(super::said(&output)).unwrap();
    assert_eq!(printed, crd::all().iter().map(|defined| defined.crd.clone()).collect::<Vec<_>>());
}

fn schema_of(crd: &Value) -> &Value {
    crd.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap()
}

#[test]
fn every_field_is_bounded_described_and_plain() {
    let mut faults = Vec::new();
    for defined in crd::all() {
        inspect(schema_of(&defined.crd), defined.resource.kind, &mut faults);
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_inspection_sees_each_fault() {
    for (schema, fault) in [
        (json!({"type": "string"}), "no maxLength or enum"),
        (json!({"type": "array", "items": {"type": "boolean"}}), "no maxItems"),
        (json!({"type": "object", "additionalProperties": {"type": "boolean"}}), "no maxProperties"),
        (json!({"type": "object", "properties": {"a": {"type": "boolean"}}}), "no description"),
        (json!({"type": "boolean", "nullable": true}), "nullable"),
        (json!({"$ref": "#/x"}), "$ref"),
        (json!({"type": "integer", "format": "uint32"}), "format uint32"),
    ] {
        let mut faults = Vec::new();
        inspect(&schema, "x", &mut faults);
        assert!(faults.iter().any(|found| found.contains(fault)), "{fault}: {faults:?}");
    }
}

fn inspect(schema: &Value, at: &str, faults: &mut Vec<String>) {
    let mut fault = |what: &str| faults.push(format!("{at}: {what}"));
    if schema["x-kubernetes-preserve-unknown-fields"] == json!(true) {
        return;
    }
    let has = |key: &str| schema.get(key).is_some();
    match schema["type"].as_str() {
        Some("string") if !has("maxLength") && !has("enum") => fault("no maxLength or enum"),
        Some("array") if !has("maxItems") => fault("no maxItems"),
        Some("object") if has("additionalProperties") && !has("maxProperties") => fault("no maxProperties"),
        Some(_) => {}
        None => fault("no type"),
    }
    for key in ["nullable", "$ref", "oneOf", "anyOf", "allOf", "not"] {
        if has(key) {
            fault(key);
        }
    }
    if let Some(format) = schema["format"].as_str().filter(|format| !["date-time", "int32", "int64"].contains(format)) {
        fault(&format!("format {format}"));
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        // The API server describes metadata itself.
        let is_ours = at.contains('.') || name != "metadata";
        if is_ours && field["description"].as_str().unwrap_or_default().is_empty() {
            faults.push(format!("{at}.{name}: no description"));
        }
        inspect(field, &format!("{at}.{name}"), faults);
    }
    for (key, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if let Some(inner) = schema.get(key).filter(|inner| inner.is_object()) {
            inspect(inner, &format!("{at}{mark}"), faults);
        }
    }
}

#[test]
fn a_status_says_that_nothing_was_observed_until_something_is() {
    for defined in crd::all() {
        let schema = schema_of(&defined.crd);
        if schema.pointer("/properties/status").is_none() {
            assert_eq!(defined.resource.kind, "AuditRecord", "records alone have no status");
            continue;
        }
        assert_eq!(schema.pointer("/properties/status/default"), Some(&json!({"observedGeneration": -1})), "{}", defined.resource);
    }
}

/// The API server's own words: `namespace` and the like can only be named escaped.
#[test]
fn rules_escape_the_words_that_cel_reserves() {
    let reserved = ["namespace", "package", "import", "function", "return", "let", "const", "for", "while", "break", "continue", "var"];
    for defined in crd::all() {
        let text = defined.crd.to_string();
        for word in reserved {
            assert!(!text.contains(&format!("elf.{word} ")) && !text.contains(&format!("elf.{word})")), "{}: {word}", defined.resource);
        }
    }
}
