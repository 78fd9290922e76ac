//! The journal: what a run is about to do, made durable before it is done, so that it can be done again,
//! verified and undone. The only user of its storage (SQLite).
//!
//! Every slice is recorded as an [`Intent`] before its first write: its before-images, what it writes,
//! its write time and its events. What happens to the group afterwards is a [`Note`]: durable together with the
//! notes of some hundreds of other groups. A lost note costs a repeated write with the same values and the same
//! time, or a repeated event with the same id, never a row.
//!
//! Deliberately absent: what bodies mean beyond their encoding ([`Codec`]), and any decision.
//!
//! May use `model`, `spec` and `merge`; may be used by `history`, `pipeline`, `verify`, `undo`, `report` and `cli`.

pub mod body;
#[cfg(test)]
mod fixtures;
pub mod memory;
mod sqlite;
#[cfg(test)]
mod tests;

use std::fmt;

use bytes::Bytes;
use futures::future::BoxFuture;
use thiserror::Error;

use crate::model::{AccountId, Amount, Group, Pair, Tally, TimestampUs, TokenRange};

pub use body::Codec;
pub use sqlite::SqliteJournal;
pub(crate) use sqlite::stored_bytes;

/// Where a group stands. A group that the journal does not know is planned.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::EnumString, strum::VariantArray,
)]
#[strum(serialize_all = "lowercase")]
pub enum State {
    /// A slice is recorded; its writes may or may not have happened.
    Intended,
    /// All writes are acknowledged; its events may or may not have been sent.
    Written,
    /// All writes and all events are acknowledged.
    Done,
    /// Done, but what survived on its sources is being moved to the survivor's row, or rows that mention them are being
    /// changed; that may or may not have happened.
    Sweeping,
    /// Given up, with a reason; what was recorded for it stands.
    Failed,
    /// Never begun, with a reason: other runs have moved its accounts elsewhere since it was planned.
    Rejected,
    /// It is being undone; rows may or may not be restored.
    Undoing,
    /// Undone, events included.
    Undone,
    /// Undone but for rows that someone had changed since.
    Disputed,
    /// Over, and erased: an account of it was to be forgotten.
    Erased,
}

/// What a slice is for; its body is read accordingly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum SliceKind {
    /// Part of the merge.
    Merge,
    /// What survived on the sources, moved to the survivor's row.
    Sweep,
    /// Rows that mentioned sources, and name the survivor.
    Mention,
    /// Computed values that a write of the application had overtaken, written again.
    Raise,
    /// What verify found missing or worse, written again.
    Repair,
    /// The merge undone.
    Undo,
}

/// What is about to be written for a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The group's number in the plan.
    pub group: usize,
    /// The state that the group enters with it.
    pub state: State,
    /// The surviving account.
    pub survivor: AccountId,
    /// The group's pairs, in merge order.
    pub pairs: Vec<Pair>,
    /// The group's write time for a merge; the time of the sweep, repair or undo else.
    pub t: TimestampUs,
    pub kind: SliceKind,
    /// Whether it is the last one of its merge: with it, the group's merge is recorded completely.
    pub completes: bool,
    /// The slice's part of the counts (of a merge).
    pub tally: Tally,
    /// The scopes that rows led to ([`Codec::encode_scopes`]), so that the sweep need not read the bodies: of a
    /// completed merge those of the whole group, of a sweep those of its own rows.
    pub scopes: Vec<u8>,
    /// What is written ([`body`]).
    pub body: Vec<u8>,
}

/// What has happened to a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The group's number in the plan.
    pub group: usize,
    /// The state that it entered.
    pub state: State,
    /// Why, where it failed or is disputed.
    pub reason: Option<String>,
    /// The group itself, where the journal may not know it yet (it failed before its first intent).
    pub known_as: Option<(AccountId, Vec<Pair>)>,
}

/// A group as the journal knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRecord {
    /// The group's number in the plan.
    pub group: usize,
    /// The surviving account.
    pub survivor: AccountId,
    /// Its pairs, in merge order.
    pub pairs: Vec<Pair>,
    /// The merge's write time; `None` if nothing was intended.
    pub t: Option<TimestampUs>,
    /// Where it stands.
    pub state: State,
    /// Why, where it failed or is disputed.
    pub reason: Option<String>,
    /// When it entered that state, in milliseconds since the Unix epoch.
    pub(crate) changed_at_ms: i64,
}

impl GroupRecord {
    /// The group itself.
    pub(crate) fn into_group(self) -> Group {
        Group { index: self.group, survivor: self.survivor, pairs: self.pairs }
    }
}

/// A slice as the journal knows it, its body aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceRecord {
    /// Its id in the journal.
    pub id: i64,
    pub group: usize,
    pub kind: SliceKind,
    /// Its time, as in [`Intent::t`].
    pub t: TimestampUs,
    /// As in [`Intent::completes`].
    pub completes: bool,
    /// As in [`Intent::tally`].
    pub tally: Tally,
    /// As in [`Intent::scopes`].
    pub scopes: Bytes,
}

impl SliceRecord {
    /// What the merge of a group did in so many tables, by all slices of the group.
    pub(crate) fn merged(records: &[Self], tables: usize) -> Tally {
        let mut tally = Tally::new(tables);
        let merged = records.iter().filter(|record| record.kind == SliceKind::Merge);
        merged.for_each(|record| tally.add(&record.tally));
        tally
    }
}

/// What was intended for a group and never written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unwritten {
    pub group: usize,
    /// The one slice, of the sweep of a group that was done before; all slices if there is none.
    pub sweep: Option<i64>,
}

/// A token range of a table that has been scanned, and what was found in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// The table's name.
    pub table: String,
    pub range: TokenRange,
    /// Rows that were looked at.
    pub rows: u64,
    /// Rows of sources among them.
    pub clustered_rows: u64,
    /// In which scopes the sources of which groups own rows ([`Codec::encode_found`]).
    pub found: Vec<u8>,
}

/// A scanned range as the journal knows it, what was found aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanRecord {
    /// Its id in the journal.
    pub id: i64,
    /// As in [`Scan::table`].
    pub table: String,
    /// As in [`Scan::range`].
    pub range: TokenRange,
    /// As in [`Scan::rows`].
    pub rows: u64,
    /// As in [`Scan::clustered_rows`].
    pub clustered_rows: u64,
}

/// What a value's name begins with that tells what a group left; the number of the group follows.
pub(crate) const LEFT_OF: &str = "left of group ";

/// What the journal must be able to do. It is shared by all groups of a run.
pub trait Journal: Send + Sync + fmt::Debug + 'static {
    /// Records intents, all of them or none; they are durable when this returns.
    ///
    /// # Errors
    /// They may or may not be recorded, so that nothing may be written for them; the journal takes nothing more.
    fn intend(&self, intents: Vec<Intent>) -> BoxFuture<'_, Result<(), JournalError>>;

    /// Notes what has happened; durable with [`flush`](Self::flush), or once some hundreds of groups have a note.
    /// Of a group, the last note before that counts, and none that an intent follows.
    ///
    /// # Errors
    /// The journal has failed before: nothing can be noted any more.
    fn note(&self, note: Note) -> Result<(), JournalError>;

    /// Forgets intents of which nothing was ever written: a group as if it were only planned, or its last sweep as if it had
    /// not begun.
    /// Durable when this returns.
    ///
    /// # Errors
    /// As with [`intend`](Self::intend); they may or may not be forgotten.
    fn forget(&self, intents: Vec<Unwritten>) -> BoxFuture<'_, Result<(), JournalError>>;

    /// Makes everything that was noted durable.
    fn flush(&self) -> BoxFuture<'_, Result<(), JournalError>>;

    /// The states of all groups that it knows, by group number.
    fn states(&self) -> Result<Vec<(usize, State)>, JournalError>;

    /// A group; `None` if it is only planned.
    fn group(&self, group: usize) -> Result<Option<GroupRecord>, JournalError>;

    /// The slices of a group, in the order in which they were intended.
    fn slices(&self, group: usize) -> Result<Vec<SliceRecord>, JournalError>;

    /// The body of a slice. It may be part of a larger buffer, which lives as long as any part of it.
    fn body(&self, slice: i64) -> Result<Bytes, JournalError>;

    /// Slices of one kind of the groups from one number up to (not including) another, by group and in
    /// order, without bodies.
    fn slices_between(
        &self,
        kind: SliceKind,
        from: usize,
        to: usize,
    ) -> Result<Vec<SliceRecord>, JournalError>;

    /// The counts of all merge slices of the groups that are in one of these states, added up.
    fn tally(&self, states: &[State]) -> Result<Tally, JournalError>;

    /// Records a range that has been scanned; it is durable when this returns.
    ///
    /// # Errors
    /// As with [`intend`](Self::intend); the range counts as not scanned.
    fn keep_scan(&self, scan: Scan) -> BoxFuture<'_, Result<(), JournalError>>;

    /// The ranges that have been scanned, in the order in which they were.
    fn scans(&self) -> Result<Vec<ScanRecord>, JournalError>;

    /// What was found in a range.
    fn found(&self, scan: i64) -> Result<Bytes, JournalError>;

    /// A value that was kept under a name.
    fn meta(&self, name: &str) -> Result<Option<String>, JournalError>;

    /// The values that were kept under names that begin so, with these.
    fn metas(&self, beginning: &str) -> Result<Vec<(String, String)>, JournalError>;

    /// Keeps a value under a name; durable when this returns.
    fn set_meta(&self, name: &str, value: &str) -> Result<(), JournalError>;

    /// The size of the journal on disk, in bytes.
    fn size_bytes(&self) -> u64;
}

/// What went wrong with the journal.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum JournalError {
    /// It cannot be written: nothing that it does not cover is written to the cluster.
    #[error(
        "the journal {path} cannot be written: {cause}. Nothing was changed that it does not cover; make \
         room or put it back, then resume the run"
    )]
    Write {
        /// The file.
        path: String,
        /// Why not.
        cause: String,
    },
    /// It cannot be read.
    #[error("the journal {path} cannot be read: {cause}")]
    Read {
        /// The file.
        path: String,
        /// Why not.
        cause: String,
    },
    /// There is none.
    #[error("{path} has no journal: it is not a run that was applied")]
    Missing {
        /// The run directory.
        path: String,
    },
    /// It is of another version of this program.
    #[error(
        "the journal {path} has a schema of version {found}, but this program reads versions {} to {}; use the \
         program that wrote it", known[0], known[1]
    )]
    Version {
        /// The file.
        path: String,
        /// Its version.
        found: i64,
        /// The oldest and the newest version that is understood.
        known: [i64; 2],
    },
    /// It holds something that this version does not understand.
    #[error(
        "the journal {path} holds something unreadable ({what}); it may be damaged. Nothing was changed that it does not \
         cover: put back a whole copy of the run directory from after the last command"
    )]
    Damaged {
        /// The file.
        path: String,
        what: String,
    },
    /// What it holds of one group cannot be understood: that group fails, and no other.
    #[error(
        "the journal's record of a group is damaged ({0}). Nothing was written by it, and other groups are not concerned"
    )]
    Record(String),
}

impl JournalError {
    /// What is kept of a group cannot be understood.
    pub(crate) fn of_group(group: usize, what: impl fmt::Display) -> Self {
        Self::Record(format!("group {group}: {what}"))
    }

    /// Whether every other group would meet it as well.
    pub(crate) fn is_fatal(&self) -> bool {
        !matches!(self, Self::Record(_))
    }
}
