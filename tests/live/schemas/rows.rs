//! Rows of drawn tables: drawn, written, read, and held against those that are expected.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use futures::StreamExt;
use scylla::value::{CqlValue, Row};

use super::Scene;
use super::draw::{ACCOUNT, Find, Part, Policy, Table, Type};
use super::model::{Cell, Cells, Key, Late, Outcome, Rows, Value};
use super::values::{FIELDS, literal, pool};
use crate::model::Tally;
use crate::world::runtime;

/// The moments at which cells expire are hours apart; those of a cell and its copy may be this far, in seconds.
const NEAR_S: u64 = 900;

fn now_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    since.as_secs() as i64
}

impl Scene<'_> {
    /// Rows for all accounts in all tables.
    pub(super) fn rows(&mut self) -> Vec<Rows> {
        let mut all = Vec::new();
        for table in self.tables.clone() {
            let mut rows = Rows::new();
            let accounts = match table.account {
                Some(_) => self.accounts.clone(),
                None => vec![String::new(); 5],
            };
            for account in &accounts {
                if self.random.chance(10) {
                    continue; // an account without any row
                }
                for _ in 0..=self.random.below(4) {
                    let key = self.key(&table, account);
                    let cells = self.cells(&table);
                    rows.insert(key, cells);
                }
            }
            all.push(rows);
        }
        all
    }

    fn key(&mut self, table: &Table, account: &str) -> Key {
        let parts = match &table.find {
            Find::Parts(parts) => parts.clone(),
            _ => Vec::new(),
        };
        let scope: Vec<usize> = table.scope().collect();
        (0..table.key)
            .map(|at| {
                let part = scope.iter().position(|column| *column == at).and_then(|n| parts.get(n));
                match part {
                    _ if Some(at) == table.account => account.to_owned(),
                    Some(Part::Value(value)) if self.random.chance(75) => (*value).to_owned(),
                    _ if table.columns[at].of == ACCOUNT => {
                        self.random.one_of(&self.accounts).clone()
                    }
                    _ => (*self.random.one_of(&table.columns[at].values)).to_owned(),
                }
            })
            .collect()
    }

    fn cells(&mut self, table: &Table) -> Cells {
        let mut cells = Cells::new();
        let is_bare = !table.carries_ttls && self.random.chance(5);
        for column in table.key..table.columns.len() {
            if is_bare || self.random.chance(30) {
                continue;
            }
            let cell = self.cell(table, column);
            cells.extend(cell.map(|cell| (column, cell)));
        }
        if table.carries_ttls && cells.is_empty() {
            let column = (table.key..table.columns.len())
                .find(|at| table.columns[*at].of.is_one())
                .expect("such tables have one");
            let cell = self.cell(table, column).expect("one value is never nothing");
            cells.insert(column, cell);
        }
        cells
    }

    /// A value; none where it would be an empty set, map or list.
    fn cell(&mut self, table: &Table, column: usize) -> Option<Cell> {
        let Table { columns, .. } = table;
        let values = &columns[column].values;
        let random = &mut self.random;
        let some = random.below(4);
        let value = match &columns[column].of {
            of if *of == ACCOUNT => Value::One(random.one_of(&self.accounts).clone()),
            Type::One(_) => Value::One((*random.one_of(values)).to_owned()),
            Type::Set(_) => {
                Value::Set((0..some).map(|_| (*random.one_of(values)).to_owned()).collect())
            }
            Type::Map(_, of) => {
                let mut entry =
                    || ((*random.one_of(values)).to_owned(), (*random.one_of(pool(of))).to_owned());
                Value::Map((0..some).map(|_| entry()).collect())
            }
            Type::List(_) => {
                Value::List((0..some).map(|_| (*random.one_of(values)).to_owned()).collect())
            }
            Type::Fields(_) => {
                let fields = FIELDS.iter().filter(|_| random.chance(60)).collect::<Vec<_>>();
                let field = |(name, of): &(&str, &str)| {
                    ((*name).to_owned(), (*random.one_of(pool(of))).to_owned())
                };
                Value::Map(fields.into_iter().map(field).collect())
            }
        };
        let is_nothing = match &value {
            Value::One(_) => false,
            Value::Set(values) => values.is_empty(),
            Value::Map(values) => values.is_empty(),
            Value::List(values) => values.is_empty(),
        };
        // Mentions that expire are left as they are.
        let expires = columns[column].of.is_one() && !table.mentions.contains(&column);
        let percent = if table.carries_ttls { 60 } else { 8 };
        let expires = (expires && self.random.chance(percent))
            .then(|| now_s() + 3_600 * 10 * (1 + self.random.below(9) as i64));
        (!is_nothing).then_some(Cell { value, expires, written: None })
    }

    pub(super) fn load(&self, all: &[Rows]) {
        let mut statements = Vec::new();
        for (table, rows) in self.tables.iter().zip(all) {
            for (key, cells) in rows {
                statements.extend(self.inserted(table, key, cells));
            }
        }
        self.world.execute(statements);
    }

    fn inserted(&self, table: &Table, key: &Key, cells: &Cells) -> Vec<String> {
        let mut statements = Vec::new();
        let (mut names, mut values): (Vec<&str>, Vec<String>) = (Vec::new(), Vec::new());
        for (at, value) in key.iter().enumerate() {
            names.push(&table.columns[at].name);
            values.push(value.clone());
        }
        let mut expiring = Cells::new();
        for (column, cell) in cells {
            if cell.expires.is_some() || table.carries_ttls {
                expiring.insert(*column, cell.clone());
            } else {
                names.push(&table.columns[*column].name);
                values.push(shown_value(&cell.value));
            }
        }
        if !table.carries_ttls {
            statements.push(format!(
                "INSERT INTO {}.{} ({}) VALUES ({})",
                self.world.keyspace,
                table.name,
                names.join(", "),
                values.join(", ")
            ));
        }
        statements.extend(self.updates(table, key, &expiring));
        statements
    }

    /// One statement for each cell; elements are added.
    fn updates(&self, table: &Table, key: &Key, cells: &Cells) -> Vec<String> {
        let keys = key.iter().enumerate();
        let keys = keys.map(|(at, value)| format!("{} = {value}", table.columns[at].name));
        let keys = keys.collect::<Vec<_>>().join(" AND ");
        let update = |(column, cell): (&usize, &Cell)| {
            let name = &table.columns[*column].name;
            let ttl = cell.expires.map_or(0, |expires| expires - now_s());
            let using = match table.carries_ttls || ttl > 0 {
                true => format!(" USING TTL {ttl}"),
                false => String::new(),
            };
            let set = match (&table.columns[*column].of, &cell.value) {
                (Type::Fields(_), Value::Map(fields)) => {
                    let set =
                        fields.iter().map(|(field, value)| format!("{name}.{field} = {value}"));
                    set.collect::<Vec<_>>().join(", ")
                }
                (_, Value::One(value)) => format!("{name} = {value}"),
                (_, several) => format!("{name} = {name} + {}", shown_value(several)),
            };
            format!("UPDATE {}.{}{using} SET {set} WHERE {keys}", self.world.keyspace, table.name)
        };
        cells.iter().map(update).collect()
    }

    /// What is written to sources that are merged: cells of their old rows, and rows beside those.
    pub(super) fn late_writes(&mut self, before: &[Rows], merged: &Outcome) -> Vec<Late> {
        let mut late = Vec::new();
        for (at, table) in self.tables.clone().iter().enumerate() {
            if table.account.is_none() || table.keeps_source {
                continue;
            }
            let leads = table.leads(at, &self.tables);
            let mut keys = Vec::new();
            if !merged.found[at].is_empty() {
                for _ in 0..2 {
                    keys.push(self.random.one_of(&merged.found[at]).clone());
                }
            }
            if leads.is_empty()
                && table.key > table.partition
                && matches!(table.find, Find::Own | Find::Scan)
            {
                let sources: Vec<String> =
                    self.groups.iter().flat_map(|group| group.sources.clone()).collect();
                let source = self.random.one_of(&sources).clone();
                keys.push(self.key(table, &source));
            }
            let mut taken = BTreeSet::new();
            for key in keys {
                // Of two sources with one key the order of their writes would count.
                let group = self
                    .groups
                    .iter()
                    .find(|group| group.sources.contains(&key[table.account.expect("it has one")]));
                let survivor = &group.expect("only sources").survivor;
                let to = table.with_account(&key, survivor);
                if !taken.insert(to.clone()) {
                    continue;
                }
                let is_known = before[at].contains_key(&key);
                let mut cells = self.cells(table);
                cells.retain(|column, cell| {
                    let is_list = matches!(cell.value, Value::List(_));
                    let adds = table.policy(*column) == Policy::Sum;
                    let is_out_of_place = leads.contains(column)
                        || is_list && is_known
                        || adds && merged.rows[at].contains_key(&to);
                    !is_out_of_place
                });
                if !table.carries_ttls {
                    cells.values_mut().for_each(|cell| cell.expires = None);
                }
                if !cells.is_empty() {
                    late.push(Late { table: at, key, cells });
                }
            }
        }
        late
    }

    /// What is written meanwhile to the survivors' rows at those keys.
    pub(super) fn contested(&mut self, late: &[Late], merged: &Outcome) -> Vec<Late> {
        let mut own = Vec::new();
        for write in late {
            let table = self.tables[write.table].clone();
            let account = &write.key[table.account.expect("it has one")];
            let group = self.groups.iter().find(|group| group.sources.contains(account));
            let key = table.with_account(&write.key, &group.expect("only sources").survivor);
            if !table.ranking.is_empty() || !merged.rows[write.table].contains_key(&key) {
                continue;
            }
            let mut cells = self.cells(&table);
            cells.retain(|column, _| {
                table.columns[*column].of.is_one() && table.policy(*column) != Policy::Sum
            });
            if !table.carries_ttls {
                cells.values_mut().for_each(|cell| cell.expires = None);
            }
            // A row of which every cell is later looks as if it had been deleted and begun anew, and is listed.
            let is_later =
                |column: &usize| cells.contains_key(column) || write.cells.contains_key(column);
            if !cells.is_empty() && !merged.rows[write.table][&key].keys().all(is_later) {
                own.push(Late { table: write.table, key, cells });
            }
        }
        own
    }

    pub(super) fn write(&self, late: &[Late]) {
        let statements = late
            .iter()
            .flat_map(|late| self.updates(&self.tables[late.table], &late.key, &late.cells));
        self.world.execute(statements.collect());
    }

    /// Has what a run has written since a world was loaded be older than all else, as its time is not the application's.
    pub(super) fn mark_runs(loaded: &[Rows], now: &mut [Rows]) {
        let cells = loaded.iter().flat_map(BTreeMap::values).flat_map(BTreeMap::values);
        let last = cells.filter_map(|cell| cell.written).max();
        for cell in now.iter_mut().flat_map(BTreeMap::values_mut).flat_map(BTreeMap::values_mut) {
            if cell.written > last {
                cell.written = cell.written.map(|t| t - (1 << 62));
            }
        }
    }

    pub(super) fn dump(&self) -> Vec<Rows> {
        self.tables.iter().map(|table| runtime().block_on(self.read(table))).collect()
    }

    async fn read(&self, table: &Table) -> Rows {
        let mut names: Vec<String> =
            table.columns.iter().map(|column| column.name.clone()).collect();
        let ones: Vec<usize> =
            (table.key..table.columns.len()).filter(|at| table.columns[*at].of.is_one()).collect();
        for of in ["TTL", "WRITETIME"] {
            names.extend(ones.iter().map(|at| format!("{of}({})", table.columns[*at].name)));
        }
        let query =
            format!("SELECT {} FROM {}.{}", names.join(", "), self.world.keyspace, table.name);
        let pager = self.world.session().query_iter(query.as_str(), ()).await;
        let rows = pager.unwrap_or_else(|error| panic!("{query}: {error}"));
        let rows = rows.rows_stream::<Row>().expect("any row can be read as one");
        let now = now_s();
        rows.map(|row| {
            let mut row = row.unwrap_or_else(|error| panic!("{query}: {error}")).columns;
            let mut ttls = row.split_off(table.columns.len());
            let times = ttls.split_off(ones.len());
            let times = ones.iter().zip(times);
            let times: BTreeMap<usize, i64> =
                times.filter_map(|(at, t)| Some((*at, t?.as_bigint()?))).collect();
            let ttls: BTreeMap<usize, i64> = ones
                .iter()
                .zip(ttls)
                .filter_map(|(at, ttl)| Some((*at, i64::from(ttl?.as_int()?))))
                .collect();
            let values = row.split_off(table.key);
            let key = row.iter().map(|value| literal(value.as_ref().expect("a key has no null")));
            let cells = values.iter().enumerate().filter_map(|(n, value)| {
                let column = table.key + n;
                let value = read(&table.columns[column].of, value.as_ref()?);
                let expires = ttls.get(&column).map(|ttl| now + ttl);
                let written = times.get(&column).copied();
                Some((column, Cell { value, expires, written }))
            });
            (key.collect(), cells.collect())
        })
        .collect()
        .await
    }

    /// Asserts that all tables are as expected, in every row, column, and moment of expiry.
    #[track_caller]
    pub(super) fn assert_rows(&self, when: &str, expected: &[Rows], with_ttls: bool) {
        let found = self.dump();
        let mut differences = Vec::new();
        for ((table, expected), found) in self.tables.iter().zip(expected).zip(&found) {
            let with_ttls = with_ttls || table.carries_ttls;
            let keys: BTreeSet<&Key> = expected.keys().chain(found.keys()).collect();
            for key in keys {
                let (expected, found) = (expected.get(key), found.get(key));
                if !is_same(expected, found, with_ttls) {
                    let shown = |cells: Option<&Cells>| match cells {
                        None => "no row".to_owned(),
                        Some(cells) => {
                            let cells = cells.iter().map(|(at, cell)| {
                                let ttl = cell.expires.map(|expires| (expires - now_s()) / 3_600);
                                let ttl =
                                    ttl.map_or(String::new(), |hours| format!(" for {hours} h"));
                                format!(
                                    "{} {}{ttl}",
                                    table.columns[*at].name,
                                    shown_value(&cell.value)
                                )
                            });
                            cells.collect::<Vec<_>>().join(", ")
                        }
                    };
                    differences.push(format!(
                        "{} {key:?}\n  expected {}\n  found    {}",
                        table.name,
                        shown(expected),
                        shown(found)
                    ));
                }
            }
        }
        assert!(
            differences.is_empty(),
            "{when}: {} rows differ:\n{}",
            differences.len(),
            differences.join("\n")
        );
    }

    /// Asserts that a report counts as the model does.
    #[track_caller]
    pub(super) fn assert_tallies(&self, report: &serde_json::Value, expected: &Outcome) {
        let report = report.as_array().expect("a report has tables");
        for (table, tally) in self.tables.iter().zip(&expected.tallies) {
            let said = report.iter().find(|said| said["table"] == table.name.as_str());
            let Some(said) = said else {
                assert!(table.account.is_none(), "{} is not reported", table.name);
                continue;
            };
            let count = |name: &str| said[name].as_u64().expect("a count");
            let found = Tally {
                source_rows: count("source_rows"),
                copied: count("copied"),
                merged: count("merged"),
                unchanged: count("unchanged"),
                deleted: count("deleted"),
            };
            assert_eq!(found, *tally, "{}", table.name);
        }
    }
}

/// Whether two cells expire at the same moment, as far as that is told, or do not.
pub(super) fn is_near(one: Option<i64>, other: Option<i64>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.abs_diff(other) < NEAR_S,
        (one, other) => one == other,
    }
}

fn is_same(one: Option<&Cells>, other: Option<&Cells>, with_ttls: bool) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return one.is_none() && other.is_none() };
    one.len() == other.len()
        && one.iter().zip(other).all(|((at, a), (known, b))| {
            at == known && a.value == b.value && (!with_ttls || is_near(a.expires, b.expires))
        })
}

/// A value as CQL writes it.
fn shown_value(value: &Value) -> String {
    let joined = |values: &mut dyn Iterator<Item = String>| values.collect::<Vec<_>>().join(", ");
    match value {
        Value::One(value) => value.clone(),
        Value::Set(values) => format!("{{{}}}", joined(&mut values.iter().cloned())),
        Value::Map(values) => {
            let mut entries = values.iter().map(|(key, value)| format!("{key}: {value}"));
            format!("{{{}}}", joined(&mut entries))
        }
        Value::List(values) => format!("[{}]", joined(&mut values.iter().cloned())),
    }
}

fn read(of: &Type, value: &CqlValue) -> Value {
    match (of, value) {
        (Type::Set(_), CqlValue::Set(values)) => Value::Set(values.iter().map(literal).collect()),
        (Type::Map(..), CqlValue::Map(values)) => {
            Value::Map(values.iter().map(|(key, value)| (literal(key), literal(value))).collect())
        }
        (Type::List(_), CqlValue::List(values)) => {
            Value::List(values.iter().map(literal).collect())
        }
        (Type::Fields(_), CqlValue::UserDefinedType { fields, .. }) => {
            let fields = fields.iter().filter_map(|(name, field)| Some((name, field.as_ref()?)));
            Value::Map(fields.map(|(name, field)| (name.clone(), literal(field))).collect())
        }
        _ => Value::One(literal(value)),
    }
}
