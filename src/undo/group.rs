//! One group, undone: chunk by chunk, what stands there is compared with what the run left, what is
//! decided is journaled, and then it is written.
//!
//! The chunks are those of the [`Histories`], so a group of any size is undone in bounded memory. A walk over
//! all of them is a *pass*; every chunk of a pass is one slice in the journal, and all of them carry the
//! pass's time. A pass that was stopped half way goes on with the same time and the same decisions. A
//! further pass takes up only the keys that the one before left alone.

use crate::failpoint;
use crate::history::{Histories, History};
use crate::journal::{Note, SliceKind, SliceRecord, State};
use crate::model::{Amount, Group, Scope, TimestampUs, UndoTally};
use crate::pipeline::keys;
use crate::pipeline::{GroupError, Window};
use crate::register::{OWNED_US, Step};
use crate::storage::Writer;

use super::announce::{Changed, Standing, announce, quoted};
use super::key::{Key, UndoDecision};
use super::record::Record;
use super::write::Writes;

/// What came of a group's turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct UndoOutcome {
    /// By table.
    pub(super) rows: Vec<UndoTally>,
    pub(super) events: u64,
    /// The liveness of a row is still to end.
    pub(super) is_expiring: bool,
}

impl UndoOutcome {
    pub(super) fn left_alone(&self) -> u64 {
        self.rows.iter().map(|rows| rows.left_alone).sum()
    }
}

/// A walk over all chunks of a group.
struct Pass {
    t: TimestampUs,
    /// Its slices in the journal, by chunk.
    slices: Vec<i64>,
}

/// The passes that the journal knows, in order.
fn passes(records: &[SliceRecord]) -> Vec<Pass> {
    let mut passes: Vec<Pass> = Vec::new();
    for record in records.iter().filter(|record| record.kind == SliceKind::Undo) {
        match passes.last_mut().filter(|pass| pass.t == record.t) {
            Some(pass) => pass.slices.push(record.id),
            None => passes.push(Pass { t: record.t, slices: vec![record.id] }),
        }
    }
    passes
}

/// Undoes a group, whatever of its writes has happened: nothing of it is completed first, which the server may
/// refuse. Every key is restored, and what may still arrive is older. `state` is where the journal says that it stands. What someone changed since is
/// left alone, unless `force`.
pub(super) async fn undo_group<S: Writer>(
    window: &Window<S>,
    group: &Group,
    state: State,
    force: bool,
) -> Result<UndoOutcome, GroupError> {
    window.begin(group, Step::Undo).await?;
    let records = window.journal.slices(group.index)?;
    let is_complete =
        records.iter().any(|record| record.kind == SliceKind::Merge && record.completes);
    let is_sweeping = state == State::Sweeping;
    let undone_at =
        records.iter().find(|record| record.kind == SliceKind::Undo).map(|record| record.t);
    let work = Work { window, group, is_complete, is_sweeping, undone_at, force };
    let mut known = passes(&records);
    let mut done = None;
    if state == State::Undoing
        && let Some(stopped) = known.pop()
        // What was decided so long ago that tombstones may be gone since is decided anew.
        && stopped.t > window.as_of.forgotten()
    {
        done = Some(work.pass(&stopped, known.last()).await?);
        known = passes(&window.journal.slices(group.index)?);
    }
    // What a stopped pass had left alone is overridden by a pass of its own.
    if done.as_ref().is_none_or(|done| force && done.left_alone() > 0) {
        let newest = records.iter().map(|record| record.t).max().unwrap_or_default();
        // As the register has it, so that whoever comes later knows it.
        let t = window.t().max(newest.saturating_add(OWNED_US));
        let mut turn = work.pass(&Pass { t, slices: Vec::new() }, known.last()).await?;
        if let Some(earlier) = done {
            turn.follow(&earlier);
        }
        done = Some(turn);
    }
    let turn = done.unwrap_or_default();
    failpoint::hit("undone");
    let (state, reason) = match turn.left_alone() {
        0 => (State::Undone, None),
        keys => (State::Disputed, Some(format!("{keys} keys were changed since and left alone"))),
    };
    window.journal.note(Note { group: group.index, state, reason, known_as: None })?;
    if state == State::Undone {
        window.over(group);
    }
    Ok(turn)
}

impl UndoOutcome {
    /// Adds what an earlier pass did; what it left alone had its turn again.
    fn follow(&mut self, earlier: &UndoOutcome) {
        for (rows, earlier) in self.rows.iter_mut().zip(&earlier.rows) {
            let left_alone = rows.left_alone;
            rows.add(earlier);
            rows.left_alone = left_alone;
        }
        self.events += earlier.events;
        self.is_expiring |= earlier.is_expiring;
    }
}

struct Work<'a, S> {
    window: &'a Window<S>,
    group: &'a Group,
    /// Whether the group's merge is journaled completely, so that its sources' partitions were deleted.
    is_complete: bool,
    /// Whether the group's last sweep may not have been written.
    is_sweeping: bool,
    /// When its first undo began.
    undone_at: Option<TimestampUs>,
    force: bool,
}

impl<S: Writer> Work<'_, S> {
    /// Walks over all chunks: decides about those that the journal does not have in this pass, and writes
    /// what is not known to be acknowledged. `before` is the pass that came before.
    async fn pass(&self, pass: &Pass, before: Option<&Pass>) -> Result<UndoOutcome, GroupError> {
        let window = self.window;
        let (journal, now) = (&*window.journal, window.as_of.now());
        let mut walk =
            Histories::open(journal, &window.codec, &window.spec, self.group.index, now)?;
        let mut turn = UndoOutcome {
            rows: vec![UndoTally::default(); window.spec.tables.len()],
            ..UndoOutcome::default()
        };
        let mut changed = Changed::default();
        let (mut chunk, mut before) = (0, before);
        while let Some(histories) = walk.next_chunk()? {
            let keys: Vec<_> = histories.iter().map(|history| self.key(history)).collect();
            let (record, survivors) = match pass.slices.get(chunk) {
                Some(slice) => (self.recorded(*slice, keys.len())?, Vec::new()),
                None => {
                    let before = before.and_then(|before| before.slices.get(chunk));
                    self.decide(&keys, pass.t, before.copied()).await?
                }
            };
            // It was decided anew, and follows nothing.
            before = before.filter(|_| record.0.only.is_some());
            chunk += 1;
            self.count(&record, &keys, &mut turn, &mut changed);
            // Every slice but the last was acknowledged before the next one was recorded.
            if chunk >= pass.slices.len() {
                let is_resumed = chunk <= pass.slices.len();
                let writes = Writes { window, group: self.group, t: pass.t, is_resumed };
                let written = writes.carry_out(&record, &keys).await?;
                turn.is_expiring |= written.is_expiring;
                for at in written.counted_meanwhile {
                    turn.rows[keys[at].history.table].counted_meanwhile += 1;
                }
                for at in &written.hidden {
                    turn.rows[keys[*at].history.table].deleted_meanwhile += 1;
                }
                for (account, scope, row) in written.announced {
                    changed.stands(&account, &scope, Some(row));
                }
                for (at, standing) in survivors {
                    let scope = self.scope(&keys[at]).filter(|_| !written.hidden.contains(&at));
                    if let Some(scope) = scope {
                        changed.stands(&self.group.survivor, &scope, standing);
                    }
                }
            }
        }
        failpoint::hit("restored");
        turn.events = announce(window, changed, pass.t).await?;
        Ok(turn)
    }

    fn key<'h>(&'h self, history: &'h History) -> Key<'h> {
        let table = &self.window.spec.tables[history.table];
        let is_deleted = table.delete_source && (!table.owns_partitions() || self.is_complete);
        Key::new(history, table, is_deleted, self.is_sweeping, self.undone_at)
    }

    fn recorded(&self, slice: i64, keys: usize) -> Result<Record, GroupError> {
        let body = self.window.journal.body(slice)?;
        Record::decode(&self.window.codec, &body, keys).map_err(GroupError::Record)
    }

    /// Looks at the keys of a chunk, decides, and journals what is decided. After an earlier pass only the
    /// keys that it left alone have their turn. Gives what will stand of the survivor's announced rows, too.
    async fn decide(
        &self,
        keys: &[Key<'_>],
        t: TimestampUs,
        before: Option<i64>,
    ) -> Result<(Record, Vec<(usize, Standing)>), GroupError> {
        let (window, group) = (self.window, self.group);
        let only = match before {
            Some(slice) => Some(self.recorded(slice, keys.len())?.left_alone()),
            None => None,
        };
        let mut record = Record::new(keys.len(), only);
        let taken: Vec<(usize, &Key<'_>)> =
            keys.iter().enumerate().filter(|(position, _)| record.takes(*position)).collect();
        let sought: Vec<_> = taken.iter().map(|(at, key)| key.sought(*at)).collect();
        let mut found = keys::look(window, group, &sought).await?;
        let mut survivors = Vec::new();
        for (position, key) in taken {
            let found = found.remove(&position).unwrap_or_default();
            let verdict = key.judge(&found, t, self.force);
            if let (Some(event), UndoDecision::Restore(how)) = (&window.spec.event, &verdict)
                && event.table == key.history.table
                && let Some(standing) = key.restored_survivor(how, &found)
            {
                survivors.push((position, standing.map(|row| quoted(event, &row))));
            }
            record.add((position, key), &group.survivor, verdict);
        }
        let body = window.codec.encode_undo(&record.0);
        let intent = window.intent(group, (SliceKind::Undo, State::Undoing), t, body);
        window.intend(intent).await?;
        Ok((record, survivors))
    }

    /// Counts what is restored, and notes whose rows have to be announced.
    fn count(
        &self,
        record: &Record,
        keys: &[Key<'_>],
        turn: &mut UndoOutcome,
        changed: &mut Changed,
    ) {
        for (position, how) in record.restored() {
            let key = &keys[position];
            let rows = &mut turn.rows[key.history.table];
            let is_changed = key.is_written() && !how.keeps_survivor;
            rows.given_back += key.sources().count() as u64;
            rows.removed += u64::from(key.history.is_copy());
            rows.set_back += u64::from(is_changed && !key.history.is_copy());
            self.note_changed(key, is_changed, changed);
        }
        for left in &record.0.left_alone {
            if let Some(key) = keys.get(left.key) {
                turn.rows[key.history.table].left_alone += 1;
            }
        }
    }

    fn note_changed(&self, key: &Key<'_>, is_changed: bool, changed: &mut Changed) {
        let Some(scope) = self.scope(key) else { return };
        if is_changed {
            changed.note(&self.group.survivor, &scope);
        }
        // Content alone is no news of a source: its announced row comes back as well, or stays away.
        if self.window.spec.event.as_ref().is_some_and(|event| event.table == key.history.table) {
            key.sources().for_each(|source| changed.note(&self.group.pairs[source].from, &scope));
        }
    }

    /// The scope of the announced table that a key is in, or leads to. It is kept for longer than the chunk whose slice it is
    /// part of.
    fn scope(&self, key: &Key<'_>) -> Option<Scope> {
        let cells = key.history.key_of(key.table, &self.group.survivor).into_iter().map(Some);
        let led_to = self.window.led_to(key.history.table, &cells.collect::<Vec<_>>());
        led_to.map(|scope| scope.detached())
    }
}
