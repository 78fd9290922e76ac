//! `apply`: merge the accounts and announce what changed.
//!
//! Everything that can be wrong is found before the first write: the input, the run directory, the
//! cluster and its schema, the clocks, the broker and its topic. Only then does the run directory
//! appear, its journal in it, and the merge begins.

use std::sync::Arc;

use anyhow::anyhow;

use super::identity::Identity;
use super::input::{self, Begun, Earlier, Planned};
use super::live::Live;
use super::ready::{Needs, Ready, Task};
use super::recorded::{with_accounts, with_plan_of};
use super::session::{Session, Traces};
use super::{ApplySettings, Console, Exit, Failure, register};
use crate::advice::Advice;
use crate::journal::{JournalError, SqliteJournal};
use crate::pipeline::{Known, others};
use crate::register::OfPlan;
use crate::run::{Prepared, RunRecord, files};

pub(crate) async fn run(settings: &ApplySettings, console: &Console) -> Result<Exit, Failure> {
    let mut live = Live::start(&settings.run, console)?;
    let result = carry_out(settings, console, &mut live).await;
    live.close(&result, console).await;
    result
}

async fn carry_out(
    settings: &ApplySettings,
    console: &Console,
    live: &mut Live,
) -> Result<Exit, Failure> {
    let ApplySettings { run: settings, input, plan: bound, follow, part, run_dir, .. } = settings;
    if let Some(bound) = bound {
        bound.check_settings(&settings.spec, *follow)?;
    }
    let Begun { mut stop, started, id, pairs, prepared } =
        input::begin(input, (run_dir.as_deref(), *part), console)?;
    console.status.begin("apply", id.as_str());
    let planned = input::plan(pairs, input, &prepared, &mut stop).await?;
    if let Some(bound) = bound {
        bound.check_pairs(&planned.record, &planned.plan)?;
        tracing::info!("this is what was planned as {}", bound.id());
    }
    let part = part.map(|part| {
        let plan = planned.plan.name_of_parts(&settings.spec.sha256());
        OfPlan { plan, part }
    });
    let needs = Needs { task: Task::Begin, run: &id, part: part.as_ref(), run_dir: None, settings };
    let ready = Ready::start_unless(&mut stop, needs, console).await?;
    let accounts = ready.spec().accounts;
    if let Some(bound) = bound {
        bound.check_accounts(accounts)?;
    }
    let planned = planned.with_accounts(accounts, input, &prepared, &mut stop).await?;
    let planned = planned.of_part(part.as_ref().map(|of| of.part), &prepared)?;
    let past = Earlier { archive: ready.past.archive(), spec: ready.spec(), follow: *follow };
    let planned = planned.judged(past, input, &prepared, &mut stop).await?;
    let Planned { plan, run_times, record, format, .. } = planned;
    let recorded = with_accounts(settings.recorded.clone(), format.accounts);
    let recorded = with_plan_of(recorded, part.as_ref());
    let record = RunRecord::new(id, "apply", started, record, recorded);
    let identity = Identity::new(&record, settings, &plan);

    prepared.write_json(files::RUN, &record)?;
    prepared.write(files::SPEC, settings.spec.text.as_bytes())?;
    let journal = prepared.file(files::JOURNAL);
    SqliteJournal::create(&journal, accounts).map_err(|error| unmade(error, &prepared))?;
    // Closed again at once, because SQLite refuses a database that was moved while it was open.
    let journal = SqliteJournal::open(&journal).map_err(|error| unmade(error, &prepared))?;
    identity.keep(&journal, ready.spec())?;
    drop(journal);
    let traces =
        Traces { failures: prepared.failures()?, latency: prepared.create(files::LATENCY)? };
    let run_dir = prepared.commit()?;
    tracing::info!("run {} in {}", record.id, run_dir.path().display());
    let run = run_dir.path().to_path_buf();
    console.again.set(Advice::Resume { run, all: false, secrets: settings.secret_flags.clone() });
    live.is_reached_in(run_dir.path(), console);

    if let Some(register) = ready.past.held() {
        let spec = (ready.spec(), settings.spec.sha256());
        let begun = register::begun(&record, run_dir.path(), spec);
        register.add_run(&begun).await.map_err(Failure::failed)?;
    }

    let journal = SqliteJournal::open(&run_dir.file(files::JOURNAL))?;
    others::keep_registered(&journal, ready.past.held().is_some())?;
    if let Some(register) = ready.past.held() {
        register::remember(register, &journal).await?;
    }
    let known = Known::default();
    let session = Session { run_dir, record, resumed: None, plan, known, settings, stop };
    let engine = ready.with(Arc::new(journal))?;
    engine.context.know_run_times(run_times);
    session.run(engine, traces, console).await
}

/// Of a journal that cannot be made: there is no run yet that could be resumed.
fn unmade(error: JournalError, prepared: &Prepared) -> Failure {
    match error {
        JournalError::Write { cause, .. } => Failure::failed(anyhow!(
            "the journal of the run directory {} cannot be made: {cause}. Nothing was changed; make room there, or name \
             another --run-dir",
            prepared.target().display()
        )),
        error => error.into(),
    }
}
