//! Elements of maps and sets whose times on the source are not known: where they stand at the survivor's, and how they
//! are taken from the source.

use bytes::Bytes;

use crate::model::{Cell, Elements, TimedRow, TimestampUs, WriteTimes};
use crate::spec::Table;

use super::swept::{Swept, SweptCell};

impl SweptCell {
    /// Whether its time on the source is not known: only then it is written with an earlier one.
    pub(crate) fn is_undated(&self) -> bool {
        self.moved_at.is_some_and(|moved_at| moved_at < self.t)
    }

    /// Whether a row has an element of its key.
    pub(super) fn has_key_in(&self, table: &Table, row: &TimedRow) -> bool {
        let elements = self.elements_in(table, row).unwrap_or_default();
        elements.iter().any(|(key, _)| self.element.as_ref() == Some(key))
    }

    /// The value that a row has in its place.
    pub(super) fn value_in(&self, table: &Table, row: &TimedRow) -> Option<Option<Bytes>> {
        match &self.element {
            None => row.row.cells[self.column].clone().map(Some),
            Some(key) => {
                let mut elements = self.elements_in(table, row)?.into_iter();
                elements.find(|(known, _)| known == key).map(|(_, value)| value)
            }
        }
    }

    /// The entry of its key that a row has, and its write time, as far as they are known.
    pub(super) fn found_in(&self, table: &Table, row: &TimedRow) -> (Cell, Option<TimestampUs>) {
        let elements = self.elements_in(table, row).unwrap_or_default();
        let at = elements.iter().position(|(key, _)| self.element.as_ref() == Some(key));
        let Some(at) = at else { return (None, None) };
        let t = match &row.times[self.column] {
            WriteTimes::Elements(times) => times.get(at).copied(),
            _ => None,
        };
        (elements[at].1.clone(), t)
    }

    /// Lays it over the entry of its key in a row, if it goes there and is later.
    pub(super) fn lay_over(&self, table: &Table, row: &mut TimedRow) {
        let column = &table.columns[self.column].cql_type;
        let (Some(moved_at), Some(key), Some(collection)) =
            (self.moved_at, &self.element, column.collection())
        else {
            return;
        };
        let mut elements = self.elements_in(table, row).unwrap_or_default();
        let mut times = match &row.times[self.column] {
            WriteTimes::Elements(times) => times.clone(),
            WriteTimes::Unknown => return,
            _ => Vec::new(),
        };
        match elements.iter().position(|(known, _)| known == key) {
            Some(at) if times.get(at).is_none_or(|known| *known < moved_at) => {
                elements[at].1.clone_from(&self.value);
                times.resize(elements.len(), moved_at);
                times[at] = moved_at;
            }
            Some(_) => return,
            None => {
                elements.push((key.clone(), self.value.clone()));
                times.push(moved_at);
            }
        }
        let all = elements.iter().map(|(key, value)| (key, value.as_ref()));
        row.row.cells[self.column] = Some(collection.join(all));
        row.times[self.column] = WriteTimes::Elements(times);
    }

    fn elements_in(&self, table: &Table, row: &TimedRow) -> Option<Elements> {
        let collection = table.columns[self.column].cql_type.collection()?;
        collection.split(row.row.cells[self.column].as_ref()?)
    }

    fn holds(&self, element: &Bytes, value: Option<&Bytes>) -> bool {
        self.element.as_ref() == Some(element) && self.value.as_ref() == value
    }
}

impl Swept {
    /// The elements that do not stand where they were moved to, dated below any later write: both accounts
    /// wrote them since, or the survivor's was deleted. `found` is the survivor's row afterwards.
    pub(crate) fn hidden(&self, table: &Table, found: Option<&TimedRow>) -> Vec<&SweptCell> {
        let stands = |cell: &SweptCell| {
            let elements = found.and_then(|found| cell.elements_in(table, found));
            elements.is_some_and(|all| all.iter().any(|(k, v)| cell.holds(k, v.as_ref())))
        };
        self.cells.iter().filter(|cell| cell.is_undated() && !stands(cell)).collect()
    }

    /// Whether it has elements whose times on the source are not known.
    pub(crate) fn is_undated(&self) -> bool {
        self.cells.iter().any(SweptCell::is_undated)
    }
}

#[cfg(test)]
mod tests;
