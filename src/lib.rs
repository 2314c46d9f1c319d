//! Mandate holds AI assistants to their contracts, from git.

pub mod engine;
pub mod model;
pub mod offline;
pub mod sandbox;
pub mod world;
