//! The command line: arguments as typed, one file per command.
//!
//! Exit codes: 0 ok, 1 findings, 2 usage, 3 the API server cannot be reached, 4 timeout. Results go to stdout; progress
//! and remarks to stderr.

mod canonical;
mod crds;
mod hash;
mod input;
mod plan;
mod print;
mod validate;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

/// Holds AI assistants to their contracts, from git.
#[derive(Debug, Parser)]
#[command(name = "mandate", version, about, disable_help_subcommand = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check manifests without a server: YAML, schema, CEL, references
    Validate(validate::Arguments),
    /// Show what manifests would create and call, with hashes, without a server
    Plan(plan::Arguments),
    /// Check audit chains offline
    Verify(verify::Arguments),
    /// Print the exact text that is hashed
    Canonical(canonical::Arguments),
    /// Print the hash of a document
    Hash(hash::Arguments),
    /// Print the CustomResourceDefinitions
    Crds(crds::Arguments),
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// As wished.
    Ok,
    /// With findings.
    Findings,
    /// Not waited for any longer.
    Timeout,
}

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// What was typed cannot be meant.
    #[error("{0}")]
    Usage(String),
    /// The API server cannot be reached.
    #[error("{0}")]
    Unreachable(String),
    /// Anything else; exit code 1.
    #[error("{0}")]
    Failed(String),
}

/// Parses the arguments, runs the command, prints its error.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let ended = match arguments.command {
        Command::Validate(arguments) => validate::run(&arguments),
        Command::Plan(arguments) => plan::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Canonical(arguments) => canonical::run(&arguments),
        Command::Hash(arguments) => hash::run(&arguments),
        Command::Crds(arguments) => crds::run(&arguments),
    };
    match ended {
        Ok(Ended::Ok) => ExitCode::SUCCESS,
        Ok(Ended::Findings) => ExitCode::from(1),
        Ok(Ended::Timeout) => ExitCode::from(4),
        Err(error) => {
            eprintln!("mandate: {error}");
            ExitCode::from(match error {
                CommandError::Failed(_) => 1,
                CommandError::Usage(_) => 2,
                CommandError::Unreachable(_) => 3,
            })
        }
    }
}
