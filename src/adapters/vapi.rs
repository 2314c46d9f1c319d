//! VAPI assistants.
//!
//! The vendor offers neither an idempotency key nor a filter on name or metadata, so our key stands in the metadata and a
//! lookup reads the list, newest first.

mod made;

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::ensure::{Desired, ensure, post};
use super::faults::{Refusal, Repairable};
use super::session::{Known, Session, Written};
use super::url;
use crate::engine::outcome::Outcome;
use crate::model::canonical::{self, Digest};
use crate::model::journal::Evidence;
use crate::model::pointer;

pub(super) use made::{remove_assistant, set_server_url, update_assistant};

const ASSISTANTS: &str = "/assistant";
/// Member of the metadata that holds our key.
const KEY: &str = "mandateKey";
const SERVER_URL: &str = "/server/url";
/// Assistants per page: each page is an exchange, but prompts make assistants large.
const PAGE: usize = 250;
/// The page that the vendor allows at most, for when a whole page was created in one instant.
const MAX_PAGE: usize = 1000;
/// Largest page read, in bytes.
const MAX_PAGE_BYTES: usize = 8 * 1024 * 1024;
/// Pages of one lookup: 20,000 assistants.
const MAX_PAGES: usize = 200;

/// Creates an assistant from a definition, a JSON object as text.
pub(super) async fn create_assistant(session: &mut Session<'_>, name: &str, definition: &str, server_url: &str) -> Known<Evidence> {
    let assistant = Assistant::defined(session, name, definition, server_url)?;
    ensure(session, &assistant).await
}

/// The definition with name, server URL and our key; none where something else is in their place.
fn document(mut definition: Map<String, Value>, name: &str, server_url: &str, mark: &str) -> Option<Value> {
    for (member, key, value) in [("metadata", KEY, mark), ("server", "url", server_url)] {
        let inside = definition.entry(member).or_insert_with(|| json!({}));
        inside.as_object_mut()?.insert(key.into(), value.into());
    }
    definition.insert("name".into(), name.into());
    Some(Value::Object(definition))
}

struct Assistant {
    sent: Value,
    digest: Digest,
}

impl Assistant {
    /// The assistant of a definition, with our key.
    fn defined(session: &Session<'_>, name: &str, definition: &str, server_url: &str) -> Known<Self> {
        let Ok(Value::Object(definition)) = canonical::parse(definition) else {
            return Err(session.refused(Refusal::InputsInvalid, name, "the definition of the assistant is no JSON object"));
        };
        let sent = document(definition, name, server_url, session.mark());
        let invalid = |why: String| session.refused(Refusal::InputsInvalid, name, format!("the definition of the assistant: {why}"));
        let sent = sent.ok_or_else(|| invalid("metadata and server must be objects".to_owned()))?;
        let digest = canonical::foreign(&sent).map_err(|error| invalid(error.to_string()))?.digest();
        Ok(Self { sent, digest })
    }

    fn evidence(&self, id: &str) -> Evidence {
        Evidence { external_id: Some(id.to_owned()), digest: Some(self.digest.clone()), ..Evidence::default() }
    }

    /// Where the assistant is not as defined; none if it is.
    fn difference(&self, found: &Value) -> Option<String> {
        difference(&self.sent, found, &mut String::new())
    }

    /// What is made of a difference: a server URL that is missing or another can be set, anything else is a person's.
    fn differs(&self, session: &Session<'_>, id: &str, found: &Value, place: &str) -> Outcome {
        let what = format!("assistant {id}");
        let mut elsewhere = found.clone();
        let url = self.sent.pointer(SERVER_URL).cloned().unwrap_or_default();
        set_url(&mut elsewhere, &url);
        if self.difference(&elsewhere).is_some() {
            return session.refused(Refusal::ResourceDiffers, &what, format!("{what} is not as asked for at {place}"));
        }
        let has = found.pointer(SERVER_URL).map_or_else(|| "no server URL".to_owned(), |other| format!("the server URL {other}"));
        session.repairable(Repairable::AssistantServerMissing, &what, format!("{what} has {has} instead of {url}"))
    }
}

/// Gives an assistant a server URL; what else is said of its server stays.
fn set_url(assistant: &mut Value, url: &Value) {
    let Some(members) = assistant.as_object_mut() else { return };
    let server = members.entry("server").or_insert_with(|| json!({}));
    match server.as_object_mut() {
        Some(server) => drop(server.insert("url".into(), url.clone())),
        None => *server = json!({ "url": url }),
    }
}

/// The assistant of an id; none if there is none.
async fn assistant_by_id(session: &mut Session<'_>, id: &str) -> Known<Option<Value>> {
    let Some(segment) = url::segment(id) else { return Ok(None) };
    let reply = session.read(&format!("{ASSISTANTS}/{segment}")).await?;
    if reply.status == StatusCode::NOT_FOUND && reply.document::<Value>().is_ok() {
        return Ok(None);
    }
    session.document(&reply, &format!("assistant {id}")).map(Some)
}

/// Ids of all assistants that carry our key.
async fn with_our_key(session: &mut Session<'_>) -> Known<Vec<String>> {
    let mark = session.mark();
    let mut limit = PAGE;
    let mut before: Option<String> = None;
    let mut ids: Vec<String> = Vec::new();
    for _ in 0..MAX_PAGES {
        // "Or equal", because others may have been created in the instant of the last one.
        let bound = before.as_ref().map(|at| format!("&createdAtLe={}", url::encoded(at))).unwrap_or_default();
        let reply = session.read_up_to(&format!("{ASSISTANTS}?limit={limit}{bound}"), MAX_PAGE_BYTES).await?;
        let page: Vec<Listed> = session.document(&reply, "the list of assistants")?;
        let ours = page.iter().filter(|listed| listed.metadata.get(KEY).and_then(Value::as_str) == Some(mark));
        let new: Vec<String> = ours.map(|listed| listed.id.clone()).filter(|id| !ids.contains(id)).collect();
        ids.extend(new);
        let Some(oldest) = page.last().filter(|_| page.len() >= limit) else { return Ok(ids) };
        let stuck =
            before.as_ref() == Some(&oldest.created_at) || page.first().is_some_and(|newest| newest.created_at == oldest.created_at);
        if stuck && limit == MAX_PAGE {
            break;
        }
        limit = if stuck { MAX_PAGE } else { PAGE };
        if !stuck {
            before = Some(oldest.created_at.clone());
        }
    }
    Err(session.refused(Refusal::BadReply, "the list of assistants", "the list of assistants cannot be read to its end"))
}

/// What a lookup reads of an assistant.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    id: String,
    created_at: String,
    #[serde(default)]
    metadata: Value,
}

impl Desired for Assistant {
    const NOUN: &'static str = "assistant";

    async fn find(&self, session: &mut Session<'_>) -> Known<Vec<String>> {
        with_our_key(session).await
    }

    async fn create(&self, session: &mut Session<'_>) -> Known<Written> {
        post(session, ASSISTANTS, &self.sent).await
    }

    fn id(&self, created: &Value) -> Option<String> {
        pointer::identifier(created, "/id")
    }

    async fn read_back(&self, session: &mut Session<'_>, id: &str) -> Known<Option<Evidence>> {
        let Some(found) = assistant_by_id(session, id).await? else { return Ok(None) };
        match self.difference(&found) {
            None => Ok(Some(self.evidence(id))),
            Some(place) => Err(self.differs(session, id, &found, &place)),
        }
    }
}

/// JSON pointer of the first value that was sent and does not read back. The vendor adds members and drops nulls.
fn difference(sent: &Value, found: &Value, at: &mut String) -> Option<String> {
    match (sent, found) {
        (Value::Object(sent), Value::Object(found)) => sent
            .iter()
            .filter(|(_, value)| !value.is_null())
            .find_map(|(name, value)| pointer::within(at, name, |at| difference(value, found.get(name).unwrap_or(&Value::Null), at))),
        (Value::Array(sent), Value::Array(found)) if sent.len() == found.len() => sent
            .iter()
            .zip(found)
            .enumerate()
            .find_map(|(index, (sent, found))| pointer::within(at, &index.to_string(), |at| difference(sent, found, at))),
        // 1 and 1.0 are one number in JSON.
        (Value::Number(sent), Value::Number(found)) if sent.as_f64() == found.as_f64() => None,
        (sent, found) => (sent != found).then(|| at.clone()),
    }
}
