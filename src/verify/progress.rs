//! How far a verify has come, kept in the journal, so that the next one goes on behind it.
//!
//! Groups are begun in order but do not end in order, so beside the next group to begin those are kept that had
//! begun and not ended. What was counted, and the length of diff.csv, belong to exactly the groups
//! that are over.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::journal::{Journal, JournalError};

use super::{Counts, Options};

/// The name under which it is kept.
const META: &str = "verify";

/// The version of what is kept; what an older program kept is not read.
const VERSION: u32 = 1;

/// How far it has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    version: u32,
    /// How it was begun: with others it begins anew.
    #[serde(flatten)]
    options: Options,
    /// How many groups were done when it began: if others are done by now, it begins anew.
    groups_done: usize,
    /// The groups before this one have begun.
    next: usize,
    /// Those of them that are not over.
    open: BTreeSet<usize>,
    /// The length of diff.csv.
    pub(super) diff_bytes: u64,
    pub(super) counts: Counts,
    /// Whether every group had its turn.
    finished: bool,
}

impl Checkpoint {
    /// Nothing done yet.
    pub(super) fn new(options: Options, groups_done: usize, tables: usize) -> Self {
        Self {
            version: VERSION,
            options: Options { restart: false, ..options },
            groups_done,
            next: 0,
            open: BTreeSet::new(),
            diff_bytes: 0,
            counts: Counts::new(tables),
            finished: false,
        }
    }

    /// What an earlier verify of the same kind left unfinished, if there is one.
    pub(super) fn of_earlier(&self, journal: &dyn Journal) -> Result<Option<Self>, JournalError> {
        let kept = journal.meta(META)?.and_then(|text| serde_json::from_str::<Self>(&text).ok());
        Ok(kept.filter(|kept| {
            !kept.finished
                && kept.version == self.version
                && kept.options == self.options
                && kept.groups_done == self.groups_done
                && kept.counts.tables.len() == self.counts.tables.len()
        }))
    }

    /// Keeps it; durable when this returns.
    pub(super) fn keep(&self, journal: &dyn Journal) -> Result<(), JournalError> {
        // A value of plain numbers can always be written as JSON.
        journal.set_meta(META, &serde_json::to_string(self).unwrap_or_default())
    }

    /// Whether a group still has to be compared.
    pub(super) fn is_left(&self, group: usize) -> bool {
        group >= self.next || self.open.contains(&group)
    }

    pub(super) fn begin(&mut self, group: usize) {
        self.next = self.next.max(group + 1);
        self.open.insert(group);
    }

    /// A group is over. One that could not be read stays open instead.
    pub(super) fn end(&mut self, group: usize, counts: &Counts) {
        self.open.remove(&group);
        self.counts.add(counts);
    }

    /// Every group has had its turn; if each is over, the next verify begins anew.
    pub(super) fn finish(&mut self) {
        self.finished = self.open.is_empty();
    }
}
