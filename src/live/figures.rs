//! What is shown of a run: the JSON of `/status`, of each server-sent event and of `tributary control RUN status`.

use std::path::PathBuf;

use serde::Serialize;

use crate::moment::Moment;

use super::status::ScanCounters;
use super::under_way::UnderWay;

/// The version of the JSON. It changes when a field is renamed or changes its meaning.
pub(super) const VERSION: u32 = 3;

/// What a run is doing.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, strum::Display, strum::VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub(crate) enum Phase {
    /// Pairs are read and resolved, cluster and broker are looked at.
    #[default]
    Planning,
    /// Clustered rows are looked for by a scan.
    Scanning,
    /// Groups are merged.
    Merging,
    /// Sources are looked at again.
    Sweeping,
    /// A run that is over is compared with the cluster.
    Verifying,
    /// A run that is over is undone.
    Undoing,
    /// It is over.
    Ended,
}

/// Where a run stands; of this session, if it was resumed.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figures {
    /// The version of this format.
    pub(crate) version: u32,
    /// The run's id; none before it has one.
    pub(crate) run: Option<String>,
    /// The subcommand.
    pub(crate) command: String,
    /// The run directory, once there is one.
    pub(crate) run_dir: Option<PathBuf>,
    /// When the command started.
    pub(crate) started_at: Moment,
    /// When these figures were taken.
    pub(crate) at: Moment,
    /// The time between the two.
    pub(crate) elapsed_s: f64,
    /// What it is doing.
    pub(crate) phase: Phase,
    /// Whether no group begins until the operator lets them.
    pub(crate) paused: bool,
    /// It was asked to stop and finishes what is in flight.
    pub(crate) stopping: bool,
    /// When it stops by the clock (--until, --for); null if it does not.
    pub(crate) until: Option<Moment>,
    pub(crate) groups: GroupFigures,
    /// The requests to the cluster.
    pub(crate) requests: RequestFigures,
    /// What is under way: the six figures that every place shows.
    pub(crate) under_way: UnderWay,
    /// What a reader beside the run feels; null without --max-latency.
    pub(crate) reads: Option<ReadFigures>,
    /// Groups per second, over the last 10 s.
    pub(crate) groups_per_s: Option<f64>,
    /// Groups that ended in each of the last seconds, the newest last.
    pub(crate) groups_recent: Vec<u64>,
    /// How long the groups that are left take at this rate.
    pub(crate) seconds_left: Option<f64>,
    /// Groups that may begin per second; null where there is no such limit.
    pub(crate) rate_limit: Option<f64>,
    /// Requests that were tried again.
    pub(crate) retries: u64,
    /// What was made durable in the journal before it was written.
    pub(crate) journal_commits: u64,
    /// The scan; null where there is none.
    pub scan: Option<ScanCounters>,
    pub cassandra: CassandraFigures,
    pub events: EventFigures,
    /// How long things took over the last 5 to 10 s, per kind of request; those of which there was none are left out.
    pub(crate) latency: Vec<LatencyFigures>,
    /// The groups that failed last, the newest first; all of them are in failures.csv.
    pub(crate) failures: Vec<FailedGroup>,
    /// How it ended; null until then.
    pub(crate) ended: Option<Ended>,
}

impl Figures {
    /// Without what may name an account: ids are as personal as the run directory, which only its owner can read.
    pub(super) fn public(&self) -> Self {
        let mut public = self.clone();
        public.cassandra.last_error = None;
        for failed in &mut public.failures {
            (failed.from, failed.to, failed.reason) = (None, None, None);
        }
        public
    }
}

/// The groups of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct GroupFigures {
    /// Those that this session is to work on.
    pub(crate) total: u64,
    /// Those that ended well.
    pub(crate) done: u64,
    /// Those that were given up.
    pub(crate) failed: u64,
}

/// The requests to the cluster, at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct RequestFigures {
    /// Those that are under way.
    pub(crate) in_flight: u64,
    /// How many may be.
    pub(crate) limit: u64,
}

/// What a reader beside the run feels, by small reads that are made to know it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct ReadFigures {
    /// How long a read may take (--max-latency).
    pub(crate) max_us: u64,
    /// What all but one in a hundred of the last two seconds take at most; null before there are some.
    pub(crate) p99_us: Option<u64>,
    /// Whether fewer requests are under way because of that.
    pub(crate) held_back: bool,
}

/// How well a server is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reached {
    /// It has not been connected to yet.
    #[default]
    Unknown,
    /// All is well.
    Ok,
    /// It answers late or not at all, and is tried again or waited for.
    Waiting,
    /// It is not needed.
    Off,
}

/// Cassandra as this run sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct CassandraFigures {
    /// How well it is reached: waiting while requests are tried again, or a node has no connection.
    pub(crate) state: Reached,
    /// The nodes that the cluster has.
    pub(crate) nodes: u64,
    /// Those to which there is a connection.
    pub(crate) nodes_connected: u64,
    /// Requests that were tried again in the last 10 s.
    pub(crate) retries_recent: u64,
    /// Why a request was tried again last; null for those without the token.
    pub(crate) last_error: Option<String>,
}

/// The events of this run, and what takes them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct EventFigures {
    /// What takes them, as a name is written; null with --no-events.
    pub sink: Option<&'static str>,
    /// Where in it they go, such as `topic changes`; null with --no-events.
    pub to: Option<String>,
    /// How well it is reached: waiting while events are out and none has been acknowledged for 5 s.
    pub state: Reached,
    /// Events that were handed over.
    pub produced: u64,
    pub acknowledged: u64,
    /// The time since the last acknowledgement, while events are out.
    pub(crate) silent_s: Option<f64>,
}

/// How long one kind of request took over the last while. Times are in microseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct LatencyFigures {
    /// The kind.
    #[serde(rename = "lane")]
    pub(crate) operation: String,
    pub(crate) count: u64,
    /// Half of all took at most this long.
    pub(crate) p50_us: u64,
    /// 90 % took at most this long.
    pub(crate) p90_us: u64,
    /// 99 % took at most this long.
    pub(crate) p99_us: u64,
    /// The longest.
    pub(crate) max_us: u64,
}

/// A group that was given up. What may name an account is null for those without the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct FailedGroup {
    /// The account that was to be emptied, of its first pair.
    pub(crate) from: Option<String>,
    /// The target of that pair.
    pub(crate) to: Option<String>,
    /// The line of that pair in the input.
    pub(crate) line: u64,
    pub(crate) pairs: usize,
    /// Why it was given up.
    pub(crate) reason: Option<String>,
    pub(crate) at: Moment,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Ended {
    /// In words.
    pub(crate) how: String,
    /// The exit code of the process.
    pub(crate) exit_code: u8,
    /// The command that resumes the run, if anything is left to be done.
    pub(crate) again: Option<String>,
}
