//! Exactly once, for everything that is created outside: the one shape of all creating operations.
//!
//! | known before          | found by key | then                                                               |
//! |-----------------------|--------------|--------------------------------------------------------------------|
//! | nothing was sent      | no           | create, read back                                                  |
//! | it may have been sent | no           | look until the consistency window has passed, only then create     |
//! | either                | once         | read back                                                          |
//! | either                | twice        | refuse: a person must say which one is ours                        |
//!
//! A create that was answered with success but not understandably is looked up before anything is said about it.

use http::{Method, StatusCode};
use serde_json::Value;

use super::faults::Refusal;
use super::reply::{Reply, Unreadable};
use super::session::{Known, Session, Written};
use crate::engine::outcome::Outcome;
use crate::model::journal::Evidence;

/// Something that shall exist outside, and how its system is asked about it.
pub(super) trait Desired: Sync {
    /// What it is called in messages.
    const NOUN: &'static str;

    /// Ids of everything that carries our key.
    fn find(&self, session: &mut Session<'_>) -> impl Future<Output = Known<Vec<String>>> + Send;

    /// Sends the create, once.
    fn create(&self, session: &mut Session<'_>) -> impl Future<Output = Known<Written>> + Send;

    /// The id in the reply to create.
    fn id(&self, created: &Value) -> Option<String>;

    /// Whether this refusal says that the unique name is taken, perhaps by ourselves.
    fn taken(&self, _status: StatusCode) -> bool {
        false
    }

    /// Evidence that it is what is asked for; none while it is not visible.
    fn read_back(&self, session: &mut Session<'_>, id: &str) -> impl Future<Output = Known<Option<Evidence>>> + Send;
}

/// Sees to it that it exists once.
pub(super) async fn ensure<D: Desired>(session: &mut Session<'_>, desired: &D) -> Known<Evidence> {
    let mut looks = session.looks_before();
    loop {
        if let Some(id) = found(session, desired).await? {
            return confirmed(session, desired, &id).await;
        }
        if !looks.again().await {
            break;
        }
    }
    match desired.create(session).await? {
        Written::Done(reply) => match id_of(desired, &reply) {
            Ok(id) => confirmed(session, desired, &id).await,
            Err(unreadable) => match appeared(session, desired).await? {
                Some(id) => confirmed(session, desired, &id).await,
                None => Err(session.unreadable(unreadable, &unidentified(session, D::NOUN))),
            },
        },
        Written::Refused(reply) if desired.taken(reply.status) => match appeared(session, desired).await? {
            Some(id) => confirmed(session, desired, &id).await,
            None => Err(refusal(session, D::NOUN, &reply)),
        },
        Written::Refused(reply) => Err(refusal(session, D::NOUN, &reply)),
    }
}

/// The refusal of a create that did not happen.
pub(super) fn refusal(session: &Session<'_>, noun: &str, reply: &Reply) -> Outcome {
    said_no(session, &unidentified(session, noun), &format!("creating {noun}"), reply)
}

/// The refusal of a write that did not happen; `doing` says what it was.
pub(super) fn said_no(session: &Session<'_>, object: &str, doing: &str, reply: &Reply) -> Outcome {
    let kind = if reply.status.is_redirection() { Refusal::BadReply } else { Refusal::RequestRefused };
    session.refused(kind, object, format!("{doing}: provider {} answered {}", session.call.provider.name, session.said(reply)))
}

/// What is known of something without an id.
pub(super) fn unidentified(session: &Session<'_>, noun: &str) -> String {
    format!("{noun} with key {}", session.mark())
}

/// Creates that every system spells alike.
pub(super) async fn post(session: &mut Session<'_>, path: &str, body: &Value) -> Known<Written> {
    session.write(Method::POST, path, Some(body)).await
}

fn id_of<D: Desired>(desired: &D, reply: &Reply) -> Result<String, Unreadable> {
    desired.id(&reply.document()?).ok_or(Unreadable::NotTheShape)
}

async fn found<D: Desired>(session: &mut Session<'_>, desired: &D) -> Known<Option<String>> {
    let ids = desired.find(session).await?;
    the_one(session, D::NOUN, ids)
}

/// The only one of what carries our key.
pub(super) fn the_one(session: &Session<'_>, noun: &str, mut ids: Vec<String>) -> Known<Option<String>> {
    if let [one, another, ..] = ids.as_slice() {
        let message = format!("{noun} {one} and {another} both carry key {}", session.mark());
        return Err(session.refused(Refusal::KeyNotUnique, &format!("{one} and {another}"), message));
    }
    Ok(ids.pop())
}

async fn appeared<D: Desired>(session: &mut Session<'_>, desired: &D) -> Known<Option<String>> {
    let mut looks = session.looks_after();
    loop {
        if let Some(id) = found(session, desired).await? {
            return Ok(Some(id));
        }
        if !looks.again().await {
            return Ok(None);
        }
    }
}

async fn confirmed<D: Desired>(session: &mut Session<'_>, desired: &D, id: &str) -> Known<Evidence> {
    let mut looks = session.looks_after();
    loop {
        if let Some(evidence) = desired.read_back(session, id).await? {
            return Ok(evidence);
        }
        if !looks.again().await {
            let message = format!("{} {id} was created but cannot be read back", D::NOUN);
            return Err(session.refused(Refusal::NotReadBack, &format!("{} {id}", D::NOUN), message));
        }
    }
}
