//! Adapters against the sandbox in virtual time, and the transport against real sockets.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails is a test that fails")]
#![allow(clippy::wildcard_enum_match_arm, reason = "what is not the outcome expected is printed whole")]

mod calls;
mod changes;
mod common_faults;
mod crashes;
mod fault_list;
mod later;
mod limits;
mod n8n_clone;
mod n8n_publish;
mod n8n_template;
mod other_systems;
mod removals;
pub mod rig;
mod secrets;
mod sockets;
