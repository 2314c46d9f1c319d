//! Tests.

mod schema;
