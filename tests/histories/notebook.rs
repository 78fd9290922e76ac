//! A journal that loses what was noted and not made durable when its process dies.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use tributary::journal::memory::MemoryJournal;
use tributary::journal::{
    GroupRecord, Intent, Journal, JournalError, Kind, Note, Scan, ScanRecord, SliceRecord, State,
    Unwritten,
};
use tributary::model::Tally;

/// The journal as one process writes it.
#[derive(Debug)]
pub struct Notebook {
    durable: Arc<MemoryJournal>,
    noted: Mutex<Vec<Note>>,
}

impl Notebook {
    pub fn new(durable: &Arc<MemoryJournal>) -> Self {
        Self { durable: Arc::clone(durable), noted: Mutex::default() }
    }
}

impl Journal for Notebook {
    fn intend(&self, intents: Vec<Intent>) -> BoxFuture<'_, Result<(), JournalError>> {
        let is_followed = |note: &Note| intents.iter().any(|intent| intent.group == note.group);
        self.noted.lock().unwrap().retain(|note| !is_followed(note));
        self.durable.intend(intents)
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
        self.durable.slices(group)
    }

    fn body(&self, slice: i64) -> Result<Bytes, JournalError> {
        self.durable.body(slice)
    }

    fn slices_between(
        &self,
        kind: Kind,
        from: usize,
        to: usize,
    ) -> Result<Vec<SliceRecord>, JournalError> {
        self.durable.slices_between(kind, from, to)
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

    fn set_meta(&self, name: &str, value: &str) -> Result<(), JournalError> {
        self.durable.set_meta(name, value)
    }

    fn size_bytes(&self) -> u64 {
        0
    }
}
