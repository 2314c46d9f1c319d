//! `mandate schema`: what authors of schemas need.

mod lint;
mod pin;

use clap::Subcommand;

use super::{CommandError, Ended};

/// Check schemas and pin the digests of their templates.
#[derive(Debug, clap::Args)]
#[group(id = "schema")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check schemas by every rule, each finding with what of document 000 it protects
    Lint(lint::Arguments),
    /// Write the digests of the templates into a schema's file
    Pin(pin::Arguments),
}

pub(super) fn run(arguments: &Arguments) -> Result<Ended, CommandError> {
    match &arguments.command {
        Command::Lint(arguments) => lint::run(arguments),
        Command::Pin(arguments) => pin::run(arguments),
    }
}
