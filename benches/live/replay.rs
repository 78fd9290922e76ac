//! The ceiling: the requests that a run sent, sent again by the driver with nothing else.
//!
//! Everything is ready before the clock starts: statements prepared, values and batches built. What is measured is
//! the driver and the server: a bounded number of requests in flight, taken in the order in which they were
//! sent; answers are fetched and dropped undecoded.
//!
//! That one request of a group waited for the answer to another is not kept. To wait for exactly what was
//! waited for would give the ceiling the run's own bounds; here the next request goes out as soon as one is answered,
//! which is faster than any program that has to know an answer before it can write. The order of sending
//! keeps the work the same nevertheless: between a read and the write that followed from it lie as many requests
//! as were in flight, so that reads find what they found. The sweep's requests start when all others have
//! ended, as they did.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use scylla::client::session::Session;
use scylla::errors::SerializationError;
use scylla::response::PagingState;
use scylla::serialize::row::{RowSerializationContext, SerializeRow};
use scylla::serialize::writers::RowWriter;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use tokio::task::JoinSet;

use super::connection::{Connection, prepare};
use super::measure::{Measured, Servers, Used, read_json};
use super::wire::{Recording, Request, Value};

/// What to send.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    servers: Servers,
    /// The requests.
    #[arg(long)]
    recording: PathBuf,
    /// Their numbers.
    #[arg(long)]
    summary: PathBuf,
    /// Requests at the same time.
    #[arg(long, default_value_t = 256)]
    in_flight: usize,
    /// Where the figures go.
    #[arg(long)]
    out: PathBuf,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let began = Instant::now();
    let summary = read_json(&options.summary)?;
    let session = options.connection.open().await?;
    let recording = Recording::read(&options.recording)?;
    let mut merging = build(&session, recording).await?;
    let requests = merging.len() as u64;
    let before_sweep = summary["requests_before_sweep"].as_u64().unwrap_or(requests);
    let sweep = merging.split_off(merging.len().min(before_sweep as usize));

    let before = Used::so_far(&options.servers)?;
    let start = Instant::now();
    send_all(&session, merging, options.in_flight).await?;
    let merging_s = start.elapsed().as_secs_f64();
    send_all(&session, sweep, options.in_flight).await?;
    Measured {
        pairs: summary["pairs"].as_u64().unwrap_or(0),
        merging_s,
        work_s: start.elapsed().as_secs_f64(),
        whole_s: began.elapsed().as_secs_f64(),
        requests: Some(requests),
        ..Measured::since(&before)?
    }
    .write(&options.out)
}

/// A request that only has to be sent.
enum Built {
    All(PreparedStatement, Values),
    Page(PreparedStatement, Values, PagingState),
    Batch(Batch, Vec<Values>),
}

async fn build(session: &Session, recording: Recording) -> anyhow::Result<Vec<Built>> {
    let mut statements = Vec::with_capacity(recording.texts.len());
    for text in &recording.texts {
        statements.push(prepare(session, text).await?);
    }
    let build = |request| match request {
        Request::Execute { statement, values, page: None } => {
            Built::All(statements[statement].clone(), Values(values))
        }
        Request::Execute { statement, values, page: Some(page) } => {
            let mut statement = statements[statement].clone();
            statement.set_page_size(page.rows);
            let after = page.after.map(|state| PagingState::new_from_raw_bytes(&state[..]));
            Built::Page(statement, Values(values), after.unwrap_or_else(PagingState::start))
        }
        Request::Batch(mutations) => {
            let mut batch = Batch::new(BatchType::Unlogged);
            batch.set_is_idempotent(true);
            let mut values = Vec::with_capacity(mutations.len());
            for (statement, bound) in mutations {
                batch.append_statement(statements[statement].clone());
                values.push(Values(bound));
            }
            Built::Batch(batch, values)
        }
    };
    // Whether a kind of statement is forbidden was asked by one without a key, which is refused for that. No other binds null.
    let has_null = |values: &[Value]| values.iter().any(|value| matches!(value, Value::Null));
    let is_asked = |request: &Request| match request {
        Request::Execute { values, .. } => has_null(values),
        Request::Batch(mutations) => mutations.iter().any(|(_, values)| has_null(values)),
    };
    let requests = recording.requests.into_iter().map(|recorded| recorded.request);
    Ok(requests.filter(|request| !is_asked(request)).map(build).collect())
}

async fn send_all(
    session: &Arc<Session>,
    requests: Vec<Built>,
    in_flight: usize,
) -> anyhow::Result<()> {
    let requests = Arc::new(requests);
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..in_flight.max(1) {
        let (session, requests) = (Arc::clone(session), Arc::clone(&requests));
        let next = Arc::clone(&next);
        workers.spawn(async move {
            while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                send(&session, request).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended??;
    }
    Ok(())
}

async fn send(session: &Session, request: &Built) -> anyhow::Result<()> {
    match request {
        Built::All(statement, values) => {
            let sent = session.execute_unpaged(statement, values).await.map(drop);
            sent.with_context(|| format!("{} with {values:?}", statement.get_statement()))
        }
        Built::Page(statement, values, after) => {
            let sent =
                session.execute_single_page(statement, values, after.clone()).await.map(drop);
            sent.with_context(|| format!("{} with {values:?}", statement.get_statement()))
        }
        Built::Batch(batch, values) => Ok(session.batch(batch, values).await.map(drop)?),
    }
}

/// Values as they were bound, in their CQL encoding.
#[derive(Debug)]
struct Values(Vec<Value>);

impl SerializeRow for Values {
    fn serialize(
        &self,
        _: &RowSerializationContext<'_>,
        writer: &mut RowWriter<'_>,
    ) -> Result<(), SerializationError> {
        for value in &self.0 {
            let cell = writer.make_cell_writer();
            match value {
                Value::Raw(bytes) => cell.set_value(bytes).map_err(SerializationError::new)?,
                Value::Null => cell.set_null(),
                Value::Unset => cell.set_unset(),
            };
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
