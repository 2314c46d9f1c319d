//! The structural schema against answers of kube-apiserver's own validation code (release 1.36).
//!
//! `schema_cases.json` is a table: schema, object, perhaps the old object, and what the API server made of it. Its order of
//! fields is random, so causes are compared sorted; our own order has a test of its own.

#![allow(clippy::unwrap_used, reason = "clippy permits it in test functions only, not in what they share")]

use std::collections::BTreeSet;

use mandate::engine::port::Cause;
use mandate::world::schema::{Schema, SchemaError};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Case {
    name: String,
    schema: Value,
    object: Value,
    old: Option<Value>,
    #[serde(default)]
    pruned: Vec<String>,
    shaped: Option<Value>,
    causes: Vec<[String; 3]>,
}

fn compile(schema: &Value) -> Schema {
    Schema::compile(schema).unwrap()
}

/// As the API server receives it: with a type and a name.
fn complete(object: &Value) -> Value {
    let mut object = object.clone();
    object["apiVersion"] = "mandate.dev/v1alpha1".into();
    object["kind"] = "Thing".into();
    if object.get("metadata").is_none() {
        object["metadata"] = json!({"name": "thing"});
    }
    object
}

fn shaped(schema: &Schema, object: &Value) -> (Value, Vec<String>) {
    let mut object = complete(object);
    schema.default(&mut object);
    let pruned = schema.prune(&mut object);
    (object, pruned)
}

fn causes(schema: &Schema, object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let old = old.map(|old| shaped(schema, old).0);
    schema.validate(&shaped(schema, object).0, old.as_ref())
}

/// One case's differences from the API server, for reading.
fn differences(case: &Case) -> Vec<String> {
    let schema = match Schema::compile(&case.schema) {
        Ok(schema) => schema,
        Err(error) => return vec![format!("{}: {error}", case.name)],
    };
    let mut differences = Vec::new();
    let (object, pruned) = shaped(&schema, &case.object);
    if pruned != case.pruned {
        differences.push(format!("{}: pruned {pruned:?}, expected {:?}", case.name, case.pruned));
    }
    let expected = complete(case.shaped.as_ref().unwrap_or(&case.object));
    if object != expected {
        differences.push(format!("{}: shaped {object}, expected {expected}", case.name));
    }
    let mut found: Vec<[String; 3]> = causes(&schema, &case.object, case.old.as_ref())
        .into_iter()
        .map(|cause| [cause.reason.to_owned(), cause.field, cause.message])
        .collect();
    found.sort_unstable();
    if found != case.causes {
        differences.push(format!("{}:\n    found    {found:?}\n    expected {:?}", case.name, case.causes));
    }
    differences
}

#[test]
fn every_answer_is_the_api_servers() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("schema_cases.json")).unwrap();
    assert!(cases.len() > 100, "{}", cases.len());
    let differences: Vec<String> = cases.iter().flat_map(differences).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn causes_are_in_order_structure_then_duplicates_then_rules() {
    let schema = compile(&json!({"type": "object", "properties": {"spec": {"type": "object", "required": ["z", "y"], "properties": {
        "b": {"type": "string", "pattern": "^x$"},
        "a": {"type": "string", "minLength": 3},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "y": {"type": "string"}, "z": {"type": "string"},
    }, "x-kubernetes-validations": [{"rule": "self.a == self.b", "message": "second"}, {"rule": "false", "message": "third"}]}}}));
    let fields = |object: &Value| causes(&schema, object, None).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        fields(&json!({"spec": {"b": "q", "a": "r", "set": ["s", "s"], "y": "", "z": ""}})),
        [
            r#"spec.a: Invalid value: "r": spec.a in body should be at least 3 chars long"#,
            r#"spec.b: Invalid value: "q": spec.b in body should match '^x$'"#,
            r#"spec.set[1]: Duplicate value: "s""#,
            "spec: Invalid value: second",
            "spec: Invalid value: third",
        ]
    );
    assert_eq!(fields(&json!({"spec": {"b": "x"}}))[..2], ["spec.z: Required value", "spec.y: Required value"]);
}

fn refusal(schema: &Value) -> SchemaError {
    let whole = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {"x": schema}}}});
    Schema::compile(&whole).unwrap_err()
}

#[test]
fn what_cannot_be_checked_refuses_the_schema_and_says_where() {
    for (schema, at, message) in [
        (json!({"type": "string", "pattern": "("}), "", "pattern \"(\""),
        (json!({"type": "string", "pattern": "[a--b]"}), "", "ambiguous"),
        (json!({"type": "string", "format": "email"}), "", "format \"email\" is not supported"),
        (json!({"$ref": "#/definitions/x"}), "", "keyword \"$ref\" is not supported"),
        (json!({"type": "array", "uniqueItems": true}), "", "uniqueItems"),
        (json!({"type": "text"}), "", "type \"text\" is not supported"),
        (json!({"type": "object", "additionalProperties": false}), "", "additionalProperties cannot be set to false"),
        (json!({"type": "string", "maxLength": -1}), "", "maxLength must be a whole number"),
        (json!({"type": "integer", "maximum": 1.5}), "", "must be an integer"),
        (json!({"type": "array", "x-kubernetes-list-type": "map"}), "", "x-kubernetes-list-map-keys"),
        (json!({"type": "string", "x-kubernetes-validations": [{"rule": "self =="}]}), "/x-kubernetes-validations/0", "rule \"self ==\""),
        (
            json!({"type": "object", "x-kubernetes-validations": [{"rule": "!self.?a.hasValue()"}]}),
            "/x-kubernetes-validations/0",
            "unsupported syntax '.?'",
        ),
        (json!({"type": "string", "x-kubernetes-validations": [{"rule": ""}]}), "/x-kubernetes-validations/0", "empty"),
        (
            json!({"type": "string", "x-kubernetes-validations": [{"rule": "true", "messageExpression": "("}]}),
            "/x-kubernetes-validations/0",
            "messageExpression",
        ),
        (
            json!({"type": "string", "x-kubernetes-validations": [{"rule": "true", "reason": "Because"}]}),
            "/x-kubernetes-validations/0",
            "reason \"Because\" is not supported",
        ),
        (
            json!({"type": "object", "x-kubernetes-validations": [{"rule": "true", "fieldPath": ".nobody"}]}),
            "/x-kubernetes-validations/0",
            "does not refer to a valid field",
        ),
        (json!({"type": "string", "allOf": [{"x-kubernetes-validations": [{"rule": "true"}]}]}), "", "rules in allOf"),
        (json!([]), "", "must be an object"),
    ] {
        let error = refusal(&schema);
        assert_eq!(error.at, format!("/properties/spec/properties/x{at}"), "{schema}");
        assert!(error.message.contains(message), "{schema}: {error}");
    }
}

#[test]
fn a_schema_nested_without_end_is_refused_not_followed() {
    let mut schema = json!({"type": "string"});
    for _ in 0..500 {
        schema = json!({"type": "object", "properties": {"x": schema}});
    }
    assert!(Schema::compile(&schema).unwrap_err().message.contains("too deeply"));
}

#[test]
fn a_rule_that_cannot_be_evaluated_refuses_the_object_even_if_it_did_not_change() {
    let object = json!({"spec": {"x": "1"}});
    for rule in
        ["nobody.x == 1", "self.x.unheardOf()", "Thing{x: 1} == self", "self.x", "self.x + 1 == 2", "self.absent", "type(self.x) == string"]
    {
        let schema = compile(&json!({"type": "object", "properties": {"spec": {"type": "object",
            "properties": {"x": {"type": "string"}, "absent": {"type": "boolean"}},
            "x-kubernetes-validations": [{"rule": rule, "message": "the message"}]}}}));
        for old in [None, Some(&object)] {
            let found = causes(&schema, &object, old);
            assert_eq!(found.len(), 1, "{rule}: {found:?}");
            assert!(found[0].message.starts_with("Invalid value: \"object\": "), "{rule}: {}", found[0]);
            assert!(found[0].message.ends_with("rule: the message"), "{rule}: {}", found[0]);
        }
    }
}

#[test]
fn a_schema_may_be_shared_between_threads() {
    fn shared<T: Send + Sync>(value: T) -> T {
        value
    }
    let schema = shared(compile(&json!({"type": "object", "properties": {"spec": {"type": "string",
        "x-kubernetes-validations": [{"rule": "self == 'a'"}]}}})));
    let schema = &schema;
    let answers: BTreeSet<usize> = std::thread::scope(|scope| {
        let workers: Vec<_> =
            ["a", "b"].map(|text| scope.spawn(move || causes(schema, &json!({"spec": text}), None).len())).into_iter().collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    assert_eq!(answers, BTreeSet::from([0, 1]));
}
