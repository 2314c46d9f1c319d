//! Tests.

mod sandbox;
mod schema;
