//! What a request is about, as a message names it: accounts, scopes and keys, as people read them.

use bytes::Bytes;

use crate::model::{AccountId, AccountType, Change, ColumnIndex, Scope, hex};
use crate::spec::Table;

use super::fault::shown;

pub(super) fn of_account(table: &Table, (scope, account): (&Scope, &AccountId)) -> String {
    format!("account {}{}", shown(&account.text()), within(table, scope))
}

pub(super) fn of_accounts(table: &Table, scope: &Scope, accounts: &[AccountId]) -> String {
    match accounts {
        [account] => of_account(table, (scope, account)),
        accounts => format!("{} accounts{}", accounts.len(), within(table, scope)),
    }
}

fn within(table: &Table, scope: &Scope) -> String {
    match scope.values() {
        [] => String::new(),
        values => format!(" in {}", shown_key(table, table.scope_columns(), values)),
    }
}

/// A single change: its row, and the largest of its values, which may be what a server has against it.
pub(super) fn of_change(table: &Table, change: &Change) -> String {
    let (key, values): (Vec<&Bytes>, Vec<(ColumnIndex, usize)>) = match change {
        Change::Insert { row } => {
            let (key, values) = row.cells.split_at(table.key_len.min(row.cells.len()));
            let values = (table.key_len..).zip(values);
            let values = values.filter_map(|(column, cell)| Some((column, cell.as_ref()?.len())));
            (key.iter().flatten().collect(), values.collect())
        }
        Change::Update { key, set, .. } => {
            let values = set.iter();
            let values = values.filter_map(|(column, cell)| Some((*column, cell.as_ref()?.len())));
            (key.iter().collect(), values.collect())
        }
        Change::SetList { key, column, value: values, .. }
        | Change::AddElements { key, column, elements: values }
        | Change::RemoveElements { key, column, keys: values } => {
            (key.iter().collect(), vec![(*column, values.len())])
        }
        Change::ExpireRow { key } | Change::DeleteRow { key } | Change::DeletePartition { key } => {
            (key.iter().collect(), Vec::new())
        }
    };
    let key: Vec<Bytes> = key.into_iter().cloned().collect();
    let what = if key.len() < table.key_len { "partition" } else { "row" };
    let row = format!("{what} {}", shown_key(table, 0.., &key));
    match values.into_iter().max_by_key(|(_, bytes)| *bytes) {
        Some((column, bytes)) => {
            let name = shown(&table.columns[column].name);
            format!("{row}; its largest value is {name}, of {bytes} bytes")
        }
        None => row,
    }
}

/// The values of some columns of a key as they are shown.
pub(super) fn shown_key(
    table: &Table,
    columns: impl IntoIterator<Item = ColumnIndex>,
    values: &[Bytes],
) -> String {
    let values = columns.into_iter().zip(values).map(|(column, value)| {
        let text = match AccountType::of(&table.columns[column].cql_type) {
            Some(of) => of.text(value),
            None => hex(value).into(),
        };
        format!("'{}'", shown(&text))
    });
    values.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Row;
    use crate::spec::RawSpec;
    use crate::spec::schema::{Schema, TableSchema};

    #[test]
    fn a_single_change_is_named_with_its_largest_value() {
        let columns = ["user", "course", "grade", "note"].map(|name| (name, "text"));
        let table = TableSchema::keyed(2, &columns);
        let schema = Schema { keyspace: "k".into(), tables: [("t".into(), table)].into() };
        let text = "name = 'n'\n[[table]]\nname = 't'\naccount = 'user'\nfind = 'partition'\n\
                    on_conflict = 'keep-target'";
        let spec = RawSpec::parse(text, "a test").unwrap().check(&schema).unwrap();
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let cells = ["u\n", "c1", "A", &"x".repeat(70_000)].map(|text| Some(bytes(text))).to_vec();
        let says = |change| of_change(&spec.tables[0], &change);
        assert_eq!(
            says(Change::Insert { row: Row::new(cells) }),
            "row 'u\\n', 'c1'; its largest value is note, of 70000 bytes"
        );
        let key = vec![bytes("u"), bytes("c1")];
        let set = vec![(2, Some(bytes("A+"))), (3, None)];
        assert_eq!(
            says(Change::update(key.clone(), set)),
            "row 'u', 'c1'; its largest value is grade, of 2 bytes"
        );
        assert_eq!(says(Change::DeleteRow { key }), "row 'u', 'c1'");
        assert_eq!(says(Change::DeletePartition { key: vec![bytes("u")] }), "partition 'u'");
    }
}
