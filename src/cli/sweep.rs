//! The sweep at the end of a session, and sweep.csv: the rows that it left on their sources.

use std::fs::File;
use std::io;
use std::time::Instant;

use tokio::sync::watch;

use super::Failure;
use super::engine::Engine;
use crate::pipeline::{self, Known, Leftover};
use crate::plan::Plan;
use crate::readable;
use crate::report::SweepFacts;
use crate::run::{RunDir, RunError, files};
use crate::spec::Spec;

/// Sweeps the groups that are done and writes sweep.csv anew; `merged` are rows that the merges left.
pub(super) async fn run(
    engine: &Engine,
    (plan, known): (&Plan, &Known),
    run_dir: &RunDir,
    merged: &[Leftover],
    stop: &watch::Receiver<bool>,
) -> Result<SweepFacts, Failure> {
    let began = Instant::now();
    tracing::info!("looking at every source again");
    let mut list = Leftovers::begin(run_dir)?;
    let spec = &engine.context.spec;
    merged.iter().for_each(|row| list.append(spec, row));
    let swept =
        pipeline::sweep(&engine.context, plan, known, stop, |row| list.append(spec, row)).await;
    list.finish()?;
    let swept = swept.map_err(Failure::failed)?;
    let facts = SweepFacts {
        sources: swept.sources,
        scanned: swept.scanned,
        rows: swept.rows,
        events: swept.events,
        left: swept.left + merged.len() as u64,
        failed: swept.failed,
        interrupted: swept.interrupted,
        seconds: began.elapsed().as_secs_f64(),
    };
    let SweepFacts { sources, rows, left, .. } = facts;
    tracing::info!(sources, rows, left, "the sweep took {:.1} s", facts.seconds);
    Ok(facts)
}

/// sweep.csv: `from,to,line,table,key,reason`.
struct Leftovers<'a> {
    run_dir: &'a RunDir,
    out: csv::Writer<File>,
    written: csv::Result<()>,
}

impl<'a> Leftovers<'a> {
    fn begin(run_dir: &'a RunDir) -> Result<Self, Failure> {
        run_dir.replace(files::SWEEP, b"from,to,line,table,key,reason\n")?;
        let out = csv::WriterBuilder::new().from_writer(run_dir.append(files::SWEEP)?);
        Ok(Self { run_dir, out, written: Ok(()) })
    }

    fn append(&mut self, spec: &Spec, row: &Leftover) {
        let table = row.table.map(|table| &spec.tables[table]);
        let key = table.map_or_else(String::new, |table| readable::key(table, &row.key));
        let record = [
            &*row.account.text(),
            &*row.survivor.text(),
            &row.line.to_string(),
            table.map_or("", |table| &table.name),
            &key,
            &row.why,
        ];
        let written = self.out.write_record(record);
        if self.written.is_ok() {
            self.written = written;
        }
    }

    fn finish(mut self) -> Result<(), RunError> {
        self.written
            .map_err(io::Error::from)
            .and_then(|()| self.out.flush())
            .map_err(|cause| RunError::Write { path: self.run_dir.file(files::SWEEP), cause })
    }
}
