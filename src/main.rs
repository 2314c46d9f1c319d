//! The `mandate` binary: one TLS provider for the whole process, then the command line.

use std::process::ExitCode;

/// The loop lives on small JSON objects; its settings are in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // Fails only when a provider is installed already, which nothing before this line does.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    mandate::cli::run()
}
