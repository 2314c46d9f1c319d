//! Tests.

mod world;
mod adapters;
mod examples;
mod sandbox;
mod schema;
mod yaml;
