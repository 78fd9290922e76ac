//! One group, read as a merge reads it; its slices are counted and dropped.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::journal::{Intent, stored_bytes};
use crate::merge::{Entry, Findings, Slice, Write};
use crate::model::{Cell, ColumnIndex, Group, Row, Tally};
use crate::storage::Reader;

use super::super::access::Access;
use super::super::work::{GroupWork, PreparedSlice, Sink};
use super::super::{GroupError, Window};
use super::figures::Written;
use super::{
    Absent, CONFLICTS, Conflict, LargeAccount, NAMED, keep_conflict, keep_first, keep_largest,
};

/// What was seen of one group.
pub(super) struct SampledGroup {
    pub(super) group: usize,
    pub(super) pairs: u64,
    pub(super) tally: Tally,
    /// By table.
    pub(super) written: Vec<Written>,
    pub(super) journal_bytes: u64,
    pub(super) missed: u64,
    pub(super) absent_sources: Vec<Absent>,
    pub(super) absent_survivor: Option<Absent>,
    pub(super) largest: Vec<LargeAccount>,
    pub(super) conflicts: Vec<Conflict>,
}

/// Weighs what is journaled: every slice at first, and large ones always; of the rest some, by which the others are
/// estimated.
#[derive(Debug, Default)]
pub(super) struct Scales {
    slices: AtomicU64,
    weighed_bytes: AtomicU64,
    weighed: AtomicU64,
}

impl Scales {
    /// So many slices are weighed before any is estimated, and then one of so many.
    const ALL: u64 = 1_000;
    const ONE_OF: u64 = 16;
    /// Keys of a slice that says nothing of others.
    const MANY: u64 = 64;

    fn is_next_weighed(&self, keys: u64) -> bool {
        let slice = self.slices.fetch_add(1, Ordering::Relaxed);
        keys > Self::MANY || slice < Self::ALL || slice.is_multiple_of(Self::ONE_OF)
    }

    /// What a slice of so many keys takes in the journal.
    fn bytes(&self, intent: Intent, keys: u64) -> u64 {
        // What is said once of a group counts like a key.
        let weight = 1 + keys;
        if intent.body.is_empty() {
            let bytes = self.weighed_bytes.load(Ordering::Relaxed) as f64;
            let per_key = bytes / self.weighed.load(Ordering::Relaxed) as f64;
            return (per_key * weight as f64) as u64;
        }
        let bytes = stored_bytes(intent);
        if keys <= Self::MANY {
            self.weighed_bytes.fetch_add(bytes, Ordering::Relaxed);
            self.weighed.fetch_add(weight, Ordering::Relaxed);
        }
        bytes
    }
}

/// Counts slices.
struct Counted<'a> {
    group: &'a Group,
    scales: &'a Scales,
    /// How many groups it stands for.
    weight: f64,
    /// By source.
    rows: Vec<u64>,
    /// By table.
    written: Vec<Written>,
    events: u64,
    journal_bytes: u64,
    missed: u64,
    conflicts: Vec<Conflict>,
}

/// Reads one group, which stands for so many where batches are concerned.
pub(super) async fn look_at<S: Reader>(
    window: &Window<S>,
    group: &Group,
    weight: f64,
    scales: &Scales,
) -> Result<SampledGroup, GroupError> {
    let began = std::time::Instant::now();
    let counted = Counted {
        group,
        scales,
        weight,
        rows: vec![0; group.pairs.len()],
        written: vec![Written::default(); window.spec.tables.len()],
        events: 0,
        journal_bytes: 0,
        missed: 0,
        conflicts: Vec::new(),
    };
    let mut work = GroupWork::new(Access { window, group, t: 0, can_wait: false }, None, counted);
    work.merge().await?;
    window.recorder.record(window.operations.group(), began.elapsed());
    let GroupWork { findings, mut tally, sink, .. } = work;
    tally.events = sink.events;
    let mut seen = SampledGroup {
        group: group.index,
        pairs: group.pairs.len() as u64,
        written: sink.written,
        journal_bytes: sink.journal_bytes,
        missed: sink.missed,
        absent_sources: Vec::new(),
        absent_survivor: None,
        largest: Vec::new(),
        conflicts: sink.conflicts,
        tally,
    };
    for source in findings.absent_sources() {
        let pair = &group.pairs[source];
        let absent = Absent { line: pair.line, account: pair.from.clone() };
        keep_first(&mut seen.absent_sources, absent, NAMED, |absent| absent.line);
    }
    let named = group.pairs.iter().filter(|pair| pair.into == group.survivor);
    let line = named.map(|pair| pair.line).min().unwrap_or_default();
    let survivor = group.survivor.clone();
    if seen.tally.absent_survivors > 0 {
        seen.absent_survivor = Some(Absent { line, account: survivor.clone() });
    }
    let rows = seen.tally.tables.iter().map(|table| table.target_rows).sum();
    keep_largest(
        &mut seen.largest,
        LargeAccount { account: survivor, line, is_survivor: true, rows },
    );
    for (pair, rows) in group.pairs.iter().zip(&sink.rows) {
        let (account, line) = (pair.from.clone(), pair.line);
        let account = LargeAccount { account, line, is_survivor: false, rows: *rows };
        keep_largest(&mut seen.largest, account);
    }
    Ok(seen)
}

impl<S: Reader> Sink<S> for Counted<'_> {
    fn needs_body(&mut self, slice: &Slice) -> bool {
        self.scales.is_next_weighed(slice.entries.len() as u64)
    }

    async fn take(
        &mut self,
        window: &Window<S>,
        part: PreparedSlice<'_>,
    ) -> Result<(), GroupError> {
        let PreparedSlice { group: _, slice, intent, writes, findings } = part;
        window.deletes.count(&window.spec, &slice, self.weight);
        self.journal_bytes += self.scales.bytes(intent, slice.entries.len() as u64);
        writes.iter().flatten().flat_map(|batch| &batch.mutations).for_each(|own| {
            self.written[own.table].add(&window.spec.tables[own.table], &own.change);
        });
        for gone in slice.completion.iter().flat_map(|completion| &completion.deletes) {
            let key = gone.scope.values().iter().map(Bytes::len).sum::<usize>()
                + self.group.pairs[gone.source].from.cell().len();
            self.written[gone.table].add_delete(key);
        }
        for entry in &slice.entries {
            self.see(window, entry, findings);
        }
        self.events += slice.completion.map_or(0, |completion| completion.events.len() as u64);
        Ok(())
    }
}

impl Counted<'_> {
    fn see<S>(&mut self, window: &Window<S>, entry: &Entry, findings: &Findings) {
        let table = &window.spec.tables[entry.table];
        for (source, _) in &entry.sources {
            self.rows[*source] += 1;
        }
        if table.locator.through.is_some()
            && let Some(base) = entry.base()
            && !findings.is_led_to(entry.table, &table.scope_of(&base.cells))
        {
            self.missed += entry.sources.len() as u64;
        }
        let (Some(target), Some((source, row))) = (&entry.target, entry.sources.first()) else {
            return;
        };
        let pair = &self.group.pairs[*source];
        let written: Vec<(ColumnIndex, Cell)> = match &entry.write {
            Write::Update { set } => {
                set.iter().map(|set| (set.column, set.value.clone())).collect()
            }
            Write::Replace { .. } => {
                let replaced = entry.replaced(table).into_iter().flatten();
                replaced.filter(|(column, value)| target.cells[*column] != *value).collect()
            }
            Write::Nothing | Write::Copy { .. } => Vec::new(),
        };
        let is_known = |known: &&Conflict| {
            let kind = (known.table, known.written.is_empty());
            kind == (entry.table, written.is_empty()) && known.line <= pair.line
        };
        if self.conflicts.iter().filter(is_known).count() >= CONFLICTS {
            return;
        }
        let conflict = Conflict {
            line: pair.line,
            table: entry.table,
            survivor: self.group.survivor.clone(),
            source: pair.from.clone(),
            key: entry.key_of(table, &self.group.survivor),
            target: target.clone(),
            row: row.clone(),
            written,
            timed: None,
        };
        keep_conflict(&mut self.conflicts, conflict.detached());
    }
}

impl Conflict {
    /// Copies what it holds out of its pages, which would otherwise live as long.
    fn detached(mut self) -> Self {
        let own = |value: &mut Bytes| *value = Bytes::copy_from_slice(value);
        let own_row = |row: &mut Row| row.cells.iter_mut().flatten().for_each(own);
        self.key.iter_mut().for_each(own);
        self.written.iter_mut().filter_map(|(_, value)| value.as_mut()).for_each(own);
        own_row(&mut self.target);
        own_row(&mut self.row);
        self
    }
}
