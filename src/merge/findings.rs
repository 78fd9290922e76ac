//! What a group's rows say about further work: the scopes that they lead to, which of them saw a
//! change, and which sources own anything at all.
//!
//! Memory is one entry per scope that any account of the group has rows for, and one per partition that is to be
//! deleted.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;

use crate::model::{AccountId, Cell, ColumnIndex, Group, Row, Scope, TableIndex};
use crate::spec::{Locator, Spec, Table};

use super::entry::Entry;
use super::slice::PartitionDelete;

/// What was found about one group.
#[derive(Debug)]
pub struct Findings {
    /// One entry per table whose scopes are discovered.
    leads: Vec<Lead>,
    /// Per source, in merge order: whether it owns any row.
    owns: Vec<bool>,
    /// The partitions of sources in which rows were found, where a partition is one account's.
    partitions: BTreeSet<PartitionDelete>,
}

/// What leads to one table, or where a scan finds its rows; or what is announced of a table that is found by the account,
/// row by row.
#[derive(Debug)]
struct Lead {
    /// The table that is led to.
    table: TableIndex,
    through: Option<TableIndex>,
    locator: Locator,
    /// Columns of the leading table whose smallest value an event may need.
    minima: Vec<ColumnIndex>,
    /// Columns of the table that the event quotes.
    quoted: Vec<ColumnIndex>,
    /// Whether rows that leave sources are announced.
    announces_left: bool,
    scopes: HashMap<Scope, Found>,
}

/// What is known about one scope.
#[derive(Clone, Debug, Default)]
struct Found {
    in_source: bool,
    /// Whether a row of a source leads there.
    led: bool,
    changed: bool,
    minima: Vec<Cell>,
    /// The columns that the event quotes of the survivor's row, once that is known to exist.
    quoted: Option<Vec<Cell>>,
    /// The same of the rows that leave sources, by source, where that is announced.
    left: Vec<(usize, Vec<Cell>)>,
}

/// A row of the announced table that is to be announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// The source that the row has left, by its number in the group; `None` if it is one that the survivor holds.
    pub left: Option<usize>,
    /// The scope of the row.
    pub scope: Scope,
    /// The columns that the event quotes, nulls already replaced where the specification says so.
    pub quoted: Vec<Cell>,
}

impl Found {
    /// What an event quotes, with the smallest values in the place of nulls where the specification says so.
    fn filled(&self, spec: &Spec, quoted: &[Cell]) -> Vec<Cell> {
        let mut minima = self.minima.iter();
        let columns = spec.event.iter().flat_map(|event| &event.columns);
        let cells = quoted.iter().zip(columns).map(|(cell, column)| {
            let minimum = column.else_min.and_then(|_| minima.next());
            cell.clone().or_else(|| minimum.cloned().flatten())
        });
        cells.collect()
    }
}

impl Announced {
    /// The account whose row it is or was, and where that row went, if it left.
    pub(crate) fn account<'a>(&self, group: &'a Group) -> (&'a AccountId, Option<&'a AccountId>) {
        match self.left.and_then(|source| group.pairs.get(source)) {
            Some(pair) => (&pair.from, Some(&group.survivor)),
            None => (&group.survivor, None),
        }
    }
}

/// Copied out of its page, which would otherwise live as long as this.
fn own(value: &Bytes) -> Bytes {
    Bytes::copy_from_slice(value)
}

impl Lead {
    /// A key of the leading table: each of its rows may lead elsewhere, unless its key leads. `base` is the one that
    /// stays.
    fn follow(&mut self, entry: &Entry, base: &Row) {
        let sources = entry.sources.iter().map(|(_, row)| (row, true));
        let mut before: Option<Scope> = None;
        for (row, is_source) in sources.chain(entry.target.iter().map(|row| (row, false))) {
            let Some(scope) = self.locator.scope(&row.cells) else { continue };
            // A key leads all of its rows to one key.
            if before.as_ref() != Some(&scope) {
                self.note(&scope, is_source, entry.is_written(), base);
                before = Some(scope);
            }
        }
    }

    fn note(&mut self, scope: &Scope, is_source: bool, is_written: bool, base: &Row) {
        if !self.scopes.contains_key(scope) {
            self.scopes.insert(scope.detached(), Found::default());
        }
        let Some(found) = self.scopes.get_mut(scope) else { return };
        found.led |= is_source;
        found.in_source |= is_source;
        found.changed |= is_written;
        found.minima.resize(self.minima.len(), None);
        for (minimum, column) in found.minima.iter_mut().zip(&self.minima) {
            let Some(Some(value)) = base.cells.get(*column) else { continue };
            if minimum.as_ref().is_none_or(|known| value < known) {
                *minimum = Some(own(value));
            }
        }
    }

    /// The key of the table that is led to: the survivor holds its row afterwards.
    fn arrive(&mut self, scope: &Scope, entry: &Entry) {
        let Some(found) = self.scopes.get_mut(scope) else { return };
        found.changed |= entry.is_written();
        let quoted = self.quoted.iter().map(|column| entry.result(*column).map(own));
        found.quoted = Some(quoted.collect());
        if self.announces_left {
            found.left.extend(entry.sources.iter().map(|(source, row)| {
                let quoted = self.quoted.iter().map(|column| row.cells[*column].as_ref().map(own));
                (*source, quoted.collect())
            }));
        }
    }
}

impl Findings {
    /// Nothing found yet, for a group of `sources` sources.
    pub fn new(spec: &Spec, sources: usize) -> Self {
        let is_announced = |table| spec.event.as_ref().is_some_and(|event| event.table == table);
        let tables = spec.in_order();
        let tables =
            tables.filter(|(table, shape)| shape.locator.is_discovered() || is_announced(*table));
        let leads = tables.map(|(table, shape)| {
            let event = spec.event.iter().filter(|event| event.table == table);
            let columns: Vec<_> = event.flat_map(|event| &event.columns).collect();
            Lead {
                table,
                through: shape.locator.through,
                locator: shape.locator.clone(),
                minima: columns.iter().filter_map(|column| column.else_min).collect(),
                quoted: columns.iter().map(|column| column.column).collect(),
                announces_left: shape.delete_source
                    && spec.event.iter().any(|event| event.table == table && event.left),
                scopes: HashMap::new(),
            }
        });
        Self { leads: leads.collect(), owns: vec![false; sources], partitions: BTreeSet::new() }
    }

    /// Notes one key of a table: where it leads, whether the survivor's row changes, and who owns rows.
    /// After the merge the survivor holds a row of the key if any account did.
    pub fn note(&mut self, table: &Table, entry: &Entry) {
        let Some(base) = entry.base() else { return };
        for (source, _) in &entry.sources {
            self.owns[*source] = true;
        }
        let lead = self.leads.iter_mut().find(|lead| lead.table == entry.table);
        let has_partitions = table.owns_partitions() && !entry.sources.is_empty();
        if let Some(lead) = lead {
            let scope = table.shared_scope(&base.cells);
            if !lead.locator.is_discovered() {
                lead.scopes.entry(scope.detached()).or_default();
            }
            lead.arrive(&scope, entry);
        }
        if has_partitions {
            self.note_partitions(entry, &table.scope_of(&base.cells));
        }
        for lead in self.leads.iter_mut().filter(|lead| lead.through == Some(entry.table)) {
            lead.follow(entry, base);
        }
    }

    fn note_partitions(&mut self, entry: &Entry, scope: &Scope) {
        for (source, _) in &entry.sources {
            let mut delete =
                PartitionDelete { table: entry.table, source: *source, scope: scope.clone() };
            if !self.partitions.contains(&delete) {
                delete.scope = delete.scope.detached();
                self.partitions.insert(delete);
            }
        }
    }

    /// Scopes of a table in which sources own rows, as something else than their rows has told.
    pub fn discover(&mut self, table: TableIndex, scopes: impl IntoIterator<Item = Scope>) {
        let Some(lead) = self.leads.iter_mut().find(|lead| lead.table == table) else { return };
        for scope in scopes {
            lead.scopes.entry(scope).or_default().in_source = true;
        }
    }

    /// Whether rows of sources lead to a scope of a table.
    pub(crate) fn is_led_to(&self, table: TableIndex, scope: &Scope) -> bool {
        let mut leads = self.leads.iter().filter(|lead| lead.table == table);
        leads.any(|lead| lead.scopes.get(scope).is_some_and(|found| found.led))
    }

    /// The sources, by position, that own no row.
    pub fn absent_sources(&self) -> impl Iterator<Item = usize> {
        let owns = self.owns.iter().enumerate();
        owns.filter(|(_, owns)| !**owns).map(|(source, _)| source)
    }

    /// The partitions of sources in which rows of a table were found, by source.
    pub fn partitions(&self, table: TableIndex) -> impl Iterator<Item = &PartitionDelete> {
        self.partitions.iter().filter(move |partition| partition.table == table)
    }

    /// How many sources own any row.
    pub(crate) fn sources_with_rows(&self) -> usize {
        self.owns.iter().filter(|owns| **owns).count()
    }

    /// The scopes of `table` that rows of sources lead to, or that were discovered, in a fixed order.
    pub fn scopes(&self, table: TableIndex) -> Vec<Scope> {
        let mut scopes: Vec<Scope> = self
            .leads
            .iter()
            .filter(|lead| lead.table == table)
            .flat_map(|lead| &lead.scopes)
            .filter(|(_, found)| found.in_source)
            .map(|(scope, _)| scope.clone())
            .collect();
        scopes.sort_unstable();
        scopes
    }

    /// The rows of `table` to announce: the survivor holds them, and something changed there, or all of its are announced;
    /// or they left a source, and that is announced. In a fixed order.
    pub fn announced(&self, spec: &Spec, table: TableIndex) -> Vec<Announced> {
        let is_any =
            spec.event.as_ref().is_some_and(|event| event.every) && self.sources_with_rows() > 0;
        let mut announced: Vec<Announced> = self
            .leads
            .iter()
            .filter(|lead| lead.table == table)
            .flat_map(|lead| &lead.scopes)
            .flat_map(|(scope, found)| {
                let held = found.quoted.iter().filter(|_| found.changed || is_any);
                let held = held.map(|quoted| (None, quoted));
                let left = found.left.iter().map(|(source, quoted)| (Some(*source), quoted));
                held.chain(left).map(|(left, quoted)| {
                    let (scope, quoted) = (scope.clone(), found.filled(spec, quoted));
                    Announced { left, scope, quoted }
                })
            })
            .collect();
        announced.sort_unstable_by(|a, b| (&a.scope, a.left).cmp(&(&b.scope, b.left)));
        announced
    }
}
