//! How the process ends: the one table of exit codes, and the one place that maps errors to it.

use std::process::{self, ExitCode};

use anyhow::Error;

use crate::cluster::ClusterError;
use crate::events::{EventError, Scope};
use crate::journal::JournalError;
use crate::pairs::PairsError;
use crate::run::RunError;
use crate::setting::SettingsError;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Done = 0,
    /// Failed: host, schema, events, run directory, or stopped by --max-errors.
    Failed = 1,
    /// What arguments, files and input alone can tell: usage, configuration, unusable input; and a run that is not gone on
    /// with, whenever that is tried.
    Unusable = 2,
    /// Finished, but some lines were rejected or groups failed.
    Partial = 3,
    /// Verify found differences, or undo met conflicts.
    Differences = 4,
    /// Stopped by Ctrl-C, SIGTERM, --until or --for, with something left to be done.
    Interrupted = 130,
}

impl Exit {
    /// The exit code of the process.
    pub(crate) fn code(self) -> u8 {
        self as u8
    }

    /// The exit of a code of the table; any other counts as failed.
    pub(super) fn from_code(code: u8) -> Self {
        let all = [Self::Done, Self::Unusable, Self::Partial, Self::Differences, Self::Interrupted];
        all.into_iter().find(|exit| exit.code() == code).unwrap_or(Self::Failed)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Ends the process at once, whatever is in flight.
#[expect(clippy::exit, reason = "the only place: the second Ctrl-C does not wait for anything")]
pub(super) fn at_once(exit: Exit) -> ! {
    process::exit(exit.code().into())
}

/// Why a command did not get to its end.
#[derive(Debug)]
pub(crate) struct Failure {
    /// How the process ends.
    pub(crate) exit: Exit,
    /// What to tell.
    pub(crate) error: Error,
}

impl Failure {
    /// A failure of something that was tried.
    pub(crate) fn failed(error: impl Into<Error>) -> Self {
        Self { exit: Exit::Failed, error: error.into() }
    }

    /// Something that arguments, files and input alone can tell, or that is refused however often it is tried.
    pub(crate) fn unusable(error: impl Into<Error>) -> Self {
        Self { exit: Exit::Unusable, error: error.into() }
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::unusable(error)
    }
}

impl From<PairsError> for Failure {
    fn from(error: PairsError) -> Self {
        match error {
            // The copy in the run directory could not be written; nothing is wrong with the input.
            PairsError::Copy { .. } => Self::failed(error),
            _ => Self::unusable(error),
        }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        Self::failed(error)
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        Self::failed(error)
    }
}

impl From<ClusterError> for Failure {
    fn from(error: ClusterError) -> Self {
        Self::failed(error)
    }
}

impl From<EventError> for Failure {
    fn from(error: EventError) -> Self {
        match error.scope() {
            Scope::Settings => Self::unusable(error),
            Scope::One | Scope::All | Scope::OnTheirWay => Self::failed(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_their_codes() {
        for code in [0, 1, 2, 3, 4, 130] {
            assert_eq!(Exit::from_code(code).code(), code);
        }
        let code = |failure: Failure| failure.exit.code();
        assert_eq!(code(PairsError::Missing { path: "x".into() }.into()), 2);
        assert_eq!(code(RunError::Exists { path: "x".into() }.into()), 1);
        assert_eq!(code(EventError::new(Scope::All, "x").into()), 1);
        assert_eq!(code(EventError::new(Scope::Settings, "x").into()), 2);
    }
}
