//! Tests.

mod adapters;
mod clinic;
mod kubeapi;
mod sandbox;
mod schema;
mod world;
mod yaml;
