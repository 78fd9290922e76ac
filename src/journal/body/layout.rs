//! What the numbers in bodies mean: tables and their columns, in order.
//!
//! A specification's order is that of the program and of the schema that it met, and both may be others when a body is
//! read. So the journal keeps the order that bodies were written in, its [`Layout`], and each body says which it is of.

use serde::{Deserialize, Serialize};

use crate::journal::{Journal, JournalError};
use crate::model::{ColumnIndex, TableIndex};
use crate::spec::{Columns, Spec};

/// The tables of a specification, and what bodies need to know of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Layout {
    /// By number.
    pub tables: Vec<TableLayout>,
    /// What events quote, if there are any.
    pub(super) event: Option<EventLayout>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TableLayout {
    pub name: String,
    /// What the cluster called this very table, if that was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// By number: name and CQL type.
    pub columns: Columns,
    /// How many of them are the primary key.
    pub key: usize,
    /// How many of them a survivor's row has.
    pub(super) slim: usize,
    /// Those of a scope.
    pub(super) scope: Vec<ColumnIndex>,
    /// Whether rows say when their cells expire.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) ttls: bool,
    /// Whether rows say when cells were written, in columns in which the later write survives.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) times: bool,
    /// Whether what is swept says whom the survivor's row names instead.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) mentions: bool,
    /// Whether what is set may be null, and says when it expires where rows do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) sets_cells: bool,
}

/// What events quote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EventLayout {
    pub(super) table: TableIndex,
    pub(super) columns: Vec<ColumnIndex>,
}

impl TableLayout {
    /// The columns by which a row is announced: its key but the account, which is the first column that no scope has.
    pub(super) fn announced(&self) -> impl Iterator<Item = ColumnIndex> {
        let account = (0..self.key).find(|column| !self.scope.contains(column));
        (0..self.key).filter(move |column| Some(*column) != account)
    }
}

impl Layout {
    /// The order of a specification.
    pub(crate) fn of(spec: &Spec) -> Self {
        let tables = spec.tables.iter().map(|table| TableLayout {
            name: table.label().into_owned(),
            id: Some(table.id.clone()).filter(|id| !id.is_empty()),
            columns: (table.columns.iter())
                .map(|column| (column.name.clone(), column.cql_type.to_string()))
                .collect(),
            key: table.key_len,
            slim: table.slim_len,
            scope: table.scope_columns().collect(),
            ttls: table.carries_ttls,
            times: table.by_time().next().is_some(),
            mentions: !table.is_mention() && !table.mentions.is_empty(),
            sets_cells: true,
        });
        let event = spec.event.as_ref().map(|event| EventLayout {
            table: event.table,
            columns: event.columns.iter().map(|quoted| quoted.column).collect(),
        });
        Self { tables: tables.collect(), event }
    }

    /// Those that a journal has, by number; the first is the one that its run began with.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub(crate) fn all(journal: &dyn Journal) -> Result<Vec<Self>, JournalError> {
        let mut layouts: Vec<Self> = Vec::new();
        loop {
            let name = name(layouts.len());
            let Some(text) = journal.meta(&name)? else { return Ok(layouts) };
            let layout = serde_json::from_str(&text).map_err(|error| error.to_string());
            let layout = layout.and_then(Self::checked);
            layouts.push(layout.map_err(|what| JournalError::Damaged { path: name, what })?);
        }
    }

    /// The number of a layout; the journal keeps it if it is none of those that it has.
    pub(super) fn number(
        self,
        known: &mut Vec<Self>,
        journal: &dyn Journal,
    ) -> Result<usize, JournalError> {
        let number = known.iter().position(|known| *known == self).unwrap_or(known.len());
        if number == known.len() {
            let name = name(number);
            let text = serde_json::to_string(&self);
            let text = text.map_err(|error| JournalError::Damaged {
                path: name.clone(),
                what: error.to_string(),
            })?;
            journal.set_meta(&name, &text)?;
            known.push(self);
        }
        Ok(number)
    }

    fn checked(self) -> Result<Self, String> {
        let fits = |table: &TableLayout| {
            let columns = table.columns.len();
            table.key.max(table.slim) <= columns && table.scope.iter().all(|at| *at < columns)
        };
        let event_fits = self.event.iter().all(|event| {
            let table = self.tables.get(event.table);
            table.is_some_and(|table| event.columns.iter().all(|at| *at < table.columns.len()))
        });
        let is_whole = event_fits && self.tables.iter().all(fits);
        if is_whole { Ok(self) } else { Err("it names columns that it does not have".to_owned()) }
    }
}

/// What `meta` calls a layout; for people, they count from 1.
fn name(number: usize) -> String {
    format!("layout_{}", number + 1)
}

/// What the numbers of a layout are at present.
#[derive(Debug)]
pub(super) struct Present {
    /// The layout of the numbers that come of reading.
    pub(super) now: Layout,
    tables: Vec<Result<PresentTable, String>>,
    pub(super) event: Option<PresentEvent>,
}

/// A table whose rows can be read.
#[derive(Debug)]
pub(super) struct PresentTable {
    pub(super) index: TableIndex,
    pub(super) name: String,
    /// By number: its name, and where it is now, or why it cannot be read. A column that the table has lost is nowhere:
    /// there is nothing that its values could be compared with, and nowhere to write them.
    columns: Vec<(String, Result<Option<ColumnIndex>, String>)>,
    /// Columns that there are now and were not.
    pub(super) gained: Vec<ColumnIndex>,
    /// How many columns the key, a survivor's row and a whole row had, and have now.
    pub(super) key: (usize, usize),
    pub(super) slim: (usize, usize),
    pub(super) full: (usize, usize),
    /// How many values a scope has; or why none can be read.
    pub(super) scope: Result<usize, String>,
    /// Whether rows say when their cells expire.
    pub(super) ttls: bool,
    /// Whether rows say when cells were written.
    pub(super) times: bool,
    /// Whether what is swept says whom the survivor's row names instead.
    pub(super) mentions: bool,
    /// Whether what is set may be null, and says when it expires where rows do.
    pub(super) sets_cells: bool,
}

/// Events that can be read.
#[derive(Debug)]
pub(super) struct PresentEvent {
    /// By the number that was written.
    pub(super) table: TableIndex,
    /// Where what was quoted is quoted now, by number; or why it cannot be read.
    pub(super) quoted: Vec<Result<usize, String>>,
    /// How much is quoted now.
    pub(super) width: usize,
}

impl Present {
    pub(super) fn new(then: &Layout, now: &Layout) -> Self {
        let tables: Vec<_> =
            then.tables.iter().map(|table| PresentTable::new(table, now)).collect();
        let event = then.event.as_ref().and_then(|event| {
            let own = now.event.as_ref()?;
            let table = tables[event.table].as_ref().ok().filter(|at| at.index == own.table)?;
            let quoted = event.columns.iter().map(|column| {
                let at = table.column(*column)?.ok_or("events quote a column that is gone")?;
                let quoted = own.columns.iter().position(|quoted| *quoted == at);
                let (name, _) = &now.tables[own.table].columns[at];
                quoted.ok_or_else(|| format!("events do not quote the column {name}"))
            });
            let quoted = quoted.collect();
            Some(PresentEvent { table: event.table, quoted, width: own.columns.len() })
        });
        Self { now: now.clone(), tables, event }
    }

    /// The columns of a table that are new, by its number at present.
    pub(super) fn gained(&self, index: TableIndex) -> &[ColumnIndex] {
        let mut tables = self.tables.iter().flatten();
        tables.find(|table| table.index == index).map_or(&[], |table| &table.gained)
    }

    /// A table by the number that was written.
    pub(super) fn table(&self, number: usize) -> Result<&PresentTable, String> {
        let table = self.tables.get(number).ok_or_else(|| format!("there is no table {number}"))?;
        table.as_ref().map_err(Clone::clone)
    }
}

impl PresentTable {
    fn new(then: &TableLayout, now: &Layout) -> Result<Self, String> {
        let found = now.tables.iter().enumerate().find(|(_, table)| table.name == then.name);
        let (index, now) =
            found.ok_or_else(|| format!("the merge specification knows no table {}", then.name))?;
        let find = |number: usize, column: &(String, String)| {
            let at = now.columns.iter().position(|known| known == column);
            match at {
                None if number < then.key => Err(format!(
                    "the primary key of {} has no column {} of type {} any more",
                    then.name, column.0, column.1
                )),
                at => Ok(at),
            }
        };
        let columns = then.columns.iter().enumerate();
        let columns = columns.map(|(number, column)| (column.0.clone(), find(number, column)));
        let columns: Vec<_> = columns.collect();
        let gained = now.columns.iter().enumerate();
        let gained = gained.filter(|(_, column)| !then.columns.contains(column)).map(|(at, _)| at);
        let is_scope = |(number, own): (&ColumnIndex, &ColumnIndex)| {
            columns[*number].1.as_ref() == Ok(&Some(*own))
        };
        let is_same =
            then.scope.len() == now.scope.len() && then.scope.iter().zip(&now.scope).all(is_scope);
        let scope = match is_same {
            true => Ok(now.scope.len()),
            false => Err(format!("the partition key of {} is another than it was", then.name)),
        };
        Ok(Self {
            index,
            name: then.name.clone(),
            key: (then.key, now.key),
            slim: (then.slim, now.slim),
            full: (columns.len(), now.columns.len()),
            gained: gained.collect(),
            columns,
            scope,
            ttls: then.ttls,
            times: then.times,
            mentions: then.mentions,
            sets_cells: then.sets_cells,
        })
    }

    /// Where a column is now, by the number that was written; `None` if the table has lost it.
    pub(super) fn column(&self, number: usize) -> Result<Option<ColumnIndex>, String> {
        self.column_of(number, usize::MAX)
    }

    /// The same of one that is among the first `width`.
    pub(super) fn column_of(
        &self,
        number: usize,
        width: usize,
    ) -> Result<Option<ColumnIndex>, String> {
        match self.columns.get(number) {
            Some((name, Ok(Some(at)))) if *at >= width => {
                Err(format!("{}.{name} does not belong here", self.name))
            }
            Some((_, position)) => position.clone(),
            None => Err(format!("table {} has no column {number}", self.name)),
        }
    }
}
