//! Tests.

mod sandbox;
