//! Row by row: the seven steps of a merge as a plain program does them, one statement at a time.
//!
//! What is compared with tributary, and so written as well as the approach allows: prepared, token-aware
//! statements with typed values, nulls left unset, cached result metadata, only the columns that are needed of
//! a survivor's row, and many pairs in flight. It has no journal, no events, no write times of its own and no
//! sweep, so it is less than half of the job.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use scylla::client::session::Session;
use scylla::response::query_result::QueryRowsResult;
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use tokio::task::JoinSet;

use super::connection::{Input, pairs, prepare};
use super::measure::{Measured, Used};
use super::rows::{ContentConsumption, TableRow, UserCourse};

/// What to merge.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    input: Input,
    /// Pairs at the same time.
    #[arg(long, default_value_t = 256)]
    in_flight: usize,
    /// Where the figures go.
    #[arg(long)]
    out: PathBuf,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let pairs = Arc::new(pairs(&options.input.pairs)?);
    let before = Used::so_far(&options.input.servers)?;
    let began = Instant::now();
    let session = options.input.connection.open().await?;
    let workflow = Workflow::prepare(session, &options.input.connection.keyspace).await?;
    let workflow = Arc::new(workflow);
    let merging = Instant::now();
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..options.in_flight.max(1) {
        let (workflow, pairs, next) =
            (Arc::clone(&workflow), Arc::clone(&pairs), Arc::clone(&next));
        workers.spawn(async move {
            while let Some((from, to)) = pairs.get(next.fetch_add(1, Ordering::Relaxed)) {
                workflow.merge(from, to).await.with_context(|| format!("{from} into {to}"))?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended??;
    }
    let merging_s = merging.elapsed().as_secs_f64();
    Measured {
        pairs: pairs.len() as u64,
        merging_s,
        // It has no sweep.
        work_s: merging_s,
        whole_s: began.elapsed().as_secs_f64(),
        requests: Some(workflow.requests.load(Ordering::Relaxed)),
        ..Measured::since(&before)?
    }
    .write(&options.out)
}

/// The statements, prepared.
struct Workflow {
    session: Arc<Session>,
    requests: AtomicU64,
    content: PreparedStatement,
    content_status: PreparedStatement,
    insert_content: PreparedStatement,
    update_content: PreparedStatement,
    delete_content: PreparedStatement,
    course: PreparedStatement,
    course_exists: PreparedStatement,
    insert_course: PreparedStatement,
    delete_course: PreparedStatement,
}

impl Workflow {
    async fn prepare(session: Arc<Session>, keyspace: &str) -> anyhow::Result<Self> {
        let contents = format!("{keyspace}.content_consumption");
        let courses = format!("{keyspace}.user_courses");
        let content_key = "userid = ? AND contentid = ? AND batchid = ? AND courseid = ?";
        let course_key = "batchid = ? AND userid = ?";
        let all = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let marks = ["?"; 16].join(", ");
        let content_columns = all(ContentConsumption::COLUMNS);
        let course_columns = all(UserCourse::COLUMNS);
        let prepare = async |text: String| prepare(&session, &text).await;
        Ok(Self {
            content: prepare(format!("SELECT {content_columns} FROM {contents} WHERE userid = ?"))
                .await?,
            content_status: prepare(format!("SELECT status FROM {contents} WHERE {content_key}"))
                .await?,
            insert_content: prepare(format!(
                "INSERT INTO {contents} ({content_columns}) VALUES ({marks})"
            ))
            .await?,
            update_content: prepare(format!(
                "UPDATE {contents} SET status = ? WHERE {content_key}"
            ))
            .await?,
            delete_content: prepare(format!("DELETE FROM {contents} WHERE {content_key}")).await?,
            course: prepare(format!("SELECT {course_columns} FROM {courses} WHERE {course_key}"))
                .await?,
            course_exists: prepare(format!("SELECT userid FROM {courses} WHERE {course_key}"))
                .await?,
            insert_course: prepare(format!(
                "INSERT INTO {courses} ({course_columns}) VALUES ({marks})"
            ))
            .await?,
            delete_course: prepare(format!("DELETE FROM {courses} WHERE {course_key}")).await?,
            requests: AtomicU64::new(0),
            session,
        })
    }

    async fn merge(&self, from: &str, to: &str) -> anyhow::Result<()> {
        let rows = self.read(&self.content, (from,)).await?;
        let rows = typed::<ContentConsumption>(&rows)?;
        for row in &rows {
            self.merge_content(row, to).await?;
        }
        let mut batches: Vec<&str> = rows.iter().map(|row| row.batchid.as_str()).collect();
        batches.sort_unstable();
        batches.dedup();
        for batch in batches {
            self.merge_enrolment(batch, from, to).await?;
        }
        for row in &rows {
            let [_, content, batch, course] = row.key();
            self.write(&self.delete_content, (from, content, batch, course)).await?;
        }
        Ok(())
    }

    /// The higher status is written whether or not it changes, as step 2 says. To write it only where it
    /// does would save about three of the 38 round trips that a pair takes.
    async fn merge_content(&self, row: &ContentConsumption, to: &str) -> anyhow::Result<()> {
        let [_, content, batch, course] = row.key();
        let known = self.read(&self.content_status, (to, content, batch, course)).await?;
        match known.maybe_first_row::<(Option<i32>,)>()? {
            Some((status,)) => {
                let Some(status) = status.max(row.status) else { return Ok(()) };
                self.write(&self.update_content, (status, to, content, batch, course)).await
            }
            None => {
                let copy = ContentConsumption { userid: to.to_owned(), ..row.clone() };
                self.write(&self.insert_content, copy.values()).await
            }
        }
    }

    async fn merge_enrolment(&self, batch: &str, from: &str, to: &str) -> anyhow::Result<()> {
        let rows = self.read(&self.course, (batch, from)).await?;
        let Some(row) = typed::<UserCourse>(&rows)?.pop() else { return Ok(()) };
        let known = self.read(&self.course_exists, (batch, to)).await?;
        if known.rows_num() == 0 {
            let copy = UserCourse { userid: to.to_owned(), ..row };
            self.write(&self.insert_course, copy.values()).await?;
        }
        self.write(&self.delete_course, (batch, from)).await
    }

    async fn read(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> anyhow::Result<QueryRowsResult> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        Ok(self.session.execute_unpaged(statement, values).await?.into_rows_result()?)
    }

    async fn write(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> anyhow::Result<()> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.session.execute_unpaged(statement, values).await?;
        Ok(())
    }
}

/// The rows of an answer.
fn typed<R: TableRow>(answer: &QueryRowsResult) -> anyhow::Result<Vec<R>> {
    answer.rows::<R::Cells>()?.map(|cells| Ok(R::from_cells(cells?))).collect()
}
