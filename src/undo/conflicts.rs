//! What undo left alone, read back from the journal: cell by cell, group by group.

use std::collections::VecDeque;

use bytes::Bytes;
use serde_json::Value;

use crate::account::{AccountId, Pair, TimestampUs};
use crate::journal::body::{self, json};
use crate::journal::{GroupRecord, Journal, JournalError, Kind, State};
use crate::spec::Spec;

use super::record::{LeftAlone, Record};

/// A cell that someone changed since the run; its key was left alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Conflict {
    /// The table.
    pub table: String,
    /// Whose row it is.
    pub account: AccountId,
    /// The primary key of the row, as JSON.
    pub key: String,
    /// The column.
    pub column: String,
    /// What the run left there; null where it left nothing.
    pub expected: Value,
    /// What is there.
    pub found: Value,
    /// The latest write time of that.
    pub found_written_at: Option<TimestampUs>,
    /// The pair by which the key came to be merged.
    pub pair: Pair,
}

/// Reads the conflicts of a run, one slice at a time.
pub struct Conflicts<'a> {
    journal: &'a dyn Journal,
    spec: &'a Spec,
    /// The disputed groups that are still to be read.
    groups: VecDeque<usize>,
}

impl<'a> Conflicts<'a> {
    /// Those of all groups that are disputed at present.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn of(journal: &'a dyn Journal, spec: &'a Spec) -> Result<Self, JournalError> {
        let mut groups: Vec<usize> = journal
            .states()?
            .into_iter()
            .filter(|(_, state)| *state == State::Disputed)
            .map(|(group, _)| group)
            .collect();
        groups.sort_unstable();
        Ok(Self { journal, spec, groups: groups.into() })
    }

    /// Tells every conflict, and after those of a group its pairs, in merge order.
    ///
    /// # Errors
    /// The journal cannot be read, or `on_conflict` or `on_pairs` failed.
    pub fn tell<E: From<JournalError>>(
        mut self,
        mut on_conflict: impl FnMut(&Conflict) -> Result<(), E>,
        mut on_pairs: impl FnMut(&[Pair]) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(group) = self.groups.pop_front() {
            let Some(record) = self.journal.group(group)? else { continue };
            let damaged = |what| JournalError::Damaged { path: format!("group {group}"), what };
            let slices = self.journal.slices(group)?;
            let undo: Vec<_> = slices.iter().filter(|slice| slice.kind == Kind::Undo).collect();
            let last = undo.last().map(|slice| slice.t);
            for slice in undo.into_iter().filter(|slice| Some(slice.t) == last) {
                let read = Record::read(&self.journal.body(slice.id)?).map_err(damaged)?;
                for left in read.left_alone {
                    let told = conflicts(self.spec, &record, left).map_err(damaged)?;
                    told.iter().try_for_each(&mut on_conflict)?;
                }
            }
            on_pairs(&record.pairs)?;
        }
        Ok(())
    }
}

/// The conflicts of one key.
fn conflicts(spec: &Spec, group: &GroupRecord, left: LeftAlone) -> Result<Vec<Conflict>, String> {
    let (_, table) = json::table(spec, &left.table)?;
    let mut told = Vec::new();
    for conflict in left.conflicts {
        let place = conflict.source.unwrap_or(left.pair);
        let pair = group.pairs.get(place).cloned();
        let pair = pair.ok_or_else(|| format!("it has no source {place}"))?;
        let account = match conflict.source {
            Some(_) => pair.from.clone(),
            None => group.survivor.clone(),
        };
        let cells = json::read_cells(table, table.key_len, &left.row)?;
        let mut key: Vec<Bytes> = cells.into_iter().map(|(_, value)| value).collect();
        if let Some(own) = key.get_mut(table.account) {
            own.clone_from(account.cell());
        }
        told.push(Conflict {
            table: left.table.clone(),
            account,
            key: body::key(table, &key),
            column: conflict.column,
            expected: conflict.expected,
            found: conflict.found,
            found_written_at: conflict.found_written_at,
            pair,
        });
    }
    Ok(told)
}
