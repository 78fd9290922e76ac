//! What was done: events, counts and outcomes.

use std::time::Instant;

use serde::{Serialize, Serializer};

use super::count::{Amount, Count, Counts, Shown, counts};

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

counts! {
    /// What was done to one table, in rows. `source_rows = copied + merged + unchanged`.
    #[derive(Copy)]
    pub struct TableTally {}
    /// Rows that belonged to sources.
    source_rows: u64 = Shown::Column("sources");
    /// Rows of survivors that were read to compare with. Some are counted twice in a group of several slices that was
    /// stopped between two of them.
    target_rows: u64 = Shown::Apart;
    /// Source rows that were copied to the survivor.
    copied: u64 = Shown::Column("copied");
    /// Source rows whose key the survivor held already and whose policies changed the survivor's row.
    merged: u64 = Shown::Column("merged");
    /// Source rows that changed nothing: the survivor held their key already, or they would have named it twice.
    unchanged: u64 = Shown::Column("unchanged");
    /// Source rows that were deleted.
    deleted: u64 = Shown::Column("deleted");
    /// Sums that one of their sources made more, or less, than their column's type can hold: they were cut to the highest, or
    /// the lowest, that it can, and what further sources have was added to that.
    capped_sums: u64 = Shown::Fact {
        words: ["Capped", "sum", "beyond the limits of the column's type: what exceeds them is lost"],
        is_warning: true,
    };
}

counts! {
    /// What was done for one group or, added up, for many.
    pub struct Tally {
        /// One entry per table of the specification, in its order.
        tables: Vec<TableTally>,
    }
    /// Sources of which no row was found: often a mistyped id.
    absent_sources: u64 = Shown::Apart;
    /// Survivors of which no row was found before the merge: often a mistyped id.
    absent_survivors: u64 = Shown::Apart;
    /// Events that were acknowledged.
    events: u64 = Shown::Nowhere;
    /// Batches written (each one round trip).
    batches: u64 = Shown::Apart;
    /// Slices merged; a group that fits in memory is one.
    slices: u64 = Shown::Apart;
}

counts! {
    /// What an undo did in one table, in rows.
    #[derive(Copy)]
    pub struct UndoTally {}
    /// Rows that sources have again.
    given_back: u64 = Shown::Column("given back");
    /// Copies that survivors have no longer.
    removed: u64 = Shown::Column("copies removed");
    /// Rows of survivors' own that hold their old values again.
    set_back: u64 = Shown::Column("set back");
    /// Keys that somebody changed since, and that were left alone.
    left_alone: u64 = Shown::Column("left alone");
    /// Keys of which a source's row was deleted while it was given back, later than that: they stay deleted; without the
    /// register, which would tell that it was no other run, they stay with the survivor.
    deleted_meanwhile: u64 = Shown::Fact {
        words: [
            "Deleted",
            "key",
            "whose source's row was deleted while it was given back: that stands; without the register the survivor keeps its row",
        ],
        is_warning: true,
    };
    /// Numbers that are added up, and that somebody wrote while they were put back: they are left as they are.
    counted_meanwhile: u64 = Shown::Fact {
        words: ["Counted", "number", "written while it was put back: it stands, and what the run had added may be in it"],
        is_warning: true,
    };
}

counts! {
    /// What a scan did: the look for clustered rows before the first group.
    #[derive(Copy)]
    pub struct ScanTally {
        /// Whether it was stopped before its end.
        interrupted: bool,
    }
    /// Token ranges in all.
    ranges: u64 = Shown::WentOver(["token range", "in all"]);
    /// Those that were scanned by earlier sessions.
    ranges_before: u64 = Shown::Found(["range", "scanned before"]);
    /// Those that were scanned by this one.
    ranges_now: u64 = Shown::Found(["range", "scanned now"]);
    /// Rows that were looked at, in all ranges that are over.
    rows: u64 = Shown::WentOver(["row", "looked at"]);
    /// Rows of sources among them.
    clustered_rows: u64 = Shown::Found(["row", "of sources found"]);
}

counts! {
    /// What a sweep did: the look at every source again, at the end.
    #[derive(Copy)]
    pub struct SweepTally {
        /// Whether it was stopped before its end.
        interrupted: bool,
    }
    /// Sources that were looked at.
    sources: u64 = Shown::WentOver(["source", "looked at again"]);
    /// Rows that were scanned for them; none where partitions were asked one by one.
    scanned: Option<u64> = Shown::WentOver(["row", "scanned"]);
    /// Rows that had survived on them and were moved to the survivor's row.
    rows: u64 = Shown::Found(["later row", "taken along"]);
    /// Events that were sent for them.
    events: u64 = Shown::Found(["event", "sent for them"]);
    /// Rows that were left where they are, or are gone, and told.
    left: u64 = Shown::Found(["row", "left there, or gone"]);
    /// Groups whose sweep failed.
    failed: u64 = Shown::Found(["group", "failed"]);
}

counts! {
    /// What was done to rows that mention sources.
    #[derive(Copy)]
    pub struct MentionTally {
        /// Whether it was stopped before its end.
        interrupted: bool,
    }
    /// Rows that were scanned for them.
    scanned: u64 = Shown::WentOver(["row", "scanned"]);
    /// Rows that name the survivor now.
    rows: u64 = Shown::Found(["row", "that named sources and name survivors now"]);
    /// Rows that were left as they are, and told.
    left: u64 = Shown::Found(["row", "left unchanged"]);
    /// Groups of which that failed.
    failed: u64 = Shown::Found(["group", "failed"]);
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
}
