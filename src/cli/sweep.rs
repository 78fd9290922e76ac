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
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ends {
    /// Whether sources are swept.
    pub(super) sweeps: bool,
    /// Whether rows are changed that mention sources.
    pub(super) mentions: bool,
}

/// What came of it.
pub(super) type Ended = (Option<Timed<SweepTally>>, Option<Timed<MentionTally>>);

/// Sweeps the groups that are done, then has the rows that mention their sources name the survivors, and writes sweep.csv
/// anew; `merged` are rows that the merges left.
pub(super) async fn run(
    engine: &Engine,
    ends: Ends,
    (plan, known): (&Plan, &Known),
    (run_dir, merged): (&RunDir, &[Leftover]),
    stop: &watch::Receiver<bool>,
) -> Result<Ended, Failure> {
    let mut list = Leftovers::begin(run_dir)?;
    merged.iter().for_each(|row| list.append(&engine.context.spec, row));
    let ended = both(engine, ends, (plan, known), &mut list, stop).await;
    list.finish()?;
    let (mut swept, mentions) = ended?;
    match &mut swept {
        Some(swept) => swept.tally.left += merged.len() as u64,
        None => tell(merged),
    }
    Ok((swept, mentions))
}

/// Tells of rows that merges left where nothing else lists them.
pub(super) fn tell(merged: &[Leftover]) {
    for row in merged {
        tracing::warn!("line {}: a row of {} was left: {}", row.line, row.survivor, row.why);
    }
}

async fn both(
    engine: &Engine,
    ends: Ends,
    of: (&Plan, &Known),
    list: &mut Leftovers<'_>,
    stop: &watch::Receiver<bool>,
) -> Result<Ended, Failure> {
    let swept = if ends.sweeps { Some(sweep(engine, of, list, stop).await?) } else { None };
    let is_stopped = swept.is_some_and(|swept| swept.tally.interrupted);
    let mentions = match ends.mentions && !is_stopped {
        true => Some(mentions(engine, of, list, stop).await?),
        false => None,
    };
    Ok((swept, mentions))
}

async fn mentions(
    engine: &Engine,
    (plan, known): (&Plan, &Known),
    list: &mut Leftovers<'_>,
    stop: &watch::Receiver<bool>,
) -> Result<Timed<MentionTally>, Failure> {
    let began = Instant::now();
    tracing::info!("looking for rows that mention sources");
    let spec = &engine.context.spec;
    let tally =
        pipeline::mentions(&engine.context, plan, known, stop, |row| list.append(spec, row)).await;
    let tally = tally.map_err(Failure::failed)?;
    let MentionTally { scanned, rows, left, .. } = tally;
    let mentioned = Timed::since(began, tally);
    tracing::info!(scanned, rows, left, "mentions took {:.1} s", mentioned.seconds);
    Ok(mentioned)
}

async fn sweep(
    engine: &Engine,
    (plan, known): (&Plan, &Known),
    list: &mut Leftovers<'_>,
    stop: &watch::Receiver<bool>,
) -> Result<Timed<SweepTally>, Failure> {
    let began = Instant::now();
    tracing::info!("looking at every source again");
    let spec = &engine.context.spec;
    let tally =
        pipeline::sweep(&engine.context, plan, known, stop, |row| list.append(spec, row)).await;
    let tally = tally.map_err(Failure::failed)?;
    let SweepTally { sources, rows, left, .. } = tally;
    let swept = Timed::since(began, tally);
    tracing::info!(sources, rows, left, "the sweep took {:.1} s", swept.seconds);
    Ok(swept)
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
