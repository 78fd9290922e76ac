//! The command line: raw arguments → checked settings → a command → an exit code.
//!
//! In reading order: `catalogue` has a row for each setting and flag, `args` the commands, with flags made of the rows;
//! `given` is what flags, environment and configuration `file` say, `recorded` what a run keeps of its settings, and
//! `resolve` checks them once into `settings`. [`plan`], [`apply`], [`resume`], [`verify`], [`undo`], [`lookup`] (`trace`, where it asks the register) and
//! [`record`] wire the stages of the commands; `ready` is what a command has connected to, `engine` what groups run in, `session` one session of a run from its
//! first group to the report, `identity` what a journal belongs to, `replan` makes the plan of a run again. `console`, `terminal`, `log`, `progress`, `live`,
//! `signals`, `until` and `again` are how a run meets its operator, `control` how it is asked from elsewhere; `spec` is
//! the commands about specifications, `config` and `manual` those about the tool itself; [`exit`] is the one table of
//! exit codes.
//!
//! Only here is printed, read from the environment, and decided how the process ends. No other module
//! knows this one.
//!
//! May use `model`, `moment`, `estimate`, `ranking`, `secret`, `advice`, `setting`, `spec`, `readable`, `pairs`,
//! `plan`, `storage`, `register`, `cluster`, `events`, `journal`, `latency`, `pace`, `live`, `pipeline`, `verify`,
//! `undo`, `help`, `run` and `report`; may be used by `main`.

mod again;
pub(crate) mod apply;
mod args;
mod bound;
mod catalogue;
mod config;
mod console;
mod control;
mod engine;
pub(crate) mod exit;
mod facts;
mod file;
mod forget;
mod given;
mod identity;
mod input;
mod inspect;
mod latency_log;
mod limits;
mod live;
mod log;
pub(crate) mod lookup;
mod manual;
mod moments;
mod or_resume;
pub(crate) mod plan;
mod progress;
mod prune;
mod ready;
pub(crate) mod record;
mod recorded;
mod register;
mod replan;
mod resolve;
pub(crate) mod resume;
mod runs;
mod scan;
mod session;
mod settings;
mod signals;
mod spec;
mod sweep;
mod terminal;
mod trace;
pub(crate) mod undo;
mod until;
pub(crate) mod verify;

use std::env;
use std::path::Path;
use std::process::ExitCode;

use clap::{ArgMatches, FromArgMatches};
use tokio::sync::watch;

pub(crate) use again::Again;
pub(crate) use bound::Bound;
pub(crate) use console::Console;
pub(crate) use exit::{Exit, Failure};
pub(crate) use progress::{ProgressDisplay, ScanSnapshot, Snapshot};
pub(crate) use register::Lease;
pub(crate) use settings::{
    ApplySettings, InputSettings, InputSource, InspectSettings, OutputSettings, PlanSettings,
    ResumeSettings, RunSettings, UndoSettings, VerifySettings,
};
pub(crate) use signals::listen;
pub(crate) use terminal::Terminal;
pub(crate) use until::Until;

use args::{Ask, Cli, Command, OfRun, OfSpec};
use catalogue::calls::{ACCOUNT, OLDER_THAN, PLAN};
use catalogue::output::{JSON, QUIET};
use recorded::Recorded;

use crate::cluster::ClusterSettings;
use crate::live::{Control, Status};
use crate::register::RunState;
use crate::run::{RunDir, RunRecord};
use crate::setting::{Layers, SettingsError};

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let matches = match args::command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            // Help and version are "errors" with code 0; a closed pipe is no reason to fail.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(Exit::Unusable.code()).into();
        }
    };
    let (terminal, again) = (Terminal::new(), Again::default());
    let call = Call { matches: &matches, terminal: &terminal, again: &again };
    match call.dispatch() {
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

/// A run that is there, taken up by a command.
struct TakenUp {
    run_dir: RunDir,
    record: RunRecord,
    recorded: Recorded,
    /// What is given now, over what the run recorded.
    layers: Layers,
}

impl TakenUp {
    fn new((run_dir, record, recorded): (RunDir, RunRecord, Recorded), layers: Layers) -> Self {
        let layers = layers.over(recorded.given.clone());
        Self { run_dir, record, recorded, layers }
    }
}

/// What was called, by whom.
struct Call<'a> {
    matches: &'a ArgMatches,
    terminal: &'a Terminal,
    again: &'a Again,
}

impl Call<'_> {
    fn dispatch(&self) -> Result<Exit, Failure> {
        let cli = Cli::from_arg_matches(self.matches).map_err(Failure::unusable)?;
        let terminal = self.terminal;
        match cli.command {
            Command::Plan { pairs } => {
                let settings = resolve::plan(&pairs, &self.layers()?)?;
                let console = self.console(&settings.output, None)?;
                carry_out(plan::run(&settings, &console), &console)
            }
            Command::Apply { pairs } => self.apply(pairs.as_deref()),
            Command::Resume { run } => self.resume(self.take_up(&run)?, false),
            Command::Verify { run } => {
                let TakenUp { run_dir, record, recorded, layers } = self.take_up(&run)?;
                let settings = resolve::verify(&recorded, &layers)?;
                let console = self.console_of(&settings.run)?;
                carry_out(verify::run(run_dir, &record, &settings, &console), &console)
            }
            Command::Undo { run } => {
                let TakenUp { run_dir, record, recorded, layers } = self.take_up(&run)?;
                let settings = resolve::undo(&recorded, &layers)?;
                let console = self.console_of(&settings.run)?;
                carry_out(undo::run(run_dir, &record, &settings, &console), &console)
            }
            Command::Control { run, ask: Ask::Status } => {
                control::status(&run, self.layers()?.get(&JSON)?, terminal)
            }
            Command::Control { run, ask } => control::run(&run, &ask, terminal),
            Command::Lookup { account, path } => {
                let layers = self.layers()?;
                let json = layers.get(&JSON)?;
                match resolve::lookup(path.as_deref(), &layers)? {
                    Some(cluster) => in_runtime(trace::run(&account, &cluster, json, terminal)),
                    None => lookup::run(&account, path.as_deref(), json, terminal),
                }
            }
            Command::Forget { account, runs } => {
                let layers = self.layers()?;
                let (settings, json) = (ClusterSettings::of(&layers)?, layers.get(&JSON)?);
                with_lease(forget::run(&account, &runs, &settings, json, terminal), json, terminal)
            }
            Command::Runs { what } => over_runs(what, &self.layers()?, terminal),
            Command::Spec { what } => over_spec(what, &self.layers()?, terminal),
            Command::Record { run, account } => record::run(&run, &account, terminal),
            Command::Config { run } => config::run(run, self.layers()?, terminal),
            Command::Completions { shell } => manual::completions(shell, terminal),
            Command::Help { words } => manual::help(&words, terminal),
            Command::Man { dir } => manual::pages(dir.as_deref(), terminal),
        }
    }

    fn apply(&self, pairs: Option<&Path>) -> Result<Exit, Failure> {
        let layers = self.layers()?;
        let plan = layers.find(&PLAN)?.as_deref().map(Bound::load).transpose()?;
        let layers = layers.over(plan.iter().flat_map(|plan| plan.given().to_vec()));
        let settings = resolve::apply(pairs, plan, &layers)?;
        if let Some(begun) = or_resume::begun(&settings)? {
            return self.resume(TakenUp::new(begun, layers), true);
        }
        let console = self.console_of(&settings.run)?;
        carry_out(apply::run(&settings, &console), &console)
    }

    /// Goes on with a run; with its own copy of the pairs, where the original has been compared before.
    fn resume(&self, run: TakenUp, is_compared: bool) -> Result<Exit, Failure> {
        let TakenUp { run_dir, record, recorded, layers } = run;
        let mut settings = resolve::resume(&recorded, &layers)?;
        settings.use_copy |= is_compared;
        let console = self.console_of(&settings.run)?;
        carry_out(resume::run(run_dir, record, &settings, &console), &console)
    }

    fn layers(&self) -> Result<Layers, SettingsError> {
        let mut own = self.matches;
        while let Some((_, below)) = own.subcommand() {
            own = below;
        }
        let layers = given::layers(own, env::vars_os())?;
        // Before anything can go wrong that has to be told.
        self.terminal.write_as(resolve::log_format(&layers));
        let is_quiet = layers.get(&QUIET).unwrap_or_default();
        if let Some(unknown) = given::unknown(env::vars_os()).filter(|_| !is_quiet) {
            self.terminal.warn(&unknown);
        }
        Ok(layers)
    }

    fn take_up(&self, run: &Path) -> Result<TakenUp, Failure> {
        let (run_dir, record) = RunDir::open(run)?;
        let recorded = Recorded::load(run_dir.path(), &record)?;
        Ok(TakenUp::new((run_dir, record, recorded), self.layers()?))
    }

    fn console_of(&self, run: &RunSettings) -> Result<Console, Failure> {
        let console = self.console(&run.output, run.until.as_ref())?;
        run.cluster.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
        Ok(console)
    }

    fn console(&self, output: &OutputSettings, until: Option<&Until>) -> Result<Console, Failure> {
        let run_log = log::init(output, self.terminal).map_err(Failure::failed)?;
        limits::doubt().iter().for_each(|doubt| tracing::warn!("{doubt}"));
        let (stop, _) = watch::channel(false);
        Ok(Console {
            terminal: self.terminal.clone(),
            output: output.clone(),
            run_log,
            lease: Lease::default(),
            again: self.again.clone(),
            status: Status::default(),
            control: Control::new(stop.clone()),
            stop,
            until: until.cloned(),
        })
    }
}

/// Lists the runs of a keyspace, or tells the register what became of some.
fn over_runs(what: Option<OfRun>, layers: &Layers, terminal: &Terminal) -> Result<Exit, Failure> {
    let (settings, json) = (ClusterSettings::of(layers)?, layers.get(&JSON)?);
    let mark = |run: &str, state| in_runtime(runs::mark(&settings, run, state, terminal));
    match what {
        None => in_runtime(runs::list(&settings, json, terminal)),
        Some(OfRun::Lost { run }) => mark(&run, RunState::Lost),
        Some(OfRun::Close { run }) => mark(&run, RunState::Closed),
        Some(OfRun::Prune) => {
            let older_than = layers.get(&OLDER_THAN)?;
            with_lease(prune::run(&settings, older_than, json, terminal), json, terminal)
        }
    }
}

/// Shows, checks or drafts a specification.
fn over_spec(what: OfSpec, layers: &Layers, terminal: &Terminal) -> Result<Exit, Failure> {
    match what {
        OfSpec::Show => {
            let (raw, cluster) = (resolve::spec(layers)?.0, resolve::named_cluster(layers)?);
            in_runtime(spec::show(&raw, cluster, terminal))
        }
        OfSpec::Check { file } => {
            in_runtime(spec::check(&file, resolve::named_cluster(layers)?, terminal))
        }
        OfSpec::Init => {
            let (cluster, accounts) = (ClusterSettings::of(layers)?, layers.get(&ACCOUNT)?);
            in_runtime(spec::init(cluster, &accounts, terminal))
        }
    }
}

/// Runs a command to its end, and gives back the lease that it may have taken.
fn carry_out(
    command: impl Future<Output = Result<Exit, Failure>>,
    console: &Console,
) -> Result<Exit, Failure> {
    let command = async {
        let result = command.await;
        console.lease.release().await;
        result
    };
    with_lease(command, console.output.json, &console.terminal)
}

/// Runs a command that takes the lease; machines are told if that keeps it out.
fn with_lease(
    command: impl Future<Output = Result<Exit, Failure>>,
    json: bool,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    in_runtime(command).inspect_err(|failure| {
        if json {
            register::report_lease(failure, terminal);
        }
    })
}

/// Waits for what is asynchronous. What it left running in the background (an interrupted planner) does not keep the
/// process alive.
fn in_runtime(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::failed)?;
    let result = runtime.block_on(command);
    runtime.shutdown_background();
    result
}
