//! The check of a specification against the live schema: what is wrong is said once, by name, before
//! anything is read.

use std::collections::BTreeMap;

use super::event::{EventSpec, Template};
use super::order::Order;
use super::raw::{RawEvent, RawFind, RawSpec, RawTable};
use super::schema::{ColumnKind, ColumnSchema, Direction, Schema, TableSchema};
use super::{Column, Find, KeyColumn, Spec, SpecError, Survivorship, Table};

/// Text types: the ones an account id from a CSV can be bound to.
const TEXT: [&str; 3] = ["text", "varchar", "ascii"];

impl RawSpec {
    /// Checks the specification against the live schema.
    ///
    /// # Errors
    /// The first thing that is wrong: a missing table or column, a policy that does not fit a type, a
    /// table or column that cannot be replayed safely, or a shape that this version does not merge.
    pub fn check(&self, schema: &Schema) -> Result<Spec, SpecError> {
        let mut tables = Vec::with_capacity(self.tables.len());
        for raw in &self.tables {
            tables.push(self.check_table(raw, schema)?);
        }
        for (position, raw) in self.tables.iter().enumerate() {
            if let RawFind::Clustering { partitions_from: path } = &raw.find {
                tables[position].find = self.find_through(path, position, &tables)?;
            }
        }
        let event = match &self.event {
            Some(raw) => Some(check_event(raw, &tables)?),
            None => None,
        };
        Ok(Spec { name: self.name.clone(), tables, event })
    }

    fn check_table(&self, raw: &RawTable, schema: &Schema) -> Result<Table, SpecError> {
        let problem = |problem: String| SpecError::Table { table: raw.name.clone(), problem };
        let live = schema.tables.get(&raw.name).ok_or_else(|| SpecError::MissingTable {
            table: raw.name.clone(),
            keyspace: schema.keyspace.clone(),
            known: schema.tables.keys().cloned().collect(),
        })?;
        column(live, raw, &raw.account)?;
        for (name, expected) in &raw.columns {
            let found = column(live, raw, name)?;
            if !same_type(expected, &found.cql_type) {
                return Err(problem(format!(
                    "column {name} is of type {}, but the merge specification expects {expected}; a \
                     specification of your own (--spec) can say otherwise",
                    found.cql_type
                )));
            }
        }
        if live.default_time_to_live_s != 0 {
            return Err(problem(format!(
                "default_time_to_live is {} s: copies would get a new lease of life or never expire, so \
                 such a table is not merged",
                live.default_time_to_live_s
            )));
        }
        replayable(live).map_err(problem)?;
        key_shape(raw, live).map_err(problem)?;
        let mut survivorship = Vec::new();
        for (name, policy) in raw.policies() {
            let found = column(live, raw, name)?;
            let Some(policy) = policy else { continue };
            if found.kind != ColumnKind::Regular {
                return Err(problem(format!(
                    "column {name} is part of the primary key, which a policy cannot change"
                )));
            }
            let order = Order::of_value(&found.cql_type).ok_or_else(|| {
                problem(format!(
                    "the policy \"{policy}\" does not fit column {name} of type {}: it needs a type \
                     with an order, such as int, text or timestamp",
                    found.cql_type
                ))
            })?;
            survivorship.push((name.to_owned(), policy, order));
        }
        Ok(self.assemble(raw, live, survivorship))
    }

    /// Lays the columns out in specification order: key, policy columns, event columns, the rest.
    fn assemble(
        &self,
        raw: &RawTable,
        live: &TableSchema,
        survivorship: Vec<(String, super::Policy, Order)>,
    ) -> Table {
        let mut names: Vec<String> =
            live.partition_key().iter().map(|column| column.name.clone()).collect();
        let clustering = live.clustering_key();
        names.extend(clustering.iter().map(|(column, _)| column.name.clone()));
        let key_len = names.len();
        names.extend(survivorship.iter().map(|(name, ..)| name.clone()));
        for name in self.event_columns(&raw.name) {
            if live.column(name).is_some() && !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        let slim_len = names.len();
        for column in &live.columns {
            if !names.contains(&column.name) {
                names.push(column.name.clone());
            }
        }
        let types: BTreeMap<_, _> =
            live.columns.iter().map(|column| (&column.name, &column.cql_type)).collect();
        let columns: Vec<Column> = names
            .into_iter()
            .map(|name| Column { cql_type: types.get(&name).map_or("", |t| t).into(), name })
            .collect();
        let position = |name: &str| columns.iter().position(|column| column.name == name);
        Table {
            name: raw.name.clone(),
            account: position(&raw.account).unwrap_or_default(),
            find: Find::Partition,
            key_len,
            slim_len,
            clustering: clustering
                .iter()
                .filter_map(|(column, direction)| {
                    Some(KeyColumn {
                        order: Order::of_key(&column.cql_type)?,
                        descending: *direction == Direction::Descending,
                    })
                })
                .collect(),
            survivorship: survivorship
                .into_iter()
                .enumerate()
                .map(|(i, (_, policy, order))| Survivorship { column: key_len + i, policy, order })
                .collect(),
            delete_source: raw.delete_source,
            columns,
        }
    }

    /// Resolves `table.column` to a column of a table that is found by partition.
    fn find_through(
        &self,
        path: &super::ColumnPath,
        position: usize,
        tables: &[Table],
    ) -> Result<Find, SpecError> {
        let table = &tables[position];
        let problem = |problem: String| SpecError::Table { table: table.name.clone(), problem };
        let (index, through) =
            tables.iter().enumerate().find(|(_, other)| other.name == path.table).ok_or_else(
                || {
                    problem(format!(
                        "partitions_from names {path}, but there is no [[table]] of that name"
                    ))
                },
            )?;
        if !matches!(self.tables[index].find, RawFind::Partition(_)) {
            return Err(problem(format!(
                "partitions_from names {path}, which is not found by partition"
            )));
        }
        let column = through.position(&path.column).ok_or_else(|| {
            problem(format!("partitions_from names {path}, but there is no such column"))
        })?;
        if column >= through.key_len {
            return Err(problem(format!(
                "partitions_from names {path}, which is not a key column: a null would lead nowhere"
            )));
        }
        let (ours, theirs) = (&table.columns[0], &through.columns[column]);
        if ours.cql_type != theirs.cql_type {
            return Err(problem(format!(
                "{} is of type {}, but {path}, which leads to it, is of type {}",
                ours.name, ours.cql_type, theirs.cql_type
            )));
        }
        Ok(Find::Clustering { through: index, column })
    }

    /// The columns of this table that the event needs when it looks at a survivor's rows.
    fn event_columns<'a>(&'a self, table: &'a str) -> impl Iterator<Item = &'a str> {
        self.event.iter().flat_map(move |event| {
            event.columns.iter().filter_map(move |(name, column)| match &column.else_min {
                Some(path) if path.table == table => Some(path.column.as_str()),
                _ if event.table == table => Some(name.as_str()),
                _ => None,
            })
        })
    }
}

fn column<'a>(
    live: &'a TableSchema,
    raw: &RawTable,
    name: &str,
) -> Result<&'a ColumnSchema, SpecError> {
    live.column(name).ok_or_else(|| SpecError::MissingColumn {
        table: raw.name.clone(),
        column: name.into(),
        known: live.columns.iter().map(|column| column.name.clone()).collect(),
    })
}

/// Types are compared without white space; `varchar` is another word for `text`.
fn same_type(a: &str, b: &str) -> bool {
    let normal = |text: &str| text.replace(' ', "").replace("varchar", "text");
    normal(a) == normal(b)
}

/// Refuses what writing the same value twice would not leave the same.
fn replayable(live: &TableSchema) -> Result<(), String> {
    for column in &live.columns {
        let why = if column.kind == ColumnKind::Static {
            "is static: it belongs to the whole partition, not to an account's row"
        } else if column.cql_type == "counter" {
            "is a counter: adding to it twice cannot be told from adding once"
        } else if column.cql_type.starts_with("list<") {
            "is a non-frozen list: the server gives its elements new places at each write, so that a \
             retried write could double them"
        } else if is_user_type(&column.cql_type) {
            "is of a user-defined type that is not frozen: its fields have write times of their own, \
             which are not told apart here"
        } else {
            continue;
        };
        return Err(format!("column {} {why}; such a table is not merged", column.name));
    }
    Ok(())
}

/// Whether a type is a user-defined one that is not frozen: the schema gives it by its bare name.
fn is_user_type(cql_type: &str) -> bool {
    const NATIVE: [&str; 22] = [
        "ascii",
        "bigint",
        "blob",
        "boolean",
        "counter",
        "date",
        "decimal",
        "double",
        "duration",
        "empty",
        "float",
        "inet",
        "int",
        "smallint",
        "text",
        "time",
        "timestamp",
        "timeuuid",
        "tinyint",
        "uuid",
        "varchar",
        "varint",
    ];
    // Frozen types, collections, tuples and vectors have parameters; a class of the server's is quoted.
    !(NATIVE.contains(&cql_type) || cql_type.contains('<') || cql_type.starts_with('\''))
}

/// Checks that the key has one of the shapes that are merged, and that its types can be compared.
fn key_shape(raw: &RawTable, live: &TableSchema) -> Result<(), String> {
    let partition: Vec<&str> = live.partition_key().iter().map(|c| c.name.as_str()).collect();
    let clustering = live.clustering_key();
    let clustering_names: Vec<&str> = clustering.iter().map(|(c, _)| c.name.as_str()).collect();
    match &raw.find {
        RawFind::Partition(_) if partition == [raw.account.as_str()] => {}
        RawFind::Partition(_) => {
            return Err(format!(
                "find = \"partition\" needs {} to be the whole partition key, but that is ({})",
                raw.account,
                partition.join(", ")
            ));
        }
        RawFind::Clustering { .. }
            if partition.len() == 1 && clustering_names == [&raw.account] => {}
        RawFind::Clustering { .. } => {
            return Err(format!(
                "partitions_from needs the primary key to be (one column, {}), but it is (({}), {})",
                raw.account,
                partition.join(", "),
                clustering_names.join(", ")
            ));
        }
    }
    let account_type = live.column(&raw.account).map_or("", |column| column.cql_type.as_str());
    if !TEXT.contains(&account_type) {
        return Err(format!(
            "the account column {} is of type {account_type}; account ids are text, so it has to be \
             text, varchar or ascii",
            raw.account
        ));
    }
    match clustering.iter().find(|(column, _)| Order::of_key(&column.cql_type).is_none()) {
        Some((column, _)) => Err(format!(
            "the clustering column {} is of type {}, whose order is not supported",
            column.name, column.cql_type
        )),
        None => Ok(()),
    }
}

fn check_event(raw: &RawEvent, tables: &[Table]) -> Result<EventSpec, SpecError> {
    let problem = |problem: String| SpecError::Event { problem };
    let (index, table) = tables
        .iter()
        .enumerate()
        .find(|(_, table)| table.name == raw.table)
        .ok_or_else(|| problem(format!("there is no [[table]] named {}", raw.table)))?;
    let Find::Clustering { through, .. } = table.find else {
        return Err(problem(format!(
            "{} is found by partition; events are made for tables with partitions_from",
            raw.table
        )));
    };
    let mut columns = Vec::new();
    for (name, column) in &raw.columns {
        let own = table
            .position(name)
            .ok_or_else(|| problem(format!("{} has no column {name}", table.name)))?;
        quotable(table, own).map_err(problem)?;
        let else_min = match &column.else_min {
            None => None,
            Some(path) if path.table == tables[through].name => {
                let position = tables[through]
                    .position(&path.column)
                    .ok_or_else(|| problem(format!("else_min: there is no column {path}")))?;
                quotable(&tables[through], position).map_err(problem)?;
                Some(position)
            }
            Some(path) => {
                return Err(problem(format!(
                    "else_min names {path}; it has to be a column of {}",
                    tables[through].name
                )));
            }
        };
        columns.push(super::event::EventColumn { name: name.clone(), column: own, else_min });
    }
    quotable(table, 0).map_err(problem)?;
    let known = |name: &str| {
        ["account", "ets", "uuid"].contains(&name)
            || name == table.columns[0].name
            || raw.columns.contains_key(name)
    };
    let key = Template::parse(&raw.key, known).map_err(problem)?;
    let value = serde_json::to_value(&raw.value).map_err(|error| problem(error.to_string()))?;
    let value = super::event::Node::parse(value, known).map_err(problem)?;
    Ok(EventSpec { table: index, partition: table.columns[0].name.clone(), columns, key, value })
}

/// Events quote text only.
fn quotable(table: &Table, position: usize) -> Result<(), String> {
    let column = &table.columns[position];
    if TEXT.contains(&column.cql_type.as_str()) {
        return Ok(());
    }
    Err(format!(
        "{}.{} is of type {}; an event quotes text columns only",
        table.name, column.name, column.cql_type
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(on_conflict: &str) -> Result<Spec, SpecError> {
        check_with(on_conflict, "int")
    }

    /// With a status of this type.
    fn check_with(on_conflict: &str, status: &str) -> Result<Spec, SpecError> {
        let text = format!(
            "name = 'test'\n[[table]]\nname = 'enrolments'\naccount = 'user'\nfind = 'partition'\n\
             on_conflict = {on_conflict}\n"
        );
        let column = |name: &str, kind, cql_type: &str| ColumnSchema {
            name: name.into(),
            kind,
            cql_type: cql_type.into(),
        };
        let columns = vec![
            column("user", ColumnKind::PartitionKey(0), "text"),
            column("course", ColumnKind::Clustering(0, Direction::Ascending), "text"),
            column("status", ColumnKind::Regular, status),
        ];
        let table = TableSchema { columns, default_time_to_live_s: 0 };
        let schema = Schema { keyspace: "k".into(), tables: [("enrolments".into(), table)].into() };
        RawSpec::parse(&text, "the test")?.check(&schema)
    }

    #[test]
    fn every_column_with_a_policy_must_exist() {
        for policy in ["keep-target", "max"] {
            assert!(check(&format!("{{ status = '{policy}' }}")).is_ok());
            let error = check(&format!("{{ statsu = '{policy}' }}")).unwrap_err().to_string();
            assert!(error.starts_with("table enrolments has no column statsu"), "{error}");
        }
    }

    #[test]
    fn to_keep_the_target_is_the_same_as_no_policy() {
        let kept = check("{ status = 'keep-target' }").unwrap();
        assert!(kept.tables[0].survivorship.is_empty());
        assert!(check("'keep-target'").unwrap().tables[0].survivorship.is_empty());
        assert_eq!(check("{ status = 'max' }").unwrap().tables[0].survivorship.len(), 1);
    }

    #[test]
    fn what_cannot_be_replayed_or_told_apart_is_refused() {
        for cql_type in ["address", "\"Address\"", "list<int>", "counter"] {
            let error = check_with("'keep-target'", cql_type).unwrap_err().to_string();
            assert!(error.contains("column status is") && error.contains("not merged"), "{error}");
        }
        for cql_type in [
            "varint",
            "frozen<address>",
            "frozen<list<int>>",
            "map<text, frozen<address>>",
            "set<uuid>",
            "frozen<tuple<int, text>>",
            "vector<float, 3>",
            "'org.apache.cassandra.db.marshal.DynamicCompositeType'",
        ] {
            assert!(check_with("'keep-target'", cql_type).is_ok(), "{cql_type}");
        }
    }

    #[test]
    fn maps_and_sets_have_many_cells_unless_they_are_frozen() {
        let cells = |cql_type: &str| {
            let spec = check_with("'keep-target'", cql_type).unwrap();
            spec.tables[0].columns[2].is_multi_cell()
        };
        assert!(cells("map<text, int>") && cells("set<frozen<list<int>>>"));
        assert!(!cells("frozen<map<text, int>>") && !cells("text") && !cells("vector<float, 3>"));
    }
}
