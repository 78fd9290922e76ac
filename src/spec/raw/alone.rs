//! What the text alone can tell: names that lead nowhere, policies that do not fit the types that it gives itself.

use super::{RawFind, RawSpec, RawTable};
use crate::model::CqlType;
use crate::spec::fault::{At, Faults, list};
use crate::spec::fits::{self, OneType};
use crate::spec::{ColumnPath, find};

/// Adds what is wrong.
pub(super) fn check(spec: &RawSpec, faults: &mut Faults) {
    if spec.tables.is_empty() && faults.is_empty() {
        faults.add(1, "it names no [[table]], so there is nothing to merge");
    }
    let mut accounts = OneType::default();
    for (position, table) in spec.tables.iter().enumerate() {
        let earlier = spec.tables[..position].iter().find(|earlier| *earlier.name == *table.name);
        if let Some(earlier) = earlier {
            let problem =
                format!("it is named twice; the other [[table]] is on line {}", earlier.line);
            faults.add(table.line, table.problem(problem));
        }
        columns(table, faults);
        sums(table, faults);
        mentions(table, faults);
        for (column, of) in of_accounts(table) {
            let account_type = fits::account_type(column, of);
            if let Err(problem) = account_type.and_then(|of| accounts.add(of, &table.name)) {
                faults.add(of.line, table.problem(problem));
            }
        }
        if let Some(find) = &table.find {
            leads(table, find, &spec.tables, faults);
        }
    }
    if let Err(left) = find::order(&spec.tables) {
        let table = &spec.tables[left];
        let line = table.find.as_ref().map_or(table.line, |find| find.line);
        let problem = "what leads to it begins with itself: no row of it could be found";
        faults.add(line, table.problem(problem));
    }
    if let Some(event) = &spec.event {
        event.check_alone(&spec.tables, faults);
    }
}

fn columns(table: &RawTable, faults: &mut Faults) {
    for (column, policy) in table.policies.iter().filter(|(_, policy)| policy.looks()) {
        let is_account = table.account.as_ref().is_some_and(|account| **account == *column);
        let problem = if is_account {
            Some(fits::in_key(column))
        } else {
            table.columns.get(column).and_then(|of| fits::misfit(&***policy, column, of))
        };
        if let Some(problem) = problem {
            faults.add(policy.line, table.problem(problem));
        }
    }
}

/// The columns of a table that hold accounts, and whose types the text gives.
fn of_accounts(table: &RawTable) -> impl Iterator<Item = (&At<String>, &At<CqlType>)> {
    let columns = table.account.iter().chain(&table.mentions);
    columns.filter_map(|column| Some((column, table.columns.get(&**column)?)))
}

/// A mention is written by the run of whom it names, and by no rule of rows.
fn mentions(table: &RawTable, faults: &mut Faults) {
    for (position, column) in table.mentions.iter().enumerate() {
        let is_known = |known: &At<String>| **known == **column;
        let problem = if table.account.as_ref().is_some_and(is_known) {
            "is the account itself, by which rows move: leave it out of mentions"
        } else if table.mentions[..position].iter().any(is_known) {
            "is named twice in mentions"
        } else if table.policies.get(&**column).is_some_and(|policy| policy.looks()) {
            "is mentioned by, and has a policy: a mention names the survivor of whom it named; leave one of the two out"
        } else if table.rows.line().is_some() {
            "mentions accounts, which no rule for whole rows (on_conflict) can stand beside: use policies of columns"
        } else {
            continue;
        };
        faults.add(column.line, table.problem(format!("column {} {problem}", **column)));
    }
}

/// What is left on a source would be added up once more by whoever merges it again.
fn sums(table: &RawTable, faults: &mut Faults) {
    for (column, policy) in table.policies.iter().filter(|(_, policy)| policy.adds()) {
        if !table.delete_source {
            let problem = format!(
                "column {column} is added up, but with delete_source = false the source keeps its own, which a further run \
                 would add again: leave delete_source out, or use another policy"
            );
            faults.add(policy.line, table.problem(problem));
        }
    }
}

/// What leads to a table has to stand in rows of one other, and beside the account.
fn leads(table: &RawTable, find: &RawFind, tables: &[RawTable], faults: &mut Faults) {
    let word = find.word();
    let mut first: Option<&At<ColumnPath>> = None;
    for path in find.columns() {
        let through = tables.iter().find(|other| *other.name == path.table);
        let problem = match through {
            None => Some(format!(
                "{word} names {path}, but there is no [[table]] of that name; there are: {}",
                list(tables.iter().map(|table| table.name.as_str()))
            )),
            Some(through) if through.account.as_ref().is_some_and(|own| **own == path.column) => {
                Some(format!("{word} names {path}, which is the account itself"))
            }
            Some(through) if through.mentions.iter().any(|own| **own == path.column) => {
                Some(format!("{word} names {path}, which mentions accounts and changes with them"))
            }
            Some(through) if through.only_mentions() => Some(format!(
                "{word} names {path}, but no account has rows in {}: it only mentions them",
                path.table
            )),
            Some(_) => first.filter(|first| first.table != path.table).map(|first| {
                format!(
                    "find names {first} and {path}: what leads to a partition has to stand in rows of one table"
                )
            }),
        };
        if let Some(problem) = problem {
            faults.add(path.line, table.problem(problem));
        }
        first = first.or(Some(path));
    }
}
