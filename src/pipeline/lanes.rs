//! The kinds of requests whose latencies are kept apart.

use crate::latency::Lane;
use crate::model::TableIndex;
use crate::spec::Spec;
use crate::storage::Width;

/// Which lane of the recorder a request belongs to.
#[derive(Clone, Debug, Default)]
pub struct Lanes {
    names: Vec<String>,
    tables: Vec<TableLanes>,
}

#[derive(Clone, Copy, Debug)]
struct TableLanes {
    read: usize,
    read_survivor: usize,
    write: usize,
    delete: usize,
    look: usize,
    /// As `look`, where nothing is scanned.
    scan: usize,
}

impl Lanes {
    /// The lanes of a specification.
    pub fn new(spec: &Spec) -> Self {
        let mut names = Vec::new();
        let mut lane = |name: String| {
            names.push(name);
            names.len() - 1
        };
        let tables = spec
            .tables
            .iter()
            .map(|table| match table.owns_partitions() {
                true => {
                    let read = lane(format!("source {}", table.name));
                    let read_survivor = lane(format!("target {}", table.name));
                    let write = lane(format!("write {}", table.name));
                    let delete = lane(format!("delete {}", table.name));
                    let look = lane(format!("look {}", table.name));
                    let scan = match table.locator.through {
                        Some(_) => lane(format!("scan {}", table.name)),
                        None => look,
                    };
                    TableLanes { read, read_survivor, write, delete, look, scan }
                }
                false => {
                    let scan = lane(format!("scan {}", table.name));
                    let read = lane(format!("read {}", table.name));
                    // Copies and deletes of one partition share a batch.
                    let write = lane(format!("write {}", table.name));
                    let look = lane(format!("look {}", table.name));
                    TableLanes { read, read_survivor: read, write, delete: write, look, scan }
                }
            })
            .collect();
        lane("register".into());
        lane("look schema".into());
        lane("journal commit".into());
        lane("event delivery".into());
        lane("whole group".into());
        Self { names, tables }
    }

    /// The names, by lane.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Reads of a table.
    pub fn read(&self, table: TableIndex, width: Width) -> Lane {
        Lane(match width {
            Width::Full => self.tables[table].read,
            Width::Slim => self.tables[table].read_survivor,
        })
    }

    /// Writes to a table.
    pub fn write(&self, table: TableIndex) -> Lane {
        Lane(self.tables[table].write)
    }

    /// Deletes of sources in a table.
    pub fn delete(&self, table: TableIndex) -> Lane {
        Lane(self.tables[table].delete)
    }

    /// Whether it is one of writes or deletes.
    pub fn is_write(&self, lane: Lane) -> bool {
        self.tables.iter().any(|table| [table.write, table.delete].contains(&lane.0))
    }

    /// Looks at sources of a table that should be empty.
    pub fn look(&self, table: TableIndex) -> Lane {
        Lane(self.tables[table].look)
    }

    /// Scans of a table.
    pub fn scan(&self, table: TableIndex) -> Lane {
        Lane(self.tables[table].scan)
    }

    /// What the register is asked and told.
    pub fn register(&self) -> Lane {
        Lane(self.names.len() - 5)
    }

    /// Looks whether the tables have been altered.
    pub fn schema(&self) -> Lane {
        Lane(self.names.len() - 4)
    }

    /// Waits until an intent is durable.
    pub fn journal(&self) -> Lane {
        Lane(self.names.len() - 3)
    }

    /// Deliveries of a group's events.
    pub fn events(&self) -> Lane {
        Lane(self.names.len() - 2)
    }

    /// Whole groups.
    pub fn group(&self) -> Lane {
        Lane(self.names.len() - 1)
    }
}
