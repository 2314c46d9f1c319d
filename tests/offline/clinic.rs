//! The clinic, from YAML to COMPLETED, in virtual time over the world in memory and the sandbox.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod crashes;
mod failures;
mod journey;
mod lifecycle;
mod people;
mod refusals;
pub mod rig;
mod validation;
mod waits;
