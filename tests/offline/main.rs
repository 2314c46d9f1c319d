//! Tests.

mod adapters;
mod clinic;
mod sandbox;
mod schema;
mod world;
mod yaml;
