//! A specification drafted from a live schema: every table in which a column named like an account's stands.
//!
//! What can be merged is found by the same check that a specification has to pass; what cannot is there in comments,
//! with what the check says of it.

mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::fault::{At, Faults};
use super::fits::OneType;
use super::names;
use super::policy::{self, Policy};
use super::raw::{ColumnPath, RawFind, RawPart, RawRows, RawSpec, RawTable};
use super::schema::{ColumnKind, ColumnSchema, Schema, TableSchema};
use crate::model::AccountType;

/// A table with a column that is named like an account's.
struct Candidate<'a> {
    name: &'a str,
    live: &'a TableSchema,
    /// That column; the one of the key where several are.
    account: &'a ColumnSchema,
    /// Whether no such column is part of the key: its rows only mention accounts.
    only_mentions: bool,
    /// Others that are named so, and stay as they are; of rows that only mention accounts, further mentions.
    others: Vec<&'a ColumnSchema>,
    find: Option<RawFind>,
    /// What could lead to its rows, for whoever knows them: they are found by a scan.
    hint: Option<String>,
    /// Why it cannot be merged.
    reasons: Vec<String>,
}

/// Drafts a specification for accounts in columns of such names.
///
/// # Errors
/// No table has one, or none that has one can be merged.
pub(crate) fn draft(schema: &Schema, accounts: &[String]) -> Result<String, String> {
    let tables = schema.tables.iter();
    let mut all: Vec<Candidate<'_>> = tables
        .filter_map(|(name, live)| Candidate::new(name, live, accounts))
        .map(|candidate| candidate.judged(schema))
        .collect();
    if all.is_empty() {
        let tables = super::fault::list(schema.tables.keys().map(String::as_str));
        return Err(format!(
            "keyspace {} has no table with a column named like {}; it has: {tables}",
            schema.keyspace,
            accounts.join(", ")
        ));
    }
    one_type(&mut all);
    find(&mut all);
    if all.iter().all(|candidate| !candidate.is_merged()) {
        let reasons: Vec<_> =
            all.iter().flat_map(|candidate| &candidate.reasons).map(String::as_str).collect();
        return Err(format!(
            "no table of keyspace {} can be merged as it is: {}",
            schema.keyspace,
            reasons.join("; ")
        ));
    }
    let text = text::draft(schema, accounts, &all);
    let checked = RawSpec::parse(&text, "the draft").and_then(|raw| raw.check(schema));
    checked.map(|_| text).map_err(|faults| faults.to_string())
}

impl<'a> Candidate<'a> {
    fn new(name: &'a str, live: &'a TableSchema, accounts: &[String]) -> Option<Self> {
        let is_key = |column: &&ColumnSchema| {
            matches!(column.kind, ColumnKind::PartitionKey(_) | ColumnKind::Clustering(..))
        };
        let (keys, mut others): (Vec<_>, Vec<_>) = names::like(live, accounts).partition(is_key);
        let (account, reasons) = match keys.as_slice() {
            [] if others.is_empty() => return None,
            [] => (others.remove(0), Vec::new()),
            [only] => (*only, Vec::new()),
            [first, ..] => {
                let names: Vec<&str> = keys.iter().map(|column| column.name.as_str()).collect();
                let reason = format!(
                    "table {name}: its key names accounts in {}: leave one of them as account, and merge by the other in a \
                     run of its own",
                    names.join(" and ")
                );
                (*first, vec![reason])
            }
        };
        let names = live.partition_key();
        let is_whole = matches!(names.as_slice(), [only] if only.name == account.name);
        let find = is_whole.then_some(RawFind::Partition);
        let only_mentions = keys.is_empty();
        Some(Self { name, live, account, only_mentions, others, find, hint: None, reasons })
    }

    /// With what the check says of it.
    fn judged(mut self, schema: &Schema) -> Self {
        let raw = self.raw();
        let mut faults = Faults::none("");
        RawSpec::of(vec![raw]).hold_against(schema, &mut faults);
        self.reasons.extend(faults.messages().map(str::to_owned));
        self
    }

    /// The table as a specification has it.
    fn raw(&self) -> RawTable {
        let at = |text: &str| At::new(text.to_owned(), 0);
        RawTable {
            name: at(self.name),
            line: 0,
            account: (!self.only_mentions).then(|| at(&self.account.name)),
            find: self.find.clone().map(|find| At::new(find, 0)),
            policies: self.policies().collect(),
            rows: RawRows::default(),
            delete_source: true,
            mentions: self.mentions().map(|column| at(&column.name)).collect(),
            drop_oneself: None,
            carries_ttls: self.carries_ttls().then_some(0),
            columns: BTreeMap::new(),
        }
    }

    /// The columns in which rows that nobody owns name accounts.
    fn mentions(&self) -> impl Iterator<Item = &'a ColumnSchema> {
        let all = [self.account].into_iter().chain(self.others.iter().copied());
        all.filter(|_| self.only_mentions)
    }

    /// The columns that get another value than the survivor's.
    fn policies(&self) -> impl Iterator<Item = (String, At<Arc<dyn Policy>>)> {
        let regular = self.live.columns.iter().filter(|column| column.kind == ColumnKind::Regular);
        let regular = regular.filter(|_| !self.only_mentions);
        regular.filter(|column| column.name != self.account.name).filter_map(|column| {
            let policy = policy::careful(&column.cql_type)?;
            Some((column.name.clone(), At::new(policy, 0)))
        })
    }

    /// Whether what expires is to expire where it is copied, too: where everything does unless it says otherwise.
    fn carries_ttls(&self) -> bool {
        let can_carry = self.live.not_expiring().is_none() && !self.only_mentions;
        self.live.default_time_to_live_s != 0 && can_carry
    }

    fn is_merged(&self) -> bool {
        self.reasons.is_empty()
    }

    /// Whether nothing leads to its rows so far.
    fn is_open(&self) -> bool {
        self.is_merged() && self.find.is_none() && !self.only_mentions
    }

    /// Whether its rows are found, and can lead to others.
    fn is_found(&self) -> bool {
        self.is_merged() && self.find.is_some() && !self.is_scanned()
    }

    fn is_scanned(&self) -> bool {
        matches!(self.find, Some(RawFind::Scan))
    }

    /// The other tables that could lead here as well.
    fn alternatives<'c>(&self, all: &'c [Candidate<'_>]) -> Vec<&'c str> {
        let Some(first) = self.find.as_ref().and_then(|find| find.columns().next()) else {
            return Vec::new();
        };
        let others = all.iter().filter(|other| other.is_found() && other.name != first.table);
        let others = others.filter(|other| other.name != self.name && !other.is_behind(self, all));
        others.filter(|other| self.through(other).is_some()).map(|other| other.name).collect()
    }

    /// Whether another table leads here in the end.
    fn is_behind(&self, other: &Candidate<'_>, all: &[Candidate<'_>]) -> bool {
        let through = self.find.as_ref().and_then(|find| find.columns().next());
        let through = through.and_then(|path| all.iter().find(|one| one.name == path.table));
        through.is_some_and(|one| one.name == other.name || one.is_behind(other, all))
    }

    /// The columns of its partition key but the account's.
    fn scope(&self) -> impl Iterator<Item = &'a ColumnSchema> {
        self.live.partition_key().into_iter().filter(|column| column.name != self.account.name)
    }

    /// How rows of another table lead here, if they do, and how many of the columns are no part of its key and may be
    /// null.
    fn through(&self, other: &Candidate<'_>) -> Option<(usize, RawFind)> {
        let mut nullable = 0;
        let mut parts = BTreeMap::new();
        for column in self.scope() {
            let theirs = other.live.column(&column.name)?;
            if theirs.cql_type != column.cql_type || theirs.name == other.account.name {
                return None;
            }
            nullable += usize::from(matches!(theirs.kind, ColumnKind::Regular));
            let path = ColumnPath { table: other.name.to_owned(), column: column.name.clone() };
            parts.insert(column.name.clone(), At::new(path, 0));
        }
        let is_clustered = matches!(self.account.kind, ColumnKind::Clustering(..));
        let find = match parts.len() {
            1 if is_clustered => {
                RawFind::Clustering { partitions_from: parts.into_values().next()? }
            }
            _ => {
                let part = |(name, path)| (name, At::new(RawPart::Column(path), 0));
                RawFind::Parts { partition: parts.into_iter().map(part).collect() }
            }
        };
        Some((nullable, find))
    }
}

/// Accounts are of the type that most tables have; the others are left out.
fn one_type(all: &mut [Candidate<'_>]) {
    let of = |candidate: &Candidate<'_>| AccountType::of(&candidate.account.cql_type);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for candidate in all.iter().filter(|candidate| candidate.is_merged()) {
        *counts.entry(of(candidate).map_or_else(String::new, |of| of.to_string())).or_default() +=
            1;
    }
    let usual = counts.iter().max_by_key(|(_, tables)| **tables).map(|(name, _)| name.clone());
    // Others are held against the usual type of a table that is found.
    let mut order: Vec<usize> = (0..all.len()).filter(|index| all[*index].is_merged()).collect();
    order.sort_by_key(|index| {
        let candidate = &all[*index];
        let is_usual = of(candidate).map(|of| of.to_string()) == usual;
        (!is_usual, candidate.find.is_none())
    });
    let mut types = OneType::default();
    for index in order {
        let candidate = &mut all[index];
        if let Some(of) = of(candidate)
            && let Err(problem) = types.add(of, candidate.name)
        {
            candidate.reasons.push(format!("table {}: {problem}", candidate.name));
        }
    }
}

/// Finds what leads to each table: one that is found already, with columns of the same names and types; best one that is
/// found by the account itself, by columns that are never null.
fn find(all: &mut [Candidate<'_>]) {
    loop {
        let next = all.iter().enumerate().find_map(|(index, candidate)| {
            let is_open = candidate.is_open();
            let known = all.iter().filter(|other| is_open && other.is_found());
            let ways = known.filter_map(|other| {
                let (nullable, find) = candidate.through(other)?;
                Some(((!matches!(other.find, Some(RawFind::Partition)), nullable), find))
            });
            Some((index, ways.min_by_key(|(rank, _)| *rank)?.1))
        });
        let Some((index, find)) = next else { break };
        all[index].find = Some(find);
    }
    let known = &*all;
    let hints: Vec<_> = known.iter().map(|candidate| hint(candidate, known)).collect();
    for (candidate, hint) in all.iter_mut().zip(hints) {
        if candidate.is_open() {
            (candidate.find, candidate.hint) = (Some(RawFind::Scan), Some(hint));
        }
    }
}

/// What could lead to a table to which nothing of the same name does; until somebody says so, it is scanned.
fn hint(candidate: &Candidate<'_>, all: &[Candidate<'_>]) -> String {
    let scope: Vec<_> = candidate.scope().collect();
    let names: Vec<&str> = scope.iter().map(|column| column.name.as_str()).collect();
    let types: BTreeSet<String> = scope.iter().map(|column| column.cql_type.to_string()).collect();
    let known = all.iter().filter(|other| other.is_found());
    let alike = known.flat_map(|other| {
        let fits = |column: &&ColumnSchema| {
            types.contains(&column.cql_type.to_string()) && column.name != other.account.name
        };
        let columns = other.live.columns.iter().filter(fits);
        columns.map(|column| format!("{}.{}", other.name, column.name))
    });
    let alike: Vec<_> = alike.collect();
    let names = names.join(" and ");
    let alike = match alike.is_empty() {
        true => String::new(),
        false => format!(
            "; of a fitting type are {}",
            super::fault::list(alike.iter().map(String::as_str))
        ),
    };
    format!(
        "Nothing that is found has rows which name {names}. Where that is always the same, {{ value = … }} costs less than \
         the scan, and so does {{ from = \"table.column\" }} where rows of another table name it wherever this table has \
         one{alike}."
    )
}

#[cfg(test)]
mod tests;
