//! Words shared by kinds: names, canonical text and digests, conditions, findings, failures, calls, references, limits.
//!
//! Pure: no clock, client, randomness, environment or file.

pub mod call;
pub mod canonical;
pub mod condition;
pub mod decision;
pub mod failure;
pub mod finding;
pub mod journal;
pub mod limits;
pub mod name;
pub mod notice;
pub mod object;
pub mod pointer;
pub mod record;
pub mod resource;
pub mod rest;
pub mod source;
pub mod step;
pub mod time;
pub mod workflow;
