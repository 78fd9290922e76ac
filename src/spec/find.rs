//! How the rows of an account are found: the check of `find` against the key of a table, and of what leads from one
//! table to another.

use super::raw::{ColumnPath, RawFind, RawPart, RawTable};
use super::schema::{ColumnKind, TableSchema};
use super::{Locator, Part, SpecError, Table, constant};
use crate::model::TableIndex;

impl RawFind {
    /// The columns of other tables that lead here.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &ColumnPath> {
        let (one, parts) = match self {
            Self::Partition(_) => (None, None),
            Self::Clustering { partitions_from } => (Some(partitions_from), None),
            Self::Parts { partition } => (None, Some(partition.values())),
        };
        one.into_iter().chain(parts.into_iter().flatten().filter_map(RawPart::from))
    }

    /// The column of another table that a column of the partition key has its values from, if it has.
    fn from(&self, column: &str) -> Option<&ColumnPath> {
        match self {
            Self::Partition(_) => None,
            Self::Clustering { partitions_from } => Some(partitions_from),
            Self::Parts { partition } => partition.get(column)?.from(),
        }
    }

    /// What the file calls the entry that names such columns.
    fn word(&self) -> &'static str {
        if matches!(self, Self::Clustering { .. }) { "partitions_from" } else { "find" }
    }
}

impl RawPart {
    fn from(&self) -> Option<&ColumnPath> {
        match self {
            Self::Column { from } => Some(from),
            Self::Constant { .. } => None,
        }
    }
}

/// Checks that the table's key has the shape that `find` says. The columns of other tables are still to be
/// [resolved](resolve).
pub(super) fn check(raw: &RawTable, live: &TableSchema) -> Result<Locator, String> {
    let partition = live.partition_key();
    let names: Vec<&str> = partition.iter().map(|column| column.name.as_str()).collect();
    let clustering: Vec<String> =
        live.clustering_key().iter().map(|(column, _)| column.name.clone()).collect();
    let is_clustered = clustering.contains(&raw.account);
    if !is_clustered && !names.contains(&raw.account.as_str()) {
        let kind = live.column(&raw.account).map(|column| column.kind);
        let kind = if kind == Some(ColumnKind::Static) { "static" } else { "regular" };
        return Err(format!(
            "the account column {} is a {kind} column; rows are merged where the account is part of the primary \
             key",
            raw.account
        ));
    }
    let scope = || partition.iter().filter(|column| column.name != raw.account);
    let mut locator = Locator::default();
    match &raw.find {
        RawFind::Partition(_) if names == [raw.account.as_str()] => {}
        RawFind::Partition(_) => {
            return Err(format!(
                "find = \"partition\" needs {} to be the whole partition key, but that is ({}); say where the \
                 others come from: find = {{ partition = {{ … }} }}",
                raw.account,
                names.join(", ")
            ));
        }
        // What leads here is put in when all tables are known.
        RawFind::Clustering { .. } if names.len() == 1 && is_clustered => {
            locator.parts.push(Part::Column(0));
        }
        RawFind::Clustering { .. } => {
            return Err(format!(
                "partitions_from needs the partition key to be one column, and {} a clustering column, but the \
                 primary key is (({}), {})",
                raw.account,
                names.join(", "),
                clustering.join(", ")
            ));
        }
        RawFind::Parts { partition: parts } => {
            let known: Vec<&str> = scope().map(|column| column.name.as_str()).collect();
            if let Some(other) = parts.keys().find(|name| !known.contains(&name.as_str())) {
                return Err(format!(
                    "find names {other}, but the partition key beside the account is ({})",
                    known.join(", ")
                ));
            }
            for column in scope() {
                let part = parts.get(&column.name).ok_or_else(|| {
                    format!(
                        "find does not say where {} of the partition key comes from",
                        column.name
                    )
                })?;
                locator.parts.push(match part {
                    RawPart::Constant { value } => {
                        let value = constant::of(&column.cql_type, value);
                        Part::Constant(value.map_err(|why| format!("{}: {why}", column.name))?)
                    }
                    RawPart::Column { .. } => Part::Column(0),
                });
            }
        }
    }
    locator.is_whole = is_clustered && names.len() == 1;
    Ok(locator)
}

/// Puts in what leads from one table to another; gives the order in which the tables are merged.
pub(super) fn resolve(
    raw: &[RawTable],
    tables: &mut [Table],
) -> Result<Vec<TableIndex>, SpecError> {
    for (position, of) in raw.iter().enumerate() {
        let locator = led(of, &tables[position], tables)
            .map_err(|problem| SpecError::Table { table: of.name.clone(), problem })?;
        tables[position].locator = locator;
    }
    // A table comes behind the one that leads to it, so those that no other leads to come first.
    let mut order: Vec<TableIndex> = Vec::new();
    while order.len() < tables.len() {
        let is_next = |index: &TableIndex| {
            !order.contains(index)
                && tables[*index].locator.through.is_none_or(|through| order.contains(&through))
        };
        let next: Vec<TableIndex> = (0..tables.len()).filter(is_next).collect();
        if next.is_empty() {
            let left = (0..tables.len()).find(|index| !order.contains(index)).unwrap_or_default();
            return Err(SpecError::Table {
                table: raw[left].name.clone(),
                problem: "what leads to it begins with itself: no row of it could be found".into(),
            });
        }
        order.extend(next);
    }
    Ok(order)
}

/// The locator of a table with the columns that lead to it.
fn led(raw: &RawTable, table: &Table, tables: &[Table]) -> Result<Locator, String> {
    let mut locator = table.locator.clone();
    let (word, mut paths) = (raw.find.word(), Vec::new());
    for (part, column) in locator.parts.iter_mut().zip(table.scope_columns()) {
        let own = &table.columns[column];
        let Some(path) = raw.find.from(&own.name) else { continue };
        let found = tables.iter().enumerate().find(|(_, other)| other.name == path.table);
        let (index, through) = found.ok_or_else(|| {
            format!("{word} names {path}, but there is no [[table]] of that name")
        })?;
        let at = through
            .position(&path.column)
            .ok_or_else(|| format!("{word} names {path}, but there is no such column"))?;
        let theirs = &through.columns[at];
        if own.cql_type != theirs.cql_type {
            return Err(format!(
                "{} is of type {}, but {path}, which leads to it, is of type {}",
                own.name, own.cql_type, theirs.cql_type
            ));
        }
        if at == through.account {
            return Err(format!("{word} names {path}, which is the account itself"));
        }
        *part = Part::Column(at);
        paths.push((index, path));
    }
    if let [(first, one), ..] = paths.as_slice() {
        if let Some((_, other)) = paths.iter().find(|(index, _)| index != first) {
            return Err(format!(
                "find names {one} and {other}: what leads to a partition has to stand in rows of one table"
            ));
        }
        locator.through = Some(*first);
    }
    Ok(locator)
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
            ("t(user|x)", "{ partitions_from = 'own.course' }", "(user), x)"),
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
