//! Tests.

mod adapters;
mod clinic;
mod kubeapi;
mod architecture;
mod documented;
mod examples;
mod sandbox;
mod schema;
mod world;
mod yaml;
