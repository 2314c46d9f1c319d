//! The Kubernetes API over HTTP, as its clients see it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod client;
mod delete;
mod discovery;
mod events;
mod forms;
mod gate;
mod harness;
mod lists;
mod parts;
mod watches;
mod writes;
