//! Cal.com's API v2 webhooks, from the vendor's published source: one per subscriber URL and account, which the server enforces.

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::ensure::{Desired, ensure, post};
use super::faults::Refusal;
use super::session::{Known, Session, Written};
use super::url;
use crate::model::journal::Evidence;
use crate::model::{canonical, pointer};

const WEBHOOKS: &str = "/v2/webhooks";
/// What the vendor allows in a page.
const PAGE: usize = 250;
/// Pages of one lookup: 10,000 webhooks of one account.
const MAX_PAGES: usize = 40;
const SUBSCRIPTION_TYPE: &str = "mandate.dev/CalendarSubscription/v1";

/// Subscribes a URL to calendar events.
pub(super) async fn subscribe(session: &mut Session<'_>, subscriber_url: &str, triggers: &[String]) -> Known<Evidence> {
    ensure(session, &Subscription { url: subscriber_url, triggers }).await
}

struct Subscription<'a> {
    url: &'a str,
    triggers: &'a [String],
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
        let mut ids = Vec::new();
        for page in 0..MAX_PAGES {
            let reply = session.read(&format!("{WEBHOOKS}?take={PAGE}&skip={}", page * PAGE)).await?;
            let Data { data }: Data<Vec<Webhook>> = session.document(&reply, "the list of calendar webhooks")?;
            let last = data.len() < PAGE;
            let ours = data.into_iter().filter(|webhook| webhook.subscriber_url == self.url);
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

    async fn create(&self, session: &mut Session<'_>) -> Known<Written> {
        post(session, WEBHOOKS, &json!({"active": true, "subscriberUrl": self.url, "triggers": self.triggers})).await
    }

    fn id(&self, created: &Value) -> Option<String> {
        pointer::identifier(created, "/data/id")
    }

    fn taken(&self, status: StatusCode) -> bool {
        status == StatusCode::CONFLICT
    }

    async fn read_back(&self, session: &mut Session<'_>, id: &str) -> Known<Option<Evidence>> {
        let what = format!("calendar webhook {id}");
        let Some(segment) = url::segment(id) else { return Ok(None) };
        let reply = session.read(&format!("{WEBHOOKS}/{segment}")).await?;
        if reply.status == StatusCode::NOT_FOUND && reply.document::<Value>().is_ok() {
            return Ok(None);
        }
        let Data { data: found }: Data<Webhook> = session.document(&reply, &what)?;
        let (asked, present) = (sorted(self.triggers), sorted(&found.triggers));
        let difference = if found.subscriber_url != self.url {
            "has another subscriber URL".to_owned()
        } else if !found.active {
            "is not active".to_owned()
        } else if asked != present {
            format!("has the triggers {} instead of {}", present.join(", "), asked.join(", "))
        } else {
            let document = json!({"@type": SUBSCRIPTION_TYPE, "subscriberUrl": self.url, "triggers": asked, "active": true});
            let digest = canonical::own(&document).ok().map(|text| text.digest());
            return Ok(Some(Evidence { external_id: Some(id.to_owned()), digest, ..Evidence::default() }));
        };
        Err(session.refused(Refusal::ResourceDiffers, &what, format!("calendar webhook {id} for {} {difference}", self.url)))
    }
}

/// The order of triggers has no meaning there.
fn sorted(triggers: &[String]) -> Vec<&str> {
    let mut sorted: Vec<&str> = triggers.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    sorted.dedup();
    sorted
}
