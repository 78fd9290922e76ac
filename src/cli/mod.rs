//! The command line: raw arguments → checked settings → a command → an exit code.
//!
//! In reading order: `args` is what can be written, `file` the configuration file, `resolve` lays the
//! layers over each other and checks them once into `settings`; [`plan`] and [`apply`] wire the stages
//! of the two commands; `terminal`, `log`, `progress` and `signals` are how a run meets its operator;
//! [`exit`] is the one table of exit codes.
//!
//! Only here is printed, read from the environment, and decided how the process ends. No other module
//! knows this one.

mod again;
pub mod apply;
mod args;
pub mod exit;
mod file;
mod log;
pub mod plan;
mod progress;
mod resolve;
mod settings;
mod signals;
mod terminal;
mod values;

use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches};

pub use again::again;
pub use args::Cli;
pub use exit::{Exit, Failure};
pub use log::RunLog;
pub use progress::{Progress, Snapshot};
pub use resolve::SettingsError;
pub use settings::{
    ApplySettings, InputSettings, InputSource, OutputSettings, PlanSettings, WorkSettings,
};
pub use signals::listen;
pub use terminal::Terminal;

use args::Command;
use resolve::Layers;

/// How a command meets its operator.
#[derive(Clone, Debug)]
pub struct Console {
    /// Where reports, progress and errors are shown.
    pub terminal: Terminal,
    /// run.log, to be attached when the run directory is prepared.
    pub run_log: RunLog,
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
    let terminal = Terminal::new();
    match dispatch(&matches, &terminal) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            tracing::info!("{:#}", failure.error);
            terminal.complain(&format!("{:#}", failure.error));
            failure.exit.into()
        }
    }
}

fn dispatch(matches: &ArgMatches, terminal: &Terminal) -> Result<Exit, Failure> {
    let cli = Cli::from_arg_matches(matches).map_err(Failure::unusable)?;
    let own = matches.subcommand().map_or(matches, |(_, own)| own);
    let layers = |config| Layers::new(own, config, resolve::environment());
    match cli.command {
        Command::Plan(args) => {
            let settings = resolve::plan(&args, &layers(args.output.config.as_deref())?)?;
            plan::run(&settings, &console(&settings.output, terminal)?)
        }
        Command::Apply(args) => {
            let settings = resolve::apply(&args, &layers(args.output.config.as_deref())?)?;
            let console = console(&settings.output, terminal)?;
            settings.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
            apply::run(&settings, &console)
        }
    }
}

fn console(output: &OutputSettings, terminal: &Terminal) -> Result<Console, Failure> {
    let run_log = log::init(output, terminal).map_err(Failure::failed)?;
    Ok(Console { terminal: terminal.clone(), run_log })
}
