//! conflicts.csv: what undo left alone, cell by cell.

use std::collections::HashSet;
use std::io;

use super::super::Failure;
use super::super::engine::Engine;
use crate::journal::State;
use crate::model::{Cell, Pair};
use crate::readable;
use crate::run::{RunDir, RunError, files};
use crate::spec::Spec;
use crate::undo::{self, Conflict, Reported};
use crate::verify::CELL_COLUMNS;

/// Cells that were left alone.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Listed {
    /// Of groups that are disputed now.
    pub(super) disputed: u64,
    /// Of groups that were ended by --keep-changed.
    pub(super) kept: u64,
}

/// Writes conflicts.csv anew: the cells of all groups in which something was left alone, and for each of their pairs
/// that no cell names a line with nothing but the pair, because groups are undone whole. So the file can
/// be fed in with --pairs.
pub(super) fn list(engine: &Engine, run_dir: &RunDir) -> Result<Listed, Failure> {
    let (journal, codec, spec) = (&*engine.journal, &engine.context.codec, &engine.context.spec);
    run_dir.replace(files::CONFLICTS, b"")?;
    let mut out = csv::Writer::from_writer(run_dir.append(files::CONFLICTS)?);
    let mut listed = Listed::default();
    let mut named = HashSet::new();
    let of_file = |cause: io::Error| {
        Failure::from(RunError::Write { path: run_dir.file(files::CONFLICTS), cause })
    };
    let mut write =
        |record: &[String]| out.write_record(record).map_err(|error| of_file(error.into()));
    write(&CELL_COLUMNS.map(str::to_owned))?;
    undo::conflicts::<Failure>(journal, codec, |reported| match reported {
        Reported::Conflict(conflict, state) => {
            match state {
                State::Disputed => listed.disputed += 1,
                _ => listed.kept += 1,
            }
            named.insert(conflict.pair.line);
            write(&line(spec, conflict))
        }
        Reported::Over(pairs) => {
            let mut unnamed = pairs.iter().filter(|pair| !named.contains(&pair.line));
            unnamed.try_for_each(|pair| write(&of_pair([const { String::new() }; 7], pair)))?;
            named.clear();
            Ok(())
        }
    })?;
    out.flush().map_err(of_file)?;
    Ok(listed)
}

fn line(spec: &Spec, conflict: &Conflict) -> [String; 10] {
    let table = &spec.tables[conflict.table];
    let column = &table.columns[conflict.column];
    let shown = |cell: &Cell| match cell {
        Some(value) => readable::cell(&column.cql_type, value),
        None => String::new(),
    };
    let written_at = conflict.found_written_at.map(readable::write_time);
    let cells = [
        table.label().into_owned(),
        conflict.account.to_string(),
        readable::key(table, &conflict.key),
        column.name.clone(),
        shown(&conflict.expected),
        shown(&conflict.found),
        written_at.unwrap_or_default(),
    ];
    of_pair(cells, &conflict.pair)
}

fn of_pair(cells: [String; 7], pair: &Pair) -> [String; 10] {
    let [table, account, key, column, expected, found, written_at] = cells;
    let (from, to) = (pair.from.to_string(), pair.into.to_string());
    let line = pair.line.to_string();
    [table, account, key, column, expected, found, written_at, from, to, line]
}
