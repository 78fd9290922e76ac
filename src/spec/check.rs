//! The check of a specification against the live schema: all that is wrong is said at once, by line and name, before
//! anything is read.

use std::sync::Arc;

use super::event::EventSpec;
use super::fault::{At, Faults, list};
use super::find;
use super::fits::{self, OneType};
use super::mentions;
use super::policy;
use super::raw::{RawRows, RawSpec, RawTable};
use super::schema::{ColumnKind, ColumnSchema, Direction, Schema, TableSchema};
use super::{Column, KeyColumn, Locator, Policy, Ranking, RowRule, Spec, Survivorship, Table};
use crate::model::AccountType;

impl RawSpec {
    /// Checks the specification against the live schema.
    ///
    /// # Errors
    /// All that is wrong: missing tables and columns, policies that do not fit a type, tables and columns that cannot be
    /// replayed safely, shapes that this version does not merge.
    pub fn check(&self, schema: &Schema) -> Result<Spec, Faults> {
        let mut faults = Faults::none(&self.origin);
        let spec = self.hold_against(schema, &mut faults);
        faults.or(spec)?.ok_or_else(|| Faults::none(&self.origin))
    }

    /// The same, adding to what the text alone has told already; gives the specification if all of it fits.
    pub(crate) fn hold_against(&self, schema: &Schema, faults: &mut Faults) -> Option<Spec> {
        let mut accounts = OneType::default();
        let mut tables = Vec::with_capacity(self.tables.len());
        let mut further = Vec::new();
        if self.tables.len() > 1
            && self.tables.iter().all(|raw| !schema.tables.contains_key(&*raw.name))
        {
            faults.add(self.tables[0].name.line, self.elsewhere(schema));
            return None;
        }
        for raw in &self.tables {
            let fitting = self.fit(raw, schema, faults);
            let (table, of) = fitting.map_or((None, None), |(table, of)| (table, of));
            if let Some((account, of)) = raw.account.as_ref().zip(of)
                && let Err(problem) = accounts.add(of, &raw.name)
            {
                let line = raw.account_column().map_or(account.line, |(_, of)| of.line);
                faults.add(line, raw.problem(problem));
            }
            let mut mentions =
                mentions::of(raw, schema, table.as_ref(), &mut accounts, faults).into_iter();
            // Of a table that only mentions, the first stands where it is written.
            tables.push(if raw.only_mentions() { mentions.next() } else { Some(table) }.flatten());
            further.extend(mentions);
        }
        find::resolve(&self.tables, &mut tables, faults);
        let event = self.event.as_ref().map(|raw| EventSpec::check(raw, &tables, faults));
        let tables = tables.into_iter().chain(further).collect::<Option<Vec<Table>>>()?;
        let mut order = find::order(&self.tables).ok()?;
        order.retain(|index| !tables[*index].is_mention());
        Some(Spec {
            name: self.name.clone(),
            tables,
            order,
            accounts: accounts.get(),
            event: event.map_or(Some(None), |event| event.map(Some))?,
        })
    }

    /// That it is of other tables.
    fn elsewhere(&self, schema: &Schema) -> String {
        format!(
            "keyspace {} has none of the tables that {} merges ({}); it has: {}. Is --spec missing, or is this another \
             keyspace? spec init drafts a specification from the tables that there are",
            schema.keyspace,
            self.origin,
            list(self.tables.iter().map(|raw| &**raw.name)),
            list(schema.tables.keys().map(String::as_str)),
        )
    }

    /// A table, if it fits, and the type of its accounts, if it has them.
    fn fit(
        &self,
        raw: &RawTable,
        schema: &Schema,
        faults: &mut Faults,
    ) -> Option<(Option<Table>, Option<AccountType>)> {
        let Some(live) = schema.tables.get(&*raw.name) else {
            let message = format!(
                "keyspace {} has no table {}, which the merge specification names; it has: {}",
                schema.keyspace,
                raw.name,
                list(schema.tables.keys().map(String::as_str))
            );
            faults.add(raw.name.line, message);
            return None;
        };
        let mut own = Own { raw, live, faults };
        own.columns();
        own.whole(&schema.keyspace);
        if raw.only_mentions() {
            return Some((None, None));
        }
        let account =
            raw.account.as_ref().filter(|account| own.column(account, account.line).is_some());
        let of = account.and_then(|account| own.account_type(account));
        let found = account.zip(raw.find.as_ref());
        let locator = found.and_then(|found| find::check(raw, found, live, own.faults));
        let clustering = own.clustering();
        let survivorship = own.policies();
        own.rows();
        own.drop_oneself(account, of);
        let parts = account.zip(locator).zip(clustering);
        let table = parts.map(|((account, locator), clustering)| {
            self.assemble(raw, live, (account.as_str(), locator, clustering, survivorship))
        });
        Some((table, of))
    }

    /// Lays the columns out in specification order: key, policy columns, those that lead elsewhere, event columns, the
    /// rest.
    fn assemble(
        &self,
        raw: &RawTable,
        live: &TableSchema,
        (account, locator, clustering, survivorship): (&str, Locator, Vec<KeyColumn>, Policies<'_>),
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
        let looked_at = columns.len();
        for column in &live.columns {
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        // Whoever may go as a whole is read as a whole.
        let slim_len = if raw.rows.line().is_none() { looked_at } else { columns.len() };
        let ranking = raw.rows.ranking().iter().filter_map(|name| {
            let at = columns.iter().position(|column| column.name == **name)?;
            Some((at, columns[at].cql_type.value_order()?))
        });
        let rows = match raw.rows {
            RawRows::Stay => RowRule::Stays,
            RawRows::Higher(_) => RowRule::Higher(Ranking::by(ranking.collect())),
            RawRows::Source(_) => RowRule::Source,
        };
        let position = |name: &str| columns.iter().position(|column| column.name == name);
        let account = position(account);
        let mentions = raw.mentions.iter().filter_map(|name| position(name)).collect();
        let drop_oneself = raw.drop_oneself.as_ref().and_then(|name| position(name));
        let columns = columns
            .into_iter()
            .map(|column| Column { name: column.name.clone(), cql_type: column.cql_type.clone() });
        Table {
            name: (*raw.name).clone(),
            id: live.id.clone(),
            columns: columns.collect(),
            partition_len,
            key_len,
            slim_len,
            account: account.unwrap_or_default(),
            locator,
            clustering,
            survivorship,
            rows,
            delete_source: raw.delete_source,
            mentions,
            drop_oneself,
            carries_ttls: raw.carries_ttls.is_some(),
            reads_ttls: raw.carries_ttls.is_some(),
            moves_with: None,
        }
    }

    /// The columns of this table by which it leads to others.
    fn lead_columns<'a>(&'a self, table: &'a str) -> impl Iterator<Item = &'a str> {
        let found = self.tables.iter().filter_map(|other| other.find.as_ref());
        let paths = found.flat_map(|find| find.columns());
        paths.filter(move |path| path.table == table).map(|path| path.column.as_str())
    }

    /// The columns of this table that the event needs when it looks at a survivor's rows.
    fn event_columns<'a>(&'a self, table: &'a str) -> impl Iterator<Item = &'a str> {
        self.event.iter().flat_map(move |event| event.columns_of(table))
    }
}

/// Columns with their policies.
type Policies<'a> = Vec<(&'a ColumnSchema, Arc<dyn Policy>)>;

/// A table of the specification beside that of the schema.
struct Own<'a> {
    raw: &'a RawTable,
    live: &'a TableSchema,
    faults: &'a mut Faults,
}

impl<'a> Own<'a> {
    fn wrong(&mut self, line: usize, problem: &str) {
        self.faults.add(line, self.raw.problem(problem));
    }

    fn column(&mut self, name: &str, line: usize) -> Option<&'a ColumnSchema> {
        let found = self.live.column(name);
        if found.is_none() {
            let message = format!(
                "table {} has no column {name}, which the merge specification names; it has: {}",
                self.raw.name,
                list(self.live.columns.iter().map(|column| column.name.as_str()))
            );
            self.faults.add(line, message);
        }
        found
    }

    /// Columns whose types are given have those.
    fn columns(&mut self) {
        for (name, expected) in &self.raw.columns {
            let Some(found) = self.column(name, expected.line) else { continue };
            if **expected != found.cql_type {
                let problem = format!(
                    "column {name} is of type {}, but the merge specification expects {expected}; a specification of \
                     your own (--spec) can say otherwise",
                    found.cql_type
                );
                self.wrong(expected.line, &problem);
            }
        }
    }

    /// Refuses what concerns the table as a whole, and what writing the same value twice would not leave the same.
    fn whole(&mut self, keyspace: &str) {
        for column in &self.live.masked {
            let problem = format!(
                "column {column} is masked, and this user would copy the mask in the place of the value; let it see the \
                 values (GRANT UNMASK ON TABLE {keyspace}.{} TO its role), or use a role that does",
                self.raw.name
            );
            self.wrong(self.raw.name.line, &problem);
        }
        for why in self.live.not_replayable(self.raw.carries_ttls.is_some()) {
            self.wrong(self.raw.name.line, &format!("{why}; such a table is not merged"));
        }
        if let Some(line) = self.raw.carries_ttls {
            for why in self.raw.without_ttls(self.live) {
                self.wrong(line, &format!("ttl = \"carry\" is not available {why}"));
            }
        }
    }

    fn account_type(&mut self, account: &At<String>) -> Option<AccountType> {
        let of = fits::account_type(account, &self.live.column(account)?.cql_type);
        let line = self.raw.account_column().map_or(account.line, |(_, of)| of.line);
        of.map_err(|problem| self.wrong(line, &problem)).ok()
    }

    /// The orders of the clustering columns, which rows of several accounts are joined by.
    fn clustering(&mut self) -> Option<Vec<KeyColumn>> {
        let key = self.live.clustering_key().into_iter();
        let orders = key.map(|(column, direction)| {
            let Some(order) = column.cql_type.key_order() else {
                let problem = format!(
                    "the clustering column {} is of type {}, whose order is not supported; such a table is not merged",
                    column.name, column.cql_type
                );
                self.wrong(self.raw.name.line, &problem);
                return None;
            };
            Some(KeyColumn { order, descending: direction == Direction::Descending })
        });
        let orders: Vec<Option<KeyColumn>> = orders.collect();
        orders.into_iter().collect()
    }

    /// The columns by which rows rank have an order. Lists are written by statements of their own, which cannot yet be put
    /// back where one row takes the place of another.
    fn rows(&mut self) {
        for name in self.raw.rows.ranking() {
            let Some(found) = self.column(name, name.line) else { continue };
            let problem = match found.kind {
                ColumnKind::PartitionKey(_) | ColumnKind::Clustering(..) => {
                    Some(format!("by names {}, which is part of the primary key", **name))
                }
                _ if found.cql_type.value_order().is_none() => Some(format!(
                    "by names {}, which is of type {}: it needs {}",
                    **name,
                    found.cql_type,
                    policy::ORDERED
                )),
                _ => None,
            };
            if let Some(problem) = problem {
                self.wrong(name.line, &problem);
            }
        }
        let list = self.live.columns.iter().find(|column| column.cql_type.is_list());
        if let (Some(line), Some(list)) = (self.raw.rows.line(), list) {
            let problem = format!(
                "a rule for whole rows (on_conflict) is not available beside a list that is not frozen ({}): use policies of \
                 columns",
                list.name
            );
            self.wrong(line, &problem);
        }
    }

    fn drop_oneself(&mut self, account: Option<&At<String>>, of: Option<AccountType>) {
        let Some(name) = &self.raw.drop_oneself else { return };
        let found = self.column(name, name.line);
        let why = found.and_then(|found| fits::not_named_twice(found, account.zip(of)?));
        if let Some(why) = why {
            self.wrong(name.line, &format!("drop_oneself names {}, which {why}", **name));
        }
    }

    /// The columns whose values are looked at, each with its policy.
    fn policies(&mut self) -> Policies<'a> {
        let mut policies = Vec::new();
        for (name, policy) in &self.raw.policies {
            let Some(found) = self.column(name, policy.line) else { continue };
            if !policy.looks() {
                continue;
            }
            let problem = match found.kind {
                ColumnKind::Regular | ColumnKind::Static => {
                    fits::misfit(&***policy, name, &found.cql_type)
                }
                ColumnKind::PartitionKey(_) | ColumnKind::Clustering(..) => {
                    Some(fits::in_key(name))
                }
            };
            match problem {
                Some(problem) => self.wrong(policy.line, &problem),
                None => policies.push((found, Arc::clone(policy))),
            }
        }
        policies
    }
}

#[cfg(test)]
mod tests;
