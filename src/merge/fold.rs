//! One key: the survivor's row, if there is one, and the sources' rows, in order, become one row.
//!
//! The first row stays (the survivor's own, or the copy of the first source that has the key); the policies
//! then look at each further row, column by column. The final values are known before anything is
//! written, so a cell is written at most once per T. Where whole rows rank, the highest of them takes the place of the first.

use std::collections::BTreeSet;

use crate::model::{
    AccountId, Cell, ColumnIndex, ExpiryS, Moments, Row, TableIndex, TableTally, TimestampUs,
    expiry,
};
use crate::spec::{Dated, RowRule, Survivorship, Table};

use super::entry::{Entry, Set, Write};
use super::join::Matched;

/// The rows of one key, folded in merge order.
#[derive(Debug)]
pub struct Fold<'a> {
    table: &'a Table,
    entry: Entry,
    /// The policy columns that changed since the row that stays, by position in `table.survivorship`.
    better: Vec<Option<Set>>,
    /// Where that goes by write times: those of values that are not those of the row that stays, though they may be the same.
    since: Moments,
    /// The position of the source's row that takes the place of the one that stays, where whole rows do.
    replacing: Option<usize>,
    /// The sums that were made to fit, by position in `table.survivorship`.
    capped: BTreeSet<usize>,
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
        Self {
            table,
            entry,
            better: Vec::new(),
            since: Moments::default(),
            replacing: None,
            capped: BTreeSet::new(),
            tally,
        }
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
            Some(base) if self.table.rows.is_whole() => {
                let now = self.replacing.map_or(base, |at| &self.entry.sources[at].1);
                if replaces(self.table, now, &source) {
                    self.tally.merged += 1;
                    self.replacing = Some(self.entry.sources.len());
                } else {
                    self.tally.unchanged += 1;
                }
            }
            Some(base) => {
                self.capped.extend(capped(self.table, base, &self.better, &source));
                let better =
                    improvements(self.table, base, (&self.better, &mut self.since), &source);
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
            tally.capped_sums = 0;
        }
        (entry, tally)
    }

    /// The same, wherever rows may name the survivor twice.
    pub fn finish(self) -> (Entry, TableTally) {
        let Self { mut entry, better, replacing, capped, mut tally, .. } = self;
        tally.capped_sums = capped.len() as u64;
        let set: Vec<Set> = better.into_iter().flatten().collect();
        entry.write = match (replacing, &entry.target, entry.sources.is_empty()) {
            (Some(with), ..) => Write::Replace { with },
            (None, None, false) => Write::Copy { set },
            (None, Some(_), _) if !set.is_empty() => Write::Update { set },
            _ => Write::Nothing,
        };
        (entry, tally)
    }
}

/// Whether a source's row takes the place of the one that stays so far, as a whole.
fn replaces(table: &Table, now: &Row, source: &Row) -> bool {
    match &table.rows {
        RowRule::Stays => false,
        RowRule::Higher(ranking) => ranking.compare(source, now).is_gt(),
        RowRule::Source => {
            let lasts_otherwise = |column: ColumnIndex| {
                expiry::differ(now.expires.of(column), source.expires.of(column))
            };
            let mut columns = table.key_len..table.columns.len();
            now.cells[table.key_len..] != source.cells[table.key_len..]
                || table.carries_ttls && columns.any(lasts_otherwise)
        }
    }
}

/// What the row that stays holds by now in a column with a policy, of this position, and when that expires.
fn held<'a>(
    base: &'a Row,
    better: &'a [Option<Set>],
    (position, column): (usize, ColumnIndex),
) -> (&'a Cell, Option<ExpiryS>) {
    match better.get(position) {
        Some(Some(set)) => (&set.value, set.expires),
        _ => (&base.cells[column], base.expires.of(column)),
    }
}

/// The sums that do not fit with what a source adds to them.
fn capped<'a>(
    table: &'a Table,
    base: &'a Row,
    better: &'a [Option<Set>],
    source: &'a Row,
) -> impl Iterator<Item = usize> + 'a {
    let sums = table.survivorship.iter().enumerate().filter(|(_, rule)| rule.policy.adds());
    sums.filter_map(move |(position, rule)| {
        let (now, _) = held(base, better, (position, rule.column));
        let offered = &source.cells[rule.column];
        rule.policy.is_capped(&rule.cql_type, now, offered).then_some(position)
    })
}

/// The values of a source that the policies prefer to what the row that stays would hold by now. Of two that are computed
/// and the same the one stays that lasts longer.
fn improvements(
    table: &Table,
    base: &Row,
    (better, since): (&[Option<Set>], &mut Moments),
    source: &Row,
) -> Vec<(usize, Set)> {
    let rules = table.survivorship.iter().enumerate();
    rules
        .filter_map(|(position, rule)| {
            let (column, expires) = (rule.column, source.expires.of(rule.column));
            let (now, now_expires) = held(base, better, (position, column));
            let offered = &source.cells[column];
            if rule.policy.goes_by_time() {
                let now_t = since.of(column).or(base.written.of(column));
                let own = Dated { value: now, t: now_t };
                since.set(column, Some(later(rule, own, source)?));
            }
            let value = if rule.policy.is_computed() {
                let lasts_longer = || {
                    let is_same = now == offered && expiry::outlasts(expires, now_expires);
                    offered.clone().filter(|_| is_same && table.carries_ttls)
                };
                Some(rule.combine(now, offered).or_else(lasts_longer)?)
            } else {
                let lasts_otherwise = table.carries_ttls && expiry::differ(expires, now_expires);
                (now != offered || lasts_otherwise).then(|| offered.clone())?
            };
            Some((position, Set { column, value, expires }))
        })
        .collect()
}

/// When a source's value was written, if that was later than what stands by now.
fn later(rule: &Survivorship, own: Dated<'_>, source: &Row) -> Option<TimestampUs> {
    let (column, of) = (rule.column, &rule.cql_type);
    let offered = Dated { value: &source.cells[column], t: source.written.of(column) };
    rule.policy.late(of, own, offered)
}
