//! Mandate holds AI assistants to their contracts, from git.
//!
//! In reading order, which is also the order of dependency:
//! - [`model`]: words shared by all: names, canonical text and digests, conditions, failures, calls, the journal. Pure.
//! - [`engine`]: what reconciling means: the doors to the outside ([`engine::port`]), kinds, decisions, and the loop
//!   ([`engine::step`]). Knows no kind and no client.
//! - [`kinds`]: one folder per kind, each in the same named files; [`kinds::KINDS`] is the registry.
//! - [`adapters`]: external systems; [`world`]: where objects live; [`sandbox`]: simulated vendors to rehearse on.
//! - [`operator`]: the shell that runs forever: cache, queue, runner, and the embedded default put together.
//! - [`offline`]: what needs no server: reading manifests, checking, playing through, proving. [`http`]: the Kubernetes API.
//! - [`cli`]: the command line.
//!
//! `ARCHITECTURE.md` walks one object through it; `tests/offline/architecture.rs` enforces the order.

pub mod adapters;
pub mod cli;
pub mod engine;
pub mod http;
pub mod kinds;
pub mod model;
pub mod offline;
pub mod operator;
pub mod sandbox;
pub mod world;
