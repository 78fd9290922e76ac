//! What depends on when something is read: accounts that are read in pages, and clocks that differ.

use super::*;

/// More rows than one page has.
const PAGES: Setting = Setting { rows_before: 300, ..Setting::new(true, 1_000_000) };

/// What a large group has read before it was deferred is read again.
#[test]
fn e13_what_comes_between_the_pages_is_kept() {
    let steps = |at| then([Applies(&[("a", "b")], All, Ends, Some((at, Writes("a", KEY, None))))]);
    for (at, end) in at_each(PAGES, steps).into_iter().enumerate() {
        let expected = if end.acts == 3 { "n3" } else { "n1" };
        assert_eq!(end.note("b", KEY), Some(expected), "at {at}: {:?}", end.seen);
    }
}

/// A survivor's row behind all others of it is its own.
#[test]
fn e15_a_row_behind_the_first_page_is_found() {
    for fate in [Ends, Killed(5, Done), Killed(12, Done), Killed(20, Late), Refused(9, Lost)] {
        let steps = [
            Does(Writes("b", KEY, None)),
            Does(Writes("a", KEY, None)),
            applies(&[("a", "b")], fate),
        ];
        let end = ends(PAGES, &steps);
        assert_eq!(end.note("b", KEY), Some("n1"), "{fate:?}: {:?}", end.seen);
    }
}

/// A machine whose clock is ahead dates a run by the nodes' clocks.
#[test]
fn e33_a_clock_that_is_ahead_takes_nothing_unread() {
    let setting = Setting { is_ahead: true, ..Setting::new(true, 1_000_000) };
    for account in ["a", "b"] {
        let steps = |at| {
            let write = Writes(account, KEY, Some(true));
            then([Applies(&[("a", "b")], All, Ends, Some((at, write)))])
        };
        for (at, end) in at_each(setting, steps).into_iter().enumerate() {
            let highest = if end.acts == 3 { 3 } else { 1 };
            assert_eq!(End::status(&end.seen, "b"), Some(highest), "at {at}: {:?}", end.seen);
        }
    }
}
