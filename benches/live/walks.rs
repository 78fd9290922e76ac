//! The bare walks: what `plan --inspect`, `verify` and `undo` do, for thousands of pairs at once and with nothing else.
//!
//! An inspection is the reads of a merge. A verification reads all cells of the survivors with their write times. An undo
//! gives the sources their rows back, reads them back, and takes away what the survivors got. What is undone is known
//! from the merge in between, whose time is not told: `windows` tells it.

use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use clap::Args;
use futures::future::try_join_all;

use super::connection::pairs;
use super::measure::{Measured, Used};
use super::merged::{Merged, OfBatch, OfPair};
use super::windows::{OF_ENROLMENT, Portions, Program, Row, account, at_once};

/// What to walk over.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    portions: Portions,
    /// The folder for the figures of each walk.
    #[arg(long)]
    out: PathBuf,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let portions = &options.portions;
    let pairs = pairs(&portions.input.pairs)?;
    let program = &Program::prepare(portions).await?;
    let windows = || pairs.chunks(portions.window);
    let inspect = at_once(portions, windows().map(|window| program.inspect(window)));
    measured(options, program, ("bare-inspect", pairs.len()), inspect).await?;
    let merged = at_once(portions, windows().map(|window| program.merge(window))).await?;
    let verify = at_once(portions, merged.iter().map(|window| verify(program, window)));
    measured(options, program, ("bare-verify", pairs.len()), verify).await?;
    let undo = at_once(portions, merged.iter().map(|window| undo(program, window)));
    measured(options, program, ("bare-undo", pairs.len()), undo).await
}

/// Carries a walk out and writes down what it took.
async fn measured<R>(
    options: &Options,
    program: &Program<'_>,
    (name, pairs): (&str, usize),
    walk: impl Future<Output = anyhow::Result<R>>,
) -> anyhow::Result<()> {
    let before = Used::so_far(&options.portions.input.servers)?;
    let sent = program.sent.load(Ordering::Relaxed);
    let began = Instant::now();
    walk.await?;
    let work_s = began.elapsed().as_secs_f64();
    Measured {
        pairs: pairs as u64,
        merging_s: work_s,
        work_s,
        whole_s: work_s,
        requests: Some(program.sent.load(Ordering::Relaxed) - sent),
        ..Measured::since(&before)?
    }
    .write(&options.out.join(format!("{name}.json")))
}

fn sources(merged: &Merged) -> impl Iterator<Item = &[u8]> {
    let first = merged.contents.iter().filter_map(|of_pair| of_pair.rows.first());
    first.map(|row| account(row, 0))
}

fn enrolled(of_batch: &OfBatch) -> impl Iterator<Item = &[u8]> {
    of_batch.rows.iter().map(|(row, _)| account(row, OF_ENROLMENT))
}

async fn verify(program: &Program<'_>, merged: &Merged) -> anyhow::Result<()> {
    let [contents, courses] = &program.timed;
    let survivors = merged.contents.iter().map(|of_pair| &of_pair.to[..]);
    let enrolments = merged.enrolments.iter().map(|of_batch| {
        let survivors = of_batch.rows.iter().filter_map(|(_, to)| to.as_deref());
        program.enrolments_in(courses, &of_batch.batch, survivors)
    });
    let contents = program.contents_in(contents, survivors);
    let (rows, _) = futures::try_join!(contents, try_join_all(enrolments))?;
    let wanted: usize = merged.contents.iter().map(|of_pair| of_pair.rows.len()).sum();
    anyhow::ensure!(rows >= wanted, "{rows} rows of survivors, where {wanted} were merged");
    Ok(())
}

async fn undo(program: &Program<'_>, merged: &Merged) -> anyhow::Result<()> {
    let given = merged.contents.iter().map(|of_pair| {
        let rows = of_pair.rows.iter().cloned();
        program.write(rows.map(|row| (&program.insert_content, row)).collect())
    });
    let enrolled_again = merged.enrolments.iter().map(|of_batch| {
        let rows = of_batch.rows.iter().map(|(row, _)| row.clone());
        program.write(rows.map(|row| (&program.insert_course, row)).collect())
    });
    futures::try_join!(try_join_all(given), try_join_all(enrolled_again))?;

    let [contents, courses] = program.plain();
    let read_back = merged
        .enrolments
        .iter()
        .map(|of_batch| program.enrolments_in(courses, &of_batch.batch, enrolled(of_batch)));
    let read_back = try_join_all(read_back);
    let (rows, _) = futures::try_join!(program.contents_in(contents, sources(merged)), read_back)?;
    let wanted: usize = merged.contents.iter().map(|of_pair| of_pair.rows.len()).sum();
    anyhow::ensure!(rows == wanted, "{rows} rows of {wanted} were given back");

    let taken = merged.contents.iter().map(|of_pair| {
        let rows = of_pair.rows.iter().zip(&of_pair.known);
        let writes = rows.filter_map(|(row, known)| match known {
            None => Some((&program.delete_content, of_pair.key(row))),
            Some(known) if OfPair::is_raised(row, known) => {
                Some((&program.update_content, of_pair.status(row, known.clone())))
            }
            Some(_) => None,
        });
        program.write(writes.collect())
    });
    let left = merged.enrolments.iter().map(|of_batch| {
        let copies = of_batch.rows.iter().filter_map(|(row, to)| Some((row, to.as_ref()?)));
        let key = |(row, to): (&Row, &Bytes)| vec![row[0].clone(), Some(to.clone())];
        program.write(copies.map(|copy| (&program.delete_course, key(copy))).collect())
    });
    futures::try_join!(try_join_all(taken), try_join_all(left)).map(drop)
}
