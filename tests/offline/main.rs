//! Tests.

mod schema;
mod yaml;
