//! What reconciling means. Knows no kind and no kube client.

pub mod audit;
pub mod decision;
pub mod diff;
pub mod kind;
pub mod news;
pub mod outcome;
pub mod port;
pub mod settle;
pub mod step;
