//! When cells expire, and how a change is written so that what is left of their time is kept.
//!
//! A server tells how long a cell has left (`TTL`), and is told the same when one is written. Both are turned into the
//! moment at which it expires as soon as they are read, and back only when a statement is sent: however often, and however
//! late, a change is tried, the cell expires when it would have.
//!
//! What has expired in between is gone as it would be without a merge. A row that is written whole leaves it out. Where a
//! cell is written over another one it is null from then on: written while it lasted, it would have hidden that, too, so
//! that the outcome does not depend on when the attempt got through.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::change::Change;
use super::row::{ColumnIndex, Row, TimestampUs};

/// Seconds since the Unix epoch: the unit in which Cassandra lets cells expire.
pub type ExpiryS = i64;

/// How far the moments that were read and those at which copies expire may be apart: clocks of nodes differ, and the time
/// in which a request is under way counts.
pub(crate) const DOUBT_S: i64 = 5;

/// Moments of some columns of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moments(Vec<(ColumnIndex, i64)>);

/// Cells that expire, by column; the others do not.
pub type Expiries = Moments;

impl Moments {
    /// That of a column; `None` if it has none.
    pub fn of(&self, column: ColumnIndex) -> Option<i64> {
        let at = self.0.binary_search_by_key(&column, |(known, _)| *known).ok()?;
        Some(self.0[at].1)
    }

    /// Gives a column one, or none.
    pub fn set(&mut self, column: ColumnIndex, moment: Option<i64>) {
        let at = self.0.binary_search_by_key(&column, |(known, _)| *known);
        match (at, moment) {
            (Ok(at), Some(moment)) => self.0[at].1 = moment,
            (Ok(at), None) => drop(self.0.remove(at)),
            (Err(at), Some(moment)) => self.0.insert(at, (column, moment)),
            (Err(_), None) => {}
        }
    }

    /// Changes all of them.
    pub(crate) fn map(&mut self, by: impl Fn(i64) -> i64) {
        self.0.iter_mut().for_each(|(_, moment)| *moment = by(*moment));
    }

    /// Forgets all but the first `columns` columns.
    pub(crate) fn truncate(&mut self, columns: usize) {
        self.0.retain(|(column, _)| *column < columns);
    }

    /// Whether no column has one.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In the order of the columns.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (ColumnIndex, i64)> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<(ColumnIndex, i64)> for Moments {
    fn from_iter<I: IntoIterator<Item = (ColumnIndex, i64)>>(all: I) -> Self {
        let mut moments = Self::default();
        all.into_iter().for_each(|(column, moment)| moments.set(column, Some(moment)));
        moments
    }
}

/// Whether what expires then is to be taken for expired: it is, or it will be before it is certain that it was not.
pub(crate) fn is_over(expires: ExpiryS, now: TimestampUs) -> bool {
    expires <= seconds(now) + DOUBT_S
}

/// Whether nobody can tell from a look whether what expires then has expired.
pub(crate) fn is_in_doubt(expires: ExpiryS, now: TimestampUs) -> bool {
    expires.abs_diff(seconds(now)) <= DOUBT_S.unsigned_abs()
}

/// Whether what expires at one moment outlasts what expires at another one.
pub(crate) fn outlasts(one: Option<ExpiryS>, other: Option<ExpiryS>) -> bool {
    one.unwrap_or(ExpiryS::MAX) > other.unwrap_or(ExpiryS::MAX)
}

/// Whether two moments differ, as far as that can be told.
pub(crate) fn differ(one: Option<ExpiryS>, other: Option<ExpiryS>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.abs_diff(other) > DOUBT_S.unsigned_abs(),
        (one, other) => one.is_some() || other.is_some(),
    }
}

/// When that expires which lasts longest, if there is any.
pub(crate) fn longest(moments: impl Iterator<Item = Option<ExpiryS>>) -> Option<Option<ExpiryS>> {
    moments.reduce(|one, other| if outlasts(other, one) { other } else { one })
}

fn seconds(t: TimestampUs) -> ExpiryS {
    t.div_euclid(1_000_000)
}

impl Row {
    /// Has what is over be null. When it expired stays known.
    pub(crate) fn expire(&mut self, now: TimestampUs) {
        for (column, expires) in self.expires.iter() {
            if is_over(expires, now)
                && let Some(cell) = self.cells.get_mut(column)
            {
                *cell = None;
            }
        }
    }

    /// Whether it had cells, and each of those has expired. The row itself has gone with the last of them.
    pub(crate) fn has_expired(&self, key_len: usize) -> bool {
        !self.expires.is_empty() && self.cells.iter().skip(key_len).all(Option::is_none)
    }
}

impl Change {
    /// The change as one or several that carry a TTL each, in seconds (0: none), if it is sent now; none where all that it
    /// writes has expired. Only what is written as a whole, or as single cells, expires. A row lasts as long as the cell
    /// that lasts longest.
    pub(crate) fn with_ttls(&self, key_len: usize, now: TimestampUs) -> Vec<(i32, Cow<'_, Self>)> {
        let left = |expires: ExpiryS| expires - seconds(now);
        let ttl = |expires: Option<ExpiryS>| match expires {
            None => 0,
            Some(expires) => i32::try_from(left(expires)).unwrap_or(i32::MAX),
        };
        match self {
            Self::Insert { row } => {
                // The longest first; what never expires is the longest.
                let mut by_expiry: BTreeMap<ExpiryS, Vec<ColumnIndex>> = BTreeMap::new();
                let columns = key_len..row.cells.len();
                for column in columns.filter(|column| row.cells[*column].is_some()) {
                    let expires = row.expires.of(column).unwrap_or(ExpiryS::MAX);
                    by_expiry.entry(expires).or_default().push(column);
                }
                if by_expiry.is_empty() && row.expires.is_empty() {
                    return vec![(0, Cow::Borrowed(self))];
                }
                let lasting = by_expiry.into_iter().rev().filter(|(expires, _)| left(*expires) > 0);
                let parts = lasting.enumerate().map(|(part, (expires, columns))| {
                    let expires = (expires != ExpiryS::MAX).then_some(expires);
                    let change = match part {
                        0 => Self::Insert { row: row.only(key_len, &columns) },
                        _ => Self::Update {
                            key: row.cells[..key_len].iter().flatten().cloned().collect(),
                            set: columns.iter().map(|at| (*at, row.cells[*at].clone())).collect(),
                            expires: Expiries::default(),
                        },
                    };
                    (ttl(expires), Cow::Owned(change))
                });
                parts.collect()
            }
            Self::Update { key, set, expires } if !expires.is_empty() => {
                let mut by_expiry: BTreeMap<Option<ExpiryS>, Vec<_>> = BTreeMap::new();
                for (column, value) in set {
                    let (value, expires) = match expires.of(*column) {
                        Some(expires) if left(expires) <= 0 => (None, None),
                        expires => (value.clone(), expires),
                    };
                    by_expiry.entry(expires).or_default().push((*column, value));
                }
                let parts = by_expiry.into_iter().map(|(expires, set)| {
                    let (key, none) = (key.clone(), Expiries::default());
                    (ttl(expires), Cow::Owned(Self::Update { key, set, expires: none }))
                });
                parts.collect()
            }
            _ => vec![(0, Cow::Borrowed(self))],
        }
    }
}

impl Row {
    /// The key and some of the cells, which do not expire by themselves.
    fn only(&self, key_len: usize, columns: &[ColumnIndex]) -> Self {
        let is_kept = |column: usize| column < key_len || columns.contains(&column);
        let cells = self.cells.iter().enumerate();
        let cells = cells.map(|(column, cell)| cell.clone().filter(|_| is_kept(column)));
        Self::new(cells.collect())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const NOW: TimestampUs = 1_000_000_000;
    const NOW_S: ExpiryS = 1_000;

    fn row(cells: &[(&'static str, Option<ExpiryS>)]) -> Row {
        let key = ["user", "course"].map(|value| (value, None));
        let all = key.iter().chain(cells).enumerate();
        let mut row = Row::new(Vec::new());
        for (column, (value, expires)) in all {
            let cell = Bytes::from_static(value.as_bytes());
            row.cells.push(Some(cell).filter(|cell| !cell.is_empty()));
            row.expires.set(column, *expires);
        }
        row
    }

    /// The parts: whether it inserts, its TTL, and the columns that it writes.
    fn parts(change: &Change) -> Vec<(bool, i32, Vec<ColumnIndex>)> {
        let parts = change.with_ttls(2, NOW).into_iter().map(|(ttl, change)| match &*change {
            Change::Insert { row } => {
                let columns = (2..row.cells.len()).filter(|column| row.cells[*column].is_some());
                (true, ttl, columns.collect::<Vec<_>>())
            }
            Change::Update { set, .. } => (false, ttl, set.iter().map(|(at, _)| *at).collect()),
            _ => unreachable!(),
        });
        parts.collect()
    }

    #[test]
    fn a_row_is_written_by_one_statement_for_each_moment_the_longest_first() {
        let insert = |cells: &[_]| Change::Insert { row: row(cells) };
        let until = |s| Some(NOW_S + s);
        let all = insert(&[("a", until(10)), ("b", None), ("c", until(60)), ("d", until(10))]);
        let expected = [(true, 0, vec![3]), (false, 60, vec![4]), (false, 10, vec![2, 5])];
        assert_eq!(parts(&all), expected);
        let some = insert(&[("a", until(10)), ("", until(90)), ("c", until(60)), ("d", until(0))]);
        assert_eq!(parts(&some), [(true, 60, vec![4]), (false, 10, vec![2])]);
        assert_eq!(parts(&insert(&[("a", until(0)), ("", until(-5))])), [], "all has expired");
        assert_eq!(parts(&insert(&[("", None)])), [(true, 0, vec![])], "a row without cells");
    }

    #[test]
    fn what_has_expired_since_still_hides_what_it_is_written_over() {
        let values: Vec<_> = [2, 3, 4].map(|at| (at, Some(Bytes::from_static(b"v")))).into();
        let expires: Expiries = [(2, NOW_S + 7), (3, NOW_S)].into_iter().collect();
        let update = Change::Update { key: Vec::new(), set: values, expires };
        assert_eq!(parts(&update), [(false, 0, vec![3, 4]), (false, 7, vec![2])]);
        let parts = update.with_ttls(2, NOW);
        let Change::Update { set, .. } = &*parts[0].1 else { unreachable!() };
        assert_eq!(set[0], (3, None));
    }

    #[test]
    fn what_expires_is_known_to_have_been_there() {
        let mut row = row(&[("a", Some(NOW_S - 9)), ("b", Some(NOW_S + DOUBT_S + 1))]);
        row.expire(NOW);
        assert_eq!(row.cells[2..], [None, Some(Bytes::from_static(b"b"))]);
        assert!(!row.has_expired(2));
        row.expire(NOW + 1_000_000);
        assert!(row.has_expired(2) && row.expires.iter().len() == 2);
        assert!(is_in_doubt(NOW_S + 5, NOW) && !is_in_doubt(NOW_S + 6, NOW));
        assert!(outlasts(None, Some(1)) && outlasts(Some(2), Some(1)));
        assert!(!outlasts(None, None) && !outlasts(Some(1), Some(1)));
        assert!(differ(None, Some(1)) && differ(Some(1), Some(7)));
        assert!(!differ(None, None) && !differ(Some(1), Some(6)));
    }
}
