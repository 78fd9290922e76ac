//! What the live comparison needs beside the product: the same work done row by row, a recording of the
//! requests that a run sends, their replay through the driver alone, a reader in the foreground, and what is
//! made of the figures. `scripts/bench` runs all of it; nothing here is ever part of a test.
//!
//! The bench has its own, plain use of the driver and shares no code with the library's: what is compared
//! with must not get faster or slower with what is measured.

mod by_row;
mod connection;
mod earlier;
mod engine;
mod figures;
mod foreground;
mod hlog;
mod measure;
mod merged;
mod planner;
// The rows of the data sets, bound and read with the driver's types as an ordinary program does.
#[allow(dead_code)]
#[path = "../../src/bin/dataset/random.rs"]
mod random;
mod record;
mod replay;
#[allow(dead_code)]
#[path = "../../src/bin/dataset/rows.rs"]
mod rows;
mod table;
mod walks;
mod windows;
mod wire;

use std::io::{self, Write};

use clap::{Parser, Subcommand};
use tokio::runtime::Runtime;

/// Parts of the live comparison; scripts/bench puts them together.
#[derive(Parser)]
#[command(name = "live")]
struct Cli {
    /// Given by cargo to every bench.
    #[arg(long, hide = true, global = true)]
    bench: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Merge the pairs by the plain workflow, one row at a time.
    ByRow(by_row::Options),
    /// Merge the pairs window by window, and do nothing else.
    Windows(windows::Options),
    /// Merge the pairs by the library's engine, with a journal or without.
    Engine(engine::Options),
    /// Write down an earlier run of the pairs in the register, and do nothing else.
    Earlier(earlier::Options),
    /// Inspect, verify and undo such a merge, and do nothing else.
    Walks(walks::Options),
    /// Run a command that finds Cassandra by TRIBUTARY_HOSTS, and write down its requests.
    Record(record::Options),
    /// Send the requests of a recording again.
    Replay(replay::Options),
    /// Read partitions at a steady rate while a command runs.
    Foreground(foreground::Options),
    /// Run a command and tell its time and memory.
    Measure(measure::Options),
    /// Read a CSV of pairs and resolve it into groups.
    Plan(planner::Options),
    /// Say what a session found, in Markdown.
    Table(table::Options),
    /// Draw what a run's latency.hlog says.
    Figures(figures::Options),
}

fn main() -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    match Cli::parse().command {
        // `cargo bench` runs all benches; this one takes minutes and needs servers.
        None => Ok(writeln!(io::stdout(), "the live comparison is run by scripts/bench")?),
        Some(Command::ByRow(options)) => runtime.block_on(by_row::run(&options)),
        Some(Command::Windows(options)) => runtime.block_on(windows::run(&options)),
        Some(Command::Engine(options)) => runtime.block_on(engine::run(&options)),
        Some(Command::Earlier(options)) => runtime.block_on(earlier::run(&options)),
        Some(Command::Walks(options)) => runtime.block_on(walks::run(&options)),
        Some(Command::Record(options)) => runtime.block_on(record::run(options)),
        Some(Command::Replay(options)) => runtime.block_on(replay::run(&options)),
        Some(Command::Foreground(options)) => foreground::run(&runtime, &options),
        Some(Command::Measure(options)) => measure::run(&options),
        Some(Command::Plan(options)) => planner::run(&options),
        Some(Command::Table(options)) => table::run(&options),
        Some(Command::Figures(options)) => figures::run(&options),
    }
}
