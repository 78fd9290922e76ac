//! The engine as the library has it, without events, register and sweep: with the journal on a disk, or in memory. What the
//! two differ by is what the journal costs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use tokio::sync::watch;
use tributary::cluster::{Cluster, ClusterSettings};
use tributary::events::EventSink;
use tributary::journal::memory::MemoryJournal;
use tributary::journal::{Journal, SqliteJournal};
use tributary::latency::Recorder;
use tributary::model::{AccountType, now_us};
use tributary::pace::{InFlight, Pace};
use tributary::pairs;
use tributary::pipeline::{AsOf, Context, GroupCounts, Known, Limits, Operations, run as merge};
use tributary::plan::{self, Plan};
use tributary::spec::RawSpec;

use super::connection::Input;
use super::measure::{Measured, Used};

/// What to merge.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    input: Input,
    /// Where the journal is made; without, it is kept in memory.
    #[arg(long)]
    journal: Option<PathBuf>,
    /// Where the figures go.
    #[arg(long)]
    out: PathBuf,
}

/// The cluster, as the library has it.
pub(crate) async fn connect(input: &Input) -> anyhow::Result<Cluster> {
    let settings = ClusterSettings {
        hosts: input.connection.hosts.clone(),
        keyspace: input.connection.keyspace.clone(),
        ..ClusterSettings::default()
    };
    Ok(Cluster::connect(settings).await?)
}

/// The pairs, as the library plans them.
pub(crate) fn plan(input: &Input) -> anyhow::Result<Plan> {
    Ok(plan::resolve(pairs::read(pairs::open(&input.pairs)?, &pairs::Format::default())?))
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let before = Used::so_far(&options.input.servers)?;
    let began = Instant::now();
    let cluster = connect(&options.input).await?;
    let spec = Arc::new(RawSpec::course_batch()?.check(cluster.schema())?);
    let storage = cluster.store(Arc::clone(&spec)).await?;
    let plan = plan(&options.input)?;
    let journal: Arc<dyn Journal> = match &options.journal {
        Some(path) => {
            SqliteJournal::create(path, AccountType::Text)?;
            Arc::new(SqliteJournal::open(path)?)
        }
        None => Arc::new(MemoryJournal::default()),
    };
    let recorder = Arc::new(Recorder::new(Operations::new(&spec).names().to_vec()));
    let (pace, as_of) = (Pace::new(InFlight::Auto), AsOf::new(now_us(), Duration::from_secs(2)));
    let context = Context::new(spec, storage, EventSink::Discard, journal, recorder, pace, as_of)?;
    let (context, (_stop, stopped)) = (Arc::new(context), watch::channel(false));
    let merging = Instant::now();
    let (known, progress) = (Known::default(), GroupCounts::default());
    let failed = |_: &_, reason: &_| Err(format!("{reason:?}"));
    let (outcome, failure) =
        merge(&context, &plan, &known, Limits::default(), &progress, stopped, failed).await;
    failure.map_err(anyhow::Error::msg).context("a group failed")?;
    ensure!(outcome.done == plan.len() as u64, "only {} groups were merged", outcome.done);
    let work_s = merging.elapsed().as_secs_f64();
    Measured {
        pairs: plan.stats().pairs,
        merging_s: work_s,
        work_s,
        whole_s: began.elapsed().as_secs_f64(),
        ..Measured::since(&before)?
    }
    .write(&options.out)
}
