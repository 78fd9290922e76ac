//! Keys: in the order of a scan, and the rows of mentions, which are part of another table's.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};

use bytes::Bytes;

use crate::model::{Change, Row, Scope, TableIndex, TokenRange};
use crate::spec::Table;
use crate::storage::{Mention, StorageError, TimedRow};

use super::{MemoryStorage, check_key};

/// Where the partition is on the ring: anywhere, but always there.
fn token(partition: &[Bytes]) -> i64 {
    let mut hasher = DefaultHasher::new();
    for part in partition {
        hasher.write(part);
    }
    // No partition has the lowest token.
    hasher.finish().cast_signed().max(i64::MIN + 1)
}

/// Where a key comes in a scan.
fn position(partition: &[Bytes], rest: &[Bytes]) -> Vec<u8> {
    let token = token(partition).abs_diff(i64::MIN);
    let (partition, rest) = (partition.join(&[0][..]), rest.join(&[0][..]));
    [&token.to_be_bytes()[..], &partition, &[0], &rest].concat()
}

/// The account of a row of mentions.
pub(super) fn mentioned(mut row: TimedRow) -> Option<Mention> {
    let (account, times) = row.row.cells.pop().zip(row.times.pop())?;
    let expires = row.row.expires.of(row.row.cells.len()).is_some();
    Some(Mention { account: account?, t: times.latest()?, expires })
}

impl MemoryStorage {
    /// The keys of a range, in the order of a scan.
    pub(super) fn keys_in(
        &self,
        table: TableIndex,
        range: TokenRange,
    ) -> BTreeMap<Vec<u8>, (Scope, Bytes)> {
        let shape = &self.spec.tables[table];
        let (home, kept) = self.home(table);
        debug_assert!(shape.locator.is_discovered() || shape.is_mention());
        let mut keys = BTreeMap::new();
        for (partition, stored) in &self.tables()[home] {
            if !range.contains(token(partition)) {
                continue;
            }
            for timed in stored.live(kept, kept.key_len, self.now_s()) {
                let key = kept.key_of(&timed.row);
                let (scope, rest, account) = if shape.is_mention() {
                    let rest = key[shape.partition_len..].to_vec();
                    (Scope::new(key), rest, mentioned(self.part(table, timed)).map(|m| m.account))
                } else {
                    let account = key.get(shape.account).cloned();
                    (shape.scope_of_key(partition), account.iter().cloned().collect(), account)
                };
                if let Some(account) = account {
                    keys.insert(position(partition, &rest), (scope, account));
                }
            }
        }
        keys
    }

    /// The row of a primary key.
    pub(super) fn row(
        &self,
        table: TableIndex,
        key: &[Bytes],
    ) -> Result<Option<TimedRow>, StorageError> {
        let (home, shape) = self.home(table);
        let partition = &key[..shape.partition_len.min(key.len())];
        check_key(partition)?;
        let stored = self.tables()[home].get(partition).cloned();
        let live = |stored: super::Partition| stored.live(shape, shape.columns.len(), self.now_s());
        let rows = stored.map_or_else(Vec::new, live);
        let mut rows = rows.into_iter();
        let found = rows.find(|timed| timed.row.cells.iter().flatten().take(key.len()).eq(key));
        Ok(found.map(|row| self.part(table, row)))
    }

    /// A change of a table as one of that in which its rows are kept.
    pub(super) fn at_home<'c>(
        &self,
        table: TableIndex,
        change: &'c Change,
    ) -> (TableIndex, Cow<'c, Change>) {
        let (home, kept) = self.home(table);
        let mut change = Cow::Borrowed(change);
        if home != table
            && let Change::Update { set, .. } = change.to_mut()
        {
            let shape = &self.spec.tables[table];
            for (column, _) in set {
                *column = kept.position(&shape.columns[*column].name).unwrap_or(*column);
            }
        }
        (home, change)
    }

    /// The table in which the rows of another are kept: mentions are cells of rows that are merged, too.
    fn home(&self, table: TableIndex) -> (TableIndex, &Table) {
        let tables = &self.spec.tables;
        let home = tables.iter().position(|other| other.name == tables[table].name);
        let home = home.unwrap_or(table);
        (home, &tables[home])
    }

    /// What a table has of a row that is kept in another.
    fn part(&self, table: TableIndex, row: TimedRow) -> TimedRow {
        let ((home, kept), shape) = (self.home(table), &self.spec.tables[table]);
        if home == table {
            return row;
        }
        let columns = shape.columns.iter().filter_map(|column| kept.position(&column.name));
        let columns: Vec<_> = columns.collect();
        let parts = columns.iter().map(|at| (row.row.cells[*at].clone(), row.times[*at].clone()));
        let (cells, times) = parts.unzip();
        let expires = columns.iter().enumerate();
        let expires = expires.filter_map(|(at, own)| Some((at, row.row.expires.of(*own)?)));
        TimedRow { row: Row { expires: expires.collect(), ..Row::new(cells) }, times }
    }
}
