//! What needs no server: reading manifests.

pub mod yaml;
