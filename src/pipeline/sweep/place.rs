//! A slice of a sweep, carried out: what survived goes to its new place, is looked at there, and only then it is taken
//! from its sources.
//!
//! Time has passed since the cells were written, or passes while they are written: what a later delete hides was not moved.
//! With the register it is known that no other run deletes there, so somebody has deleted the row that the cells belong
//! to, and they go with it. Without, they stay, and the placing is taken back: part of a row under the survivor would
//! be its own for the next look. Elements whose times the server does not tell stay one by one.

use futures::{StreamExt, TryStreamExt, stream};

use crate::failpoint;
use crate::journal::{Note, State};
use crate::merge::{self, SweepSlice, Swept, SweptCell, in_batches};
use crate::model::{Group, TimedRow, TimestampUs};
use crate::storage::{StorageError, Writer};

use super::super::overtaken::{self, Acknowledged};
use super::super::{GroupError, Window};
use super::{Leftover, undated};

/// Reads that one group has under way at once.
const READS: usize = 16;

/// Why a late row is not taken to its new place.
const HIDDEN: &str = "its new place was deleted later than it was written, by somebody or by another run: it is left where \
                      it is";
/// Why it is nowhere any more.
const GONE: &str =
    "the row that it belongs to was deleted later than it was written: it is gone with that";

/// What is to be told of a slice that was carried out.
#[derive(Default)]
pub(super) struct Placed {
    /// Rows that no later look finds so again: those of the survivor that are otherwise than the policies say, and those
    /// that are gone.
    pub(super) left: Vec<Leftover>,
    /// Rows of sources of which something stays, for it is hidden at the survivor's.
    pub(super) stays: Vec<Leftover>,
}

/// Writes what a slice says, announces it, and notes it. `is_again` says whether an earlier attempt may have sent what
/// takes the rows from their sources.
pub(super) async fn place<S: Writer>(
    window: &Window<S>,
    group: &Group,
    slice: &SweepSlice,
    (t, is_again): (TimestampUs, bool),
) -> Result<Placed, GroupError> {
    window.write_all(slice.moves(&window.spec, &group.survivor)).await?;
    let writes = Acknowledged { since: t, at: window.as_of.now(), state: State::Sweeping };
    let moved = slice.rows.iter().filter(|row| row.is_moved());
    let moved = moved.map(|row| {
        let shape = &window.spec.tables[row.table];
        (row.table, row.key_of(shape, &group.survivor))
    });
    let computed = moved.filter(|(table, _)| !window.spec.tables[*table].survivorship.is_empty());
    let raised = overtaken::raise(window, group, computed.collect(), writes).await?;
    failpoint::hit("placed");
    let mut placed = Placed { left: raised.left, stays: Vec::new() };
    take(window, group, slice, is_again, &mut placed).await?;
    failpoint::hit("swept");
    if let Some(event) = &window.spec.event {
        let announced = slice.events.iter();
        let events = announced.map(|one| merge::event(event, &group.survivor, one, t)).collect();
        window.deliver(events).await?;
    }
    let note = Note { group: group.index, state: State::Done, reason: None, known_as: None };
    window.journal.note(note)?;
    Ok(placed)
}

/// Takes from their sources what stands at the survivor's now.
async fn take<S: Writer>(
    window: &Window<S>,
    group: &Group,
    slice: &SweepSlice,
    is_again: bool,
    placed: &mut Placed,
) -> Result<(), GroupError> {
    let goes = window.register.is_some();
    let (mut pins, mut voids, mut removals) = (Vec::new(), Vec::new(), Vec::new());
    for (row, found) in slice.rows.iter().zip(read_back(window, group, slice).await?) {
        let table = &window.spec.tables[row.table];
        let found = found.as_ref();
        let hidden: Vec<SweptCell> = row.hidden(table, found).into_iter().cloned().collect();
        let of_row = |why| Leftover::of(group, row.source, (row.table, row.key.clone()), why);
        let stands = row.stands(table, found);
        if stands || goes {
            removals.push((row.table, row.removals(table, &hidden)));
            placed.stays.extend(undated::leftover(window, group, row, &hidden));
            placed.left.extend((!stands).then(|| of_row(GONE)));
        } else {
            if is_again {
                pins.push((row.table, row.pins(table)));
            }
            voids.push((row.table, row.voids(table, &group.survivor, found)));
            placed.stays.push(of_row(HIDDEN));
        }
    }
    for writes in [pins, voids, removals] {
        window.write_all(in_batches(writes.into_iter())).await?;
    }
    Ok(())
}

/// The survivor's rows of a slice, as they stand now.
async fn read_back<S: Writer>(
    window: &Window<S>,
    group: &Group,
    slice: &SweepSlice,
) -> Result<Vec<Option<TimedRow>>, StorageError> {
    let read = |row: &Swept| {
        let key = row.key_of(&window.spec.tables[row.table], &group.survivor);
        let table = row.table;
        async move { window.timed_row(table, &key).await }
    };
    let reads: Vec<_> = slice.rows.iter().map(read).collect();
    stream::iter(reads).buffered(READS).try_collect().await
}
