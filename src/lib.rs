//! Mandate holds AI assistants to their contracts, from git.

pub mod adapters;
pub mod engine;
pub mod kinds;
pub mod model;
pub mod operator;
pub mod offline;
pub mod sandbox;
pub mod world;
