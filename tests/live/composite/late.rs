//! What the application writes to sources after their merge goes where their rows went, in tables of every kind.

use std::collections::BTreeMap;
use std::time::Duration;

use super::cells::{Cells, Key, Kind, Rows, Tables, braced, quote};
use super::random::Data;
use super::shape::{ACCOUNT, Part, Policy, Shape, WORLD};
use super::{Scene, model};
use Case::{Copied, Kept, Led, LedToOwn, New, Raised};

/// What is written to a source, and what its survivor holds then.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Case {
    /// Columns of a row that was copied.
    Copied,
    /// Better values by policy, for a row that the survivor has of its own; other columns are lost.
    Raised,
    /// Worse ones.
    Kept,
    /// A row beside one that was copied.
    New,
    /// A row in a partition to which a row leads that is as late.
    Led,
    /// The same, where the survivor has rows of its own.
    LedToOwn,
}

const CASES: [Case; 6] = [Copied, Raised, Kept, New, Led, LedToOwn];

/// A later write to the row of an account: values that take the place of others, or join those of a map or set.
struct Write {
    shape: &'static Shape,
    key: Key,
    cells: Cells,
}

/// A value as the row before the merge has it, and in places that are new.
fn standard(shape: &Shape, column: &str, of: &str, is_late: bool) -> &'static str {
    match (column, of) {
        ("kind", _) => {
            if shape.name == "posts" {
                "'blog'"
            } else {
                "'weekly'"
            }
        }
        (_, ACCOUNT) => "'nobody'",
        ("region", _) => "'eu'",
        ("activity_type", _) => "'Course'",
        ("day", _) => {
            if is_late {
                "'1969-12-31'"
            } else {
                "'2026-02-03'"
            }
        }
        (_, "text") => {
            if is_late {
                "'late'"
            } else {
                "'first'"
            }
        }
        (_, "int" | "bigint") => {
            if is_late {
                "55"
            } else {
                "5"
            }
        }
        (_, "timestamp") => {
            if is_late {
                "55000"
            } else {
                "5000"
            }
        }
        (_, "boolean") => {
            if is_late {
                "false"
            } else {
                "true"
            }
        }
        (_, "set<text>") => {
            if is_late {
                "{'late'}"
            } else {
                "{'first'}"
            }
        }
        (_, "map<text, int>") => {
            if is_late {
                "{'late': 2}"
            } else {
                "{'first': 1}"
            }
        }
        (column, of) => panic!("no value of {of} for {column}"),
    }
}

/// The key of an account's row; columns that are `late` have another value.
fn key(shape: &Shape, account: &str, late: &[&str]) -> Key {
    let columns = shape.columns[..shape.key].iter();
    let value = |(name, of): &(&str, &str)| match *of {
        ACCOUNT => account.to_owned(),
        of => standard(shape, name, of, late.contains(name)).to_owned(),
    };
    columns.map(value).collect()
}

fn row(shape: &'static Shape) -> Cells {
    let columns = shape.columns[shape.key..].iter();
    columns.map(|(name, of)| (*name, standard(shape, name, of, false).to_owned())).collect()
}

/// A value that a policy prefers to the standard one, or not.
fn other(of: &str, is_higher: bool) -> &'static str {
    match of {
        "text" => {
            if is_higher {
                "'zzz'"
            } else {
                "'a'"
            }
        }
        "timestamp" => {
            if is_higher {
                "9000"
            } else {
                "1000"
            }
        }
        _ => {
            if is_higher {
                "9"
            } else {
                "1"
            }
        }
    }
}

/// The columns of a table that lead to another one; none if nothing does.
fn leads(shape: &Shape) -> Vec<(&'static str, &'static str)> {
    if matches!(shape.find, super::shape::Find::Own) {
        return Vec::new();
    }
    let parts = shape.parts().into_iter();
    parts
        .filter_map(|part| match part {
            Part::From(table, column) => Some((table, column)),
            Part::Value(_) => None,
        })
        .collect()
}

fn described(name: &str) -> &'static Shape {
    WORLD.iter().find(|shape| shape.name == name).expect("it is described")
}

/// The last column of a key that neither is the account nor leads to the row.
fn free_column(shape: &Shape) -> Option<&'static str> {
    let mut clustering = shape.partition..shape.key;
    let free = clustering.rfind(|at| *at != shape.account);
    free.map(|at| shape.columns[at].0)
}

/// The columns of the partition key that get another value when their lead does.
fn led_columns(shape: &Shape) -> Vec<&'static str> {
    let columns = (0..shape.partition).filter(|at| *at != shape.account);
    let led = columns.zip(shape.parts()).filter(|(_, part)| matches!(part, Part::From(..)));
    led.map(|(at, _)| shape.columns[at].0).collect()
}

impl Case {
    /// What is written to a source; `None` where the table has no such rows.
    fn writes(self, shape: &'static Shape, from: &str) -> Option<Vec<Write>> {
        let mut cells = Cells::new();
        let standard_key = key(shape, from, &[]);
        let columns = &shape.columns[shape.key..];
        let key = match self {
            Copied => {
                for (name, of) in columns {
                    // A copy is the source's row: what is written later counts, unless a policy decides.
                    let value = match shape.policy(name) {
                        Policy::Max => other(of, false),
                        Policy::Min => other(of, true),
                        Policy::KeepTarget => standard(shape, name, of, true),
                    };
                    cells.insert(name, value.to_owned());
                }
                standard_key
            }
            Raised | Kept => {
                for (name, of) in columns {
                    let value = match shape.policy(name) {
                        Policy::Max => other(of, self == Raised),
                        Policy::Min => other(of, self == Kept),
                        Policy::KeepTarget => standard(shape, name, of, true),
                    };
                    cells.insert(name, value.to_owned());
                }
                standard_key
            }
            New => {
                cells.extend(row(shape));
                key(shape, from, &[free_column(shape)?])
            }
            Led | LedToOwn => {
                let leads = leads(shape);
                let through = described(leads.first()?.0);
                cells.extend(row(shape));
                let columns: Vec<&str> = leads.iter().map(|(_, column)| *column).collect();
                let mut leading = Write {
                    shape: through,
                    key: key(through, from, &columns),
                    cells: Cells::new(),
                };
                for (name, of) in &through.columns[through.key..] {
                    let is_lead = columns.contains(name);
                    if is_lead || leading.key != key(through, from, &[]) {
                        let value = standard(through, name, of, is_lead);
                        leading.cells.insert(name, value.to_owned());
                    }
                }
                let row = Write { shape, key: key(shape, from, &led_columns(shape)), cells };
                return Some(vec![leading, row]);
            }
        };
        Some(vec![Write { shape, key, cells }])
    }

    /// Whether the survivor has rows of its own.
    fn has_own(self) -> bool {
        matches!(self, Raised | Kept | LedToOwn)
    }
}

impl Write {
    fn statement(&self, keyspace: &str) -> String {
        let set = self.cells.iter().map(|(name, value)| match value.starts_with('{') {
            true => format!("{name} = {name} + {value}"),
            false => format!("{name} = {value}"),
        });
        let key = self.shape.columns.iter().zip(&self.key);
        let key = key.map(|((name, _), value)| format!("{name} = {value}"));
        let join = |parts: Vec<String>, by: &str| parts.join(by);
        format!(
            "UPDATE {keyspace}.{} SET {} WHERE {}",
            self.shape.name,
            join(set.collect(), ", "),
            join(key.collect(), " AND ")
        )
    }

    /// Writes it to the row itself.
    fn apply(&self, tables: &mut Tables) {
        let rows = tables.get_mut(self.shape.name).expect("it is there");
        let row = rows.entry(self.key.clone()).or_default();
        for (name, value) in &self.cells {
            let value = match row.get(name).filter(|_| value.starts_with('{')) {
                Some(known) => union(known, value),
                None => value.clone(),
            };
            row.insert(name, value);
        }
    }

    /// Takes it to the survivor, who has a row of its own there or not.
    fn take(&self, to: &str, before: &Tables, tables: &mut Tables) {
        let mut own = self.key.clone();
        to.clone_into(&mut own[self.shape.account]);
        let taken = Write { shape: self.shape, key: own, cells: self.cells.clone() };
        let rows: &mut Rows = tables.get_mut(self.shape.name).expect("it is there");
        let is_own = before[self.shape.name].contains_key(&taken.key);
        let Some(kept) = rows.get_mut(&taken.key) else { return taken.apply(tables) };
        model::combine(self.shape, kept, &self.cells);
        if !is_own {
            let is_free = |name: &&str| matches!(self.shape.policy(name), Policy::KeepTarget);
            let cells = self.cells.iter().filter(|(name, _)| is_free(name));
            let cells = cells.map(|(name, value)| (*name, value.clone())).collect();
            Write { cells, ..taken }.apply(tables);
        }
    }
}

/// Of two maps or sets without an element in common.
fn union(one: &str, other: &str) -> String {
    let elements = |of: &str| of[1..of.len() - 1].to_owned();
    braced(vec![elements(one), elements(other)])
}

fn source(shape: &Shape, case: Case) -> String {
    format!("{} {case:?} from", shape.name)
}

fn survivor(shape: &Shape, case: Case) -> String {
    format!("{} {case:?} to", shape.name)
}

#[test]
fn what_is_written_to_sources_meanwhile_goes_where_their_rows_went() {
    let mut data = Data::groups(Kind::Text, 0, &WORLD, 0);
    let mut writes = BTreeMap::new();
    for (shape, case) in WORLD.iter().flat_map(|shape| CASES.map(|case| (shape, case))) {
        let (from, to) = (source(shape, case), survivor(shape, case));
        let Some(of_case) = case.writes(shape, &quote(&from)) else { continue };
        data.pair(&from, &to);
        for table in &WORLD {
            let rows = data.tables.get_mut(table.name).expect("it is there");
            rows.insert(key(table, &quote(&from), &[]), row(table));
            if case.has_own() {
                rows.insert(key(table, &quote(&to), &[]), row(table));
            }
        }
        writes.insert((from, to), of_case);
    }
    assert!(writes.len() > 60, "{} cases", writes.len());
    let scene = Scene::new("composite_late", &WORLD, &data).with_event();
    let (mut before, mut expected) = (scene.before.clone(), scene.expected().tables);
    scene.apply().flag("--no-sweep").run().exits(0);
    scene.assert_tables(&expected);

    let all = writes.values().flatten();
    scene.world.execute(all.map(|write| write.statement(&scene.world.keyspace)).collect());
    let mut swept = 0;
    for ((_, to), of_case) in &writes {
        for write in of_case {
            write.apply(&mut before);
            if write.shape.keeps_source {
                write.apply(&mut expected); // it stays, as the whole row did
            } else {
                write.take(&quote(to), &scene.before, &mut expected);
                swept += 1;
            }
        }
    }
    std::thread::sleep(Duration::from_millis(200)); // longer than --settle
    let report = scene.resume().run().exits(0).json();
    scene.assert_tables(&expected);
    assert_eq!(report["swept"]["rows"], swept, "{report:#}");
    scene.walk("verify").run().exits(0);
    let report = scene.resume().run().exits(0).json();
    assert_eq!(report["swept"]["rows"], 0, "{report:#}");
    scene.assert_tables(&expected);

    scene.walk("undo").run().exits(0);
    scene.assert_tables(&before);
}
