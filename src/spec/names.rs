//! Columns that are named like those of accounts.

use super::Spec;
use super::schema::{ColumnSchema, Schema, TableSchema};

/// Columns of a table that are named like one of these.
pub(super) fn like<'a>(
    table: &'a TableSchema,
    names: &[impl AsRef<str>],
) -> impl Iterator<Item = &'a ColumnSchema> {
    let names: Vec<String> = names.iter().map(|name| bare(name.as_ref())).collect();
    table.columns.iter().filter(move |column| names.contains(&bare(&column.name)))
}

/// A name as it is compared: `user_id`, `userid` and `userId` are the same.
fn bare(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

impl Spec {
    /// The tables of the keyspace that the specification leaves out and that have a column named like one of its
    /// accounts', with those columns.
    pub(crate) fn left_out(&self, schema: &Schema) -> Vec<(String, Vec<String>)> {
        let accounts = self.tables.iter().map(|table| table.columns[table.account].name.as_str());
        let accounts: Vec<&str> = accounts.collect();
        let others = schema
            .tables
            .iter()
            .filter(|(name, _)| self.tables.iter().all(|table| table.name != **name));
        let named = others.map(|(name, table)| {
            (name.clone(), like(table, &accounts).map(|column| column.name.clone()).collect())
        });
        named.filter(|(_, columns): &(_, Vec<_>)| !columns.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::RawSpec;

    #[test]
    fn tables_that_name_accounts_and_are_left_out_are_found() {
        let table = |columns: &[(&str, &str)]| TableSchema::keyed(1, columns);
        let text = "name = 's'\n[[table]]\nname = 'own'\naccount = 'userid'\nfind = 'partition'\n";
        let tables = [
            ("own", table(&[("userid", "text"), ("user_id", "text")])),
            ("by_id", table(&[("id", "uuid"), ("User_Id", "text"), ("userid", "text")])),
            ("other", table(&[("id", "uuid"), ("useridentity", "text"), ("id_user", "text")])),
        ];
        let tables = tables.into_iter().map(|(name, table)| (name.to_owned(), table)).collect();
        let schema = Schema { keyspace: "k".into(), tables };
        let spec = RawSpec::parse(text, "a test").unwrap().check(&schema).unwrap();
        let columns = ["User_Id", "userid"].map(str::to_owned).to_vec();
        assert_eq!(spec.left_out(&schema), [("by_id".to_owned(), columns)]);
    }
}
