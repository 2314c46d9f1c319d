use super::*;

fn subject(name: &str) -> Subject {
    Subject { kind: "ProvisioningRequest".into(), namespace: "acme".into(), name: name.into(), uid: "u-1".into() }
}

fn chain(length: u32) -> Vec<(String, String)> {
    let mut head = None;
    (1..=length)
        .map(|number| {
            let draft = RecordDraft {
                event: "Verified",
                cause: Digest::of_bytes(&number.to_be_bytes()),
                actor: "ana".into(),
                payload: json!({"number": number}),
            };
            let time = Time::new(jiff::Timestamp::from_second(i64::from(number)).unwrap());
            let text = entry_text(&subject("r"), head.as_ref(), time, &draft).unwrap();
            head = Some(ChainHead { length: number, head: text.digest() });
            (text.as_str().to_owned(), text.digest().as_str().to_owned())
        })
        .collect()
}

fn check(rows: &[(String, String)]) -> Result<Vec<Entry>, BrokenLink> {
    verify_chain(rows.iter().map(|(text, stated)| (text.as_str(), stated.as_str())))
}

#[test]
fn a_chain_as_written_verifies() {
    let entries = check(&chain(3)).unwrap();
    assert_eq!(entries.iter().map(|entry| entry.sequence).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(check(&[]), Ok(Vec::new()));
}

#[test]
fn any_changed_byte_is_named() {
    let good = chain(2);
    for index in 0..good[1].0.len() {
        let mut bad = good.clone();
        let mut bytes = bad[1].0.clone().into_bytes();
        bytes[index] ^= 1;
        let Ok(text) = String::from_utf8(bytes) else { continue };
        bad[1].0 = text;
        assert!(matches!(check(&bad), Err(BrokenLink::Hash { sequence: 2, .. })), "byte {index}");
    }
}

#[test]
fn a_dropped_swapped_or_foreign_entry_breaks_the_chain() {
    let good = chain(3);
    assert!(matches!(check(&good[1..]), Err(BrokenLink::Sequence { expected: 1, found: 2 })));
    assert!(matches!(check(&[good[0].clone(), good[2].clone()]), Err(BrokenLink::Sequence { expected: 2, found: 3 })));
    let draft = RecordDraft { event: "X", cause: Digest::of_bytes(b""), actor: "a".into(), payload: json!({}) };
    let before = ChainHead { length: 1, head: good[0].1.parse().unwrap() };
    let time = Time::new(jiff::Timestamp::UNIX_EPOCH);
    let foreign = entry_text(&subject("other"), Some(&before), time, &draft).unwrap();
    let rows = [good[0].clone(), (foreign.as_str().to_owned(), foreign.digest().as_str().to_owned())];
    assert_eq!(check(&rows), Err(BrokenLink::Subject { sequence: 2 }));
    let elsewhere = ChainHead { length: 1, head: Digest::of_bytes(b"elsewhere") };
    let forked = entry_text(&subject("r"), Some(&elsewhere), time, &draft).unwrap();
    let rows = [good[0].clone(), (forked.as_str().to_owned(), forked.digest().as_str().to_owned())];
    assert!(matches!(check(&rows), Err(BrokenLink::Previous { sequence: 2, .. })));
}

#[test]
fn text_that_hashes_well_but_is_not_canonical_is_refused() {
    let loose = chain(1)[0].0.replacen('{', "{ ", 1);
    let stated = Digest::of_bytes(loose.as_bytes());
    assert!(matches!(check(&[(loose, stated.as_str().to_owned())]), Err(BrokenLink::NotAnEntry { .. })));
}
