//! The cluster, as a process talks to it.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tributary::journal::memory::MemoryJournal;
use tributary::model::{
    AccountId, Batch, Change, Clocks, Mutation, Row, Scope, TableIndex, TimestampUs, TokenRange,
    WriteTimes,
};
use tributary::storage::memory::MemoryStorage;
use tributary::storage::{
    Among, Cursor, Fault, KeyPage, Mention, Node, Page, Reader, StorageError, TimedPage, TimedRow,
    Width, Writer,
};

use super::process::{Landing, Process, Sent};
use super::rules::Rule;
use super::tables::{SEATS, now, spec};

fn failed() -> StorageError {
    let message = "the request timed out for good".to_owned();
    StorageError { class: message.clone(), message, kind: Fault::Permanent }
}

pub struct Client {
    pub cluster: Arc<MemoryStorage>,
    pub process: Arc<Process>,
    /// The journal of its run.
    pub journal: Arc<MemoryJournal>,
    /// Whether the run was begun by an earlier process.
    pub is_resumed: bool,
    /// What it has written, by [`Rule::NoReadBack`].
    pub written: Mutex<Vec<Mutation>>,
}

impl Client {
    async fn write(&self, mut mutations: Vec<Mutation>) -> Result<(), StorageError> {
        self.as_before(&mut mutations);
        self.process.writes();
        let asked = self.process.ask().await;
        // What deletes cannot be kept back any more once it was looked at.
        let deletes = |mutation: &Mutation| {
            matches!(mutation.change, Change::DeleteRow { .. } | Change::DeletePartition { .. })
        };
        if !mutations.iter().any(deletes) {
            self.process.stand().await;
        }
        let apply = || mutations.iter().for_each(|m| self.cluster.apply(m.table, m.t, &m.change));
        let Some((landing, is_last)) = asked else {
            apply();
            return Ok(());
        };
        match landing {
            Landing::Done => apply(),
            Landing::Lost => {}
            Landing::Late => {
                let by = self.process.by;
                let late = mutations.iter().cloned().map(|mutation| Sent { by, mutation });
                self.process.late().lock().unwrap().extend(late);
            }
        }
        if is_last { self.process.die().await } else { Err(failed()) }
    }
}

impl Reader for Client {
    async fn page(
        &self,
        table: TableIndex,
        rows_of: (&Scope, &AccountId),
        width: Width,
        rows: usize,
        after: Option<Cursor>,
    ) -> Result<Page, StorageError> {
        self.process.read().await?;
        self.cluster.page(table, rows_of, width, rows, after).await
    }

    async fn first_rows(
        &self,
        table: TableIndex,
        among: Among<'_>,
        width: Width,
        rows: usize,
    ) -> Result<Vec<Row>, StorageError> {
        self.process.read().await?;
        self.cluster.first_rows(table, among, width, rows).await
    }

    async fn timed_first_rows(
        &self,
        table: TableIndex,
        among: Among<'_>,
        rows: usize,
    ) -> Result<Vec<TimedRow>, StorageError> {
        self.process.read().await?;
        let accounts = among.accounts.to_vec();
        let found = self.cluster.timed_first_rows(table, among, rows).await?;
        Ok(self.believed(table, found, |account| accounts.iter().any(|own| own.cell() == account)))
    }

    fn replicas(&self, table: TableIndex, scope: &Scope, account: &AccountId) -> Vec<Node> {
        self.cluster.replicas(table, scope, account)
    }

    async fn largest_partition(&self, table: TableIndex) -> Option<u64> {
        self.cluster.largest_partition(table).await
    }

    async fn rows_of(
        &self,
        table: TableIndex,
        scope: &Scope,
        accounts: &[AccountId],
    ) -> Result<Vec<Row>, StorageError> {
        self.process.read().await?;
        self.cluster.rows_of(table, scope, accounts).await
    }

    async fn owners(
        &self,
        table: TableIndex,
        among: Among<'_>,
    ) -> Result<Vec<AccountId>, StorageError> {
        self.process.read().await?;
        self.cluster.owners(table, among).await
    }

    async fn timed_page(
        &self,
        table: TableIndex,
        rows_of: (&Scope, &AccountId),
        rows: usize,
        after: Option<Cursor>,
    ) -> Result<TimedPage, StorageError> {
        self.process.read().await?;
        let own = rows_of.1.cell().clone();
        let mut page = self.cluster.timed_page(table, rows_of, rows, after).await?;
        page.rows = self.believed(table, page.rows, |account| *account == own);
        Ok(page)
    }

    async fn timed_rows_of(
        &self,
        table: TableIndex,
        scope: &Scope,
        accounts: &[AccountId],
    ) -> Result<Vec<TimedRow>, StorageError> {
        self.process.read().await?;
        let found = self.cluster.timed_rows_of(table, scope, accounts).await?;
        Ok(self.believed(table, found, |account| accounts.iter().any(|own| own.cell() == account)))
    }

    async fn written_since(
        &self,
        table: TableIndex,
        among: Among<'_>,
        t: TimestampUs,
    ) -> Result<Vec<Vec<Bytes>>, StorageError> {
        self.process.read().await?;
        if self.process.keeps(Rule::ComputedOnce) {
            return Ok(Vec::new());
        }
        self.cluster.written_since(table, among, t).await
    }

    async fn timed_row(
        &self,
        table: TableIndex,
        key: &[Bytes],
    ) -> Result<Option<TimedRow>, StorageError> {
        self.process.read().await?;
        let found = self.cluster.timed_row(table, key).await?;
        let found = self.believed(table, found.into_iter().collect(), |_| true);
        Ok(found.into_iter().find(|timed| spec().tables[table].key_of(&timed.row) == *key))
    }

    async fn mention(
        &self,
        table: TableIndex,
        key: &[Bytes],
    ) -> Result<Option<Mention>, StorageError> {
        self.process.read().await?;
        self.cluster.mention(table, key).await
    }

    async fn see_unaltered(&self) -> Result<[TimestampUs; 2], StorageError> {
        self.process.read().await?;
        self.cluster.see_unaltered().await
    }

    async fn clocks(&self) -> Result<Clocks, StorageError> {
        self.process.read().await?;
        self.cluster.clocks().await
    }

    async fn token_ranges(&self, at_least: usize) -> Result<Vec<TokenRange>, StorageError> {
        self.cluster.token_ranges(at_least).await
    }

    async fn scan(
        &self,
        table: TableIndex,
        range: TokenRange,
        rows: usize,
        after: Option<Cursor>,
    ) -> Result<KeyPage, StorageError> {
        self.cluster.scan(table, range, rows, after).await
    }
}

impl Writer for Client {
    async fn write(&self, batches: &[Arc<Batch>], _: TimestampUs) -> Result<(), StorageError> {
        if let Some(lost) = self.process.lost.lock().unwrap().take() {
            return Err(lost);
        }
        Self::write(self, batches.iter().flat_map(|batch| batch.mutations.clone()).collect()).await
    }

    async fn delete_partitions(
        &self,
        table: TableIndex,
        Among { scope, accounts, .. }: Among<'_>,
        t: TimestampUs,
    ) -> Result<(), StorageError> {
        let t = match () {
            () if self.is_resumed && self.process.keeps(Rule::DeletedAsOfNow) => now(),
            () if self.process.keeps(Rule::JoinedDeletes) => self.times().max().unwrap_or(t).max(t),
            () => t,
        };
        let delete = |account: &AccountId| {
            let key = spec().tables[table].partition_key(scope, account);
            Mutation { table, t, change: Change::DeletePartition { key } }
        };
        Self::write(self, accounts.iter().map(delete).collect()).await
    }
}

/// The rules of before.
impl Client {
    /// The times of the run's merges.
    fn times(&self) -> impl Iterator<Item = TimestampUs> + use<> {
        self.journal.groups().into_iter().filter_map(|group| group.t)
    }

    /// What would have been written.
    fn as_before(&self, mutations: &mut Vec<Mutation>) {
        const VOID_US: TimestampUs = 9_998;
        const PIN_US: TimestampUs = 9_999;
        let is_above = |us: TimestampUs| {
            let times: Vec<_> = self.times().map(|t| t + us).collect();
            move |mutation: &Mutation| !times.contains(&mutation.t)
        };
        let keeps = |rule| self.process.keeps(rule);
        if keeps(Rule::NoPins) {
            mutations.retain(is_above(PIN_US));
        }
        if keeps(Rule::NoVoids) {
            mutations.retain(is_above(VOID_US));
        }
        if self.is_resumed && keeps(Rule::OneBatch) {
            let deletes = mutations.iter().filter_map(|mutation| self.delete_beside(mutation));
            let deletes: Vec<_> = deletes.collect();
            mutations.extend(deletes);
        }
        if keeps(Rule::LateByValue) {
            mutations.iter_mut().for_each(|mutation| self.place_over(mutation));
        }
        if keeps(Rule::NoReadBack) {
            self.written.lock().unwrap().extend(mutations.iter().cloned());
        }
    }

    /// The delete of the row that a copy is of.
    fn delete_beside(&self, copy: &Mutation) -> Option<Mutation> {
        let Change::Insert { row } = &copy.change else { return None };
        let table = &spec().tables[copy.table];
        let is_of = |own: &Row| {
            own.cells[table.account] != row.cells[table.account]
                && own.cells[table.key_len..] == row.cells[table.key_len..]
        };
        let rows = self.cluster.dump(copy.table);
        let own = rows.iter().find(|own| copy.table == SEATS && is_of(own))?;
        let change = Change::DeleteRow { key: table.key_of(own) };
        Some(Mutation { table: copy.table, t: copy.t, change })
    }

    /// Dates what a sweep places above whatever is there.
    fn place_over(&self, mutation: &mut Mutation) {
        let Change::Update { key, set, .. } = &mutation.change else { return };
        let of_merge = |t: TimestampUs| (t..t + 10_000).contains(&mutation.t);
        let mut groups = self.journal.groups().into_iter();
        let table = &spec().tables[mutation.table];
        let is_survivor = groups.any(|group| *group.survivor.cell() == key[table.account]);
        if !is_survivor || self.times().any(of_merge) || set.iter().any(|(_, cell)| cell.is_none())
        {
            return;
        }
        let rows = self.cluster.dump_timed(mutation.table);
        let own = rows.iter().find(|timed| table.key_of(&timed.row) == *key);
        let times = set.iter().filter_map(|(column, _)| match own?.times[*column] {
            WriteTimes::Cell(t) => Some(t + 1),
            _ => None,
        });
        mutation.t = times.max().unwrap_or_default().max(mutation.t);
    }

    /// What was read, as whoever takes for granted that what it wrote stands would know it.
    fn believed(
        &self,
        table: TableIndex,
        mut found: Vec<TimedRow>,
        is_asked: impl Fn(&Bytes) -> bool,
    ) -> Vec<TimedRow> {
        let written = self.written.lock().unwrap();
        let shape = &spec().tables[table];
        for mutation in written.iter().filter(|mutation| mutation.table == table) {
            let t = mutation.t;
            let (key, set) = match &mutation.change {
                Change::Insert { row } => {
                    let cells = row.cells.iter().enumerate().skip(shape.key_len);
                    let set = cells.filter(|(_, cell)| cell.is_some());
                    (shape.key_of(row), set.map(|(at, cell)| (at, cell.clone())).collect())
                }
                Change::Update { key, set, .. } => (key.clone(), set.clone()),
                Change::DeleteRow { key } => {
                    let stays = |timed: &TimedRow| {
                        shape.key_of(&timed.row) != *key
                            || timed
                                .times
                                .iter()
                                .any(|times| matches!(times, WriteTimes::Cell(own) if *own > t))
                    };
                    found.retain(stays);
                    continue;
                }
                _ => continue,
            };
            if !is_asked(&key[shape.account]) {
                continue;
            }
            let at = found.iter().position(|timed| shape.key_of(&timed.row) == key);
            let at = at.unwrap_or_else(|| {
                let mut cells: Vec<_> = key.iter().cloned().map(Some).collect();
                cells.resize(shape.columns.len(), None);
                let times = vec![WriteTimes::None; shape.columns.len()];
                found.push(TimedRow { row: Row::new(cells), times });
                found.len() - 1
            });
            let own = &mut found[at];
            for (column, cell) in set {
                let is_newer = match own.times[column] {
                    WriteTimes::Cell(known) => known < t,
                    _ => true,
                };
                if is_newer && cell.is_some() {
                    own.row.cells[column] = cell;
                    own.times[column] = WriteTimes::Cell(t);
                }
            }
        }
        found
    }
}
