//! What reconciling means. Knows no kind and no kube client.

pub mod audit;
pub mod decision;
pub mod kind;
pub mod outcome;
pub mod port;
