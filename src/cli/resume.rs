//! `resume`: takes up a run that was stopped, or in which groups failed.
//!
//! A run goes on as what it is. So everything that it depends on is compared with what it began with
//! before anything is done: the copy of the pairs, the pairs themselves, the specification, the keyspace, the
//! journal and the tables; what differs is refused by name.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::anyhow;
use tokio::sync::watch;

use super::again;
use super::forget::ERASED;
use super::identity::{Identity, check_tables};
use super::ready::{Needs, Ready, Task};
use super::recorded::{anew, part_of};
use super::register::{Entering, WHOLE_UNDONE};
use super::replan::replan;
use super::session::{Session, Traces};
use super::{Console, Exit, Failure, ResumeSettings, listen, live, register, runs};
use crate::advice::Advice;
use crate::journal::{Journal, SqliteJournal};
use crate::model::Part;
use crate::moment::Moment;
use crate::pairs;
use crate::pipeline::{Known, others};
use crate::plan::Plan;
use crate::register::{RunState, RunTimes};
use crate::run::{InputRecord, RunDir, RunRecord, copy_of_pairs, files};

/// Runs `resume` on a run that has been taken up.
pub(crate) async fn run(
    run_dir: RunDir,
    record: RunRecord,
    settings: &ResumeSettings,
    console: &Console,
) -> Result<Exit, Failure> {
    let (path, begun) = (run_dir.path().to_owned(), record.clone());
    let work = carry_out(run_dir, record, settings, console);
    live::over_run("resume", &path, &begun, &settings.run, console, work).await
}

async fn carry_out(
    run_dir: RunDir,
    record: RunRecord,
    settings: &ResumeSettings,
    console: &Console,
) -> Result<Exit, Failure> {
    let ResumeSettings { run: settings, format, use_copy } = settings;
    let started = Moment::now();
    let mut stop = listen(console).map_err(Failure::failed)?;
    console.run_log.attach(run_dir.append(files::LOG)?).map_err(Failure::failed)?;
    tracing::info!("going on with run {} in {}", record.id, run_dir.path().display());

    let journal = SqliteJournal::open(&run_dir.file(files::JOURNAL))?;
    if journal.meta(ERASED)?.is_some() {
        return Err(Failure::unusable(anyhow!(
            "an account of this run was forgotten, and with it what its groups are made of: it is not resumed any more. \
             verify compares the others, and undo takes them back"
        )));
    }
    let part = part_of(run_dir.path(), &record)?;
    let of = part.as_ref().map(|of| of.part);
    let plan = planned(&run_dir, &record.input, (format, of), *use_copy, &mut stop).await?;
    Identity::new(&record, settings, &plan).check(&journal)?;
    let known = Known::new(journal.states()?);
    if journal.meta(WHOLE_UNDONE)?.is_some() {
        check_not_undone(&known, run_dir.path(), &record)?;
    }
    let needs = Needs {
        task: Task::GoOn,
        run: &record.id,
        part: part.as_ref(),
        run_dir: Some(run_dir.path()),
        settings,
    };
    let ready = Ready::start_unless(&mut stop, needs, console).await?;
    let (run, spec) =
        ((&record, run_dir.path(), Entering::Merges), (ready.spec(), settings.spec.sha256()));
    register::enter(&ready.past, run, spec, &journal, plan.len() as u64).await?;
    let close = runs::close(&settings.cluster, record.id.as_str());
    check_tables(&journal, ready.spec(), close.as_ref())?;
    others::keep_registered(&journal, ready.past.held().is_some())?;
    let (known, run_times) = match ready.past.archive() {
        None => (known, RunTimes::default()),
        Some(past) => {
            let own = &record.id;
            let is_less = register::forget_unwritten(past, own, &journal, ready.spec()).await?;
            let known = if is_less { Known::new(journal.states()?) } else { known };
            let lineage = register::lineage(past, &plan, ready.spec(), Some(own.as_str())).await?;
            let barred = register::barred(&lineage, &plan, &known, &journal)?;
            others::note_rejected(&barred, &plan, &journal)?;
            (known.with(barred), lineage.times().clone())
        }
    };
    register::begin(&ready.past, run_dir.path(), RunState::Running).await?;
    // What is refused above would be refused again.
    console.again.set(again::same());

    let traces = Traces { failures: run_dir.failures()?, latency: run_dir.append(files::LATENCY)? };
    let resumed = Some(record.started_at);
    let session = Session {
        run_dir,
        record: RunRecord {
            command: "resume".to_owned(),
            started_at: started,
            settings: settings.recorded.clone(),
            ..record
        },
        resumed,
        plan,
        known,
        settings,
        stop,
    };
    let engine = ready.with(Arc::new(journal))?;
    engine.context.know_run_times(run_times);
    session.run(engine, traces, console).await
}

/// Refuses a run that undo has begun with: to go on merging is not what anybody wants then, so that whatever starts
/// processes does not try it again.
fn check_not_undone(known: &Known, run: &Path, record: &RunRecord) -> Result<(), Failure> {
    let groups = known.undone();
    if groups == 0 {
        return Ok(());
    }
    let apply = anew(run, record)?;
    let rest = match (known.is_undone_whole(), known.has_disputed()) {
        (false, _) => format!("To take back the others too: {}. ", Advice::undo(run)),
        (true, true) => {
            let keep = Advice::Undo { run: run.to_path_buf(), keep_changed: true };
            format!(
                "What was changed since holds some of their accounts. To end that, and leave it where it is: {keep}. "
            )
        }
        (true, false) => "Nothing of it is left to take back. ".to_owned(),
    };
    Err(Failure::unusable(anyhow!(
        "{groups} of the run's groups were taken back by undo, so it does not go on. {rest}To merge its pairs again, as \
         a new run: {apply}"
    )))
}

/// The plan of the run, made again from its copy of the pairs.
async fn planned(
    run_dir: &RunDir,
    input: &InputRecord,
    (format, part): (&pairs::Format, Option<Part>),
    use_copy: bool,
    stop: &mut watch::Receiver<bool>,
) -> Result<Plan, Failure> {
    let (copy, input, format) = (copy_of_pairs(run_dir.path())?, input.clone(), format.clone());
    let path = run_dir.path().to_owned();
    let planning = tokio::task::spawn_blocking(move || {
        check_copy(&copy, &input)?;
        if !use_copy {
            check_original(&input, &copy)?;
        }
        replan(&path, &copy, &format, part)
    });
    tokio::select! {
        planned = planning => planned.map_err(Failure::failed)?,
        _ = stop.wait_for(|stop| *stop) => {
            let error = anyhow!("interrupted while reading the pairs; nothing was changed");
            Err(Failure { exit: Exit::Interrupted, error })
        }
    }
}

fn check_copy(copy: &Path, input: &InputRecord) -> Result<(), Failure> {
    let sha256 = pairs::sha256(copy).map_err(Failure::failed)?;
    if sha256 == input.sha256 {
        return Ok(());
    }
    Err(Failure::failed(anyhow!(
        "{} has been changed since the run began (its SHA-256 is {sha256}, that in run.json is {}); put \
         the original back",
        copy.display(),
        input.sha256
    )))
}

/// The file that the pairs came from, if it is still there. What is not a file (a pipe) cannot be read
/// again.
fn check_original(input: &InputRecord, copy: &Path) -> Result<(), Failure> {
    let Some(path) = input.file.as_ref().map(PathBuf::from).filter(|path| path.is_file()) else {
        return Ok(());
    };
    let sha256 = match pairs::sha256(&path) {
        Ok(sha256) => sha256,
        Err(error) => {
            tracing::warn!("the pairs are not compared with the run's copy: {error}");
            return Ok(());
        }
    };
    if sha256 == input.sha256 {
        return Ok(());
    }
    Err(Failure::unusable(anyhow!(
        "{} has changed since the run began, and this run is about what it held then: --use-copy goes by \
         the run's own copy ({}); to merge what it holds now, apply it as a new run",
        path.display(),
        copy.display()
    )))
}
