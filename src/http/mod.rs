//! What is served over HTTP on loopback, and how a caller is known there.
//!
//! Every route but health asks for a bearer token and a Host header that names this server, so that neither another user
//! of the machine nor a web page in the user's browser can act through it.

pub mod auth;
pub mod health;
pub mod host;
pub mod kubeapi;
pub mod kubeconfig;
pub mod serve;
pub mod tls;
