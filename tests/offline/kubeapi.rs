//! The Kubernetes API over HTTP, as its clients see it.

mod client;
mod delete;
mod discovery;
mod forms;
mod gate;
mod harness;
mod lists;
mod parts;
mod watches;
mod writes;
