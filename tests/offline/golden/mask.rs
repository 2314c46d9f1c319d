//! Names that differ from run to run, or with every change of an input, by order of appearance.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use mandate::sandbox::{Effect, Operation, Vendor};
use regex::{Captures, Regex};

static DIGEST: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"sha256:([0-9a-f]{64})").unwrap());
static UUID: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[0-9a-f]{8}-[0-9a-f]{4}-([0-9a-f])[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}").unwrap());
static HEX: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b(?:[0-9a-f]{64}|[0-9a-f]{32}|[0-9a-f]{12}|[0-9a-f]{8})\b").unwrap());
static TIME: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z").unwrap());

/// What has appeared so far.
#[derive(Debug, Default)]
pub struct Mask {
    names: BTreeMap<String, String>,
    counts: BTreeMap<&'static str, usize>,
    plain: Vec<(String, String)>,
}

impl Mask {
    /// Shows `text` as `shown` from now on.
    pub fn plainly(&mut self, text: String, shown: &str) {
        self.plain.push((text, shown.to_owned()));
    }

    /// What was made outside goes by what it is.
    pub fn made(&mut self, effects: &[Effect]) {
        for effect in effects.iter().filter(|effect| effect.operation == Operation::Create) {
            let what = match effect.vendor {
                Vendor::N8n => "workflow",
                Vendor::Vapi => "assistant",
                Vendor::Calcom => "calendar-webhook",
                Vendor::Crm => "subscription",
            };
            self.named(what, &effect.id);
        }
    }

    fn named(&mut self, what: &'static str, text: &str) -> String {
        if let Some(name) = self.names.get(text) {
            return name.clone();
        }
        let count = self.counts.entry(what).or_default();
        *count += 1;
        let name = format!("{what}-{count}");
        self.names.insert(text.to_owned(), name.clone());
        name
    }

    /// The text without what differs.
    pub fn over(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for (plain, shown) in &self.plain {
            text = text.replace(plain, shown);
        }
        let made = self.names.iter().filter(|(_, name)| !["hash-", "key-", "uid-", "path-"].iter().any(|kind| name.starts_with(kind)));
        for (id, name) in made {
            text = text.replace(id, name);
        }
        text = DIGEST.replace_all(&text, |found: &Captures<'_>| format!("sha256:{}", self.named("hash", &found[1]))).into_owned();
        let uuid = |found: &Captures<'_>| self.named(if &found[1] == "5" { "path" } else { "uid" }, &found[0]);
        text = UUID.replace_all(&text, uuid).into_owned();
        text = HEX.replace_all(&text, |found: &Captures<'_>| self.short(&found[0])).into_owned();
        TIME.replace_all(&text, "<time>").into_owned()
    }

    /// The beginning of a digest that has appeared, a key, or just a number.
    fn short(&mut self, text: &str) -> String {
        if let Some((_, name)) = self.names.iter().find(|(whole, name)| whole.starts_with(text) && name.starts_with("hash-")) {
            return name.clone();
        }
        if text.len() == 32 { self.named("key", text) } else { text.to_owned() }
    }
}
