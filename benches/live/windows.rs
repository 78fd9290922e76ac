//! The bare windows: the merge of thousands of pairs at once, with nothing else. This is the ceiling: what a program
//! has reached that gathers its reads, folds, and writes in batches, and does nothing more.
//!
//! A window's sources and survivors are read several to a request, its enrolments partition by partition, each for some
//! tens of pairs; what is copied is written partition by partition, and the sources' partitions are deleted several to a
//! request, once all copies of the window are acknowledged. A second window overlaps, so that the server never waits.
//! It has no journal, no events, no write times of its own, no paging and no retries; with `--sweep` it looks at every
//! source once more.

use std::collections::{BTreeMap, HashMap};
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

use super::connection::{Connection, pairs, prepare};
use super::measure::{Measured, Servers, Used};
use super::rows::{ContentConsumption, TableRow, UserCourse};

/// What to merge, and in what portions.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    servers: Servers,
    /// The pairs, of which no account is in two.
    #[arg(long)]
    pairs: PathBuf,
    /// Pairs of a window.
    #[arg(long, default_value_t = 5_000)]
    window: usize,
    /// Windows under way at once.
    #[arg(long, default_value_t = 2)]
    windows: usize,
    /// Accounts whose partitions one request asks for, or deletes.
    #[arg(long, default_value_t = 32)]
    accounts: usize,
    /// Pairs whose enrolments one request asks for.
    #[arg(long, default_value_t = 100)]
    enrolments: usize,
    /// Requests at once.
    #[arg(long, default_value_t = 64)]
    requests: usize,
    /// Look at every source once more.
    #[arg(long)]
    sweep: bool,
    /// Where the figures go.
    #[arg(long)]
    out: PathBuf,
}

/// One value as it travels.
type Cell = Option<Bytes>;
type Row = Vec<Cell>;
/// The survivor's statuses by the rest of the key.
type Statuses<'r> = HashMap<&'r [Cell], &'r Cell>;
/// The position of the status in a row of contents, and of the account in one of each table.
const STATUS: usize = 4;
const OF_CONTENT: usize = 0;
const OF_ENROLMENT: usize = 1;
/// The primary key of the contents.
const CONTENT_KEY: usize = 4;
/// The bytes of values that a batch holds at most.
const BATCH_BYTES: usize = 64 * 1_024;

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let pairs = pairs(&options.pairs)?;
    let before = Used::so_far(&options.servers)?;
    let began = Instant::now();
    let session = options.connection.open().await?;
    let program = Program::prepare(session, options).await?;
    let merging = Instant::now();
    let windows = pairs.chunks(options.window).map(|window| program.window(window));
    let windows: Vec<_> = windows.collect();
    let () = stream::iter(windows).buffer_unordered(options.windows).try_collect().await?;
    let merging_s = merging.elapsed().as_secs_f64();
    if options.sweep {
        let looks = pairs.chunks(options.window).map(|window| program.sweep(window));
        let looks: Vec<_> = looks.collect();
        let () = stream::iter(looks).buffer_unordered(options.windows).try_collect().await?;
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

struct Program<'a> {
    options: &'a Options,
    session: Arc<Session>,
    at_once: Semaphore,
    sent: AtomicU64,
    contents: PreparedStatement,
    statuses: PreparedStatement,
    insert_content: PreparedStatement,
    update_content: PreparedStatement,
    delete_contents: PreparedStatement,
    courses: PreparedStatement,
    insert_course: PreparedStatement,
    delete_course: PreparedStatement,
    owners: PreparedStatement,
}

impl<'a> Program<'a> {
    async fn prepare(session: Arc<Session>, options: &'a Options) -> anyhow::Result<Self> {
        let keyspace = &options.connection.keyspace;
        let contents = format!("{keyspace}.content_consumption");
        let courses = format!("{keyspace}.user_courses");
        let all = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let content_columns = status_first(&all(ContentConsumption::COLUMNS));
        let course_columns = all(UserCourse::COLUMNS);
        let key = "userid, contentid, batchid, courseid";
        let marks = ["?"; 16].join(", ");
        let prepare = async |text: String| prepare(&session, &text).await;
        Ok(Self {
            contents: prepare(format!("SELECT {content_columns} FROM {contents} WHERE userid IN ?"))
                .await?,
            statuses: prepare(format!("SELECT {key}, status FROM {contents} WHERE userid IN ?"))
                .await?,
            insert_content: prepare(format!(
                "INSERT INTO {contents} ({content_columns}) VALUES ({marks})"
            ))
            .await?,
            update_content: prepare(format!(
                "UPDATE {contents} SET status = ? WHERE userid = ? AND contentid = ? AND batchid = ? \
                 AND courseid = ?"
            ))
            .await?,
            delete_contents: prepare(format!("DELETE FROM {contents} WHERE userid IN ?")).await?,
            courses: prepare(format!(
                "SELECT {course_columns} FROM {courses} WHERE batchid = ? AND userid IN ?"
            ))
            .await?,
            insert_course: prepare(format!(
                "INSERT INTO {courses} ({course_columns}) VALUES ({marks})"
            ))
            .await?,
            delete_course: prepare(format!(
                "DELETE FROM {courses} WHERE batchid = ? AND userid = ?"
            ))
            .await?,
            owners: prepare(format!(
                "SELECT userid FROM {contents} WHERE userid IN ? PER PARTITION LIMIT 1"
            ))
            .await?,
            at_once: Semaphore::new(options.requests),
            sent: AtomicU64::new(0),
            options,
            session,
        })
    }

    /// One window from its first read to its last delete.
    async fn window(&self, pairs: &[(String, String)]) -> anyhow::Result<()> {
        let read = pairs.chunks(self.options.accounts).map(|chunk| async move {
            let from = list(chunk.iter().map(|(from, _)| from.as_bytes()));
            let to = list(chunk.iter().map(|(_, to)| to.as_bytes()));
            let (sources, survivors) = futures::try_join!(
                self.read(&self.contents, vec![Some(from)]),
                self.read(&self.statuses, vec![Some(to)])
            )?;
            anyhow::Ok((chunk, sources, survivors))
        });
        let mut batches: BTreeMap<Bytes, Vec<&(String, String)>> = BTreeMap::new();
        let mut writes = Vec::new();
        for (chunk, sources, survivors) in try_join_all(read).await? {
            let mut of_account: HashMap<&[u8], (Vec<&Row>, Statuses<'_>)> = HashMap::new();
            for row in &sources {
                of_account.entry(account(row, OF_CONTENT)).or_default().0.push(row);
            }
            for row in &survivors {
                let known = &mut of_account.entry(account(row, OF_CONTENT)).or_default().1;
                known.insert(&row[1..CONTENT_KEY], &row[STATUS]);
            }
            let nothing = (Vec::new(), HashMap::new());
            for pair in chunk {
                let (from, to) = (pair.0.as_bytes(), Bytes::copy_from_slice(pair.1.as_bytes()));
                let rows = &of_account.get(from).unwrap_or(&nothing).0;
                let known = &of_account.get(&to[..]).unwrap_or(&nothing).1;
                let mut of_pair: Vec<&Bytes> = rows.iter().filter_map(|r| r[2].as_ref()).collect();
                of_pair.sort_unstable();
                of_pair.dedup();
                for batch in of_pair {
                    batches.entry(batch.clone()).or_default().push(pair);
                }
                writes.push(self.write(self.folded(rows, known, &to)));
            }
        }
        // Enrolments do not wait for the contents, nor these for them.
        let enrolments = batches.iter().flat_map(|(batch, pairs)| {
            pairs.chunks(self.options.enrolments).map(move |chunk| self.enrol(batch, chunk))
        });
        futures::try_join!(try_join_all(writes), try_join_all(enrolments))?;
        let deletes = pairs.chunks(self.options.accounts).map(|chunk| async move {
            let from = list(chunk.iter().map(|(from, _)| from.as_bytes()));
            self.read(&self.delete_contents, vec![Some(from)]).await.map(drop)
        });
        try_join_all(deletes).await.map(drop)
    }

    /// What becomes of a source's contents: copied, or the higher status written over the survivor's.
    fn folded(
        &self,
        rows: &[&Row],
        known: &Statuses<'_>,
        to: &Bytes,
    ) -> Vec<(&PreparedStatement, Row)> {
        let mut writes = Vec::new();
        for row in rows {
            match known.get(&row[1..CONTENT_KEY]) {
                None => {
                    let mut copy = (*row).clone();
                    copy[OF_CONTENT] = Some(to.clone());
                    writes.push((&self.insert_content, copy));
                }
                // No status is negative, so that their bytes compare as they do.
                Some(status) if row[STATUS] > **status => {
                    let mut values = vec![row[STATUS].clone(), Some(to.clone())];
                    values.extend_from_slice(&row[1..CONTENT_KEY]);
                    writes.push((&self.update_content, values));
                }
                Some(_) => {}
            }
        }
        writes
    }

    /// The enrolments of some pairs in one partition.
    async fn enrol(&self, batch: &Bytes, pairs: &[&(String, String)]) -> anyhow::Result<()> {
        let accounts = pairs.iter().flat_map(|(from, to)| [from.as_bytes(), to.as_bytes()]);
        let values = vec![Some(batch.clone()), Some(list(accounts))];
        let rows = self.read(&self.courses, values).await?;
        let of_account: HashMap<&[u8], &Row> =
            rows.iter().map(|row| (account(row, OF_ENROLMENT), row)).collect();
        let mut writes = Vec::new();
        for (from, to) in pairs {
            let Some(row) = of_account.get(from.as_bytes()) else { continue };
            if !of_account.contains_key(to.as_bytes()) {
                let mut copy = (*row).clone();
                copy[OF_ENROLMENT] = Some(Bytes::copy_from_slice(to.as_bytes()));
                writes.push((&self.insert_course, copy));
            }
            writes.push((&self.delete_course, vec![row[0].clone(), row[OF_ENROLMENT].clone()]));
        }
        self.write(writes).await
    }

    /// Sees that no source owns anything.
    async fn sweep(&self, pairs: &[(String, String)]) -> anyhow::Result<()> {
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
    async fn write(&self, writes: Vec<(&PreparedStatement, Row)>) -> anyhow::Result<()> {
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

fn account(row: &Row, column: usize) -> &[u8] {
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
