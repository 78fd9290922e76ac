//! Elements of maps and sets on a server that does not tell when they were written: moved just above the merge's delete,
//! looked at there, and only then taken from the source. What does not stand there stays, and is told.

use bytes::Bytes;

use crate::merge::{Swept, SweptCell};
use crate::model::{Group, TableIndex, TimestampUs};
use crate::readable;
use crate::spec::Table;
use crate::storage::Writer;

use super::super::{Leftover, Window};

/// Up to when whatever was written to a row of a source has been deleted by earlier looks, or stays because it is hidden.
pub(super) fn deleted(offered: &[Swept], table: TableIndex, key: &[Bytes]) -> Option<TimestampUs> {
    let of_row = offered.iter().filter(|known| known.table == table && known.key == key);
    of_row
        .flat_map(|known| &known.cells)
        .filter(|cell| cell.is_undated())
        .map(|cell| cell.t + 1)
        .max()
}

/// Finds the undated elements that earlier looks have moved in vain: they do not stand at the survivor's. They stay as
/// early as they were.
pub(super) fn hidden_before(table: &Table, row: &mut Swept, offered: &[Swept]) -> Vec<SweptCell> {
    let of_row = offered.iter().filter(|known| known.table == row.table && known.key == row.key);
    let offered: Vec<&SweptCell> = of_row.flat_map(|known| &known.cells).collect();
    let mut hidden: Vec<SweptCell> =
        row.hidden(table, row.target.as_ref()).into_iter().cloned().collect();
    hidden.retain(|cell| {
        let at = row.cells.iter().position(|known| known == cell);
        let known = offered.iter().find(|known| {
            (known.column, &known.element, &known.value)
                == (cell.column, &cell.element, &cell.value)
        });
        let (Some(at), Some(known)) = (at, known) else { return false };
        row.cells[at].moved_at = known.moved_at;
        true
    });
    hidden
}

/// What is reported of elements that stay on a source.
pub(super) fn leftover<S: Writer>(
    window: &Window<S>,
    group: &Group,
    row: &Swept,
    hidden: &[SweptCell],
) -> Option<Leftover> {
    let table = &window.spec.tables[row.table];
    let shown = hidden.iter().filter_map(|cell| {
        let column = &table.columns[cell.column];
        let element = readable::element(&column.cql_type, cell.element.as_ref()?);
        Some(format!("{}[{element}]", column.name))
    });
    let shown: Vec<String> = shown.collect();
    (!shown.is_empty()).then(|| {
        let why = format!(
            "{} changed on both accounts since the merge, and this server does not tell where later",
            shown.join(", ")
        );
        Leftover::of(group, row.source, (row.table, row.key.clone()), why)
    })
}
