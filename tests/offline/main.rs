//! Tests.

mod adapters;
mod clinic;
mod sandbox;
mod kubeapi;
mod schema;
mod world;
mod yaml;
