//! The rows to announce when rows of a survivor change long after its merge was completed: by a sweep, by a
//! repair.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use crate::merge::Announced;
use crate::model::{AccountId, Cell, ColumnIndex, Row, Scope, TableIndex};
use crate::spec::EventSpec;
use crate::storage::{Reader, StorageError, Width};

use super::pages::Sort;
use super::request_limits::RequestKind;
use super::{READS, Window};

/// Rows that are read at once to find a smallest value.
const PAGE_ROWS: usize = 500;

impl<S: Reader> Window<S> {
    /// The row of the announced table that a row is or leads to, by its key but the account, if there is one; `cells` are
    /// the row's, its key at least.
    pub(crate) fn led_to(&self, table: TableIndex, cells: &[Cell]) -> Option<Scope> {
        let announced = self.spec.event.as_ref()?.table;
        let shape = &self.spec.tables[announced];
        if table == announced {
            return Some(shape.shared_scope(cells));
        }
        if Some(table) == shape.locator.through { shape.locator.scope(cells) } else { None }
    }

    /// The rows of an account among these of the announced table, by their keys but the account. `known` gives the account's row
    /// in a scope where it is not what a read would see.
    ///
    /// # Errors
    /// A read failed for good.
    pub async fn announced(
        &self,
        account: &AccountId,
        scopes: BTreeSet<Scope>,
        known: impl Fn(&Scope) -> Option<Option<Row>>,
    ) -> Result<Vec<Announced>, StorageError> {
        let Some(event) = &self.spec.event else { return Ok(Vec::new()) };
        let reads = scopes.into_iter().map(|scope| {
            let known = known(&scope);
            self.announced_in(event, account, scope, known)
        });
        // All at once, so that what the groups of a window announce in one partition is read by one request.
        let reads: Vec<_> = reads.collect();
        let announced: Vec<_> = stream::iter(reads).buffered(READS).try_collect().await?;
        Ok(announced.into_iter().flatten().collect())
    }

    async fn announced_in(
        &self,
        event: &EventSpec,
        account: &AccountId,
        scope: Scope,
        known: Option<Option<Row>>,
    ) -> Result<Option<Announced>, StorageError> {
        let row = match known {
            Some(row) => row,
            None => self.announced_row(event.table, account, &scope).await?,
        };
        let Some(row) = row else { return Ok(None) };
        let mut quoted = Vec::new();
        for column in &event.columns {
            quoted.push(match (&row.cells[column.column], column.else_min) {
                (Some(value), _) => Some(value.clone()),
                (None, None) => None,
                (None, Some(minimum)) => self.minimum(account, &scope, minimum).await?,
            });
        }
        Ok(Some(Announced { left: None, scope, quoted }))
    }

    async fn announced_row(
        &self,
        table: TableIndex,
        account: &AccountId,
        scope: &Scope,
    ) -> Result<Option<Row>, StorageError> {
        let shape = &self.spec.tables[table];
        if shape.has_point_rows() {
            let rows = self.rows_of(table, scope, std::slice::from_ref(account)).await?;
            return Ok(rows.into_iter().next().flatten());
        }
        let mut key = scope.values().to_vec();
        key.insert(shape.account, account.cell().clone());
        Ok(self.timed_row(table, &key).await?.map(|timed| timed.row))
    }

    /// The smallest value of a column among the account's rows that lead to a scope of the announced table.
    async fn minimum(
        &self,
        account: &AccountId,
        scope: &Scope,
        column: ColumnIndex,
    ) -> Result<Cell, StorageError> {
        let announced = self.spec.event.as_ref().map(|event| &self.spec.tables[event.table]);
        let Some(locator) = announced.map(|table| &table.locator) else { return Ok(None) };
        let Some(table) = locator.through else { return Ok(None) };
        // No other table leads to that one: the check of the specification saw to it.
        let Some(through) = self.spec.tables[table].locator.constant() else { return Ok(None) };
        let operation = self.operations.read(table, Width::Slim);
        let mut minimum: Cell = None;
        let mut next = None;
        loop {
            let read = |rows| {
                let rows_of = (&through, account);
                self.storage.page(table, rows_of, Width::Slim, rows, next.clone())
            };
            let sort = Sort { kind: RequestKind::Page(Width::Slim), table, operation };
            let page = self.page_of(sort, PAGE_ROWS, 0, read).await?;
            let leads = |row: &&Row| locator.scope(&row.cells).as_ref() == Some(scope);
            let rows = page.rows.iter().filter(leads);
            for value in rows.filter_map(|row| row.cells[column].as_ref()) {
                if minimum.as_ref().is_none_or(|known| value < known) {
                    minimum = Some(Bytes::copy_from_slice(value));
                }
            }
            next = page.next;
            if next.is_none() {
                return Ok(minimum);
            }
        }
    }
}
