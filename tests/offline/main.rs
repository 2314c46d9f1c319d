//! Tests.

mod world;
mod adapters;
mod sandbox;
mod schema;
mod yaml;
