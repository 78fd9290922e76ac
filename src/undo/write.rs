//! What restores the keys of a chunk is written in two steps: sources get their rows, and only where these are seen to
//! stand, the survivor's go. Time may have passed since it was decided, and a row that a later delete hides has not been
//! given back.

use std::collections::{HashMap, HashSet};

use crate::failpoint;
use crate::merge::by_partition;
use crate::model::{
    AccountId, Batch, Change, ColumnIndex, Group, Mutation, Row, Scope, TimedRow, TimestampUs, list,
};
use crate::pipeline::keys::{self, KeyRows, Sought, SourceRows};
use crate::pipeline::{GroupError, Window};
use crate::storage::{Fault, StorageError, Writer};

use super::announce::quoted;
use super::key::{How, Key};
use super::record::Record;
use super::restore::Restoration;

/// What came of them.
pub(super) struct Written {
    /// The liveness of a row is still to end.
    pub(super) is_expiring: bool,
    /// The keys of numbers that are added up, and that somebody wrote meanwhile, one for each.
    pub(super) counted_meanwhile: Vec<usize>,
    /// Announced rows that sources are seen to have again.
    pub(super) announced: Vec<(AccountId, Scope, Row)>,
    /// The keys of which a source's row does not stand.
    pub(super) hidden: HashSet<usize>,
}

/// The writes of one chunk.
pub(super) struct Writes<'a, S> {
    pub(super) window: &'a Window<S>,
    pub(super) group: &'a Group,
    /// When they are dated.
    pub(super) t: TimestampUs,
    /// Whether they were decided by a process that has died since.
    pub(super) is_resumed: bool,
}

impl<S: Writer> Writes<'_, S> {
    /// Restores what is to be restored.
    pub(super) async fn carry_out(
        &self,
        record: &Record,
        keys: &[Key<'_>],
    ) -> Result<Written, GroupError> {
        let mut restored: Vec<(usize, How)> = record.restored().collect();
        self.keep_late(&mut restored, keys).await?;
        let mut given = Vec::new();
        let mut taken: Vec<(usize, Vec<Mutation>)> = Vec::new();
        let found = self.lists_of(&restored, keys).await?;
        for (at, how) in &restored {
            let Restoration { sources, survivor } =
                keys[*at].restore(&self.group.survivor, how, found.get(at), self.t);
            given.extend(sources.into_iter().map(|(_, mutation)| mutation));
            taken.push((*at, survivor));
        }
        self.give_back(by_partition(&self.window.spec, given)).await?;
        failpoint::hit("given-back");
        let of_sources = restored.iter().filter(|(at, _)| !keys[*at].before.is_empty());
        let of_sources: Vec<&(usize, How)> = of_sources.collect();
        let given_back = self.values(&of_sources, keys).await?;
        let hidden = self.hidden(&of_sources, keys, &given_back).await?;
        // With the register no other run deletes there: whoever did meant the row, wherever it stands.
        let stays = self.window.register.is_none();
        taken.retain(|(at, _)| !stays || !hidden.contains(at));
        let mut taken: Vec<Mutation> =
            taken.into_iter().flat_map(|(_, survivor)| survivor).collect();
        taken.extend(self.gone(record, keys).await?);
        let is_expiring =
            taken.iter().any(|mutation| matches!(mutation.change, Change::ExpireRow { .. }));
        self.window.write_all(by_partition(&self.window.spec, taken)).await?;
        let counted_meanwhile = self.counted_meanwhile(&restored, keys).await?;
        let announced = self.announced(given_back, keys);
        Ok(Written { is_expiring, counted_meanwhile, announced, hidden })
    }

    /// Without the register a sweep of another run may have placed late cells on emptied sources since it was decided: at
    /// their own times, over which what is given back would win.
    async fn keep_late(
        &self,
        restored: &mut [(usize, How)],
        keys: &[Key<'_>],
    ) -> Result<(), StorageError> {
        if !self.is_resumed || self.window.register.is_some() {
            return Ok(());
        }
        let sought =
            restored.iter().map(|(at, _)| Sought { with_survivor: false, ..keys[*at].sought(*at) });
        let found = keys::look(self.window, self.group, &sought.collect::<Vec<_>>()).await?;
        for (at, how) in restored {
            let sources = found.get(at).into_iter().flat_map(|found| &found.sources);
            how.kept = sources.flat_map(|(source, row)| keys[*at].kept_of(*source, row)).collect();
        }
        Ok(())
    }

    /// Reports the rows in which somebody has written a number that is added up while it was put back; gives their keys.
    /// Whether that counts on from the total or from what was put back nobody can tell.
    async fn counted_meanwhile(
        &self,
        restored: &[(usize, How)],
        keys: &[Key<'_>],
    ) -> Result<Vec<usize>, StorageError> {
        let with_sums = restored.iter().filter(|(at, _)| keys[*at].table.sums().next().is_some());
        let with_sums: Vec<_> = with_sums.collect();
        let sought: Vec<_> = with_sums.iter().map(|(at, _)| keys[*at].sought(*at)).collect();
        let found = keys::look(self.window, self.group, &sought).await?;
        let mut counted = Vec::new();
        for (at, how) in with_sums {
            let Some(found) = found.get(at) else { continue };
            for (source, column) in keys[*at].counted_meanwhile(how, found) {
                let account = match source {
                    None => &self.group.survivor,
                    Some(source) => &self.group.pairs[source].from,
                };
                let table = keys[*at].table;
                tracing::warn!(
                    "{} of a row of {account} in {} was written while it was put back: it is left as it is, and what the run had \
                     counted there may be in it",
                    table.columns[column].name,
                    table.name,
                );
                counted.push(*at);
            }
        }
        Ok(counted)
    }

    /// What stands at the keys whose sources had lists: those are written as a whole.
    async fn lists_of(
        &self,
        restored: &[(usize, How)],
        keys: &[Key<'_>],
    ) -> Result<HashMap<usize, KeyRows>, StorageError> {
        let has_lists = |key: &Key<'_>| {
            key.before.iter().any(|(_, row)| key.table.lists_of(row).next().is_some())
        };
        let sought = restored.iter().filter(|(at, _)| has_lists(&keys[*at]));
        let sought: Vec<_> = sought.map(|(at, _)| keys[*at].sought(*at)).collect();
        keys::look(self.window, self.group, &sought).await
    }

    /// Copies that somebody has deleted, and that are left alone: whatever arrives of them later is deleted, too.
    async fn gone(&self, record: &Record, keys: &[Key<'_>]) -> Result<Vec<Mutation>, StorageError> {
        let candidates = record.0.left_alone.iter().filter(|left| {
            let has_nothing = left.conflicts.iter().all(|cell| cell.found.is_none());
            has_nothing && keys.get(left.key).is_some_and(|key| key.history.is_copy())
        });
        let candidates: Vec<_> = candidates.collect();
        let sought = candidates
            .iter()
            .map(|left| Sought { sources: Vec::new(), ..keys[left.key].sought(left.key) });
        // A row of which single cells were deleted is another thing.
        let found = keys::look(self.window, self.group, &sought.collect::<Vec<_>>()).await?;
        let is_gone = |key: usize| found.get(&key).is_none_or(|found| found.survivor.is_none());
        let gone = candidates.into_iter().filter(|left| is_gone(left.key)).map(|left| Mutation {
            table: left.table,
            t: self.t,
            change: Change::DeleteRow { key: left.row.clone() },
        });
        Ok(gone.collect())
    }

    /// What stands on the sources, without write times.
    async fn values(
        &self,
        of_sources: &[&(usize, How)],
        keys: &[Key<'_>],
    ) -> Result<SourceRows, StorageError> {
        let sought: Vec<_> = of_sources.iter().map(|(at, _)| keys[*at].sought(*at)).collect();
        keys::values(self.window, self.group, &sought).await
    }

    /// The announced rows among those that were given back.
    fn announced(&self, rows: SourceRows, keys: &[Key<'_>]) -> Vec<(AccountId, Scope, Row)> {
        let Some(event) = &self.window.spec.event else { return Vec::new() };
        let of_event =
            rows.into_iter().filter(|((at, _), _)| keys[*at].history.table == event.table);
        let announced = of_event.map(|((at, source), row)| {
            let scope = keys[at].table.shared_scope(&row.cells).detached();
            (self.group.pairs[source].from.clone(), scope, quoted(event, &row))
        });
        announced.collect()
    }

    /// The keys of which a source's row does not stand that was given back: the survivor keeps those. What is not there as it
    /// was is looked at once more, with write times: somebody may have written it later.
    async fn hidden(
        &self,
        of_sources: &[&(usize, How)],
        keys: &[Key<'_>],
        given_back: &SourceRows,
    ) -> Result<HashSet<usize>, StorageError> {
        let as_before = |at: usize| {
            let key = &keys[at];
            key.before.iter().all(|(source, before)| {
                let found = given_back.get(&(at, *source));
                found.is_some_and(|found| {
                    written(key, before).all(|column| is_as_before(key, column, found, before))
                })
            })
        };
        let in_doubt = of_sources.iter().filter(|(at, _)| !as_before(*at));
        let in_doubt: Vec<&(usize, How)> = in_doubt.copied().collect();
        let sought =
            in_doubt.iter().map(|(at, _)| Sought { with_survivor: false, ..keys[*at].sought(*at) });
        let sought: Vec<_> = sought.collect();
        let found = keys::look(self.window, self.group, &sought).await?;
        let stands = |(at, how): &&&(usize, How)| self.stands(&keys[*at], how, found.get(at));
        let hidden = in_doubt.iter().filter(|restored| !stands(restored));
        let hidden: HashSet<usize> = hidden.map(|(at, _)| *at).collect();
        for at in &hidden {
            let key = &keys[*at];
            let what = match self.window.register {
                None => format!("stays with {}", self.group.survivor),
                Some(_) => "stays deleted".to_owned(),
            };
            tracing::warn!(
                "a row of {} {what}: on its source it was deleted later than this undo began",
                key.table.name,
            );
        }
        Ok(hidden)
    }

    /// Whether all rows stand that were given back.
    fn stands(&self, key: &Key<'_>, how: &How, found: Option<&KeyRows>) -> bool {
        let rows: HashMap<usize, &TimedRow> =
            found.into_iter().flat_map(|found| &found.sources).map(|(s, row)| (*s, row)).collect();
        key.before.iter().all(|(source, before)| {
            let is_kept = |column| how.kept(*source, column).is_some();
            let found = rows.get(source);
            let has_expired = found.is_none() && before.has_expired(key.table.key_len);
            has_expired
                || found.is_some_and(|found| {
                    written(key, before).all(|column| {
                        let is_later =
                            found.times[column].latest() >= Some(self.t) || is_kept(column);
                        let is_as_before = is_as_before(key, column, &found.row, before);
                        found.row.cells[column].is_some() && (is_as_before || is_later)
                    })
                })
        })
    }

    /// Writes what gives sources their rows. The server may refuse one that it took once, for an index has come since; then
    /// it has refused the copy as well, so the source's row was never deleted.
    async fn give_back(&self, sequences: Vec<Vec<Batch>>) -> Result<(), GroupError> {
        match self.window.write_all(sequences.clone()).await {
            Err(error) if error.kind == Fault::Permanent => {}
            written => return Ok(written?),
        }
        for Batch { table, mutations } in sequences.into_iter().flatten() {
            for mutation in mutations {
                let alone = Batch { table, mutations: vec![mutation.clone()] };
                match self.window.write_all(vec![vec![alone]]).await {
                    Err(error)
                        if error.kind == Fault::Permanent && self.is_there(&mutation).await? =>
                    {
                        tracing::warn!("a row stays as it stands on its source: {error}");
                    }
                    written => written?,
                }
            }
        }
        Ok(())
    }

    /// Whether a row that is to be given back is there already, as a whole.
    async fn is_there(&self, mutation: &Mutation) -> Result<bool, StorageError> {
        let Change::Insert { row } = &mutation.change else { return Ok(false) };
        let table = &self.window.spec.tables[mutation.table];
        let found = self.window.timed_row(mutation.table, &table.key_of(row)).await?;
        Ok(found.is_some_and(|found| {
            let mut cells = row.cells.iter().zip(&found.row.cells);
            cells.all(|(cell, found)| cell.is_none() || cell == found)
        }))
    }
}

/// The columns of a source's row that had a value.
fn written(key: &Key<'_>, before: &Row) -> impl Iterator<Item = ColumnIndex> {
    let columns = key.table.key_len..before.cells.len();
    columns.filter(|column| before.cells[*column].is_some())
}

/// Whether a cell holds what it held; a list may hold more.
fn is_as_before(key: &Key<'_>, column: ColumnIndex, found: &Row, before: &Row) -> bool {
    let (cell, before) = (&found.cells[column], &before.cells[column]);
    match key.table.columns[column].cql_type.is_list() {
        true => cell.as_ref().zip(before.as_ref()).is_some_and(|(a, b)| list::has_all(a, b)),
        false => cell == before,
    }
}
