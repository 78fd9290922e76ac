//! The first step of every command: the pairs are read, copied into the run directory, and resolved
//! into a plan. Nothing here can reach a cluster.

use std::fs::File;
use std::io::{self, BufWriter, Read};
use std::path::{self, Path};

use tokio::sync::watch;

use super::{Console, Exit, Failure, InputSettings, InputSource, listen};
use crate::moment::Moment;
use crate::pairs::{self, Format, PairsError, Spool, Spooled};
use crate::plan::{self, Plan};
use crate::run::{InputRecord, Prepared, RunDir, RunId, files};

/// A command that has begun: its input is open and its run directory is being prepared.
pub(super) struct Begun {
    pub(super) stop: watch::Receiver<bool>,
    pub(super) started: Moment,
    pub(super) id: RunId,
    pub(super) pairs: Box<dyn Read + Send>,
    pub(super) prepared: Prepared,
}

/// Begins a command. The input is opened first, so that a wrong path is told before anything is made.
pub(super) fn begin(
    settings: &InputSettings,
    run_dir: Option<&Path>,
    console: &Console,
) -> Result<Begun, Failure> {
    let stop = listen(console).map_err(Failure::failed)?;
    let started = Moment::now();
    let id = RunId::new(started);
    let pairs = open(settings)?;
    let prepared = RunDir::prepare(run_dir, &id)?;
    console.run_log.attach(prepared.create(files::LOG)?).map_err(Failure::failed)?;
    Ok(Begun { stop, started, id, pairs, prepared })
}

/// The pairs of a run, resolved.
pub(super) struct Planned {
    pub(super) plan: Plan,
    pub(super) record: InputRecord,
}

fn open(settings: &InputSettings) -> Result<Box<dyn Read + Send>, PairsError> {
    match &settings.source {
        InputSource::File(path) => Ok(Box::new(pairs::open_raw(path)?)),
        InputSource::Stdin => Ok(Box::new(io::stdin())),
    }
}

/// Reads and resolves the pairs and writes rejects.csv.
///
/// # Errors
/// Those of the input and of the copy, and an interrupt.
pub(super) async fn plan(
    input: Box<dyn Read + Send>,
    settings: &InputSettings,
    prepared: &Prepared,
    stop: &mut watch::Receiver<bool>,
) -> Result<Planned, Failure> {
    let directory = prepared.file("");
    let rejects = prepared.create(files::REJECTS)?;
    let format = settings.format.clone();
    let resolving =
        tokio::task::spawn_blocking(move || resolve(input, &format, &directory, rejects));
    let (plan, copy) = tokio::select! {
        resolved = resolving => {
            resolved.map_err(Failure::failed)?.map_err(|error| named(error, settings))?
        }
        _ = stop.wait_for(|stop| *stop) => {
            let error = anyhow::anyhow!("interrupted while reading the pairs; nothing was changed");
            return Err(Failure { exit: Exit::Interrupted, error });
        }
    };
    let file = match &settings.source {
        InputSource::File(path) => Some(path::absolute(path).unwrap_or(path.clone())),
        InputSource::Stdin => None,
    };
    let record = InputRecord {
        path: settings.source.to_string(),
        file: file.map(|file| file.to_string_lossy().into_owned()),
        sha256: copy.sha256,
        bytes: copy.bytes,
    };
    Ok(Planned { plan, record })
}

/// What is wrong with the content of a file does not say by itself which file it is.
fn named(error: PairsError, settings: &InputSettings) -> Failure {
    let name = match &settings.source {
        InputSource::File(path) => path.display().to_string(),
        InputSource::Stdin => "standard input".to_owned(),
    };
    let Failure { exit, error } = Failure::from(error);
    Failure { exit, error: error.context(name) }
}

fn resolve(
    input: Box<dyn Read + Send>,
    format: &Format,
    directory: &Path,
    rejects: File,
) -> Result<(Plan, Spooled), PairsError> {
    let mut spool = Spool::start(input, directory)?;
    let list = pairs::read(&mut spool, format)?;
    let copy = spool.finish()?;
    let plan = plan::resolve(list);
    let source: &Path = &copy.path;
    pairs::write_rejects(
        &source,
        format,
        plan.rejects(),
        plan.accounts(),
        BufWriter::new(rejects),
    )?;
    Ok((plan, copy))
}
