//! Rows from answers: cells in the order of the specification, told from their write times.
//!
//! Servers differ in what one answer can hold. Before Cassandra 4.0, `IN` on a clustering column takes no maps or sets
//! beside it: those follow, row by row, by their full keys. Before 5.0, their elements have no write times.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use scylla::deserialize::row::ColumnIterator;
use scylla::response::query_result::QueryResult;
use scylla::statement::prepared::PreparedStatement;

use crate::model::{Cell, ColumnIndex, Row, TableIndex};
use crate::spec::{Column, Table};
use crate::storage::{Fault, StorageError, TimedRow, Width, WriteTimes};

use super::capabilities::Capability;
use super::fault::Attempted;
use super::reads::expiring;
use super::store::ReadStore;
use super::values::{self, Value, Values};

/// Rows whose maps and sets are read at once.
const AT_ONCE: usize = 16;

impl ReadStore {
    pub(super) fn untold(&self) -> Option<String> {
        if self.preparer.capabilities.has(Capability::CollectionTimes) {
            return None;
        }
        let columns = self.spec.tables.iter().flat_map(|table| {
            let of_elements = |column: &&Column| column.cql_type.collection().is_some();
            let collections = table.columns.iter().filter(of_elements);
            collections.map(|column| format!("{}.{}", table.name, column.name))
        });
        let columns: Vec<String> = columns.collect();
        (!columns.is_empty()).then(|| {
            format!(
                "this server does not tell when the elements of maps and sets, and the fields of user-defined types, were \
                 written ({}): where both accounts changed one after its merge, the source's stays and is listed, and verify says undated of one that \
                 is not as the run left it",
                columns.join(", ")
            )
        })
    }

    /// Adds the maps and sets to rows that were read without them; a row that has gone meanwhile is left out. What
    /// follows the cells in an answer stays behind them.
    pub(super) async fn with_collections<'a>(
        &self,
        table: TableIndex,
        rows: Vec<Row>,
        statement: Option<&PreparedStatement>,
        what: &impl Fn() -> Attempted<'a>,
    ) -> Result<Vec<Row>, StorageError> {
        let Some(statement) = statement else { return Ok(rows) };
        let shape = &self.spec.tables[table];
        let reads = rows.into_iter().map(|row| async move {
            let key: Vec<&Bytes> = row.cells[..shape.key_len].iter().flatten().collect();
            let values = Values(key.into_iter().map(Value::raw).collect());
            let found = self.all(statement, &values, what).await?.pop();
            Ok::<_, StorageError>(found.map(|found| interleaved(shape, row, found)))
        });
        let rows: Vec<Option<Row>> = stream::iter(reads).buffered(AT_ONCE).try_collect().await?;
        Ok(rows.into_iter().flatten().collect())
    }

    /// Takes what is left of cells from the end of the rows of an answer, where it was asked for, and has the rows say when
    /// that is over. It is counted from what the clock of the node said that answered, by the same that the node counts by.
    fn with_expiries<'a>(
        &self,
        table: TableIndex,
        width: Width,
        mut rows: Vec<Row>,
        what: &impl Fn() -> Attempted<'a>,
    ) -> Result<Vec<Row>, StorageError> {
        let shape = &self.spec.tables[table];
        if !shape.reads_ttls {
            return Ok(rows);
        }
        let columns = expiring(shape, shape.len_of(width));
        let len = columns.clone().count();
        for row in &mut rows {
            let now_ms = row.cells.pop().and_then(|now| values::bigint(&now));
            let left = row.cells.len().checked_sub(len);
            let (Some(now_ms), Some(left)) = (now_ms, left) else {
                let why = "it does not say how long its cells last";
                return Err(what().error(why, Fault::Permanent));
            };
            let left = row.cells.split_off(left).into_iter();
            let left = columns.clone().zip(left);
            let expires = left.filter_map(|(column, left)| {
                Some((column, now_ms.div_euclid(1_000) + i64::from(values::int(&left)?)))
            });
            row.expires = expires.collect();
        }
        Ok(rows)
    }

    /// As a merge reads them: how long cells last is taken from the end of the rows of an answer, and before that when they
    /// were written, each where it was asked for.
    pub(super) fn with_moments<'a>(
        &self,
        table: TableIndex,
        width: Width,
        rows: Vec<Row>,
        what: &impl Fn() -> Attempted<'a>,
    ) -> Result<Vec<Row>, StorageError> {
        let mut rows = self.with_expiries(table, width, rows, what)?;
        let shape = &self.spec.tables[table];
        let dated: Vec<ColumnIndex> = shape.by_time().collect();
        for row in rows.iter_mut().filter(|_| !dated.is_empty()) {
            let times = row.cells.split_off(shape.len_of(width)).into_iter();
            let written = dated.iter().zip(times);
            row.written =
                written.filter_map(|(column, t)| Some((*column, values::bigint(&t)?))).collect();
        }
        Ok(rows)
    }

    /// Tells cells from their write times, which follow them in the answer.
    pub(super) fn with_times<'a>(
        &self,
        table: TableIndex,
        rows: Vec<Row>,
        what: &impl Fn() -> Attempted<'a>,
    ) -> Result<Vec<TimedRow>, StorageError> {
        let shape = &self.spec.tables[table];
        let rows = self.with_expiries(table, Width::Full, rows, what)?;
        let elements = self.preparer.capabilities.has(Capability::CollectionTimes);
        let with_times = |mut row: Row| {
            let mut written = row.cells.split_off(shape.columns.len()).into_iter();
            let times = shape.columns.iter().enumerate().map(|(at, column)| {
                let is_multi_cell = column.is_multi_cell();
                if is_multi_cell && !elements {
                    return Ok(match row.cells[at] {
                        Some(_) => WriteTimes::Unknown,
                        None => WriteTimes::None,
                    });
                }
                let cell = if at < shape.key_len { None } else { written.next().flatten() };
                values::write_times(&cell, is_multi_cell).ok_or_else(|| {
                    let why = format!("the write time of {} cannot be read", column.name);
                    what().error(&why, Fault::Permanent)
                })
            });
            Ok(TimedRow { times: times.collect::<Result<_, _>>()?, row })
        };
        rows.into_iter().map(with_times).collect()
    }
}

/// A row of all columns from one without its maps and sets and one with nothing else.
fn interleaved(table: &Table, row: Row, collections: Row) -> Row {
    let (mut cells, mut collections) = (row.cells.into_iter(), collections.cells.into_iter());
    let mut all: Vec<Cell> = Vec::with_capacity(table.columns.len());
    for column in &table.columns {
        let next = if column.is_multi_cell() { collections.next() } else { cells.next() };
        all.push(next.flatten());
    }
    all.extend(cells);
    Row::new(all)
}

/// The rows of an answer; cells share the memory of the frame that they arrived in.
pub(super) fn of_answer<'a>(
    result: QueryResult,
    what: &impl Fn() -> Attempted<'a>,
) -> Result<Vec<Row>, StorageError> {
    let rows = result.into_rows_result().map_err(|error| what().unreadable(&error))?;
    let mut all = Vec::with_capacity(rows.rows_num());
    for columns in rows.rows::<ColumnIterator<'_, '_>>().map_err(|e| what().unreadable(&e))? {
        let columns = columns.map_err(|error| what().unreadable(&error))?;
        // Results are collected without an idea of how many there are.
        let mut cells = Vec::with_capacity(columns.columns_remaining());
        for column in columns {
            let column = column.map_err(|error| what().unreadable(&error))?;
            cells.push(column.slice.map(|slice| slice.to_bytes()));
        }
        all.push(Row::new(cells));
    }
    Ok(all)
}
