//! What needs no server: reading manifests, checking them, playing them through, proving audit chains.

pub mod apply;
pub mod canonical;
pub mod folder;
pub mod pin;
pub mod problem;
pub mod simulate;
pub mod templates;
pub mod validate;
pub mod verify;
pub mod yaml;
