//! A group that an earlier session has begun and not ended: what it intended is finished at its T, or given up, key by
//! key, before anything else is decided about its accounts.
//!
//! Time has passed since, so nothing is taken for granted. Where the copy stands, the source's row may go. Where it does
//! not and the source's row is there, it is written at T and read back: what a later delete hides is no copy. A key that
//! cannot be finished so is *given up*: what was intended for the survivor is voided just above T, whether or not it has
//! arrived yet, and what its sources have is written again just above that. So it is a late row, which the sweep places,
//! or leaves and tells. What its sources do not have any more was deleted there, and stays deleted.
//!
//! So is what was intended so long ago that tombstones may be gone since: whether its copy was never written, or was
//! deleted, cannot be told any more. Nothing of it can be under way, either.

use std::collections::HashMap;

use bytes::Bytes;

use crate::failpoint;
use crate::history::{Histories, History};
use crate::merge::{self, Entry, Write};
use crate::model::{Change, ColumnIndex, Group, Mutation, Row, TableIndex, TimestampUs, list};
use crate::register::{PIN_US, VOID_US};
use crate::spec::Table;
use crate::storage::{StorageError, Writer};

use super::keys::{self, KeyRows, Sought};
use super::{GroupError, Leftover, Window};

/// What is dated above this are lists that stay with a source, or with the survivor; above T itself are those of a merge.
const PIN_LISTS_US: TimestampUs = list::LISTS_US + 1;

/// Why a row is not merged.
const DELETED: &str = "it was deleted while the run stood still, and stays so";

/// Finishes what the journal has of a group, but for the deletes of whole partitions, which come last; gives what is to be
/// reported.
pub(super) async fn finish<S: Writer>(
    window: &Window<S>,
    group: &Group,
) -> Result<Vec<Leftover>, GroupError> {
    let finish = Finish { window, group };
    let mut reported = Vec::new();
    let (journal, now) = (&*window.journal, window.as_of.now());
    let mut chunks = Histories::open(journal, &window.codec, &window.spec, group.index, now)?;
    while let Some(histories) = chunks.next_chunk()? {
        let keys = histories.iter().enumerate().filter_map(|(at, history)| {
            let entry = history.entry.as_ref()?;
            Some(Key { at, history, entry })
        });
        finish.chunk(&keys.collect::<Vec<_>>(), &mut reported).await?;
    }
    Ok(reported)
}

/// A key that the merge came across.
struct Key<'a> {
    at: usize,
    history: &'a History,
    entry: &'a Entry,
}

struct Finish<'a, S> {
    window: &'a Window<S>,
    group: &'a Group,
}

impl<S: Writer> Finish<'_, S> {
    async fn chunk(
        &self,
        keys: &[Key<'_>],
        reported: &mut Vec<Leftover>,
    ) -> Result<(), GroupError> {
        let mut found = self.look(&keys.iter().collect::<Vec<_>>(), true).await?;
        let (mut done, mut unwritten, mut given_up) = (Vec::new(), Vec::new(), Vec::new());
        for key in keys {
            let found = found.entry(key.at).or_default();
            if self.stands(key, found) {
                done.push(key);
            } else if self.can_be_written(key, found) {
                unwritten.push(key);
            } else {
                given_up.push(key);
            }
        }
        self.write(
            unwritten
                .iter()
                .flat_map(|key| {
                    let changes = self.missing(key, &found);
                    changes.into_iter().map(|change| (key.history.table, key.history.t, change))
                })
                .collect(),
        )
        .await?;
        failpoint::hit("finished");
        let again = self.look(&unwritten, false).await?;
        for key in unwritten {
            let stands = again.get(&key.at).is_some_and(|found| self.stands(key, found));
            if stands { done.push(key) } else { given_up.push(key) }
        }
        for key in &given_up {
            if found.get(&key.at).is_none_or(|found| found.sources.is_empty()) {
                let row = (key.history.table, key.history.key());
                reported.push(Leftover::of(self.group, key.entry.sources[0].0, row, DELETED));
            }
        }
        self.give_up(&given_up, &found).await?;
        self.keep_arrived(&done, &found).await?;
        let deletes = done.iter().flat_map(|key| {
            let of_row = |change| (key.history.table, key.history.t, change);
            key.entry.deletes(self.table(key)).map(of_row)
        });
        Ok(self.write(deletes.collect()).await?)
    }

    fn table(&self, key: &Key<'_>) -> &Table {
        &self.window.spec.tables[key.history.table]
    }

    /// What stands at some keys; `with_sources` says whether their sources' rows are read as well.
    async fn look(
        &self,
        keys: &[&Key<'_>],
        with_sources: bool,
    ) -> Result<HashMap<usize, KeyRows>, StorageError> {
        let sought = keys.iter().map(|key| {
            let sources = key.entry.sources.iter().filter(|_| with_sources);
            let sources = sources.map(|(source, _)| *source).collect();
            Sought { at: key.at, history: key.history, with_survivor: true, sources }
        });
        keys::look(self.window, self.group, &sought.collect::<Vec<_>>()).await
    }

    fn stands(&self, key: &Key<'_>, found: &KeyRows) -> bool {
        key.entry.stands(self.table(key), key.history.t, found.survivor.as_ref())
    }

    fn is_forgotten(&self, key: &Key<'_>) -> bool {
        key.history.t <= self.window.as_of.forgotten()
    }

    /// What is to be written for it: of its lists those that are not as they are to be.
    fn missing(&self, key: &Key<'_>, found: &HashMap<usize, KeyRows>) -> Vec<Change> {
        let row = found.get(&key.at).and_then(|found| found.survivor.as_ref());
        let changes = key.entry.changes(self.table(key), &self.group.survivor);
        let is_missing = |change: &Change| match change {
            Change::SetList { column, value, .. } => {
                row.is_none_or(|row| row.row.cells[*column].as_ref() != Some(value))
            }
            _ => true,
        };
        changes.filter(is_missing).collect()
    }

    /// Whether it may be written as it was intended: all of it is there that it was made of, and no list holds anything
    /// else. What was taken away from that would else come back.
    fn can_be_written(&self, key: &Key<'_>, found: &KeyRows) -> bool {
        let row = found.survivor.as_ref();
        let is_open = |(column, value): (ColumnIndex, Bytes)| {
            let cell = row.and_then(|row| row.row.cells[column].as_ref());
            let read = key.entry.target.as_ref().and_then(|read| read.cells[column].as_ref());
            cell == read || cell == Some(&value)
        };
        let has_base = match key.entry.write {
            Write::Nothing => false,
            Write::Copy { .. } => true,
            Write::Replace { .. } if key.entry.target.is_none() => true,
            Write::Replace { .. } | Write::Update { .. } => found.survivor.is_some(),
        };
        let is_there = |(source, before): &(usize, Row)| {
            let row = found.sources.iter().find(|(own, _)| own == source);
            let has_expired = row.is_none() && before.has_expired(self.table(key).key_len);
            has_expired
                || row.is_some_and(|(_, row)| {
                    Entry::is_held(self.table(key), key.history.t, before, row)
                })
        };
        !self.is_forgotten(key)
            && has_base
            && key.entry.lists(self.table(key)).all(is_open)
            && key.entry.sources.iter().all(is_there)
    }

    /// What has come to a source since it was read, though it is dated before T, would be deleted unread: it is written
    /// again just above that, and so it is late.
    async fn keep_arrived(
        &self,
        keys: &[&Key<'_>],
        found: &HashMap<usize, KeyRows>,
    ) -> Result<(), StorageError> {
        let mut pins = Vec::new();
        for key in keys {
            let (table, t) = (key.history.table, key.history.t);
            let rows = found.get(&key.at).into_iter().flat_map(|found| &found.sources);
            for (source, row) in rows {
                let before = key.entry.sources.iter().find(|(own, _)| own == source);
                let arrived =
                    before.map(|(_, before)| key.entry.arrived(self.table(key), t, before, row));
                let set = arrived.filter(|set| !set.is_empty());
                pins.extend(set.map(|set| {
                    let key = self.table(key).key_of(&row.row);
                    let change =
                        Change::update_until(key, set, |column| row.row.expires.of(column));
                    (table, t + PIN_US, change)
                }));
            }
        }
        self.write(pins).await
    }

    /// Sources keep what they have, and the survivor gets nothing of it, whatever is still under way.
    async fn give_up(
        &self,
        keys: &[&Key<'_>],
        found: &HashMap<usize, KeyRows>,
    ) -> Result<(), StorageError> {
        let (mut pins, mut voids) = (Vec::new(), Vec::new());
        for key in keys {
            let (table, t) = (key.history.table, key.history.t);
            for (_, row) in found.get(&key.at).iter().flat_map(|found| &found.sources) {
                let shape = self.table(key);
                let Some(row) = merge::up_to(shape, t, row) else { continue };
                let lists: Vec<_> = shape.set_lists(&shape.key_of(&row), &row).collect();
                pins.push((table, t + PIN_US, Change::Insert { row }));
                pins.extend(lists.into_iter().map(|list| (table, t + PIN_LISTS_US, list)));
            }
            let void = if self.is_forgotten(key) { Vec::new() } else { self.void(key) };
            voids.extend(void.into_iter().map(|change| {
                let is_list = matches!(change, Change::SetList { .. });
                (table, t + if is_list { PIN_LISTS_US } else { VOID_US }, change)
            }));
        }
        self.write(pins).await?;
        self.write(voids).await
    }

    /// The inverse of what was intended for the survivor's row.
    fn void(&self, key: &Key<'_>) -> Vec<Change> {
        let table = self.table(key);
        let survivor = key.history.key_of(table, &self.group.survivor);
        match &key.entry.write {
            Write::Nothing => Vec::new(),
            _ if key.entry.target.is_none() => vec![Change::DeleteRow { key: survivor }],
            _ => {
                let before = key.history.survivor_before();
                let left = key.history.left(table).into_iter().map(|left| left.column);
                let set = left.map(|column| (column, before.cell(column).cloned()));
                table.updates(&survivor, set, |column| before.expires(column))
            }
        }
    }

    /// Writes changes, those of a partition together.
    async fn write(
        &self,
        changes: Vec<(TableIndex, TimestampUs, Change)>,
    ) -> Result<(), StorageError> {
        let changes = changes.into_iter();
        let mutations = changes.map(|(table, t, change)| Mutation { table, t, change });
        self.window.write_all(merge::by_partition(&self.window.spec, mutations)).await
    }
}
