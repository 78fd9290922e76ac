//! One key of a table: what the accounts of a group held there (the before-images), and what the merge
//! writes. It is all that is needed to merge the key, to merge it again, to verify it and to undo it.

use bytes::Bytes;

use crate::model::{
    AccountId, Cell, Change, ColumnIndex, Expiries, ExpiryS, Row, TableIndex, TimestampUs, expiry,
};
use crate::spec::Table;

/// One key of a table. Rows are held once: a copy refers to the source's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub table: TableIndex,
    /// The survivor's row before the merge, slim (the key and what policies and events look at).
    pub target: Option<Row>,
    /// The sources' rows before the merge, full, in merge order, each with its source's index in the
    /// group.
    pub sources: Vec<(usize, Row)>,
    /// What is written to the survivor's row.
    pub write: Write,
    /// What of that has [expired](Self::expire) by now.
    pub over: Expiries,
}

/// What the merge writes to the survivor's row of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// The survivor's row stays as it is; or there is none, and the sources' rows are [dropped](Entry::is_dropped).
    Nothing,
    /// The first source's row, under the survivor, with some values of further sources.
    Copy {
        /// Those values, by column.
        set: Vec<Set>,
    },
    /// The whole row of a source, under the survivor, in the place of its own or of an earlier source's: columns that
    /// it lacks are deleted.
    Replace {
        /// The position of that row among the entry's.
        with: usize,
    },
    /// Values of sources in the survivor's own row.
    Update {
        /// Those values, by column.
        set: Vec<Set>,
    },
}

/// What a column of the survivor's row holds from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    pub column: ColumnIndex,
    /// Null where a cell is deleted.
    pub value: Cell,
    /// When the value expires, if it does.
    pub expires: Option<ExpiryS>,
}

impl Set {
    /// A value that does not expire.
    pub fn to(column: ColumnIndex, value: Bytes) -> Self {
        Self { column, value: Some(value), expires: None }
    }
}

impl Entry {
    /// A row of anybody's that mentions a source, and names the survivor from now on. `found` is the row as it is, slim.
    pub(crate) fn mention(
        table: TableIndex,
        shape: &Table,
        found: Row,
        survivor: &AccountId,
    ) -> Self {
        let set = vec![Set::to(shape.account, survivor.cell().clone())];
        Self { target: Some(found), write: Write::Update { set }, ..Self::new(table) }
    }

    /// A key that nobody holds, and at which nothing is written.
    pub fn new(table: TableIndex) -> Self {
        let (sources, over) = Default::default();
        Self { table, target: None, sources, write: Write::Nothing, over }
    }

    /// Has a copied row mention whom the accounts that it names are by the whole plan; `now` says that of a source.
    pub(crate) fn map_mentions(&mut self, table: &Table, now: impl Fn(&Bytes) -> Option<Bytes>) {
        for column in &table.mentions {
            let mapped = self.written(*column).and_then(Option::as_ref).and_then(&now);
            let (Some(mapped), Write::Copy { set }) = (mapped, &mut self.write) else { continue };
            set.retain(|set| set.column != *column);
            set.push(Set::to(*column, mapped));
        }
    }

    /// Has a row not be copied that would name the survivor twice, where that is the rule; gives whether it is.
    pub(crate) fn drop_oneself(&mut self, table: &Table, survivor: &AccountId) -> bool {
        let drops = self.target.is_none()
            && self.sources.first().is_some_and(|(_, row)| table.is_oneself(&row.cells, survivor));
        if drops {
            self.write = Write::Nothing;
        }
        drops
    }

    /// Whether the sources' rows go and the survivor gets none.
    pub(crate) fn is_dropped(&self) -> bool {
        self.write == Write::Nothing && self.target.is_none() && !self.sources.is_empty()
    }

    /// The row that stays: the survivor's own, or the first source's.
    pub(crate) fn base(&self) -> Option<&Row> {
        self.target.as_ref().or_else(|| self.sources.first().map(|(_, row)| row))
    }

    /// Whether the survivor's row changes.
    pub(crate) fn is_written(&self) -> bool {
        self.write != Write::Nothing
    }

    /// The primary key of the row of `account`, in column order.
    pub fn key_of(&self, table: &Table, account: &AccountId) -> Vec<Bytes> {
        let mut key = self.base().map(|row| table.key_of(row)).unwrap_or_default();
        table.set_account(&mut key, account);
        key
    }

    /// What the policies or a copy leave in the survivor's row, by column: of a copy all columns that are not null, of
    /// an update those that change. Null is what a policy has deleted, or left out of a copy.
    pub fn written(&self, column: ColumnIndex) -> Option<&Cell> {
        if self.over.of(column).is_some() {
            return None;
        }
        match self.set().iter().find(|set| set.column == column) {
            Some(set) => Some(&set.value),
            None => self.copied()?.cells.get(column).filter(|cell| cell.is_some()),
        }
    }

    /// What the policies leave in the survivor's row.
    fn set(&self) -> &[Set] {
        match &self.write {
            Write::Nothing | Write::Replace { .. } => &[],
            Write::Copy { set } | Write::Update { set } => set,
        }
    }

    /// The source's row that is written as a whole, but for what the policies leave.
    fn copied(&self) -> Option<&Row> {
        match &self.write {
            Write::Nothing | Write::Update { .. } => None,
            Write::Copy { .. } => self.sources.first().map(|(_, row)| row),
            Write::Replace { .. } => self.replacing(),
        }
    }

    /// When the value expires that is written to a column of the survivor's row.
    pub(crate) fn expires(&self, column: ColumnIndex) -> Option<ExpiryS> {
        if let Some(expired) = self.over.of(column) {
            return Some(expired);
        }
        match self.set().iter().find(|set| set.column == column) {
            Some(set) => set.expires,
            None => self.copied()?.expires.of(column),
        }
    }

    /// Has what is over be null in its rows, and takes what is over of what is written for expired as well.
    pub(crate) fn expire(&mut self, now: TimestampUs) {
        let mut rows = self.sources.iter().map(|(_, row)| row).chain(&self.target);
        if rows.all(|row| row.expires.is_empty()) {
            return;
        }
        let columns = 0..self.sources.iter().map(|(_, row)| row.cells.len()).max().unwrap_or(0);
        let over = columns.filter_map(|column| {
            self.written(column)?;
            Some((column, self.expires(column).filter(|expires| expiry::is_over(*expires, now))?))
        });
        self.over = over.collect();
        let rows = self.sources.iter_mut().map(|(_, row)| row);
        rows.chain(&mut self.target).for_each(|row| row.expire(now));
    }

    /// Whether it is a copy of which nothing is left: its cells have expired, or gave way to nulls. Where TTLs are carried a
    /// row lasts as long as its cells do.
    pub(crate) fn has_expired(&self, table: &Table) -> bool {
        let mut columns = table.key_len..table.columns.len();
        let is_copy = matches!(self.write, Write::Copy { .. } | Write::Replace { .. });
        is_copy
            && self.target.is_none()
            && table.carries_ttls
            && columns.all(|column| self.written(column).is_none_or(Option::is_none))
    }

    /// Whether the survivor's own row may be gone because all that is known of it was deleted: where TTLs are carried it
    /// lasts as long as its cells do.
    pub(crate) fn may_vanish(&self, table: &Table) -> bool {
        let Some(own) = self.target.as_ref().filter(|_| table.carries_ttls) else { return false };
        let columns = table.key_len..own.cells.len();
        let mut held = columns.filter(|column| own.cells[*column].is_some()).peekable();
        held.peek().is_some() && held.all(|column| self.written(column) == Some(&None))
    }

    /// The row that takes the place of the survivor's, or of an earlier source's.
    fn replacing(&self) -> Option<&Row> {
        match &self.write {
            Write::Replace { with } => self.sources.get(*with).map(|(_, row)| row),
            _ => None,
        }
    }

    /// What becomes of the columns of the survivor's own row where another one takes its place: those that differ. Where
    /// nobody tells whether the survivor's value expires, one that is the same is written as well.
    pub(crate) fn replaced(&self, table: &Table) -> Option<Vec<(ColumnIndex, Cell)>> {
        let (own, row) = (self.target.as_ref()?, self.replacing()?);
        let columns = table.key_len..table.columns.len();
        let differs = |column: &ColumnIndex| {
            let lasts_as_long = match table.carries_ttls {
                true => own.expires.of(*column) == row.expires.of(*column),
                false => own.cells[*column].is_none(),
            };
            own.cells.get(*column) != row.cells.get(*column) || !lasts_as_long
        };
        Some(columns.filter(differs).map(|column| (column, row.cells[column].clone())).collect())
    }

    /// The lists of a copy, or of the survivor's own row, which are written beside the rest of it.
    pub(crate) fn lists(&self, table: &Table) -> impl Iterator<Item = (ColumnIndex, Bytes)> {
        table.lists().filter_map(|column| Some((column, self.written(column)?.clone()?)))
    }

    /// The changes of the survivor's row, if there are any: the first one, and lists, which belong to it. Where all that the row holds may be deleted, the row itself is written, so that it is still there.
    pub(crate) fn changes(
        &self,
        table: &Table,
        survivor: &AccountId,
    ) -> impl Iterator<Item = Change> {
        let lists = self
            .lists(table)
            .map(|(column, value)| Change::set_list(self.key_of(table, survivor), column, value));
        let stays = self.may_empty(table).then(|| {
            let mut cells: Vec<Cell> = self.key_of(table, survivor).into_iter().map(Some).collect();
            cells.resize(table.columns.len(), None);
            Change::Insert { row: Row::new(cells) }
        });
        self.change(table, survivor).into_iter().chain(stays).chain(lists)
    }

    /// Whether the survivor's own row may hold nothing any more. Where TTLs are carried a row lasts as long as its cells.
    fn may_empty(&self, table: &Table) -> bool {
        let is_bare = |row: &Row| row.cells[table.key_len..].iter().all(Option::is_none);
        let empties = match &self.write {
            Write::Nothing | Write::Copy { .. } => false,
            Write::Update { set } => set.iter().any(|set| set.value.is_none()),
            Write::Replace { .. } => self.replacing().is_some_and(is_bare),
        };
        empties && self.target.is_some() && !table.carries_ttls
    }

    /// The change of the survivor's row, if there is one, but for lists.
    pub fn change(&self, table: &Table, survivor: &AccountId) -> Option<Change> {
        match &self.write {
            Write::Nothing => None,
            Write::Replace { .. } => Some(match self.replaced(table) {
                Some(set) => {
                    let key = self.key_of(table, survivor);
                    Change::update_until(key, set, |column| self.expires(column))
                }
                None => {
                    let mut row = self.replacing()?.clone();
                    row.cells[table.account] = Some(survivor.cell().clone());
                    Change::Insert { row }
                }
            }),
            Write::Copy { .. } if self.has_expired(table) => None,
            Write::Copy { set } => {
                let mut row = self.sources.first()?.1.clone();
                row.cells[table.account] = Some(survivor.cell().clone());
                for Set { column, value, expires } in set {
                    row.cells[*column].clone_from(value);
                    row.expires.set(*column, *expires);
                }
                Some(Change::Insert { row })
            }
            Write::Update { set } => {
                let is_list = |set: &&Set| table.lists().any(|list| list == set.column);
                let set = set.iter().filter(|set| set.value.is_none() || !is_list(set));
                let set: Vec<_> = set.map(|set| (set.column, set.value.clone())).collect();
                let key = self.key_of(table, survivor);
                let update = |set| Change::update_until(key, set, |column| self.expires(column));
                (!set.is_empty()).then(|| update(set))
            }
        }
    }

    /// The deletes of the sources' rows, in merge order, where they go row by row.
    pub fn deletes(&self, table: &Table) -> impl Iterator<Item = Change> {
        let by_row = table.delete_source && !table.owns_partitions();
        self.sources
            .iter()
            .filter(move |_| by_row)
            .map(|(_, row)| Change::DeleteRow { key: table.key_of(row) })
    }

    /// The bytes that its rows hold, for bounds in bytes.
    pub fn size_bytes(&self) -> usize {
        let rows = self.target.iter().chain(self.sources.iter().map(|(_, row)| row));
        rows.map(Row::size_bytes).sum()
    }

    /// A value of the row as it will be; columns beyond the key are those that the survivor's rows are
    /// read with.
    pub fn result(&self, column: ColumnIndex) -> Option<&Bytes> {
        match (self.written(column), self.replacing()) {
            (Some(written), _) => written.as_ref(),
            (None, Some(_)) => None,
            (None, None) => self.base()?.cells.get(column)?.as_ref(),
        }
    }
}
