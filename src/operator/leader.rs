//! Leader election on a Lease.
//!
//! Guarantees: of all processes that use one Lease, at most one is told that it leads, at any instant. A candidate takes a
//! lease only if it is absent, was given back, or stayed unchanged under its eyes for as long as the record says it lasts;
//! a leader stops itself `renew_deadline` after it *sent* its last successful renewal, which is sooner. Both measure with
//! their own monotonic clock: the wall clocks of two machines are never compared. Every write names UID and resource
//! version, so that what somebody else saw or wrote meanwhile makes it a conflict, and then the lease is read again.
//!
//! ```text
//! standby --(absent, released, or unchanged for its duration)--> take: PUT or create --> leader --(renewed)--> leader
//!    ^                                                              |                      |  \--(asked to stop)--> gives it back, ends
//!    \---------------------(refused: read again)--------------------/                      \--(taken, deleted, not renewed in time)--> Lost
//! ```
//!
//! Not guaranteed: that a request sent before the end of a tenure does not arrive after it. For that every write carries a
//! resource version and every outside effect a key. A machine whose monotonic clock stands still while others' run (a
//! suspended virtual machine) is held back by the same two only.

mod follow;
mod record;
mod tenure;
mod view;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use self::follow::{Follow, Told};
use self::record::Record;
use self::view::View;
use crate::engine::port::{Access, Clock, Identifiers, Verb, World, WorldError};
use crate::model::object::ObjectKey;
use crate::model::resource::LEASE;

pub use self::tenure::{Leadership, Standing};

/// What the election needs in the namespace of its lease.
pub const ACCESS: Access = Access { resource: &LEASE, verbs: &[Verb::Get, Verb::List, Verb::Watch, Verb::Create, Verb::Update] };

/// Tries to give the lease back before it is left to run out.
const RELEASE_TRIES: usize = 3;

/// Who stands for election, where, and how fast.
#[derive(Debug, Clone)]
pub struct Options {
    /// Unique per process: [`identity`].
    pub identity: String,
    /// Namespace of the lease: the system namespace.
    pub namespace: String,
    /// Name of the lease.
    pub name: String,
    /// How long the lease lasts for others after a renewal; whole seconds.
    pub lease_duration: Duration,
    /// How long the leader acts after a renewal was sent; shorter than `lease_duration`.
    pub renew_deadline: Duration,
    /// How long from one renewal, or one try, to the next; shorter than `renew_deadline`.
    pub retry_period: Duration,
}

impl Options {
    /// Lease `mandate`, 15 s, given up after 10 s, renewed every 2 s.
    #[must_use]
    pub fn new(identity: String, system_namespace: &str) -> Self {
        Self {
            identity,
            namespace: system_namespace.to_owned(),
            name: "mandate".to_owned(),
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }

    /// # Errors
    /// The first thing with which the guarantees would not hold.
    pub fn check(&self) -> Result<(), InvalidOptions> {
        let Self { identity, namespace: _, name: _, lease_duration, renew_deadline, retry_period } = self;
        if identity.is_empty() {
            return Err(InvalidOptions::NoIdentity);
        }
        if lease_duration.subsec_nanos() != 0 || lease_duration.as_secs() == 0 || i32::try_from(lease_duration.as_secs()).is_err() {
            return Err(InvalidOptions::NotWholeSeconds(*lease_duration));
        }
        if renew_deadline >= lease_duration {
            return Err(InvalidOptions::DeadlineTooLong { renew_deadline: *renew_deadline, lease_duration: *lease_duration });
        }
        if retry_period >= renew_deadline || retry_period.is_zero() {
            return Err(InvalidOptions::PeriodTooLong { retry_period: *retry_period, renew_deadline: *renew_deadline });
        }
        Ok(())
    }
}

/// Options that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOptions {
    /// Two processes without identity would be one.
    #[error("a candidate needs an identity")]
    NoIdentity,
    /// The record counts in seconds.
    #[error("the lease duration must be whole seconds, at least one, not {0:?}")]
    NotWholeSeconds(Duration),
    /// Two leaders at once.
    #[error("the renew deadline ({renew_deadline:?}) must be shorter than the lease duration ({lease_duration:?})")]
    DeadlineTooLong {
        /// As given.
        renew_deadline: Duration,
        /// As given.
        lease_duration: Duration,
    },
    /// No second try.
    #[error("the retry period ({retry_period:?}) must be longer than zero and shorter than the renew deadline ({renew_deadline:?})")]
    PeriodTooLong {
        /// As given.
        retry_period: Duration,
        /// As given.
        renew_deadline: Duration,
    },
}

/// An identity that no other process has, not even the next one in the same pod.
#[must_use]
pub fn identity(pod: &str, ids: &dyn Identifiers) -> String {
    format!("{pod}_{}", ids.uuid())
}

/// Why a leader leads no more. The process must end: what it has in memory may be as old as its tenure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// No renewal succeeded in time.
    #[error("the lease was not renewed in time: {last}")]
    NotRenewed {
        /// What the last try met.
        last: String,
    },
    /// Somebody else holds it, or took it away.
    #[error("the lease was taken by {holder}")]
    Taken {
        /// Who.
        holder: String,
    },
    /// It is gone.
    #[error("the lease was deleted")]
    Deleted,
}

/// What becomes of the lease when the process stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// All work has ended: the lease is given back, the next leader begins at once.
    Release,
    /// Something may still be under way: the lease runs out.
    RunOut,
}

/// One candidate.
pub struct Election {
    world: Arc<dyn World>,
    clock: Arc<dyn Clock>,
    options: Options,
    leadership: Leadership,
}

/// A lease that this process holds.
struct Tenure {
    /// As it was last written.
    record: Record,
    /// Until when this process may act.
    until: Instant,
    /// When the last try to renew began.
    tried: Instant,
    /// What it met, if not success.
    last: Option<String>,
}

/// What a try to renew came to.
enum Renewal {
    /// The lease is held for longer.
    Done,
    /// To be tried again, at once if the lease was only changed under our hands.
    Failed { message: String, at_once: bool },
    /// Never again.
    Lost(Lost),
}

impl Election {
    /// A candidate that has not begun, and the handle by which everything else asks whether it leads. `clock` is read for
    /// what is written into the record only.
    ///
    /// # Errors
    /// [`InvalidOptions`].
    pub fn new(world: Arc<dyn World>, clock: Arc<dyn Clock>, options: Options) -> Result<(Self, Leadership), InvalidOptions> {
        options.check()?;
        let leadership = Leadership::default();
        Ok((Self { world, clock, options, leadership: leadership.clone() }, leadership))
    }

    /// Stands by, leads, and ends: well when `stop` completes, whatever the standing. `stop` must not complete before the
    /// work that leadership permits has ended or was cut off; meanwhile the lease is renewed.
    ///
    /// # Errors
    /// [`Lost`]; never the standby.
    pub async fn run(self, stop: impl Future<Output = Farewell>) -> Result<(), Lost> {
        let mut stop = std::pin::pin!(stop);
        let mut follow = Follow::new(self.world.clone(), self.key(), self.options.retry_period);
        let mut view = View::new(&self.options);
        let tenure = loop {
            tokio::select! {
                biased;
                _ = &mut stop => return Ok(()),
                () = self.wait_until_free(&mut view, &mut follow) => {}
            }
            // Not cut off by `stop`: a lease must not be taken by a process that has gone.
            if let Some(tenure) = self.take(&mut view, &mut follow).await {
                break tenure;
            }
        };
        self.leadership.begin(tenure.record.transitions, tenure.until);
        tracing::info!(identity = self.options.identity, fencing = tenure.record.transitions, "leading");
        let ended = self.lead(tenure, &mut follow, stop).await;
        self.leadership.end();
        if let Err(lost) = &ended {
            tracing::error!(identity = self.options.identity, %lost, "not leading any more");
        }
        ended
    }

    fn key(&self) -> ObjectKey {
        ObjectKey::new(&LEASE, &self.options.namespace, &self.options.name)
    }

    /// One request may take half of the renew deadline, so that there is time for another.
    fn patience(&self) -> Duration {
        self.options.renew_deadline / 2
    }

    async fn read(&self) -> Result<Option<Record>, String> {
        match timeout(self.patience(), self.world.get(&self.key())).await {
            Ok(Ok(object)) => Ok(object.map(|object| Record::of(&object))),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("reading the lease: no answer".to_owned()),
        }
    }

    async fn wait_until_free(&self, view: &mut View, follow: &mut Follow) {
        loop {
            let free_at = view.free_at;
            let told = tokio::select! {
                biased;
                told = follow.next() => told,
                () = async { if let Some(at) = free_at { sleep_until(at).await } }, if free_at.is_some() => return,
            };
            match told {
                Told::Lease(record) => view.see(record),
                Told::Overdue => match self.read().await {
                    Ok(record) => view.see(record),
                    Err(error) => tracing::warn!(lease = %self.key(), error, "standing by without sight of the lease"),
                },
            }
        }
    }

    /// Takes the lease in the state that was seen; any other state refuses.
    async fn take(&self, view: &mut View, follow: &mut Follow) -> Option<Tenure> {
        let sent = Instant::now();
        let present = view.record.as_ref();
        let own = present.is_some_and(|record| record.is_held_by(&self.options.identity));
        let fencing = if own { view.transitions.unwrap_or(0) } else { view.transitions.map_or(0, record::next) };
        let wanted = record::held(&self.options, present.map(|record| &record.object), fencing, self.clock.now(), !own);
        let request = async { if present.is_some() { self.world.update(&wanted).await } else { self.world.create(&wanted).await } };
        let error = match timeout(self.options.renew_deadline, request).await {
            Ok(Ok(object)) => {
                let until = sent + self.options.renew_deadline;
                return Some(Tenure { record: Record::of(&object), until, tried: sent, last: None });
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer".to_owned(),
        };
        tracing::debug!(lease = %self.key(), error, "the lease was not taken");
        match self.read().await {
            Ok(record) => view.see(record),
            Err(error) => tracing::warn!(lease = %self.key(), error, "standing by without sight of the lease"),
        }
        // Had the watch been live and quick, it would have told before the refusal did.
        follow.reopen();
        view.hold_back(sent + self.options.retry_period);
        None
    }

    async fn lead<S: Future<Output = Farewell>>(
        &self,
        mut tenure: Tenure,
        follow: &mut Follow,
        mut stop: std::pin::Pin<&mut S>,
    ) -> Result<(), Lost> {
        let mut at_once = false;
        loop {
            let next = if at_once { Instant::now() } else { tenure.tried + self.options.retry_period };
            tokio::select! {
                biased;
                () = sleep_until(tenure.until) => return Err(tenure.ran_out()),
                farewell = &mut stop => {
                    self.leadership.end();
                    return self.leave(tenure, farewell).await;
                }
                () = sleep_until(next) => {}
                told = follow.next() => if !tenure.is_contradicted_by(&told, &self.options.identity) { continue },
            }
            let until = tenure.until;
            match timeout_at(until, self.renew(&mut tenure)).await {
                // A reply after the end of the tenure begins no new one.
                _ if Instant::now() >= until => return Err(tenure.ran_out()),
                Ok(Renewal::Done) => {
                    at_once = false;
                    self.leadership.extend(tenure.until);
                }
                Ok(Renewal::Failed { message, at_once: again }) => {
                    tracing::warn!(lease = %self.key(), error = message, "the lease was not renewed");
                    at_once = again && !at_once;
                    tenure.last = Some(message);
                }
                Ok(Renewal::Lost(lost)) => return Err(lost),
                Err(_) => return Err(tenure.ran_out()),
            }
        }
    }

    /// One try to renew; where it is refused because the lease is another, the lease is read.
    async fn renew(&self, tenure: &mut Tenure) -> Renewal {
        let sent = Instant::now();
        tenure.tried = sent;
        let Record { object, transitions, .. } = &tenure.record;
        let wanted = record::held(&self.options, Some(object), *transitions, self.clock.now(), false);
        let error = match timeout(self.patience(), self.world.update(&wanted)).await {
            Ok(Ok(object)) => {
                tenure.record = Record::of(&object);
                tenure.until = sent + self.options.renew_deadline;
                tenure.last = None;
                return Renewal::Done;
            }
            Ok(Err(error @ (WorldError::Conflict { .. } | WorldError::NotFound(_)))) => error,
            Ok(Err(error)) => return Renewal::Failed { message: error.to_string(), at_once: false },
            Err(_) => return Renewal::Failed { message: "no answer to a renewal".to_owned(), at_once: false },
        };
        match self.read().await {
            Ok(None) => Renewal::Lost(Lost::Deleted),
            Ok(Some(record)) if record.is_held_by(&self.options.identity) => {
                tenure.record = record;
                Renewal::Failed { message: error.to_string(), at_once: true }
            }
            Ok(Some(record)) => Renewal::Lost(Lost::Taken { holder: record.holder.to_string() }),
            Err(message) => Renewal::Failed { message, at_once: false },
        }
    }

    async fn leave(&self, tenure: Tenure, farewell: Farewell) -> Result<(), Lost> {
        match farewell {
            Farewell::RunOut => tracing::warn!(lease = %self.key(), "the lease is left to run out: not all work had ended"),
            Farewell::Release => {
                let released = timeout(self.options.retry_period, self.release(tenure.record)).await;
                if !matches!(released, Ok(true)) {
                    tracing::warn!(lease = %self.key(), "the lease could not be given back; it runs out");
                }
            }
        }
        Ok(())
    }

    /// Gives the lease back if it is still ours. Whether nobody is waiting for us any more.
    async fn release(&self, mut record: Record) -> bool {
        for _ in 0..RELEASE_TRIES {
            match self.world.update(&record::released(&record.object, self.clock.now())).await {
                Ok(_) => {
                    tracing::info!(lease = %self.key(), "the lease is given back");
                    return true;
                }
                Err(error) => tracing::debug!(lease = %self.key(), %error, "giving the lease back"),
            }
            match self.read().await {
                Ok(Some(present)) if present.is_held_by(&self.options.identity) => record = present,
                Ok(_) => return true,
                Err(_) => {}
            }
        }
        false
    }
}

impl Tenure {
    fn ran_out(&self) -> Lost {
        Lost::NotRenewed { last: self.last.clone().unwrap_or_else(|| "this process did not get to it".to_owned()) }
    }

    /// Whether what was told is not what we wrote. It may be old, so the renewal decides.
    fn is_contradicted_by(&self, told: &Told, identity: &str) -> bool {
        match told {
            Told::Overdue => false,
            Told::Lease(None) => true,
            Told::Lease(Some(record)) => !record.is_older(&self.record) && !record.is_held_by(identity),
        }
    }
}
