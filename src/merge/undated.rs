//! Elements of maps and sets whose times on the source are not known: where they stand at the survivor's, and how they
//! are taken from the source.

use bytes::Bytes;

use crate::model::{Elements, TimedRow};
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
