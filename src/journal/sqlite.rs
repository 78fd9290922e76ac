//! The journal in a file: SQLite with a write-ahead log, every transaction synced.
//!
//! One thread writes, in transactions that all groups in flight share. Reads have a connection of their
//! own and see what is committed: a note is seen after some hundreds of others or [`flush`](Journal::flush).
//! The first failure stays: everything that is asked for later fails with it, even if there is room again,
//! because nobody knows what a failed sync has lost.

mod erase;
mod packed;
mod reads;
mod schema;
#[cfg(test)]
mod tests;
mod writer;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::oneshot;

use crate::model::{AccountId, AccountType, Tally, now_us};

use super::{
    GroupRecord, Intent, Journal, JournalError, Note, Scan, ScanRecord, SliceKind, SliceRecord,
    State, Unwritten,
};

pub(crate) use packed::stored_bytes;
use packed::{Block, PackedScan};
use reads::Reads;
use writer::{Answer, Request, Writer};

/// The journal in a file. When it is dropped, what was noted is made durable and one file is left.
#[derive(Debug)]
pub struct SqliteJournal {
    path: PathBuf,
    // Closed before the writer: the last connection takes the log into the file.
    reads: Reads,
    /// `None` if it was opened for reading only.
    writer: Option<Writer>,
}

impl SqliteJournal {
    /// Makes an empty journal of accounts of this type that only its owner can read, and closes it: a
    /// journal that is open must not be moved.
    ///
    /// # Errors
    /// [`JournalError::Write`]: there is such a file, or none can be made.
    pub fn create(path: &Path, accounts: AccountType) -> Result<(), JournalError> {
        schema::create(path, accounts)
    }

    /// Opens a journal for a run.
    ///
    /// Debug builds let `TRIBUTARY_JOURNAL_MAX_PAGES` say how many pages of 4 KiB the disk has room for.
    ///
    /// # Errors
    /// There is none, it is of another version, it is damaged, or it cannot be written.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        #[cfg(debug_assertions)]
        let max_pages = std::env::var("TRIBUTARY_JOURNAL_MAX_PAGES").ok();
        #[cfg(not(debug_assertions))]
        let max_pages: Option<String> = None;
        Self::open_limited(path, max_pages.and_then(|pages| pages.parse().ok()))
    }

    /// Opens a journal for a run, on a disk that has room for so many pages.
    pub(super) fn open_limited(path: &Path, max_pages: Option<u32>) -> Result<Self, JournalError> {
        let writer = Writer::start(path, schema::writing(path, max_pages)?)?;
        let reads = Reads::new(path, schema::reading(path)?)?;
        Ok(Self { path: path.to_owned(), reads, writer: Some(writer) })
    }

    /// Opens a journal to look something up. A run may be writing it at the same time; nothing can be
    /// written with what is returned.
    ///
    /// # Errors
    /// There is none, it is of another version, it is damaged, or it cannot be read.
    pub(crate) fn open_read_only(path: &Path) -> Result<Self, JournalError> {
        let reads = Reads::new(path, schema::looking(path)?)?;
        Ok(Self { path: path.to_owned(), reads, writer: None })
    }

    /// Erases groups of a journal for good, with all that it has of their accounts; nobody may be working on it.
    ///
    /// # Errors
    /// It cannot be read or written, or is damaged.
    pub(crate) fn erase(path: &Path, groups: &[usize]) -> Result<(), JournalError> {
        erase::erase(path, groups)
    }

    /// Of which type its accounts were when the run began.
    pub fn accounts(&self) -> AccountType {
        self.reads.accounts()
    }

    /// The groups that an account of the journal's type is part of, as survivor, source or target of a pair,
    /// by number. It looks at every group that the journal knows.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub(crate) fn groups_of(&self, account: &AccountId) -> Result<Vec<GroupRecord>, JournalError> {
        self.reads.groups_of(account)
    }

    /// How many transactions were committed since it was opened; each is one sync.
    pub fn commits(&self) -> u64 {
        self.writer.as_ref().map_or(0, Writer::commits)
    }

    fn writer(&self) -> Result<&Writer, JournalError> {
        let read_only = || schema::unwritable(&self.path, "it was opened for reading only");
        self.writer.as_ref().ok_or_else(read_only)
    }

    /// Asks the writer, and waits for its answer.
    async fn ask(&self, request: impl FnOnce(Answer) -> Request) -> Result<(), JournalError> {
        let writer = self.writer()?;
        let (tell, replied) = oneshot::channel();
        // Nobody may be waiting any more; what was asked for is done all the same.
        writer.ask(request(Box::new(|written| drop(tell.send(written)))))?;
        replied.await.unwrap_or_else(|_| Err(writer.stopped()))
    }
}

impl Journal for SqliteJournal {
    fn intend(&self, intents: Vec<Intent>) -> BoxFuture<'_, Result<(), JournalError>> {
        async move {
            let blocks = Block::all(intents, now_ms());
            self.ask(|answer| Request::Intend(blocks, answer)).await
        }
        .boxed()
    }

    fn note(&self, note: Note) -> Result<(), JournalError> {
        self.writer()?.ask(Request::Note(Box::new(note), now_ms()))
    }

    fn forget(&self, intents: Vec<Unwritten>) -> BoxFuture<'_, Result<(), JournalError>> {
        self.ask(|answer| Request::Forget(intents, answer)).boxed()
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), JournalError>> {
        self.ask(Request::Flush).boxed()
    }

    fn states(&self) -> Result<Vec<(usize, State)>, JournalError> {
        self.reads.states()
    }

    fn group(&self, group: usize) -> Result<Option<GroupRecord>, JournalError> {
        self.reads.group(group)
    }

    fn slices(&self, group: usize) -> Result<Vec<SliceRecord>, JournalError> {
        self.reads.slices(group)
    }

    fn body(&self, slice: i64) -> Result<Bytes, JournalError> {
        self.reads.body(slice)
    }

    fn slices_between(
        &self,
        kind: SliceKind,
        from: usize,
        to: usize,
    ) -> Result<Vec<SliceRecord>, JournalError> {
        self.reads.slices_between(kind, from, to)
    }

    fn tally(&self, states: &[State]) -> Result<Tally, JournalError> {
        self.reads.tally(states)
    }

    fn keep_scan(&self, scan: Scan) -> BoxFuture<'_, Result<(), JournalError>> {
        async move {
            let packed = Box::new(PackedScan::new(scan));
            self.ask(|answer| Request::Scan(packed, answer)).await
        }
        .boxed()
    }

    fn scans(&self) -> Result<Vec<ScanRecord>, JournalError> {
        self.reads.scans()
    }

    fn found(&self, scan: i64) -> Result<Bytes, JournalError> {
        self.reads.found(scan)
    }

    fn meta(&self, name: &str) -> Result<Option<String>, JournalError> {
        self.reads.meta(name)
    }

    fn metas(&self, beginning: &str) -> Result<Vec<(String, String)>, JournalError> {
        self.reads.metas(beginning)
    }

    fn set_meta(&self, name: &str, value: &str) -> Result<(), JournalError> {
        let writer = self.writer()?;
        let (tell, replied) = mpsc::channel();
        let answer = Box::new(move |written| drop(tell.send(written)));
        writer.ask(Request::Meta(name.into(), value.into(), answer))?;
        replied.recv().unwrap_or_else(|_| Err(writer.stopped()))
    }

    fn size_bytes(&self) -> u64 {
        let files = [self.path.clone(), schema::log_of(&self.path)];
        files.iter().filter_map(|file| fs::metadata(file).ok()).map(|file| file.len()).sum()
    }
}

fn now_ms() -> i64 {
    now_us() / 1_000
}
