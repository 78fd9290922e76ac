//! The bare windows: the merge of thousands of pairs at once, with nothing else. This is the ceiling: what a program
//! has reached that gathers its reads, folds, and writes in batches, and does nothing more.
//!
//! A window's sources and survivors are read several to a request, its enrolments partition by partition, each for some
//! tens of pairs; what is copied is written partition by partition, and the sources' partitions are deleted several to a
//! request, once all copies of the window are acknowledged. A second window overlaps, so that the server never waits.
//! It has no journal, no events, no write times of its own, no paging and no retries; with `--sweep` it looks at every
//! source once more.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use clap::Args;
use futures::future::try_join_all;
use futures::{StreamExt, TryStreamExt, stream};
use scylla::client::session::Session;
use scylla::deserialize::row::ColumnIterator;
use scylla::errors::SerializationError;
use scylla::serialize::row::{RowSerializationContext, SerializeRow};
use scylla::serialize::writers::RowWriter;
use scylla::statement::batch::{Batch, BatchStatement, BatchType};
use scylla::statement::prepared::PreparedStatement;
use tokio::sync::Semaphore;

use super::connection::{Input, pairs, prepare};
use super::measure::{Measured, Used};
use super::merged::{Merged, OfBatch, OfPair};
use super::rows::{ContentConsumption, TableRow, UserCourse};

/// What to merge.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(super) portions: Portions,
    /// Look at every source once more.
    #[arg(long)]
    sweep: bool,
    /// Where the figures go.
    #[arg(long)]
    out: PathBuf,
}

/// Where, and in what portions.
#[derive(Args)]
pub(crate) struct Portions {
    #[command(flatten)]
    pub(super) input: Input,
    /// Pairs of a window.
    #[arg(long, default_value_t = 5_000)]
    pub(super) window: usize,
    /// Windows under way at once.
    #[arg(long, default_value_t = 2)]
    pub(super) windows: usize,
    /// Accounts whose partitions one request asks for, or deletes.
    #[arg(long, default_value_t = 32)]
    accounts: usize,
    /// Pairs whose enrolments one request asks for.
    #[arg(long, default_value_t = 100)]
    enrolments: usize,
    /// Requests at once.
    #[arg(long, default_value_t = 64)]
    requests: usize,
}

/// One value as it travels.
pub(super) type Cell = Option<Bytes>;
pub(super) type Row = Vec<Cell>;
/// Statements with their values.
pub(super) type Writes<'p> = Vec<(&'p PreparedStatement, Row)>;
type Pair = (String, String);
/// The survivor's statuses by the rest of the key.
type Statuses<'r> = HashMap<&'r [Cell], &'r Cell>;
/// The position of the status in a row of contents, and of the account in one of each table.
pub(super) const STATUS: usize = 4;
pub(super) const OF_CONTENT: usize = 0;
pub(super) const OF_ENROLMENT: usize = 1;
/// The primary key of the contents.
pub(super) const CONTENT_KEY: usize = 4;
/// The bytes of values that a batch holds at most.
const BATCH_BYTES: usize = 64 * 1_024;

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let portions = &options.portions;
    let pairs = pairs(&portions.input.pairs)?;
    let before = Used::so_far(&portions.input.servers)?;
    let began = Instant::now();
    let program = Program::prepare(portions).await?;
    let merging = Instant::now();
    at_once(portions, pairs.chunks(portions.window).map(|window| program.merge(window))).await?;
    let merging_s = merging.elapsed().as_secs_f64();
    if options.sweep {
        at_once(portions, pairs.chunks(portions.window).map(|window| program.sweep(window)))
            .await?;
    }
    Measured {
        pairs: pairs.len() as u64,
        merging_s,
        work_s: merging.elapsed().as_secs_f64(),
        whole_s: began.elapsed().as_secs_f64(),
        requests: Some(program.sent.load(Ordering::Relaxed)),
        ..Measured::since(&before)?
    }
    .write(&options.out)
}

/// Carries out what windows need, some of them at once; gives what came of each, in their order.
pub(super) async fn at_once<R>(
    portions: &Portions,
    windows: impl Iterator<Item = impl Future<Output = anyhow::Result<R>>>,
) -> anyhow::Result<Vec<R>> {
    let windows: Vec<_> = windows.collect();
    stream::iter(windows).buffered(portions.windows).try_collect().await
}

pub(super) struct Program<'a> {
    options: &'a Portions,
    session: Arc<Session>,
    at_once: Semaphore,
    pub(super) sent: AtomicU64,
    contents: PreparedStatement,
    statuses: PreparedStatement,
    pub(super) insert_content: PreparedStatement,
    pub(super) update_content: PreparedStatement,
    delete_contents: PreparedStatement,
    pub(super) delete_content: PreparedStatement,
    courses: PreparedStatement,
    pub(super) insert_course: PreparedStatement,
    pub(super) delete_course: PreparedStatement,
    owners: PreparedStatement,
    /// All cells of some accounts with write times, in both tables.
    pub(super) timed: [PreparedStatement; 2],
}

impl<'a> Program<'a> {
    pub(super) async fn prepare(options: &'a Portions) -> anyhow::Result<Self> {
        let session = options.input.connection.open().await?;
        let keyspace = &options.input.connection.keyspace;
        let contents = format!("{keyspace}.content_consumption");
        let courses = format!("{keyspace}.user_courses");
        let all = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let content_columns = status_first(&all(ContentConsumption::COLUMNS));
        let course_columns = all(UserCourse::COLUMNS);
        let key = "userid, contentid, batchid, courseid";
        let of_key = "userid = ? AND contentid = ? AND batchid = ? AND courseid = ?";
        let marks = ["?"; 16].join(", ");
        let with_times = |columns: &str, key: usize| {
            let times = columns.split(", ").skip(key).map(|name| format!("WRITETIME({name})"));
            format!("{columns}, {}", times.collect::<Vec<_>>().join(", "))
        };
        let prepare = async |text: String| prepare(&session, &text).await;
        let select = |columns: &str, table: &str, of: &str| {
            format!("SELECT {columns} FROM {table} WHERE {of}")
        };
        let in_batch = "batchid = ? AND userid IN ?";
        let timed = [
            prepare(select(&with_times(&content_columns, CONTENT_KEY), &contents, "userid IN ?"))
                .await?,
            prepare(select(&with_times(&course_columns, 2), &courses, in_batch)).await?,
        ];
        Ok(Self {
            contents: prepare(select(&content_columns, &contents, "userid IN ?")).await?,
            statuses: prepare(select(&format!("{key}, status"), &contents, "userid IN ?")).await?,
            insert_content: prepare(format!(
                "INSERT INTO {contents} ({content_columns}) VALUES ({marks})"
            ))
            .await?,
            update_content: prepare(format!("UPDATE {contents} SET status = ? WHERE {of_key}"))
                .await?,
            delete_contents: prepare(format!("DELETE FROM {contents} WHERE userid IN ?")).await?,
            delete_content: prepare(format!("DELETE FROM {contents} WHERE {of_key}")).await?,
            courses: prepare(select(&course_columns, &courses, in_batch)).await?,
            insert_course: prepare(format!(
                "INSERT INTO {courses} ({course_columns}) VALUES ({marks})"
            ))
            .await?,
            delete_course: prepare(format!(
                "DELETE FROM {courses} WHERE batchid = ? AND userid = ?"
            ))
            .await?,
            owners: prepare(select("userid", &contents, "userid IN ? PER PARTITION LIMIT 1"))
                .await?,
            timed,
            at_once: Semaphore::new(options.requests),
            sent: AtomicU64::new(0),
            options,
            session,
        })
    }

    /// One window from its first read to its last delete.
    pub(super) async fn merge(&self, pairs: &[Pair]) -> anyhow::Result<Merged> {
        let (contents, batches) = self.contents_of(pairs).await?;
        // Enrolments do not wait for the contents, nor these for them.
        let writes = contents.iter().map(|of_pair| self.write(of_pair.writes(self)));
        let enrolments = self.chunks(&batches).map(|(batch, pairs)| self.enrol(batch, pairs));
        let (_, enrolments) = futures::try_join!(try_join_all(writes), try_join_all(enrolments))?;
        let deletes = pairs.chunks(self.options.accounts).map(|chunk| async move {
            let from = list(chunk.iter().map(|(from, _)| from.as_bytes()));
            self.read(&self.delete_contents, vec![Some(from)]).await
        });
        try_join_all(deletes).await?;
        Ok(Merged { contents, enrolments })
    }

    /// The reads of a merge, and what it would do; gives how many rows that are.
    pub(super) async fn inspect(&self, pairs: &[Pair]) -> anyhow::Result<usize> {
        let (contents, batches) = self.contents_of(pairs).await?;
        let writes: usize = contents.iter().map(|of_pair| of_pair.writes(self).len()).sum();
        let enrolments = self.chunks(&batches).map(|(batch, pairs)| self.enrolments(batch, pairs));
        let enrolments = try_join_all(enrolments).await?;
        Ok(writes + enrolments.iter().map(|of_batch| of_batch.rows.len()).sum::<usize>())
    }

    /// The contents of some pairs, and the pairs by the batches that they lead to.
    async fn contents_of<'p>(
        &self,
        pairs: &'p [Pair],
    ) -> anyhow::Result<(Vec<OfPair>, BTreeMap<Bytes, Vec<&'p Pair>>)> {
        let read = pairs.chunks(self.options.accounts).map(|chunk| async move {
            let from = list(chunk.iter().map(|(from, _)| from.as_bytes()));
            let to = list(chunk.iter().map(|(_, to)| to.as_bytes()));
            let (sources, survivors) = futures::try_join!(
                self.read(&self.contents, vec![Some(from)]),
                self.read(&self.statuses, vec![Some(to)])
            )?;
            anyhow::Ok((chunk, sources, survivors))
        });
        let mut batches: BTreeMap<Bytes, Vec<&Pair>> = BTreeMap::new();
        let mut contents = Vec::new();
        for (chunk, sources, survivors) in try_join_all(read).await? {
            let mut of_source: HashMap<Bytes, Vec<Row>> = HashMap::new();
            for row in sources {
                of_source.entry(row[OF_CONTENT].clone().unwrap_or_default()).or_default().push(row);
            }
            let mut of_survivor: HashMap<&[u8], Statuses<'_>> = HashMap::new();
            for row in &survivors {
                let known = of_survivor.entry(account(row, OF_CONTENT)).or_default();
                known.insert(&row[1..CONTENT_KEY], &row[STATUS]);
            }
            for pair in chunk {
                let to = Bytes::copy_from_slice(pair.1.as_bytes());
                let rows = of_source.remove(pair.0.as_bytes()).unwrap_or_default();
                let known = of_survivor.get(&to[..]);
                let known =
                    |row: &Row| known?.get(&row[1..CONTENT_KEY]).map(|cell| (*cell).clone());
                let known = rows.iter().map(known).collect();
                let mut of_pair: Vec<&Bytes> = rows.iter().filter_map(|r| r[2].as_ref()).collect();
                of_pair.sort_unstable();
                of_pair.dedup();
                for batch in of_pair {
                    batches.entry(batch.clone()).or_default().push(pair);
                }
                contents.push(OfPair { to, rows, known });
            }
        }
        Ok((contents, batches))
    }

    fn chunks<'b, 'p>(
        &self,
        batches: &'b BTreeMap<Bytes, Vec<&'p Pair>>,
    ) -> impl Iterator<Item = (&'b Bytes, &'b [&'p Pair])> {
        let at_most = self.options.enrolments;
        batches
            .iter()
            .flat_map(move |(batch, pairs)| pairs.chunks(at_most).map(move |p| (batch, p)))
    }

    /// The enrolments of some pairs' sources in one partition, and which of them are copied.
    async fn enrolments(&self, batch: &Bytes, pairs: &[&Pair]) -> anyhow::Result<OfBatch> {
        let accounts = pairs.iter().flat_map(|(from, to)| [from.as_bytes(), to.as_bytes()]);
        let values = vec![Some(batch.clone()), Some(list(accounts))];
        let rows = self.read(&self.courses, values).await?;
        let of_account: HashMap<&[u8], &Row> =
            rows.iter().map(|row| (account(row, OF_ENROLMENT), row)).collect();
        let rows = pairs.iter().filter_map(|(from, to)| {
            let row = of_account.get(from.as_bytes())?;
            let is_copied = !of_account.contains_key(to.as_bytes());
            Some(((*row).clone(), is_copied.then(|| Bytes::copy_from_slice(to.as_bytes()))))
        });
        Ok(OfBatch { batch: batch.clone(), rows: rows.collect() })
    }

    async fn enrol(&self, batch: &Bytes, pairs: &[&Pair]) -> anyhow::Result<OfBatch> {
        let enrolments = self.enrolments(batch, pairs).await?;
        let mut writes = Vec::new();
        for (row, copied_to) in &enrolments.rows {
            if let Some(to) = copied_to {
                let mut copy = row.clone();
                copy[OF_ENROLMENT] = Some(to.clone());
                writes.push((&self.insert_course, copy));
            }
            writes.push((&self.delete_course, vec![row[0].clone(), row[OF_ENROLMENT].clone()]));
        }
        self.write(writes).await?;
        Ok(enrolments)
    }

    /// The rows of some accounts' contents.
    pub(super) async fn contents_in<'s>(
        &self,
        statement: &PreparedStatement,
        accounts: impl Iterator<Item = &'s [u8]>,
    ) -> anyhow::Result<usize> {
        let accounts: Vec<_> = accounts.collect();
        let read = accounts
            .chunks(self.options.accounts)
            .map(|chunk| self.read(statement, vec![Some(list(chunk.iter().copied()))]));
        Ok(try_join_all(read).await?.iter().map(Vec::len).sum())
    }

    /// The same of enrolments in one partition.
    pub(super) async fn enrolments_in<'s>(
        &self,
        statement: &PreparedStatement,
        batch: &Bytes,
        accounts: impl Iterator<Item = &'s [u8]>,
    ) -> anyhow::Result<usize> {
        let values = vec![Some(batch.clone()), Some(list(accounts))];
        Ok(self.read(statement, values).await?.len())
    }

    /// All cells of some accounts.
    pub(super) fn plain(&self) -> [&PreparedStatement; 2] {
        [&self.contents, &self.courses]
    }

    /// Sees that no source owns anything.
    async fn sweep(&self, pairs: &[Pair]) -> anyhow::Result<()> {
        let looks = pairs.chunks(self.options.accounts).map(|chunk| async move {
            let from = list(chunk.iter().map(|(from, _)| from.as_bytes()));
            let owners = self.read(&self.owners, vec![Some(from)]).await?;
            anyhow::ensure!(owners.is_empty(), "{} sources own rows", owners.len());
            Ok(())
        });
        try_join_all(looks).await.map(drop)
    }

    async fn read(&self, statement: &PreparedStatement, values: Row) -> anyhow::Result<Vec<Row>> {
        let permit = self.at_once.acquire().await?;
        self.sent.fetch_add(1, Ordering::Relaxed);
        let answer = self.session.execute_unpaged(statement, Values(values)).await?;
        drop(permit);
        if !answer.is_rows() {
            return Ok(Vec::new());
        }
        let rows = answer.into_rows_result()?;
        let rows = rows.rows::<ColumnIterator<'_, '_>>()?.map(|columns| {
            let cells = columns?.map(|column| anyhow::Ok(column?.slice.map(|s| s.to_bytes())));
            cells.collect()
        });
        rows.collect()
    }

    /// Writes to one partition, in batches cut by bytes.
    pub(super) async fn write(&self, writes: Writes<'_>) -> anyhow::Result<()> {
        let mut writes = writes.into_iter().peekable();
        while writes.peek().is_some() {
            let (mut batch, mut values) = (Batch::new(BatchType::Unlogged), Vec::new());
            let mut bytes = 0;
            while bytes < BATCH_BYTES
                && let Some((statement, row)) = writes.next()
            {
                bytes += row.iter().flatten().map(Bytes::len).sum::<usize>() + 48;
                batch.append_statement(BatchStatement::from(statement.clone()));
                values.push(Values(row));
            }
            let permit = self.at_once.acquire().await?;
            self.sent.fetch_add(1, Ordering::Relaxed);
            self.session.batch(&batch, values).await?;
            drop(permit);
        }
        Ok(())
    }
}

/// The columns with the status behind the key, where the fold looks for it.
fn status_first(columns: &str) -> String {
    let mut names: Vec<&str> = columns.split(", ").collect();
    if let Some(at) = names.iter().position(|name| *name == "status") {
        let status = names.remove(at);
        names.insert(STATUS, status);
    }
    names.join(", ")
}

pub(super) fn account(row: &Row, column: usize) -> &[u8] {
    row[column].as_deref().unwrap_or_default()
}

/// A `list<text>`.
fn list<'v>(values: impl Iterator<Item = &'v [u8]>) -> Bytes {
    let mut list = vec![0; 4];
    let mut count = 0_u32;
    for value in values {
        list.extend_from_slice(&(value.len() as u32).to_be_bytes());
        list.extend_from_slice(value);
        count += 1;
    }
    list[..4].copy_from_slice(&count.to_be_bytes());
    list.into()
}

/// Values as they are; null is not written.
struct Values(Row);

impl SerializeRow for Values {
    fn serialize(
        &self,
        _: &RowSerializationContext<'_>,
        writer: &mut RowWriter<'_>,
    ) -> Result<(), SerializationError> {
        for value in &self.0 {
            let cell = writer.make_cell_writer();
            match value {
                Some(bytes) => {
                    cell.set_value(bytes).map_err(SerializationError::new)?;
                }
                None => {
                    cell.set_unset();
                }
            }
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
