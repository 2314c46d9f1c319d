//! What a candidate has seen of the lease, and from when it may be taken.

use std::time::Duration;

use tokio::time::Instant;

use super::Options;
use super::record::{Holder, Record};

/// A candidate's view. Instants are those of the local monotonic clock.
#[derive(Debug)]
pub(super) struct View {
    identity: String,
    /// For a record that does not say how long it lasts.
    default_duration: Duration,
    /// The lease as last seen; none when it is absent.
    pub(super) record: Option<Record>,
    /// Changes of holder known so far, also from a lease that was deleted since.
    pub(super) transitions: Option<u32>,
    /// From when it may be taken; none before it was looked at.
    pub(super) free_at: Option<Instant>,
}

impl View {
    pub(super) fn new(options: &Options) -> Self {
        let default_duration = options.lease_duration;
        Self { identity: options.identity.clone(), default_duration, record: None, transitions: None, free_at: None }
    }

    /// Takes in what was read or told. Only what is news begins the wait anew.
    pub(super) fn see(&mut self, record: Option<Record>) {
        let now = Instant::now();
        let looked = self.free_at.is_some();
        let free_at = match (&self.record, &record) {
            (Some(before), Some(news)) if looked && (news.is_same(before) || news.is_older(before)) => return,
            (None, None) if looked => return,
            (_, Some(news)) => now + self.held_for(news),
            // Somebody deleted it under a holder who may act for as long as it would have lasted.
            (Some(before), None) => now + self.held_for(before),
            (None, None) => now,
        };
        if let Some(news) = &record {
            self.transitions = Some(self.transitions.unwrap_or(0).max(news.transitions));
        }
        self.record = record;
        self.free_at = Some(free_at);
    }

    /// Not again before `at`, whatever was seen so far.
    pub(super) fn hold_back(&mut self, at: Instant) {
        self.free_at = self.free_at.map(|free_at| free_at.max(at));
    }

    fn held_for(&self, record: &Record) -> Duration {
        match &record.holder {
            Holder::Nobody => Duration::ZERO,
            // Taken by us, but its reply was lost.
            Holder::Process(holder) if *holder == self.identity => Duration::ZERO,
            Holder::Process(_) | Holder::Unreadable => record.lasts.unwrap_or(self.default_duration),
        }
    }
}
