//! Removing what we made, any number of times.
//!
//! | known of it          | found                        | then                                          |
//! |----------------------|------------------------------|-----------------------------------------------|
//! | its id               | nothing of this id           | gone already                                  |
//! | its id               | it does not carry our key    | refuse: it is not ours                        |
//! | its id               | ours                         | remove, and see that it is gone               |
//! | its key only         | nothing within the window    | gone already, or never made                   |
//! | its key only         | once                         | remove, and see that it is gone               |
//! | its key only         | twice                        | refuse: a person must say which one is ours   |
//!
//! Without an id the outcome of the making call is not known either, so it may still be under way: the looks go on until the
//! consistency window has passed.

use http::StatusCode;

use super::ensure::{said_no, the_one};
use super::faults::Refusal;
use super::session::{Known, Session, Written};
use crate::model::journal::Evidence;

/// Something of ours outside, and how its system is asked about it.
pub(super) trait Removable: Sync {
    /// What it is called in messages.
    const NOUN: &'static str;

    /// Ids of everything that carries our key.
    fn find(&self, session: &mut Session<'_>) -> impl Future<Output = Known<Vec<String>>> + Send;

    /// Whether there is something of this id. What does not carry our key is refused.
    fn is_there(&self, session: &mut Session<'_>, id: &str) -> impl Future<Output = Known<bool>> + Send;

    /// Sends the removal, once.
    fn remove(&self, session: &mut Session<'_>, id: &str) -> impl Future<Output = Known<Written>> + Send;
}

/// Sees to it that it is gone.
pub(super) async fn remove<R: Removable>(session: &mut Session<'_>, thing: &R, id: Option<&str>) -> Known<Evidence> {
    let id = match id {
        Some(id) => Some(id.to_owned()),
        None => sought(session, thing).await?,
    };
    let Some(id) = id else { return Ok(gone(None, true)) };
    if !thing.is_there(session, &id).await? {
        return Ok(gone(Some(id), true));
    }
    let object = format!("{} {id}", R::NOUN);
    let absent = match thing.remove(session, &id).await? {
        Written::Done(_) => false,
        // Somebody was quicker, or an earlier try of this call was: reading back says whether it is so.
        Written::Refused(reply) if is_gone(reply.status) => true,
        Written::Refused(reply) => return Err(said_no(session, &object, &format!("removing {object}"), &reply)),
    };
    let mut looks = session.looks_after();
    while thing.is_there(session, &id).await? {
        if !looks.again().await {
            let message = format!("{object} with key {} was removed and is still there", session.mark());
            return Err(session.refused(Refusal::NotRemoved, &object, message));
        }
    }
    Ok(gone(Some(id), absent))
}

/// What is left of something that was removed.
pub(super) fn gone(id: Option<String>, absent: bool) -> Evidence {
    Evidence { external_id: id, absent, ..Evidence::default() }
}

/// Whether a refused removal says that there is nothing to remove.
pub(super) fn is_gone(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE)
}

async fn sought<R: Removable>(session: &mut Session<'_>, thing: &R) -> Known<Option<String>> {
    let mut looks = session.looks_for_made();
    loop {
        let ids = thing.find(session).await?;
        if let Some(id) = the_one(session, R::NOUN, ids)? {
            return Ok(Some(id));
        }
        if !looks.again().await {
            return Ok(None);
        }
    }
}
