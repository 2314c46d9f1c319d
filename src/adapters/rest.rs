//! Resources of any REST API, declared in the schema.
//!
//! With a lookup a create is proven by finding it again, which also proves that the lookup is declared right before an unknown
//! outcome ever depends on it. Without one a create that may have been sent is never sent again.
//! The lookup is also the only eye there is on what is removed: what it does not show under our key counts as gone, and is
//! never removed by its id, which may have become somebody else's.

mod made;

use http::Method as HttpMethod;
use serde_json::{Value, json};

use super::ensure::{Desired, ensure, refusal, unidentified};
use super::faults::Refusal;
use super::session::{Known, Session, Written};
use crate::model::canonical::{self, Digest};
use crate::model::journal::Evidence;
use crate::model::pointer;
use crate::model::rest::{Method, RestLookup, RestRequest, RestResource};

pub(super) use made::{remove_resource, switch_resource};

/// Creates a declared resource, our key put into its body. Disabled, it is switched off as soon as it exists, where the schema
/// declares how.
pub(super) async fn create_resource(session: &mut Session<'_>, resource: &RestResource, body: &str, disabled: bool) -> Known<Evidence> {
    let created = create(session, resource, body).await?;
    if disabled && let (Some(request), Some(id)) = (&resource.disable, &created.external_id) {
        made::switched(session, request, id, "switching off").await?;
    }
    Ok(created)
}

async fn create(session: &mut Session<'_>, resource: &RestResource, body: &str) -> Known<Evidence> {
    let invalid = |session: &Session<'_>, message: String| session.refused(Refusal::InputsInvalid, &unidentified(session, NOUN), message);
    let mut body = canonical::parse(body).map_err(|error| invalid(session, format!("the body to create: {error}")))?;
    if set(&mut body, &resource.key_pointer, session.mark()).is_none() {
        return Err(invalid(session, format!("the body to create has no place for our key at {}", resource.key_pointer)));
    }
    let digest = canonical::foreign(&body).map_err(|error| invalid(session, format!("the body to create: {error}")))?.digest();
    match &resource.lookup {
        Some(lookup) => ensure(session, &Declared { resource, lookup, body, digest }).await,
        None => once(session, resource, &body, digest).await,
    }
}

const NOUN: &str = "resource";

/// An opaque create: sent only if it has certainly not been sent before.
async fn once(session: &mut Session<'_>, resource: &RestResource, body: &Value, digest: Digest) -> Known<Evidence> {
    let what = unidentified(session, NOUN);
    let unknown = |session: &Session<'_>, why: &str| {
        let message = format!("{what} may exist in provider {}: {why}, and no lookup is declared", session.call.provider.name);
        session.refused(Refusal::OutcomeUnknown, &what, message)
    };
    if session.call.resumed {
        return Err(unknown(session, "its create was sent without a known outcome"));
    }
    match send_create(session, resource, body).await? {
        Written::Refused(reply) => Err(refusal(session, NOUN, &reply)),
        Written::Done(reply) if !resource.create.success.contains(&reply.status.as_u16()) => {
            Err(unknown(session, &format!("its create answered {}, which is not declared as success", session.said(&reply))))
        }
        Written::Done(reply) => {
            match reply.document().ok().and_then(|created: Value| pointer::identifier(&created, &resource.id_pointer)) {
                Some(id) => Ok(Evidence { external_id: Some(id), digest: Some(digest), ..Evidence::default() }),
                None => Err(unknown(session, &format!("the reply to its create has no id at {}", resource.id_pointer))),
            }
        }
    }
}

async fn send_create(session: &mut Session<'_>, resource: &RestResource, body: &Value) -> Known<Written> {
    let path = keyed(session, &resource.create.path);
    send(session, &resource.create, &path, Some(body)).await
}

async fn send(session: &mut Session<'_>, request: &RestRequest, path: &str, body: Option<&Value>) -> Known<Written> {
    let method = match request.method {
        Method::Get => HttpMethod::GET,
        Method::Post => HttpMethod::POST,
        Method::Put => HttpMethod::PUT,
        Method::Patch => HttpMethod::PATCH,
        Method::Delete => HttpMethod::DELETE,
    };
    session.write(method, path, body).await
}

/// The path with our key, which needs no encoding: it is hexadecimal.
fn keyed(session: &Session<'_>, path: &str) -> String {
    path.replace("{key}", session.mark())
}

/// Ids of everything that the lookup shows under our key.
async fn shown(session: &mut Session<'_>, resource: &RestResource, lookup: &RestLookup) -> Known<Vec<String>> {
    let path = keyed(session, &lookup.path);
    let reply = session.read(&path).await?;
    let document: Value = session.document(&reply, "the lookup")?;
    let undeclared = |message: String| session.refused(Refusal::BadReply, &unidentified(session, NOUN), message);
    let Some(Value::Array(items)) = document.pointer(&lookup.items) else {
        return Err(undeclared(format!("the reply to the lookup has no list at {:?}", lookup.items)));
    };
    let ours = items.iter().filter(|item| pointer::text(item, &lookup.key) == Some(session.mark()));
    ours.map(|item| {
        let id = pointer::identifier(item, &resource.id_pointer);
        id.ok_or_else(|| undeclared(format!("what the lookup found has no id at {}", resource.id_pointer)))
    })
    .collect()
}

struct Declared<'a> {
    resource: &'a RestResource,
    lookup: &'a RestLookup,
    body: Value,
    digest: Digest,
}

impl Desired for Declared<'_> {
    const NOUN: &'static str = NOUN;

    async fn find(&self, session: &mut Session<'_>) -> Known<Vec<String>> {
        shown(session, self.resource, self.lookup).await
    }

    async fn create(&self, session: &mut Session<'_>) -> Known<Written> {
        send_create(session, self.resource, &self.body).await
    }

    fn id(&self, created: &Value) -> Option<String> {
        pointer::identifier(created, &self.resource.id_pointer)
    }

    async fn read_back(&self, session: &mut Session<'_>, id: &str) -> Known<Option<Evidence>> {
        let found = self.find(session).await?.iter().any(|found| found == id);
        Ok(found.then(|| Evidence { external_id: Some(id.to_owned()), digest: Some(self.digest.clone()), ..Evidence::default() }))
    }
}

/// Puts a text at a pointer, making the objects on the way; none where something else is in the way.
fn set(document: &mut Value, pointer: &str, text: &str) -> Option<()> {
    let mut place = document;
    for token in pointer.strip_prefix('/')?.split('/') {
        let name = token.replace("~1", "/").replace("~0", "~");
        place = match place {
            Value::Object(members) => members.entry(name).or_insert_with(|| json!({})),
            Value::Array(items) => items.get_mut(name.parse::<usize>().ok()?)?,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
        };
    }
    *place = text.into();
    Some(())
}
