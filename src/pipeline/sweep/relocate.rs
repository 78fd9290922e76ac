//! A slice of a sweep, carried out: what survived goes to its new place, is looked at there, and only then it is taken
//! from its sources.
//!
//! Time has passed since the cells were written, or passes while they are written: what a later delete hides was not moved.
//! With the register it is known that no other run deletes there, so somebody has deleted the row that the cells belong
//! to, and they go with it. Without, they stay, and the relocation is taken back: part of a row under the survivor would
//! be its own for the next look. Elements whose times the server does not tell stay one by one.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use crate::failpoint;
use crate::journal::{Note, State};
use crate::merge::{self, SweepSlice, Swept, SweptCell, in_batches};
use crate::model::{Group, TableIndex, TimedRow, TimestampUs};
use crate::spec::Survivorship;
use crate::storage::{StorageError, Writer};

use super::super::overtaken::{self, Acknowledged};
use super::super::{GroupError, Leftover, READS, Window, leftover};
use super::undated;

/// Why a late row is not taken to its new place.
const HIDDEN: &str = "its new place was deleted later than it was written, by somebody or by another run: it is left where \
                      it is";
/// Why it is not taken from its source.
const COUNTED_ON: &str = "what was placed under the survivor is something that is added up, and was written over at once: whether that \
                          counts on from it cannot be told; it is left where it is";
/// Why it is nowhere any more.
const GONE: &str =
    "the row that it belongs to was deleted later than it was written: it is gone with that";

/// What is to be told of a slice that was carried out.
#[derive(Default)]
pub(super) struct Relocated {
    /// Rows that no later look finds so again: those of the survivor that are otherwise than the policies say, and those
    /// that are gone.
    pub(super) left: Vec<Leftover>,
    /// Rows of sources of which something stays, for it is hidden at the survivor's.
    pub(super) stays: Vec<Leftover>,
}

/// Writes what a slice says, announces it, and notes it. `is_again` says whether an earlier attempt may have sent what
/// takes the rows from their sources.
pub(super) async fn relocate<S: Writer>(
    window: &Window<S>,
    group: &Group,
    slice: &SweepSlice,
    t: TimestampUs,
    is_again: bool,
) -> Result<Relocated, GroupError> {
    let mut relocated = Relocated::default();
    let slice = &match is_again {
        // What was not moved by then is late still, for the next look.
        true if t <= window.as_of.forgotten() => {
            Cow::Owned(SweepSlice { rows: Vec::new(), events: slice.events.clone() })
        }
        true => Cow::Owned(void_gone(window, group, slice, &mut relocated).await?),
        false => Cow::Borrowed(slice),
    };
    window.write_all(slice.moves(&window.spec, &group.survivor)).await?;
    // Whatever the application writes to the survivor after the late cells may hide them, also before this was intended.
    let late = slice.rows.iter().flat_map(|row| &row.cells).map(|cell| cell.t);
    let since = late.min().map_or(t, |earliest| earliest.min(t));
    let (at, state) = (window.as_of.now(), State::Sweeping);
    let writes = Acknowledged { since, at, state, is_fresh: false };
    let moved = slice.rows.iter().filter(|row| row.is_moved());
    let moved = moved.map(|row| survivor_key(window, group, row));
    let is_computed = |rule: &Survivorship| rule.policy.is_computed();
    let computed =
        moved.filter(|(table, _)| window.spec.tables[*table].survivorship.iter().any(is_computed));
    let raised = overtaken::raise(window, group, computed.collect(), writes).await?;
    failpoint::hit("placed");
    relocated.left.extend(raised.left);
    take(window, group, slice, is_again, &mut relocated).await?;
    failpoint::hit("swept");
    if let Some(event) = &window.spec.event {
        let announced = slice.events.iter();
        let events = announced.map(|one| merge::event(event, one.account(group), one, t)).collect();
        window.deliver(events).await?;
    }
    leftover::keep(&*window.journal, group, &relocated.left)?;
    let note = Note { group: group.index, state: State::Done, reason: None, known_as: None };
    window.journal.note(note)?;
    Ok(relocated)
}

/// What is left of a slice that was intended earlier, without the rows that are neither where they were nor where they were
/// to go: somebody has deleted them meanwhile, or another run has them, for whoever had taken them from their source had seen
/// the copy stand. What was sent of them may still arrive, so it is voided.
async fn void_gone<S: Writer>(
    window: &Window<S>,
    group: &Group,
    slice: &SweepSlice,
    relocated: &mut Relocated,
) -> Result<SweepSlice, GroupError> {
    let key_of = |row: &Swept| survivor_key(window, group, row);
    let of_sources = slice.rows.iter().map(|row| (row.table, row.key.clone()));
    let found =
        read_back(window, slice.rows.iter().map(key_of).chain(of_sources).collect()).await?;
    let (gone, rows): (Vec<_>, Vec<_>) = slice.rows.iter().cloned().partition(|row| {
        let table = &window.spec.tables[row.table];
        row.is_gone(found.get(&(row.table, row.key.clone())))
            && !row.stands(table, found.get(&key_of(row)))
    });
    let voids = gone.iter().map(|row| {
        let table = &window.spec.tables[row.table];
        (row.table, row.voids(table, &group.survivor, found.get(&key_of(row))))
    });
    window.write_all(in_batches(voids)).await?;
    let of_row = |row: &Swept| Leftover::of(group, row.source, (row.table, row.key.clone()), GONE);
    relocated.left.extend(gone.iter().map(of_row));
    Ok(SweepSlice { rows, events: slice.events.clone() })
}

/// Takes from their sources what stands at the survivor's now.
async fn take<S: Writer>(
    window: &Window<S>,
    group: &Group,
    slice: &SweepSlice,
    is_again: bool,
    relocated: &mut Relocated,
) -> Result<(), GroupError> {
    let goes = window.register.is_some();
    let (mut pins, mut voids, mut removals) = (Vec::new(), Vec::new(), Vec::new());
    let key_of = |row: &Swept| survivor_key(window, group, row);
    let found = read_back(window, slice.rows.iter().map(key_of).collect()).await?;
    let now = window.as_of.now();
    for row in &slice.rows {
        let row = &*row.by_now(now);
        let table = &window.spec.tables[row.table];
        let found = found.get(&key_of(row));
        let hidden: Vec<SweptCell> = row.hidden(table, found).into_iter().cloned().collect();
        let of_row = |why| Leftover::of(group, row.source, (row.table, row.key.clone()), why);
        if row.is_counted_on(table, found) {
            relocated.stays.push(of_row(COUNTED_ON));
            continue;
        }
        let stands = row.stands(table, found);
        if stands || goes {
            removals.push((row.table, row.removals(table, &hidden)));
            relocated.stays.extend(undated::leftover(window, group, row, &hidden));
            relocated.left.extend((!stands).then(|| of_row(GONE)));
        } else {
            if is_again {
                pins.push((row.table, row.pins(table)));
            }
            voids.push((row.table, row.voids(table, &group.survivor, found)));
            relocated.stays.push(of_row(HIDDEN));
        }
    }
    for writes in [pins, voids, removals] {
        window.write_all(in_batches(writes.into_iter())).await?;
    }
    Ok(())
}

/// A table, and the primary key of a row.
type RowKey = (TableIndex, Vec<Bytes>);

/// Of the survivor's row that a late row goes to.
fn survivor_key<S>(window: &Window<S>, group: &Group, row: &Swept) -> RowKey {
    (row.table, row.key_of(&window.spec.tables[row.table], &group.survivor))
}

/// Rows of a slice, as they stand now; each is read once, however many sources had one.
async fn read_back<S: Writer>(
    window: &Window<S>,
    keys: BTreeSet<RowKey>,
) -> Result<HashMap<RowKey, TimedRow>, StorageError> {
    let read = |(table, key): RowKey| async move {
        let found = window.timed_row(table, &key).await?;
        Ok(found.map(|found| ((table, key), found)))
    };
    let reads: Vec<_> = keys.into_iter().map(read).collect();
    let found: Vec<Option<_>> = stream::iter(reads).buffered(READS).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}
