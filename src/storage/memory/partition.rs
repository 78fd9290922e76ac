//! One partition, with all that was deleted from it: which of two writes wins, and what a read sees.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::model::{Change, Collection, CqlType, Expiries, ExpiryS, Order, Row, TimestampUs};
use crate::spec::{Column, Table};
use crate::storage::{TimedRow, WriteTimes};

/// One partition: its rows by primary key, and its tombstone.
#[derive(Clone, Debug, Default)]
pub(super) struct Partition {
    deleted_at: Option<TimestampUs>,
    rows: BTreeMap<Vec<Bytes>, StoredRow>,
}

#[derive(Clone, Debug)]
struct StoredRow {
    deleted_at: Option<TimestampUs>,
    /// The liveness of the row itself: an insert sets it, an update does not.
    marker: Option<Marker>,
    /// One per column that is not part of the key.
    cells: Vec<Stored>,
}

/// Fields are in the order in which they decide which of two inserts wins: one that expires (at once, or at some moment) wins
/// over one of the same time that does not, and of two that do the one that lasts longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Marker {
    t: TimestampUs,
    has_expired: bool,
    expires: Option<ExpiryS>,
}

#[derive(Clone, Debug)]
enum Stored {
    Single(Option<Version>),
    /// A map or set that is not frozen: its elements by their own bytes (of a map, the keys').
    Elements {
        collection: Collection,
        order: Order,
        cleared_at: Option<TimestampUs>,
        elements: BTreeMap<Bytes, Version>,
    },
    /// A list that is not frozen: every write of an element gets a position of its own, behind the others.
    List {
        cleared_at: Option<TimestampUs>,
        elements: Vec<(TimestampUs, Bytes)>,
    },
}

/// What was last written. Fields are in the order in which they decide which of two writes wins: the
/// later one; of the same time a delete, else the one that expires, else the one that lasts longer, else the greater value,
/// byte by byte.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    t: TimestampUs,
    is_deleted: bool,
    expires: Option<ExpiryS>,
    value: Bytes,
}

/// Whether what expires then is still there; there is nothing that expires before the epoch.
fn lasts(expires: Option<ExpiryS>, now_s: ExpiryS) -> bool {
    expires.is_none_or(|expires| expires > now_s)
}

impl Partition {
    /// Makes a change that is sent at such a moment: what has expired by then is not written.
    pub(super) fn apply_at(
        &mut self,
        table: &Table,
        t: TimestampUs,
        change: &Change,
        now: TimestampUs,
    ) {
        let now_s = now.div_euclid(1_000_000);
        for (ttl, part) in change.with_ttls(table.key_len, now) {
            self.apply_part(table, t, &part, (ttl > 0).then_some(now_s + i64::from(ttl)));
        }
    }

    fn apply_part(
        &mut self,
        table: &Table,
        t: TimestampUs,
        change: &Change,
        expires: Option<ExpiryS>,
    ) {
        match change {
            Change::Insert { row } => {
                let (key, values) = row.cells.split_at(table.key_len);
                let stored = self.row(table, &key.iter().flatten().cloned().collect::<Vec<_>>());
                stored.marker = stored.marker.max(Some(Marker { t, has_expired: false, expires }));
                // Nulls of an insert are left unset.
                for (cell, value) in stored.cells.iter_mut().zip(values) {
                    if value.is_some() && !matches!(cell, Stored::List { .. }) {
                        cell.set(value.as_ref(), t, expires);
                    }
                }
            }
            Change::Update { key, set, .. } => {
                let stored = self.row(table, key);
                for (column, value) in set {
                    stored.cells[column - table.key_len].set(value.as_ref(), t, expires);
                }
            }
            Change::SetList { key, column, value, .. } => {
                self.row(table, key).cells[column - table.key_len].set(Some(value), t, expires);
            }
            Change::AddElements { key, column, elements } => {
                self.row(table, key).cells[column - table.key_len].add(elements, t);
            }
            Change::RemoveElements { key, column, keys } => {
                self.row(table, key).cells[column - table.key_len].remove(keys, t);
            }
            Change::ExpireRow { key } => {
                let stored = self.row(table, key);
                stored.marker = stored.marker.max(Some(Marker { t, has_expired: true, expires }));
            }
            Change::DeleteRow { key } => {
                let stored = self.row(table, key);
                stored.deleted_at = stored.deleted_at.max(Some(t));
            }
            Change::DeletePartition { .. } => self.deleted_at = self.deleted_at.max(Some(t)),
        }
    }

    /// Forgets what was deleted, and that it was.
    pub(super) fn compact(&mut self) {
        let of_all = self.deleted_at.take();
        for row in self.rows.values_mut() {
            let deleted_at = row.deleted_at.take().max(of_all);
            let is_kept = |marker: &Marker| !marker.has_expired && Some(marker.t) > deleted_at;
            row.marker = row.marker.filter(is_kept);
            row.cells.iter_mut().for_each(|cell| cell.compact(deleted_at));
        }
        self.rows.retain(|_, row| row.marker.is_some() || row.cells.iter().any(Stored::is_kept));
    }

    fn row(&mut self, table: &Table, key: &[Bytes]) -> &mut StoredRow {
        self.rows.entry(key.to_vec()).or_insert_with(|| {
            let cells = table.columns[table.key_len..].iter().map(Stored::of).collect();
            StoredRow { deleted_at: None, marker: None, cells }
        })
    }

    /// The rows that a read of the first `columns` columns sees, in clustering order; all their cells.
    /// What has expired by now is not there.
    pub(super) fn live(&self, table: &Table, columns: usize, now_s: ExpiryS) -> Vec<TimedRow> {
        let rows = self.rows.iter();
        let deleted_at = self.deleted_at;
        let live = rows.filter_map(|(key, row)| row.live(key, deleted_at, columns, now_s));
        let mut live: Vec<TimedRow> = live.collect();
        live.sort_by(|a, b| table.compare_in_partition(&a.row, &b.row));
        live
    }
}

impl StoredRow {
    /// The row as a read of the first `columns` columns sees it. A delete takes what is older than it, or
    /// as old.
    fn live(
        &self,
        key: &[Bytes],
        partition_deleted_at: Option<TimestampUs>,
        columns: usize,
        now_s: ExpiryS,
    ) -> Option<TimedRow> {
        let deleted_at = self.deleted_at.max(partition_deleted_at);
        let mut cells: Vec<_> = key.iter().cloned().map(Some).collect();
        let mut times = vec![WriteTimes::None; key.len()];
        let mut expires = Expiries::default();
        for stored in &self.cells {
            let (cell, written) = stored.live(deleted_at, now_s).unzip();
            expires.set(cells.len(), stored.expires().filter(|_| cell.is_some()));
            cells.push(cell);
            times.push(written.unwrap_or(WriteTimes::None));
        }
        let is_inserted = |marker: Marker| {
            let lasts = !marker.has_expired && lasts(marker.expires, now_s);
            lasts && Some(marker.t) > deleted_at
        };
        // Of columns that are not asked for while others are, Cassandra skips what is older than the row's
        // liveness, for that is enough for the row to be seen; it does so even if the liveness has expired.
        let skips = columns > key.len();
        let skipped_before = self.marker.filter(|_| skips).map(|marker| marker.t);
        let mut unasked = times[columns..].iter().filter_map(WriteTimes::latest);
        let is_seen = self.marker.is_some_and(is_inserted)
            || cells[key.len()..columns].iter().any(Option::is_some)
            || unasked.any(|t| Some(t) >= skipped_before);
        is_seen.then_some(TimedRow { row: Row { expires, ..Row::new(cells) }, times })
    }
}

impl Stored {
    fn of(column: &Column) -> Self {
        match column.cql_type.collection() {
            None if column.cql_type.is_list() => {
                Self::List { cleared_at: None, elements: Vec::new() }
            }
            None => Self::Single(None),
            Some(collection) => Self::Elements {
                collection,
                order: element_order(column),
                cleared_at: None,
                elements: BTreeMap::new(),
            },
        }
    }

    /// When it expires; elements do not, here.
    fn expires(&self) -> Option<ExpiryS> {
        match self {
            Self::Single(version) => version.as_ref()?.expires,
            Self::Elements { .. } | Self::List { .. } => None,
        }
    }

    /// Writes the whole cell, or deletes it.
    fn set(&mut self, value: Option<&Bytes>, t: TimestampUs, expires: Option<ExpiryS>) {
        match self {
            Self::Single(known) => {
                let is_deleted = value.is_none();
                let (expires, value) = (expires.filter(|_| !is_deleted), value.cloned());
                let value = value.unwrap_or_default();
                let new = Version { t, is_deleted, expires, value };
                *known = known.take().max(Some(new));
            }
            Self::Elements { cleared_at, .. } | Self::List { cleared_at, .. } => {
                // What was there is cleared just before, for the new elements have this very time.
                *cleared_at = (*cleared_at).max(Some(t.saturating_sub(1)));
                if let Some(value) = value {
                    self.add(value, t);
                }
            }
        }
    }

    fn compact(&mut self, deleted_at: Option<TimestampUs>) {
        let is_kept =
            |version: &Version, deleted_at| !version.is_deleted && Some(version.t) > deleted_at;
        match self {
            Self::Single(version) => *version = version.take().filter(|v| is_kept(v, deleted_at)),
            Self::Elements { cleared_at, elements, .. } => {
                let deleted_at = deleted_at.max(cleared_at.take());
                elements.retain(|_, version| is_kept(version, deleted_at));
            }
            Self::List { cleared_at, elements } => {
                let deleted_at = deleted_at.max(cleared_at.take());
                elements.retain(|(t, _)| Some(*t) > deleted_at);
            }
        }
    }

    /// Whether anything is left of it.
    fn is_kept(&self) -> bool {
        match self {
            Self::Single(version) => version.is_some(),
            Self::Elements { elements, .. } => !elements.is_empty(),
            Self::List { elements, .. } => !elements.is_empty(),
        }
    }

    fn add(&mut self, added: &Bytes, t: TimestampUs) {
        match self {
            Self::Single(_) => {}
            Self::Elements { collection, elements, .. } => {
                for (key, value) in collection.split(added).unwrap_or_default() {
                    let value = value.unwrap_or_default();
                    write(elements, key, Version { t, is_deleted: false, expires: None, value });
                }
            }
            Self::List { elements, .. } => {
                let added = Collection::Set.split(added).unwrap_or_default();
                elements.extend(added.into_iter().map(|(element, _)| (t, element)));
            }
        }
    }

    fn remove(&mut self, keys: &Bytes, t: TimestampUs) {
        if let Self::Elements { elements, .. } = self {
            for (key, _) in Collection::Set.split(keys).unwrap_or_default() {
                let value = Bytes::new();
                write(elements, key, Version { t, is_deleted: true, expires: None, value });
            }
        }
    }

    /// The value and its write times, if a read sees any of it.
    fn live(&self, deleted_at: Option<TimestampUs>, now_s: ExpiryS) -> Option<(Bytes, WriteTimes)> {
        let is_live = |version: &Version, deleted_at: Option<TimestampUs>| {
            !version.is_deleted && lasts(version.expires, now_s) && Some(version.t) > deleted_at
        };
        match self {
            Self::Single(version) => {
                let version = version.as_ref().filter(|version| is_live(version, deleted_at))?;
                Some((version.value.clone(), WriteTimes::Cell(version.t)))
            }
            Self::Elements { collection, order, cleared_at, elements } => {
                let deleted_at = deleted_at.max(*cleared_at);
                let mut live: Vec<_> =
                    elements.iter().filter(|(_, version)| is_live(version, deleted_at)).collect();
                live.sort_by(|(a, _), (b, _)| order.compare(a, b));
                let times: Vec<_> = live.iter().map(|(_, version)| version.t).collect();
                let elements = live.into_iter().map(|(key, version)| (key, Some(&version.value)));
                // A map or set without elements is null.
                (!times.is_empty())
                    .then(|| (collection.join(elements), WriteTimes::Elements(times)))
            }
            Self::List { cleared_at, elements } => {
                let deleted_at = deleted_at.max(*cleared_at);
                let live = elements.iter().filter(|(t, _)| Some(*t) > deleted_at);
                let (times, live): (Vec<_>, Vec<_>) = live.map(|(t, one)| (*t, one)).unzip();
                (!times.is_empty())
                    .then(|| (Collection::keys(live.into_iter()), WriteTimes::Elements(times)))
            }
        }
    }
}

fn write(elements: &mut BTreeMap<Bytes, Version>, key: Bytes, new: Version) {
    let known = elements.remove(&key);
    elements.insert(key, known.max(Some(new.clone())).unwrap_or(new));
}

/// The order of a map's keys or a set's elements; that of their bytes for types without one here.
fn element_order(column: &Column) -> Order {
    column.cql_type.element().and_then(CqlType::key_order).unwrap_or(Order::Bytes)
}

#[cfg(test)]
mod tests;
