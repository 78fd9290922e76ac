//! Both tables → JSON lines in the order of their keys, for comparison with anything else.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use futures::stream::{self, StreamExt, TryStreamExt};
use scylla::client::session::Session;
use scylla::statement::Consistency;
use scylla::statement::unprepared::Statement;

use super::rows::{ContentConsumption, TableRow, UserCourse};
use super::{Connection, file, say};

/// What to read and where to write it.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    connection: Connection,
    /// The directory to write to.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Parts of the token ring, and how many of them are read at the same time.
const RANGES: i128 = 64;
const RANGES_AT_ONCE: usize = 8;
const PAGE_ROWS: i32 = 2_000;

/// Dumps both tables.
pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let session = options.connection.open().await?;
    fs::create_dir_all(&options.out)
        .with_context(|| format!("cannot make {}", options.out.display()))?;
    let courses = dump_table::<UserCourse>(&session, options).await?;
    let contents = dump_table::<ContentConsumption>(&session, options).await?;
    say(&format!("{courses} enrolments and {contents} content rows"))
}

async fn dump_table<R: TableRow>(session: &Session, options: &Options) -> anyhow::Result<usize> {
    let (columns, table, partition) = (R::COLUMNS, R::TABLE, R::PARTITION);
    let mut select = Statement::new(format!(
        "SELECT {columns} FROM {}.{table} WHERE token({partition}) >= ? AND token({partition}) <= ?",
        options.connection.keyspace
    ));
    select.set_page_size(PAGE_ROWS);
    select.set_consistency(Consistency::LocalQuorum);
    let select = session.prepare(select).await.with_context(|| format!("cannot read {table}"))?;
    let parts: Vec<Vec<R>> = stream::iter(ranges())
        .map(|range| {
            let select = select.clone();
            async move {
                let pager = session.execute_iter(select, range).await?;
                let rows = pager.rows_stream::<R::Cells>()?;
                anyhow::Ok(rows.map_ok(R::from_cells).try_collect().await?)
            }
        })
        .buffer_unordered(RANGES_AT_ONCE)
        .try_collect()
        .await?;
    let mut rows: Vec<R> = parts.into_iter().flatten().collect();
    rows.sort_unstable_by(|a, b| a.key().cmp(&b.key()));

    let path = file(&options.out, &format!("{table}.jsonl"));
    let failed = || format!("cannot write {}", path.display());
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&path).with_context(failed)?);
    for row in &rows {
        serde_json::to_writer(&mut out, row).with_context(failed)?;
        out.write_all(b"\n").with_context(failed)?;
    }
    out.flush().with_context(failed)?;
    Ok(rows.len())
}

/// The token ring in parts of the same size, both ends included.
fn ranges() -> Vec<(i64, i64)> {
    let bound = |part: i128| i128::from(i64::MIN) + (part << 64) / RANGES;
    (0..RANGES)
        .map(|part| {
            // Both are within the ring, so neither changes.
            (bound(part) as i64, (bound(part + 1) - 1) as i64)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ranges_cover_the_ring_once() {
        let ranges = ranges();
        assert_eq!(ranges[0].0, i64::MIN);
        assert_eq!(ranges[ranges.len() - 1].1, i64::MAX);
        assert!(ranges.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0));
    }
}
