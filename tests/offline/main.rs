//! Tests.

mod kubeapi;
mod schema;
