//! Rows of a data set → Cassandra.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use clap::Args;
use futures::stream::{self, StreamExt, TryStreamExt};
use scylla::client::session::Session;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;

use super::rows::{ContentConsumption, TableRow, UserCourse};
use super::{Connection, file, say};

/// Where to put the rows.
#[derive(Args)]
pub(crate) struct Options {
    /// The directory of the data set.
    #[arg(long)]
    dir: PathBuf,
    #[command(flatten)]
    connection: Connection,
    /// Create the keyspace and the tables if they are not there.
    #[arg(long)]
    create: bool,
    /// Drop the keyspace first, with everything in it.
    #[arg(long, requires = "create")]
    drop: bool,
    /// The register of what was merged there, which is dropped with it.
    #[arg(long, value_name = "KEYSPACE", requires = "drop")]
    register: Option<String>,
    /// The replication factor of a created keyspace.
    #[arg(long, default_value_t = 1)]
    replication: u8,
    /// Requests at the same time.
    #[arg(long, default_value_t = 256)]
    in_flight: usize,
    /// How long ago the rows were written, in seconds: their write time is that far in the past.
    #[arg(long, default_value_t = 3_600)]
    age: u64,
}

/// Rows that are sorted by partition at a time, so that few requests carry many rows.
const WINDOW_ROWS: usize = 20_000;
/// The most rows of a request.
const BATCH_ROWS: usize = 50;
/// The bytes of JSON in a request beyond which another one is started; servers warn early.
const BATCH_BYTES: usize = 16 << 10;

/// Loads both tables.
pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let start = Instant::now();
    let session = options.connection.open().await?;
    if options.create {
        create(&session, options).await?;
    }
    let session = Arc::new(session);
    let courses = load_table::<UserCourse>(&session, options).await?;
    let contents = load_table::<ContentConsumption>(&session, options).await?;
    let seconds = start.elapsed().as_secs_f64();
    say(&format!("{courses} enrolments and {contents} content rows in {seconds:.1} s"))
}

async fn create(session: &Session, options: &Options) -> anyhow::Result<()> {
    let keyspace = &options.connection.keyspace;
    let dropped = [Some(keyspace), options.register.as_ref()].into_iter().flatten();
    for keyspace in dropped.filter(|_| options.drop) {
        session.query_unpaged(format!("DROP KEYSPACE IF EXISTS {keyspace}"), ()).await?;
        session.await_schema_agreement().await?;
    }
    let statements = [
        format!(
            "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {{'class': \
             'NetworkTopologyStrategy', 'replication_factor': {}}}",
            options.replication
        ),
        table::<UserCourse>(keyspace),
        table::<ContentConsumption>(keyspace),
    ];
    for statement in statements {
        session.query_unpaged(statement.as_str(), ()).await.with_context(|| statement.clone())?;
        session.await_schema_agreement().await?;
    }
    Ok(())
}

fn table<R: TableRow>(keyspace: &str) -> String {
    format!("CREATE TABLE IF NOT EXISTS {keyspace}.{} {}", R::TABLE, R::SCHEMA)
}

/// Rows of one partition, each with the length of its JSON.
type Rows<R> = Vec<(R, usize)>;

async fn load_table<R: TableRow>(session: &Arc<Session>, options: &Options) -> anyhow::Result<u64> {
    let path = file(&options.dir, &format!("{}.jsonl", R::TABLE));
    let input = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut lines = BufReader::with_capacity(1 << 20, input).lines();
    let marks = vec!["?"; R::COLUMNS.split(',').count()].join(", ");
    let keyspace = &options.connection.keyspace;
    let insert = format!("INSERT INTO {keyspace}.{} ({}) VALUES ({marks})", R::TABLE, R::COLUMNS);
    let insert = session.prepare(insert).await.context("cannot prepare the insert")?;
    let written_at = written_at(options.age)?;
    let mut rows = 0;
    loop {
        let window = lines
            .by_ref()
            .take(WINDOW_ROWS)
            .map(|line| {
                let line = line.with_context(|| format!("cannot read {}", path.display()))?;
                let row = serde_json::from_str(&line).with_context(|| line.clone())?;
                Ok((row, line.len()))
            })
            .collect::<anyhow::Result<Rows<R>>>()?;
        if window.is_empty() {
            return Ok(rows);
        }
        rows += window.len() as u64;
        stream::iter(requests(window).into_iter().map(|request| {
            let (session, insert) = (Arc::clone(session), insert.clone());
            let task =
                tokio::spawn(async move { send(&session, insert, &request, written_at).await });
            async move { task.await.context("a request was lost")? }
        }))
        // Tasks start when the stream asks for them, so this bounds them.
        .buffer_unordered(options.in_flight.max(1))
        .try_collect::<()>()
        .await?;
    }
}

/// The write time of all rows, in microseconds.
fn written_at(age_seconds: u64) -> anyhow::Result<i64> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(now.saturating_sub(Duration::from_secs(age_seconds)).as_micros().try_into()?)
}

/// Splits rows by partition; partitions by size.
fn requests<R: TableRow>(mut window: Rows<R>) -> Vec<Vec<R>> {
    window.sort_by(|(a, _), (b, _)| a.key()[0].cmp(b.key()[0]));
    let mut requests: Vec<Vec<R>> = Vec::new();
    let mut bytes = 0;
    for (row, length) in window {
        bytes += length;
        match requests.last_mut() {
            Some(last)
                if last[0].key()[0] == row.key()[0]
                    && last.len() < BATCH_ROWS
                    && bytes <= BATCH_BYTES =>
            {
                last.push(row);
            }
            _ => {
                bytes = length;
                requests.push(vec![row]);
            }
        }
    }
    requests
}

/// Writes rows of one partition in one request, and again if the server is busy.
async fn send<R: TableRow>(
    session: &Session,
    mut insert: PreparedStatement,
    rows: &[R],
    written_at: i64,
) -> anyhow::Result<()> {
    const ATTEMPTS: u32 = 6;
    let mut attempt = 0;
    insert.set_timestamp(Some(written_at));
    let mut batch = Batch::new(BatchType::Unlogged);
    batch.set_timestamp(Some(written_at));
    for _ in rows {
        batch.append_statement(insert.clone());
    }
    loop {
        let values: Vec<_> = rows.iter().map(TableRow::values).collect();
        let result = match rows {
            [row] => session.execute_unpaged(&insert, row.values()).await,
            _ => session.batch(&batch, values).await,
        };
        match result {
            Ok(_) => return Ok(()),
            Err(error) if attempt + 1 == ATTEMPTS => return Err(error).context(R::TABLE),
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(100 << attempt)).await;
                attempt += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_holds_rows_of_one_partition() {
        let row = |batch: u64| (UserCourse::bare(&batch.to_string(), "user"), 100);
        let requests = requests((0..300).map(|n| row(n % 2)).collect());
        assert_eq!(requests.iter().map(Vec::len).sum::<usize>(), 300);
        for request in &requests {
            assert!(request.len() <= BATCH_ROWS);
            assert!(request.iter().all(|row| row.batchid == request[0].batchid));
        }
    }

    #[test]
    fn large_rows_go_alone() {
        let row = || (UserCourse::bare("batch", "user"), BATCH_BYTES);
        assert_eq!(requests(vec![row(), row(), row()]).len(), 3);
    }
}
