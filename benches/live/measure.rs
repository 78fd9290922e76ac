//! How long a way took, on how much of the processor and in how much memory.
//!
//! Both are read from /proc: of this process for the ways that run in it, of a child for the others.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How often a child's memory is looked at. The kernel keeps the peak, so only what comes after the last look
/// is missed.
const LOOK: Duration = Duration::from_millis(5);

/// The unit of processor times in /proc, which is the same on every Linux that runs today.
const TICKS_PER_SECOND: f64 = 100.0;

/// What to run.
#[derive(Args)]
pub(crate) struct Options {
    /// Where the figures go.
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    servers: Servers,
    /// The directory of the run that the command makes, whose report says more.
    #[arg(long)]
    run: Option<PathBuf>,
    /// The command.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// The figures of one way in one round.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Measured {
    pub(crate) pairs: u64,
    /// From the first pair's first read to the last pair's last answer.
    pub(crate) merging_s: f64,
    /// With the sweep, where there is one.
    pub(crate) work_s: f64,
    /// From the process's start to its end, or from the first connection.
    pub(crate) whole_s: f64,
    /// Processor time of the client.
    pub(crate) cpu_s: f64,
    /// Processor time of the servers meanwhile, where their processes were named.
    pub(crate) cassandra_cpu_s: f64,
    pub(crate) kafka_cpu_s: f64,
    pub(crate) peak_rss_kb: u64,
    /// Requests that reached the server, where they were counted.
    pub(crate) requests: Option<u64>,
    /// The exit code of a child.
    pub(crate) exit_code: Option<i32>,
}

impl Measured {
    /// What this process and the servers used since an earlier moment.
    pub(crate) fn since(before: &Used) -> anyhow::Result<Self> {
        let peak_rss_kb = peak_rss_kb("self").context("/proc/self/status")?;
        let cpu_s = before.now()?.itself_s - before.itself_s;
        Ok(Self { cpu_s, peak_rss_kb, ..Self::of_servers(before)? })
    }

    fn of_servers(before: &Used) -> anyhow::Result<Self> {
        let now = before.now()?;
        Ok(Self {
            cassandra_cpu_s: now.cassandra_s - before.cassandra_s,
            kafka_cpu_s: now.kafka_s - before.kafka_s,
            ..Self::default()
        })
    }

    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        write_json(path, self)
    }
}

pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value)? + "\n";
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

pub(crate) fn read_json(path: &Path) -> anyhow::Result<Value> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| path.display().to_string())
}

/// The processes of the servers, whose time is part of what a way costs.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Servers {
    /// Processes of Cassandra, separated by commas.
    #[arg(long, value_delimiter = ',')]
    cassandra: Vec<u32>,
    /// Processes of Kafka.
    #[arg(long, value_delimiter = ',')]
    kafka: Vec<u32>,
}

/// Processor time, user and system together.
pub(crate) struct Used {
    itself_s: f64,
    /// Of children that have ended.
    children_s: f64,
    cassandra_s: f64,
    kafka_s: f64,
    servers: Servers,
}

impl Used {
    /// By this process and by the servers, so far.
    pub(crate) fn so_far(servers: &Servers) -> anyhow::Result<Self> {
        let [user, system, of_children, in_children] = ticks("self")?;
        let of = |processes: &[u32]| -> anyhow::Result<f64> {
            let mut sum = 0.0;
            for process in processes {
                let [user, system, ..] = ticks(&process.to_string())?;
                sum += (user + system) / TICKS_PER_SECOND;
            }
            Ok(sum)
        };
        Ok(Self {
            itself_s: (user + system) / TICKS_PER_SECOND,
            children_s: (of_children + in_children) / TICKS_PER_SECOND,
            cassandra_s: of(&servers.cassandra)?,
            kafka_s: of(&servers.kafka)?,
            servers: servers.clone(),
        })
    }

    fn now(&self) -> anyhow::Result<Self> {
        Self::so_far(&self.servers)
    }
}

/// The fields 14 to 17 of a process's stat: its own time in user and in system mode, and that of its ended children.
fn ticks(process: &str) -> anyhow::Result<[f64; 4]> {
    let path = format!("/proc/{process}/stat");
    let stat = fs::read_to_string(&path).with_context(|| path.clone())?;
    // The name of the command may hold anything; the fields after it begin with the third.
    let (_, fields) = stat.rsplit_once(')').context(path)?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).and_then(|n| n.parse().ok()).unwrap_or(0.0);
    Ok([14, 15, 16, 17].map(field))
}

fn peak_rss_kb(process: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let began = Instant::now();
    let before = Used::so_far(&options.servers)?;
    let mut child = start(&options.command)?;
    let (status, peak_rss_kb) = wait(&mut child)?;
    let whole_s = began.elapsed().as_secs_f64();
    let cpu_s = before.now()?.children_s - before.children_s;
    let exit_code = status.code();
    let mut measured =
        Measured { whole_s, cpu_s, peak_rss_kb, exit_code, ..Measured::of_servers(&before)? };
    if let Some(run) = &options.run {
        let report = read_json(&run.join("report.json"))?;
        // A plan has merged none.
        let pairs = report["pairs"]["done"].as_u64().or(report["plan"]["pairs"].as_u64());
        measured.pairs = pairs.unwrap_or(0);
        measured.merging_s = report["throughput"]["merging_s"].as_f64().unwrap_or(0.0);
        measured.work_s = measured.merging_s + sweep_s(&report);
    }
    measured.write(&options.out)?;
    anyhow::ensure!(status.success(), "{status}: {}", options.command.join(" "));
    Ok(())
}

/// How long the sweep of a run took.
pub(crate) fn sweep_s(report: &Value) -> f64 {
    report["swept"]["seconds"].as_f64().unwrap_or(0.0)
}

pub(crate) fn start(command: &[String]) -> anyhow::Result<Child> {
    let (program, arguments) = command.split_first().context("no command")?;
    Command::new(program).args(arguments).spawn().with_context(|| program.clone())
}

/// Waits for the end of a child; the most memory that it was seen to have goes with its status.
fn wait(child: &mut Child) -> anyhow::Result<(ExitStatus, u64)> {
    let process = child.id().to_string();
    let mut peak_kb = 0;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((status, peak_kb));
        }
        peak_kb = peak_rss_kb(&process).unwrap_or(0).max(peak_kb);
        thread::sleep(LOOK);
    }
}
