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

/// Whether a copy was deleted cannot be told when tombstones are gone: nothing is written as of a time that old.
#[test]
fn e16_what_was_deleted_long_ago_does_not_come_back() {
    let commands = [Resume, Undo(All), Repair].into_iter();
    for (place, command) in commands.flat_map(|command| [(KEY, command), (SEAT, command)]) {
        for at in 0..REQUESTS {
            let steps = then([
                applies(&[("a", "b")], Killed(at, Done)),
                Does(Deletes("b", place)),
                Step::Rests,
                Goes(0, command, Ends, None),
            ]);
            let end = ends(Setting::new(true, 1), &steps);
            let copy = ("b".to_owned(), place);
            let is_back = end.stood.contains_key(&copy) && end.seen.contains_key(&copy);
            assert!(!is_back, "at {at}: {:?}", end.seen);
        }
    }
}

/// A sweep that was stopped so long ago that tombstones are gone is not gone on with: what it has not taken is late still.
#[test]
fn a_sweep_of_long_ago_is_begun_anew() {
    let steps = |fate| {
        vec![
            Does(Writes("a", KEY, None)),
            applies(&[("a", "b")], Ends),
            Does(Writes("a", KEY, None)),
            applies(&[("b", "c")], Ends),
            Goes(0, Resume, fate, None),
            Step::Rests,
        ]
    };
    always(false, steps, KILLS);
}
