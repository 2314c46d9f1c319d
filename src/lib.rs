//! Mandate holds AI assistants to their contracts, from git.

pub mod engine;
pub mod http;
pub mod model;
pub mod sandbox;
pub mod world;
