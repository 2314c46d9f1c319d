//! Tests.

mod adapters;
mod architecture;
mod documented;
mod examples;
mod sandbox;
mod schema;
mod world;
mod yaml;
