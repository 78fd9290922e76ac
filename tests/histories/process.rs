//! A process as the cluster meets it: each of its requests may be its last, may be refused, may find it standing still for
//! an hour; and what it wrote last may arrive much later.

use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::Notify;
use tributary::model::{
    AccountId, Batch, Change, Mutation, Row, Scope, TableIndex, TimestampUs, TokenRange,
};
use tributary::register::memory::MemoryRegister;
use tributary::register::{Entry, Register, WindowEnd};
use tributary::storage::memory::MemoryStorage;
use tributary::storage::{
    Among, Cursor, Fault, KeyPage, Node, Page, Reader, StorageError, TimedPage, TimedRow, Width,
    Writer,
};

use super::tables::{self, spec};

/// What became of a request's writes when its answer did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landing {
    Done,
    Lost,
    /// They arrive later.
    Late,
}

/// What happens to a process at a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Ends,
    Killed(usize, Landing),
    /// It is told that this write failed, and goes on with the rest.
    Refused(usize, Landing),
    /// It stands still, and goes on when it is let.
    Stopped(usize),
}

/// Something that somebody else does while a process is at a request.
pub type Meanwhile = Mutex<Option<(usize, Box<dyn FnOnce() + Send>)>>;

/// What was sent and has not arrived.
pub type Late = Arc<Mutex<Vec<Sent>>>;

/// A write that has not arrived.
pub struct Sent {
    /// Its run, and which of its commands sent it.
    pub by: (usize, usize),
    pub mutation: Mutation,
}

pub struct Process {
    /// Its run, and which of its commands it is.
    by: (usize, usize),
    pub fate: Fate,
    pub meanwhile: Meanwhile,
    requests: AtomicUsize,
    is_dead: AtomicBool,
    has_stood: AtomicBool,
    /// It is dead, or stands still.
    pub stands: Notify,
    pub goes_on: Notify,
    late: Late,
}

impl Process {
    pub fn new(by: (usize, usize), fate: Fate, late: &Late) -> Arc<Self> {
        Arc::new(Self {
            by,
            fate,
            meanwhile: Mutex::default(),
            requests: AtomicUsize::new(0),
            is_dead: AtomicBool::new(false),
            has_stood: AtomicBool::new(false),
            stands: Notify::new(),
            goes_on: Notify::new(),
            late: Arc::clone(late),
        })
    }

    pub fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::Relaxed)
    }

    /// What somebody else does at a request.
    fn let_others(&self, request: usize) {
        let act = self.meanwhile.lock().unwrap().take_if(|(at, _)| *at <= request);
        if let Some((_, act)) = act {
            act();
        }
    }

    async fn die(&self) -> ! {
        self.is_dead.store(true, Ordering::Relaxed);
        self.stands.notify_one();
        pending().await
    }

    /// One more request; what is to become of its writes if it is told that it failed, or cannot be told any more.
    async fn ask(&self) -> Option<(Landing, bool)> {
        if self.is_dead() {
            self.die().await;
        }
        tables::pass(20_000);
        let request = self.requests.fetch_add(1, Ordering::Relaxed);
        self.let_others(request);
        match self.fate {
            Fate::Killed(at, landing) if at == request => Some((landing, true)),
            Fate::Refused(at, landing) if at == request => Some((landing, false)),
            _ => None,
        }
    }

    /// A request that writes nothing.
    async fn read(&self) -> Result<(), StorageError> {
        if let Some((_, true)) = self.ask().await {
            self.die().await;
        }
        // Whoever stands still after a write is sent, and before the lease is looked at for it, cannot be kept from it.
        if matches!(self.fate, Fate::Stopped(at) if at < self.requests.load(Ordering::Relaxed))
            && !self.has_stood.swap(true, Ordering::Relaxed)
        {
            self.stands.notify_one();
            self.goes_on.notified().await;
        }
        Ok(())
    }
}

fn failed() -> StorageError {
    let message = "the request timed out for good".to_owned();
    StorageError { class: message.clone(), message, kind: Fault::Permanent }
}

/// The cluster, as a process talks to it.
pub struct Client {
    pub cluster: Arc<MemoryStorage>,
    pub process: Arc<Process>,
}

impl Client {
    async fn write(&self, mutations: Vec<Mutation>) -> Result<(), StorageError> {
        let asked = self.process.ask().await;
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
                self.process.late.lock().unwrap().extend(late);
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
        self.cluster.timed_first_rows(table, among, rows).await
    }

    fn replicas(&self, table: TableIndex, scope: &Scope, account: &AccountId) -> Vec<Node> {
        self.cluster.replicas(table, scope, account)
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
        self.cluster.timed_page(table, rows_of, rows, after).await
    }

    async fn timed_rows_of(
        &self,
        table: TableIndex,
        scope: &Scope,
        accounts: &[AccountId],
    ) -> Result<Vec<TimedRow>, StorageError> {
        self.process.read().await?;
        self.cluster.timed_rows_of(table, scope, accounts).await
    }

    async fn written_since(
        &self,
        table: TableIndex,
        among: Among<'_>,
        t: TimestampUs,
    ) -> Result<Vec<Vec<Bytes>>, StorageError> {
        self.process.read().await?;
        self.cluster.written_since(table, among, t).await
    }

    async fn timed_row(
        &self,
        table: TableIndex,
        key: &[Bytes],
    ) -> Result<Option<TimedRow>, StorageError> {
        self.process.read().await?;
        self.cluster.timed_row(table, key).await
    }

    async fn see_unaltered(&self) -> Result<(), StorageError> {
        self.process.read().await
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
    async fn write(&self, batches: &[Arc<Batch>]) -> Result<(), StorageError> {
        Self::write(self, batches.iter().flat_map(|batch| batch.mutations.clone()).collect()).await
    }

    async fn delete_partitions(
        &self,
        table: TableIndex,
        Among { scope, accounts, .. }: Among<'_>,
        t: TimestampUs,
    ) -> Result<(), StorageError> {
        let delete = |account: &AccountId| {
            let key = spec().tables[table].partition_key(scope, account);
            Mutation { table, t, change: Change::DeletePartition { key } }
        };
        Self::write(self, accounts.iter().map(delete).collect()).await
    }
}

/// The register, as a process talks to it.
#[derive(Clone)]
pub struct Registrar {
    pub register: MemoryRegister,
    pub process: Arc<Process>,
}

impl std::fmt::Debug for Registrar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.register.fmt(f)
    }
}

impl Register for Registrar {
    fn run(&self) -> &str {
        self.register.run()
    }

    fn begin<'a>(
        &'a self,
        t: TimestampUs,
        entries: &'a [Entry],
    ) -> BoxFuture<'a, Result<(), StorageError>> {
        async move {
            self.process.read().await?;
            self.register.begin(t, entries).await
        }
        .boxed()
    }

    fn hold(&self, floor: TimestampUs) -> BoxFuture<'_, Result<(), StorageError>> {
        async move {
            self.process.read().await?;
            self.register.hold(floor).await
        }
        .boxed()
    }

    fn look(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        async move {
            self.process.read().await?;
            self.register.look().await
        }
        .boxed()
    }

    fn end<'a>(&'a self, windows: &'a [WindowEnd]) -> BoxFuture<'a, Result<(), StorageError>> {
        async move {
            self.process.read().await?;
            self.register.end(windows).await
        }
        .boxed()
    }
}
