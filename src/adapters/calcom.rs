//! Cal.com's API v2 webhooks, from the vendor's published source: one per subscriber URL and account, which the server enforces.

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::ensure::{Desired, ensure, post, said_no};
use super::faults::Refusal;
use super::remove::{Removable, remove};
use super::session::{Known, Session, Written};
use super::url;
use crate::engine::outcome::Outcome;
use crate::model::journal::Evidence;
use crate::model::{canonical, pointer};

const WEBHOOKS: &str = "/v2/webhooks";
/// What the vendor allows in a page.
const PAGE: usize = 250;
/// Pages of one lookup: 10,000 webhooks of one account.
const MAX_PAGES: usize = 40;
const SUBSCRIPTION_TYPE: &str = "mandate.dev/CalendarSubscription/v1";

/// Subscribes a URL to calendar events, switched on or off.
pub(super) async fn subscribe(session: &mut Session<'_>, subscriber_url: &str, triggers: &[String], active: bool) -> Known<Evidence> {
    ensure(session, &Subscription { url: subscriber_url, triggers, active }).await
}

/// Switches a subscription on or off. One that is so already is not written to.
pub(super) async fn switch(session: &mut Session<'_>, id: &str, subscriber_url: &str, active: bool) -> Known<Evidence> {
    let subscriber = Subscriber { url: subscriber_url };
    let Some(found) = subscriber.found(session, id).await? else { return Err(missing(session, id)) };
    if found.active == active {
        return Ok(found.evidence(id));
    }
    let object = format!("calendar webhook {id}");
    match session.write(Method::PATCH, &path(id), Some(&json!({ "active": active }))).await? {
        Written::Done(_) => {}
        Written::Refused(reply) if reply.status == StatusCode::NOT_FOUND && reply.document::<Value>().is_ok() => {
            return Err(missing(session, id));
        }
        Written::Refused(reply) => return Err(said_no(session, &object, &format!("switching {object}"), &reply)),
    }
    let mut looks = session.looks_after();
    loop {
        let found = subscriber.found(session, id).await?;
        if let Some(found) = found.filter(|found| found.active == active) {
            return Ok(found.evidence(id));
        }
        if !looks.again().await {
            let message = format!("{object} was switched {}, but does not read back so", if active { "on" } else { "off" });
            return Err(session.refused(Refusal::ResourceDiffers, &object, message));
        }
    }
}

/// Ends the subscription of a URL.
pub(super) async fn unsubscribe(session: &mut Session<'_>, id: Option<&str>, subscriber_url: &str) -> Known<Evidence> {
    remove(session, &Subscriber { url: subscriber_url }, id).await
}

struct Subscription<'a> {
    url: &'a str,
    triggers: &'a [String],
    active: bool,
}

#[derive(Deserialize)]
struct Data<T> {
    data: T,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Webhook {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    subscriber_url: String,
    #[serde(default)]
    triggers: Vec<String>,
    #[serde(default)]
    active: bool,
}

impl Desired for Subscription<'_> {
    const NOUN: &'static str = "calendar webhook";

    async fn find(&self, session: &mut Session<'_>) -> Known<Vec<String>> {
        subscribed(session, self.url).await
    }

    async fn create(&self, session: &mut Session<'_>) -> Known<Written> {
        post(session, WEBHOOKS, &json!({"active": self.active, "subscriberUrl": self.url, "triggers": self.triggers})).await
    }

    fn id(&self, created: &Value) -> Option<String> {
        pointer::identifier(created, "/data/id")
    }

    fn taken(&self, status: StatusCode) -> bool {
        status == StatusCode::CONFLICT
    }

    async fn read_back(&self, session: &mut Session<'_>, id: &str) -> Known<Option<Evidence>> {
        let what = format!("calendar webhook {id}");
        let Some(found) = webhook_by_id(session, id).await? else { return Ok(None) };
        let (asked, present) = (sorted(self.triggers), sorted(&found.triggers));
        let difference = if found.subscriber_url != self.url {
            "has another subscriber URL".to_owned()
        } else if found.active != self.active {
            format!("is {}active", if found.active { "" } else { "not " })
        } else if asked != present {
            format!("has the triggers {} instead of {}", present.join(", "), asked.join(", "))
        } else {
            return Ok(Some(found.evidence(id)));
        };
        Err(session.refused(Refusal::ResourceDiffers, &what, format!("calendar webhook {id} for {} {difference}", self.url)))
    }
}

impl Webhook {
    fn evidence(&self, id: &str) -> Evidence {
        let triggers = sorted(&self.triggers);
        let document =
            json!({"@type": SUBSCRIPTION_TYPE, "subscriberUrl": self.subscriber_url, "triggers": triggers, "active": self.active});
        let digest = canonical::own(&document).ok().map(|text| text.digest());
        Evidence { external_id: Some(id.to_owned()), digest, ..Evidence::default() }
    }
}

/// Our key there: the URL, which is one subscriber's alone.
struct Subscriber<'a> {
    url: &'a str,
}

impl Subscriber<'_> {
    /// The webhook of an id; one of another URL is refused.
    async fn found(&self, session: &mut Session<'_>, id: &str) -> Known<Option<Webhook>> {
        let found = webhook_by_id(session, id).await?;
        let Some(other) = found.as_ref().map(|found| &found.subscriber_url).filter(|url| *url != self.url) else { return Ok(found) };
        let object = format!("calendar webhook {id}");
        let message = format!("{object} is subscribed for {other}, not for {}: it was not made by us", self.url);
        Err(session.refused(Refusal::NotOurs, &object, message))
    }
}

impl Removable for Subscriber<'_> {
    const NOUN: &'static str = "calendar webhook";

    async fn find(&self, session: &mut Session<'_>) -> Known<Vec<String>> {
        subscribed(session, self.url).await
    }

    async fn is_there(&self, session: &mut Session<'_>, id: &str) -> Known<bool> {
        Ok(self.found(session, id).await?.is_some())
    }

    async fn remove(&self, session: &mut Session<'_>, id: &str) -> Known<Written> {
        session.write(Method::DELETE, &path(id), None).await
    }
}

/// Ids of all webhooks of a URL.
async fn subscribed(session: &mut Session<'_>, subscriber_url: &str) -> Known<Vec<String>> {
    let mut ids = Vec::new();
    for page in 0..MAX_PAGES {
        let reply = session.read(&format!("{WEBHOOKS}?take={PAGE}&skip={}", page * PAGE)).await?;
        let Data { data }: Data<Vec<Webhook>> = session.document(&reply, "the list of calendar webhooks")?;
        let last = data.len() < PAGE;
        let ours = data.into_iter().filter(|webhook| webhook.subscriber_url == subscriber_url);
        ids.extend(ours.filter_map(|webhook| pointer::identifier(&webhook.id, "")));
        if last {
            // A webhook removed while pages were read shifts the rest, so that one could be seen twice.
            ids.sort_unstable();
            ids.dedup();
            return Ok(ids);
        }
    }
    Err(session.refused(Refusal::BadReply, "the list of calendar webhooks", "the list of calendar webhooks does not end"))
}

/// The webhook of an id; none if there is none.
async fn webhook_by_id(session: &mut Session<'_>, id: &str) -> Known<Option<Webhook>> {
    if url::segment(id).is_none() {
        return Ok(None);
    }
    let reply = session.read(&path(id)).await?;
    if reply.status == StatusCode::NOT_FOUND && reply.document::<Value>().is_ok() {
        return Ok(None);
    }
    let Data { data }: Data<Webhook> = session.document(&reply, &format!("calendar webhook {id}"))?;
    Ok(Some(data))
}

/// Path of an id that was read with, or is about to be.
fn path(id: &str) -> String {
    format!("{WEBHOOKS}/{}", url::encoded(id))
}

fn missing(session: &Session<'_>, id: &str) -> Outcome {
    let object = format!("calendar webhook {id}");
    let message = format!("{object} does not exist in provider {}", session.call.provider.name);
    session.refused(Refusal::ResourceMissing, &object, message)
}

/// The order of triggers has no meaning there.
fn sorted(triggers: &[String]) -> Vec<&str> {
    let mut sorted: Vec<&str> = triggers.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    sorted.dedup();
    sorted
}
