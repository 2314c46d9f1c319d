//! Reading manifests: what scalars mean, where they stand, what is refused and where.

#![allow(clippy::unwrap_used, reason = "clippy permits it in test functions only, not in what they share")]

use mandate::model::limits::MAX_OBJECT_BYTES;
use mandate::offline::yaml::{LocatedDocument, MAX_DEPTH, Position, YamlError, pointer_of_field, read, read_bytes};
use proptest::prelude::*;
use serde_json::{Value, json};

fn one(text: &str) -> LocatedDocument {
    let mut documents = read(text).unwrap();
    assert_eq!(documents.len(), 1, "{text}");
    documents.remove(0)
}

fn refused(text: &str) -> String {
    read(text).unwrap_err().in_file("f.yaml")
}

fn at(line: u32, column: u32) -> Option<Position> {
    Some(Position { line, column })
}

/// Answers of sigs.k8s.io/yaml 1.6.
const SCALARS: &[(&str, &str)] = &[
    ("a: yes", r#"{"a":true}"#),
    ("a: y", r#"{"a":true}"#),
    ("a: n", r#"{"a":false}"#),
    ("a: on", r#"{"a":true}"#),
    ("a: off", r#"{"a":false}"#),
    ("a: No", r#"{"a":false}"#),
    ("a: True", r#"{"a":true}"#),
    ("a: tRUE", r#"{"a":"tRUE"}"#),
    ("a: 0777", r#"{"a":511}"#),
    ("a: 08", r#"{"a":8}"#),
    ("a: 0o17", r#"{"a":15}"#),
    ("a: 0b11", r#"{"a":3}"#),
    ("a: -0b11", r#"{"a":-3}"#),
    ("a: 0x1F", r#"{"a":31}"#),
    ("a: 1_000", r#"{"a":1000}"#),
    ("a: _1", r#"{"a":"_1"}"#),
    ("a: 1__0", r#"{"a":10}"#),
    ("a: 1.5", r#"{"a":1.5}"#),
    ("a: 1.0", r#"{"a":1}"#),
    ("a: 1e3", r#"{"a":1000}"#),
    ("a: 1e400", r#"{"a":"1e400"}"#),
    ("a: .5", r#"{"a":0.5}"#),
    ("a: .5e1", r#"{"a":5}"#),
    ("a: 5.", r#"{"a":5}"#),
    ("a: +12", r#"{"a":12}"#),
    ("a: ~", r#"{"a":null}"#),
    ("a:", r#"{"a":null}"#),
    ("a: null", r#"{"a":null}"#),
    ("a: NULL", r#"{"a":null}"#),
    ("a: nUll", r#"{"a":"nUll"}"#),
    ("a: 2001-01-01", r#"{"a":"2001-01-01"}"#),
    ("a: 2001-12-14t21:59:43.10-05:00", r#"{"a":"2001-12-14t21:59:43.10-05:00"}"#),
    ("a: 12:30:45", r#"{"a":"12:30:45"}"#),
    ("a: 190:20:30", r#"{"a":"190:20:30"}"#),
    ("a: 18446744073709551615", r#"{"a":18446744073709551615}"#),
    ("a: 18446744073709551616", r#"{"a":18446744073709552000}"#),
    ("a: 9223372036854775808", r#"{"a":9223372036854775808}"#),
    ("a: 1e21", r#"{"a":1e+21}"#),
    ("a: 123456789012345678901234567890", r#"{"a":1.2345678901234568e+29}"#),
    ("a: 0x", r#"{"a":"0x"}"#),
    ("a: 0.1_0", r#"{"a":0.1}"#),
    ("a: 1_0.5", r#"{"a":10.5}"#),
    ("a: '1'", r#"{"a":"1"}"#),
    ("a: !!str 1", r#"{"a":"1"}"#),
    (r#"a: !!int "3""#, r#"{"a":3}"#),
    ("a: !!float 3", r#"{"a":3}"#),
    ("a: !!bool yes", r#"{"a":true}"#),
    ("a: !!null ''", r#"{"a":null}"#),
    ("yes: 1", r#"{"true":1}"#),
    ("1: a", r#"{"1":"a"}"#),
    ("a: &x {b: 1}\nc: *x", r#"{"a":{"b":1},"c":{"b":1}}"#),
    ("d: &d {k: 1, l: 2}\na:\n  <<: *d\n  k: 3", r#"{"a":{"k":3,"l":2},"d":{"k":1,"l":2}}"#),
    ("d: &d {k: 1}\ne: &e {k: 2, m: 5}\na:\n  <<: [*d, *e]", r#"{"a":{"k":1,"m":5},"d":{"k":1},"e":{"k":2,"m":5}}"#),
    ("'<<': 1", r#"{"\u003c\u003c":1}"#),
    ("a: <<", r#"{"a":"\u003c\u003c"}"#),
    ("a: =", r#"{"a":"="}"#),
    ("a: |\n  x\n  y\n", r#"{"a":"x\ny\n"}"#),
    ("a: >-\n  x\n  y\n", r#"{"a":"x y"}"#),
    ("a: 1.", r#"{"a":1}"#),
    ("a: -.5", r#"{"a":-0.5}"#),
    ("a: +.5", r#"{"a":0.5}"#),
    ("a: 1e+3", r#"{"a":1000}"#),
    ("a: 00", r#"{"a":0}"#),
    ("a: 007", r#"{"a":7}"#),
    ("a: -0777", r#"{"a":-511}"#),
    ("a: 0_7", r#"{"a":7}"#),
    ("a: 1,000", r#"{"a":"1,000"}"#),
    ("a: 0.0", r#"{"a":0}"#),
    ("a: -0.0", r#"{"a":-0}"#),
    ("a: 1E3", r#"{"a":1000}"#),
    ("a: 0b", r#"{"a":"0b"}"#),
    ("a: 0o", r#"{"a":"0o"}"#),
    ("a: -0o17", r#"{"a":-15}"#),
    ("a: +0x1F", r#"{"a":31}"#),
    ("a: 1:2", r#"{"a":"1:2"}"#),
    ("a: Infinity", r#"{"a":"Infinity"}"#),
    ("a: inf", r#"{"a":"inf"}"#),
    ("a: 0x1p4", r#"{"a":"0x1p4"}"#),
    ("a: .1_0", r#"{"a":0.1}"#),
    ("a: ._5", r#"{"a":"._5"}"#),
    ("a: Y", r#"{"a":true}"#),
    ("a: N", r#"{"a":false}"#),
    ("a: 123abc", r#"{"a":"123abc"}"#),
    ("&a a: *a", r#"{"a":"a"}"#),
    ("a: ''", r#"{"a":""}"#),
    (r#"a: "\u263A \x41""#, r#"{"a":"☺ A"}"#),
    ("a: !!str", r#"{"a":""}"#),
    ("a: ! 12", r#"{"a":"12"}"#),
    ("a: 1e-7", r#"{"a":1e-7}"#),
    ("a: 100000000000000000000", r#"{"a":100000000000000000000}"#),
];

#[test]
fn scalars_mean_what_they_mean_to_the_cluster() {
    for (text, expected) in SCALARS {
        let mut expected: Value = serde_json::from_str(expected).unwrap();
        if expected["a"].as_f64() == Some(0.0) {
            // Go writes `-0` for a negative zero and reads it as the integer.
            expected["a"] = json!(0);
        }
        let found = one(text).value;
        let is_same_number = found["a"].is_f64() && found["a"].as_f64() == expected["a"].as_f64();
        assert!(found == expected || is_same_number, "{text:?}: {found} is not {expected}");
    }
}

#[test]
fn what_is_ambiguous_or_no_json_is_refused_with_its_place() {
    for (text, message) in [
        ("a: 1\nb: 2\na: 3", "f.yaml:3:1: key \"a\" stands here twice, first on line 1"),
        ("a: {b: 1, b: 2}", "f.yaml:1:11: key \"b\" stands here twice, first on line 1"),
        ("on: 1\ntrue: 2", "f.yaml:2:1: key \"true\" stands here twice, first on line 1"),
        ("1: a\n'1': b", "f.yaml:2:1: key \"1\" stands here twice, first on line 1"),
        ("d: &d {k: 1}\na:\n  k: 3\n  <<: *d", "f.yaml:4:3: << must stand before key \"k\", which it also brings"),
        ("a:\n  <<: 3", "f.yaml:2:3: << needs an object or a list of objects"),
        ("a: .inf", "f.yaml:1:4: JSON has no number .inf"),
        ("a: .nan", "f.yaml:1:4: JSON has no number .nan"),
        ("a: !!int x", "f.yaml:1:10: \"x\" is not what its tag !!int says"),
        ("a: !custom 3", "f.yaml:1:12: tag !custom is not supported"),
        ("a: !!binary aGk=", "f.yaml:1:13: tag !!binary is not supported"),
        ("a: !custom {b: 1}", "f.yaml:1:12: tag !custom is not supported"),
        ("~: a", "f.yaml:1:1: a key must be text"),
        ("1.5: a", "f.yaml:1:1: a key must be text: put the number in quotes"),
        ("? [a]\n: b", "f.yaml:1:3: a key must be text"),
        ("a: &x [*x]", "f.yaml:1:8: an alias cannot stand inside of what it stands for"),
        ("- a\n- b", "f.yaml:1:1: an object is expected here, not a list"),
        ("a: 1\n---\ntext", "f.yaml:3:1: an object is expected here, not text"),
        ("kind: List\nitems: 3", "f.yaml:2:8: the items of a List must be a list, not a number"),
        ("kind: List\nitems:\n- kind: A\n- 3", "f.yaml:4:3: an object is expected here, not a number"),
    ] {
        assert_eq!(refused(text), message, "{text:?}");
    }
}

#[test]
fn text_that_is_no_yaml_is_refused_at_the_place() {
    for (text, line) in [("a: 1\n\tb: 2", 2), ("a: [1, 2", 1), ("a: 1\n b: 2", 2), ("a: \"x", 1), ("a: *nobody", 1), ("{\"a\": }}", 1)] {
        let error = read(text).unwrap_err();
        assert_eq!(error.line, line, "{text:?}: {error}");
        assert!(!error.message.is_empty(), "{text:?}");
    }
}

const DEPLOYMENT: &str = "\
# A comment.
apiVersion: mandate.dev/v1alpha1
kind: AssistantDeployment
metadata:
  name: front-desk
spec:
  workflows:
    - name: intake
      nodes: [a, \"b c\", {d: e}]
    - name: reminder
      empty:
  text: |
    two
    lines
  providers: {crm.main: ä, x/y~z: 1}
";

#[test]
fn every_value_and_key_has_its_place() {
    let document = one(DEPLOYMENT);
    assert_eq!(document.line, 2);
    for (pointer, value, key) in [
        ("", at(2, 1), None),
        ("/kind", at(3, 7), at(3, 1)),
        ("/metadata", at(5, 3), at(4, 1)),
        ("/metadata/name", at(5, 9), at(5, 3)),
        ("/spec/workflows", at(8, 5), at(7, 3)),
        ("/spec/workflows/0", at(8, 7), None),
        ("/spec/workflows/0/nodes", at(9, 14), at(9, 7)),
        ("/spec/workflows/0/nodes/1", at(9, 18), None),
        ("/spec/workflows/0/nodes/2/d", at(9, 29), at(9, 26)),
        ("/spec/workflows/1/name", at(10, 13), at(10, 7)),
        ("/spec/workflows/1/empty", at(11, 7), at(11, 7)),
        ("/spec/text", at(13, 5), at(12, 3)),
        ("/spec/providers/crm.main", at(15, 25), at(15, 15)),
        ("/spec/providers/x~1y~0z", at(15, 35), at(15, 28)),
        ("/spec/nobody", None, None),
        ("/spec/workflows/2", None, None),
        ("no pointer", None, None),
    ] {
        assert_eq!(document.positions.of(pointer), value, "{pointer}");
        assert_eq!(document.positions.of_key(pointer), key, "{pointer}");
    }
}

#[test]
fn a_validation_message_finds_its_line() {
    let document = one(DEPLOYMENT);
    for (field, pointer, position) in [
        ("spec.workflows[1].name", "/spec/workflows/1/name", at(10, 13)),
        ("spec.workflows[0].nodes[2].d", "/spec/workflows/0/nodes/2/d", at(9, 29)),
        ("spec.providers[crm.main]", "/spec/providers/crm.main", at(15, 25)),
        ("spec.providers.crm.main", "/spec/providers/crm.main", at(15, 25)),
        ("spec.providers.x/y~z", "/spec/providers/x~1y~0z", at(15, 35)),
        ("spec.operator", "/spec/operator", at(6, 1)),
        ("spec.workflows[7].name", "/spec/workflows/7/name", at(7, 3)),
        ("spec.workflows[0].absent.deep[3]", "/spec/workflows/0/absent/deep/3", at(8, 7)),
        ("status", "/status", at(2, 1)),
        ("<nil>", "", at(2, 1)),
        ("", "", at(2, 1)),
        ("spec.odd[", "/spec/odd/", at(6, 1)),
    ] {
        assert_eq!(pointer_of_field(&document.value, field), pointer, "{field}");
        assert_eq!(Some(document.position_of_field(field)), position, "{field}");
    }
}

#[test]
fn lines_are_counted_alike_with_any_line_end_and_a_byte_order_mark() {
    for text in ["\u{feff}a: 1\nb:\n  c: 2\n", "a: 1\r\nb:\r\n  c: 2\r\n", "a: 1\nb:\n  c: 2"] {
        let document = one(text);
        assert_eq!(document.value, json!({"a": 1, "b": {"c": 2}}), "{text:?}");
        assert_eq!(document.positions.of("/a"), at(1, 4), "{text:?}");
        assert_eq!(document.positions.of("/b/c"), at(3, 6), "{text:?}");
    }
}

#[test]
fn documents_are_read_in_order_and_empty_ones_skipped() {
    let text = "# only a comment\n---\n# another\n---\nkind: A\n---\n---\nnull\n---\nkind: B # here\n...\n---\nkind: C\n---\n";
    let found: Vec<_> = read(text).unwrap().into_iter().map(|document| (document.value, document.line)).collect();
    assert_eq!(found, [(json!({"kind": "A"}), 5), (json!({"kind": "B"}), 10), (json!({"kind": "C"}), 13)]);
    for nothing in ["", "\n\n", "# c", "---", "---\n...\n", "\u{feff}"] {
        assert_eq!(read(nothing).unwrap(), [], "{nothing:?}");
    }
    let long_comment = "# line\n".repeat(1_000);
    assert_eq!(one(&format!("{long_comment}a: 1\n{long_comment}b: 2")).positions.of("/b"), at(2_002, 4));
}

#[test]
fn anchors_are_per_document_and_aliases_stand_where_they_are_written() {
    let document = one("base: &base {x: 1, z: 2}\ncopy: *base\nmore:\n  <<: *base\n  z: 3\n");
    assert_eq!(document.value, json!({"base": {"x": 1, "z": 2}, "copy": {"x": 1, "z": 2}, "more": {"x": 1, "z": 3}}));
    assert_eq!(document.positions.of("/copy"), at(2, 7));
    assert_eq!(document.positions.of("/copy/x"), at(1, 17));
    assert_eq!(document.positions.of("/more/x"), at(1, 17));
    assert_eq!(document.positions.of("/more/z"), at(5, 6));
    assert!(read("a: &x 1\n---\nb: *x").is_err());
}

#[test]
fn lists_are_taken_apart() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- kind: A\n  spec: {x: 1}\n- kind: List\n  items:\n  - kind: B\n---\nkind: List\n";
    let documents = read(text).unwrap();
    let values: Vec<_> = documents.iter().map(|document| &document.value).collect();
    assert_eq!(values, [&json!({"kind": "A", "spec": {"x": 1}}), &json!({"kind": "B"})]);
    assert_eq!(documents[0].positions.of("/spec/x"), at(5, 13));
    assert_eq!(documents[1].line, 8);
}

#[test]
fn json_is_read_with_places() {
    let text =
        "{\n\t\"kind\": \"A\",\n\t\"spec\": {\"n\": 1.5, \"e\": \"\\ud83d\\ude00\\/\", \"t\": true, \"z\": null, \"l\": [1e3, -2]}\n}\n";
    let document = one(text);
    assert_eq!(document.value, json!({"kind": "A", "spec": {"n": 1.5, "e": "😀/", "t": true, "z": null, "l": [1000, -2]}}));
    assert_eq!(document.positions.of("/spec/n"), at(3, 16));
    assert_eq!(refused("{\"a\": 1,\n\"a\": 2}"), "f.yaml:2:1: key \"a\" stands here twice, first on line 1");
}

#[test]
fn a_document_may_have_the_size_of_an_object_and_no_more() {
    let text = |bytes: usize| format!("kind: A\nx: {}\n", "x".repeat(bytes));
    let frame = text(0).len();
    assert_eq!(read(&text(MAX_OBJECT_BYTES - frame)).unwrap().len(), 1);
    let two = format!("{}---\n{}", text(MAX_OBJECT_BYTES / 2), text(MAX_OBJECT_BYTES / 2));
    assert_eq!(read(&two).unwrap().len(), 2);
    let error = read(&format!("kind: B\n---\n{}", text(MAX_OBJECT_BYTES))).unwrap_err();
    assert_eq!(error.line, 3);
    assert!(error.message.starts_with("the document has 15728") && error.message.ends_with("more than 1572864"), "{error}");
}

#[test]
fn nesting_ends_somewhere() {
    let nested = |depth: usize| format!("a: {}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(read(&nested(MAX_DEPTH - 1)).is_ok());
    assert_eq!(read(&nested(MAX_DEPTH)).unwrap_err().message, "nested more than 100 deep");
    assert!(read(&nested(100_000)).is_err());
    assert!(read(&(0..200).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect::<String>()).is_err());
}

#[test]
fn a_billion_laughs_are_not_laughed() {
    let mut text = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let error = read(&text).unwrap_err();
    assert!(error.message.starts_with("aliases expand the document to"), "{error}");
    let nested = format!("a: {}{}", (0..90).map(|n| format!("&n{n} [")).collect::<String>(), "x".repeat(100_000)) + &"]".repeat(90);
    assert!(read(&nested).unwrap_err().message.starts_with("anchors stand for"), "{nested:.20}");
}

#[test]
fn bytes_that_are_no_text_are_refused_at_the_place() {
    let error = read_bytes(b"a: 1\nb: \xff").unwrap_err();
    assert_eq!(error, YamlError { line: 2, column: 4, message: "the file is not UTF-8".into() });
    assert_eq!(read_bytes(b"a: 1").unwrap().len(), 1);
}

/// Whether a place is within a text, at most behind the last character of its line.
fn is_within(text: &str, position: Position) -> bool {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n").replace('\r', "\n");
    let lines: Vec<&str> = text.split('\n').collect();
    let (line, column) = (position.line as usize, position.column as usize);
    line >= 1 && column >= 1 && lines.get(line - 1).is_some_and(|line| column <= line.chars().count() + 1)
}

fn every_pointer(value: &Value, at: &str, pointers: &mut Vec<String>) {
    pointers.push(at.to_owned());
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| every_pointer(item, &format!("{at}/{index}"), pointers));
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                every_pointer(field, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), pointers);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn check(text: &str) -> Result<(), TestCaseError> {
    match read(text) {
        Err(error) => {
            let position = Position { line: error.line, column: error.column };
            prop_assert!(is_within(text, position), "{error} in {text:?}");
        }
        Ok(documents) => {
            for document in documents {
                let mut pointers = Vec::new();
                every_pointer(&document.value, "", &mut pointers);
                for pointer in pointers {
                    let position = document.positions.of(&pointer);
                    prop_assert!(position.is_some_and(|position| is_within(text, position)), "{pointer}: {position:?} in {text:?}");
                }
            }
        }
    }
    Ok(())
}

/// JSON values with keys that need escaping, as text that YAML reads too.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-zäß~/. \\[\\]0-9\"':-]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-z~/.\\[\\]]{1,4}", inner, 0..5).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_text_panics_and_every_place_exists(text in "\\PC{0,60}") {
        check(&text)?;
    }

    #[test]
    fn no_yaml_like_text_panics_and_every_place_exists(text in "([a-c]|: |\n|  |- |\\[|\\]|\\{|\\}|, |&a |\\*a|<<|\"|'|#|\\||>|\t|---\n|\\.\\.\\.\n|!!str |!|\\? |%|\r\n|1|~|é){0,40}") {
        check(&text)?;
    }

    #[test]
    fn what_was_written_is_read(value in values(), pretty in any::<bool>()) {
        let object = json!({"spec": value});
        let text = if pretty { serde_json::to_string_pretty(&object).unwrap() } else { object.to_string() };
        let documents = read(&text).unwrap();
        prop_assert_eq!(&documents[0].value, &object);
        check(&text)?;
    }

    #[test]
    fn a_field_of_any_name_is_found_again(value in values(), field in "[a-z~/.\\[\\]0-9]{0,12}") {
        let object = json!({"spec": value});
        let document = &read(&object.to_string()).unwrap()[0];
        prop_assert!(is_within(&object.to_string(), document.position_of_field(&field)));
        if let Some(fields) = object["spec"].as_object() {
            for name in fields.keys().filter(|name| !name.contains(['.', '[', ']'])) {
                let pointer = pointer_of_field(&object, &format!("spec.{name}"));
                prop_assert!(object.pointer(&pointer) == Some(&fields[name]), "{} {}", name, pointer);
            }
        }
    }
}
