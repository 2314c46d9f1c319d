//! Worlds of objects: an API server in memory, the same made durable, one that fails on purpose.

pub mod cluster;
pub mod events;
pub mod faulty;
pub mod memory;
pub mod schema;
pub mod server;
pub mod store;
