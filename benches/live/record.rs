//! Writes down every request that a command sends to Cassandra, as it stands on the wire.
//!
//! The witness stands between the two, so what is recorded is what the finished binary sends with everything on,
//! sweep included, and it follows whatever becomes of the library's own layers. The command finds it by
//! TRIBUTARY_HOSTS. It knows one node; where there are more, the driver would pass it by.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use super::measure::{read_json, sweep_s, write_json};
use super::wire::{self, HEADER, Recording, Request};

/// What to run, and where to write.
#[derive(Args)]
pub(crate) struct Options {
    /// The server, host:port.
    #[arg(long, default_value = "127.0.0.1:9042")]
    server: String,
    /// Where the requests go.
    #[arg(long)]
    out: PathBuf,
    /// Where their numbers go.
    #[arg(long)]
    summary: PathBuf,
    /// The directory of the run that the command makes.
    #[arg(long)]
    run: PathBuf,
    /// The command.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

struct Witness {
    server: String,
    began: Instant,
    recording: Mutex<BufWriter<File>>,
    sent_bytes: AtomicU64,
    received_bytes: AtomicU64,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let file = File::create(&options.out)
        .with_context(|| format!("cannot write {}", options.out.display()))?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let witness = Arc::new(Witness {
        server: options.server,
        began: Instant::now(),
        recording: Mutex::new(BufWriter::with_capacity(1 << 20, file)),
        sent_bytes: AtomicU64::new(0),
        received_bytes: AtomicU64::new(0),
    });
    let accepting = tokio::spawn({
        let witness = Arc::clone(&witness);
        async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connection(client, Arc::clone(&witness)));
            }
        }
    });
    let command = options.command;
    let ended = tokio::task::spawn_blocking(move || {
        let (program, arguments) = command.split_first().context("no command")?;
        let mut child = std::process::Command::new(program);
        let child = child.args(arguments).env("TRIBUTARY_HOSTS", address);
        child.status().with_context(|| program.clone())
    });
    let status = ended.await??;
    accepting.abort();
    witness.recording().flush()?;
    anyhow::ensure!(status.success(), "the recorded command failed: {status}");

    let recording = Recording::read(&options.out)?;
    let report = read_json(&options.run.join("report.json"))?;
    let mut summary = summary(&recording, &report);
    summary["sent_bytes"] = witness.sent_bytes.load(Ordering::Relaxed).into();
    summary["received_bytes"] = witness.received_bytes.load(Ordering::Relaxed).into();
    write_json(&options.summary, &summary)
}

/// How many requests there were, of which kinds, and from which one on they are the sweep's.
fn summary(recording: &Recording, report: &Value) -> Value {
    let mut alone = vec![0_u64; recording.texts.len()];
    let mut in_batches = alone.clone();
    let mut batches = 0_u64;
    for recorded in &recording.requests {
        match &recorded.request {
            Request::Execute { statement, .. } => alone[*statement] += 1,
            Request::Batch(statements) => {
                batches += 1;
                statements.iter().for_each(|(statement, _)| in_batches[*statement] += 1);
            }
        }
    }
    let statements = recording.texts.iter().zip(alone.iter().zip(&in_batches));
    let statements = statements
        .filter(|(_, (alone, in_batches))| **alone + **in_batches > 0)
        .map(|(text, (alone, in_batches))| {
            json!({ "statement": text, "alone": alone, "in_batches": in_batches })
        });
    // The sweep is the last thing that a run does with the cluster.
    let last_us = recording.requests.last().map_or(0, |recorded| recorded.at_us);
    let sweep_from_us = last_us.saturating_sub((sweep_s(report) * 1e6) as u64);
    let merging = recording.requests.partition_point(|recorded| recorded.at_us < sweep_from_us);
    json!({
        "pairs": report["pairs"]["done"],
        "requests": recording.requests.len(),
        "requests_before_sweep": merging,
        "batches": batches,
        "statements": statements.collect::<Vec<_>>(),
    })
}

impl Witness {
    /// A poisoned lock only means that a connection ended between two entries.
    fn recording(&self) -> MutexGuard<'_, BufWriter<File>> {
        self.recording.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, opcode: u8, body: &[&[u8]]) {
        let mut recording = self.recording();
        // Taken under the lock, so that the file is in the order of its times.
        let at_us = self.began.elapsed().as_micros() as u64;
        // A full disk is found by the reading of the file.
        let _ = wire::write_entry(&mut *recording, at_us, opcode, body);
    }
}

/// The texts that a connection waits to see prepared, by stream.
type Preparing = Mutex<HashMap<[u8; 2], Vec<u8>>>;

async fn connection(client: TcpStream, witness: Arc<Witness>) {
    let Ok(server) = TcpStream::connect(&witness.server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let preparing = Preparing::default();
    let requests = pass_on(from_client, to_server, |header, body| {
        let (stream, opcode) = ([header[2], header[3]], header[4]);
        match opcode {
            wire::PREPARE => {
                let text = wire::prepared_text(body).to_vec();
                preparing.lock().unwrap_or_else(PoisonError::into_inner).insert(stream, text);
            }
            wire::EXECUTE | wire::BATCH => witness.note(opcode, &[body]),
            _ => {}
        }
        witness.sent_bytes.fetch_add((HEADER + body.len()) as u64, Ordering::Relaxed);
    });
    let answers = pass_on(from_server, to_client, |header, body| {
        let (stream, opcode) = ([header[2], header[3]], header[4]);
        let mut preparing = preparing.lock().unwrap_or_else(PoisonError::into_inner);
        let text = preparing.remove(&stream);
        drop(preparing);
        if let (wire::RESULT, Some(text)) = (opcode, text)
            && let Some(id) = wire::prepared_id(body)
        {
            witness.note(wire::PREPARE, &[&(id.len() as u16).to_be_bytes(), id, &text]);
        }
        if opcode == wire::SUPPORTED {
            forbid_compression(body);
        }
        witness.received_bytes.fetch_add((HEADER + body.len()) as u64, Ordering::Relaxed);
    });
    // Whichever ends first ends the connection, both ways.
    tokio::select! {
        _ = requests => {}
        _ = answers => {}
    }
}

/// Passes frames on, each shown to `see` first; what has come together is sent together.
async fn pass_on(
    from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    see: impl Fn(&[u8; HEADER], &mut [u8]),
) -> std::io::Result<()> {
    let mut from = BufReader::with_capacity(1 << 16, from);
    let mut waiting = Vec::new();
    loop {
        let mut header = [0; HEADER];
        from.read_exact(&mut header).await?;
        let start = waiting.len() + HEADER;
        waiting.extend_from_slice(&header);
        waiting.resize(start + wire::body_length(&header), 0);
        from.read_exact(&mut waiting[start..]).await?;
        see(&header, &mut waiting[start..]);
        if from.buffer().len() < HEADER {
            to.write_all(&waiting).await?;
            waiting.clear();
        }
    }
}

/// Takes the offer of compression out of a SUPPORTED, so that every frame can be read.
fn forbid_compression(body: &mut [u8]) {
    for name in [&b"lz4"[..], b"snappy", b"zstd"] {
        while let Some(at) = body.windows(name.len()).position(|window| window == name) {
            body[at..at + name.len()].fill(b'-');
        }
    }
}
