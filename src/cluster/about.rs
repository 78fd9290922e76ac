//! What a request is about, as a message names it: accounts, scopes and keys, as people read them.

use bytes::Bytes;

use crate::model::{AccountId, AccountType, ColumnIndex, Scope, hex};
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
