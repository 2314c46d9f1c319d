//! Tests.

use super::*;

fn headers(value: &str) -> HeaderMap {
    HeaderMap::from_iter([(header::RETRY_AFTER, value.parse().unwrap())])
}

#[test]
fn retry_after_is_read_in_seconds_and_as_a_date() {
    let now: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
    let cases = [
        ("17", Some(17)),
        ("Sat, 31 Jan 2026 12:01:30 GMT", Some(90)),
        ("Sat, 31 Jan 2026 11:00:00 GMT", Some(0)),
        ("-5", None),
        ("soon", None),
        ("99999999999999999999999", None),
    ];
    for (value, seconds) in cases {
        assert_eq!(retry_after(&headers(value), now), seconds.map(Duration::from_secs), "{value}");
    }
    assert_eq!(retry_after(&HeaderMap::new(), now), None);
}

#[test]
fn a_vendors_message_is_passed_on_short_and_without_control_characters() {
    let said = |body: &str| Reply { status: StatusCode::BAD_REQUEST, body: Some(Bytes::from(body.to_owned())) }.said(Some("canary"));
    assert_eq!(said(r#"{"message":"no\u001b[31m name\n"}"#), r#"400 ("no[31m name")"#);
    assert_eq!(said(r#"{"message":["first","second"]}"#), r#"400 ("first")"#);
    assert_eq!(said(r#"{"error":{"message":"taken","code":"X"}}"#), r#"400 ("taken")"#);
    let straddling = format!(r#"{{"message":"{}canary"}}"#, "x".repeat(197));
    assert_eq!(said(&straddling), format!(r#"400 ("{}***")"#, "x".repeat(197)));
    assert_eq!(said("<html>secret things</html>"), "400");
    assert_eq!(said(&format!(r#"{{"message":"{}"}}"#, "x".repeat(5000))).len(), "400 (\"\")".len() + 200);
}
