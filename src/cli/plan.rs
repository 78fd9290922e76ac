//! `plan`: check and resolve the pairs; with --inspect, look at the cluster. Nothing here can write to one.

use anyhow::Context;

use super::input::{self, Begun};
use super::recorded::RecordedPlan;
use super::{Console, Exit, Failure, PlanSettings, facts, inspect};
use crate::moment::Moment;
use crate::report::page::summary_page;
use crate::report::{self, Discovery, LedTo, Summary};
use crate::run::{RunRecord, files};
use crate::spec::{ColumnPath, RawSpec};

/// Runs `plan`.
pub async fn run(settings: &PlanSettings, console: &Console) -> Result<Exit, Failure> {
    let Begun { mut stop, started, id, pairs, prepared } =
        input::begin(&settings.input, settings.run_dir.as_deref(), console)?;
    let planned = input::plan(pairs, &settings.input, &prepared, &mut stop).await?;
    let inspection = match &settings.inspect {
        None => None,
        Some(own) => Some(inspect::run(settings, own, &planned.plan, console, &mut stop).await?),
    };
    let recorded = RecordedPlan::new(settings, planned.plan.sha256());
    let recorded = serde_json::to_value(recorded).map_err(Failure::failed)?;
    let record = RunRecord::new(id, "plan", started, planned.record, recorded);
    let stats = planned.plan.stats().clone();
    let unreadable = inspection.as_ref().is_some_and(|inspection| inspection.unreadable > 0);
    let exit = if stats.rejected_lines() > 0 || unreadable { Exit::Partial } else { Exit::Done };
    let mut summary =
        Summary::new(&record, prepared.target(), Moment::now(), stats, None, exit.code());
    summary.discovery = discovery(&settings.spec);
    summary.inspection = inspection;
    let rejected = summary.plan.rejected.values().filter(|lines| **lines > 0).count();
    summary.reject_examples =
        facts::examples(&prepared.file(files::REJECTS), "reason", Some(rejected));
    prepared.write_json(files::RUN, &record)?;
    prepared.write(files::SPEC, settings.spec.text.as_bytes())?;
    prepared.write_json(files::REPORT, &summary)?;
    prepared.write(files::REPORT_PAGE, summary_page(&summary).html().as_bytes())?;
    prepared.commit()?;
    console.report(&summary, settings.output.json)?;
    Ok(Exit::from_code(summary.exit_code))
}

/// How the rows of the specification's tables can be found.
fn discovery(spec: &RawSpec) -> Option<Discovery> {
    let tables = spec.tables.iter().filter_map(|table| {
        let columns: Vec<String> = table.find.columns().map(ColumnPath::to_string).collect();
        let through = Some(columns.join(", ")).filter(|columns| !columns.is_empty())?;
        Some(LedTo { table: table.name.clone(), through })
    });
    Discovery::of(tables.collect())
}

impl Console {
    /// Prints a summary, for people or for machines.
    pub(super) fn report(&self, summary: &Summary, json: bool) -> Result<(), Failure> {
        let text = match json {
            true => report::json(summary).map_err(Failure::failed)?,
            false => report::terminal(summary),
        };
        let printed = self.terminal.print(&text).context("cannot write to standard output");
        printed.map_err(Failure::failed)
    }
}
