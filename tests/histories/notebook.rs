//! A journal that loses what was noted and not made durable when its process dies.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use tributary::journal::memory::MemoryJournal;
use tributary::journal::{
    GroupRecord, Intent, Journal, JournalError, Note, Scan, ScanRecord, SliceKind, SliceRecord,
    State, Unwritten,
};
use tributary::model::{Tally, TimestampUs};

use super::process::Process;
use super::rules::Rule;
use super::tables::now;

/// The journal as one process writes it.
#[derive(Debug)]
pub struct Notebook {
    durable: Arc<MemoryJournal>,
    noted: Mutex<Vec<Note>>,
    process: Arc<Process>,
    began: TimestampUs,
}

/// Intents that a process takes with it when it dies, by [`Rule::NotDurable`]: by group, and of a sweep its slice.
#[derive(Debug, Default)]
pub struct Unsynced(Mutex<BTreeMap<usize, Option<i64>>>);

impl Unsynced {
    fn add(&self, intents: &[(usize, SliceKind)], journal: &MemoryJournal) {
        let mut unsynced = self.0.lock().unwrap();
        for (group, kind) in intents {
            let slices = journal.slices(*group).unwrap();
            match (kind, &slices[..]) {
                (SliceKind::Merge, [_]) => drop(unsynced.insert(*group, None)),
                (SliceKind::Sweep, [.., last]) => drop(unsynced.insert(*group, Some(last.id))),
                _ => {}
            }
        }
    }

    /// The process has died.
    pub async fn forget(&self, journal: &MemoryJournal) {
        let unsynced = std::mem::take(&mut *self.0.lock().unwrap()).into_iter();
        let unwritten = unsynced.map(|(group, sweep)| Unwritten { group, sweep }).collect();
        journal.forget(unwritten).await.unwrap();
    }
}

impl Notebook {
    pub fn new(durable: &Arc<MemoryJournal>, process: &Arc<Process>) -> Self {
        let (durable, process) = (Arc::clone(durable), Arc::clone(process));
        Self { durable, noted: Mutex::default(), process, began: now() }
    }

    /// What an earlier process has begun to merge is dated anew, by [`Rule::FreshT`].
    fn dated(&self, mut slices: Vec<SliceRecord>) -> Vec<SliceRecord> {
        let is_open = |slice: &SliceRecord| {
            let record = self.durable.group(slice.group).unwrap();
            record.is_some_and(|record| matches!(record.state, State::Intended | State::Failed))
        };
        if self.process.keeps(Rule::FreshT) {
            let merged = slices.iter_mut().filter(|slice| slice.kind == SliceKind::Merge);
            for slice in merged.filter(|slice| slice.t < self.began && is_open(slice)) {
                slice.t = self.began;
            }
        }
        slices
    }
}

impl Journal for Notebook {
    fn intend(&self, intents: Vec<Intent>) -> BoxFuture<'_, Result<(), JournalError>> {
        let is_followed = |note: &Note| intents.iter().any(|intent| intent.group == note.group);
        self.noted.lock().unwrap().retain(|note| !is_followed(note));
        let all: Vec<_> = intents.iter().map(|intent| (intent.group, intent.kind)).collect();
        async move {
            self.durable.intend(intents).await?;
            self.process.unsynced.add(&all, &self.durable);
            Ok(())
        }
        .boxed()
    }

    fn note(&self, note: Note) -> Result<(), JournalError> {
        self.noted.lock().unwrap().push(note);
        Ok(())
    }

    fn forget(&self, intents: Vec<Unwritten>) -> BoxFuture<'_, Result<(), JournalError>> {
        self.durable.forget(intents)
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), JournalError>> {
        async move {
            *self.process.unsynced.0.lock().unwrap() = BTreeMap::new();
            let noted = std::mem::take(&mut *self.noted.lock().unwrap());
            noted.into_iter().try_for_each(|note| self.durable.note(note))
        }
        .boxed()
    }

    fn states(&self) -> Result<Vec<(usize, State)>, JournalError> {
        self.durable.states()
    }

    fn group(&self, group: usize) -> Result<Option<GroupRecord>, JournalError> {
        self.durable.group(group)
    }

    fn slices(&self, group: usize) -> Result<Vec<SliceRecord>, JournalError> {
        Ok(self.dated(self.durable.slices(group)?))
    }

    fn body(&self, slice: i64) -> Result<Bytes, JournalError> {
        self.durable.body(slice)
    }

    fn slices_between(
        &self,
        kind: SliceKind,
        from: usize,
        to: usize,
    ) -> Result<Vec<SliceRecord>, JournalError> {
        Ok(self.dated(self.durable.slices_between(kind, from, to)?))
    }

    fn tally(&self, states: &[State]) -> Result<Tally, JournalError> {
        self.durable.tally(states)
    }

    fn keep_scan(&self, scan: Scan) -> BoxFuture<'_, Result<(), JournalError>> {
        self.durable.keep_scan(scan)
    }

    fn scans(&self) -> Result<Vec<ScanRecord>, JournalError> {
        self.durable.scans()
    }

    fn found(&self, scan: i64) -> Result<Bytes, JournalError> {
        self.durable.found(scan)
    }

    fn meta(&self, name: &str) -> Result<Option<String>, JournalError> {
        self.durable.meta(name)
    }

    fn metas(&self, beginning: &str) -> Result<Vec<(String, String)>, JournalError> {
        self.durable.metas(beginning)
    }

    fn set_meta(&self, name: &str, value: &str) -> Result<(), JournalError> {
        self.durable.set_meta(name, value)
    }

    fn size_bytes(&self) -> u64 {
        0
    }
}
