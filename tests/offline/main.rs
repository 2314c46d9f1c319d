//! Tests.

mod adapters;
mod examples;
mod sandbox;
mod schema;
