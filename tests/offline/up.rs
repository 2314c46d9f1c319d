//! `mandate up` as people start it: the binary, a copy of examples/clinic, sockets, signals.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod edits;
mod kills;
mod refusals;
mod rig;
mod running;
