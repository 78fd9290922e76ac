//! What the survivor's row of a key has to hold after a run: of a copy every column, of a row of its own
//! what the policies look at.

use bytes::Bytes;

use crate::history::History;
use crate::merge::SweptCell;
use crate::model::{
    AccountId, Cell, Collection, ColumnIndex, Elements, Expiries, Row, TimestampUs,
};
use crate::spec::{Survivorship, Table};

/// The survivor's row of one key, as the run left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    /// The primary key, in column order.
    pub(super) key: Vec<Bytes>,
    /// Whether the whole row is the run's own, so that all of it is known.
    pub(super) is_copy: bool,
    /// What each column beyond the key has to hold.
    pub(super) columns: Vec<(ColumnIndex, Kept)>,
    /// Which of that does not stay, and until when.
    pub(super) expires: Expiries,
    /// Whether there may be no row: it has expired as a whole, for nothing is known that would be left of it, or was dropped.
    pub(super) may_be_gone: bool,
}

/// What a column has to hold, and the write time that the run gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// Nothing.
    Null(TimestampUs),
    /// Nothing any more: what was there was deleted.
    Deleted(TimestampUs),
    /// Nothing of that time any more: it has expired.
    Expired(TimestampUs),
    Value(Bytes, TimestampUs),
    /// This value, or one that the policy prefers to it.
    AtLeast(Survivorship, Cell, TimestampUs),
    /// These elements, among others.
    Elements(Collection, Vec<Element>),
}

/// An element of a map or set that is not frozen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) key: Bytes,
    pub(super) value: Cell,
    pub(super) t: TimestampUs,
}

impl Expected {
    /// What the history of a key says.
    pub(super) fn of(table: &Table, history: &History, survivor: &AccountId) -> Self {
        let is_copy = history.is_copy();
        let columns = table.key_len..table.columns.len();
        let known = columns.filter(|column| history.knows(*column) && !history.is_dropped());
        let replaced = history.entry.as_ref().and_then(|entry| entry.replaced(table));
        let is_replaced = |column| {
            replaced.iter().flatten().any(|(own, _)| *own == column)
                || moved(history, column).next().is_some()
        };
        let kept = known.filter_map(|column| {
            let rule = table.survivorship.iter().find(|rule| rule.column == column);
            if history.is_in_doubt(column) {
                return None;
            }
            if let Some(t) = history.over(column) {
                return Some((column, Kept::Expired(t)));
            }
            if !is_copy && history.own_has_expired(column) {
                return None;
            }
            let kept = match (is_copy, rule) {
                (true, rule) => {
                    let rule = rule.filter(|rule| !rule.policy.adds() && rule.policy.is_computed());
                    let rule = rule.filter(|rule| !rule.cql_type.has_elements());
                    of_copy(table, history, column, rule)
                }
                // It has one column, and that was written.
                (false, _) if table.is_mention() => of_copy(table, history, column, None),
                (false, Some(rule)) if rule.policy.adds() => left(table, history, column)?,
                (false, Some(rule)) if !rule.policy.is_computed() => left(table, history, column)?,
                (false, Some(rule)) if rule.joins_elements() && !rule.unites_lists() => {
                    added(history, rule)?
                }
                (false, Some(rule)) if rule.cql_type.has_elements() => {
                    left(table, history, column)?
                }
                (false, Some(rule)) => of_own(history, rule),
                (false, None) if is_replaced(column) => {
                    match of_copy(table, history, column, None) {
                        Kept::Null(t) => Kept::Deleted(t),
                        kept => kept,
                    }
                }
                (false, None) => return None,
            };
            Some((column, kept))
        });
        let columns: Vec<_> = kept.collect();
        let expires = columns.iter().filter_map(|(at, _)| Some((*at, history.expires(*at)?)));
        let is_left = columns.iter().any(|(_, kept)| kept.value().is_some());
        let may_be_gone = history.is_dropped() || table.carries_ttls && !is_left;
        let key = history.key_of(table, survivor);
        Self { key, is_copy, expires: expires.collect(), may_be_gone, columns }
    }

    /// The whole row of a copy.
    pub(super) fn row(&self, table: &Table) -> Row {
        let mut cells: Vec<Cell> = self.key.iter().cloned().map(Some).collect();
        cells.resize(table.columns.len(), None);
        for (column, kept) in &self.columns {
            cells[*column] = kept.value();
        }
        Row::new(cells)
    }
}

/// One thing that the run wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WrittenPart {
    /// The value of a column; null where one was deleted.
    Cell(Cell),
    /// An element, with the value of a map's.
    Element(Bytes, Cell),
}

impl Kept {
    /// What the run wrote, with the time of each.
    pub(super) fn parts(&self) -> Vec<(TimestampUs, WrittenPart)> {
        match self {
            Self::Null(_) | Self::Expired(_) | Self::AtLeast(_, None, _) => Vec::new(),
            Self::Deleted(t) => vec![(*t, WrittenPart::Cell(None))],
            Self::Value(value, t) | Self::AtLeast(_, Some(value), t) => {
                vec![(*t, WrittenPart::Cell(Some(value.clone())))]
            }
            Self::Elements(_, elements) => {
                let part = |Element { key, value, t }: &Element| {
                    (*t, WrittenPart::Element(key.clone(), value.clone()))
                };
                elements.iter().map(part).collect()
            }
        }
    }

    /// The value as a whole.
    pub(super) fn value(&self) -> Cell {
        match self {
            Self::Null(_) | Self::Deleted(_) | Self::Expired(_) => None,
            Self::Value(value, _) => Some(value.clone()),
            Self::AtLeast(_, value, _) => value.clone(),
            Self::Elements(collection, elements) => Some(joined(*collection, elements)),
        }
    }
}

/// Elements as one value.
pub(super) fn joined(collection: Collection, elements: &[Element]) -> Bytes {
    collection.join(elements.iter().map(|element| (&element.key, element.value.as_ref())))
}

/// A column of a copy: what the merge wrote, and what sweeps wrote to it since; of two writes the later one.
fn of_copy(
    table: &Table,
    history: &History,
    column: ColumnIndex,
    rule: Option<&Survivorship>,
) -> Kept {
    let merged = history.entry.as_ref().and_then(|entry| entry.written(column)?.clone());
    let swept = moved(history, column);
    if let Some(collection) = table.columns[column].cql_type.collection() {
        return match of_elements(collection, merged.as_ref(), history.t, swept) {
            Some(elements) if elements.is_empty() => Kept::Null(history.t),
            Some(elements) => Kept::Elements(collection, elements),
            // Not a collection as we know it: compared as a whole, then.
            None => merged.map_or(Kept::Null(history.t), |value| Kept::Value(value, history.t)),
        };
    }
    let mut last = (merged, history.t);
    for (cell, t) in swept.filter(|(cell, _)| cell.element.is_none()) {
        if last.0.is_none() || t >= last.1 {
            last = (cell.written().clone(), t);
        }
    }
    match (rule, last) {
        (Some(rule), (value, t)) => Kept::AtLeast(rule.clone(), value, t),
        (None, (Some(value), t)) => Kept::Value(value, t),
        (None, (None, t)) => Kept::Null(t),
    }
}

/// The elements that the merge wrote, and those that sweeps added or replaced.
fn of_elements<'a>(
    collection: Collection,
    merged: Option<&Bytes>,
    t: TimestampUs,
    swept: impl Iterator<Item = (&'a SweptCell, TimestampUs)>,
) -> Option<Vec<Element>> {
    let merged: Elements = match merged {
        Some(value) => collection.split(value)?,
        None => Elements::new(),
    };
    let merged = merged.into_iter().map(|(key, value)| Element { key, value, t });
    let mut elements: Vec<Element> = merged.collect();
    for (cell, t) in swept {
        let Some(key) = &cell.element else { continue };
        let new = Element { key: key.clone(), value: cell.value.clone(), t };
        match elements.iter_mut().find(|known| known.key == *key) {
            Some(known) if known.t > t => {}
            Some(known) => *known = new,
            None => elements.push(new),
        }
    }
    Some(elements)
}

/// A policy column of a row of the survivor's own: the best of all that the run came across.
fn of_own(history: &History, rule: &Survivorship) -> Kept {
    let before = history.survivor_before().cell(rule.column).cloned();
    let merged = history.entry.iter().flat_map(|entry| &entry.sources);
    let merged = merged.filter_map(|(_, row)| row.cells.get(rule.column));
    let swept = history.swept.iter().flat_map(|swept| &swept.cells);
    let swept = swept.filter(|cell| cell.column == rule.column).map(|cell| &cell.value);
    let best = merged
        .chain(swept)
        .fold(before, |best, offered| rule.combine(&best, offered).map_or(best, Some));
    let t = moved(history, rule.column).map(|(_, t)| t).max();
    Kept::AtLeast(rule.clone(), best, t.map_or(history.t, |t| t.max(history.t)))
}

/// What the run left in a column of the survivor's own row, to be found exactly so; `None` if it left that alone.
fn left(table: &Table, history: &History, column: ColumnIndex) -> Option<Kept> {
    let left = history.left(table).into_iter().find(|left| left.column == column)?;
    Some(match left.value {
        Some(value) => Kept::Value(value, left.t),
        None => Kept::Deleted(left.t),
    })
}

/// The elements that the run added to those of the survivor's own row.
fn added(history: &History, rule: &Survivorship) -> Option<Kept> {
    let collection = rule.cql_type.collection()?;
    let own = history.survivor_before().cell(rule.column);
    let own = own.and_then(|own| collection.split(own)).unwrap_or_default();
    let merged = history.entry.as_ref().and_then(|entry| entry.written(rule.column)?.as_ref());
    let mut added = of_elements(collection, merged, history.t, moved(history, rule.column))?;
    let is_own = |element: &Element| {
        own.iter().any(|(key, value)| *key == element.key && *value == element.value)
    };
    added.retain(|element| !is_own(element));
    (!added.is_empty()).then_some(Kept::Elements(collection, added))
}

/// What sweeps wrote to a column of the survivor's row, with its write times, in the order of the sweeps.
fn moved(
    history: &History,
    column: ColumnIndex,
) -> impl Iterator<Item = (&SweptCell, TimestampUs)> {
    history.moved().filter(move |(_, cell)| cell.column == column).map(|(t, cell)| (cell, t))
}
