//! What a merge of described tables must leave behind: group by group, table by table, source by source, row by row.
//!
//! This shares no code with the tool, and takes every step in the plainest way.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::cells::{Cells, Key, Kind, Rows, Tables, compare};
use super::shape::{Find, Part, Policy, Shape};
use crate::model::{Group, Tally};

/// How rows that others lead to are found.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Discover {
    Content,
    Scan,
}

/// A key that the survivor and a source held.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Conflict {
    pub(super) table: &'static str,
    pub(super) survivor: String,
    /// The first source that has it.
    pub(super) source: String,
    /// The key with the survivor's account.
    pub(super) key: Key,
    /// Whether the survivor's row changes.
    pub(super) is_merged: bool,
}

/// Everything that a run must leave behind.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    pub(super) tables: Tables,
    pub(super) tallies: BTreeMap<&'static str, Tally>,
    /// Sources and survivors of which no row is found.
    pub(super) absent_sources: u64,
    pub(super) absent_survivors: u64,
    pub(super) conflicts: Vec<Conflict>,
    /// Partitions of `members` in which something changes for a survivor that is there, with its account.
    pub(super) announced: BTreeSet<(String, String)>,
    /// Rows of sources to which nothing leads, in tables that others lead to.
    pub(super) missed: u64,
}

/// A row of a source.
struct Found {
    source: usize,
    key: Key,
    cells: Cells,
}

/// What was found of a table.
struct Finding {
    /// The values of the partition key beside the account to which rows of sources lead.
    led: BTreeSet<Key>,
    /// Those, and where sources own rows in any case.
    scopes: BTreeSet<Key>,
    rows: Vec<Found>,
}

/// Rows by table and account.
type Owned = BTreeMap<(&'static str, String), Vec<Key>>;

/// One group's turn.
struct Turn<'a> {
    shapes: &'a [Shape],
    owned: &'a Owned,
    discover: Discover,
    survivor: String,
    sources: Vec<String>,
}

/// Merges groups whose accounts are of this kind.
pub(super) fn merge(
    shapes: &'static [Shape],
    kind: Kind,
    groups: &[Group],
    before: &Tables,
    discover: Discover,
) -> Outcome {
    let mut owned = Owned::new();
    for shape in shapes {
        for key in before[shape.name].keys() {
            owned.entry((shape.name, key[shape.account].clone())).or_default().push(key.clone());
        }
    }
    let mut outcome = Outcome { tables: before.clone(), ..Outcome::default() };
    for shape in shapes {
        outcome.tallies.insert(shape.name, Tally::default());
    }
    for group in groups {
        let turn = Turn {
            shapes,
            owned: &owned,
            discover,
            survivor: kind.literal(&group.survivor),
            sources: group.sources.iter().map(|source| kind.literal(source)).collect(),
        };
        turn.merge(&mut outcome);
    }
    map_mentions(shapes, kind, groups, &mut outcome.tables);
    outcome
}

/// Whoever names a source names its survivor, in whatever row.
fn map_mentions(shapes: &[Shape], kind: Kind, groups: &[Group], tables: &mut Tables) {
    let mut survivors = BTreeMap::new();
    for group in groups {
        for source in &group.sources {
            survivors.insert(kind.literal(source), kind.literal(&group.survivor));
        }
    }
    for shape in shapes {
        for cells in tables.get_mut(shape.name).expect("every table is there").values_mut() {
            for column in shape.mentions() {
                if let Some(named) = cells.get_mut(column)
                    && let Some(survivor) = survivors.get(named)
                {
                    named.clone_from(survivor);
                }
            }
        }
    }
}

/// The values of the partition key beside the account.
pub(super) fn scope_of(shape: &Shape, key: &[String]) -> Key {
    let partition = key[..shape.partition].iter().enumerate();
    partition.filter(|(at, _)| *at != shape.account).map(|(_, value)| value.clone()).collect()
}

/// The value of a column, be it of the key or not.
fn value<'a>(shape: &Shape, column: &str, key: &'a [String], cells: &'a Cells) -> Option<&'a str> {
    let at = shape.columns.iter().position(|(name, _)| *name == column).expect("it is a column");
    key.get(at).or_else(|| cells.get(column)).map(String::as_str)
}

impl Turn<'_> {
    fn shape(&self, name: &str) -> &Shape {
        self.shapes.iter().find(|shape| shape.name == name).expect("it is described")
    }

    fn rows_of(&self, table: &'static str, account: &str) -> &[Key] {
        self.owned.get(&(table, account.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// Where the group has rows of a table, and those of its sources: what leads there is found first.
    fn find(&self, shape: &Shape, tables: &Tables) -> Finding {
        let parts = if matches!(shape.find, Find::Own) { Vec::new() } else { shape.parts() };
        let through = parts.iter().find_map(|part| match part {
            Part::From(table, _) => Some(self.shape(table)),
            Part::Value(_) => None,
        });
        let scope = |row: Option<&Found>| -> Option<Key> {
            let value = |part: &Part| match part {
                Part::Value(value) => Some((*value).to_owned()),
                Part::From(_, column) => {
                    let (through, row) = (through?, row?);
                    value(through, column, &row.key, &row.cells).map(str::to_owned)
                }
            };
            parts.iter().map(value).collect()
        };
        let mut scopes = BTreeSet::new();
        match through {
            None => scopes.extend(scope(None)),
            Some(through) => {
                let leading = self.find(through, tables);
                scopes.extend(leading.rows.iter().filter_map(|row| scope(Some(row))));
            }
        }
        let led = scopes.clone();
        if through.is_some() && self.discover == Discover::Scan {
            scopes.extend(self.own_scopes(shape, &parts));
        }
        let mut rows = Vec::new();
        for (source, account) in self.sources.iter().enumerate() {
            let keys = self.rows_of(shape.name, account).iter();
            for key in keys.filter(|key| scopes.contains(&scope_of(shape, key))) {
                let cells = tables[shape.name][key].clone();
                rows.push(Found { source, key: key.clone(), cells });
            }
        }
        Finding { led, scopes, rows }
    }

    /// Where sources own rows with the constants that are merged.
    fn own_scopes(&self, shape: &Shape, parts: &[Part]) -> BTreeSet<Key> {
        let keys = self.sources.iter().flat_map(|source| self.rows_of(shape.name, source));
        let scopes = keys.map(|key| scope_of(shape, key));
        let admits = |scope: &Key| {
            parts.iter().zip(scope).all(|(part, value)| match part {
                Part::Value(constant) => constant == value,
                Part::From(..) => true,
            })
        };
        scopes.filter(admits).collect()
    }

    fn merge(&self, outcome: &mut Outcome) {
        // Everything is found before anything is changed: groups have no row in common.
        let found: Vec<_> =
            self.shapes.iter().map(|shape| (shape, self.find(shape, &outcome.tables))).collect();
        let mut absent: BTreeSet<usize> = (0..self.sources.len()).collect();
        let mut survivor_is_absent = true;
        let mut changed = BTreeSet::new();
        for (shape, Finding { led, scopes, rows }) in found {
            let own = self.rows_of(shape.name, &self.survivor).iter();
            survivor_is_absent &= !own.clone().any(|key| scopes.contains(&scope_of(shape, key)));
            let is_missed = |row: &&Found| !led.contains(&scope_of(shape, &row.key));
            outcome.missed += rows.iter().filter(is_missed).count() as u64;
            for row in rows {
                absent.remove(&row.source);
                if let Some(key) = self.merge_row(shape, row, outcome) {
                    let course = shape.columns.iter().position(|(name, _)| *name == "courseid");
                    let leads = ["members", "user_enrolments"].contains(&shape.name);
                    changed.extend(course.filter(|_| leads).map(|at| key[at].clone()));
                }
            }
        }
        outcome.absent_sources += absent.len() as u64;
        outcome.absent_survivors += u64::from(survivor_is_absent);
        for course in changed {
            let key = vec![course.clone(), self.survivor.clone()];
            if outcome.tables.get("members").is_some_and(|members| members.contains_key(&key)) {
                outcome.announced.insert((course, self.survivor.clone()));
            }
        }
    }

    /// Gives the survivor's key if its row changes.
    fn merge_row(&self, shape: &Shape, row: Found, outcome: &mut Outcome) -> Option<Key> {
        let Found { source, key, cells } = row;
        let mut to = key.clone();
        to[shape.account].clone_from(&self.survivor);
        let is_own = self.rows_of(shape.name, &self.survivor).contains(&to);
        let rows: &mut Rows = outcome.tables.get_mut(shape.name).expect("every table is there");
        let tally = outcome.tallies.get_mut(shape.name).expect("every table is there");
        tally.source_rows += 1;
        let is_changed = match rows.get_mut(&to) {
            None => {
                rows.insert(to.clone(), cells);
                tally.copied += 1;
                true
            }
            Some(kept) => {
                let is_better = combine(shape, kept, &cells);
                tally.merged += u64::from(is_better);
                tally.unchanged += u64::from(!is_better);
                is_better
            }
        };
        if !shape.keeps_source {
            rows.remove(&key);
            tally.deleted += 1;
        }
        if is_own {
            let known = outcome
                .conflicts
                .iter_mut()
                .find(|conflict| conflict.table == shape.name && conflict.key == to);
            match known {
                Some(conflict) => conflict.is_merged |= is_changed,
                None => outcome.conflicts.push(Conflict {
                    table: shape.name,
                    survivor: self.survivor.clone(),
                    source: self.sources[source].clone(),
                    key: to.clone(),
                    is_merged: is_changed,
                }),
            }
        }
        is_changed.then_some(to)
    }
}

/// Puts what the policies prefer into the row that stays; gives whether it changes.
pub(super) fn combine(shape: &Shape, kept: &mut Cells, offered: &Cells) -> bool {
    let mut is_changed = false;
    for (name, of) in &shape.columns[shape.key..] {
        let Some(offered) = offered.get(name) else { continue };
        let is_better = |wanted: Ordering| {
            kept.get(name).is_none_or(|kept| compare(of, offered, kept) == wanted)
        };
        let is_better = match shape.policy(name) {
            Policy::Max => is_better(Ordering::Greater),
            Policy::Min => is_better(Ordering::Less),
            Policy::KeepTarget => false,
        };
        if is_better {
            kept.insert(name, offered.clone());
            is_changed = true;
        }
    }
    is_changed
}
