//! The summary of a command: what a person or a program wants to know when it is over.

mod aftercare;
mod answer;
mod applied;
mod equations;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::Value;

pub(crate) use aftercare::Aftercare;

use crate::advice::Advice;
use crate::latency::LatencySummary;
use crate::model::{
    Counts, Destination, MentionTally, Pair, Part, ScanTally, Shown, SweepTally, TableTally, Tally,
    Timed,
};
use crate::moment::Moment;
use crate::plan::PlanStats;
use crate::run::{InputRecord, RunId, RunRecord};

use super::discovery::Discovery;
use super::equation::Equation;
use super::inspection::{Deletes, Inspection};
use super::listing::Listing;
use super::timeline::Timeline;

/// The version of the summary's JSON. It changes when a field is renamed or changes its meaning.
const VERSION: u32 = 3;

/// The exit code of a run whose counters do not add up.
const FAILED: u8 = 1;

/// What happened, in numbers that add up.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Summary {
    /// The version of this format.
    pub version: u32,
    /// The subcommand.
    pub command: String,
    /// The run's id.
    pub run: RunId,
    /// The run directory.
    pub run_dir: PathBuf,
    pub(crate) started_at: Moment,
    /// When it was over.
    pub(crate) finished_at: Moment,
    /// The time between the two.
    pub(crate) elapsed_s: f64,
    /// The exit code of the process.
    pub exit_code: u8,
    /// The pairs.
    pub input: InputRecord,
    /// The part of the plan that the run is, as in 2/3; none if it is all of it.
    pub part: Option<Part>,
    /// What the planner found.
    pub plan: PlanStats,
    /// A few rejected lines for each reason; rejects.csv has all of them.
    pub(crate) reject_examples: Listing,
    /// How clustered rows can be found; a plan says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) discovery: Option<Discovery>,
    /// What a merge would do, if the cluster was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) inspection: Option<Inspection>,
    /// What was applied; a plan has none of it.
    #[serde(flatten)]
    pub(crate) applied: Option<Applied>,
    /// The settings in effect, redacted.
    pub settings: Value,
}

/// What `apply` did, and `resume` after it: groups, pairs and rows are those of the run as a whole; events,
/// retries, speed and latencies those of this session.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Applied {
    /// Why the run ended before all groups had been started (Ctrl-C, --max-errors), if it did.
    pub stopped: Option<String>,
    /// The command that does what is left to be done, if anything is.
    pub again: Option<Advice>,
    /// What was there before, if this session went on with a run.
    pub(crate) resumed: Option<Resumed>,
    /// Groups by what became of them.
    pub groups: Fates,
    /// Pairs by what became of their group.
    pub pairs: Fates,
    /// Groups that were done in this session.
    pub(crate) groups_done_now: u64,
    /// Rows per table, of the groups that are done.
    pub tables: Vec<TableFacts>,
    /// What was done in the groups that are done.
    #[serde(flatten, serialize_with = "counts")]
    pub(crate) tally: Tally,
    /// Deletes by partition, of this session.
    pub deletes: Deletes,
    pub events: EventFacts,
    /// What the scan did, of the run as a whole, and the time it took this session; `None` without --discover scan, or if
    /// nothing was left to be merged.
    pub scanned: Option<Timed<ScanTally>>,
    /// What the sweep did; `None` if there was none (--no-sweep, or the run was stopped before it).
    pub swept: Option<Timed<SweepTally>>,
    /// What was done to rows that mention sources; `None` if the specification names none, or the run was stopped before.
    pub mentions: Option<Timed<MentionTally>>,
    /// A few of the rows that were left; sweep.csv has all of them.
    pub(crate) sweep_examples: Listing,
    /// What this server cannot tell, if anything.
    pub(crate) unsupported: Option<String>,
    /// Requests that were tried again.
    pub retries: u64,
    /// How fast it went.
    pub throughput: Throughput,
    /// How long things took, in the order of the operations.
    pub latency: Vec<LatencySummary>,
    /// How it went over time, in this session.
    pub(crate) timeline: Timeline,
    /// The partitions that most groups of the run led to, of tables in which the account is a clustering column.
    pub hottest: Vec<BusyPartition>,
    /// Why groups failed, the most frequent reason first.
    pub failures: Vec<FailureReason>,
    /// The runs that groups wait for.
    pub busy: Vec<BusyRun>,
    /// Tables that were dropped, or made anew, under this session.
    pub gone: Vec<String>,
    /// Tables that were truncated since the run began.
    pub truncated: Vec<TruncatedTable>,
    /// What is to be done on the servers; null where nothing was deleted.
    pub aftercare: Option<Aftercare>,
}

/// A table that somebody has emptied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct TruncatedTable {
    pub(crate) table: String,
    pub(crate) at: Moment,
}

/// A partition that many groups led to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct BusyPartition {
    pub table: String,
    /// The partition's key.
    pub partition: String,
    /// At least so many groups.
    pub groups: u64,
    /// At most so many: the same, unless there were too many partitions to count them all.
    pub(crate) groups_at_most: u64,
}

/// What an earlier session, or several, had done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Resumed {
    /// When the run began.
    pub(crate) run_started_at: Moment,
    /// Groups that were done before this session.
    pub(crate) groups_done_before: u64,
    pub(crate) pairs_done_before: u64,
}

/// `planned` is the sum of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Fates {
    /// As many as the plan has.
    pub planned: u64,
    /// Everything was written and acknowledged.
    pub done: u64,
    /// Given up.
    pub failed: u64,
    /// Not begun yet, because the run was stopped.
    pub(crate) not_started: u64,
    /// Begun and not ended, because the run was stopped: their rows may stand on both accounts.
    pub(crate) half_merged: u64,
    /// Left out by --limit.
    pub(crate) limited: u64,
    #[serde(rename = "taken_back")]
    pub undone: u64,
    /// Left as they are until another run has ended with their accounts.
    pub(crate) busy: u64,
    /// Not begun any more, because other runs have moved their accounts since the plan.
    pub(crate) rejected: u64,
}

/// A run that groups wait for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct BusyRun {
    /// Its id.
    pub run: String,
    pub groups: u64,
    /// The machine on which it was begun, if the register knows that.
    pub(crate) host: Option<String>,
    /// Its directory there.
    pub run_dir: Option<PathBuf>,
    /// What ends it, if it is not over.
    #[serde(skip)]
    pub(crate) end: Option<Advice>,
}

/// The rows of one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct TableFacts {
    /// The table's name.
    pub table: String,
    #[serde(flatten)]
    pub rows: TableTally,
}

/// The events of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct EventFacts {
    /// Where they went; none with --no-events.
    #[serde(flatten)]
    pub destination: Option<Destination>,
    /// Events that were handed over.
    pub produced: u64,
    pub acknowledged: u64,
    /// Events that nobody waited for to the end, because the session was stopped: their groups are not done, and
    /// announce them again.
    pub left: u64,
}

/// How fast it went, over the time in which groups were merged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Throughput {
    /// The time in which groups were merged.
    pub merging_s: f64,
    /// Pairs of groups that were done in it, per second.
    pub(crate) pairs_per_s: f64,
    /// Rows of their sources, per second.
    pub(crate) rows_per_s: f64,
}

/// A reason for which groups failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct FailureReason {
    pub reason: String,
    /// How many groups failed for it.
    pub groups: u64,
    /// A pair of each of a few of them.
    pub(crate) examples: Vec<ExamplePair>,
}

/// A pair of a group that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ExamplePair {
    /// The account that was to be emptied.
    pub from: String,
    /// Its target.
    pub to: String,
    /// The line of the input.
    pub line: u64,
}

impl From<&Pair> for ExamplePair {
    fn from(pair: &Pair) -> Self {
        Self { from: pair.from.to_string(), to: pair.into.to_string(), line: pair.line }
    }
}

impl Summary {
    /// Sums up a command that is over.
    pub(crate) fn new(
        run: &RunRecord,
        run_dir: &Path,
        finished_at: Moment,
        plan: PlanStats,
        applied: Option<Applied>,
        exit_code: u8,
    ) -> Self {
        let mut summary = Self {
            version: VERSION,
            command: run.command.clone(),
            run: run.id.clone(),
            run_dir: run_dir.to_path_buf(),
            started_at: run.started_at,
            finished_at,
            elapsed_s: finished_at.since(run.started_at).as_secs_f64(),
            exit_code,
            input: run.input.clone(),
            part: Part::of_run(run.id.as_str()),
            plan,
            reject_examples: Listing::default(),
            discovery: None,
            inspection: None,
            applied,
            settings: run.settings.clone(),
        };
        // Counters that contradict each other are a failure, whatever else went well.
        if !summary.equations().iter().all(Equation::holds) {
            summary.exit_code = FAILED;
        }
        summary
    }
}

/// What is counted once for all tables, as fields.
fn counts<S: Serializer>(tally: &Tally, serializer: S) -> Result<S::Ok, S::Error> {
    let fields = tally.counted().filter(|(row, _)| row.shown != Shown::Nowhere);
    serializer.collect_map(fields.map(|(row, n)| (row.name, n)))
}

impl Applied {
    /// Takes over the tally of all groups that are done, with the names of the tables, but for those without rows of
    /// accounts.
    pub(crate) fn set_tally<'a>(
        &mut self,
        tally: &Tally,
        tables: impl IntoIterator<Item = Option<&'a str>>,
    ) {
        let tables = tables.into_iter().zip(&tally.tables);
        let facts = |(table, rows): (Option<&str>, &TableTally)| {
            Some(TableFacts { table: table?.to_owned(), rows: *rows })
        };
        self.tables = tables.filter_map(facts).collect();
        self.tally = tally.clone();
    }

    /// Whether rows were left, on sources or naming them.
    pub(crate) fn has_left(&self) -> bool {
        let mentions = self.mentions.is_some_and(|mentions| mentions.tally.is_partial());
        mentions || self.swept.is_some_and(|swept| swept.tally.is_partial())
    }

    /// Sets the throughput: so many pairs of groups that were done, and rows of their sources.
    pub(crate) fn set_throughput(&mut self, merging: Duration, pairs: u64, rows: u64) {
        let seconds = merging.as_secs_f64();
        let per_second = |n: u64| if seconds > 0.0 { n as f64 / seconds } else { 0.0 };
        self.throughput = Throughput {
            merging_s: seconds,
            pairs_per_s: per_second(pairs),
            rows_per_s: per_second(rows),
        };
    }
}
