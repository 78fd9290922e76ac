//! How the rows of an account are found: the check of `find` against the key of a table, and of what leads from one
//! table to another.

use std::collections::BTreeMap;

use super::fault::{At, Faults, list};
use super::raw::{ColumnPath, RawFind, RawPart, RawTable};
use super::schema::{ColumnKind, TableSchema};
use super::{Locator, Part, Table, constant, fits};
use crate::model::TableIndex;

impl RawFind {
    /// The columns of other tables that lead here.
    pub(super) fn columns(&self) -> impl Iterator<Item = &At<ColumnPath>> {
        let (one, parts) = match self {
            Self::Partition => (None, None),
            Self::Clustering { partitions_from } => (Some(partitions_from), None),
            Self::Parts { partition } => (None, Some(partition.values())),
        };
        one.into_iter().chain(parts.into_iter().flatten().filter_map(|part| part.from()))
    }

    /// The column of another table that a column of the partition key has its values from, if it has.
    fn from(&self, column: &str) -> Option<&At<ColumnPath>> {
        match self {
            Self::Partition => None,
            Self::Clustering { partitions_from } => Some(partitions_from),
            Self::Parts { partition } => partition.get(column)?.from(),
        }
    }

    /// What the file calls the entry that names such columns.
    pub(super) fn word(&self) -> &'static str {
        if matches!(self, Self::Clustering { .. }) { "partitions_from" } else { "find" }
    }
}

impl RawPart {
    fn from(&self) -> Option<&At<ColumnPath>> {
        match self {
            Self::Column(from) => Some(from),
            Self::Constant(_) => None,
        }
    }
}

/// Checks that the table's key has the shape that `find` says. The columns of other tables are still to be
/// [resolved](resolve).
pub(super) fn check(
    raw: &RawTable,
    (account, find): (&At<String>, &At<RawFind>),
    live: &TableSchema,
    faults: &mut Faults,
) -> Option<Locator> {
    let partition = live.partition_key();
    let names: Vec<&str> = partition.iter().map(|column| column.name.as_str()).collect();
    let clustering: Vec<String> =
        live.clustering_key().iter().map(|(column, _)| column.name.clone()).collect();
    let is_clustered = clustering.contains(account);
    if !is_clustered && !names.contains(&account.as_str()) {
        let kind = live.column(account).map(|column| column.kind);
        let kind = if kind == Some(ColumnKind::Static) { "static" } else { "regular" };
        let mentions = match kind {
            "regular" => {
                format!("; where rows only name it, write mentions = [{:?}] instead", **account)
            }
            _ => String::new(),
        };
        let problem = format!(
            "the account column {account} is a {kind} column; rows are merged where the account is part of the primary \
             key{mentions}"
        );
        faults.add(account.line, raw.problem(problem));
        return None;
    }
    let is_whole = is_clustered && names.len() == 1;
    let problem = match &**find {
        RawFind::Partition if names == [account.as_str()] => return Some(Locator::default()),
        RawFind::Partition => format!(
            "find = \"partition\" needs {account} to be the whole partition key, but that is ({}); {}",
            names.join(", "),
            instead(account, &names, is_clustered)
        ),
        // What leads here is put in when all tables are known.
        RawFind::Clustering { .. } if is_whole => {
            return Some(Locator { parts: vec![Part::Column(0)], through: None, is_whole });
        }
        RawFind::Clustering { .. } => format!(
            "partitions_from needs the partition key to be one column, and {account} a clustering column, but the \
             primary key is (({}), {}); {}",
            names.join(", "),
            clustering.join(", "),
            instead(account, &names, is_clustered)
        ),
        RawFind::Parts { partition: parts } => {
            let parts = of_parts(raw, (account.as_str(), parts, find.line), live, faults)?;
            return Some(Locator { parts, through: None, is_whole });
        }
    };
    faults.add(find.line, raw.problem(problem));
    None
}

/// The form of `find` that suits a key, as the manual has it.
fn instead(account: &str, partition: &[&str], is_clustered: bool) -> String {
    let parts = partition.iter().filter(|name| **name != account);
    let parts: Vec<_> =
        parts.map(|name| format!("{name} = {{ from = \"other_table.column\" }}")).collect();
    match (parts.as_slice(), is_clustered) {
        ([], _) => "say: find = \"partition\"".to_owned(),
        ([_], true) => {
            "say which column leads to it: find = { partitions_from = \"other_table.column\" }"
                .to_owned()
        }
        _ => format!(
            "say where each column of it comes from: find = {{ partition = {{ {} }} }} ({{ value = … }} instead of \
             from where it is always the same)",
            parts.join(", ")
        ),
    }
}

/// Where each column of the partition key but the account's comes from.
fn of_parts(
    raw: &RawTable,
    (account, parts, line): (&str, &BTreeMap<String, At<RawPart>>, usize),
    live: &TableSchema,
    faults: &mut Faults,
) -> Option<Vec<Part>> {
    let partition = live.partition_key();
    let scope: Vec<_> = partition.into_iter().filter(|column| column.name != account).collect();
    let names: Vec<&str> = scope.iter().map(|column| column.name.as_str()).collect();
    for (name, part) in parts.iter().filter(|(name, _)| !names.contains(&name.as_str())) {
        let problem = format!(
            "find names {name}, but the partition key beside the account is ({})",
            names.join(", ")
        );
        faults.add(part.line, raw.problem(problem));
    }
    let found: Vec<Option<Part>> = scope
        .iter()
        .map(|column| {
            let Some(part) = parts.get(&column.name) else {
                let problem = format!(
                    "find does not say where {} of the partition key comes from: from {{ value = … }} or {{ from = \
                     \"table.column\" }}",
                    column.name
                );
                faults.add(line, raw.problem(problem));
                return None;
            };
            let RawPart::Constant(value) = &**part else { return Some(Part::Column(0)) };
            match constant::of(&column.cql_type, value) {
                Ok(value) => Some(Part::Constant(value)),
                Err(why) => {
                    faults.add(part.line, raw.problem(format!("{}: {why}", column.name)));
                    None
                }
            }
        })
        .collect();
    // Each is looked at, though one may be wrong.
    found.into_iter().collect()
}

/// The order in which tables are merged: each behind the one that leads to it, so those that no other leads to come
/// first.
///
/// # Errors
/// A table that only itself leads to, in the end.
pub(super) fn order(tables: &[RawTable]) -> Result<Vec<TableIndex>, TableIndex> {
    let through = |table: &RawTable| {
        let path = table.find.as_ref()?.columns().next()?;
        tables.iter().position(|other| *other.name == path.table)
    };
    let through: Vec<Option<TableIndex>> = tables.iter().map(through).collect();
    let mut order: Vec<TableIndex> = Vec::new();
    while order.len() < tables.len() {
        let is_next = |index: &TableIndex| {
            !order.contains(index) && through[*index].is_none_or(|through| order.contains(&through))
        };
        let next: Vec<TableIndex> = (0..tables.len()).filter(is_next).collect();
        if next.is_empty() {
            return Err((0..tables.len()).find(|index| !order.contains(index)).unwrap_or_default());
        }
        order.extend(next);
    }
    Ok(order)
}

/// Puts in what leads from one table to another, where both are known.
pub(super) fn resolve(raw: &[RawTable], tables: &mut [Option<Table>], faults: &mut Faults) {
    for (position, of) in raw.iter().enumerate() {
        let Some((find, table)) = of.find.as_ref().zip(tables[position].as_ref()) else { continue };
        let locator = led((of, find), table, (raw, tables), faults);
        if let Some(table) = &mut tables[position] {
            table.locator = locator;
        }
    }
}

/// The locator of a table with the columns that lead to it.
fn led(
    (raw, find): (&RawTable, &RawFind),
    table: &Table,
    (raws, tables): (&[RawTable], &[Option<Table>]),
    faults: &mut Faults,
) -> Locator {
    let mut locator = table.locator.clone();
    for (part, column) in locator.parts.iter_mut().zip(table.scope_columns()) {
        let own = &table.columns[column];
        let Some(path) = find.from(&own.name) else { continue };
        // Where there is none, the text or the schema has a fault that is known.
        let Some(index) = raws.iter().position(|other| *other.name == path.table) else { continue };
        let Some(through) = &tables[index] else { continue };
        let Some(at) = through.position(&path.column) else {
            let columns = through.columns.iter().map(|column| column.name.as_str());
            let problem = format!(
                "{} names {path}, but there is no such column; {} has: {}",
                find.word(),
                path.table,
                list(columns)
            );
            faults.add(path.line, raw.problem(problem));
            continue;
        };
        let theirs = &through.columns[at];
        if let Some(differs) = fits::other_type(own, (path, "which leads to it"), &theirs.cql_type)
        {
            faults.add(path.line, raw.problem(differs));
        }
        *part = Part::Column(at);
        locator.through = Some(index);
    }
    locator
}

#[cfg(test)]
mod tests {
    use crate::model::{CqlType, Scope};
    use crate::spec::schema::{ColumnKind, ColumnSchema, Direction, Schema, TableSchema};
    use crate::spec::{RawSpec, Spec};

    /// A table as `name(partition,key|clustering|others)`, each column as `name:type`; types are text where none is
    /// given.
    fn table(text: &str) -> (String, TableSchema) {
        let (name, columns) = text.trim_end_matches(')').split_once('(').unwrap();
        let mut table = TableSchema::default();
        for (part, columns) in columns.split('|').enumerate() {
            for (at, column) in columns.split(',').filter(|column| !column.is_empty()).enumerate() {
                let (name, cql_type) = column.split_once(':').unwrap_or((column, "text"));
                let kind = match part {
                    0 => ColumnKind::PartitionKey(at),
                    1 => ColumnKind::Clustering(at, Direction::Ascending),
                    _ => ColumnKind::Regular,
                };
                let cql_type = CqlType::parse(cql_type);
                table.columns.push(ColumnSchema { name: name.into(), kind, cql_type });
            }
        }
        (name.into(), table)
    }

    /// Tables with what their `find` is; the account is `user`.
    fn spec(tables: &[(&str, &str)]) -> Result<Spec, String> {
        let mut text = "name = 'test'\n".to_owned();
        let mut schema = Schema { keyspace: "k".into(), ..Schema::default() };
        for (shape, find) in tables {
            let (name, table) = table(shape);
            text.push_str(&format!(
                "[[table]]\nname = '{name}'\naccount = 'user'\nfind = {find}\n"
            ));
            schema.tables.insert(name, table);
        }
        let raw = RawSpec::parse(&text, "the test").map_err(|error| error.to_string())?;
        raw.check(&schema).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn check_refused(tables: &[(&str, &str)], expected: &str) {
        let error = spec(tables).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }

    const OWN: (&str, &str) = ("own(user|course|tenant)", "'partition'");

    #[test]
    fn the_account_may_stand_anywhere_in_the_key() {
        for (shape, find) in [
            ("t(tenant,user|c)", "{ partition = { tenant = { value = 'acme' } } }"),
            ("t(user,tenant)", "{ partition = { tenant = { from = 'own.tenant' } } }"),
            (
                "t(type,course,user|x)",
                "{ partition = { type = { value = 'Course' }, course = { from = \
              'own.course' } } }",
            ),
            ("t(course|user)", "{ partitions_from = 'own.course' }"),
            ("t(course|user,x)", "{ partitions_from = 'own.course' }"),
            (
                "t(type,course|x,user,y)",
                "{ partition = { type = { value = 'a' }, course = { from = \
              'own.course' } } }",
            ),
            ("t(type|user)", "{ partition = { type = { value = 'a' } } }"),
        ] {
            let spec = spec(&[(shape, find), OWN]).unwrap_or_else(|why| panic!("{shape}: {why}"));
            let table = &spec.tables[0];
            assert_eq!(table.columns[table.account].name, "user");
            assert_eq!(table.locator.parts.len(), table.scope_columns().count(), "{shape}");
        }
    }

    #[test]
    fn keys_are_taken_apart_and_put_together() {
        let find =
            "{ partition = { type = { value = 'Course' }, course = { from = 'own.course' } } }";
        let spec = spec(&[("t(type,course,user|x)", find), OWN]).unwrap();
        let table = &spec.tables[0];
        let text = |text: &'static str| bytes::Bytes::from_static(text.as_bytes());
        let scope = table.locator.scope(&[Some(text("ann")), Some(text("c1"))]).unwrap();
        assert_eq!(scope, Scope::new([text("Course"), text("c1")]));
        let ann = crate::model::AccountId::new("ann");
        let key = table.partition_key(&scope, &ann);
        assert_eq!(key, ["Course", "c1", "ann"].map(text));
        assert_eq!(table.scope_of_key(&key), scope);
        assert_eq!(table.locator.scope(&[Some(text("ann")), None]), None, "null leads nowhere");
        assert_eq!(spec.tables[1].locator.constant(), Some(Scope::default()));
        assert!(table.owns_partitions() && !table.has_point_rows());
    }

    #[test]
    fn what_leads_comes_before_what_is_led_to() {
        let order = |tables: &[(&str, &str)]| -> Vec<String> {
            spec(tables).unwrap().in_order().map(|(_, table)| table.name.clone()).collect()
        };
        let third = ("third(x|user)", "{ partitions_from = 'second.x' }");
        let second =
            ("second(course,user|x)", "{ partition = { course = { from = 'own.course' } } }");
        assert_eq!(order(&[third, second, OWN]), ["own", "second", "third"]);
        let other = ("other(user)", "'partition'");
        assert_eq!(order(&[OWN, third, other, second]), ["own", "other", "second", "third"]);
        check_refused(
            &[
                ("a(x,user|y)", "{ partition = { x = { from = 'b.x' } } }"),
                ("b(x,user|y)", "{ partition = { x = { from = 'a.x' } } }"),
            ],
            "table a: what leads to it begins with itself",
        );
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (shape, find, expected) in [
            ("t(tenant,user)", "'partition'", "whole partition key, but that is (tenant, user)"),
            (
                "t(tenant,user)",
                "'partition'",
                "find = { partition = { tenant = { from = \"other_table.column\" } } }",
            ),
            ("t(x|user)", "'partition'", "find = { partitions_from = \"other_table.column\" }"),
            ("t(tenant,user)", "{ partition = {} }", "does not say where tenant"),
            (
                "t(tenant,user)",
                "{ partition = { tenant = { value = 1 } } }",
                "tenant: 1 is no value of type text",
            ),
            (
                "t(tenant,user)",
                "{ partition = { user = { value = 'a' }, tenant = { value = 'a' } } }",
                "find names user, but the partition key beside the account is (tenant)",
            ),
            (
                "t(user|x)",
                "{ partitions_from = 'own.course' }",
                "(user), x); say: find = \"partition\"",
            ),
            ("t(a,b|user)", "{ partitions_from = 'own.course' }", "((a, b), user)"),
            ("t(x|y|user)", "'partition'", "is a regular column"),
            ("t(x|user)", "{ partitions_from = 'own.nothing' }", "there is no such column"),
            ("t(x|user)", "{ partitions_from = 'nothing.x' }", "there is no [[table]]"),
            ("t(x|user)", "{ partitions_from = 'own.user' }", "which is the account itself"),
            ("t(x:int|user)", "{ partitions_from = 'own.course' }", "x is of type int"),
            (
                "t(x,y|user)",
                "{ partition = { x = { from = 'own.course' }, y = { from = 't.x' } } }",
                "has to stand in rows of one table",
            ),
            (
                "t(x|user:int)",
                "{ partitions_from = 'own.course' }",
                "of type text, but that of t is of type int",
            ),
            (
                "t(x|user:blob)",
                "{ partitions_from = 'own.course' }",
                "accounts can be of type text",
            ),
        ] {
            let tables = [(shape, find), OWN];
            let error = spec(&tables).unwrap_err();
            assert!(error.contains(expected), "{shape} {find}: {error}");
        }
    }
}
