//! Named tasks that live and end together.
//!
//! The first task that ends, for whatever reason, ends the process: a process that has lost a part of itself looks alive
//! and is not. The only clean end is the signal. Then tasks are asked to stop, stage by stage, so that the work has ended
//! before the lease is given back; those that do not within the grace period are cut off.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};

/// When a task is asked to stop. Each stage is asked when the one before has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// What acts: the runner.
    Work,
    /// What permits the work: the election.
    Lease,
    /// What tells of both: health and metrics.
    Last,
}

/// What each stage gets, even if those before it have used up the grace period.
const AT_LEAST: Duration = Duration::from_secs(1);

const STAGES: [Stage; 3] = [Stage::Work, Stage::Lease, Stage::Last];

/// How the tasks asked before this one have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// By themselves.
    Orderly,
    /// One was cut off: what it had begun may still be under way.
    AfterCut,
}

/// Tells a task when to stop.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<Option<Asked>>);

impl Stop {
    /// Completes when the task is asked to stop.
    pub async fn requested(mut self) -> Asked {
        match self.0.wait_for(Option::is_some).await {
            Ok(asked) => asked.unwrap_or(Asked::Orderly),
            // The supervisor is gone, and with it whatever it would have waited for.
            Err(_) => Asked::AfterCut,
        }
    }
}

/// Why a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// It returned although nobody had asked it to.
    Returned,
    /// With an error.
    Failed(String),
    /// It panicked.
    Panicked(String),
    /// It did not stop within the grace period.
    CutOff,
}

/// The end of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskEnd {
    /// Its name.
    pub task: &'static str,
    /// Why it ended.
    pub why: Why,
}

impl fmt::Display for TaskEnd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { task, why } = self;
        match why {
            Why::Returned => write!(formatter, "task {task} ended although nobody had asked it to"),
            Why::Failed(error) => write!(formatter, "task {task} failed: {error}"),
            Why::Panicked(text) => write!(formatter, "task {task} panicked: {text}"),
            Why::CutOff => write!(formatter, "task {task} did not stop in time and was cut off"),
        }
    }
}

/// An end that is not clean: everything that went wrong, what came first first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct Unclean(pub Vec<TaskEnd>);

/// A task under way.
struct Running {
    name: &'static str,
    stage: Stage,
    handle: AbortHandle,
}

/// Tasks and their stages.
pub struct Supervisor {
    tasks: JoinSet<Result<(), String>>,
    running: HashMap<Id, Running>,
    stops: HashMap<Stage, watch::Sender<Option<Asked>>>,
    grace: Duration,
}

impl Supervisor {
    /// A supervisor that gives all stages together this long to stop, and each at least a second.
    #[must_use]
    pub fn new(grace: Duration) -> Self {
        let stops = STAGES.into_iter().map(|stage| (stage, watch::Sender::new(None))).collect();
        Self { tasks: JoinSet::new(), running: HashMap::new(), stops, grace }
    }

    /// Starts a task. `task` gets what tells it to stop. Call inside a tokio runtime.
    pub fn spawn<F, E>(&mut self, stage: Stage, name: &'static str, task: impl FnOnce(Stop) -> F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        let stop = Stop(self.stops.entry(stage).or_default().subscribe());
        let task = task(stop);
        let handle = self.tasks.spawn(async move { task.await.map_err(|error| error.to_string()) });
        self.running.insert(handle.id(), Running { name, stage, handle });
    }

    /// Runs until `signal`, or until a task ends; then stops them all.
    ///
    /// # Errors
    /// [`Unclean`] if a task ended before the signal, failed, panicked or had to be cut off.
    pub async fn run(mut self, signal: impl Future<Output = ()>) -> Result<(), Unclean> {
        let mut ends = Vec::new();
        tokio::select! {
            biased;
            end = self.next_end(), if !self.running.is_empty() => {
                ends.extend(end.map(|end| end.map_or_else(|end| end, |task| TaskEnd { task, why: Why::Returned })));
            }
            () = signal => tracing::info!("asked to stop"),
        }
        if let Some(end) = ends.first() {
            tracing::error!(task = end.task, %end, "a task ended: stopping");
        }
        let deadline = Instant::now() + self.grace;
        let mut asked = Asked::Orderly;
        for stage in STAGES {
            if let Some(stop) = self.stops.get(&stage) {
                stop.send_replace(Some(asked));
            }
            let until = deadline.max(Instant::now() + AT_LEAST);
            if !self.ended(stage, until, &mut ends).await {
                asked = Asked::AfterCut;
            }
        }
        if ends.is_empty() { Ok(()) } else { Err(Unclean(ends)) }
    }

    /// Waits for a stage's tasks. Whether all ended by themselves before the deadline; those that did not are cut off.
    async fn ended(&mut self, stage: Stage, deadline: Instant, ends: &mut Vec<TaskEnd>) -> bool {
        while self.running.values().any(|running| running.stage == stage) {
            match timeout_at(deadline, self.next_end()).await {
                Ok(Some(Ok(task))) => tracing::debug!(task, "stopped"),
                Ok(Some(Err(end))) => ends.push(end),
                Ok(None) => return true,
                Err(_) => {
                    self.cut(stage, ends).await;
                    return false;
                }
            }
        }
        true
    }

    /// Cuts a stage's tasks off, and waits until they are: between two of their steps, so at once.
    async fn cut(&mut self, stage: Stage, ends: &mut Vec<TaskEnd>) {
        let late = || self.running.values().filter(|running| running.stage == stage);
        late().for_each(|running| running.handle.abort());
        let mut left = late().count();
        while left > 0
            && let Some(end) = self.next_end().await
        {
            left -= 1;
            ends.extend(end.err());
        }
    }

    /// The next task that ends: its name, or what went wrong with it.
    async fn next_end(&mut self) -> Option<Result<&'static str, TaskEnd>> {
        loop {
            let joined = self.tasks.join_next_with_id().await?;
            let id = joined.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
            let Some(Running { name: task, .. }) = self.running.remove(&id) else { continue };
            return Some(match joined {
                Ok((_, Ok(()))) => Ok(task),
                Ok((_, Err(error))) => Err(TaskEnd { task, why: Why::Failed(error) }),
                Err(error) if error.is_panic() => Err(TaskEnd { task, why: Why::Panicked(panic_text(error)) }),
                Err(_) => Err(TaskEnd { task, why: Why::CutOff }),
            });
        }
    }
}

fn panic_text(error: JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else { return "no panic".to_owned() };
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a message".to_owned())
}
