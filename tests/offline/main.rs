//! Tests.

mod adapters;
mod sandbox;
