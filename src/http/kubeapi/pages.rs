//! Lists in pages, all of one version.
//!
//! The server lists only its newest state. So the rest of a list that was begun is kept (objects are shared, not copied)
//! until it expires, and a token says where to go on. A token that is no longer known is refused as expired, and the
//! client begins again, as with a compacted cluster.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::status::Refusal;
use crate::model::object::Object;
use crate::world::server::{Identity, Listed, Selection};

/// The most lists that are kept; the oldest goes first.
const KEPT: usize = 32;
/// How long a list is kept.
const LIFETIME: Duration = Duration::from_secs(300);

/// Lists that were begun.
#[derive(Default)]
pub struct Pages {
    begun: Mutex<Begun>,
}

#[derive(Default)]
struct Begun {
    last: u64,
    lists: VecDeque<Arc<BegunList>>,
}

struct BegunList {
    number: u64,
    owner: Identity,
    selection: Selection,
    listed: Listed,
    expires: Instant,
}

/// Where to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Token {
    #[serde(rename = "rv")]
    resource_version: u64,
    list: u64,
    at: usize,
}

/// One page.
#[derive(Debug, Clone)]
pub struct Page {
    /// Its objects.
    pub objects: Vec<Arc<Object>>,
    /// Version of the whole list.
    pub resource_version: u64,
    /// Token for the next page; none at the end.
    pub next: Option<String>,
    /// How many objects are left after this page.
    pub remaining: usize,
}

impl Pages {
    /// The first page of a list; `limit` 0 means all.
    pub fn first(&self, owner: &Identity, selection: &Selection, listed: Listed, limit: usize) -> Page {
        if limit == 0 || listed.objects.len() <= limit {
            return Page { objects: listed.objects, resource_version: listed.resource_version, next: None, remaining: 0 };
        }
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.forget_expired();
        begun.last += 1;
        let number = begun.last;
        let (owner, selection, expires) = (owner.clone(), selection.clone(), Instant::now() + LIFETIME);
        let list = Arc::new(BegunList { number, owner, selection, listed, expires });
        begun.lists.push_back(Arc::clone(&list));
        while begun.lists.len() > KEPT {
            begun.lists.pop_front();
        }
        drop(begun);
        list.page(0, limit)
    }

    /// The page that a token names.
    ///
    /// # Errors
    /// 400 for a token that is not of this server or not for this request, 410 for one whose list is no longer kept.
    pub fn next(&self, owner: &Identity, selection: &Selection, token: &str, limit: usize) -> Result<Page, Refusal> {
        let token = Token::read(token).ok_or_else(|| Refusal::bad_request("continue key is not valid"))?;
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.forget_expired();
        let known = |list: &&Arc<BegunList>| list.number == token.list && list.listed.resource_version == token.resource_version;
        // Somebody else's list is as unknown as none.
        let list = begun.lists.iter().find(known).filter(|list| list.owner == *owner).cloned();
        drop(begun);
        let list = list.ok_or_else(|| {
            let message = "The provided continue parameter is too old to display a consistent list result. \
                           You can start a new list without the continue parameter.";
            Refusal::expired(message)
        })?;
        if !same(&list.selection, selection) {
            return Err(Refusal::bad_request("continue key is not valid for another list than the one that it was given with"));
        }
        Ok(list.page(token.at, limit))
    }
}

impl Begun {
    fn forget_expired(&mut self) {
        let now = Instant::now();
        self.lists.retain(|list| list.expires > now);
    }
}

impl BegunList {
    fn page(&self, at: usize, limit: usize) -> Page {
        let rest = self.listed.objects.get(at..).unwrap_or_default();
        let objects: Vec<Arc<Object>> = rest.iter().take(if limit == 0 { rest.len() } else { limit }).cloned().collect();
        let remaining = rest.len() - objects.len();
        let resource_version = self.listed.resource_version;
        let next = Token { resource_version, list: self.number, at: at + objects.len() };
        Page { objects, resource_version, next: (remaining > 0).then(|| next.written()), remaining }
    }
}

impl Token {
    fn read(text: &str) -> Option<Self> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    }

    fn written(self) -> String {
        let Self { resource_version, list, at } = self;
        URL_SAFE_NO_PAD.encode(format!("{{\"rv\":{resource_version},\"list\":{list},\"at\":{at}}}"))
    }
}

fn same(left: &Selection, right: &Selection) -> bool {
    let Selection { resource, namespace, fields, labels } = left;
    *resource == right.resource && *namespace == right.namespace && *fields == right.fields && *labels == right.labels
}
