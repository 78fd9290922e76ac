//! One key: the survivor's row, if there is one, and the sources' rows, in order, become one row.
//!
//! The first row stays (the survivor's own, or the copy of the first source that has the key); the policies
//! then look at each further row, column by column. The final values are known before anything is
//! written, so a cell is written at most once per T.

use bytes::Bytes;

use crate::account::{AccountId, Cell, Change, Row};
use crate::spec::Table;

/// What one source row did to the survivor's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It became the survivor's row.
    Copied,
    /// A policy took at least one of its values.
    Merged,
    /// The survivor's row is as it was.
    Unchanged,
}

/// The rows of one key, folded in merge order.
#[derive(Debug)]
pub struct Fold<'a> {
    table: &'a Table,
    /// The row that stays: slim if it is the survivor's own, full if it is a copy.
    base: Option<Row>,
    /// Whether `base` comes from a source.
    copied: bool,
    /// The policy columns that changed since `base`, by position in `table.survivorship`.
    better: Vec<Option<Bytes>>,
}

impl<'a> Fold<'a> {
    /// Starts with the survivor's own row, if it has one.
    pub fn new(table: &'a Table, target: Option<Row>) -> Self {
        Self { table, base: target, copied: false, better: Vec::new() }
    }

    /// Adds the next source's row.
    pub fn add(&mut self, source: Row) -> Effect {
        let Some(base) = &self.base else {
            self.base = Some(source);
            self.copied = true;
            return Effect::Copied;
        };
        let mut effect = Effect::Unchanged;
        for (position, rule) in self.table.survivorship.iter().enumerate() {
            let offered = &source.cells[rule.column];
            let better = self.better.get(position).and_then(Option::as_ref);
            let preferred = match better {
                Some(value) => rule.prefers(offered, &Some(value.clone())),
                None => rule.prefers(offered, &base.cells[rule.column]),
            };
            if preferred {
                self.better.resize(self.table.survivorship.len(), None);
                self.better[position].clone_from(offered);
                effect = Effect::Merged;
            }
        }
        effect
    }

    /// A cell of the row as it will be; columns beyond the key are those that the survivor's rows are
    /// read with, and null where there is no row.
    pub fn cell(&self, column: usize) -> Option<&Cell> {
        self.base.as_ref().and_then(|row| row.cells.get(column))
    }

    /// Whether the survivor has a row of this key afterwards.
    pub fn is_present(&self) -> bool {
        self.base.is_some()
    }

    /// The change that has to be written under `survivor`; none if its row stays as it is.
    pub fn finish(self, survivor: &AccountId) -> Option<Change> {
        let mut base = self.base?;
        let changed = self
            .table
            .survivorship
            .iter()
            .zip(self.better)
            .filter_map(|(rule, value)| Some((rule.column, value?)));
        if self.copied {
            for (column, value) in changed {
                base.cells[column] = Some(value);
            }
            base.cells[self.table.account] = Some(survivor.cell().clone());
            return Some(Change::Insert { row: base });
        }
        let set: Vec<_> = changed.collect();
        if set.is_empty() {
            return None;
        }
        // Copied out of their pages: an update is small, and would keep a whole page alive.
        let own = |value: Bytes| Bytes::copy_from_slice(&value);
        let key = base.cells.into_iter().take(self.table.key_len).flatten().map(own).collect();
        let set = set.into_iter().map(|(column, value)| (column, own(value))).collect();
        Some(Change::Update { key, set })
    }
}
