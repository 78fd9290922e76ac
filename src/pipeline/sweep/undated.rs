//! Elements of maps and sets on a server that does not tell when they were written: moved just above the merge's delete,
//! looked at there, and only then taken from the source. What does not stand there stays, and is told.

use futures::future::try_join_all;

use crate::merge::{SweepSlice, Swept, SweptCell};
use crate::model::Group;
use crate::readable;
use crate::spec::Table;
use crate::storage::{StorageError, Writer};

use super::super::{GroupError, Window};
use super::Leftover;

/// Takes from sources what a slice has moved, where it stands now; gives the rest.
pub(super) async fn take<S: Writer>(
    window: &Window<S>,
    group: &Group,
    slice: &SweepSlice,
) -> Result<Vec<Leftover>, GroupError> {
    let undated = slice.rows.iter().filter(|row| row.is_undated());
    let looks = undated.map(|row| async move {
        let table = &window.spec.tables[row.table];
        let key = row.key_of(table, &group.survivor);
        let found = window.timed_row(row.table, &key).await?;
        let hidden: Vec<_> = row.hidden(table, found.as_ref()).into_iter().cloned().collect();
        Ok::<_, StorageError>((row, hidden))
    });
    let (mut removals, mut left) = (Vec::new(), Vec::new());
    for (row, hidden) in try_join_all(looks).await? {
        let removed = row.without(|cell| hidden.contains(cell)).removed(&window.spec);
        if !removed.mutations.is_empty() {
            removals.push(vec![removed]);
        }
        left.extend(leftover(window, group, row, &hidden));
    }
    window.write_all(removals).await?;
    Ok(left)
}

/// The undated elements that earlier looks have moved in vain: they do not stand at the survivor's, and would not if
/// they were moved once more.
pub(super) fn hidden_before(table: &Table, row: &Swept, offered: &[Swept]) -> Vec<SweptCell> {
    let of_row = offered.iter().filter(|known| known.table == row.table && known.key == row.key);
    let offered: Vec<&SweptCell> = of_row.flat_map(|known| &known.cells).collect();
    let was_offered = |cell: &SweptCell| {
        offered.iter().any(|known| {
            (known.column, &known.element, &known.value)
                == (cell.column, &cell.element, &cell.value)
        })
    };
    let hidden = row.hidden(table, row.target.as_ref()).into_iter();
    hidden.filter(|cell| was_offered(cell)).cloned().collect()
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
    let pair = &group.pairs[row.source];
    (!shown.is_empty()).then(|| Leftover {
        account: pair.from.clone(),
        survivor: group.survivor.clone(),
        line: pair.line,
        table: Some(row.table),
        key: row.key.clone(),
        why: format!(
            "{} changed on both accounts since the merge, and this server does not tell where later",
            shown.join(", ")
        ),
    })
}
