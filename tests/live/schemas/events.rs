//! What is announced of a drawn table, held against the model: each row of a survivor that changed, or all of them; and each
//! that left a source.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::Scene;
use super::draw::{ACCOUNT, Find, Part, Table, Type};
use super::model::{Outcome, Rows};
use crate::kafka;

/// Types whose values an event can say.
const SAID: [&str; 9] =
    ["text", "ascii", "tinyint", "smallint", "int", "bigint", "boolean", "uuid", "timeuuid"];

/// What the specification says of events.
#[derive(Clone, Debug)]
pub(super) struct Announced {
    table: usize,
    every: bool,
    left: bool,
}

impl Announced {
    /// The section of the specification.
    pub(super) fn spec(&self, tables: &[Table]) -> String {
        let table = &tables[self.table];
        let columns = said(table).map(|at| format!("\"${{{}}}\"", table.columns[at].name));
        let columns = columns.collect::<Vec<_>>().join(", ");
        format!(
            "\n[event]\ntable = \"{name}\"\nevery = {}\nleft = {}\nkey = \"${{account}}\"\n[event.value]\n\
             table = \"{name}\"\nid = \"${{uuid}}\"\naccount = \"${{account}}\"\nmerged_into = \"${{merged_into}}\"\n\
             key = [{columns}]\n",
            self.every,
            self.left,
            name = table.name,
        )
    }
}

/// The columns of the key beside the account.
fn said(table: &Table) -> impl Iterator<Item = usize> {
    (0..table.key).filter(|at| Some(*at) != table.account)
}

impl Scene<'_> {
    /// An event of a table that is found by the account, if there is one and it is to have one.
    pub(super) fn draw_event(&mut self) -> Option<Announced> {
        let is_by_account = |table: &Table| match &table.find {
            Find::Own => true,
            Find::Parts(parts) => parts.iter().all(|part| matches!(part, Part::Value(_))),
            Find::Scan => false,
        };
        let can = |table: &Table| {
            let is_said =
                |at: usize| matches!(&table.columns[at].of, Type::One(of) if SAID.contains(of));
            is_by_account(table) && said(table).all(is_said)
        };
        let tables: Vec<usize> =
            (0..self.tables.len()).filter(|at| can(&self.tables[*at])).collect();
        if !SAID.contains(&self.account) || tables.is_empty() || self.random.chance(40) {
            return None;
        }
        let table = *self.random.one_of(&tables);
        Some(Announced { table, every: self.random.chance(40), left: self.random.chance(50) })
    }

    /// Asserts that what was announced of a merge is what the model says, each under an id of its own.
    #[track_caller]
    pub(super) fn assert_events(&self, announced: &Announced, before: &[Rows], merged: &Outcome) {
        let table = &self.tables[announced.table];
        let mut expected = BTreeSet::new();
        for group in &self.groups {
            let of = |account: &str, into: Option<&str>, key: &[String]| {
                let key = said(table).map(|at| self.said(table, at, &key[at]));
                let account_said =
                    |account: &str| self.said(table, table.account.unwrap_or(0), account);
                let key: Vec<Value> = key.collect();
                json!([account_said(account), into.map(account_said), key]).to_string()
            };
            let owns = |key: &Vec<String>, at: usize| {
                self.tables[at].account.is_some_and(|account| group.sources.contains(&key[account]))
            };
            let mut found = merged.found.iter().enumerate();
            let any = found.any(|(at, keys)| keys.iter().any(|key| owns(key, at)));
            let is_everything = announced.every && any;
            for key in
                merged.rows[announced.table].keys().filter(|key| self.is_in_scope(table, key))
            {
                let is_survivors = table.account.is_some_and(|at| key[at] == group.survivor);
                let is_changed = merged.changed[announced.table].contains(key);
                if is_survivors && (is_everything || is_changed) {
                    expected.insert(of(&group.survivor, None, key));
                }
            }
            if announced.left && !table.keeps_source {
                for key in
                    merged.found[announced.table].iter().filter(|key| owns(key, announced.table))
                {
                    assert!(before[announced.table].contains_key(key));
                    let source = &key[table.account.unwrap_or(0)];
                    expected.insert(of(source, Some(&group.survivor), key));
                }
            }
        }
        let messages = kafka::consume(&self.world.addresses.brokers, &self.world.topic);
        let messages = messages.into_iter().map(|message| message.payload);
        let messages = messages.filter(|said| said["table"] == table.name.as_str());
        let mut by_id = BTreeMap::new();
        for said in messages {
            let event = json!([said["account"], said["merged_into"], said["key"]]).to_string();
            let known = by_id.insert(said["id"].to_string(), event.clone());
            assert!(known.is_none_or(|known| known == event), "two events with one id: {event}");
        }
        let found: BTreeSet<String> = by_id.values().cloned().collect();
        assert_eq!(by_id.len(), found.len(), "one event with two ids: {by_id:?}");
        assert_eq!(found, expected, "events of {}: {announced:?}", table.name);
    }

    /// Whether a row is where the table's are found.
    fn is_in_scope(&self, table: &Table, key: &[String]) -> bool {
        let Find::Parts(parts) = &table.find else { return true };
        table.scope().zip(parts).all(|(at, part)| match part {
            Part::Value(value) => key[at] == *value,
            Part::From(..) => true,
        })
    }

    /// A literal of a column of the key as JSON says it.
    fn said(&self, table: &Table, at: usize, literal: &str) -> Value {
        let of = match &table.columns[at].of {
            of if *of == ACCOUNT => self.account,
            Type::One(of) => of,
            other => panic!("{other:?} in a key"),
        };
        match of {
            "text" | "ascii" => {
                let text = literal.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
                Value::from(text.expect("it is quoted").replace("''", "'"))
            }
            "boolean" => Value::from(literal == "true"),
            "uuid" | "timeuuid" => Value::from(literal),
            _ => Value::from(literal.parse::<i64>().expect("a number")),
        }
    }
}
