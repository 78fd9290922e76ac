//! The command line: raw arguments → checked settings → a command → an exit code.
//!
//! In reading order: `args` is what can be written, `catalogue` the names of all settings, `file` the
//! configuration file, `recorded` what a run keeps of its settings; `layers` lays them over each other, and `resolve` checks them once into
//! `settings`. [`plan`], [`apply`], [`resume`], [`verify`], [`undo`], [`lookup`] and [`record`] wire the stages of the commands; `engine` is
//! what groups run in, `session` one session of a run from its first group to the report, `identity` what a
//! journal belongs to. `terminal`, `log`, `progress`, `live`, `signals`, `until` and `again` are how a run meets
//! its operator, `control` how it is asked from elsewhere; `config` and `manual` are the commands about the tool itself; [`exit`] is the one table of exit codes.
//!
//! Only here is printed, read from the environment, and decided how the process ends. No other module
//! knows this one.

mod again;
pub mod apply;
mod args;
mod bound;
mod catalogue;
mod config;
mod control;
mod engine;
pub mod exit;
mod facts;
mod file;
mod identity;
mod input;
mod inspect;
mod latency_log;
mod layers;
mod live;
mod log;
pub mod lookup;
mod manual;
pub mod plan;
mod progress;
pub mod record;
mod recorded;
mod register;
mod resolve;
pub mod resume;
mod scan;
mod session;
mod settings;
mod signals;
mod sweep;
mod terminal;
pub mod undo;
mod until;
mod values;
pub mod verify;

use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches};
use tokio::sync::watch;

pub use again::Again;
pub use args::Cli;
pub use bound::Bound;
pub use exit::{Exit, Failure};
pub use layers::SettingsError;
pub use log::RunLog;
pub use progress::{Progress, ScanSnapshot, Snapshot};
pub use register::Lease;
pub use settings::{
    ApplySettings, InputSettings, InputSource, InspectSettings, LogFormat, MergeSettings,
    OutputSettings, PaceSettings, PlanSettings, ResumeSettings, UndoSettings, VerifySettings,
    WorkSettings,
};
pub use signals::listen;
pub use terminal::Terminal;
pub use until::Until;

use args::Command;
use layers::Layers;
use recorded::Recorded;

use crate::live::{Board, Control};
use crate::run::RunDir;

/// How a command meets its operator.
#[derive(Clone, Debug)]
pub struct Console {
    /// Where reports, progress and errors are shown.
    pub terminal: Terminal,
    /// run.log, to be attached when the run directory is prepared.
    pub run_log: RunLog,
    /// The lease on the keyspace, while the command has it.
    pub lease: Lease,
    /// The command that goes on with the run, once there is one.
    pub again: Again,
    /// What the run says of itself to those who look at it from elsewhere.
    pub board: Board,
    /// What they may ask of it.
    pub control: Control,
    /// Becomes `true` when the run is to stop.
    pub stop: watch::Sender<bool>,
    /// When that is, if it is said by the clock.
    pub until: Option<Until>,
}

impl Console {
    /// Why a run that was stopped is.
    fn stopped_by(&self) -> String {
        match &self.until {
            Some(until) if until.has_come() => format!("stopped by {until}"),
            _ => "interrupted".to_owned(),
        }
    }
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let matches = match Cli::command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            // Help and version are "errors" with code 0; a closed pipe is no reason to fail.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(Exit::Unusable.code()).into();
        }
    };
    let (terminal, again) = (Terminal::new(), Again::default());
    match dispatch(&matches, &terminal, &again) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            tracing::info!("{:#}", failure.error);
            terminal.complain(&format!("{:#}", failure.error));
            if let Some(command) = again.command() {
                terminal.complain(&format!("to go on:\n  {command}"));
            }
            failure.exit.into()
        }
    }
}

fn dispatch(matches: &ArgMatches, terminal: &Terminal, again: &Again) -> Result<Exit, Failure> {
    let cli = Cli::from_arg_matches(matches).map_err(Failure::unusable)?;
    let own = matches.subcommand().map_or(matches, |(_, own)| own);
    let layers = |config| {
        let layers = Layers::new(own, config, resolve::environment())?;
        // Before anything can go wrong that has to be told.
        terminal.write_as(resolve::log_format(&layers));
        Ok::<_, SettingsError>(layers)
    };
    let console = |output: &OutputSettings, until: Option<&Until>| {
        let run_log = log::init(output, terminal).map_err(Failure::failed)?;
        let (stop, _) = watch::channel(false);
        Ok::<_, Failure>(Console {
            terminal: terminal.clone(),
            run_log,
            lease: Lease::default(),
            again: again.clone(),
            board: Board::default(),
            control: Control::new(stop.clone()),
            stop,
            until: until.cloned(),
        })
    };
    match cli.command {
        Command::Plan(args) => {
            let settings = resolve::plan(&args, &layers(args.output.config.as_deref())?)?;
            let console = console(&settings.output, None)?;
            carry_out(plan::run(&settings, &console), &console)
        }
        Command::Apply(args) => {
            let plan = args.input.plan.as_deref().map(Bound::load).transpose()?;
            let settings = resolve::apply(&args, plan, &layers(args.output.config.as_deref())?)?;
            let console = console(&settings.output, settings.until.as_ref())?;
            settings.merge.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
            carry_out(apply::run(&settings, &console), &console)
        }
        Command::Resume(args) => {
            let (run_dir, record) = RunDir::open(&args.run)?;
            let recorded = Recorded::load(&run_dir, &record)?;
            let layers = layers(args.output.config.as_deref())?.over(&recorded);
            let settings = resolve::resume(&args, &recorded, &layers)?;
            let console = console(&settings.output, settings.until.as_ref())?;
            settings.merge.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
            carry_out(resume::run(run_dir, record, &settings, &console), &console)
        }
        Command::Verify(args) => {
            let (run_dir, record) = RunDir::open(&args.run)?;
            let recorded = Recorded::load(&run_dir, &record)?;
            let layers = layers(args.output.config.as_deref())?.over(&recorded);
            let settings = resolve::verify(&args, &recorded, &layers)?;
            let console = console(&settings.output, settings.until.as_ref())?;
            carry_out(verify::run(run_dir, &record, &settings, &console), &console)
        }
        Command::Undo(args) => {
            let (run_dir, record) = RunDir::open(&args.run)?;
            let recorded = Recorded::load(&run_dir, &record)?;
            let layers = layers(args.output.config.as_deref())?.over(&recorded);
            let settings = resolve::undo(&args, &recorded, &layers)?;
            let console = console(&settings.output, settings.until.as_ref())?;
            carry_out(undo::run(run_dir, &record, &settings, &console), &console)
        }
        Command::Control(args) => control::run(&args, terminal),
        Command::Lookup(args) => lookup::run(&args, terminal),
        Command::Record(args) => record::run(&args, terminal),
        Command::Config(args) => {
            let layers = layers(args.output.config.as_deref())?;
            config::run(&args, layers, terminal)
        }
        Command::Completions(args) => manual::completions(&args, terminal),
        Command::Man(args) => manual::pages(&args, terminal),
    }
}

/// Runs a command to its end. What it left running in the background (an interrupted planner) does not
/// keep the process alive.
fn carry_out(
    command: impl Future<Output = Result<Exit, Failure>>,
    console: &Console,
) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::failed)?;
    let result = runtime.block_on(async {
        let result = command.await;
        console.lease.release().await;
        result
    });
    runtime.shutdown_background();
    result
}
