//! What a plan has found in the cluster: what a merge would do there, and what should be looked at before it does.

mod accounts;
mod answer;
mod deletes;
mod surroundings;

use serde::Serialize;

use crate::estimate::Estimate;
use crate::latency::LatencySummary;
use crate::model::Surroundings;
use crate::plan::Chained;

pub(super) use answer::add;
pub(super) use deletes::deletes;
pub(crate) use surroundings::volatile;

/// What `plan --inspect` has found. An [`Estimate`] whose ends are equal is exact.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Inspection {
    /// The keyspace that was read.
    pub keyspace: String,
    /// How clustered rows were found: `content` or `scan`.
    pub discover: String,
    /// Which groups were read.
    pub(crate) coverage: Coverage,
    /// Rows, per table of the specification.
    pub tables: Vec<InspectedTable>,
    /// What stands around the tables.
    pub surroundings: Surroundings,
    /// Tables that the specification leaves out, though a column of theirs is named like an account's.
    pub(crate) left_out: Vec<LeftOut>,
    /// Keys that two accounts hold, a few of each kind.
    pub conflicts: Vec<ConflictExample>,
    /// Sources without any row.
    pub absent_sources: AbsentAccounts,
    /// Survivors without any row.
    pub absent_survivors: AbsentAccounts,
    /// Accounts that are a `from` on one line and a `to` on another; of all pairs, whatever was sampled.
    pub(crate) chained: Chained,
    /// Rows of sources to which no content leads.
    pub missed: Missed,
    /// The accounts with the most rows, of those that were read.
    pub largest: Vec<LargestAccount>,
    /// Deletes by partition, and what the server makes of them.
    pub deletes: Deletes,
    /// Events that a merge sends, unless told not to; null where the specification announces nothing.
    pub events: Option<Estimate>,
    /// Batches that a merge writes.
    pub batches: Estimate,
    /// What the journal of a merge takes, in bytes, to within a tenth or so.
    pub(crate) journal_bytes: Estimate,
    /// How long a merge takes; null where too little was read to say.
    pub duration: Option<DurationEstimate>,
    /// How fast the groups were read.
    pub(crate) speed: Speed,
    /// How long requests took.
    pub latency: Vec<LatencySummary>,
    /// Groups that could not be read.
    pub unreadable: u64,
    /// Why not, and how many.
    pub(crate) unreadable_reasons: Vec<(String, u64)>,
}

/// A table that is not merged, though it seems to name accounts.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LeftOut {
    pub table: String,
    /// Its columns that are named like those of accounts.
    pub columns: Vec<String>,
}

/// Which groups were read.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Coverage {
    /// Whether all were, so that every figure is exact.
    pub is_exact: bool,
    /// Groups that were read.
    pub groups: u64,
    /// Groups of the plan.
    pub(crate) of_groups: u64,
    /// Pairs of the groups that were read.
    pub pairs: u64,
    /// What draws the same sample again; null where nothing was drawn.
    pub seed: Option<u64>,
    /// How figures were found, in words.
    pub(crate) method: String,
}

/// The rows of one table. `source_rows = copied + merged + unchanged`, of the values.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct InspectedTable {
    pub table: String,
    pub source_rows: Estimate,
    /// Those that are copied.
    pub copied: Estimate,
    /// Those whose key is held already, and that change the row there.
    pub merged: Estimate,
    /// Those whose key is held already, and that change nothing.
    pub unchanged: Estimate,
    /// Those that are deleted.
    pub deleted: Estimate,
    /// Bytes of keys and values that are written for a replica, deletes included.
    pub written_bytes: Estimate,
    /// Tombstones that are left: one for each row that is deleted, or for each partition where all of it goes.
    pub tombstones: Estimate,
    /// Cells that expire where they are, and would not where they are copied.
    pub immortal: Estimate,
    /// What happens where both accounts hold a key, in words.
    pub rule: String,
}

/// A key that a survivor and a source both hold.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ConflictExample {
    pub table: String,
    /// The line of the pair.
    pub line: u64,
    pub survivor: String,
    pub source: String,
    /// The rest of the key, as JSON.
    pub key: String,
    /// Whether the survivor's row changes.
    pub(crate) is_merged: bool,
    /// The columns in which they differ.
    pub columns: Vec<ConflictColumn>,
    /// Whether all columns were compared, and not only those that a rule looks at.
    pub(crate) is_complete: bool,
}

/// A column in which two rows differ. Null is no value.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ConflictColumn {
    /// Its name.
    pub column: String,
    pub survivor: Option<String>,
    /// When it was written, if the server tells.
    pub(crate) survivor_written_at: Option<String>,
    pub source: Option<String>,
    /// When it was written, if the server tells.
    pub(crate) source_written_at: Option<String>,
    /// What the survivor has afterwards.
    pub result: Option<String>,
}

/// Accounts without any row.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AbsentAccounts {
    pub accounts: Estimate,
    pub of: u64,
    /// Those of the first lines.
    pub first: Vec<NamedAccount>,
}

/// An account and a line that names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct NamedAccount {
    pub account: String,
    pub line: u64,
}

/// Rows of sources to which no content leads, which `--discover content` leaves where they are.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Missed {
    /// Tables to which rows of others lead.
    pub(crate) tables: Vec<String>,
    /// Those to which nothing leads: they were scanned in any case, and nothing of them is missed.
    pub(crate) scanned: Vec<String>,
    /// How many; null where they were not looked for.
    pub clustered_rows: Option<Estimate>,
    /// Rows that the scan read for it.
    pub(crate) scanned_rows: Option<u64>,
    /// Columns that mention accounts, as `table.column`: a merge scans for rows that name a source there.
    pub(crate) mentions: Vec<String>,
}

/// An account with many rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct LargestAccount {
    pub account: String,
    /// The first line that names it so.
    pub line: u64,
    /// Whether it survives.
    pub(crate) is_survivor: bool,
    /// Its rows, as far as a merge reads them.
    pub rows: u64,
}

/// Deletes by partition of tables that sources share, and the server's thresholds.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Deletes {
    /// From so many tombstones on, the server warns of a read.
    pub(crate) warn: u64,
    /// From so many on, a read fails.
    pub(crate) fail: u64,
    /// Whether the server has reported them; else they are Cassandra's defaults.
    #[serde(rename = "is_told")]
    pub is_reported: bool,
    /// Partitions with so many deletes or more, counted, or taken from the sample.
    pub(crate) over_warn: u64,
    /// Partitions in which a read fails, in the same way.
    pub(crate) over_fail: u64,
    /// The partitions with the most.
    pub hottest: Vec<HotPartition>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct HotPartition {
    pub table: String,
    /// The partition key.
    pub partition: String,
    /// Deletes: counted, or taken from the sample.
    pub deletes: u64,
    /// What a traced read has met there before anything was written; null where none was made or could be.
    pub there: Option<Met>,
}

/// What a traced read of a partition has met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Met {
    pub rows: u64,
    /// Tombstones; null if the read failed, as it does when there are too many.
    pub(crate) tombstones: Option<u64>,
    /// Whether all of the partition was read.
    pub is_whole: bool,
}

/// How long a merge takes.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct DurationEstimate {
    /// From so many seconds.
    pub(crate) low_s: f64,
    pub(crate) high_s: f64,
}

/// How fast groups were read.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Speed {
    /// The time in which they were read.
    pub seconds: f64,
    /// Groups per second.
    pub(crate) groups_per_s: f64,
    /// Requests per second.
    pub(crate) requests_per_s: f64,
    pub requests: u64,
    /// Requests that were tried again.
    pub retries: u64,
}

impl HotPartition {
    /// Tombstones that a read of all of it meets afterwards, as far as is known.
    pub(crate) fn tombstones(&self) -> u64 {
        let there = self.there.and_then(|there| there.tombstones);
        self.deletes + there.unwrap_or_default()
    }
}
