//! What reconciling means. Knows no kind and no kube client.

pub mod port;
