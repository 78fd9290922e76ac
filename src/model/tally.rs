//! What was done: events, counts and outcomes.

use std::time::Instant;

use serde::{Deserialize, Serialize, Serializer};

/// One message for whoever follows changes, ready to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The message key: the id of the object that changed.
    pub key: String,
    /// The message value: JSON.
    pub payload: Vec<u8>,
}

/// Where events go, for those who are told. It is written as one field, the kind with the name: `"topic": "changes"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// What takes them, as a name is written: `Kafka`.
    pub sink: &'static str,
    /// What it has several of: a topic.
    pub kind: &'static str,
    /// Which of those.
    pub name: String,
}

impl Serialize for Destination {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(self.kind, &self.name)])
    }
}

/// What was done to one table, in rows; journals hold the counts in this order. `source_rows = copied + merged + unchanged`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TableTally {
    /// Rows that belonged to sources.
    pub source_rows: u64,
    /// Rows of survivors that were read to compare with. Some are counted twice in a group of several
    /// slices that was stopped between two of them.
    pub target_rows: u64,
    /// Source rows that were copied to the survivor.
    pub copied: u64,
    /// Source rows whose key the survivor held already and whose policies changed the survivor's row.
    pub merged: u64,
    /// Source rows that changed nothing: the survivor held their key already, or they would have named it twice.
    pub unchanged: u64,
    /// Source rows that were deleted.
    pub deleted: u64,
}

impl TableTally {
    /// Adds another tally of the same table.
    pub(crate) fn add(&mut self, other: &TableTally) {
        self.source_rows += other.source_rows;
        self.target_rows += other.target_rows;
        self.copied += other.copied;
        self.merged += other.merged;
        self.unchanged += other.unchanged;
        self.deleted += other.deleted;
    }
}

/// What was done for one group or, added up, for many; journals hold the counts in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// One entry per table of the specification, in its order.
    pub tables: Vec<TableTally>,
    /// Sources of which no row was found: often a mistyped id.
    pub absent_sources: u64,
    /// Survivors of which no row was found before the merge: often a mistyped id.
    pub absent_survivors: u64,
    /// Events that were acknowledged.
    pub events: u64,
    /// Batches written (each one round trip).
    pub batches: u64,
    /// Slices merged; a group that fits in memory is one.
    pub slices: u64,
}

/// What an undo did in one table, in rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UndoTally {
    /// Rows that sources have again.
    pub given_back: u64,
    /// Copies that survivors have no longer.
    pub removed: u64,
    /// Rows of survivors' own that hold their old values again.
    pub set_back: u64,
    /// Keys that somebody changed since, and that were left alone.
    pub left_alone: u64,
}

/// The pairs of groups that had their turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UndonePairs {
    /// Of groups that are undone.
    pub undone: u64,
    /// Of groups that are disputed.
    pub disputed: u64,
    /// Of groups that were ended, with what was changed since left where it is.
    pub kept_changed: u64,
    /// Of groups that failed.
    pub failed: u64,
}

/// What a walk counted, and how long it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Timed<T> {
    /// The counts.
    #[serde(flatten)]
    pub(crate) tally: T,
    /// The time that it took in this session.
    pub(crate) seconds: f64,
}

/// What a sweep did: the look at every source again, at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SweepTally {
    /// Sources that were looked at.
    pub sources: u64,
    /// Rows that were scanned for them; none where partitions were asked one by one.
    pub scanned: Option<u64>,
    /// Rows that had survived on them and were moved to the survivor's row.
    pub rows: u64,
    /// Events that were sent for them.
    pub events: u64,
    /// Rows that were left where they are, and told.
    pub left: u64,
    /// Groups whose sweep failed.
    pub failed: u64,
    /// Whether it was stopped before its end.
    pub interrupted: bool,
}

/// What was done to rows that mention sources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MentionTally {
    /// Rows that were scanned for them.
    pub scanned: u64,
    /// Rows that name the survivor now.
    pub rows: u64,
    /// Rows that were left as they are, and told.
    pub left: u64,
    /// Groups of which that failed.
    pub failed: u64,
    /// Whether it was stopped before its end.
    pub interrupted: bool,
}

/// What a scan did: the look for clustered rows before the first group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ScanTally {
    /// Token ranges in all.
    pub ranges: u64,
    /// Those that were scanned by earlier sessions.
    pub ranges_before: u64,
    /// Those that were scanned by this one.
    pub ranges_now: u64,
    /// Rows that were looked at, in all ranges that are over.
    pub rows: u64,
    /// Rows of sources among them.
    pub clustered_rows: u64,
    /// Whether it was stopped before its end.
    pub interrupted: bool,
}

impl UndoTally {
    /// Adds another tally of the same table.
    pub(crate) fn add(&mut self, other: &Self) {
        self.given_back += other.given_back;
        self.removed += other.removed;
        self.set_back += other.set_back;
        self.left_alone += other.left_alone;
    }
}

impl<T> Timed<T> {
    /// What was counted since then.
    pub(crate) fn since(began: Instant, tally: T) -> Self {
        Self { tally, seconds: began.elapsed().as_secs_f64() }
    }
}

impl MentionTally {
    /// Whether something was left to be looked at.
    pub(crate) fn is_partial(&self) -> bool {
        self.left > 0 || self.failed > 0
    }
}

impl SweepTally {
    /// Whether something was left to be looked at.
    pub(crate) fn is_partial(&self) -> bool {
        self.left > 0 || self.failed > 0
    }
}

impl ScanTally {
    /// Whether ranges are left to be scanned.
    pub(crate) fn is_partial(&self) -> bool {
        self.ranges_before + self.ranges_now < self.ranges
    }
}

impl Tally {
    /// An empty tally for a specification with `tables` tables.
    pub fn new(tables: usize) -> Self {
        Self { tables: vec![TableTally::default(); tables], ..Self::default() }
    }

    /// Adds another tally of the same specification.
    pub fn add(&mut self, other: &Tally) {
        self.tables.resize(self.tables.len().max(other.tables.len()), TableTally::default());
        for (sum, part) in self.tables.iter_mut().zip(&other.tables) {
            sum.add(part);
        }
        self.absent_sources += other.absent_sources;
        self.absent_survivors += other.absent_survivors;
        self.events += other.events;
        self.batches += other.batches;
        self.slices += other.slices;
    }
}
