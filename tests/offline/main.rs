//! Tests.

mod adapters;
mod architecture;
mod broken;
mod cli;
mod clinic;
mod documented;
mod examples;
mod hashes;
mod kubeapi;
mod sandbox;
mod scale;
mod schema;
mod up;
mod world;
mod yaml;
