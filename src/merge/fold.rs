//! One key: the survivor's row, if there is one, and the sources' rows, in order, become one row.
//!
//! The first row stays (the survivor's own, or the copy of the first source that has the key); the policies
//! then look at each further row, column by column. The final values are known before anything is
//! written, so a cell is written at most once per T. Where whole rows rank, the highest of them takes the place of the first.

use bytes::Bytes;

use crate::model::{AccountId, ColumnIndex, ExpiryS, Row, TableIndex, TableTally, expiry};
use crate::spec::Table;

use super::entry::{Entry, Write};
use super::join::Matched;

/// A value, and when it expires, if it does.
type Better = (Bytes, Option<ExpiryS>);

/// The rows of one key, folded in merge order.
#[derive(Debug)]
pub struct Fold<'a> {
    table: &'a Table,
    entry: Entry,
    /// The policy columns that changed since the row that stays, by position in `table.survivorship`.
    better: Vec<Option<Better>>,
    /// The position of the source's row that ranks highest, where rows rank and it is not the one that stays.
    higher: Option<usize>,
    tally: TableTally,
}

impl<'a> Fold<'a> {
    /// Starts with the survivor's own row, if it has one.
    pub fn new(index: TableIndex, table: &'a Table, target: Option<Row>) -> Self {
        let tally =
            TableTally { target_rows: u64::from(target.is_some()), ..TableTally::default() };
        let target = target.map(|mut row| {
            row.truncate(table.slim_len);
            row
        });
        let entry = Entry { target, ..Entry::new(index) };
        Self { table, entry, better: Vec::new(), higher: None, tally }
    }

    /// Has all rows of a key.
    pub(crate) fn of(index: TableIndex, table: &'a Table, matched: Matched) -> Self {
        let mut fold = Self::new(index, table, matched.target);
        for (source, row) in matched.sources {
            fold.add(source, row);
        }
        fold
    }

    /// Folds all rows of a key at once.
    pub fn all(index: TableIndex, table: &'a Table, matched: Matched) -> (Entry, TableTally) {
        Self::of(index, table, matched).finish()
    }

    /// Adds the row of the next source that has one; `position` is its index in the group.
    pub fn add(&mut self, position: usize, source: Row) {
        self.tally.source_rows += 1;
        match self.entry.base() {
            None => self.tally.copied += 1,
            Some(base) if self.table.ranking.is_any() => {
                let now = self.higher.map_or(base, |at| &self.entry.sources[at].1);
                if self.table.ranking.compare(&source, now).is_gt() {
                    self.tally.merged += 1;
                    self.higher = Some(self.entry.sources.len());
                } else {
                    self.tally.unchanged += 1;
                }
            }
            Some(base) => {
                let better = improvements(self.table, base, &self.better, &source);
                if better.is_empty() {
                    self.tally.unchanged += 1;
                } else {
                    self.tally.merged += 1;
                    self.better.resize(self.table.survivorship.len(), None);
                }
                for (position, value) in better {
                    self.better[position] = Some(value);
                }
            }
        }
        self.entry.sources.push((position, source));
    }

    /// The key with what has to be written, and the count of its rows.
    pub(crate) fn finish_for(self, survivor: &AccountId) -> (Entry, TableTally) {
        let table = self.table;
        let (mut entry, mut tally) = self.finish();
        if entry.drop_oneself(table, survivor) {
            (tally.copied, tally.merged, tally.unchanged) = (0, 0, tally.source_rows);
        }
        (entry, tally)
    }

    /// The same, wherever rows may name the survivor twice.
    pub fn finish(self) -> (Entry, TableTally) {
        let Self { table, mut entry, better, higher, tally } = self;
        let changed = table.survivorship.iter().zip(better);
        let set: Vec<(ColumnIndex, Bytes)> =
            changed.filter_map(|(rule, better)| Some((rule.column, better?.0))).collect();
        entry.write = match (higher, &entry.target, entry.sources.is_empty()) {
            (Some(with), ..) => Write::Replace { with },
            (None, None, false) => Write::Copy { set },
            (None, Some(_), _) if !set.is_empty() => Write::Update { set },
            _ => Write::Nothing,
        };
        (entry, tally)
    }
}

/// The values of a source that the policies prefer to what the row that stays would hold by now. Of two that are the same
/// the one stays that lasts longer.
fn improvements(
    table: &Table,
    base: &Row,
    better: &[Option<Better>],
    source: &Row,
) -> Vec<(usize, Better)> {
    let rules = table.survivorship.iter().enumerate();
    rules
        .filter_map(|(position, rule)| {
            let (column, lasts) = (rule.column, source.expires.of(rule.column));
            let (now, now_lasts) = match better.get(position) {
                Some(Some((value, lasts))) => (&Some(value.clone()), *lasts),
                _ => (&base.cells[column], base.expires.of(column)),
            };
            let offered = &source.cells[column];
            let lasts_longer = || {
                let is_same = now == offered && expiry::outlasts(lasts, now_lasts);
                offered.clone().filter(|_| is_same && table.carries_ttls)
            };
            let value = rule.combine(now, offered).or_else(lasts_longer)?;
            Some((position, (value, lasts)))
        })
        .collect()
}
