//! The merge specification: which tables hold accounts, and which value survives a conflict.
//!
//! Three steps, each a type: [`RawSpec`] is the TOML as written (the preset `course-batch` is such a
//! file), [`Schema`](schema::Schema) is what the cluster says it has, and [`Spec`] is the
//! specification checked against it, which everything downstream works from. What is wrong is collected as [`Faults`],
//! all of it with its lines, by what the text alone can tell and by what the schema tells. Tables are described by
//! data, not by code; columns that the specification does not name are copied whole.
//!
//! Deliberately absent: any access to a cluster, and any decoding of values beyond their [`Order`].
//!
//! May use `model` and `wrap`; may be used by `readable`, `merge`, `storage`, `cluster`, `journal`, `history`, `pipeline`,
//! `verify`, `undo` and `cli`.

mod alteration;
mod check;
mod constant;
mod draft;
mod event;
mod fault;
mod fields;
mod find;
mod fits;
mod lists;
mod mentions;
mod names;
mod policy;
mod ranking;
mod raw;
mod replayable;
pub mod schema;
mod show;

use std::cmp::Ordering;
use std::sync::Arc;

pub(crate) use alteration::Alteration;
pub use alteration::Columns;
use bytes::Bytes;
pub(crate) use draft::draft;
pub use event::quoted;
pub(crate) use event::{Bindings, EventSpec};
pub(crate) use fault::list;
pub use fault::{At, Faults};
#[cfg(test)]
pub(crate) use policy::parse as policy;
pub(crate) use policy::{Dated, Policy};
pub use policy::{Standing, Undone};
pub use ranking::{Ranking, RowRule};
pub(crate) use raw::ColumnPath;
pub use raw::RawSpec;

use crate::model::{
    AccountId, AccountType, Cell, ColumnIndex, CqlType, Order, Row, Scope, TableIndex,
};

/// A specification, checked against the live schema.
#[derive(Clone, Debug)]
pub struct Spec {
    pub name: String,
    /// The tables, in the order in which they are written.
    pub tables: Vec<Table>,
    /// The order in which they are merged: see [`in_order`](Self::in_order).
    order: Vec<TableIndex>,
    /// The type of the columns that hold accounts, the same in all tables.
    pub accounts: AccountType,
    /// The event that a changed row produces, if any.
    pub event: Option<EventSpec>,
}

/// A table to merge.
#[derive(Clone, Debug)]
pub struct Table {
    pub name: String,
    /// What the cluster calls this very table; empty if that is not known.
    pub id: String,
    /// All columns: the primary key in its order, the policy columns, those that lead to other tables, the event's,
    /// the rest.
    pub columns: Vec<Column>,
    /// How many of them are the partition key.
    pub(crate) partition_len: usize,
    /// How many of them are the primary key.
    pub key_len: usize,
    /// How many of them are read of a survivor's row: the key and what a policy, another table or an event looks at.
    pub slim_len: usize,
    /// The column that holds the account: a part of the primary key, but of [mentions](Self::is_mention).
    pub account: ColumnIndex,
    /// How the rows of an account are found.
    pub locator: Locator,
    /// The order of each clustering column.
    pub clustering: Vec<KeyColumn>,
    /// The policies; columns without one keep the survivor's value.
    pub survivorship: Vec<Survivorship>,
    /// What becomes of whole rows.
    pub(crate) rows: RowRule,
    /// Whether the source's rows are deleted once they are safe.
    pub(crate) delete_source: bool,
    /// The other column of the key that names an account, where a row that would name the survivor in both is dropped.
    pub(crate) drop_oneself: Option<ColumnIndex>,
    /// The columns that mention accounts: mapped where a row is copied.
    pub(crate) mentions: Vec<ColumnIndex>,
    /// Whether cells that expire are copied so that they expire at the same moment, and whatever is written says how long it
    /// lasts. Else what is copied lasts for ever.
    pub carries_ttls: bool,
    /// Whether rows are read with when their cells expire: where that is carried, or counted.
    pub(crate) reads_ttls: bool,
    /// Of [mentions](Self::is_mention): where in the key the account stands with which a row moves, if it moves.
    pub(crate) moves_with: Option<ColumnIndex>,
}

/// What rows hold at one [`ColumnIndex`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub cql_type: CqlType,
}

/// Where the scopes of an account's rows come from: the values of the partition key beside the account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Locator {
    /// One for each column of the partition key but the account's, in key order.
    pub parts: Vec<ScopePart>,
    /// The table whose rows lead here; `None` if every part is a constant, or a scan finds them.
    pub through: Option<TableIndex>,
    /// Whether nothing leads here: a scan of the table's keys tells its scopes.
    pub is_scanned: bool,
    /// Whether the only part is a whole partition key, which is never empty.
    pub is_whole: bool,
}

/// Where one value of a scope comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScopePart {
    /// It is the same for all rows that are merged.
    Constant(Bytes),
    /// It is the value of this column of the table that leads here.
    Column(ColumnIndex),
}

/// A clustering column's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyColumn {
    /// The order of its type.
    pub(crate) order: Order,
    /// Whether the table is clustered in the opposite direction.
    pub(crate) descending: bool,
}

/// Which of two values of a column survives.
#[derive(Clone, Debug)]
pub struct Survivorship {
    pub column: ColumnIndex,
    pub cql_type: CqlType,
    /// The rule.
    pub(crate) policy: Arc<dyn Policy>,
}

impl PartialEq for Survivorship {
    fn eq(&self, other: &Self) -> bool {
        self.column == other.column && self.policy.name() == other.policy.name()
    }
}

impl Eq for Survivorship {}

impl Spec {
    /// The tables in the order in which they are merged: each behind the one that leads to it, else as they are
    /// written.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = (TableIndex, &Table)> {
        self.order.iter().map(|index| (*index, &self.tables[*index]))
    }

    /// The same for whoever counts what expires, though it may not be carried.
    pub(crate) fn counting_ttls(mut self) -> Self {
        self.tables.iter_mut().for_each(|table| table.reads_ttls = true);
        self
    }

    /// Tables whose scopes nobody knows beforehand.
    pub(crate) fn discovered(&self) -> impl Iterator<Item = (TableIndex, &Table)> {
        self.in_order().filter(|(_, table)| table.locator.is_discovered())
    }

    /// Tables to which rows of another one lead.
    pub(crate) fn led(&self, through: TableIndex) -> impl Iterator<Item = (TableIndex, &Table)> {
        self.discovered().filter(move |(_, table)| table.locator.through == Some(through))
    }
}

impl Column {
    /// Whether it is a map, set, list or user-defined type that is not frozen: its elements have write times of their own.
    pub fn is_multi_cell(&self) -> bool {
        self.cql_type.has_elements()
    }
}

impl Locator {
    /// The scope that a row of the table that leads here names; `None` if it names none.
    pub fn scope(&self, row: &[Cell]) -> Option<Scope> {
        let value = |part: &ScopePart| match part {
            ScopePart::Constant(value) => Some(value.clone()),
            ScopePart::Column(column) => row.get(*column)?.clone(),
        };
        let values: Vec<Bytes> = self.parts.iter().map(value).collect::<Option<_>>()?;
        let is_empty = values.iter().all(Bytes::is_empty);
        (!self.is_whole || !is_empty).then(|| Scope::new(values))
    }

    /// Whether rows of another table lead here, or a scan finds where rows are.
    pub(crate) fn is_discovered(&self) -> bool {
        self.through.is_some() || self.is_scanned
    }

    /// The only scope of a table whose scope is known beforehand.
    pub(crate) fn constant(&self) -> Option<Scope> {
        if self.is_discovered() { None } else { self.scope(&[]) }
    }

    /// Whether a scope has the constants that are merged.
    pub(crate) fn admits(&self, scope: &Scope) -> bool {
        let mut parts = self.parts.iter().zip(scope.values());
        parts.all(|(part, value)| match part {
            ScopePart::Constant(constant) => constant == value,
            ScopePart::Column(_) => true,
        })
    }
}

impl Table {
    /// Whether the account is part of the partition key, so that a partition holds rows of one account only. Else it
    /// is a clustering column, and accounts share partitions.
    pub fn owns_partitions(&self) -> bool {
        self.account < self.partition_len
    }

    /// Whether accounts share partitions, and own at most one row in each: so that rows are read for several accounts
    /// at once.
    pub(crate) fn has_point_rows(&self) -> bool {
        !self.owns_partitions() && !self.is_mention() && self.key_len == self.partition_len + 1
    }

    /// Whether an account owns at most one row for each scope.
    pub(crate) fn has_one_row_per_scope(&self) -> bool {
        let partition = self.partition_len - usize::from(self.owns_partitions());
        self.key_len == partition + 1
    }

    /// The columns of a scope: the partition key without the account.
    pub(crate) fn scope_columns(&self) -> impl Iterator<Item = ColumnIndex> {
        (0..self.partition_len).filter(|column| *column != self.account)
    }

    /// The scope of a row, or of a key.
    pub(crate) fn scope_of(&self, cells: &[Cell]) -> Scope {
        Scope::new(self.scope_columns().filter_map(|column| cells.get(column)?.clone()))
    }

    /// The scope of a key in column order.
    pub(crate) fn scope_of_key(&self, key: &[Bytes]) -> Scope {
        Scope::new(self.scope_columns().filter_map(|column| key.get(column).cloned()))
    }

    /// A row's key but its account, as a scope: of a table in which an account owns one row in each, that is its scope.
    pub(crate) fn shared_scope(&self, cells: &[Cell]) -> Scope {
        let shared = (0..self.key_len).filter(|column| *column != self.account);
        Scope::new(shared.filter_map(|column| cells.get(column)?.clone()))
    }

    /// The partition key of an account's rows in a scope, in column order.
    pub fn partition_key(&self, scope: &Scope, account: &AccountId) -> Vec<Bytes> {
        let mut key = scope.values().to_vec();
        if self.owns_partitions() {
            key.insert(self.account, account.cell().clone());
        }
        key
    }

    /// Whether a row, or a key, would name its account twice, were that `account`, and is to be dropped then.
    pub(crate) fn is_oneself(&self, cells: &[Cell], account: &AccountId) -> bool {
        let other = self.drop_oneself.and_then(|column| cells.get(column)?.as_ref());
        other == Some(account.cell())
    }

    /// A primary key without the account: what the rows of all accounts of a group at one key share.
    pub(crate) fn shared_key(&self, key: &[Bytes]) -> Vec<Bytes> {
        let mut shared = key.to_vec();
        if !self.is_mention() {
            shared.remove(self.account);
        }
        shared
    }

    /// The primary key of a row, in column order.
    pub fn key_of(&self, row: &Row) -> Vec<Bytes> {
        row.cells[..self.key_len].iter().flatten().cloned().collect()
    }

    /// What becomes of two rows with one key, in words that continue a sentence.
    pub(crate) fn rule(&self) -> String {
        match &self.rows {
            RowRule::Higher(ranking) => {
                let columns = ranking.columns().map(|column| self.columns[column].name.as_str());
                policy::higher_row(columns)
            }
            RowRule::Source => policy::SOURCE_ROW.to_owned(),
            RowRule::Stays => {
                let name = |rule: &Survivorship| self.columns[rule.column].name.as_str();
                policy::rule(self.survivorship.iter().map(|rule| (name(rule), &*rule.policy)))
            }
        }
    }

    /// The policy of a map's entries one by one, and their type, where a column has such a one.
    pub(crate) fn of_entries(&self, column: ColumnIndex) -> Option<(&dyn Policy, &CqlType)> {
        self.survivorship.iter().find(|rule| rule.column == column)?.of_entries()
    }

    /// The policies whose outcome is one value, made of those of both accounts: a write of the application, which knows only
    /// one of these, may hide it, or an element of a list be in it twice. What else has elements is hidden by none but
    /// another whole value.
    pub(crate) fn computed(&self) -> impl Iterator<Item = &Survivorship> {
        let has_elements = |rule: &Survivorship| rule.cql_type.has_elements();
        let rules = self.survivorship.iter().filter(|rule| rule.policy.is_computed());
        rules.filter(move |rule| rule.unites_lists() || !has_elements(rule))
    }

    /// The columns in which the later write survives.
    pub(crate) fn by_time(&self) -> impl Iterator<Item = ColumnIndex> + Clone {
        let rules = self.survivorship.iter().filter(|rule| rule.policy.goes_by_time());
        rules.map(|rule| rule.column)
    }

    /// The columns in which values of several accounts are added up.
    pub(crate) fn sums(&self) -> impl Iterator<Item = ColumnIndex> {
        self.survivorship.iter().filter(|rule| rule.policy.adds()).map(|rule| rule.column)
    }

    /// Where rows hold the value of the column that is called so, case-sensitively.
    pub fn position(&self, name: &str) -> Option<ColumnIndex> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// Compares two rows of a scope by clustering key, in the table's clustering order; whose rows they are does not
    /// matter.
    pub fn compare(&self, a: &Row, b: &Row) -> Ordering {
        self.compare_columns(a, b, |column| column != self.account)
    }

    /// Compares two rows of a partition by clustering key, in the table's clustering order.
    pub(crate) fn compare_in_partition(&self, a: &Row, b: &Row) -> Ordering {
        self.compare_columns(a, b, |_| true)
    }

    fn compare_columns(&self, a: &Row, b: &Row, counts: impl Fn(ColumnIndex) -> bool) -> Ordering {
        let columns = (self.partition_len..self.key_len).zip(&self.clustering);
        columns
            .filter(|(column, _)| counts(*column))
            .map(|(column, key)| {
                let order = key.order.compare(bytes(&a.cells[column]), bytes(&b.cells[column]));
                if key.descending { order.reverse() } else { order }
            })
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

/// A key cell is never null.
fn bytes(cell: &Cell) -> &[u8] {
    cell.as_deref().unwrap_or_default()
}

impl Survivorship {
    /// Whether it is about the elements of a collection: no write hides what was combined, unless it replaces all of them.
    pub fn joins_elements(&self) -> bool {
        self.policy.joins_elements()
    }

    /// Whether it is about the elements of lists: an element that is written later than the list was read as of stays beside
    /// those that are written then.
    pub(crate) fn unites_lists(&self) -> bool {
        self.policy.joins_elements() && self.cql_type.is_list()
    }

    /// The policy and the type of a map's entries, where it is about those one by one.
    pub(crate) fn of_entries(&self) -> Option<(&dyn Policy, &CqlType)> {
        self.policy.of_entries().zip(self.cql_type.entry_value())
    }

    /// What is written over `kept` when a source offers another value; `None` if it stays.
    pub fn combine(&self, kept: &Cell, offered: &Cell) -> Option<Bytes> {
        self.policy.combine(&self.cql_type, kept, offered)
    }
}
