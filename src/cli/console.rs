//! How a command meets its operator.

use tokio::sync::watch;

use super::again::Again;
use super::exit::Failure;
use super::log::RunLog;
use super::register::Lease;
use super::terminal::Terminal;
use super::until::Until;
use crate::live::{Control, Status};
use crate::report::Rendered;

/// How a command meets its operator.
#[derive(Clone, Debug)]
pub(crate) struct Console {
    /// Where reports, progress and errors are shown.
    pub(crate) terminal: Terminal,
    /// run.log, to be attached when the run directory is prepared.
    pub(crate) run_log: RunLog,
    /// The lease on the keyspace, while the command has it.
    pub(crate) lease: Lease,
    /// The command that resumes the run, once there is one.
    pub(crate) again: Again,
    /// What the run says of itself to those who look at it from elsewhere.
    pub(crate) status: Status,
    /// What they may ask of it.
    pub(crate) control: Control,
    /// Becomes `true` when the run is to stop.
    pub(crate) stop: watch::Sender<bool>,
    /// When that is, if it is said by the clock.
    pub(crate) until: Option<Until>,
}

impl Console {
    /// Why a run that was stopped is.
    pub(super) fn stopped_by(&self) -> String {
        match &self.until {
            Some(until) if until.has_come() => format!("stopped by {until}"),
            _ => "interrupted".to_owned(),
        }
    }

    /// Prints a report, for people or for machines.
    pub(super) fn report(&self, report: &Rendered, json: bool) -> Result<(), Failure> {
        self.terminal.report(report, json)
    }
}
