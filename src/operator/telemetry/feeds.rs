//! The state of each watch.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use crate::model::resource::Resource;

/// The state of one watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedState {
    /// Its first complete list has not come yet.
    Listing,
    /// It tells every change.
    Live,
    /// It ended for this reason and has not been live since.
    Down(&'static str),
}

/// One thing that is not ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unready {
    /// Nothing is watched yet.
    NotStarted,
    /// The watch of a resource is not live.
    Feed {
        /// Which.
        resource: &'static Resource,
        /// CamelCase: `NotListed`, `Forbidden`, ...
        reason: &'static str,
    },
}

impl fmt::Display for Unready {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted => formatter.write_str("no watch has been started"),
            Self::Feed { resource, reason } => write!(formatter, "watch of {resource}: {reason}"),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Feeds(Mutex<BTreeMap<&'static Resource, FeedState>>);

impl Feeds {
    pub(super) fn set(&self, resource: &'static Resource, state: FeedState) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(resource, state);
    }

    pub(super) fn unready(&self) -> Vec<Unready> {
        let feeds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if feeds.is_empty() {
            return vec![Unready::NotStarted];
        }
        let reason = |state: &FeedState| match state {
            FeedState::Live => None,
            FeedState::Listing => Some("NotListed"),
            FeedState::Down(reason) => Some(*reason),
        };
        feeds.iter().filter_map(|(resource, state)| Some(Unready::Feed { resource, reason: reason(state)? })).collect()
    }
}
