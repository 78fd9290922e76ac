//! One group's turn in the sweep: its sources' rows are read with write times, judged, journaled and taken
//! to their new place.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use crate::failpoint;
use crate::history::{Histories, Left};
use crate::journal::{Intent, SliceKind, SliceRecord, State};
use crate::merge::{Announced, Entry, Horizon, SweepDecision, SweepSlice, Swept};
use crate::model::{AccountId, Group, Scope, SweepTally, TableIndex, TimedRow, TimestampUs};
use crate::register::{OWNED_US, RunTimes, Step};
use crate::spec::Table;
use crate::storage::{StorageError, Writer};

use super::super::discovered::Discovered;
use super::super::overtaken::Raised;
use super::super::rounds::{ROUNDS, Turn};
use super::super::{GroupError, Leftover, Merged, NextPage, Window};
use super::relocate::relocate;
use super::undated;

/// A key without its account: what the rows of all accounts of a group share.
type SharedKey = (TableIndex, Vec<Bytes>);

/// The keys at which the survivor's row is a copy of the run's own, or is a source's as a whole, with what the run has left
/// there.
type Copies = HashMap<SharedKey, Vec<Left>>;

/// What the journal has of some keys.
#[derive(Default)]
struct Recorded {
    copies: Copies,
    /// What was merged, of tables in which the later write survives.
    dated: HashMap<SharedKey, Entry>,
    /// What earlier looks have moved without knowing its time.
    offered: Vec<Swept>,
}

/// Why a late row is left beside what may have been given back.
const GIVEN_BACK: &str = "what the run left at its new place has been written there once more, later than it, by the \
                          application or by the undo of a run that did not know of this one: it is left where it is";

/// Why a late row is left that would name the survivor twice.
const ONESELF: &str = "it would name the survivor twice, and such rows are dropped (drop_oneself): delete it, or give the \
                       survivor a row of its own";

/// A row found on a source.
struct Found {
    table: TableIndex,
    source: usize,
    row: TimedRow,
}

/// Looks at the sources of one group with values. What is too fresh is told as left on the last round, what
/// may be about to expire on any but the first.
pub(super) async fn turn<S: Writer>(
    window: &Window<S>,
    group: &Group,
    discovered: &Discovered,
    round: usize,
) -> Result<Turn<SweepTally>, GroupError> {
    let records = window.journal.slices(group.index)?;
    let times = records.iter().map(|record| record.t).collect();
    let mut sweeper = Sweeper { window, group, round, t: 0, times, turn: Turn::default() };
    let last = records.iter().find(|record| record.kind == SliceKind::Merge && record.completes);
    let Some(last) = last else { return Ok(sweeper.turn) };
    sweeper.t = last.t;
    let after = records.iter().map(|record| record.t).max().unwrap_or(last.t);
    let mut scopes = BTreeSet::new();
    for record in &records {
        let led_to = window.codec.decode_scopes(&record.scopes);
        scopes.extend(led_to.map_err(GroupError::Record)?);
    }
    for (table, _) in window.spec.discovered() {
        let found = discovered.scopes(table, group.index);
        scopes.extend(found.map(|scope| (table, scope)));
    }
    let spec = Arc::clone(&window.spec);
    for (table, shape) in spec.in_order().filter(|(_, table)| table.delete_source) {
        let of_table: Vec<Scope> = match shape.locator.constant() {
            Some(scope) => vec![scope],
            None => {
                scopes.iter().filter(|(led, _)| *led == table).map(|(_, s)| s.clone()).collect()
            }
        };
        for scope in of_table {
            if shape.has_point_rows() {
                sweeper.points(table, &scope, &mut scopes, after).await?;
            } else {
                sweeper.pages(table, &scope, &mut scopes, after).await?;
            }
        }
    }
    Ok(sweeper.turn)
}

/// Writes the last slice of a sweep that was stopped half way, or failed, once more, with its events;
/// gives the counts of the group's merge. `None` if the group's sweep had not begun.
pub(in super::super) async fn replay<S: Writer>(
    window: &Window<S>,
    group: &Group,
) -> Result<Option<Merged>, GroupError> {
    let records = window.journal.slices(group.index)?;
    let Some(stopped) = records.iter().rfind(|record| record.kind == SliceKind::Sweep) else {
        return Ok(None);
    };
    let tally = SliceRecord::merged(&records, window.spec.tables.len());
    let slice = window.codec.decode_sweep(&window.journal.body(stopped.id)?);
    let mut slice = slice.map_err(GroupError::Record)?;
    slice.rows.iter_mut().for_each(|row| row.expire(window.as_of.now()));
    Raised::recorded(window, group)?.write(window, group).await?;
    // What is hidden is still there for the next look.
    let relocated = relocate(window, group, &slice, stopped.t, true).await?;
    Ok(Some(Merged { tally, left: relocated.left }))
}

struct Sweeper<'a, S> {
    window: &'a Window<S>,
    group: &'a Group,
    round: usize,
    /// The merge's write time.
    t: TimestampUs,
    /// Those of all that the run did to the group.
    times: RunTimes,
    turn: Turn<SweepTally>,
}

impl<S: Writer> Sweeper<'_, S> {
    /// The rows of all sources in a scope, source by source and page by page.
    async fn pages(
        &mut self,
        table: TableIndex,
        scope: &Scope,
        scopes: &mut BTreeSet<(TableIndex, Scope)>,
        after: TimestampUs,
    ) -> Result<(), GroupError> {
        let (window, group) = (self.window, self.group);
        for (source, account) in group.sources().enumerate() {
            let mut next = NextPage::First(0);
            while !matches!(next, NextPage::None) {
                let rows = window.timed_page(table, (scope, account), 1, &mut next).await?;
                self.follow(table, &rows.iter(), scopes);
                let found = rows.into_iter().map(|row| Found { table, source, row });
                self.take(found.collect(), after).await?;
            }
        }
        Ok(())
    }

    /// The rows of all sources in a scope in which each owns one.
    async fn points(
        &mut self,
        table: TableIndex,
        scope: &Scope,
        scopes: &mut BTreeSet<(TableIndex, Scope)>,
        after: TimestampUs,
    ) -> Result<(), GroupError> {
        let sources: Vec<AccountId> = self.group.sources().cloned().collect();
        let rows = self.window.timed_rows_of(table, scope, &sources).await?;
        self.follow(table, &rows.iter().map(|(_, row)| row), scopes);
        let found = rows.into_iter().map(|(source, row)| Found { table, source, row });
        self.take(found.collect(), after).await
    }

    /// Notes where rows lead.
    fn follow<'r>(
        &self,
        table: TableIndex,
        rows: &(impl Iterator<Item = &'r TimedRow> + Clone),
        scopes: &mut BTreeSet<(TableIndex, Scope)>,
    ) {
        for (led, shape) in self.window.spec.led(table) {
            let found = rows.clone().filter_map(|row| shape.locator.scope(&row.row.cells));
            scopes.extend(found.map(|scope| (led, scope)));
        }
    }

    /// Judges the rows, journals what is taken, and takes it.
    async fn take(&mut self, found: Vec<Found>, after: TimestampUs) -> Result<(), GroupError> {
        if found.is_empty() {
            return Ok(());
        }
        let (window, group) = (self.window, self.group);
        let Recorded { copies, dated, offered } = self.recorded(&found)?;
        let now = window.as_of.now();
        let (settled, forgotten) = (window.as_of.settled(now), window.as_of.forgotten());
        // What was written in the milliseconds that the group owns was read before it was merged; where a key was given
        // up, they hold what was taken from the survivor again.
        let owned = self.t + OWNED_US - 1;
        let horizon = Horizon { deleted: owned, settled, now, forgotten };
        let mut targets: HashMap<SharedKey, Option<TimedRow>> = HashMap::new();
        let mut slice = SweepSlice::default();
        for Found { table, source, mut row } in found {
            let shape = &window.spec.tables[table];
            row.row.expire(now);
            if row.row.has_expired(shape.key_len) {
                continue; // before it could be moved
            }
            let key = shape.key_of(&row.row);
            if shape.is_oneself(&row.row.cells, &group.survivor) {
                self.leave(table, source, key, ONESELF);
                continue;
            }
            let shared = (table, shape.shared_key(&key));
            let mut target = match targets.get(&shared) {
                Some(target) => target.clone(),
                None => self.survivor_row(table, &key).await?,
            };
            if let Some(entry) = dated.get(&shared) {
                self.date(shape, entry, &mut row);
                target.iter_mut().for_each(|own| self.date(shape, entry, own));
            }
            if let (None, Some(own), Some(left)) = (&window.register, &target, copies.get(&shared))
                && is_given_back(&row, own, left)
            {
                self.leave(table, source, key, GIVEN_BACK);
                continue;
            }
            let is_copy =
                copies.contains_key(&shared) || targets.contains_key(&shared) && target.is_none();
            let deleted = undated::deleted(&offered, table, &key).unwrap_or_default();
            let horizon = Horizon { deleted: deleted.max(owned), ..horizon };
            match SweepDecision::of((table, shape), source, &row, target, is_copy, horizon) {
                SweepDecision::Take(mut swept, leftover) => {
                    swept.map_mentions(shape, |account| window.survivor_of(account));
                    let hidden = undated::hidden_before(shape, &mut swept, &offered);
                    if hidden.len() == swept.cells.len() {
                        let leftover = undated::leftover(window, group, &swept, &hidden);
                        self.turn.left.extend(leftover);
                        continue;
                    }
                    targets.insert(shared, swept.result(shape, &group.survivor));
                    self.turn.expiring |=
                        swept.cells.iter().any(|cell| Some(cell.t) > swept.settled);
                    self.turn.again = true;
                    slice.rows.push(swept);
                    if let Some(why) = leftover {
                        self.leave(table, source, key, why);
                    }
                }
                SweepDecision::Leave(why) => self.leave(table, source, key, why),
                SweepDecision::Bare if self.round == 1 => {
                    self.turn.again = true;
                    self.turn.expiring = true;
                }
                SweepDecision::Bare => self.leave(
                    table,
                    source,
                    key,
                    "only its key is left, and when that was written cannot be read",
                ),
                SweepDecision::Wait if self.round == ROUNDS => {
                    self.leave(table, source, key, "it is still being written to");
                }
                SweepDecision::Wait => self.turn.again = true,
            }
        }
        if slice.rows.is_empty() {
            return Ok(());
        }
        slice.events = self.announced(&slice, &targets).await?;
        // Above every earlier time of the group, so that the events have ids of their own.
        let t = window.as_of.stamp().max(after + 1);
        self.turn.tally.rows += slice.rows.len() as u64;
        self.turn.tally.events += slice.events.len() as u64;
        let body = window.codec.encode_sweep(&slice);
        let intent = Intent {
            scopes: window.codec.encode_scopes(&slice.scopes(&window.spec)),
            ..window.intent(group, (SliceKind::Sweep, State::Sweeping), t, body)
        };
        window.intend(intent).await?;
        window.begin(group, Step::After).await?;
        failpoint::hit("sweep");
        let relocated = relocate(window, group, &slice, t, false).await?;
        self.turn.leftovers.extend(relocated.left);
        self.turn.left.extend(relocated.stays);
        Ok(())
    }

    fn leave(&mut self, table: TableIndex, source: usize, key: Vec<Bytes>, why: &str) {
        self.turn.left.push(Leftover::of(self.group, source, (table, key), why));
    }

    /// Dates what the run itself has written, or given back, as the application did.
    fn date(&self, table: &Table, entry: &Entry, found: &mut TimedRow) {
        for column in table.by_time() {
            let cell = &found.row.cells[column];
            let by_run = found.times[column].latest().filter(|t| self.times.has(*t));
            let written = by_run.and_then(|_| entry.written_before(column, cell));
            found.row.written.set(column, written);
        }
    }

    /// What the journal says of the keys.
    fn recorded(&self, found: &[Found]) -> Result<Recorded, GroupError> {
        let spec = &self.window.spec;
        let wanted: HashSet<SharedKey> = found
            .iter()
            .map(|found| {
                let table = &spec.tables[found.table];
                (found.table, table.shared_key(&table.key_of(&found.row.row)))
            })
            .collect();
        let mut recorded = Recorded::default();
        let (journal, codec) = (&*self.window.journal, &self.window.codec);
        let now = self.window.as_of.now();
        let mut walk = Histories::open(journal, codec, spec, self.group.index, now)?;
        while let Some(histories) = walk.next_chunk()? {
            for mut history in histories {
                let table = &spec.tables[history.table];
                let key = history.key_of(table, &self.group.survivor);
                let shared = (history.table, table.shared_key(&key));
                if !wanted.contains(&shared) {
                    continue;
                }
                if history.is_copy() || history.is_sources(table) || history.is_begun_late() {
                    recorded.copies.insert(shared.clone(), history.left(table));
                }
                recorded.offered.extend(history.swept.drain(..).filter(Swept::is_undated));
                if table.by_time().next().is_some() {
                    recorded.dated.extend(history.entry.map(|entry| (shared, entry)));
                }
            }
        }
        Ok(recorded)
    }

    /// The survivor's row of a source's key, with write times.
    async fn survivor_row(
        &self,
        table: TableIndex,
        key: &[Bytes],
    ) -> Result<Option<TimedRow>, StorageError> {
        let mut key = key.to_vec();
        self.window.spec.tables[table].set_account(&mut key, &self.group.survivor);
        self.window.timed_row(table, &key).await
    }

    /// The rows to announce: those of the survivor in the partitions in which a row of it changes.
    async fn announced(
        &self,
        slice: &SweepSlice,
        targets: &HashMap<SharedKey, Option<TimedRow>>,
    ) -> Result<Vec<Announced>, StorageError> {
        let (window, survivor) = (self.window, &self.group.survivor);
        let Some(event) = &window.spec.event else { return Ok(Vec::new()) };
        let moved = slice.rows.iter().filter(|swept| swept.is_moved());
        let scopes = moved.filter_map(|swept| {
            let key: Vec<_> = swept.key.iter().cloned().map(Some).collect();
            window.led_to(swept.table, &key)
        });
        // The survivor's only row of a scope.
        let known = |scope: &Scope| {
            let target = targets.get(&(event.table, scope.values().to_vec()))?;
            Some(target.as_ref().map(|timed| timed.row.clone()))
        };
        let mut announced = window.announced(survivor, scopes.collect(), known).await?;
        let shape = &window.spec.tables[event.table];
        let left = slice.rows.iter().filter(|swept| event.left && swept.table == event.table);
        announced.extend(left.map(|swept| {
            let cells = swept.cells(shape);
            let scope = shape.shared_scope(&cells);
            let quoted = event.columns.iter().map(|column| cells[column.column].clone());
            Announced { left: Some(swept.source), scope, quoted: quoted.collect() }
        }));
        Ok(announced)
    }
}

/// Whether the survivor's row holds what the run left there, dated later than that, and than what is late. Another run may
/// have taken it away and given it back; whether the application wrote it instead cannot be told without the register.
fn is_given_back(late: &TimedRow, own: &TimedRow, left: &[Left]) -> bool {
    left.iter().any(|left| {
        let [ours, late] = [own, late].map(|row| row.times[left.column].latest());
        let is_later = late.is_some() && ours > late && ours > Some(left.t);
        is_later && left.value.is_some() && own.row.cells[left.column] == left.value
    })
}
