//! The planner alone: a CSV to groups, without the run directory that `tributary plan` makes.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use tributary::{pairs, plan};

use super::measure::{Measured, Servers, Used};

/// What to plan.
#[derive(Args)]
pub(crate) struct Options {
    /// The pairs.
    #[arg(long)]
    pairs: PathBuf,
    /// Where the figures go.
    #[arg(long)]
    out: PathBuf,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let before = Used::so_far(&Servers::default())?;
    let began = Instant::now();
    let input = pairs::open(&options.pairs).context("the pairs cannot be opened")?;
    let plan = plan::resolve(pairs::read(input, &pairs::Format::default())?);
    let took = began.elapsed().as_secs_f64();
    Measured {
        pairs: plan.stats().pairs,
        merging_s: took,
        work_s: took,
        whole_s: took,
        ..Measured::since(&before)?
    }
    .write(&options.out)
}
