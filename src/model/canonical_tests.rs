use serde_json::json;

use super::*;

/// The sample object of RFC 8785 section 3.2.2 and its canonical form of section 3.2.3.
#[test]
fn the_sample_of_rfc_8785_has_its_canonical_form() {
    let document = parse(
        r#"{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
            "literals": [null, true, false]}"#,
    )
    .unwrap();
    assert_eq!(
        foreign(&document).unwrap().as_str(),
        "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}"
    );
}

/// The property sorting sample of RFC 8785 section 3.2.3: order is by UTF-16 code units, not by UTF-8 bytes.
#[test]
fn keys_are_sorted_by_utf_16_code_units() {
    let document = json!({"\u{20ac}": "Euro Sign", "\r": "Carriage Return", "\u{fb33}": "Hebrew Letter Dalet With Dagesh", "1": "One",
        "\u{1f600}": "Emoji: Grinning Face", "\u{80}": "Control", "\u{f6}": "Latin Small Letter O With Diaeresis"});
    let text = own(&document).unwrap();
    let values = ["Carriage Return", "One", "Control", "Latin Small", "Euro Sign", "Emoji", "Hebrew"];
    let places: Vec<_> = values.iter().map(|value| text.as_str().find(value).unwrap()).collect();
    assert!(places.is_sorted(), "{text:?}");
}

#[test]
fn numbers_of_rfc_8785_appendix_b_are_written_as_ecmascript_does() {
    for (bits, expected) in [
        (0x0000_0000_0000_0001_u64, "5e-324"),
        (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
        (0x4340_0000_0000_0000, "9007199254740992"),
        (0x4430_0000_0000_0000, "295147905179352830000"),
        (0x44b5_2d02_c7e1_4af6, "1e+23"),
        (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
        (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
        (0x41b3_de43_5555_5553, "333333333.3333332"),
        (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
        (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
    ] {
        assert_eq!(foreign(&json!(f64::from_bits(bits))).unwrap().as_str(), expected);
    }
}

#[test]
fn the_digest_is_what_sha256sum_prints_over_the_text() {
    assert_eq!(
        own(&json!({"b": 1, "a": "x"})).unwrap().digest().as_str(),
        // printf '{"a":"x","b":1}' | sha256sum
        "sha256:cdab067e9f3beb32d1252cfd63e492592fecbf591b0d08cadb24bb17f3864246"
    );
}

#[test]
fn our_documents_hold_no_floats_and_no_integers_beyond_2_to_the_53() {
    for (document, place) in
        [(json!({"a": [0.5]}), "/a/0"), (json!({"n": 9_007_199_254_740_992_i64}), "/n"), (json!({"n": -9_007_199_254_740_992_i64}), "/n")]
    {
        match own(&document) {
            Err(CanonicalError::Number { pointer, .. }) => assert_eq!(pointer, place),
            other => panic!("{document} gave {other:?}"),
        }
    }
    assert!(own(&json!({"n": MAX_SAFE_INTEGER})).is_ok());
}

#[test]
fn a_duplicate_key_is_refused_by_name() {
    let error = parse(r#"{"a":{"k":1,"k":2}}"#).unwrap_err();
    assert!(error.to_string().contains("duplicate key \"k\""), "{error}");
}

#[test]
fn nesting_beyond_the_limit_is_refused_and_does_not_overflow_the_stack() {
    let text = "[".repeat(100_000) + &"]".repeat(100_000);
    assert!(parse(&text).is_err());
    let mut value = json!(1);
    for _ in 0..=MAX_DOCUMENT_DEPTH {
        value = json!([value]);
    }
    assert!(matches!(own(&value), Err(CanonicalError::Depth { .. })));
}

#[test]
fn only_a_whole_lower_case_sha256_is_a_digest() {
    let good = Digest::of_bytes(b"");
    assert_eq!(good.as_str().parse::<Digest>().unwrap(), good);
    for bad in ["", "sha256:", "sha512:00", &good.as_str().to_uppercase(), &good.as_str()[..70]] {
        assert!(bad.parse::<Digest>().is_err(), "{bad}");
    }
}

proptest::proptest! {
    #[test]
    fn canonical_text_reads_back_to_itself(keys in proptest::collection::vec(".{0,8}", 0..6), integer in -MAX_SAFE_INTEGER..MAX_SAFE_INTEGER) {
        let document = Value::Object(keys.iter().map(|key| (key.clone(), json!([integer, key]))).collect());
        let text = own(&document).unwrap();
        let again = own(&parse(text.as_str()).unwrap()).unwrap();
        proptest::prop_assert_eq!(text, again);
    }
}
