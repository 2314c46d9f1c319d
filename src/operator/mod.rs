//! The shell that runs forever over any world: watches into a cache, a fair queue, a bounded runner.

pub mod cache;
pub mod dependencies;
pub mod doors;
pub mod embedded;
pub mod fence;
pub mod guards;
pub mod leader;
pub mod ledger;
pub mod notify;
pub mod queue;
pub mod rbac;
pub mod retry;
pub mod runner;
pub mod secrets;
pub mod supervise;
pub mod telemetry;
