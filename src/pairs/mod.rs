//! A list → pairs with their lines, and the lines that are not pairs.
//!
//! The input is distrusted: `rules` is the one table of what is rejected, held back or doubted.
//!
//! The chapter in reading order: `source` opens the input (`gzip` unpacks it), `input_copy` keeps a copy of it, `blocks`
//! cuts it, `format` finds the records by one of its formats (`foreign` knows what is of none), `parse` applies the
//! checks that a line passes or fails on its own, by the `signs` of its ids, `accounts` numbers the ids, `filter` says in
//! a few bits which there are, `followed` which of them are others by now, and `read` runs all of these at the same time.
//! `reason`, `rejects` and `rejects_csv` tell what was not accepted, `findings` what was found by the rules; `erase` takes
//! an account out of a list. Which pairs
//! go together is the next chapter: [`plan`](crate::plan).
//!
//! May use `model` and `setting`; may be used by `plan`, `help` and `cli`.

mod accounts;
mod blocks;
mod erase;
mod filter;
mod findings;
mod followed;
mod foreign;
mod format;
mod gzip;
mod input_copy;
mod parse;
mod read;
mod reason;
mod rejects;
mod rejects_csv;
mod rules;
mod signs;
mod source;

use std::io;
use std::path::PathBuf;

pub(crate) use accounts::Accounts;
pub(crate) use accounts::NO_ACCOUNT;
pub(crate) use erase::without;
pub(crate) use findings::Finding;
pub use findings::Outcome;
pub(crate) use findings::{Seen, Sightings, shown};
pub(crate) use followed::Followed;
pub use format::{Format, Malformed};
pub(crate) use format::{formats, settings, tables};
pub(crate) use input_copy::{CopiedInput, InputCopy, sha256};
pub(crate) use read::Edge;
pub(crate) use read::PairList;
pub use read::read;
pub(crate) use read::read_followed;
pub use reason::Reason;
pub(crate) use rejects::Rejects;
pub(crate) use rejects_csv::write_rejects;
pub use rules::RuleEntry;
pub(crate) use rules::{Accepted, Consequence, RULES, Rule, rejecting};
pub use source::open;
pub(crate) use source::open_raw;
#[cfg(test)]
pub(crate) use {read::read_in_blocks, rejects_csv::write_rejects_in_blocks};

/// Why the pairs could not be read. Each message is complete in itself, its cause included.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PairsError {
    /// There is nothing at the path.
    #[error("there is no file {}", path.display())]
    Missing { path: PathBuf },
    /// The path is a directory.
    #[error("{} is a directory, not a list of pairs", path.display())]
    Directory { path: PathBuf },
    /// The file cannot be opened.
    #[error("cannot open {}: {cause}", path.display())]
    Open { path: PathBuf, cause: io::Error },
    /// Reading failed, or compressed data is damaged or cut short.
    #[error("cannot read the pairs: {cause}{}", damage(cause))]
    Read { cause: io::Error },
    /// The file is still being written.
    #[error(
        "the input changed while it was read ({began} bytes at first, {now} at the end): whoever writes it may not have \
         finished, and its last line may be cut off. Give a list that is complete"
    )]
    StillWritten {
        /// Its length in bytes when it was opened.
        began: u64,
        /// When its end was met.
        now: u64,
    },
    /// The copy of the input cannot be written.
    #[error("cannot write {}: {cause}", path.display())]
    Copy {
        /// The copy.
        path: PathBuf,
        cause: io::Error,
    },
    /// The input holds nothing.
    #[error(
        "the input is empty; it must begin with a header that names the columns '{from}' and '{to}'"
    )]
    Empty {
        /// The `from` column.
        from: String,
        /// The `to` column.
        to: String,
    },
    /// The input is of none of the formats.
    #[error("the input is no list of pairs: it is {what}. To make a CSV of it: {way}")]
    Foreign {
        what: &'static str,
        /// How to get a CSV out of it.
        way: &'static str,
    },
    /// It does not begin as its format does, which says so in its own words.
    #[error("{words}")]
    Beginning { words: String },
    /// Both ids would come from the same column.
    #[error("--from-column and --to-column are both '{name}'")]
    SameColumn {
        /// The column.
        name: String,
    },
    /// A line is so long that the input is not a list of pairs.
    #[error("line {line} of the input is longer than 64 MiB; this is not a list of pairs")]
    LineTooLong { line: u64 },
    /// More pairs or accounts than can be numbered.
    #[error("the input holds more than about 4 billion pairs or accounts; split it")]
    TooMany,
    /// The input is not what it was when it was read first.
    #[error(
        "the input has changed since it was read: line {line} is not the line that was rejected"
    )]
    Changed { line: u64 },
    /// The report of rejects cannot be written.
    #[error("cannot write the report of rejected lines: {cause}")]
    Report { cause: csv::Error },
}

impl PairsError {
    /// The same, or what the beginning of the input is if that is known and no list.
    fn or_foreign(self, data: &[u8]) -> Self {
        match foreign::foreign(data) {
            Some(foreign::Foreign { what, way }) => Self::Foreign { what, way },
            None => self,
        }
    }

    /// Tells a failed copy from a failed read.
    pub(crate) fn from_read(error: io::Error) -> Self {
        let error = match error.downcast::<input_copy::CopyFailed>() {
            Ok(failed) => return Self::Copy { path: failed.path, cause: failed.cause },
            Err(other) => other,
        };
        match error.downcast::<source::Changed>() {
            Ok(source::Changed { began, now }) => Self::StillWritten { began, now },
            Err(cause) => Self::Read { cause },
        }
    }
}

/// What to do about a compressed file that ends too early, or is not what was compressed.
fn damage(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::UnexpectedEof => ". The file is cut short: copy it once more",
        io::ErrorKind::InvalidInput => ". The file is damaged: copy it once more",
        _ => "",
    }
}

impl From<csv::Error> for PairsError {
    fn from(cause: csv::Error) -> Self {
        Self::Report { cause }
    }
}
