//! Tests.

mod adapters;
mod architecture;
mod broken;
mod clinic;
mod documented;
mod examples;
mod hashes;
mod kubeapi;
mod sandbox;
mod schema;
mod world;
mod yaml;
