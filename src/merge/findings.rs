//! What a group's rows say about further work: the partitions that they lead to, which of them saw a
//! change, and which sources own anything at all.
//!
//! Memory is one entry per partition that any account of the group has rows for.

use std::collections::HashMap;

use bytes::Bytes;

use crate::account::{Cell, Row, TableIndex};
use crate::spec::Spec;

use super::entry::Entry;

/// What was found about one group.
#[derive(Debug)]
pub struct Findings {
    /// One entry per table that is found through another.
    leads: Vec<Lead>,
    /// Per source, in merge order: the tables in which it owns rows.
    owned: Vec<Vec<TableIndex>>,
}

/// What leads to one table.
#[derive(Debug)]
struct Lead {
    /// The table that is led to.
    table: TableIndex,
    /// The table that leads there, by this key column.
    through: TableIndex,
    column: usize,
    /// Columns of the leading table whose smallest value an event may need.
    minima: Vec<usize>,
    /// Columns of the table that the event quotes.
    quoted: Vec<usize>,
    partitions: HashMap<Bytes, Partition>,
}

/// What is known about one partition.
#[derive(Clone, Debug, Default)]
struct Partition {
    in_source: bool,
    /// Whether a row of a source leads there.
    led: bool,
    changed: bool,
    minima: Vec<Cell>,
    /// The columns that the event quotes of the survivor's row, once that is known to exist.
    quoted: Option<Vec<Cell>>,
}

/// A row of the announced table that is to be announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// The partition key of the row.
    pub partition: Bytes,
    /// The columns that the event quotes, nulls already replaced where the specification says so.
    pub quoted: Vec<Cell>,
}

/// Copied out of its page, which would otherwise live as long as this.
fn own(value: &Bytes) -> Bytes {
    Bytes::copy_from_slice(value)
}

impl Lead {
    /// A key of the leading table.
    fn follow(&mut self, entry: &Entry, base: &Row) {
        // A clustering value may be empty, but a partition key may not: no such partition exists.
        let key = base.cells.get(self.column).and_then(Option::as_ref).filter(|k| !k.is_empty());
        let Some(key) = key else { return };
        if !self.partitions.contains_key(key) {
            self.partitions.insert(own(key), Partition::default());
        }
        let Some(partition) = self.partitions.get_mut(key) else { return };
        partition.led |= !entry.sources.is_empty();
        partition.in_source |= partition.led;
        partition.changed |= entry.is_written();
        partition.minima.resize(self.minima.len(), None);
        for (minimum, column) in partition.minima.iter_mut().zip(&self.minima) {
            let Some(Some(value)) = base.cells.get(*column) else { continue };
            if minimum.as_ref().is_none_or(|known| value < known) {
                *minimum = Some(own(value));
            }
        }
    }

    /// The key of the table that is led to: the survivor holds its row afterwards.
    fn arrive(&mut self, entry: &Entry, base: &Row) {
        let key = base.cells.first().and_then(Option::as_ref);
        let Some(partition) = key.and_then(|key| self.partitions.get_mut(key)) else { return };
        partition.changed |= entry.is_written();
        let quoted = self.quoted.iter().filter_map(|column| entry.cell(*column));
        partition.quoted = Some(quoted.map(|cell| cell.as_ref().map(own)).collect());
    }
}

impl Findings {
    /// Nothing found yet, for a group of `sources` sources.
    pub fn new(spec: &Spec, sources: usize) -> Self {
        let leads = spec.clustering_tables().map(|(table, _, through, column)| {
            let event = spec.event.iter().filter(|event| event.table == table);
            let columns: Vec<_> = event.flat_map(|event| &event.columns).collect();
            Lead {
                table,
                through,
                column,
                minima: columns.iter().filter_map(|column| column.else_min).collect(),
                quoted: columns.iter().map(|column| column.column).collect(),
                partitions: HashMap::new(),
            }
        });
        Self { leads: leads.collect(), owned: vec![Vec::new(); sources] }
    }

    /// Notes one key of a table: where it leads, whether the survivor's row changes, and who owns rows.
    /// After the merge the survivor holds a row of the key if any account did.
    pub fn note(&mut self, entry: &Entry) {
        for (source, _) in &entry.sources {
            let owned = &mut self.owned[*source];
            if !owned.contains(&entry.table) {
                owned.push(entry.table);
            }
        }
        let Some(base) = entry.base() else { return };
        for lead in &mut self.leads {
            if lead.through == entry.table {
                lead.follow(entry, base);
            } else if lead.table == entry.table {
                lead.arrive(entry, base);
            }
        }
    }

    /// Partitions of a table in which sources own rows, as something else than their rows has told.
    pub fn discover(&mut self, table: TableIndex, partitions: impl IntoIterator<Item = Bytes>) {
        let Some(lead) = self.leads.iter_mut().find(|lead| lead.table == table) else { return };
        for partition in partitions {
            lead.partitions.entry(partition).or_default().in_source = true;
        }
    }

    /// Whether rows of sources lead to a partition of a table.
    pub fn is_led_to(&self, table: TableIndex, partition: &Bytes) -> bool {
        let mut leads = self.leads.iter().filter(|lead| lead.table == table);
        leads.any(|lead| lead.partitions.get(partition).is_some_and(|partition| partition.led))
    }

    /// The sources, by position, that own no row.
    pub fn absent_sources(&self) -> impl Iterator<Item = usize> {
        let owned = self.owned.iter().enumerate();
        owned.filter(|(_, owned)| owned.is_empty()).map(|(source, _)| source)
    }

    /// The sources, by position, that own rows of a table.
    pub fn owners(&self, table: TableIndex) -> impl Iterator<Item = usize> {
        let owners = self.owned.iter().enumerate();
        owners.filter(move |(_, owned)| owned.contains(&table)).map(|(source, _)| source)
    }

    /// How many sources own any row.
    pub fn sources_with_rows(&self) -> usize {
        self.owned.iter().filter(|owned| !owned.is_empty()).count()
    }

    /// The partitions of `table` that rows of sources lead to, or that were discovered, in a fixed order.
    pub fn partitions(&self, table: TableIndex) -> Vec<Bytes> {
        let mut keys: Vec<Bytes> = self
            .leads
            .iter()
            .filter(|lead| lead.table == table)
            .flat_map(|lead| &lead.partitions)
            .filter(|(_, partition)| partition.in_source)
            .map(|(key, _)| key.clone())
            .collect();
        keys.sort_unstable();
        keys
    }

    /// The rows of `table` to announce: the survivor holds them, and something changed there. In a
    /// fixed order.
    pub fn announced(&self, spec: &Spec, table: TableIndex) -> Vec<Announced> {
        let mut announced: Vec<Announced> = self
            .leads
            .iter()
            .filter(|lead| lead.table == table)
            .flat_map(|lead| &lead.partitions)
            .filter(|(_, partition)| partition.changed)
            .filter_map(|(key, partition)| {
                let mut quoted = partition.quoted.clone()?;
                let mut minima = partition.minima.iter();
                for (cell, column) in
                    quoted.iter_mut().zip(spec.event.iter().flat_map(|e| &e.columns))
                {
                    let minimum = column.else_min.and_then(|_| minima.next());
                    if cell.is_none() {
                        *cell = minimum.cloned().flatten();
                    }
                }
                Some(Announced { partition: key.clone(), quoted })
            })
            .collect();
        announced.sort_unstable_by(|a, b| a.partition.cmp(&b.partition));
        announced
    }
}
