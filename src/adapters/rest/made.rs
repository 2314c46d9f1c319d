//! Declared resources that exist: switched and removed by the requests that the schema declares.

use serde_json::Value;

use super::{NOUN, keyed, send, shown};
use crate::adapters::ensure::{said_no, unidentified};
use crate::adapters::faults::Refusal;
use crate::adapters::remove::{Removable, gone, is_gone, remove};
use crate::adapters::reply::Reply;
use crate::adapters::session::{Known, Session, Written};
use crate::adapters::url;
use crate::engine::outcome::Outcome;
use crate::model::call::Made;
use crate::model::canonical;
use crate::model::journal::Evidence;
use crate::model::rest::{RestLookup, RestRequest, RestResource};

/// Switches a resource on or off. Where no request is declared for it, nothing is asked.
pub(in crate::adapters) async fn switch_resource(
    session: &mut Session<'_>,
    resource: &RestResource,
    id: &str,
    enabled: bool,
) -> Known<Evidence> {
    let (request, doing) = if enabled { (&resource.enable, "switching on") } else { (&resource.disable, "switching off") };
    if let Some(request) = request {
        if request.path.contains("{key}") {
            let message = format!("the path {} asks for the key, which a switch does not know: use {{id}}", request.path);
            return Err(session.refused(Refusal::InputsInvalid, &object(id), message));
        }
        switched(session, request, id, doing).await?;
    }
    Ok(Evidence { external_id: Some(id.to_owned()), ..Evidence::default() })
}

/// Sends a request that the schema declares for something that exists.
pub(super) async fn switched(session: &mut Session<'_>, request: &RestRequest, id: &str, doing: &str) -> Known<()> {
    let what = object(id);
    match sent(session, request, id).await? {
        Written::Done(reply) => succeeded(session, request, id, doing, &reply),
        Written::Refused(reply) if is_gone(reply.status) => {
            let message = format!("{doing} {what}: provider {} answered {}", session.call.provider.name, session.said(&reply));
            Err(session.refused(Refusal::ResourceMissing, &what, message))
        }
        Written::Refused(reply) => Err(said_no(session, &what, &format!("{doing} {what}"), &reply)),
    }
}

/// Whether a reply is what the schema declares for success. What cannot be read back is not believed lightly.
fn succeeded(session: &Session<'_>, request: &RestRequest, id: &str, doing: &str, reply: &Reply) -> Known<()> {
    let what = object(id);
    let why = if !request.success.contains(&reply.status.as_u16()) {
        "which is not declared as success"
    } else if !reply.is_plausible() {
        "and not with JSON"
    } else {
        return Ok(());
    };
    let message = format!("{doing} {what} was answered with {}, {why}", session.said(reply));
    Err(session.refused(Refusal::BadReply, &what, message))
}

/// Removes a resource.
pub(in crate::adapters) async fn remove_resource(session: &mut Session<'_>, resource: &RestResource, made: &Made) -> Known<Evidence> {
    match (&resource.lookup, &resource.remove, &made.id) {
        (Some(lookup), _, id) => remove(session, &Shown { resource, lookup, made }, id.as_deref()).await,
        (None, Some(request), Some(id)) => unseen(session, request, id).await,
        (None, Some(_), None) => {
            Err(not_removable(session, &unidentified(session, NOUN), "neither its id nor a lookup to find it by is known"))
        }
        (None, None, Some(id)) => Err(not_removable(session, &object(id), "the schema declares no request that removes it")),
        (None, None, None) => Err(not_removable(session, &unidentified(session, NOUN), "the schema declares no request that removes it")),
    }
}

/// Removes what cannot be looked at: the reply is all the proof there is.
async fn unseen(session: &mut Session<'_>, request: &RestRequest, id: &str) -> Known<Evidence> {
    let what = object(id);
    match sent(session, request, id).await? {
        Written::Done(reply) => succeeded(session, request, id, "removing", &reply).map(|()| gone(Some(id.to_owned()), false)),
        Written::Refused(reply) if is_gone(reply.status) => Ok(gone(Some(id.to_owned()), true)),
        Written::Refused(reply) => Err(said_no(session, &what, &format!("removing {what}"), &reply)),
    }
}

/// A resource that its lookup shows.
struct Shown<'a> {
    resource: &'a RestResource,
    lookup: &'a RestLookup,
    made: &'a Made,
}

impl Removable for Shown<'_> {
    const NOUN: &'static str = NOUN;

    async fn find(&self, session: &mut Session<'_>) -> Known<Vec<String>> {
        shown(session, self.resource, self.lookup).await
    }

    async fn is_there(&self, session: &mut Session<'_>, id: &str) -> Known<bool> {
        let ids = shown(session, self.resource, self.lookup).await?;
        if let Some(other) = ids.iter().find(|other| *other != id) {
            let made = if self.made.id.is_some() { "was made" } else { "was found" };
            let message = format!("{NOUN} {id} {made} with key {}, and {other} carries it too", session.mark());
            return Err(session.refused(Refusal::KeyNotUnique, &format!("{id} and {other}"), message));
        }
        Ok(!ids.is_empty())
    }

    async fn remove(&self, session: &mut Session<'_>, id: &str) -> Known<Written> {
        match &self.resource.remove {
            Some(request) => sent(session, request, id).await,
            None => Err(not_removable(session, &object(id), "the schema declares no request that removes it")),
        }
    }
}

async fn sent(session: &mut Session<'_>, request: &RestRequest, id: &str) -> Known<Written> {
    let invalid = |session: &Session<'_>, message: String| session.refused(Refusal::InputsInvalid, &object(id), message);
    let Some(segment) = url::segment(id) else { return Err(invalid(session, format!("{id:?} is no id that a path can hold"))) };
    let path = keyed(session, &request.path).replace("{id}", &segment);
    let body = request.body.as_deref().map(canonical::parse).transpose();
    let body: Option<Value> = body.map_err(|error| invalid(session, format!("the body of {}: {error}", request.path)))?;
    send(session, request, &path, body.as_ref()).await
}

fn object(id: &str) -> String {
    format!("{NOUN} {id}")
}

fn not_removable(session: &Session<'_>, what: &str, why: &str) -> Outcome {
    let message = format!("{what} in provider {} cannot be removed: {why}; key {}", session.call.provider.name, session.mark());
    session.refused(Refusal::NotRemovable, what, message)
}
