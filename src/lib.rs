//! Mandate holds AI assistants to their contracts, from git.

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
