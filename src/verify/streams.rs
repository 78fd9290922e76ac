//! The rows of a group in one scope of a table, side by side in clustering order: those of the survivor, and those of
//! sources that own rows again.

use std::cmp::Ordering;
use std::collections::VecDeque;

use crate::model::{AccountId, Group, Row, Scope, TableIndex, TimedRow};
use crate::pipeline::{LargePermit, NextPage, Window};
use crate::storage::{Reader, StorageError};

/// The rows of a group in one scope of a table.
pub(super) struct Streams<'a, S> {
    window: &'a Window<S>,
    pub(super) table: TableIndex,
    pub(super) scope: Scope,
    survivor: Stream<'a>,
    /// With their positions in the group.
    sources: Vec<(usize, Stream<'a>)>,
    /// Held from the second page of any account on.
    large: Option<LargePermit>,
}

/// The rows of one account.
struct Stream<'a> {
    account: &'a AccountId,
    rows: VecDeque<TimedRow>,
    next: NextPage,
}

/// The rows of a key, and those of sources at keys before it.
#[derive(Default)]
pub(super) struct Met {
    pub(super) survivor: Option<TimedRow>,
    /// The sources' rows, with their positions in the group.
    pub(super) sources: Vec<(usize, TimedRow)>,
}

impl<'a, S: Reader> Streams<'a, S> {
    /// Looks which sources own anything; nothing is read of those that do not. A row is known to have up to so many
    /// bytes.
    pub(super) async fn open(
        window: &'a Window<S>,
        group: &'a Group,
        table: TableIndex,
        scope: Scope,
        row_bytes: usize,
    ) -> Result<Self, StorageError> {
        let next = || NextPage::First(row_bytes);
        let stream = |account| Stream { account, rows: VecDeque::new(), next: next() };
        let mut sources = Vec::new();
        if window.spec.tables[table].delete_source {
            let accounts: Vec<AccountId> = group.sources().cloned().collect();
            let owners = window.owners(table, &scope, &accounts).await?;
            let own = group.sources().enumerate().filter(|(_, account)| owners.contains(account));
            sources = own.map(|(source, account)| (source, stream(account))).collect();
        }
        let survivor = stream(&group.survivor);
        Ok(Self { window, table, scope, survivor, sources, large: None })
    }

    /// Whether any source owns rows.
    pub(super) fn has_sources(&self) -> bool {
        !self.sources.is_empty()
    }

    /// The survivor's rows without their write times, if one page holds them all.
    pub(super) async fn values(&self) -> Result<Option<Vec<Row>>, StorageError> {
        let Self { window, table, scope, survivor, .. } = self;
        let NextPage::First(row_bytes) = survivor.next else { return Ok(None) };
        window.values_of(*table, (scope, survivor.account), row_bytes).await
    }

    /// The rows of a key; keys are asked for in clustering order.
    pub(super) async fn at(&mut self, key: &Row) -> Result<Met, StorageError> {
        let mut met = Met::default();
        while let Some(order) = self.order(None, key).await? {
            match order {
                Ordering::Less => drop(self.survivor.rows.pop_front()),
                Ordering::Equal => met.survivor = self.survivor.rows.pop_front(),
                Ordering::Greater => break,
            }
        }
        for stream in 0..self.sources.len() {
            if self.order(Some(stream), key).await? == Some(Ordering::Equal) {
                let (number, source) = &mut self.sources[stream];
                met.sources.extend(source.rows.pop_front().map(|row| (*number, row)));
            }
        }
        Ok(met)
    }

    /// The next row of a source whose key comes before `key`, or any row if there is none: the run
    /// has nothing to say of it.
    pub(super) async fn passed(
        &mut self,
        key: Option<&Row>,
    ) -> Result<Option<(usize, TimedRow)>, StorageError> {
        for stream in 0..self.sources.len() {
            let is_passed = match key {
                Some(key) => self.order(Some(stream), key).await? == Some(Ordering::Less),
                None => self.fill(Some(stream)).await?.is_some(),
            };
            if is_passed {
                let (number, source) = &mut self.sources[stream];
                return Ok(source.rows.pop_front().map(|row| (*number, row)));
            }
        }
        Ok(None)
    }

    /// How the next row of an account compares with a key; `None` if there is none.
    async fn order(
        &mut self,
        source: Option<usize>,
        key: &Row,
    ) -> Result<Option<Ordering>, StorageError> {
        let table = &self.window.spec.tables[self.table];
        let next = self.fill(source).await?;
        Ok(next.map(|next| table.compare(&next.row, key)))
    }

    /// The next row of an account: the survivor's, or that of one of the sources.
    async fn fill(&mut self, source: Option<usize>) -> Result<Option<&TimedRow>, StorageError> {
        let streams = 1 + self.sources.len();
        let stream = match source {
            None => &mut self.survivor,
            Some(source) => &mut self.sources[source].1,
        };
        while stream.rows.is_empty() && !matches!(stream.next, NextPage::None) {
            if matches!(stream.next, NextPage::After(..)) && self.large.is_none() {
                self.large = Some(self.window.admit_large_group().await);
            }
            let (window, table) = (self.window, self.table);
            let rows_of = (&self.scope, stream.account);
            let page = window.timed_page(table, rows_of, streams, &mut stream.next);
            stream.rows.extend(page.await?);
        }
        Ok(stream.rows.front())
    }
}
