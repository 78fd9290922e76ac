//! Mentions: rows of anybody's that name a source in a column beside their key, and name its survivor from now on.
//!
//! One cell of a row is written over: nothing is copied, and nothing is deleted. A row that moves is mapped where it is
//! copied, by the whole plan ([`Context::survivor_of`]). All other rows come last, when every group has had its turn and
//! was swept: a scan reads the key and the column of each row ([`scan`](super::scan::look_for)), and what names a source
//! of a group that is done is a slice of that group, of a kind of its own, behind its merge.
//!
//! - **T** is that of the window in which such a slice is intended, above the group's own. The cell is read again there.
//!   Only one that is dated before T is written over, at T: so whatever the application writes or deletes later wins, a
//!   row that was deleted stays so, and a row that has no liveness of its own lives on by the cell that was there.
//! - **What is dated T or later** comes again in the next round, with a later T; behind the last round it is listed, and
//!   so is a cell that expires: written anew it would not.
//! - **Replay.** While the slice is not known to be written, its group is being swept: `resume` writes the same cells at
//!   the same T once more ([`replay`]), unless tombstones of that time may be gone. Then it notes that the group is done,
//!   and what still names a source is found by its own scan.
//! - **A row of a source whose group is still to be merged** is left to that: it is mapped where it is copied.
//! - **Verify** compares each cell with what was written; a row that is gone since is nobody's loss. **Undo** puts back by
//!   value who was named, and lists a cell that names somebody else by then, or a row that is gone.
//! - **Late mentions**, written when the scan has passed, are found by that of the next `resume`.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::watch;

use crate::failpoint;
use crate::journal::{Note, SliceKind, SliceRecord, State};
use crate::merge::{Entry, Slice, by_partition};
use crate::model::{Amount, Batch, Group, MentionTally, Mutation, Row, TableIndex, TimestampUs};
use crate::plan::Plan;
use crate::register::Step;
use crate::spec::Spec;
use crate::storage::{Mention, StorageError, Writer};

use super::discovered::Discovered;
use super::rounds::{Rounds, Turn, Turns};
use super::scan::look_for;
use super::{Context, GroupError, Known, Leftover, Merged, READS, Window};

/// Rows of a slice.
const ROWS: usize = 500;

/// Why a row is left.
const FRESH: &str = "it has named the source again and again, or is dated ahead: resume changes it once that has passed";
const EXPIRES: &str = "who it names expires by itself, which it would not if it were written anew: it is left as it is";

/// The survivors of sources, of which rows that are copied may name some.
#[derive(Debug, Default)]
pub(super) struct Survivors(HashMap<Bytes, Bytes>);

impl Survivors {
    /// Those of a plan whose groups are done or may be: none where no row that is copied mentions anybody.
    pub(super) fn of(spec: &Spec, plan: &Plan, known: &Known) -> Self {
        if spec.tables.iter().all(|table| table.mentions.is_empty()) {
            return Self::default();
        }
        let counts = |group: &Group| {
            let is_done = known.state(group.index) == Some(State::Done);
            is_done || known.is_left(group.index)
        };
        let groups = plan.groups().filter(counts);
        let sources = groups.flat_map(|group| {
            let survivor = group.survivor.cell().clone();
            let sources = group.pairs.into_iter().map(|pair| pair.from.cell().clone());
            sources.map(move |source| (source, survivor.clone()))
        });
        Self(sources.collect())
    }
}

impl<S> Context<S> {
    /// Whom a row that is copied names instead of a source.
    pub(super) fn survivor_of(&self, account: &Bytes) -> Option<Bytes> {
        self.survivors.get()?.0.get(account).cloned()
    }
}

/// A row that mentions somebody: its table and its primary key, in column order.
type RowKey = (TableIndex, Vec<Bytes>);

/// Has the rows name survivors that mention sources of groups that are done. `on_left` is told of each row that is left.
///
/// # Errors
/// The journal or the scan failed; the error of a single group is told by `on_left` instead.
pub async fn mentions<S: Writer>(
    context: &Arc<Context<S>>,
    plan: &Plan,
    earlier: &Known,
    stop: &watch::Receiver<bool>,
    mut on_left: impl FnMut(&Leftover),
) -> Result<MentionTally, GroupError> {
    let mut mentioned = MentionTally::default();
    let spec = Arc::clone(&context.spec);
    let tables: Vec<TableIndex> = spec.mentions().map(|(index, _)| index).collect();
    context.journal.flush().await?;
    let known = Known::new(context.journal.states()?).with(earlier.barred().clone());
    let is_done = |group: usize| known.state(group) == Some(State::Done);
    if tables.is_empty() || !(0..plan.len()).any(is_done) {
        return Ok(mentioned);
    }
    let (found, scanned) = look_for(context, plan, tables, &is_done, stop).await?;
    (mentioned.scanned, mentioned.interrupted) = (scanned.rows, scanned.interrupted);
    if scanned.interrupted {
        return Ok(mentioned);
    }
    let sources = plan.sources();
    let moves = |(table, key): &RowKey| {
        let account = spec.tables[*table].moves_with.and_then(|column| key.get(column));
        let group = account.and_then(|account| sources.group_of(account));
        group.is_some_and(|group| known.is_left(group as usize))
    };
    let rounds = Rounds {
        context,
        plan,
        known: &known,
        stop,
        moved_on: ["rows mention its sources", "they are left as they are"],
        failed: "rows that mention its sources could not be changed",
    };
    let turn = |window: Arc<Window<S>>, group: Arc<Group>, _| {
        let keys = keys_of(&spec, &found, group.index).filter(|row| !moves(row)).collect();
        async move { turn(&window, &group, keys).await }
    };
    let groups = found.groups().into_iter().collect();
    let Turns { tally, left, failed, interrupted } = rounds.go(groups, turn, &mut on_left).await?;
    mentioned.add(&MentionTally { left, failed, interrupted, ..tally });
    Ok(mentioned)
}

/// The rows in which the scan has found sources of a group.
fn keys_of<'a>(
    spec: &'a Spec,
    found: &'a Discovered,
    group: usize,
) -> impl Iterator<Item = RowKey> + 'a {
    spec.mentions().flat_map(move |(table, _)| {
        found.scopes(table, group).map(move |key| (table, key.values().to_vec()))
    })
}

/// Looks at rows that mention sources of one group, and has them name its survivor.
async fn turn<S: Writer>(
    window: &Window<S>,
    group: &Group,
    keys: Vec<RowKey>,
) -> Result<Turn<MentionTally>, GroupError> {
    let mut turn = Turn::default();
    for keys in keys.chunks(ROWS) {
        let mut entries = Vec::new();
        for (row, source, mention) in named(window, group, keys).await? {
            if mention.expires {
                turn.left.push(Leftover::of(group, source, row, EXPIRES));
            } else if mention.t >= window.t {
                turn.again = true;
                turn.left.push(Leftover::of(group, source, row, FRESH));
            } else {
                let (table, key) = row;
                let cells = key.into_iter().chain([mention.account]).map(Some).collect();
                let shape = &window.spec.tables[table];
                entries.push(Entry::mention(table, shape, Row::new(cells), &group.survivor));
            }
        }
        if entries.is_empty() {
            continue;
        }
        let slice = Slice { entries, completion: None };
        let intent = window.intent(
            group,
            (SliceKind::Mention, State::Sweeping),
            window.t,
            window.codec.encode(&slice),
        );
        if !window.intend_first(intent).await? {
            // The clock was set since it was dated.
            turn.again = true;
            return Ok(turn);
        }
        window.begin(group, Step::After).await?;
        write(window, group, &slice, window.t).await?;
        turn.tally.rows += slice.entries.len() as u64;
        for (row, source, _) in named(window, group, keys).await? {
            let is_written = slice.entries.iter().any(|entry| {
                let key = entry.key_of(&window.spec.tables[entry.table], &group.survivor);
                (entry.table, &key) == (row.0, &row.1)
            });
            if is_written {
                turn.again = true;
                turn.tally.rows -= 1;
                turn.left.push(Leftover::of(group, source, row, FRESH));
            }
        }
    }
    Ok(turn)
}

/// The rows that name a source of a group, with its number in that.
async fn named<S: Writer>(
    window: &Window<S>,
    group: &Group,
    keys: &[RowKey],
) -> Result<Vec<(RowKey, usize, Mention)>, StorageError> {
    let reads = keys.iter().map(|row| async move {
        let (table, key) = row;
        let operation = window.operations.look(*table);
        let read = || window.storage.mention(*table, key);
        let mention = window.carry_out(operation, read).await?;
        Ok::<_, StorageError>(mention.and_then(|mention| {
            let source = group.sources().position(|source| *source.cell() == mention.account)?;
            Some((row.clone(), source, mention))
        }))
    });
    let reads: Vec<_> = reads.collect();
    let found: Vec<Option<_>> = stream::iter(reads).buffered(READS).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

/// Writes what a slice says, and notes that it is written.
async fn write<S: Writer>(
    window: &Window<S>,
    group: &Group,
    slice: &Slice,
    t: TimestampUs,
) -> Result<(), GroupError> {
    window.write_all(writes(window, group, slice, t)).await?;
    failpoint::hit("mentioned");
    let state = State::Done;
    window.journal.note(Note { group: group.index, state, reason: None, known_as: None })?;
    Ok(())
}

fn writes<S>(window: &Window<S>, group: &Group, slice: &Slice, t: TimestampUs) -> Vec<Vec<Batch>> {
    let changes = slice.entries.iter().filter_map(|entry| {
        let table = &window.spec.tables[entry.table];
        Some(Mutation { table: entry.table, t, change: entry.change(table, &group.survivor)? })
    });
    by_partition(&window.spec, changes)
}

/// Writes the last slice of a group once more, if that is one of mentions: it may not have been written. Gives the counts
/// of the group's merge; `None` if its last slice is another one.
pub(super) async fn replay<S: Writer>(
    window: &Window<S>,
    group: &Group,
) -> Result<Option<Merged>, GroupError> {
    let records = window.journal.slices(group.index)?;
    let Some(stopped) = records.last().filter(|last| last.kind == SliceKind::Mention) else {
        return Ok(None);
    };
    let tally = SliceRecord::merged(&records, window.spec.tables.len());
    let mut slice = window.codec.decode(&window.journal.body(stopped.id)?);
    // What names a source still is found anew.
    if stopped.t <= window.as_of.forgotten() {
        slice = Ok(Slice::default());
    }
    write(window, group, &slice.map_err(GroupError::Record)?, stopped.t).await?;
    Ok(Some(Merged { tally, left: Vec::new() }))
}
