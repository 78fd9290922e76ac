//! A reader in the foreground: what the application's users feel while a merge runs.
//!
//! It reads single partitions at a steady rate, whatever the answers do (an open loop), and counts each
//! latency from the moment at which the read was meant to start. A reader that waits for one answer before it
//! asks again would leave out exactly the reads that a stall delays (coordinated omission).

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use hdrhistogram::Histogram;
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use serde_json::json;
use tokio::runtime::Runtime;

use super::connection::{Connection, pairs, prepare};
use super::measure::{start, write_json};
use super::rows::{ContentConsumption, TableRow};

/// How to read, and what else runs meanwhile.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    connection: Connection,
    /// The pairs whose accounts are read.
    #[arg(long)]
    pairs: PathBuf,
    /// Reads per second.
    #[arg(long, default_value_t = 200.0)]
    rate: f64,
    /// How long to read, if no command is given.
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    /// Where the figures go.
    #[arg(long)]
    out: PathBuf,
    /// Read while this command runs.
    #[arg(last = true)]
    command: Vec<String>,
}

/// Latencies in microseconds, and reads that failed.
struct Seen {
    latencies: Histogram<u64>,
    failed: u64,
}

pub(crate) fn run(runtime: &Runtime, options: &Options) -> anyhow::Result<()> {
    let pairs = pairs(&options.pairs)?;
    anyhow::ensure!(!pairs.is_empty() && options.rate > 0.0, "nothing to read");
    let (session, select) = runtime.block_on(ready(&options.connection))?;
    let seen = Arc::new(Mutex::new(Seen { latencies: Histogram::new(3)?, failed: 0 }));

    let mut child = match options.command.is_empty() {
        true => None,
        false => Some(start(&options.command)?),
    };
    let began = Instant::now();
    let end = Duration::from_secs_f64(options.seconds);
    let mut reads = 0_u64;
    let status = loop {
        match &mut child {
            Some(child) => {
                if let Some(status) = child.try_wait()? {
                    break Some(status);
                }
            }
            None if began.elapsed() >= end => break None,
            None => {}
        }
        let intended = began + Duration::from_secs_f64(reads as f64 / options.rate);
        // A thread's sleep is exact to some 50 µs; the runtime's timer to a millisecond.
        thread::sleep(intended.saturating_duration_since(Instant::now()));
        // In no order of the merge, and each account in its turn.
        let index = (reads.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16) as usize % pairs.len();
        let account = pairs[index].1.clone();
        let (session, select, seen) =
            (Arc::clone(&session), Arc::clone(&select), Arc::clone(&seen));
        runtime.spawn(async move {
            let answer = session.execute_unpaged(&select, (account,)).await;
            let us = intended.elapsed().as_micros() as u64;
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.failed += u64::from(answer.is_err());
            // A histogram that grows refuses nothing.
            let _ = seen.latencies.record(us);
        });
        reads += 1;
    };
    let took = began.elapsed().as_secs_f64();
    // What is under way is waited for: the slowest reads are the ones to know.
    thread::sleep(Duration::from_secs(1));
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let us = |quantile| seen.latencies.value_at_quantile(quantile);
    write_json(
        &options.out,
        &json!({
            "reads": reads, "answered": seen.latencies.len(), "failed": seen.failed,
            "seconds": took, "rate": options.rate, "p50_us": us(0.5), "p90_us": us(0.9),
            "p99_us": us(0.99), "p999_us": us(0.999), "max_us": seen.latencies.max(),
        }),
    )?;
    let ended = status.is_none_or(|status| status.success());
    anyhow::ensure!(ended, "the command failed: {status:?}");
    Ok(())
}

/// The session, and the read of a partition.
async fn ready(connection: &Connection) -> anyhow::Result<(Arc<Session>, Arc<PreparedStatement>)> {
    let session = connection.open().await?;
    let select = format!(
        "SELECT {} FROM {}.{} WHERE {} = ?",
        ContentConsumption::COLUMNS.split_whitespace().collect::<Vec<_>>().join(" "),
        connection.keyspace,
        ContentConsumption::TABLE,
        ContentConsumption::PARTITION
    );
    let select = prepare(&session, &select).await?;
    Ok((session, Arc::new(select)))
}
