//! A computed value that a write of the application has overtaken.
//!
//! What a policy makes of the values of both accounts is written as of T. If the application writes to the survivor's
//! cell after T, and before the merge is acknowledged, it knows nothing of the source's value, and yet its write
//! hides what was computed. So a group looks once more, behind the acknowledgement: such a cell is computed anew, from
//! what is there and what the sources held, and written just above itself. What is written after the acknowledgement
//! is the application's own decision.

mod totals;

use std::collections::BTreeSet;

use bytes::Bytes;
use futures::future::try_join_all;

use crate::failpoint;
use crate::history::{Histories, History};
use crate::journal::{SliceKind, State};
use crate::merge::{SweepSlice, Swept, SweptCell};
use crate::model::{
    Cell, ColumnIndex, Group, Row, Scope, TableIndex, TimedRow, TimestampUs, WriteTimes, expiry,
    list,
};
use crate::spec::{Survivorship, Table};
use crate::storage::Writer;

use super::{GroupError, Leftover, Window};

/// How often a cell is written again, at most.
const ROUNDS: usize = 5;

/// A row of the survivor, by table and primary key.
pub(super) type Key = (TableIndex, Vec<Bytes>);

/// Writes of a group that are acknowledged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Acknowledged {
    /// Their write time: what is dated later was written by somebody else.
    pub(super) since: TimestampUs,
    /// When all of them were acknowledged.
    pub(super) at: TimestampUs,
    /// The state that the group is in.
    pub(super) state: State,
    /// Whether they are of a merge that this session has read itself, just before.
    pub(super) is_fresh: bool,
}

/// What came of looking.
#[derive(Debug, Default)]
pub(super) struct Raised {
    /// What was written, each part with its time.
    pub(super) slices: Vec<(TimestampUs, SweepSlice)>,
    /// Rows whose computed cells were left as the application wrote them.
    pub(super) left: Vec<Leftover>,
}

impl Raised {
    /// What an earlier session has recorded; its writes may not have happened, nor its events been sent.
    pub(super) fn recorded<S: Writer>(
        window: &Window<S>,
        group: &Group,
    ) -> Result<Self, GroupError> {
        let mut raised = Self::default();
        for record in window.journal.slices(group.index)? {
            if record.kind == SliceKind::Raise {
                let slice = window.codec.decode_sweep(&window.journal.body(record.id)?);
                raised.slices.push((record.t, slice.map_err(GroupError::Record)?));
            }
        }
        Ok(raised)
    }

    /// Writes it, again perhaps.
    pub(super) async fn write<S: Writer>(
        &self,
        window: &Window<S>,
        group: &Group,
    ) -> Result<(), GroupError> {
        // Whether a row was deleted that long ago cannot be told any more.
        let forgotten = window.as_of.forgotten();
        for (_, slice) in self.slices.iter().filter(|(t, _)| *t > forgotten) {
            window.write_all(slice.moves(&window.spec, &group.survivor)).await?;
            failpoint::hit("raised");
        }
        Ok(())
    }
}

/// The rows of the survivor in which a cell that policies look at was written since, in all tables.
pub(super) async fn find<S: Writer>(
    window: &Window<S>,
    group: &Group,
    since: TimestampUs,
) -> Result<BTreeSet<Key>, GroupError> {
    let spec = &window.spec;
    let mut looks = Vec::new();
    for (table, shape) in spec.in_order().filter(|(_, table)| table.computed().next().is_some()) {
        let scopes = match shape.locator.constant() {
            Some(scope) => vec![scope],
            None => led_to(window, group, table)?,
        };
        looks.extend(scopes.into_iter().map(|scope| async move {
            let keys = window.written_since(table, &scope, &group.survivor, since).await?;
            Ok::<_, GroupError>(keys.into_iter().map(move |key| (table, key)))
        }));
    }
    let mut keys: BTreeSet<Key> = try_join_all(looks).await?.into_iter().flatten().collect();
    let joins = |table: &Table| {
        table.rows.is_ranked() || table.survivorship.iter().any(Survivorship::joins_elements)
    };
    if spec.tables.iter().any(joins) {
        let (journal, codec) = (&*window.journal, &window.codec);
        let mut walk = Histories::open(journal, codec, spec, group.index, window.as_of.now())?;
        while let Some(histories) = walk.next_chunk()? {
            let is_whole = |history: &History, table: &Table| {
                let replaced = history.entry.as_ref().and_then(|entry| entry.replaced(table));
                table.rows.is_ranked() && replaced.is_none()
            };
            let joined = histories.iter().filter(|history| {
                let table = &spec.tables[history.table];
                joins(table) && !is_whole(history, table)
            });
            keys.extend(joined.map(|history| {
                let table = &spec.tables[history.table];
                (history.table, history.key_of(table, &group.survivor))
            }));
        }
    }
    Ok(keys)
}

/// The scopes that the group's rows led to in a table.
fn led_to<S>(
    window: &Window<S>,
    group: &Group,
    table: TableIndex,
) -> Result<Vec<Scope>, GroupError> {
    let mut scopes = BTreeSet::new();
    for record in window.journal.slices(group.index)? {
        let found = window.codec.decode_scopes(&record.scopes).map_err(GroupError::Record)?;
        scopes.extend(found.into_iter().filter(|(led, _)| *led == table).map(|(_, scope)| scope));
    }
    Ok(scopes.into_iter().collect())
}

/// Computes anew what was overtaken in these rows, until nothing is.
pub(super) async fn raise<S: Writer>(
    window: &Window<S>,
    group: &Group,
    mut keys: BTreeSet<Key>,
    mut writes: Acknowledged,
) -> Result<Raised, GroupError> {
    let mut raised = Raised::default();
    let work = Work { window, group };
    while !keys.is_empty() {
        let slice = work.compute(&keys, writes, &mut raised.left).await?;
        keys = slice.rows.iter().map(|row| (row.table, work.survivor_key(row))).collect();
        if slice.rows.is_empty() {
            break;
        }
        if raised.slices.len() == ROUNDS {
            let why = "it is written to all the time";
            raised.left.extend(slice.rows.iter().map(|row| work.leave(row, why)));
            break;
        }
        let t = work.record(&slice, writes.state).await?;
        failpoint::hit("raise");
        window.write_all(slice.moves(&window.spec, &group.survivor)).await?;
        writes.at = window.as_of.now();
        failpoint::hit("raised");
        raised.slices.push((t, slice));
    }
    Ok(raised)
}

struct Work<'a, S> {
    window: &'a Window<S>,
    group: &'a Group,
}

impl<S: Writer> Work<'_, S> {
    /// What is to be written in these rows.
    async fn compute(
        &self,
        keys: &BTreeSet<Key>,
        writes: Acknowledged,
        left: &mut Vec<Leftover>,
    ) -> Result<SweepSlice, GroupError> {
        let Self { window, group } = self;
        let spec = &window.spec;
        let mut slice = SweepSlice::default();
        let mut news = BTreeSet::new();
        let now = window.as_of.now();
        let mut walk = Histories::open(&*window.journal, &window.codec, spec, group.index, now)?;
        while let Some(histories) = walk.next_chunk()? {
            for history in histories {
                let (table, shape) = (history.table, &spec.tables[history.table]);
                let key = (table, history.key_of(shape, &group.survivor));
                if !keys.contains(&key) || history.is_dropped() {
                    continue;
                }
                let Some(found) = window.timed_row(table, &key.1).await? else { continue };
                if let Some(why) = mixed(shape, &history, &found) {
                    left.push(self.leftover(&history, key.1, why));
                    continue;
                }
                if let Some(why) = replaced(shape, &history, &found) {
                    left.push(self.leftover(&history, key.1, &why));
                    continue;
                }
                for why in totals::differing(shape, &history, &found, writes) {
                    let leftover = self.leftover(&history, key.1.clone(), &why);
                    if !left.contains(&leftover) {
                        left.push(leftover);
                    }
                }
                let Some(row) = overtaken(shape, &history, found, writes) else { continue };
                if !is_known(shape, &history, &row, writes.since) {
                    let why = "it was deleted and begun anew while the group was merged: its computed cells \
                               are as they were written then";
                    left.push(self.leave(&row, why));
                    continue;
                }
                if !history.is_written() {
                    let found = row.target.as_ref();
                    news.extend(found.and_then(|found| window.led_to(table, &found.row.cells)));
                }
                slice.rows.push(row);
            }
        }
        slice.events = window.announced(&group.survivor, news, |_| None).await?;
        Ok(slice)
    }

    /// Records what is about to be written; gives its time.
    async fn record(&self, slice: &SweepSlice, state: State) -> Result<TimestampUs, GroupError> {
        let Self { window, group } = self;
        let records = window.journal.slices(group.index)?;
        let after = records.iter().map(|record| record.t).max().unwrap_or_default();
        // Above every earlier time of the group, so that the events have ids of their own.
        let t = window.as_of.stamp().max(after + 1);
        let body = window.codec.encode_sweep(slice);
        let intent = window.intent(group, (SliceKind::Raise, state), t, body);
        window.intend(intent).await?;
        Ok(t)
    }

    fn survivor_key(&self, row: &Swept) -> Vec<Bytes> {
        row.key_of(&self.window.spec.tables[row.table], &self.group.survivor)
    }

    fn leave(&self, row: &Swept, why: &str) -> Leftover {
        Leftover::of(self.group, row.source, (row.table, self.survivor_key(row)), why)
    }

    fn leftover(&self, history: &History, key: Vec<Bytes>, why: &str) -> Leftover {
        let entry = history.entry.iter().flat_map(|entry| entry.sources.first());
        let source = entry.map(|(source, _)| *source).next().unwrap_or_default();
        Leftover::of(self.group, source, (history.table, key), why)
    }
}

/// Why a row is reported that took the place of another one while that was written to: its columns are those of two rows.
fn mixed(table: &Table, history: &History, found: &TimedRow) -> Option<&'static str> {
    history.entry.as_ref().filter(|_| table.rows.is_ranked())?.replaced(table)?;
    let is_since = |t: TimestampUs| t > history.t;
    let mut times = found.times.iter().filter_map(WriteTimes::latest);
    times.any(is_since).then_some(
        "it was written to while a row that ranks higher took its place: its columns are those of both",
    )
}

/// Why a row is reported in which elements that the group added are not there: somebody has replaced all elements since T.
fn replaced(table: &Table, history: &History, found: &TimedRow) -> Option<String> {
    let entry = history.entry.as_ref()?;
    let read = entry.target.as_ref()?;
    let is_replaced = |rule: &&Survivorship| {
        if rule.unites_lists() {
            return is_disputed(history, rule.column, read, found);
        }
        let elements = |cell: Option<&Bytes>| rule.cql_type.collection()?.split(cell?);
        let own = elements(read.cells[rule.column].as_ref()).unwrap_or_default();
        let there = elements(found.row.cells[rule.column].as_ref()).unwrap_or_default();
        let written = entry.written(rule.column).and_then(Option::as_ref);
        let mut left = elements(written).unwrap_or_default();
        left.retain(|entry| !own.contains(entry));
        left.iter().any(|(key, value)| {
            let found = there.iter().find(|(known, _)| known == key).map(|(_, found)| found);
            let is_worse = |found: &Cell| {
                let by_entry = rule.of_entries();
                by_entry.is_some_and(|(policy, of)| policy.combine(of, found, value).is_some())
            };
            found.is_none_or(is_worse)
        })
    };
    let rules = table.survivorship.iter().filter(|rule| rule.joins_elements());
    let column = &table.columns[rules.into_iter().find(is_replaced)?.column].name;
    Some(format!(
        "{column} was replaced or reduced while the group was merged: what it got from a source is not there"
    ))
}

/// Whether a list that the group wrote lacks something of that, or holds something twice, for it was added just before the
/// list was read.
fn is_disputed(history: &History, column: ColumnIndex, read: &Row, found: &TimedRow) -> bool {
    let entry = history.entry.as_ref();
    let Some(Some(written)) = entry.and_then(|entry| entry.written(column)) else { return false };
    let Some(cell) = &found.row.cells[column] else { return true };
    let read = read.cells[column].as_ref();
    let is_twice = |read: &Bytes| list::has_later(cell, &found.times[column], history.t, read);
    !list::has_all(cell, written) || read.is_some_and(is_twice)
}

/// The cells of the survivor's row that hide what the policies make of them and of what the sources held.
fn overtaken(
    table: &Table,
    history: &History,
    found: TimedRow,
    writes: Acknowledged,
) -> Option<Swept> {
    let sources = history.sources_before(table);
    let (source, first) = sources.first()?;
    let left = history.left(table);
    let cells = table.computed().filter(|rule| !rule.unites_lists()).filter_map(|rule| {
        let column = rule.column;
        if rule.policy.adds() {
            return totals::hidden(table, history, &found, column, writes);
        }
        let found_t = found.times[column].latest()?;
        let ours = left.iter().find(|left| left.column == column).map(|left| left.t);
        if found_t <= writes.since.max(ours.unwrap_or_default()) || found_t > writes.at {
            return None;
        }
        let now = &found.row.cells[column];
        let offered = sources.iter().map(|(_, row)| &row.cells[column]);
        let best = offered.fold(None, |best: Cell, offered| match &best {
            None => rule.combine(now, offered),
            Some(_) => rule.combine(&best, offered).or(best),
        });
        let (moved_at, value) = (Some(found_t + 1), Some(best?));
        let holding = sources.iter().filter(|(_, row)| row.cells[column] == value);
        let expires = expiry::longest(holding.map(|(_, row)| row.expires.of(column))).flatten();
        Some(SweptCell {
            column,
            element: None,
            value,
            t: history.t,
            moved_at,
            expires,
            names: None,
        })
    });
    let cells: Vec<_> = cells.collect();
    let (key, source) = (table.key_of(first), *source);
    let target = Some(found);
    (!cells.is_empty()).then_some(Swept {
        table: history.table,
        source,
        key,
        cells,
        target,
        settled: None,
    })
}

/// Whether it is the row that the group was merged into: a cell of it is older, or it is as it was read. Else somebody
/// has deleted that row and begun it anew.
fn is_known(table: &Table, history: &History, row: &Swept, since: TimestampUs) -> bool {
    let Some(found) = &row.target else { return false };
    let read = history.entry.as_ref().and_then(|entry| entry.target.as_ref());
    let as_read = |cell: &SweptCell| {
        read.is_some_and(|read| read.cells[cell.column] == found.row.cells[cell.column])
    };
    let times = found.times[table.key_len..].iter().filter_map(|times| times.latest());
    times.min().is_some_and(|t| t <= since) || row.cells.iter().all(as_read)
}
