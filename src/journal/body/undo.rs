//! Bodies of undos: what was decided about the keys of one chunk of a group's histories.
//!
//! ```text
//! keys, [only: key…],
//! apart:      key, table, ahead: (column, t), keeps_survivor, kept: (source, column, element…)
//! left_alone: key, table, pair, row's key, conflicts: (column, [expected], [found], [t])
//! ```
//!
//! A key is its position in the chunk. A key that is neither apart nor
//! left alone is restored at the slice's time. No value is kept twice: what is restored stands in the slices of the
//! merge and of sweeps.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::model::{Cell, ColumnIndex, TableIndex, TimestampUs};

use super::layout::Present;
use super::wire::{Out, Read, Reader};
use super::{Codec, read_cell, read_key, write_cell, write_values};

/// What was decided about the keys of one chunk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UndoSlice {
    /// How many keys the chunk has.
    pub keys: usize,
    /// The keys that had their turn; `None` if all had.
    pub(crate) only: Option<BTreeSet<usize>>,
    /// The keys that are restored in another way than most.
    pub(crate) apart: Vec<Apart>,
    /// The keys that someone changed since.
    pub(crate) left_alone: Vec<LeftAlone>,
}

/// A key that is restored in another way than most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Apart {
    /// Its position in the chunk.
    pub key: usize,
    pub table: TableIndex,
    /// Cells of the survivor's to be overwritten that are dated at or after the undo's own time.
    pub ahead: Vec<CellAhead>,
    /// The survivor's row stays as it is.
    pub(crate) keeps_survivor: bool,
    /// Cells of sources that somebody has written since.
    pub kept: Vec<KeptCell>,
}

/// A cell of a source that stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeptCell {
    /// The source, by its index in the group.
    pub source: usize,
    pub column: ColumnIndex,
    /// Of a map or set that is not frozen: the elements that stay; all others are given back.
    pub elements: Vec<Bytes>,
}

/// A cell that is dated at or after the undo's own time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CellAhead {
    pub column: ColumnIndex,
    /// Its write time.
    pub t: TimestampUs,
}

/// A key that was left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeftAlone {
    /// Its position in the chunk.
    pub key: usize,
    pub table: TableIndex,
    /// The index in the group of the pair by which the key came to be merged.
    pub pair: usize,
    /// The primary key of the survivor's row, in column order.
    pub row: Vec<Bytes>,
    /// What is not as the run left it.
    pub conflicts: Vec<Disputed>,
}

/// A cell of the survivor's that is not as the run left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disputed {
    pub column: ColumnIndex,
    /// What the run left there.
    pub expected: Cell,
    pub found: Cell,
    /// The latest write time of that.
    pub found_written_at: Option<TimestampUs>,
}

impl Codec {
    /// The body of an undo's slice.
    pub(crate) fn encode_undo(&self, slice: &UndoSlice) -> Vec<u8> {
        let mut out = self.begin(64);
        out.number(slice.keys);
        out.option(slice.only.as_ref(), |out, only| out.list(only, |out, key| out.number(*key)));
        out.list(&slice.apart, |out, apart| {
            out.number(apart.key);
            out.number(apart.table);
            out.list(&apart.ahead, |out, CellAhead { column, t }| {
                out.number(*column);
                out.signed(*t);
            });
            out.flag(apart.keeps_survivor);
            out.list(&apart.kept, |out, KeptCell { source, column, elements }| {
                out.number(*source);
                out.number(*column);
                write_values(out, elements);
            });
        });
        out.list(&slice.left_alone, |out, left| {
            out.number(left.key);
            out.number(left.table);
            out.number(left.pair);
            write_values(out, &left.row);
            out.list(&left.conflicts, |out, disputed| {
                out.number(disputed.column);
                write_cell(out, &disputed.expected);
                write_cell(out, &disputed.found);
                out.option(disputed.found_written_at, Out::signed);
            });
        });
        out.finish()
    }

    /// A slice of an undo from its body.
    ///
    /// # Errors
    /// As with [`decode`](Self::decode).
    pub(crate) fn decode_undo(&self, body: &Bytes) -> Result<UndoSlice, String> {
        self.read(body, |reader, present| {
            let keys = reader.number()?;
            let only = reader.option(|reader| reader.list(Reader::number))?;
            Ok(UndoSlice {
                keys,
                only: only.map(BTreeSet::from_iter),
                apart: reader.list(|reader| read_apart(reader, present))?,
                left_alone: reader.list(|reader| read_left_alone(reader, present))?,
            })
        })
    }
}

fn read_apart(reader: &mut Reader<'_>, present: &Present) -> Read<Apart> {
    let key = reader.number()?;
    let table = present.table(reader.number()?)?;
    let ahead = reader.list(|reader| {
        let (column, t) = (table.column(reader.number()?)?, reader.signed()?);
        Ok(column.map(|column| CellAhead { column, t }))
    })?;
    let ahead = ahead.into_iter().flatten().collect();
    let keeps_survivor = reader.flag()?;
    let kept = reader.list(|reader| {
        let (source, column) = (reader.number()?, table.column(reader.number()?)?);
        let elements = reader.list(Reader::value)?;
        Ok(column.map(|column| KeptCell { source, column, elements }))
    })?;
    let kept = kept.into_iter().flatten().collect();
    Ok(Apart { key, table: table.index, ahead, keeps_survivor, kept })
}

fn read_left_alone(reader: &mut Reader<'_>, present: &Present) -> Read<LeftAlone> {
    let key = reader.number()?;
    let table = present.table(reader.number()?)?;
    let pair = reader.number()?;
    let row = read_key(reader, table)?;
    let conflicts = reader.list(|reader| {
        let column = table.column(reader.number()?)?;
        let (expected, found) = (read_cell(reader)?, read_cell(reader)?);
        let found_written_at = reader.option(Reader::signed)?;
        Ok(column.map(|column| Disputed { column, expected, found, found_written_at }))
    })?;
    let conflicts = conflicts.into_iter().flatten().collect();
    Ok(LeftAlone { key, table: table.index, pair, row, conflicts })
}
