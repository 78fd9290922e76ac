//! What stands at some keys now, read with write times: those of a chunk of a group's ledger.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use crate::history::{History, row_bytes};
use crate::model::{AccountId, Group, Row, Scope, TableIndex, TimedRow};
use crate::storage::{Reader, StorageError};

use super::{NextPage, READS, Window};

/// A key that is looked at.
#[derive(Clone, Debug)]
pub(crate) struct Sought<'a> {
    /// Its position in its chunk.
    pub at: usize,
    /// What the run did to it.
    pub history: &'a History,
    /// Whether the survivor's row is read.
    pub with_survivor: bool,
    /// The sources whose rows are read, by their places in the group.
    pub sources: Vec<usize>,
}

/// What stands at a key now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyRows {
    /// The survivor's row.
    pub survivor: Option<TimedRow>,
    /// The rows of sources that own one, by their places in the group.
    pub sources: Vec<(usize, TimedRow)>,
}

/// A page is this many times smaller than it could be, divided by the keys that are looked for: what else
/// the account owns is read in vain.
const THRIFT: usize = 64;

/// Reads what stands at some keys, by position.
///
/// # Errors
/// A read failed for good.
pub(crate) async fn look<S: Reader>(
    window: &Window<S>,
    group: &Group,
    keys: &[Sought<'_>],
) -> Result<HashMap<usize, KeyRows>, StorageError> {
    let look = Look { window, group };
    let mut found: HashMap<usize, KeyRows> = HashMap::new();
    for (table, shape) in window.spec.tables.iter().enumerate() {
        let of_table = keys.iter().filter(|key| key.history.table == table);
        let of_table: Vec<&Sought<'_>> = of_table.collect();
        if of_table.is_empty() {
            continue;
        }
        if shape.has_point_rows() {
            look.points(table, &of_table, &mut found).await?;
            continue;
        }
        let mut by_scope: BTreeMap<Scope, Vec<&Sought<'_>>> = BTreeMap::new();
        for key in of_table {
            by_scope.entry(key.history.scope(shape)).or_default().push(key);
        }
        for (scope, of_scope) in by_scope {
            look.scope((table, &scope), &of_scope, &mut found).await?;
        }
    }
    Ok(found)
}

/// Rows of sources, by the position of their key and the source's place in the group.
pub(crate) type SourceRows = HashMap<(usize, usize), Row>;

/// Reads the sources' rows at some keys, without write times. Those of an account that owns more rows than one page holds
/// are not among them.
///
/// # Errors
/// A read failed for good.
pub(crate) async fn values<S: Reader>(
    window: &Window<S>,
    group: &Group,
    keys: &[Sought<'_>],
) -> Result<SourceRows, StorageError> {
    let mut by_owner: BTreeMap<(TableIndex, Scope, usize), Vec<&Sought<'_>>> = BTreeMap::new();
    for key in keys {
        let table = key.history.table;
        let scope = key.history.scope(&window.spec.tables[table]);
        for source in &key.sources {
            by_owner.entry((table, scope.clone(), *source)).or_default().push(key);
        }
    }
    let reads = by_owner.iter().map(|((table, scope, source), keys)| async move {
        let (shape, account) = (&window.spec.tables[*table], &group.pairs[*source].from);
        let row_bytes = row_bytes(keys.iter().map(|key| key.history));
        let rows = window.values_of(*table, (scope, account), row_bytes).await?.unwrap_or_default();
        let mut rows: HashMap<_, _> =
            rows.into_iter().map(|row| (shape.key_of(&row), row)).collect();
        let found = keys.iter().filter_map(|key| {
            let row = rows.remove(&key.history.key_of(shape, account))?;
            Some(((key.at, *source), row))
        });
        Ok::<_, StorageError>(found.collect::<Vec<_>>())
    });
    let reads: Vec<_> = reads.collect();
    let rows: Vec<_> = stream::iter(reads).buffer_unordered(READS).try_collect().await?;
    Ok(rows.into_iter().flatten().collect())
}

struct Look<'a, S> {
    window: &'a Window<S>,
    group: &'a Group,
}

impl<S: Reader> Look<'_, S> {
    fn account(&self, source: usize) -> &AccountId {
        &self.group.pairs[source].from
    }

    /// Keys of a scope in which accounts may own many rows. Sources own nothing there but by exception, so that is asked
    /// first, without values.
    async fn scope(
        &self,
        of: (TableIndex, &Scope),
        keys: &[&Sought<'_>],
        found: &mut HashMap<usize, KeyRows>,
    ) -> Result<(), StorageError> {
        let own = keys.iter().copied().filter(|key| key.with_survivor);
        let own: Vec<&Sought<'_>> = own.collect();
        for (position, row) in self.rows(of, &self.group.survivor, &own).await? {
            found.entry(position).or_default().survivor = Some(row);
        }
        let mut by_source: BTreeMap<usize, Vec<&Sought<'_>>> = BTreeMap::new();
        for key in keys {
            for source in &key.sources {
                by_source.entry(*source).or_default().push(key);
            }
        }
        let accounts: Vec<_> =
            by_source.keys().map(|source| self.account(*source).clone()).collect();
        let owners = self.window.owners(of.0, of.1, &accounts).await?;
        for (source, keys) in by_source {
            let account = self.account(source);
            if owners.contains(account) {
                for (position, row) in self.rows(of, account, &keys).await? {
                    found.entry(position).or_default().sources.push((source, row));
                }
            }
        }
        Ok(())
    }

    /// The rows of an account at these keys: from one page if that is the whole account, else one by one.
    async fn rows(
        &self,
        (table, scope): (TableIndex, &Scope),
        account: &AccountId,
        keys: &[&Sought<'_>],
    ) -> Result<Vec<(usize, TimedRow)>, StorageError> {
        let shape = &self.window.spec.tables[table];
        let row_bytes = row_bytes(keys.iter().map(|key| key.history));
        let keys = keys.iter().map(|key| (key.at, key.history.key_of(shape, account)));
        let keys: Vec<(usize, Vec<Bytes>)> = keys.collect();
        if keys.len() > 1 && !shape.is_mention() {
            let streams = (THRIFT / keys.len()).max(1);
            let mut next = NextPage::First(row_bytes);
            let rows_of = (scope, account);
            let page = self.window.timed_page(table, rows_of, streams, &mut next).await?;
            if matches!(next, NextPage::None) {
                let mut rows: HashMap<_, _> =
                    page.into_iter().map(|row| (shape.key_of(&row.row), row)).collect();
                let found = keys.iter().filter_map(|(at, key)| Some((*at, rows.remove(key)?)));
                return Ok(found.collect());
            }
        }
        let reads = keys.iter().map(|(position, key)| async move {
            let row = self.window.timed_row(table, key).await?;
            Ok::<_, StorageError>(row.map(|row| (*position, row)))
        });
        let reads: Vec<_> = reads.collect();
        let rows: Vec<_> = stream::iter(reads).buffer_unordered(READS).try_collect().await?;
        Ok(rows.into_iter().flatten().collect())
    }

    /// Keys of a table in which each account owns one row of a scope.
    async fn points(
        &self,
        table: TableIndex,
        keys: &[&Sought<'_>],
        found: &mut HashMap<usize, KeyRows>,
    ) -> Result<(), StorageError> {
        let reads = keys.iter().map(|key| async move {
            Ok::<_, StorageError>((key.at, self.point(table, key).await?))
        });
        let reads: Vec<_> = reads.collect();
        let mut read = stream::iter(reads).buffer_unordered(READS);
        while let Some((position, rows)) = read.try_next().await? {
            found.insert(position, rows);
        }
        Ok(())
    }

    async fn point(&self, table: TableIndex, key: &Sought<'_>) -> Result<KeyRows, StorageError> {
        let scope = key.history.scope(&self.window.spec.tables[table]);
        // The survivor stands behind the sources.
        let sources = key.sources.iter().map(|source| self.account(*source));
        let survivor = key.with_survivor.then_some(&self.group.survivor);
        let accounts: Vec<AccountId> = sources.chain(survivor).cloned().collect();
        let mut found = KeyRows::default();
        for (owner, row) in self.window.timed_rows_of(table, &scope, &accounts).await? {
            match key.sources.get(owner) {
                Some(source) => found.sources.push((*source, row)),
                None => found.survivor = Some(row),
            }
        }
        Ok(found)
    }
}
