//! What a group of a window may ask for. It waits for the others with each of these.

use std::mem;
use std::slice;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures::future::try_join_all;
use thiserror::Error;

use crate::failpoint;
use crate::journal::{Intent, JournalError};
use crate::merge::{Completion, PartitionDelete};
use crate::model::{AccountId, Batch, Group, Row, Scope, TableIndex, TimedRow, TimestampUs};
use crate::storage::{Cursor, Reader, StorageError, TimedPage, Width, Writer};

use super::super::attempt::Attempts;
use super::super::pages::{Sort, TIMES_WEIGH, Weighed, is_large_row};
use super::super::request_limits::RequestKind;
use super::Window;
use super::gather::Whole;

/// Where the pages of an account's rows go on.
#[derive(Clone, Debug)]
pub enum NextPage {
    /// At its first row. A row is known to have so many bytes, or 0 if nothing is known.
    First(usize),
    /// At a later one. Those before it had so many bytes each.
    After(Cursor, usize),
    /// Nowhere.
    None,
}

/// Why an intent is not durable.
#[derive(Clone, Debug, Error)]
pub enum IntendError {
    /// The tables are not what they were, or that cannot be told.
    #[error(transparent)]
    Altered(#[from] StorageError),
    /// The journal cannot be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl<S: Reader> Window<S> {
    /// The rows of an account's partition, if they are no more than a first page that several accounts
    /// share; the bytes of one of them if there are more.
    ///
    /// # Errors
    /// The read failed for good.
    pub(in super::super) async fn first_page(
        &self,
        table: TableIndex,
        scope: &Scope,
        account: &AccountId,
        width: Width,
    ) -> Result<Whole<Row>, StorageError> {
        self.probed.see(table, scope, account);
        // Of a survivor's row little is read.
        if width == Width::Full
            && let Some(known) =
                self.known(RequestKind::First(width), table, scope, account).await?
        {
            return Ok(known.map(|()| Vec::new()));
        }
        self.asked.first_pages.ask((table, width, scope.clone()), account.clone()).await
    }

    /// All rows of an account in a scope, without write times; `None` where they may be more than a first page that several
    /// accounts share. A row is known to have so many bytes, or 0 if nothing is known.
    ///
    /// # Errors
    /// The read failed for good.
    pub(crate) async fn values_of(
        &self,
        table: TableIndex,
        (scope, account): (&Scope, &AccountId),
        row_bytes: usize,
    ) -> Result<Option<Vec<Row>>, StorageError> {
        let shape = &self.spec.tables[table];
        if shape.has_point_rows() {
            let rows = self.rows_of(table, scope, slice::from_ref(account)).await?;
            return Ok(Some(rows.into_iter().flatten().collect()));
        }
        if !shape.owns_partitions() || is_large_row(row_bytes) {
            return Ok(None);
        }
        Ok(self.first_page(table, scope, account, Width::Full).await?.ok())
    }

    /// What is known of an account, in a table in which some may be too large to be asked for with others, by its first
    /// row: that it owns nothing, or the bytes of the row if it is one of the large ones. `None` if its first page may be
    /// shared. How many rows of a size are too many is learnt from all rows, but whoever has met small ones only cannot know
    /// of the large ones that come.
    async fn known(
        &self,
        kind: RequestKind,
        table: TableIndex,
        scope: &Scope,
        account: &AccountId,
    ) -> Result<Option<Result<(), usize>>, StorageError> {
        let reported = self.largest_partition(table).await;
        if !self.request_limits.may_be_large(kind, table, reported) {
            return Ok(None);
        }
        let first = self.asked.first_rows.ask((table, scope.clone()), account.clone()).await?;
        let is_large = |bytes| self.request_limits.is_large(kind, table, bytes);
        Ok(match first {
            None => Some(Ok(())),
            Some(bytes) => is_large(bytes).then_some(Err(bytes)),
        })
    }

    /// What nodes say of the largest partition of a table, in bytes; they are asked once.
    async fn largest_partition(&self, table: TableIndex) -> Option<u64> {
        let reported = self.request_limits.largest_partition(table);
        *reported.get_or_init(|| self.storage.largest_partition(table)).await
    }

    /// The rows that accounts own in a scope of a table in which each owns one, by account.
    ///
    /// # Errors
    /// The read failed for good.
    pub(crate) async fn rows_of(
        &self,
        table: TableIndex,
        scope: &Scope,
        accounts: &[AccountId],
    ) -> Result<Vec<Option<Row>>, StorageError> {
        accounts.iter().take(1).for_each(|account| self.probed.see(table, scope, account));
        self.largest_partition(table).await;
        let ask =
            |account: &AccountId| self.asked.rows.ask((table, scope.clone()), account.clone());
        let rows = try_join_all(accounts.iter().map(ask)).await?;
        Ok(rows.into_iter().map(|mut own| own.pop()).collect())
    }

    /// Which of the accounts own rows in a scope.
    ///
    /// # Errors
    /// A read failed for good.
    pub async fn owners(
        &self,
        table: TableIndex,
        scope: &Scope,
        accounts: &[AccountId],
    ) -> Result<Vec<AccountId>, StorageError> {
        let own = try_join_all(accounts.iter().map(|account| self.owns(table, scope, account)));
        let owners = accounts.iter().zip(own.await?).filter(|(_, owns)| *owns);
        Ok(owners.map(|(account, _)| account.clone()).collect())
    }

    /// Whether an account owns rows in a scope.
    ///
    /// # Errors
    /// The read failed for good.
    pub(in super::super) async fn owns(
        &self,
        table: TableIndex,
        scope: &Scope,
        account: &AccountId,
    ) -> Result<bool, StorageError> {
        self.probed.see(table, scope, account);
        self.asked.owners.ask((table, scope.clone()), account.clone()).await
    }

    /// The keys of an account's rows in a scope in which a cell that a policy looks at was written after `t`.
    ///
    /// # Errors
    /// The read failed for good.
    pub(in super::super) async fn written_since(
        &self,
        table: TableIndex,
        scope: &Scope,
        account: &AccountId,
        t: TimestampUs,
    ) -> Result<Vec<Vec<Bytes>>, StorageError> {
        self.asked.written_since.ask((table, scope.clone(), t), account.clone()).await
    }

    /// The next page of an account's rows in a scope, with write times; `streams` accounts are read side by
    /// side. `next` is moved on.
    ///
    /// # Errors
    /// The read failed for good.
    pub async fn timed_page(
        &self,
        table: TableIndex,
        (scope, account): (&Scope, &AccountId),
        streams: usize,
        next: &mut NextPage,
    ) -> Result<Vec<TimedRow>, StorageError> {
        self.probed.see(table, scope, account);
        let sizes = &self.request_limits.sizes;
        let (rows, after, row_bytes) = match mem::replace(next, NextPage::None) {
            NextPage::First(mut row_bytes) => {
                if self.spec.tables[table].owns_partitions() && !is_large_row(row_bytes) {
                    let whole =
                        match self.known(RequestKind::TimedFirst, table, scope, account).await? {
                            Some(known) => known.map(|()| Vec::new()),
                            None => {
                                let asked = &self.asked.timed_first_pages;
                                asked.ask((table, scope.clone()), account.clone()).await?
                            }
                        };
                    match whole {
                        Ok(rows) => return Ok(rows),
                        Err(seen) => row_bytes = row_bytes.max(seen),
                    }
                }
                (sizes.first_page(table, Width::Full, streams), None, row_bytes)
            }
            NextPage::After(cursor, row_bytes) => {
                (sizes.further_page(table, Width::Full, streams), Some(cursor), row_bytes)
            }
            NextPage::None => return Ok(Vec::new()),
        };
        let rows = (rows / TIMES_WEIGH).max(2);
        let operation = self.operations.read(table, Width::Full);
        let sort = Sort { kind: RequestKind::TimedPage, table, operation };
        let read = |rows| self.storage.timed_page(table, (scope, account), rows, after.clone());
        let page: TimedPage = self.page_of(sort, rows, row_bytes, read).await?;
        self.count(page.weigh().1);
        let row_bytes = row_bytes.max(page.row_bytes());
        *next = page.next.map_or(NextPage::None, |cursor| NextPage::After(cursor, row_bytes));
        Ok(page.rows)
    }

    /// The row of a primary key, with write times.
    ///
    /// # Errors
    /// The read failed for good.
    pub async fn timed_row(
        &self,
        table: TableIndex,
        key: &[Bytes],
    ) -> Result<Option<TimedRow>, StorageError> {
        let shape = &self.spec.tables[table];
        if shape.has_point_rows() {
            let account = AccountId::from_cell(self.spec.accounts, key[shape.account].clone());
            let rows = self.timed_rows_of(table, &shape.scope_of_key(key), &[account]).await?;
            return Ok(rows.into_iter().next().map(|(_, row)| row));
        }
        let operation = self.operations.read(table, Width::Slim);
        let bytes = self.request_limits.row(RequestKind::TimedPage, table);
        let attempts = Attempts { bytes, ..self.attempts(1) };
        attempts.carry_out(operation, || self.storage.timed_row(table, key)).await
    }

    /// The rows that accounts own in a scope of a table in which each owns one, with write times, each with the
    /// position of its owner among the accounts.
    ///
    /// # Errors
    /// A read failed for good.
    pub async fn timed_rows_of(
        &self,
        table: TableIndex,
        scope: &Scope,
        accounts: &[AccountId],
    ) -> Result<Vec<(usize, TimedRow)>, StorageError> {
        self.largest_partition(table).await;
        let ask = |account: &AccountId| {
            self.asked.timed_rows.ask((table, scope.clone()), account.clone())
        };
        let rows = try_join_all(accounts.iter().map(ask)).await?;
        let owned = rows.into_iter().enumerate();
        Ok(owned.flat_map(|(owner, rows)| rows.into_iter().map(move |row| (owner, row))).collect())
    }
}

impl<S> Window<S> {
    /// Waits until an intent is durable.
    ///
    /// # Errors
    /// Why it is not; nothing that it covers may be written then.
    pub async fn intend(&self, intent: Intent) -> Result<(), IntendError> {
        self.may_intend().await?;
        self.commit(intent).await
    }

    /// The same of the first intent of a group that is merged; `false`, and it is not journaled, if the group has to be read
    /// and dated again.
    ///
    /// # Errors
    /// As of [`intend`](Self::intend).
    pub(in super::super) async fn intend_first(&self, intent: Intent) -> Result<bool, IntendError> {
        self.may_intend().await?;
        if self.is_outdated() {
            return Ok(false);
        }
        self.commit(intent).await.map(|()| true)
    }

    async fn commit(&self, intent: Intent) -> Result<(), IntendError> {
        let began = Instant::now();
        failpoint::hit("intend");
        self.asked.intents.ask((), intent).await?;
        failpoint::hit("intended");
        self.recorder.record(self.operations.journal(), began.elapsed());
        Ok(())
    }

    /// What has to hold behind a group's last read, and before an intent makes it certain that what follows from it is
    /// written, by this command or another: the tables are what they were when it was read, and the clock tells the nodes'
    /// time. What is added to them later is dated later than anything that the intent deletes.
    async fn may_intend(&self) -> Result<(), StorageError> {
        self.asked.unaltered.ask((), ()).await
    }
}

impl<S: Writer> Window<S> {
    /// Writes sequences of batches: the sequences at the same time, the batches of each in turn.
    ///
    /// # Errors
    /// The first write that failed for good; others may have been written.
    pub async fn write_all(&self, sequences: Vec<Vec<Batch>>) -> Result<(), StorageError> {
        let writes = sequences.into_iter().map(|batches| async move {
            for batch in batches {
                self.write(batch).await?;
                failpoint::hit("batch");
            }
            Ok(())
        });
        try_join_all(writes).await.map(drop)
    }

    /// Writes one batch. Those of one partition are joined; each mutation has the write time of its own group.
    async fn write(&self, batch: Batch) -> Result<(), StorageError> {
        let shape = &self.spec.tables[batch.table];
        let key = batch.partition_key(shape.partition_len).unwrap_or_default();
        self.asked.writes.ask((batch.table, key), Arc::new(batch)).await
    }

    /// Deletes the partitions of a group's sources that a completion names.
    ///
    /// # Errors
    /// The first delete that failed for good; others may have been carried out.
    pub(crate) async fn delete_sources(
        &self,
        group: &Group,
        completion: &Completion,
        t: TimestampUs,
    ) -> Result<(), StorageError> {
        let deletes = completion.deletes.iter().map(|delete| async move {
            let PartitionDelete { table, source, scope } = delete;
            let account = group.pairs[*source].from.clone();
            self.asked.deletes.ask((*table, scope.clone(), t), account).await?;
            failpoint::hit("batch");
            Ok(())
        });
        try_join_all(deletes).await.map(drop)
    }
}
