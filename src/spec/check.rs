//! The check of a specification against the live schema: what is wrong is said once, by name, before
//! anything is read.

use strum::VariantNames;

use super::event::EventSpec;
use super::find;
use super::raw::{RawSpec, RawTable};
use super::schema::{ColumnKind, ColumnSchema, Direction, Schema, TableSchema};
use super::{Column, KeyColumn, Locator, Spec, SpecError, Survivorship, Table};
use crate::model::{AccountType, CqlType};

impl RawSpec {
    /// Checks the specification against the live schema.
    ///
    /// # Errors
    /// The first thing that is wrong: a missing table or column, a policy that does not fit a type, a
    /// table or column that cannot be replayed safely, or a shape that this version does not merge.
    pub fn check(&self, schema: &Schema) -> Result<Spec, SpecError> {
        let mut tables = Vec::with_capacity(self.tables.len());
        let mut accounts = None;
        for raw in &self.tables {
            let (table, of) = self.check_table(raw, schema)?;
            accounts = Some(match accounts {
                None => (of, &raw.name),
                Some(known) => one_type(known, (of, &raw.name))?,
            });
            tables.push(table);
        }
        let order = find::resolve(&self.tables, &mut tables)?;
        let event = match &self.event {
            Some(raw) => Some(EventSpec::check(raw, &tables)?),
            None => None,
        };
        let accounts = accounts.map_or_else(AccountType::default, |(of, _)| of);
        Ok(Spec { name: self.name.clone(), tables, order, accounts, event })
    }

    fn check_table(
        &self,
        raw: &RawTable,
        schema: &Schema,
    ) -> Result<(Table, AccountType), SpecError> {
        let problem = |problem: String| SpecError::Table { table: raw.name.clone(), problem };
        let live = schema.tables.get(&raw.name).ok_or_else(|| SpecError::MissingTable {
            table: raw.name.clone(),
            keyspace: schema.keyspace.clone(),
            known: schema.tables.keys().cloned().collect(),
        })?;
        let account = column(live, raw, &raw.account)?;
        for (name, expected) in &raw.columns {
            let found = column(live, raw, name)?;
            if CqlType::parse(expected) != found.cql_type {
                return Err(problem(format!(
                    "column {name} is of type {}, but the merge specification expects {expected}; a \
                     specification of your own (--spec) can say otherwise",
                    found.cql_type
                )));
            }
        }
        if let Some(column) = live.masked.first() {
            return Err(problem(format!(
                "column {column} is masked, and this user would copy the mask in the place of the value; let it see the \
                 values (GRANT UNMASK ON TABLE {}.{} TO its role), or use a role that does",
                schema.keyspace, raw.name
            )));
        }
        let not = |problem| SpecError::NotReplayable { table: raw.name.clone(), problem };
        live.replayable().map_err(not)?;
        let of = account_type(account).map_err(problem)?;
        let locator = find::check(raw, live).map_err(problem)?;
        let clustering = clustering(live).map_err(problem)?;
        let mut survivorship = Vec::new();
        for (name, policy) in raw.policies() {
            let found = column(live, raw, name)?;
            if !policy.looks() {
                continue;
            }
            if found.kind != ColumnKind::Regular {
                return Err(problem(format!(
                    "column {name} is part of the primary key, which a policy cannot change"
                )));
            }
            if let Some(wanted) = policy.wants(&found.cql_type) {
                return Err(problem(format!(
                    "the policy \"{}\" does not fit column {name} of type {}: it needs {wanted}",
                    policy.name(),
                    found.cql_type
                )));
            }
            survivorship.push((found, policy));
        }
        Ok((self.assemble(raw, live, (locator, clustering, survivorship)), of))
    }

    /// Lays the columns out in specification order: key, policy columns, those that lead elsewhere, event columns, the
    /// rest.
    fn assemble(
        &self,
        raw: &RawTable,
        live: &TableSchema,
        (locator, clustering, survivorship): (Locator, Vec<KeyColumn>, Policies<'_>),
    ) -> Table {
        let mut columns: Vec<&ColumnSchema> = live.partition_key();
        let partition_len = columns.len();
        columns.extend(live.clustering_key().into_iter().map(|(column, _)| column));
        let key_len = columns.len();
        columns.extend(survivorship.iter().map(|(column, _)| *column));
        let policies = survivorship.into_iter().enumerate().map(|(i, (column, policy))| {
            let (column, cql_type) = (key_len + i, column.cql_type.clone());
            Survivorship { column, cql_type, policy }
        });
        let survivorship = policies.collect();
        for name in self.lead_columns(&raw.name).chain(self.event_columns(&raw.name)) {
            let column = live.column(name).filter(|column| !columns.contains(column));
            columns.extend(column);
        }
        let slim_len = columns.len();
        for column in &live.columns {
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        let account = columns.iter().position(|column| column.name == raw.account);
        let columns = columns
            .into_iter()
            .map(|column| Column { name: column.name.clone(), cql_type: column.cql_type.clone() });
        Table {
            name: raw.name.clone(),
            id: live.id.clone(),
            columns: columns.collect(),
            partition_len,
            key_len,
            slim_len,
            account: account.unwrap_or_default(),
            locator,
            clustering,
            survivorship,
            delete_source: raw.delete_source,
        }
    }

    /// The columns of this table by which it leads to others.
    fn lead_columns<'a>(&'a self, table: &'a str) -> impl Iterator<Item = &'a str> {
        let paths = self.tables.iter().flat_map(|other| other.find.columns());
        paths.filter(move |path| path.table == table).map(|path| path.column.as_str())
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

/// Columns with their policies.
type Policies<'a> = Vec<(&'a ColumnSchema, &'static dyn super::Policy)>;

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

/// An account is one value in all tables, of the stricter of two types that hold the same bytes.
fn one_type<'a>(
    (known, first): (AccountType, &'a String),
    (of, name): (AccountType, &'a String),
) -> Result<(AccountType, &'a String), SpecError> {
    use AccountType::{Ascii, Text, TimeUuid, Uuid};
    match (known, of) {
        (Text | Ascii, Ascii) | (Uuid | TimeUuid, TimeUuid) => Ok((of, name)),
        (Ascii, Text) | (TimeUuid, Uuid) => Ok((known, first)),
        _ if known == of => Ok((known, first)),
        _ => Err(SpecError::Table {
            table: name.clone(),
            problem: format!(
                "its account column is of type {of}, but that of {first} is of type {known}; an account has to \
                 be one value in all tables of a specification"
            ),
        }),
    }
}

fn account_type(column: &ColumnSchema) -> Result<AccountType, String> {
    AccountType::of(&column.cql_type).ok_or_else(|| {
        format!(
            "the account column {} is of type {}; accounts can be of type {}",
            column.name,
            column.cql_type,
            AccountType::VARIANTS.join(", ")
        )
    })
}

/// The orders of the clustering columns, which rows of several accounts are joined by.
fn clustering(live: &TableSchema) -> Result<Vec<KeyColumn>, String> {
    let key = live.clustering_key().into_iter();
    key.map(|(column, direction)| {
        let order = column.cql_type.key_order().ok_or_else(|| {
            format!(
                "the clustering column {} is of type {}, whose order is not supported",
                column.name, column.cql_type
            )
        })?;
        Ok(KeyColumn { order, descending: direction == Direction::Descending })
    })
    .collect()
}

impl TableSchema {
    /// Refuses what writing the same value twice would not leave the same.
    fn replayable(&self) -> Result<(), String> {
        if self.default_time_to_live_s != 0 {
            return Err(format!(
                "default_time_to_live is {} s: copies would get a new lease of life or never expire",
                self.default_time_to_live_s
            ));
        }
        let not = |column: &ColumnSchema| {
            Some(format!("column {} {}", column.name, column.not_replayable()?))
        };
        self.columns.iter().find_map(not).map_or(Ok(()), Err)
    }
}

impl Schema {
    /// The same without what [`RawSpec::check`] refuses because it cannot be written again: for whoever only compares what
    /// is known to a run that was begun before that came.
    pub(crate) fn to_compare(&self) -> Self {
        let mut schema = self.clone();
        for table in schema.tables.values_mut() {
            table.default_time_to_live_s = 0;
            table.columns.retain(|column| column.not_replayable().is_none());
        }
        schema
    }
}

impl ColumnSchema {
    /// Why its values cannot be written again, if so.
    fn not_replayable(&self) -> Option<&'static str> {
        if self.kind == ColumnKind::Static {
            return Some("is static: it belongs to the whole partition, not to an account's row");
        }
        Some(match &self.cql_type {
            CqlType::Counter => "is a counter: adding to it twice cannot be told from adding once",
            CqlType::List(_) => {
                "is a non-frozen list: the server gives its elements new places at each write, so that a retried write \
                 could double them"
            }
            CqlType::Udt(_) => {
                "is of a user-defined type that is not frozen: its fields have write times of their own, which are not \
                 told apart here"
            }
            CqlType::Class(_) => {
                "is of a type that is known by its class alone: what its values mean is not known here"
            }
            _ => return None,
        })
    }
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
        let columns = [("user", "text"), ("course", "text"), ("status", status)];
        let table = TableSchema::keyed(2, &columns);
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
        for cql_type in [
            "address",
            "\"Address\"",
            "list<int>",
            "counter",
            "'org.apache.cassandra.db.marshal.DynamicCompositeType'",
        ] {
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
