//! How a command meets its operator.

use tokio::sync::watch;

use super::again::Again;
use super::exit::{Exit, Failure};
use super::log::RunLog;
use super::register::Lease;
use super::settings::OutputSettings;
use super::terminal::Terminal;
use super::until::Until;
use crate::live::{Control, Status};
use crate::report::{Answer, Rendered};
use crate::run::RunDir;

/// How a command meets its operator.
#[derive(Clone, Debug)]
pub(crate) struct Console {
    /// Where reports, progress and errors are shown.
    pub(crate) terminal: Terminal,
    pub(super) output: OutputSettings,
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

    /// Ends a command over a run: its answer is kept there and printed, for people or for machines.
    ///
    /// # Errors
    /// The first trouble that there was in the work, or else in this.
    pub(super) fn conclude(
        &self,
        answer: &impl Answer,
        run_dir: &RunDir,
        trouble: Vec<Failure>,
        exit: Exit,
    ) -> Result<Exit, Failure> {
        let report = Rendered::of(answer).map_err(Failure::failed)?;
        let mut files = report.files();
        let kept = files.try_for_each(|(name, text)| run_dir.replace(name, text.as_bytes()));
        let printed = self.terminal.report(&report, self.output.json);
        let ended = [kept.err().map(Failure::from), printed.err()];
        trouble.into_iter().chain(ended.into_iter().flatten()).next().map_or(Ok(exit), Err)
    }
}
