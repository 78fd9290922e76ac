//! The kinds of requests whose latencies are kept apart.

use crate::latency::Operation;
use crate::model::TableIndex;
use crate::spec::Spec;
use crate::storage::Width;

/// Which operation of the recorder a request belongs to.
#[derive(Clone, Debug, Default)]
pub struct Operations {
    names: Vec<String>,
    tables: Vec<TableOperations>,
}

#[derive(Clone, Copy, Debug)]
struct TableOperations {
    read: usize,
    read_survivor: usize,
    write: usize,
    delete: usize,
    look: usize,
    /// As `look`, where nothing is scanned.
    scan: usize,
}

impl Operations {
    /// The operations of a specification.
    pub fn new(spec: &Spec) -> Self {
        let mut names = Vec::new();
        let mut operation = |name: String| {
            names.push(name);
            names.len() - 1
        };
        let tables = spec
            .tables
            .iter()
            .map(|table| (table, table.label()))
            .map(|(table, label)| match table.owns_partitions() {
                true => {
                    let read = operation(format!("source {label}"));
                    let read_survivor = operation(format!("target {label}"));
                    let write = operation(format!("write {label}"));
                    let delete = operation(format!("delete {label}"));
                    let look = operation(format!("look {label}"));
                    let scan = match table.locator.is_discovered() {
                        true => operation(format!("scan {label}")),
                        false => look,
                    };
                    TableOperations { read, read_survivor, write, delete, look, scan }
                }
                false => {
                    let scan = operation(format!("scan {label}"));
                    let read = operation(format!("read {label}"));
                    // Copies and deletes of one partition share a batch.
                    let write = operation(format!("write {label}"));
                    let look = operation(format!("look {label}"));
                    TableOperations { read, read_survivor: read, write, delete: write, look, scan }
                }
            })
            .collect();
        operation("register".into());
        operation("look schema".into());
        operation("journal commit".into());
        operation("event delivery".into());
        operation("whole group".into());
        Self { names, tables }
    }

    /// What reports and histograms call each, at its own index.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whole rows are counted apart from those that only have what is compared.
    pub fn read(&self, table: TableIndex, width: Width) -> Operation {
        Operation(match width {
            Width::Full => self.tables[table].read,
            Width::Slim => self.tables[table].read_survivor,
        })
    }

    /// Batches of one partition, whoever their groups are.
    pub fn write(&self, table: TableIndex) -> Operation {
        Operation(self.tables[table].write)
    }

    /// Deletes of sources in a table.
    pub fn delete(&self, table: TableIndex) -> Operation {
        Operation(self.tables[table].delete)
    }

    /// Whether it is one of writes or deletes.
    pub fn is_write(&self, operation: Operation) -> bool {
        self.tables.iter().any(|table| [table.write, table.delete].contains(&operation.0))
    }

    /// Looks at sources of a table that should be empty.
    pub fn look(&self, table: TableIndex) -> Operation {
        Operation(self.tables[table].look)
    }

    /// Pages of a token range.
    pub fn scan(&self, table: TableIndex) -> Operation {
        Operation(self.tables[table].scan)
    }

    /// What the register is asked and told.
    pub fn register(&self) -> Operation {
        Operation(self.names.len() - 5)
    }

    /// Looks whether the tables have been altered.
    pub fn schema(&self) -> Operation {
        Operation(self.names.len() - 4)
    }

    /// Waits until an intent is durable.
    pub fn journal(&self) -> Operation {
        Operation(self.names.len() - 3)
    }

    /// Deliveries of a group's events.
    pub fn events(&self) -> Operation {
        Operation(self.names.len() - 2)
    }

    /// Whole groups.
    pub fn group(&self) -> Operation {
        Operation(self.names.len() - 1)
    }
}
