//! Tables whose keys have several parts, and accounts that are no text.

mod accounts;
mod cells;
mod inspect;
mod kills;
mod late;
mod merge;
mod model;
mod random;
mod scan;
mod shape;
mod spec;
mod wide;

use std::path::{Path, PathBuf};

use futures::StreamExt;
use scylla::value::Row;
use serde_json::Value;

use crate::model::{Plan, resolve};
use crate::process::Call;
use crate::world::{World, assert_same, runtime, to_csv};

use cells::{Kind, Rows, Tables, literal};
use model::{Discover, Outcome};
use random::Data;
use shape::Shape;

/// Described tables with rows in them, and pairs to merge.
struct Scene {
    world: World,
    shapes: &'static [Shape],
    kind: Kind,
    plan: Plan,
    before: Tables,
    spec: PathBuf,
    pairs: PathBuf,
    run: PathBuf,
}

impl Scene {
    /// Creates the tables and loads the rows.
    fn new(name: &str, shapes: &'static [Shape], data: &Data) -> Self {
        let world = World::empty(name);
        for shape in shapes {
            world.cql(&shape.create(&world.keyspace, data.kind));
        }
        let scene = Self {
            shapes,
            kind: data.kind,
            plan: resolve(&data.lines),
            before: data.tables.clone(),
            spec: world.file("spec.toml", spec::spec(shapes)),
            pairs: world.file("pairs.csv", to_csv(&data.lines)),
            run: world.run_dir(),
            world,
        };
        scene.load(&data.tables);
        scene.assert_tables(&scene.before); // what was loaded is what the model starts from
        scene
    }

    /// With the event of the world.
    fn with_event(mut self) -> Self {
        let spec = spec::spec(self.shapes) + spec::EVENT;
        self.spec = self.world.file("spec.toml", spec);
        self
    }

    fn expected(&self) -> Outcome {
        self.expected_by(Discover::Content)
    }

    fn expected_by(&self, discover: Discover) -> Outcome {
        model::merge(self.shapes, self.kind, &self.plan.groups, &self.before, discover)
    }

    fn apply(&self) -> Call {
        self.world.apply(&self.pairs, &self.run).with("--spec", &self.spec)
    }

    fn resume(&self) -> Call {
        self.world.resume(&self.run)
    }

    /// `verify` or `undo`.
    fn walk(&self, command: &str) -> Call {
        self.walk_over(command, &self.run)
    }

    /// The same over another run.
    fn walk_over(&self, command: &str, run: &Path) -> Call {
        let run = run.to_str().expect("the tests use UTF-8");
        Call::new(&[command, run]).with("--hosts", &self.world.addresses.hosts).flag("--json")
    }

    fn shape(&self, table: &str) -> &'static Shape {
        self.shapes.iter().find(|shape| shape.name == table).expect("it is described")
    }

    /// Runs one statement, in which `{}` stands for the keyspace and a dot.
    fn cql(&self, statement: &str) {
        self.world.execute(vec![statement.replace("{}", &format!("{}.", self.world.keyspace))]);
    }

    fn load(&self, tables: &Tables) {
        let mut statements = Vec::new();
        for (table, rows) in tables {
            let shape = self.shape(table);
            for (key, cells) in rows {
                let names = shape.columns[..shape.key].iter().map(|(name, _)| *name);
                let names: Vec<&str> = names.chain(cells.keys().copied()).collect();
                let values: Vec<&str> =
                    key.iter().chain(cells.values()).map(String::as_str).collect();
                statements.push(format!(
                    "INSERT INTO {}.{} ({}) VALUES ({})",
                    self.world.keyspace,
                    shape.name,
                    names.join(", "),
                    values.join(", ")
                ));
            }
        }
        self.world.execute(statements);
    }

    fn dump(&self) -> Tables {
        let shapes = self.shapes.iter();
        shapes.map(|shape| (shape.name, runtime().block_on(self.read(shape)))).collect()
    }

    async fn read(&self, shape: &Shape) -> Rows {
        let names: Vec<&str> = shape.columns.iter().map(|(name, _)| *name).collect();
        let query =
            format!("SELECT {} FROM {}.{}", names.join(", "), self.world.keyspace, shape.name);
        let pager = self.world.session().query_iter(query.as_str(), ()).await;
        let rows = pager.unwrap_or_else(|error| panic!("{query}: {error}"));
        let rows = rows.rows_stream::<Row>().expect("any row can be read as one");
        rows.map(|row| {
            let mut row = row.unwrap_or_else(|error| panic!("{query}: {error}")).columns;
            let cells = row.split_off(shape.key);
            let key = row.iter().map(|value| literal(value.as_ref().expect("a key has no null")));
            let cells = shape.columns[shape.key..].iter().zip(&cells);
            let cells =
                cells.filter_map(|((name, _), value)| Some((*name, literal(value.as_ref()?))));
            (key.collect(), cells.collect())
        })
        .collect()
        .await
    }

    /// Asserts that all tables are as expected, in every row and column.
    #[track_caller]
    fn assert_tables(&self, expected: &Tables) {
        let seen = self.dump();
        for shape in self.shapes {
            assert_same(shape.name, &expected[shape.name], &seen[shape.name]);
        }
    }

    /// Asserts that a report counts as the model does.
    #[track_caller]
    fn assert_report(&self, report: &Value, expected: &Outcome) {
        let tables = report["tables"].as_array().expect("a report has tables");
        assert_eq!(tables.len(), self.shapes.len());
        for table in tables {
            let name = table["table"].as_str().expect("a table has a name");
            let tally = expected.tallies.get(name).unwrap_or_else(|| panic!("{name} is not ours"));
            let seen = ["source_rows", "copied", "merged", "unchanged", "deleted"]
                .map(|counter| table[counter].as_u64().expect("a count"));
            let counts =
                [tally.source_rows, tally.copied, tally.merged, tally.unchanged, tally.deleted];
            assert_eq!(seen, counts, "{name}: rows, copied, merged, unchanged, deleted");
        }
        assert_eq!(report["absent_sources"], expected.absent_sources, "{report:#}");
        assert_eq!(report["absent_survivors"], expected.absent_survivors, "{report:#}");
        assert_eq!(report["groups"]["done"], self.plan.groups.len(), "{report:#}");
        assert_eq!(report["adds_up"], true, "{report:#}");
    }
}
