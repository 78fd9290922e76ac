//! What stands at the keys of a chunk now, read with write times.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use crate::account::{AccountId, Group, TableIndex, TimedRow};
use crate::pipeline::Context;
use crate::storage::{Reader, StorageError, Width};

use super::key::{Found, Key};

/// Reads that one group has under way at once.
const READS: usize = 16;
/// Accounts that one read asks for.
const ACCOUNTS_PER_READ: usize = 100;
/// What a page may hold that is read in the hope that it is the whole account.
const PAGE_BYTES: usize = 1024 * 1024;

/// Reads what stands at the keys of a chunk, each with its position in it.
pub(super) async fn look<S: Reader>(
    context: &Context<S>,
    group: &Group,
    keys: &[(usize, &Key<'_>)],
) -> Result<HashMap<usize, Found>, StorageError> {
    let look = Look { context, group };
    let mut found: HashMap<usize, Found> = HashMap::new();
    for (table, shape) in context.spec.tables.iter().enumerate() {
        let of_table = keys.iter().copied().filter(|(_, key)| key.history.table == table);
        let of_table: Vec<_> = of_table.collect();
        if of_table.is_empty() {
            continue;
        }
        if shape.is_clustering() {
            look.enrolments(table, &of_table, &mut found).await?;
        } else {
            look.partitions(table, &of_table, &mut found).await?;
        }
    }
    Ok(found)
}

struct Look<'a, S> {
    context: &'a Context<S>,
    group: &'a Group,
}

impl<S: Reader> Look<'_, S> {
    fn account(&self, source: usize) -> &AccountId {
        &self.group.pairs[source].from
    }

    /// Keys of a table found by partition. Sources own nothing there but by exception, so that is asked
    /// first, without values.
    async fn partitions(
        &self,
        table: TableIndex,
        keys: &[(usize, &Key<'_>)],
        found: &mut HashMap<usize, Found>,
    ) -> Result<(), StorageError> {
        let survivor = &self.group.survivor;
        for (position, row) in self.rows(table, survivor, keys).await? {
            found.entry(position).or_default().survivor = Some(row);
        }
        let mut by_source: BTreeMap<usize, Vec<(usize, &Key<'_>)>> = BTreeMap::new();
        for key in keys.iter().copied() {
            for source in key.1.sources() {
                by_source.entry(source).or_default().push(key);
            }
        }
        let sources: Vec<usize> = by_source.keys().copied().collect();
        for chunk in sources.chunks(ACCOUNTS_PER_READ) {
            let accounts: Vec<_> =
                chunk.iter().map(|source| self.account(*source).clone()).collect();
            let lane = self.context.lanes.look(table);
            let look = || self.context.storage.occupied(table, &accounts);
            let occupied = self.context.carry_out(lane, look).await?;
            for source in chunk.iter().filter(|source| occupied.contains(self.account(**source))) {
                for (position, row) in
                    self.rows(table, self.account(*source), &by_source[source]).await?
                {
                    found.entry(position).or_default().sources.push((*source, row));
                }
            }
        }
        Ok(())
    }

    /// The rows of an account at these keys: from one page if that is the whole account, else one by one.
    async fn rows(
        &self,
        table: TableIndex,
        account: &AccountId,
        keys: &[(usize, &Key<'_>)],
    ) -> Result<Vec<(usize, TimedRow)>, StorageError> {
        let shape = &self.context.spec.tables[table];
        let lane = self.context.lanes.read(table, Width::Full);
        let wanted =
            keys.iter().map(|(position, key)| (*position, key.history.key_of(shape, account)));
        let wanted: Vec<(usize, Vec<Bytes>)> = wanted.collect();
        if wanted.len() > 1 {
            let bytes: usize = keys.iter().map(|(_, key)| key.size_bytes()).sum();
            let affordable = PAGE_BYTES / (bytes / keys.len()).max(1);
            let rows = (4 * keys.len() + 20).min(affordable).max(2);
            let read = || self.context.storage.timed_page(table, account, rows, None);
            let page = self.context.carry_out(lane, read).await?;
            if page.next.is_none() {
                let key_of = |row: &TimedRow| -> Vec<Bytes> {
                    row.row.cells[..shape.key_len].iter().flatten().cloned().collect()
                };
                let mut rows: HashMap<_, _> =
                    page.rows.into_iter().map(|row| (key_of(&row), row)).collect();
                let rows = wanted.iter().filter_map(|(at, key)| Some((*at, rows.remove(key)?)));
                return Ok(rows.collect());
            }
        }
        let reads = wanted.iter().map(|(position, key)| async move {
            let read = || self.context.storage.timed_row(table, key);
            let row = self.context.carry_out(lane, read).await?;
            Ok::<_, StorageError>(row.map(|row| (*position, row)))
        });
        let reads: Vec<_> = reads.collect();
        let rows: Vec<_> = stream::iter(reads).buffer_unordered(READS).try_collect().await?;
        Ok(rows.into_iter().flatten().collect())
    }

    /// Keys of a table in which the account is a clustering column: one partition each.
    async fn enrolments(
        &self,
        table: TableIndex,
        keys: &[(usize, &Key<'_>)],
        found: &mut HashMap<usize, Found>,
    ) -> Result<(), StorageError> {
        let reads = keys.iter().map(|(position, key)| async move {
            Ok::<_, StorageError>((*position, self.enrolment(table, key).await?))
        });
        let reads: Vec<_> = reads.collect();
        let mut read = stream::iter(reads).buffer_unordered(READS);
        while let Some((position, rows)) = read.try_next().await? {
            found.insert(position, rows);
        }
        Ok(())
    }

    async fn enrolment(&self, table: TableIndex, key: &Key<'_>) -> Result<Found, StorageError> {
        let survivor = &self.group.survivor;
        let partition = key.history.key_of(key.table, survivor).swap_remove(0);
        let sources: Vec<usize> = key.sources().collect();
        let mut accounts = vec![survivor.clone()];
        accounts.extend(sources.iter().map(|source| self.account(*source).clone()));
        let mut found = Found::default();
        for chunk in accounts.chunks(ACCOUNTS_PER_READ) {
            let lane = self.context.lanes.read(table, Width::Full);
            let read = || self.context.storage.timed_rows_of(table, &partition, chunk);
            for row in self.context.carry_out(lane, read).await? {
                let owner = row.row.cells[key.table.account].clone();
                match sources.iter().find(|s| Some(self.account(**s).cell()) == owner.as_ref()) {
                    Some(source) => found.sources.push((*source, row)),
                    None => found.survivor = Some(row),
                }
            }
        }
        found.sources.sort_by_key(|(source, _)| *source);
        Ok(found)
    }
}
