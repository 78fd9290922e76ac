//! `tributary-dataset`: data sets to try tributary on, at any size, and an independent look at the
//! result.
//!
//! This is a tool beside the library, not a part of it: it shares no code with what it checks. The
//! library confines the database driver to `cluster` and the Kafka client to `events`; this binary
//! has its own, plain use of both, so that a mistake there cannot hide here.
//!
//! `generate` writes pairs and rows as files, `load` puts the rows into Cassandra, `dump` reads the
//! tables back in a fixed order, `events` reads a Kafka topic from its beginning, and `check` compares
//! all of it with what a plain model of the merge says.

mod awkward;
mod check;
mod dump;
mod events;
mod generate;
mod load;
// The model that the tests compare with, too: it shares no code with the library.
#[path = "../../../tests/live/model.rs"]
mod model;
mod random;
mod rows;
mod sink;

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;

/// Data sets for tributary: made from a seed, loaded, and read back.
#[derive(Parser)]
#[command(name = "tributary-dataset", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write pairs.csv, user_courses.jsonl and content_consumption.jsonl.
    Generate(generate::Options),
    /// Put the rows of a data set into Cassandra.
    Load(load::Options),
    /// Write both tables as sorted JSON lines.
    Dump(dump::Options),
    /// Write a topic as JSON lines, from its beginning to its current end.
    Events(events::Options),
    /// Compare what a run left with what it must leave, by a plain model of the merge.
    Check(check::Options),
}

/// Where the tables are.
#[derive(Args)]
struct Connection {
    /// Contact points, host:port, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "127.0.0.1:9042")]
    hosts: Vec<String>,
    /// The keyspace.
    #[arg(long)]
    keyspace: String,
    /// The user; the password comes from the environment (TRIBUTARY_PASSWORD).
    #[arg(long)]
    username: Option<String>,
}

impl Connection {
    async fn open(&self) -> anyhow::Result<Session> {
        let mut builder = SessionBuilder::new().known_nodes(&self.hosts);
        if let Some(user) = &self.username {
            let password = std::env::var("TRIBUTARY_PASSWORD").context("TRIBUTARY_PASSWORD")?;
            builder = builder.user(user, password);
        }
        let hosts = self.hosts.join(",");
        builder.build().await.with_context(|| format!("cannot connect to {hosts}"))
    }
}

/// A file of a data set.
fn file(dir: &std::path::Path, name: &str) -> PathBuf {
    dir.join(name)
}

/// Tells the operator what was done.
fn say(line: &str) -> anyhow::Result<()> {
    writeln!(io::stderr(), "{line}").context("standard error")
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    match Cli::parse().command {
        Command::Generate(options) => generate::run(&options),
        Command::Load(options) => runtime.block_on(load::run(&options)),
        Command::Dump(options) => runtime.block_on(dump::run(&options)),
        Command::Events(options) => events::run(&options),
        Command::Check(options) => check::run(&options),
    }
}
