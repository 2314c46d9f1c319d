//! `mandate hash`: the digest of what `mandate canonical` prints.

use super::canonical;
use super::print;
use super::{CommandError, Ended};
use crate::model::canonical::Digest;

/// Print the hash of a document.
#[derive(Debug, clap::Args)]
#[group(id = "hash")]
pub(super) struct Arguments {
    #[command(flatten)]
    document: canonical::Arguments,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ended, CommandError> {
    print::line(&Digest::of_bytes(arguments.document.text()?.as_bytes()))?;
    Ok(Ended::Ok)
}
