//! The check of an event: what it quotes has to exist, and to be found.

use super::{EventColumn, EventSpec, Node, Template, is_quotable};
use crate::spec::raw::RawEvent;
use crate::spec::{Part, SpecError, Table};

impl EventSpec {
    /// Checks the event against the tables that it is about.
    pub(in crate::spec) fn check(raw: &RawEvent, tables: &[Table]) -> Result<Self, SpecError> {
        let problem = |problem: String| SpecError::Event { problem };
        let (index, table) =
            tables
                .iter()
                .enumerate()
                .find(|(_, table)| table.name == raw.table)
                .ok_or_else(|| problem(format!("there is no [[table]] named {}", raw.table)))?;
        let Some(through) = table.locator.through else {
            return Err(problem(format!(
                "{} is found by partition; events are made for tables with partitions_from",
                raw.table
            )));
        };
        if !table.has_one_row_per_scope() {
            return Err(problem(format!(
                "an account may own several rows of {} in one partition; events are made for tables in which it owns \
                 one",
                raw.table
            )));
        }
        let leading = &tables[through];
        let is_key =
            |part: &Part| matches!(part, Part::Column(column) if *column >= leading.key_len);
        if table.locator.parts.iter().any(is_key) {
            return Err(problem(format!(
                "{} is led to by a column of {} that is not part of its key; events are made where a key leads",
                raw.table, leading.name
            )));
        }
        let mut columns = Vec::new();
        for (name, column) in &raw.columns {
            let own = table
                .position(name)
                .ok_or_else(|| problem(format!("{} has no column {name}", table.name)))?;
            quotable(table, own).map_err(problem)?;
            let else_min = match &column.else_min {
                None => None,
                Some(path) if path.table == leading.name => {
                    let position = leading
                        .position(&path.column)
                        .ok_or_else(|| problem(format!("else_min: there is no column {path}")))?;
                    if !leading.columns[position].cql_type.is_text() {
                        return Err(problem(format!(
                            "else_min names {path} of type {}; it has to be text",
                            leading.columns[position].cql_type
                        )));
                    }
                    if leading.locator.through.is_some() {
                        return Err(problem(format!(
                            "else_min names {path}, but rows of {} are found through another table",
                            leading.name
                        )));
                    }
                    Some(position)
                }
                Some(path) => {
                    return Err(problem(format!(
                        "else_min names {path}; it has to be a column of {}",
                        leading.name
                    )));
                }
            };
            let cql_type = table.columns[own].cql_type.clone();
            columns.push(EventColumn { name: name.clone(), column: own, cql_type, else_min });
        }
        let mut scope = Vec::new();
        for column in table.scope_columns() {
            quotable(table, column).map_err(problem)?;
            scope.push(table.columns[column].clone());
        }
        let known = |name: &str| {
            ["account", "ets", "uuid"].contains(&name)
                || scope.iter().any(|column| column.name == name)
                || raw.columns.contains_key(name)
        };
        let key = Template::parse(&raw.key, known).map_err(problem)?;
        let value = serde_json::to_value(&raw.value).map_err(|error| problem(error.to_string()))?;
        let value = Node::parse(value, known).map_err(problem)?;
        let account = table.columns[table.account].cql_type.clone();
        Ok(Self { table: index, account, scope, columns, key, value })
    }
}

/// What an event quotes has to be text, or something that JSON can say.
fn quotable(table: &Table, position: usize) -> Result<(), String> {
    let column = &table.columns[position];
    if is_quotable(&column.cql_type) {
        return Ok(());
    }
    Err(format!(
        "{}.{} is of type {}; an event quotes text, whole numbers, booleans and uuids",
        table.name, column.name, column.cql_type
    ))
}
