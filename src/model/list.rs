//! Lists that are not frozen. The server gives every element a position of its own at each write, so that the same
//! write, sent twice, doubles them. A list is therefore written whole, by a statement of its own: that deletes whatever
//! is dated before it, and so every earlier attempt, if each attempt is dated above the one before.
//!
//! The encoding is that of sets: a count, then each value with its length.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;

use super::cql::CqlType;
use super::elements::Collection;
use super::row::{TimestampUs, WriteTimes};

impl CqlType {
    /// Whether it is a list that is not frozen.
    pub fn is_list(&self) -> bool {
        matches!(self, Self::List(_))
    }
}

/// How often a list has been tried to be written. Copies of a change share the count, and the count says nothing of what
/// is to be written.
#[derive(Clone, Debug, Default)]
pub struct Tries(Arc<AtomicI64>);

impl Tries {
    /// Counts one more, from 1 on.
    pub(crate) fn next(&self) -> i64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl PartialEq for Tries {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Tries {}

/// The elements of a list; `None` if the value is not in this encoding.
fn split(value: &Bytes) -> Option<Vec<Bytes>> {
    Some(Collection::Set.split(value)?.into_iter().map(|(element, _)| element).collect())
}

/// The elements of a list, and behind them those of another one that it lacks, counted one by one.
pub(crate) fn united(own: &Bytes, more: Option<&Bytes>) -> Bytes {
    let Some((mut all, more)) = split(own).zip(more.and_then(split)) else { return own.clone() };
    let mut unmatched = all.clone();
    for element in more {
        match unmatched.iter().position(|known| *known == element) {
            Some(known) => drop(unmatched.swap_remove(known)),
            None => all.push(element),
        }
    }
    Collection::keys(all.iter())
}

/// Whether a list has all elements of another one, counted one by one, in whatever order.
pub(crate) fn has_all(own: &Bytes, other: &Bytes) -> bool {
    let count = |value: &Bytes| split(value).map(|all| all.len());
    count(&united(own, Some(other))) == count(own)
}

/// What a group writes of lists is dated above its time, and no further than this.
pub(crate) const LISTS_US: TimestampUs = 4_999;

/// Whether an element of a list is one that was written by attempts at a time.
pub(crate) fn is_written_at(times: &WriteTimes, t: TimestampUs) -> bool {
    let WriteTimes::Elements(times) = times else { return false };
    times.iter().any(|written| (t + 1..=t + LISTS_US).contains(written))
}

/// Whether a list holds an element that was written later than by attempts at a time, and that another one has, too.
pub(crate) fn has_later(own: &Bytes, times: &WriteTimes, t: TimestampUs, other: &Bytes) -> bool {
    let (WriteTimes::Elements(times), Some((own, other))) = (times, split(own).zip(split(other)))
    else {
        return false;
    };
    let later = own.iter().zip(times).filter(|(_, written)| **written > t + LISTS_US);
    later.map(|(element, _)| element).any(|element| other.contains(element))
}

/// The elements of a list that were written up to `t`; all of them where that is not known.
pub(crate) fn up_to(value: &Bytes, times: &WriteTimes, t: TimestampUs) -> Option<Bytes> {
    let (WriteTimes::Elements(times), Some(all)) = (times, split(value)) else {
        return Some(value.clone());
    };
    let old = all.iter().zip(times).filter(|(_, written)| **written <= t);
    let old: Vec<&Bytes> = old.map(|(element, _)| element).collect();
    (!old.is_empty()).then(|| Collection::keys(old.into_iter()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(elements: &[&'static str]) -> Bytes {
        let elements: Vec<Bytes> =
            elements.iter().map(|one| Bytes::from_static(one.as_bytes())).collect();
        Collection::keys(elements.iter())
    }

    #[test]
    fn lists_are_united_element_by_element_and_none_twice() {
        let own = list(&["a", "b", "a"]);
        assert_eq!(united(&own, None), own);
        assert_eq!(united(&own, Some(&own)), own);
        assert_eq!(united(&own, Some(&list(&["b", "c", "a"]))), list(&["a", "b", "a", "c"]));
        assert_eq!(united(&list(&["a"]), Some(&own)), list(&["a", "b", "a"]));
        assert!(has_all(&own, &list(&["a", "a"])) && !has_all(&list(&["a", "b"]), &own));
    }

    #[test]
    fn what_was_written_later_is_not_part_of_what_was() {
        let (own, times) = (list(&["a", "b", "c"]), WriteTimes::Elements(vec![5, 9, 5]));
        assert_eq!(up_to(&own, &times, 9), Some(own.clone()));
        assert_eq!(up_to(&own, &times, 5), Some(list(&["a", "c"])));
        assert_eq!(up_to(&own, &times, 4), None);
        assert_eq!(up_to(&own, &WriteTimes::Unknown, 4), Some(own));
    }

    #[test]
    fn what_a_group_wrote_is_told_from_what_came_later() {
        let times = |t| WriteTimes::Elements(vec![t, t + 1, 900 + LISTS_US]);
        assert!(is_written_at(&times(1_000), 1_000) && is_written_at(&times(1_000), 997));
        let outside = WriteTimes::Elements(vec![900, 1_000, 1_001 + LISTS_US]);
        assert!(!is_written_at(&outside, 1_000) && !is_written_at(&WriteTimes::Unknown, 1));
        let (own, read) = (list(&["a", "b", "a"]), list(&["c", "a"]));
        assert!(
            has_later(&own, &times(800), 800, &read),
            "the last is later, and was read as well"
        );
        assert!(!has_later(&own, &times(900), 900, &read), "all are of attempts");
        assert!(!has_later(&own, &times(800), 800, &list(&["b"])));
        assert!(!has_later(&own, &WriteTimes::Unknown, 800, &read));
    }

    #[test]
    fn all_copies_of_a_change_count_together() {
        let tries = Tries::default();
        let copy = tries.clone();
        assert_eq!((tries.next(), copy.next(), tries.next()), (1, 2, 3));
    }
}
