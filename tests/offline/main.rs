//! Tests.

mod adapters;
mod sandbox;
mod schema;
mod yaml;
