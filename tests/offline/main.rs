//! Tests.

mod world;
