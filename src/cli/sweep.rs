//! The end of a session: the sweep, and rows that mention sources; and sweep.csv: the rows that were left.

use std::fs::File;
use std::io;
use std::time::Instant;

use tokio::sync::watch;

use super::Failure;
use super::engine::Engine;
use crate::model::{MentionTally, SweepTally, Timed};
use crate::pipeline::{self, Known, Leftover};
use crate::plan::Plan;
use crate::readable;
use crate::run::{RunDir, RunError, files};
use crate::spec::{Spec, Table};

/// What is done once every group had its turn.
pub(super) struct Aftermath<'a> {
    pub(super) engine: &'a Engine,
    pub(super) plan: &'a Plan,
    pub(super) known: &'a Known,
    pub(super) stop: &'a watch::Receiver<bool>,
    /// Whether sources are swept.
    pub(super) sweeps: bool,
    /// Whether rows are changed that mention sources.
    pub(super) mentions: bool,
}

/// What came of it.
pub(super) type Ended = (Option<Timed<SweepTally>>, Option<Timed<MentionTally>>);

/// Tells of rows that merges left where nothing else lists them.
fn tell(merged: &[Leftover]) {
    for row in merged {
        tracing::warn!("line {}: a row of {} was left: {}", row.line, row.survivor, row.why);
    }
}

impl Aftermath<'_> {
    /// Sweeps the groups that are done, then has the rows that mention their sources name the survivors, and writes
    /// sweep.csv anew, with what the merges left, also those of a session that was killed.
    pub(super) async fn run(&self, run_dir: &RunDir) -> Result<Ended, Failure> {
        let mut list = Leftovers::begin(run_dir)?;
        let merged = self.kept()?;
        merged.iter().for_each(|row| list.append(&self.engine.context.spec, row));
        let ended = self.both(&mut list).await;
        list.finish()?;
        let (mut swept, mentions) = ended?;
        match &mut swept {
            Some(swept) => swept.tally.left += merged.len() as u64,
            None => tell(&merged),
        }
        self.have_reported()?;
        Ok((swept, mentions))
    }

    /// Tells of rows that merges left, where nothing is swept.
    pub(super) fn without_sweep(&self) -> Result<(), Failure> {
        tell(&self.kept()?);
        self.have_reported()
    }

    fn have_reported(&self) -> Result<(), Failure> {
        pipeline::reported(&*self.engine.context.journal).map_err(Failure::failed)
    }

    fn kept(&self) -> Result<Vec<Leftover>, Failure> {
        pipeline::kept(&*self.engine.context.journal, self.plan).map_err(Failure::failed)
    }

    async fn both(&self, list: &mut Leftovers<'_>) -> Result<Ended, Failure> {
        let Self { engine, plan, known, stop, .. } = *self;
        let spec = &engine.context.spec;
        let (mut swept, mut mentioned) = (None, None);
        if self.sweeps {
            let began = Instant::now();
            tracing::info!("looking at every source again");
            let on_left = |row: &Leftover| list.append(spec, row);
            let tally = pipeline::sweep(&engine.context, plan, known, stop, on_left).await;
            let tally = tally.map_err(Failure::failed)?;
            let SweepTally { sources, rows, left, interrupted, .. } = tally;
            let timed = swept.insert(Timed::since(began, tally));
            tracing::info!(sources, rows, left, "the sweep took {:.1} s", timed.seconds);
            if interrupted {
                return Ok((swept, None));
            }
        }
        if self.mentions {
            let began = Instant::now();
            tracing::info!("looking for rows that mention sources");
            let on_left = |row: &Leftover| list.append(spec, row);
            let tally = pipeline::mentions(&engine.context, plan, known, stop, on_left).await;
            let tally = tally.map_err(Failure::failed)?;
            let MentionTally { scanned, rows, left, .. } = tally;
            let timed = mentioned.insert(Timed::since(began, tally));
            tracing::info!(scanned, rows, left, "mentions took {:.1} s", timed.seconds);
        }
        Ok((swept, mentioned))
    }
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
            &*table.map_or_else(Default::default, Table::label),
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
