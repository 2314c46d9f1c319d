//! The sandbox answers as the systems it stands for were seen to answer.
#![allow(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

pub mod bench;
mod durability;
mod faults;
mod n8n;
mod others;
