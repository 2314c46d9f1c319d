//! Tests.

/// The allocator of the program: whole worlds come and go here by the ten thousand.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

mod adapters;
mod architecture;
mod bad_input;
mod broken;
mod cli;
mod clinic;
mod cluster;
mod contract;
mod documented;
mod examples;
mod fidelity;
mod golden;
mod guarantees;
mod hashes;
mod kubeapi;
mod leader;
mod notify;
mod release;
mod sandbox;
mod scale;
mod scenarios;
mod schema;
mod search;
mod served;
mod supervise;
mod telemetry;
mod up;
mod world;
mod yaml;
