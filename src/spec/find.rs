//! How the rows of an account are found: the check of `find` against the key of a table, and of what leads from one
//! table to another.

use std::collections::BTreeMap;

use super::fault::{At, Faults, list};
use super::raw::{ColumnPath, RawFind, RawPart, RawTable};
use super::schema::{ColumnKind, TableSchema};
use super::{Locator, ScopePart, Table, constant, fits};
use crate::model::TableIndex;

impl RawFind {
    /// The columns of other tables that lead here.
    pub(super) fn columns(&self) -> impl Iterator<Item = &At<ColumnPath>> {
        let (one, parts) = match self {
            Self::Partition | Self::Scan => (None, None),
            Self::Clustering { partitions_from } => (Some(partitions_from), None),
            Self::Parts { partition } => (None, Some(partition.values())),
        };
        one.into_iter().chain(parts.into_iter().flatten().filter_map(|part| part.from()))
    }

    /// The column of another table that a column of the partition key has its values from, if it has.
    fn from(&self, column: &str) -> Option<&At<ColumnPath>> {
        match self {
            Self::Partition | Self::Scan => None,
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
            let parts = vec![ScopePart::Column(0)];
            return Some(Locator { parts, is_whole, ..Locator::default() });
        }
        RawFind::Scan if names != [account.as_str()] => {
            let parts = names.iter().filter(|name| **name != account.as_str());
            let parts = parts.map(|_| ScopePart::Column(0)).collect();
            return Some(Locator { parts, is_scanned: true, is_whole, ..Locator::default() });
        }
        RawFind::Scan => format!(
            "find = \"scan\" reads every key of the table, but {account} is the whole partition key: say: find = \
             \"partition\""
        ),
        RawFind::Clustering { .. } => format!(
            "partitions_from needs the partition key to be one column, and {account} a clustering column, but the \
             primary key is (({}), {}); {}",
            names.join(", "),
            clustering.join(", "),
            instead(account, &names, is_clustered)
        ),
        RawFind::Parts { partition: parts } => {
            let parts = of_parts(raw, (account.as_str(), parts, find.line), live, faults)?;
            return Some(Locator { parts, is_whole, ..Locator::default() });
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
            "say which column leads to it: find = { partitions_from = \"other_table.column\" }; or find = \"scan\" if \
             nothing does"
                .to_owned()
        }
        _ => format!(
            "say where each column of it comes from: find = {{ partition = {{ {} }} }} ({{ value = … }} instead of \
             from where it is always the same), or find = \"scan\" if nothing does",
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
) -> Option<Vec<ScopePart>> {
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
    let found: Vec<Option<ScopePart>> = scope
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
            let RawPart::Constant(value) = &**part else { return Some(ScopePart::Column(0)) };
            match constant::of(&column.cql_type, value) {
                Ok(value) => Some(ScopePart::Constant(value)),
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
        *part = ScopePart::Column(at);
        locator.through = Some(index);
    }
    locator
}

#[cfg(test)]
mod tests;
