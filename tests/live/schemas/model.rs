//! What a run over drawn tables must leave behind, by the manual alone: group by group, table by table, source by source,
//! row by row. It shares no code with the tool.

use std::collections::{BTreeMap, BTreeSet};

use super::draw::{Find, Part, Policy, Table, Type};
use super::rows::is_near;
use super::values;
use crate::model::{Group, Tally};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    One(String),
    Set(BTreeSet<String>),
    Map(BTreeMap<String, String>),
    List(Vec<String>),
}

/// A value and when it expires, in seconds since 1970.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cell {
    pub(super) value: Value,
    pub(super) expires: Option<i64>,
    /// When it was written, where it was there before.
    pub(super) written: Option<i64>,
}

pub(super) type Key = Vec<String>;
/// By column; what is null, or empty and not frozen, is not there.
pub(super) type Cells = BTreeMap<usize, Cell>;
pub(super) type Rows = BTreeMap<Key, Cells>;

/// What somebody writes to a source once it is merged.
#[derive(Clone, Debug)]
pub(super) struct Late {
    pub(super) table: usize,
    pub(super) key: Key,
    pub(super) cells: Cells,
}

/// Groups, with accounts as literals, and the rows before.
pub(super) struct Model<'a> {
    pub(super) tables: &'a [Table],
    pub(super) groups: &'a [Group],
    pub(super) before: &'a [Rows],
    /// Whether a scan finds what nothing leads to.
    pub(super) scans: bool,
}

/// What a run leaves.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) rows: Vec<Rows>,
    pub(super) tallies: Vec<Tally>,
    /// The keys of the sources' rows that were found, by table.
    pub(super) found: Vec<Vec<Key>>,
    /// The keys of the survivors' rows that changed, by table.
    pub(super) changed: Vec<BTreeSet<Key>>,
    /// Rows that are left on their sources, and listed.
    pub(super) left: usize,
}

impl Table {
    fn account_of<'a>(&self, key: &'a [String]) -> Option<&'a String> {
        Some(&key[self.account?])
    }

    pub(super) fn with_account(&self, key: &[String], account: &str) -> Key {
        let mut key = key.to_vec();
        if let Some(at) = self.account {
            account.clone_into(&mut key[at]);
        }
        key
    }

    fn scope_of(&self, key: &[String]) -> Key {
        self.scope().map(|at| key[at].clone()).collect()
    }
}

impl Model<'_> {
    pub(super) fn merge(&self) -> Outcome {
        let mut outcome = Outcome {
            rows: self.before.to_vec(),
            tallies: vec![Tally::default(); self.tables.len()],
            found: vec![Vec::new(); self.tables.len()],
            changed: vec![BTreeSet::new(); self.tables.len()],
            left: 0,
        };
        for group in self.groups {
            for (at, table) in self.tables.iter().enumerate() {
                for key in self.find(group, at) {
                    self.merge_row((at, table), group, &key, &mut outcome);
                    outcome.found[at].push(key);
                }
            }
        }
        let tables = self.tables.iter().zip(&mut outcome.rows);
        for (_, rows) in tables.filter(|(table, _)| table.carries_ttls) {
            // Such a row lasts as long as its cells do.
            rows.retain(|_, cells| !cells.is_empty());
        }
        self.map_mentions(&mut outcome.rows);
        outcome
    }

    /// The keys of the sources' rows, source by source.
    fn find(&self, group: &Group, at: usize) -> Vec<Key> {
        let table = &self.tables[at];
        let scopes = match &table.find {
            Find::Own | Find::Scan => None,
            Find::Parts(parts) => Some(self.scopes(group, parts)),
        };
        let admits = |key: &Key| {
            let scope = table.scope_of(key);
            let is_constant = |parts: &[Part]| {
                parts.iter().zip(&scope).all(|(part, value)| match part {
                    Part::Value(constant) => constant == value,
                    Part::From(..) => true,
                })
            };
            match (&scopes, &table.find) {
                (Some(scopes), Find::Parts(parts)) => {
                    let is_led = parts.iter().any(|part| matches!(part, Part::From(..)));
                    scopes.contains(&scope) || self.scans && is_led && is_constant(parts)
                }
                _ => true,
            }
        };
        let mut found = Vec::new();
        for source in &group.sources {
            let own = self.before[at].keys().filter(|key| table.account_of(key) == Some(source));
            found.extend(own.filter(|key| admits(key)).cloned());
        }
        found
    }

    /// Where the rows of sources lead.
    fn scopes(&self, group: &Group, parts: &[Part]) -> BTreeSet<Key> {
        let through = parts.iter().find_map(|part| match part {
            Part::From(table, _) => Some(*table),
            Part::Value(_) => None,
        });
        let Some(through) = through else {
            let nothing = Cells::new();
            let scope = parts.iter().map(|part| self.part(part, &[], &nothing));
            return scope.collect::<Option<Key>>().into_iter().collect();
        };
        let rows = self.find(group, through);
        let scope = |key: &Key| {
            let cells = &self.before[through][key];
            parts.iter().map(|part| self.part(part, key, cells)).collect::<Option<Key>>()
        };
        rows.iter().filter_map(scope).collect()
    }

    fn part(&self, part: &Part, key: &[String], cells: &Cells) -> Option<String> {
        match part {
            Part::Value(value) => Some((*value).to_owned()),
            Part::From(_, column) => match (key.get(*column), cells.get(column)) {
                (Some(value), _) => Some(value.clone()),
                (None, Some(Cell { value: Value::One(value), .. })) => Some(value.clone()),
                _ => None,
            },
        }
    }

    fn merge_row(
        &self,
        (at, table): (usize, &Table),
        group: &Group,
        key: &Key,
        outcome: &mut Outcome,
    ) {
        let to = table.with_account(key, &group.survivor);
        let mut offered = outcome.rows[at][key].clone();
        if !table.carries_ttls {
            offered.values_mut().for_each(|cell| cell.expires = None);
        }
        let tally = &mut outcome.tallies[at];
        tally.source_rows += 1;
        match outcome.rows[at].get_mut(&to) {
            None if table.drop_oneself.is_some_and(|other| to[other] == group.survivor) => {
                tally.unchanged += 1;
            }
            None => {
                tally.copied += 1;
                outcome.changed[at].insert(to.clone());
                outcome.rows[at].insert(to, offered);
            }
            Some(kept) => match combine(table, kept, &offered) {
                true => {
                    tally.merged += 1;
                    outcome.changed[at].insert(to);
                }
                false => tally.unchanged += 1,
            },
        }
        if !table.keeps_source {
            outcome.tallies[at].deleted += 1;
            outcome.rows[at].remove(key);
        }
    }

    /// Whoever names a source names its survivor, in whatever row.
    pub(super) fn map_mentions(&self, rows: &mut [Rows]) {
        let mut survivors = BTreeMap::new();
        for group in self.groups {
            survivors.extend(group.sources.iter().map(|source| (source, &group.survivor)));
        }
        for (table, rows) in self.tables.iter().zip(rows) {
            for cells in rows.values_mut() {
                for column in &table.mentions {
                    if let Some(Cell { value: Value::One(named), .. }) = cells.get_mut(column)
                        && let Some(survivor) = survivors.get(named)
                    {
                        (*survivor).clone_into(named);
                    }
                }
            }
        }
    }

    /// What the sweep makes of rows that were written to sources after the merge.
    pub(super) fn sweep(&self, late: &[Late], outcome: &mut Outcome) {
        for write in late {
            let table = &self.tables[write.table];
            let own = &self.before[write.table];
            let source =
                table.account_of(&write.key).expect("only accounts' rows are written late");
            let group = self.groups.iter().find(|group| group.sources.contains(source));
            let group = group.expect("only sources are written to late");
            let to = table.with_account(&write.key, &group.survivor);
            let rows = &mut outcome.rows[write.table];
            let is_left = write.cells.iter().any(|(column, cell)| {
                matches!(cell.value, Value::List(_))
                    || rows.contains_key(&to)
                        && (!table.ranking.is_empty() || table.policy(*column) == Policy::Sum)
            });
            // A row that the merge met none of is no row to lay over the survivor's.
            let was_merged = outcome.found[write.table].iter().any(|found| {
                let account = table.account_of(found);
                let is_ours = account.is_some_and(|account| group.sources.contains(account));
                is_ours && table.with_account(found, &group.survivor) == to
            });
            let is_left =
                is_left || table.keeps_source_rows && own.contains_key(&to) && !was_merged;
            if is_left {
                outcome.left += 1;
                rows.insert(write.key.clone(), write.cells.clone());
                continue;
            }
            let mut cells = write.cells.clone();
            if !table.carries_ttls {
                cells.values_mut().for_each(|cell| cell.expires = None);
            }
            match rows.get_mut(&to) {
                None => _ = rows.insert(to, cells),
                Some(kept) if own.contains_key(&to) && !table.keeps_source_rows => {
                    late_combine(table, kept, &cells);
                }
                Some(kept) => lay_over(table, kept, &cells),
            }
        }
        self.map_mentions(&mut outcome.rows);
    }

    /// What somebody writes to rows of survivors while sources are written to as well: it is there when the sweep looks,
    /// and is the later write of the two, or the earlier.
    pub(super) fn contest(
        &self,
        own: &[Late],
        late: &[Late],
        are_later: bool,
        outcome: &mut Outcome,
    ) {
        let write = |rows: &mut [Rows], is_ours: &dyn Fn(&Table, usize) -> bool| {
            for write in own {
                let row = rows[write.table].entry(write.key.clone()).or_default();
                let table = &self.tables[write.table];
                let cells = write.cells.iter().filter(|(column, _)| is_ours(table, **column));
                cells.for_each(|(column, cell)| join(row, *column, cell));
            }
        };
        write(&mut outcome.rows, &|_, _| true);
        self.sweep(late, outcome);
        if are_later {
            write(&mut outcome.rows, &|table, column| {
                let by_time = [Policy::KeepTarget, Policy::KeepSource, Policy::Latest];
                by_time.contains(&table.policy(column))
            });
        }
        self.map_mentions(&mut outcome.rows);
    }

    /// The rows once everything is undone.
    pub(super) fn undone(&self, late: &[Late]) -> Vec<Rows> {
        let mut rows = self.before.to_vec();
        for write in late {
            let row = rows[write.table].entry(write.key.clone()).or_default();
            for (column, cell) in &write.cells {
                join(row, *column, cell);
            }
        }
        rows
    }
}

/// A later write: elements join those that are there, other values take the place of others.
fn join(row: &mut Cells, column: usize, cell: &Cell) {
    match (row.get_mut(&column), &cell.value) {
        (Some(Cell { value: Value::Set(known), .. }), Value::Set(added)) => {
            known.extend(added.iter().cloned());
        }
        (Some(Cell { value: Value::Map(known), .. }), Value::Map(added)) => {
            known.extend(added.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
        _ => _ = row.insert(column, cell.clone()),
    }
}

/// What comes late to a row that was copied counts, unless a policy decides.
fn lay_over(table: &Table, kept: &mut Cells, late: &Cells) {
    for (column, cell) in late {
        match table.policy(*column) {
            Policy::KeepTarget | Policy::KeepSource | Policy::Latest | Policy::Union => {
                join(kept, *column, cell);
            }
            policy => _ = combine_cell(table, (*column, policy), kept, cell),
        }
    }
}

/// Puts what the specification prefers into the row that stays; gives whether it changes.
fn combine(table: &Table, kept: &mut Cells, offered: &Cells) -> bool {
    if !table.ranking.is_empty() {
        let rank = |cells: &Cells| -> Vec<Option<usize>> {
            let rank = |column: &usize| match &cells.get(column)?.value {
                Value::One(value) => Some(table.rank(*column, value)),
                other => panic!("{other:?} has no rank"),
            };
            table.ranking.iter().map(rank).collect()
        };
        let is_higher = rank(offered) > rank(kept);
        if is_higher {
            kept.clone_from(offered);
        }
        return is_higher;
    }
    let differs = |one: Option<&Cell>, other: Option<&Cell>| match (one, other) {
        (Some(one), Some(other)) => {
            one.value != other.value || table.carries_ttls && !is_near(one.expires, other.expires)
        }
        (one, other) => one.is_some() || other.is_some(),
    };
    if table.keeps_source_rows {
        let mut columns = table.key..table.columns.len();
        let is_changed = columns.any(|at| differs(kept.get(&at), offered.get(&at)));
        if is_changed {
            kept.clone_from(offered);
        }
        return is_changed;
    }
    let mut is_changed = false;
    for (column, policy) in &table.policies {
        if *policy == Policy::KeepSource && differs(kept.get(column), offered.get(column)) {
            is_changed = true;
            match offered.get(column) {
                Some(cell) => _ = kept.insert(*column, cell.clone()),
                None => _ = kept.remove(column),
            }
        }
    }
    for (column, policy) in &table.policies {
        let (Policy::Latest, Some(cell)) = (policy, offered.get(column)) else { continue };
        let own = kept.get(column);
        if own.is_none_or(|own| own.written < cell.written) {
            let is_other = differs(own, Some(cell));
            match kept.get_mut(column) {
                // Nothing is written, and it lasts as long as it did.
                Some(own) if !is_other => own.written = cell.written,
                _ => _ = kept.insert(*column, cell.clone()),
            }
            is_changed |= is_other;
        }
    }
    let is_done = |column| [Policy::KeepSource, Policy::Latest].contains(&table.policy(column));
    let others = offered.iter().filter(|(column, _)| !is_done(**column));
    let others = others.map(|(column, cell)| (*column, cell.clone())).collect();
    late_combine(table, kept, &others) || is_changed
}

/// The same of what comes late: what it does not name stays as it is.
fn late_combine(table: &Table, kept: &mut Cells, offered: &Cells) -> bool {
    let mut is_changed = false;
    for (column, cell) in offered {
        is_changed |= combine_cell(table, (*column, table.policy(*column)), kept, cell);
    }
    is_changed
}

fn combine_cell(
    table: &Table,
    (column, policy): (usize, Policy),
    kept: &mut Cells,
    offered: &Cell,
) -> bool {
    let Some(own) = kept.get_mut(&column) else {
        if policy == Policy::KeepTarget {
            return false;
        }
        kept.insert(column, offered.clone());
        return true;
    };
    if policy == Policy::KeepSource {
        let before = own.clone();
        join(kept, column, offered);
        return kept.get(&column) != Some(&before);
    }
    if policy == Policy::Latest {
        let is_changed = own != offered;
        own.clone_from(offered);
        return is_changed;
    }
    let lasts_longer = match (own.expires, offered.expires) {
        (Some(own), Some(offered)) => offered > own,
        (own, offered) => own.is_some() && offered.is_none(),
    };
    let rank = |value: &str| table.rank(column, value);
    if table.carries_ttls && policy != Policy::KeepTarget && own.value == offered.value {
        if lasts_longer {
            own.clone_from(offered);
        }
        return lasts_longer;
    }
    match (policy, &mut own.value, &offered.value) {
        (Policy::Max | Policy::Later, Value::One(known), Value::One(value)) => {
            let (known, value) = (rank(known), rank(value));
            let is_better = value > known;
            if is_better {
                own.clone_from(offered);
            }
            is_better
        }
        (Policy::Min | Policy::Earlier, Value::One(known), Value::One(value)) => {
            let no_date = |at: usize| policy == Policy::Earlier && at == 0;
            let (known, value) = (rank(known), rank(value));
            let is_better = if no_date(known) || no_date(value) {
                no_date(known) && !no_date(value)
            } else {
                value < known
            };
            if is_better {
                own.clone_from(offered);
            }
            is_better
        }
        (Policy::Sum, Value::One(known), Value::One(value)) => {
            let Type::One(of) = &table.columns[column].of else { panic!("a sum is of one number") };
            let total = values::sum(of, known, value);
            let is_changed = total != *known;
            *known = total;
            if is_changed {
                // It is written anew.
                own.expires = None;
            }
            is_changed
        }
        (Policy::Union, Value::List(known), Value::List(added)) => {
            // Counted one by one: what is there once stands for one.
            let (before, mut unmatched) = (known.len(), known.clone());
            for element in added {
                match unmatched.iter().position(|one| one == element) {
                    Some(at) => _ = unmatched.remove(at),
                    None => known.push(element.clone()),
                }
            }
            known.len() > before
        }
        (Policy::Union, Value::Set(known), Value::Set(added)) => {
            let before = known.len();
            known.extend(added.iter().cloned());
            known.len() > before
        }
        (
            Policy::Union | Policy::EachFirst | Policy::EachMax | Policy::EachMin,
            Value::Map(known),
            Value::Map(added),
        ) => {
            let mut is_changed = false;
            for (key, value) in added {
                let is_better = known.get(key).is_none_or(|known| match policy {
                    Policy::EachMax => rank(value) > rank(known),
                    Policy::EachMin => rank(value) < rank(known),
                    _ => false,
                });
                if is_better {
                    known.insert(key.clone(), value.clone());
                    is_changed = true;
                }
            }
            is_changed
        }
        _ => false,
    }
}
