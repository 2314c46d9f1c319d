//! Assistants that exist: changed and removed only if they carry our key.

use http::Method;
use serde_json::{Map, Value, json};

use super::{ASSISTANTS, Assistant, KEY, SERVER_URL, assistant_by_id, set_url, with_our_key};
use crate::adapters::ensure::{said_no, the_one};
use crate::adapters::faults::Refusal;
use crate::adapters::remove::{Removable, remove};
use crate::adapters::session::{Known, Session, Written};
use crate::adapters::url;
use crate::engine::outcome::Outcome;
use crate::model::call::Made;
use crate::model::journal::Evidence;
use crate::model::pointer;

/// Members that a definition may have, from the types of the vendor's SDK: what else is read is the vendor's own.
const MEMBERS: [&str; 31] = [
    "analysisPlan",
    "artifactPlan",
    "backgroundSound",
    "backgroundSpeechDenoisingPlan",
    "clientMessages",
    "compliancePlan",
    "credentialIds",
    "credentials",
    "endCallMessage",
    "endCallPhrases",
    "firstMessage",
    "firstMessageInterruptionsEnabled",
    "firstMessageMode",
    "hooks",
    "keypadInputPlan",
    "maxDurationSeconds",
    "metadata",
    "model",
    "modelOutputInMessagesEnabled",
    "monitorPlan",
    "name",
    "observabilityPlan",
    "server",
    "serverMessages",
    "startSpeakingPlan",
    "stopSpeakingPlan",
    "transcriber",
    "transportConfigurations",
    "voice",
    "voicemailDetection",
    "voicemailMessage",
];

/// Gives an assistant its server URL.
pub(in crate::adapters) async fn set_server_url(session: &mut Session<'_>, made: &Made, server_url: &str) -> Known<Evidence> {
    let (id, mut found) = ours(session, made).await?;
    let has_url = |assistant: &Value| pointer::text(assistant, SERVER_URL) == Some(server_url);
    if !has_url(&found) {
        set_url(&mut found, &server_url.into());
        // The vendor replaces a member whole.
        patch(session, &id, &json!({"server": found.get("server")})).await?;
        reads_back(session, &id, has_url, |session, _| {
            let what = format!("assistant {id}");
            session.refused(
                Refusal::ResourceDiffers,
                &what,
                format!("{what} was given the server URL {server_url}, but reads back without"),
            )
        })
        .await?;
    }
    Ok(Evidence { external_id: Some(id), ..Evidence::default() })
}

/// Replaces an assistant's definition. One that is so already is not written to.
pub(in crate::adapters) async fn update_assistant(
    session: &mut Session<'_>,
    made: &Made,
    name: &str,
    definition: &str,
    server_url: &str,
) -> Known<Evidence> {
    let assistant = Assistant::defined(session, name, definition, server_url)?;
    let (id, found) = ours(session, made).await?;
    let extra = extra(&assistant.sent, &found);
    if assistant.difference(&found).is_some() || !extra.is_empty() {
        let mut body = assistant.sent.as_object().cloned().unwrap_or_default();
        body.extend(extra);
        patch(session, &id, &Value::Object(body)).await?;
        let is_so = |found: &Value| assistant.difference(found).is_none();
        reads_back(session, &id, is_so, |session, found| {
            let place = assistant.difference(found).unwrap_or_default();
            assistant.differs(session, &id, found, &place)
        })
        .await?;
    }
    Ok(assistant.evidence(&id))
}

/// Removes an assistant.
pub(in crate::adapters) async fn remove_assistant(session: &mut Session<'_>, made: &Made) -> Known<Evidence> {
    remove(session, &Gone, made.id.as_deref()).await
}

/// What an earlier definition left and the newer one does not have, each to be taken away.
fn extra(sent: &Value, found: &Value) -> Map<String, Value> {
    let members = found.as_object().into_iter().flatten();
    let former = |name: &str| MEMBERS.contains(&name) && sent.get(name).is_none();
    members.filter(|(name, value)| !value.is_null() && former(name)).map(|(name, _)| (name.clone(), Value::Null)).collect()
}

/// The assistant that an earlier call made, which must exist.
async fn ours(session: &mut Session<'_>, made: &Made) -> Known<(String, Value)> {
    let mut looks = session.looks_for_made();
    loop {
        let id = match &made.id {
            Some(id) => Some(id.clone()),
            None => {
                let ids = with_our_key(session).await?;
                the_one(session, Gone::NOUN, ids)?
            }
        };
        let found = match &id {
            Some(id) => assistant_by_id(session, id).await?,
            None => None,
        };
        if let Some((id, found)) = id.zip(found) {
            return if carries_key(session, &found) { Ok((id, found)) } else { Err(not_ours(session, &id)) };
        }
        if made.id.is_some() || !looks.again().await {
            return Err(missing(session, made.id.as_deref()));
        }
    }
}

fn carries_key(session: &Session<'_>, assistant: &Value) -> bool {
    assistant.get("metadata").and_then(|metadata| pointer::text(metadata, &format!("/{KEY}"))) == Some(session.mark())
}

fn not_ours(session: &Session<'_>, id: &str) -> Outcome {
    let message = format!("assistant {id} does not have key {} in its metadata: it was not made by us", session.mark());
    session.refused(Refusal::NotOurs, &format!("assistant {id}"), message)
}

fn missing(session: &Session<'_>, id: Option<&str>) -> Outcome {
    let what = id.map_or_else(|| format!("an assistant with key {}", session.mark()), |id| format!("assistant {id}"));
    let message = format!("{what} does not exist in provider {}", session.call.provider.name);
    session.refused(Refusal::ResourceMissing, &what, message)
}

async fn patch(session: &mut Session<'_>, id: &str, body: &Value) -> Known<()> {
    match session.write(Method::PATCH, &format!("{ASSISTANTS}/{}", url::encoded(id)), Some(body)).await? {
        // What was done is read back; the reply itself proves nothing.
        Written::Done(_) => Ok(()),
        Written::Refused(reply) if reply.status == http::StatusCode::NOT_FOUND && reply.document::<Value>().is_ok() => {
            Err(missing(session, Some(id)))
        }
        Written::Refused(reply) => {
            let what = format!("assistant {id}");
            Err(said_no(session, &what, &format!("updating {what}"), &reply))
        }
    }
}

async fn reads_back(
    session: &mut Session<'_>,
    id: &str,
    is_so: impl Fn(&Value) -> bool,
    otherwise: impl Fn(&Session<'_>, &Value) -> Outcome,
) -> Known<()> {
    let mut looks = session.looks_after();
    loop {
        let found = assistant_by_id(session, id).await?;
        if found.as_ref().is_some_and(&is_so) {
            return Ok(());
        }
        if !looks.again().await {
            return Err(found.map_or_else(|| missing(session, Some(id)), |found| otherwise(session, &found)));
        }
    }
}

/// An assistant that goes.
struct Gone;

impl Removable for Gone {
    const NOUN: &'static str = "assistant";

    async fn find(&self, session: &mut Session<'_>) -> Known<Vec<String>> {
        with_our_key(session).await
    }

    async fn is_there(&self, session: &mut Session<'_>, id: &str) -> Known<bool> {
        match assistant_by_id(session, id).await? {
            None => Ok(false),
            Some(found) if carries_key(session, &found) => Ok(true),
            Some(_) => Err(not_ours(session, id)),
        }
    }

    async fn remove(&self, session: &mut Session<'_>, id: &str) -> Known<Written> {
        session.write(Method::DELETE, &format!("{ASSISTANTS}/{}", url::encoded(id)), None).await
    }
}
