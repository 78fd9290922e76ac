//! What a group's rows say about further work: the partitions that they lead to, which of them saw a
//! change, and which sources own anything at all.
//!
//! Memory is one entry per partition that any account of the group has rows for.

use std::collections::HashMap;

use bytes::Bytes;

use crate::account::{Cell, Row, TableIndex, TimestampUs};
use crate::spec::Spec;

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
    partitions: HashMap<Bytes, Partition>,
}

/// What is known about one partition.
#[derive(Clone, Debug, Default)]
struct Partition {
    in_source: bool,
    changed: bool,
    minima: Vec<Cell>,
    /// The columns that the event quotes of the survivor's row, once that is known to exist.
    quoted: Option<Vec<Cell>>,
}

/// A row's traces: the lead and the partition that it touched.
#[derive(Debug)]
pub(super) struct Trail(Vec<(usize, Bytes)>);

/// A row of the announced table that is to be announced.
#[derive(Debug)]
pub struct Announced {
    /// The partition key of the row.
    pub partition: Bytes,
    /// The columns that the event quotes, nulls already replaced where the specification says so.
    pub quoted: Vec<Cell>,
    /// The group's write time.
    pub t: TimestampUs,
}

impl Findings {
    /// Nothing found yet, for a group of `sources` sources.
    pub fn new(spec: &Spec, sources: usize) -> Self {
        let leads = spec.clustering_tables().map(|(table, _, through, column)| {
            let event = spec.event.iter().filter(|event| event.table == table);
            let minima = event.flat_map(|event| event.columns.iter().filter_map(|c| c.else_min));
            Lead { table, through, column, minima: minima.collect(), partitions: HashMap::new() }
        });
        Self { leads: leads.collect(), owned: vec![Vec::new(); sources] }
    }

    /// Notes where a row (any one of its key's rows) leads, and the smallest values of the columns that
    /// an event may need: after the merge the survivor holds a row of this key.
    pub(super) fn trail(&mut self, table: TableIndex, row: &Row, in_source: bool) -> Trail {
        let mut trail = Vec::new();
        for (position, lead) in self.leads.iter_mut().enumerate() {
            let leads_on = lead.through == table;
            let Some(Some(key)) = row.cells.get(lead.column).filter(|_| leads_on) else { continue };
            // A clustering value may be empty, but a partition key may not: no such partition exists.
            if key.is_empty() {
                continue;
            }
            if !lead.partitions.contains_key(key) {
                // The value is copied out of its page, which would otherwise live as long as this.
                lead.partitions.insert(Bytes::copy_from_slice(key), Partition::default());
            }
            if let Some(partition) = lead.partitions.get_mut(key) {
                partition.in_source |= in_source;
                partition.minima.resize(lead.minima.len(), None);
                for (minimum, column) in partition.minima.iter_mut().zip(&lead.minima) {
                    let Some(Some(value)) = row.cells.get(*column) else { continue };
                    if minimum.as_ref().is_none_or(|known| value < known) {
                        *minimum = Some(Bytes::copy_from_slice(value));
                    }
                }
            }
            trail.push((position, key.clone()));
        }
        Trail(trail)
    }

    /// Notes that a row of the survivor changed.
    pub(super) fn mark_changed(&mut self, trail: &Trail) {
        for (lead, key) in &trail.0 {
            if let Some(partition) = self.leads[*lead].partitions.get_mut(key) {
                partition.changed = true;
            }
        }
    }

    /// Notes that a source owns a row of a table.
    pub(super) fn mark_owner(&mut self, table: TableIndex, source: usize) {
        let owned = &mut self.owned[source];
        if !owned.contains(&table) {
            owned.push(table);
        }
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

    /// The partitions of `table` that rows of sources lead to, in a fixed order.
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

    /// Notes what became of the survivor's row in a partition of `table`.
    pub fn enrolled(&mut self, table: TableIndex, key: &Bytes, enrolled: &super::Enrolled) {
        let lead = self.leads.iter_mut().find(|lead| lead.table == table);
        if let Some(partition) = lead.and_then(|lead| lead.partitions.get_mut(key)) {
            partition.changed |= enrolled.changed;
            partition.quoted = enrolled.present.then(|| enrolled.quoted.clone());
        }
        for source in &enrolled.owners {
            self.mark_owner(table, *source);
        }
    }

    /// The rows of `table` to announce: the survivor holds them, and something changed there. In a
    /// fixed order.
    pub fn announced(&self, spec: &Spec, table: TableIndex, t: TimestampUs) -> Vec<Announced> {
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
                Some(Announced { partition: key.clone(), quoted, t })
            })
            .collect();
        announced.sort_unstable_by(|a, b| a.partition.cmp(&b.partition));
        announced
    }
}
