//! What became of accounts over all runs, kept in the database that the runs change.
//!
//! A run directory knows one run. The register knows all of them: before anything of a group is written, it has a row
//! for each of its accounts; before that, whoever works on a keyspace holds its [lease](Lease). So a run finds what an
//! earlier one moved, is moving, or left half moved ([`Lineage`]), whatever machine that ran on, and two runs are never
//! at the same accounts at the same time.
//!
//! The order is what protects, not the lease by itself: the journal, then the rows ([`Register::begin`]), then the lease
//! once more ([`Register::hold`]), then the first write. Whoever stood still for an hour finds the lease gone before it
//! writes, or had its rows before that, and whoever came next has found these accounts busy.
//!
//! Nothing here talks to a database: [`cluster`](crate::cluster) keeps the register in Cassandra, [`memory`] in memory.
//!
//! May use `model` and `storage`; may be used by `cluster`, `pipeline`, `verify`, `undo` and `cli`.

mod lease;
mod lineage;
pub mod memory;
mod prune;
mod times;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use futures::future::BoxFuture;

use crate::model::{Group, TimestampUs};
use crate::storage::StorageError;

pub(crate) use lease::{Held, LeaseReader, LeaseRows, Taken, at_work, take};
pub use lease::{Holder, LEASE_US, Lease, OfPlan};
pub(crate) use lineage::Stay;
pub use lineage::{Lineage, Standing};
pub(crate) use prune::{Prunable, Pruned, prune};
pub use times::RunTimes;
pub(crate) use times::{PIN_US, VOID_US};
pub use verdict::{Later, Obstacle};

/// What a run does to an account.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::EnumString, strum::IntoStaticStr,
)]
#[strum(serialize_all = "lowercase")]
pub enum Step {
    Merge,
    /// What its sources got later is taken along, or what is missing is written again.
    After,
    /// It is undone.
    Undo,
}

impl Step {
    /// The step of a name; one that is not known is no reason to think that nothing was done.
    pub(crate) fn of(name: &str) -> Self {
        name.parse().unwrap_or(Self::After)
    }

    /// Its name in the register.
    pub(crate) fn name(self) -> &'static str {
        self.into()
    }
}

/// That a run works on an account. It is never changed, and goes only when nothing of what the run did there counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The account, as it is written out.
    pub account: String,
    pub run: String,
    /// The time of its window, in microseconds: no two windows of a run have the same one.
    pub t: TimestampUs,
    /// What is done.
    pub(crate) step: Step,
    /// The account into which its group is merged: itself, where it survives.
    pub survivor: String,
}

impl Claim {
    /// One for each account of a group.
    pub fn of_group<'g>(
        run: &'g str,
        group: &'g Group,
        t: TimestampUs,
        step: Step,
    ) -> impl Iterator<Item = Self> + 'g {
        let survivor = group.survivor.text();
        group.accounts().map(move |account| Self {
            account: account.text().into_owned(),
            run: run.to_owned(),
            t,
            step,
            survivor: survivor.clone().into_owned(),
        })
    }
}

/// What is known of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowEnd {
    /// Its time.
    pub t: TimestampUs,
    /// The survivors of those of its groups that are not over: failed, or undone but for some keys.
    pub open: BTreeSet<String>,
}

/// The windows of a run by their times, with what is known of the end of each.
pub(crate) type RunWindows = Vec<(TimestampUs, Option<WindowEnd>)>;

/// How a run stands as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    pub id: String,
    /// The machine, and its directory there.
    pub location: String,
    /// Who began it.
    pub user: String,
    /// The version of the program.
    pub version: String,
    /// When it began and, once it has, when a command of it ended last, in microseconds.
    pub began: TimestampUs,
    /// The end of its last command.
    pub ended: Option<TimestampUs>,
    /// The SHA-256 of its pairs, and of its specification.
    pub hashes: [String; 2],
    /// The tables that it merges.
    pub tables: BTreeSet<String>,
    /// How it stands.
    pub state: RunState,
    /// Groups by what became of them.
    pub groups: BTreeMap<String, i64>,
}

impl Run {
    /// The machine, and the run directory there.
    pub(crate) fn host_and_dir(&self) -> (&str, &str) {
        self.location.split_once(':').unwrap_or(("", &self.location))
    }
}

/// How a run stands as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum RunState {
    /// A command that merges has begun, and no other has ended since.
    #[default]
    Running,
    /// All its groups are done, undone since, or rejected.
    Done,
    /// Some are, and some are not.
    Partial,
    /// It is being undone as a whole, or was to be, and is not yet.
    Undoing,
    /// Some of its pairs are being undone.
    #[strum(serialize = "undoing-some")]
    UndoingSome,
    /// All its groups are undone.
    Undone,
    /// Its machine, or its directory, is gone for good: nobody ends what it left open.
    Lost,
    /// Nothing of what it did is there any more, because its keyspace was restored from before it.
    Closed,
}

impl RunState {
    /// The state of a name; of one that is not known it is not known that it is over.
    pub(crate) fn of(name: &str) -> Self {
        name.parse().unwrap_or(Self::Partial)
    }

    /// Its name in the register.
    pub(crate) fn name(self) -> &'static str {
        self.into()
    }
}

/// Partitions over which the accounts of a keyspace are spread. A window's rows are so many batches.
pub(crate) const BUCKETS: i32 = 64;

/// The partition of an account.
pub(crate) fn bucket(account: &str) -> i32 {
    let mut crc = flate2::Crc::new();
    crc.update(account.as_bytes());
    // Below 64.
    (crc.sum() % BUCKETS.cast_unsigned()) as i32
}

/// The times that belong to a group from its T on, in microseconds: no other run writes at any of them.
pub(crate) const OWNED_US: TimestampUs = 10_000;

/// The register of one keyspace, as one run sees it that holds the lease.
pub trait Register: fmt::Debug + Send + Sync {
    /// The id of the run.
    fn run(&self) -> &str;

    /// Makes it durable that the run works on accounts, in a window of this time.
    fn begin<'a>(
        &'a self,
        t: TimestampUs,
        entries: &'a [Claim],
    ) -> BoxFuture<'a, Result<(), StorageError>>;

    /// Renews the lease; no other run writes at a time up to `floor`.
    ///
    /// # Errors
    /// Someone else has it: nothing may be written any more.
    fn hold(&self, floor: TimestampUs) -> BoxFuture<'_, Result<(), StorageError>>;

    /// Looks whether the lease is still held.
    ///
    /// # Errors
    /// As of [`hold`](Self::hold).
    fn look(&self) -> BoxFuture<'_, Result<(), StorageError>>;

    /// Notes that windows are over, but for some of their groups.
    fn end<'a>(&'a self, windows: &'a [WindowEnd]) -> BoxFuture<'a, Result<(), StorageError>>;
}

/// What the register knows, for whoever asks: it cannot be written by this.
pub trait Archive: fmt::Debug + Send + Sync {
    /// What runs did to some accounts, in no promised order.
    fn entries<'a>(
        &'a self,
        accounts: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Claim>, StorageError>>;

    /// What runs did to those accounts of a bucket that are wanted, by reading it whole; none where it has more than
    /// `most` entries and a page, or is not to be read so.
    fn scan<'a>(
        &'a self,
        bucket: i32,
        most: usize,
        is_wanted: &'a (dyn Fn(&str) -> bool + Sync),
    ) -> BoxFuture<'a, Result<Option<Vec<Claim>>, StorageError>>;

    /// The windows of a run, with their ends as far as they have one.
    fn windows<'a>(&'a self, run: &'a str) -> BoxFuture<'a, Result<RunWindows, StorageError>>;

    /// A run, if it is known.
    fn known_run<'a>(&'a self, run: &'a str) -> BoxFuture<'a, Result<Option<Run>, StorageError>>;
}
