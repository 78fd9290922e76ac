//! Journals for tests and benches. Nothing in a run uses them; an inspection, which journals nothing, has one that
//! refuses every intent.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::future::{BoxFuture, ready};

use crate::model::{Amount, Tally, now_us};

use super::{
    GroupRecord, Intent, Journal, JournalError, Note, Scan, ScanRecord, SliceKind, SliceRecord,
    State, Unwritten,
};

/// Decides whether an intent fails, and why; the journal fails for good with it.
type FailHook = dyn Fn(&Intent) -> Option<String> + Send + Sync;

/// A journal in memory. Notes are kept at once.
pub struct MemoryJournal {
    kept: Mutex<Kept>,
    fails: Box<FailHook>,
}

#[derive(Debug, Default)]
struct Kept {
    groups: BTreeMap<usize, GroupRecord>,
    /// A slice's id is its position, counted from 1.
    slices: Vec<(SliceRecord, Bytes)>,
    /// An id is a position here too.
    scans: Vec<(ScanRecord, Bytes)>,
    meta: BTreeMap<String, String>,
    failure: Option<JournalError>,
}

impl Default for MemoryJournal {
    fn default() -> Self {
        Self::failing(|_| None)
    }
}

impl fmt::Debug for MemoryJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryJournal").field("kept", &self.kept).finish_non_exhaustive()
    }
}

impl MemoryJournal {
    /// An empty journal that fails at the intent for which the hook gives a cause.
    pub(crate) fn failing(
        fails: impl Fn(&Intent) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self { kept: Mutex::default(), fails: Box::new(fails) }
    }

    /// All groups that it knows, by number.
    pub fn groups(&self) -> Vec<GroupRecord> {
        self.kept().groups.values().cloned().collect()
    }

    /// All slices with their bodies, in the order in which they were intended.
    pub fn recorded(&self) -> Vec<(SliceRecord, Bytes)> {
        self.kept().slices.clone()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it keeps, to be changed; the failure if it has failed before.
    fn writable(&self) -> Result<MutexGuard<'_, Kept>, JournalError> {
        let kept = self.kept();
        match &kept.failure {
            Some(failure) => Err(failure.clone()),
            None => Ok(kept),
        }
    }

    fn keep_all(&self, intents: Vec<Intent>) -> Result<(), JournalError> {
        let mut kept = self.writable()?;
        if let Some(cause) = intents.iter().find_map(|intent| (self.fails)(intent)) {
            let failure = JournalError::Write { path: MEMORY.into(), cause };
            kept.failure = Some(failure.clone());
            return Err(failure);
        }
        intents.into_iter().for_each(|intent| kept.keep(intent));
        Ok(())
    }

    fn some_slices(&self, wanted: impl Fn(&SliceRecord) -> bool) -> Vec<SliceRecord> {
        let kept = self.kept();
        let slices = kept.slices.iter().map(|(record, _)| record);
        slices.filter(|record| wanted(record)).cloned().collect()
    }
}

impl Kept {
    fn keep(&mut self, intent: Intent) {
        let t = (intent.kind == SliceKind::Merge).then_some(intent.t);
        let group = self.groups.entry(intent.group).or_insert_with(|| GroupRecord {
            group: intent.group,
            survivor: intent.survivor,
            pairs: intent.pairs,
            t,
            state: intent.state,
            reason: None,
            changed_at_ms: 0,
        });
        group.t = t.or(group.t);
        group.enter(intent.state, None);
        let record = SliceRecord {
            id: self.slices.len() as i64 + 1,
            group: intent.group,
            kind: intent.kind,
            t: intent.t,
            completes: intent.completes,
            tally: intent.tally,
            scopes: intent.scopes.into(),
        };
        self.slices.push((record, intent.body.into()));
    }
}

/// What its errors call it.
const MEMORY: &str = "in memory";

impl GroupRecord {
    fn enter(&mut self, state: State, reason: Option<String>) {
        self.state = state;
        self.reason = reason;
        self.changed_at_ms = now_us() / 1_000;
    }
}

impl Journal for MemoryJournal {
    fn intend(&self, intents: Vec<Intent>) -> BoxFuture<'_, Result<(), JournalError>> {
        Box::pin(async move { self.keep_all(intents) })
    }

    fn note(&self, note: Note) -> Result<(), JournalError> {
        let mut kept = self.writable()?;
        if let Some((survivor, pairs)) = note.known_as {
            kept.groups.entry(note.group).or_insert_with(|| GroupRecord {
                group: note.group,
                survivor,
                pairs,
                t: None,
                state: note.state,
                reason: None,
                changed_at_ms: 0,
            });
        }
        if let Some(group) = kept.groups.get_mut(&note.group) {
            group.enter(note.state, note.reason);
        }
        Ok(())
    }

    fn forget(&self, intents: Vec<Unwritten>) -> BoxFuture<'_, Result<(), JournalError>> {
        Box::pin(async move {
            let mut kept = self.writable()?;
            for Unwritten { group, sweep } in intents {
                match sweep {
                    None => drop(kept.groups.remove(&group)),
                    Some(_) => {
                        let record = kept.groups.get_mut(&group);
                        record.into_iter().for_each(|record| record.enter(State::Done, None));
                    }
                }
                // An id is a position, so they stay where they are.
                let slices = kept.slices.iter_mut().map(|(slice, _)| slice);
                slices
                    .filter(|slice| slice.group == group && sweep.is_none_or(|id| slice.id == id))
                    .for_each(|slice| slice.group = usize::MAX);
            }
            Ok(())
        })
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), JournalError>> {
        Box::pin(ready(self.writable().map(drop)))
    }

    fn states(&self) -> Result<Vec<(usize, State)>, JournalError> {
        Ok(self.kept().groups.values().map(|group| (group.group, group.state)).collect())
    }

    fn group(&self, group: usize) -> Result<Option<GroupRecord>, JournalError> {
        Ok(self.kept().groups.get(&group).cloned())
    }

    fn slices(&self, group: usize) -> Result<Vec<SliceRecord>, JournalError> {
        Ok(self.some_slices(|slice| slice.group == group))
    }

    fn body(&self, slice: i64) -> Result<Bytes, JournalError> {
        let kept = self.kept();
        let found = kept.slices.iter().find(|(record, _)| record.id == slice);
        found.map(|(_, body)| body.clone()).ok_or_else(|| JournalError::Damaged {
            path: MEMORY.into(),
            what: format!("there is no slice {slice}"),
        })
    }

    fn slices_between(
        &self,
        kind: SliceKind,
        from: usize,
        to: usize,
    ) -> Result<Vec<SliceRecord>, JournalError> {
        let wanted = |slice: &SliceRecord| slice.kind == kind && (from..to).contains(&slice.group);
        let mut slices = self.some_slices(wanted);
        slices.sort_by_key(|slice| slice.group);
        Ok(slices)
    }

    fn tally(&self, states: &[State]) -> Result<Tally, JournalError> {
        let kept = self.kept();
        let mut sum = Tally::default();
        for (slice, _) in kept.slices.iter().filter(|(slice, _)| slice.kind == SliceKind::Merge) {
            let state = kept.groups.get(&slice.group).map(|group| group.state);
            if state.is_some_and(|state| states.contains(&state)) {
                sum.add(&slice.tally);
            }
        }
        Ok(sum)
    }

    fn keep_scan(&self, scan: Scan) -> BoxFuture<'_, Result<(), JournalError>> {
        Box::pin(async move {
            let mut kept = self.writable()?;
            let id = kept.scans.len() as i64 + 1;
            let Scan { table, range, rows, clustered_rows, found } = scan;
            kept.scans.push((ScanRecord { id, table, range, rows, clustered_rows }, found.into()));
            Ok(())
        })
    }

    fn scans(&self) -> Result<Vec<ScanRecord>, JournalError> {
        Ok(self.kept().scans.iter().map(|(record, _)| record.clone()).collect())
    }

    fn found(&self, scan: i64) -> Result<Bytes, JournalError> {
        let kept = self.kept();
        let known = kept.scans.iter().find(|(record, _)| record.id == scan);
        known.map(|(_, found)| found.clone()).ok_or_else(|| JournalError::Damaged {
            path: MEMORY.into(),
            what: format!("there is no scan {scan}"),
        })
    }

    fn meta(&self, name: &str) -> Result<Option<String>, JournalError> {
        Ok(self.kept().meta.get(name).cloned())
    }

    fn metas(&self, beginning: &str) -> Result<Vec<(String, String)>, JournalError> {
        let kept = self.kept();
        let metas = kept.meta.iter().filter(|(name, _)| name.starts_with(beginning));
        Ok(metas.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    fn set_meta(&self, name: &str, value: &str) -> Result<(), JournalError> {
        self.writable()?.meta.insert(name.into(), value.into());
        Ok(())
    }

    fn size_bytes(&self) -> u64 {
        self.kept().slices.iter().map(|(_, body)| body.len() as u64).sum()
    }
}

/// A journal that accepts everything and remembers nothing, for benches that measure what a journal costs.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoJournal;

impl Journal for NoJournal {
    fn intend(&self, _intents: Vec<Intent>) -> BoxFuture<'_, Result<(), JournalError>> {
        Box::pin(ready(Ok(())))
    }

    fn note(&self, _note: Note) -> Result<(), JournalError> {
        Ok(())
    }

    fn forget(&self, _intents: Vec<Unwritten>) -> BoxFuture<'_, Result<(), JournalError>> {
        Box::pin(ready(Ok(())))
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), JournalError>> {
        Box::pin(ready(Ok(())))
    }

    fn states(&self) -> Result<Vec<(usize, State)>, JournalError> {
        Ok(Vec::new())
    }

    fn group(&self, _group: usize) -> Result<Option<GroupRecord>, JournalError> {
        Ok(None)
    }

    fn slices(&self, _group: usize) -> Result<Vec<SliceRecord>, JournalError> {
        Ok(Vec::new())
    }

    fn body(&self, _slice: i64) -> Result<Bytes, JournalError> {
        Ok(Bytes::new())
    }

    fn slices_between(
        &self,
        _kind: SliceKind,
        _from: usize,
        _to: usize,
    ) -> Result<Vec<SliceRecord>, JournalError> {
        Ok(Vec::new())
    }

    fn tally(&self, _states: &[State]) -> Result<Tally, JournalError> {
        Ok(Tally::default())
    }

    fn keep_scan(&self, _scan: Scan) -> BoxFuture<'_, Result<(), JournalError>> {
        Box::pin(ready(Ok(())))
    }

    fn scans(&self) -> Result<Vec<ScanRecord>, JournalError> {
        Ok(Vec::new())
    }

    fn found(&self, _scan: i64) -> Result<Bytes, JournalError> {
        Ok(Bytes::new())
    }

    fn meta(&self, _name: &str) -> Result<Option<String>, JournalError> {
        Ok(None)
    }

    fn metas(&self, _beginning: &str) -> Result<Vec<(String, String)>, JournalError> {
        Ok(Vec::new())
    }

    fn set_meta(&self, _name: &str, _value: &str) -> Result<(), JournalError> {
        Ok(())
    }

    fn size_bytes(&self) -> u64 {
        0
    }
}
