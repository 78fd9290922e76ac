//! What is added up: each source is counted once, whatever becomes of its run.

use super::super::tables::times;
use super::*;

fn counted(slice_bytes: usize) -> Setting {
    Setting { is_counted: true, ..Setting::new(true, slice_bytes) }
}

/// The writes that an account's total counts, each with how often.
fn total(seen: &Seen, account: &str) -> Vec<(i32, u128)> {
    let row = seen.get(&(account.to_owned(), KEY));
    times(row.and_then(|row| row.views).unwrap_or_default()).collect()
}

/// One write of each account: the first is the source's.
fn one_each(rest: impl IntoIterator<Item = Step>) -> Vec<Step> {
    let both = [Does(Writes("a", KEY, None)), Does(Writes("b", KEY, Some(true)))];
    both.into_iter().chain(rest).collect()
}

/// Plays a history with each fate at each request.
#[track_caller]
fn with_each(fates: &[fn(usize) -> Fate], steps: impl Fn(Fate) -> Vec<Step>) -> Vec<Seen> {
    let at = (0..REQUESTS).flat_map(|at| fates.iter().map(move |fate| (at, fate(at))));
    at.map(|(at, fate)| ends(counted([1, 1_000_000][at % 2]), &steps(fate)).seen).collect()
}

const FIRST: usize = 4;
const BOTH: [(i32, u128); 2] = [(1, 1), (2, 1)];

#[test]
fn both_are_counted_once_however_often_a_run_is_killed_and_gone_on_with() {
    for fates in [KILLS, REFUSALS, STOPS] {
        let twice = |fate| {
            one_each([
                applies(&[("a", "b")], fate),
                GoesOn,
                Goes(0, Resume, fate, None),
                Goes(0, Resume, Ends, None),
                Arrives,
                Goes(0, Resume, Ends, None),
            ])
        };
        for seen in with_each(fates, twice) {
            // A run that gave up a key leaves it with the source, and lists it: it would be counted twice perhaps.
            let all: Vec<_> = total(&seen, "a").into_iter().chain(total(&seen, "b")).collect();
            let is_left = !total(&seen, "a").is_empty();
            assert_eq!(all.len(), 2, "{seen:?}");
            assert!(all.iter().all(|(_, times)| *times == 1), "{seen:?}");
            assert!(!is_left || total(&seen, "b") == [(2, 1)], "{seen:?}");
        }
    }
}

#[test]
fn a_run_after_an_undo_counts_anew() {
    let steps = |fate| {
        one_each([
            applies(&[("a", "b")], Ends),
            Goes(0, Undo(All), fate, None),
            Goes(0, Undo(All), Ends, None),
            applies(&[("a", "b")], Ends),
        ])
    };
    for seen in with_each(KILLS, steps) {
        assert_eq!((total(&seen, "a"), total(&seen, "b")), (vec![], BOTH.to_vec()));
    }
    let undone =
        ends(counted(1), &one_each([applies(&[("a", "b")], Ends), Goes(0, Undo(All), Ends, None)]));
    assert_eq!((total(&undone.seen, "a"), total(&undone.seen, "b")), (vec![(1, 1)], vec![(2, 1)]));
}

/// E3, E26: what a source counts between the read and the delete, and later.
#[test]
fn what_a_source_counts_meanwhile_is_counted_once_under_the_survivor() {
    for slice_bytes in [1, 1_000_000] {
        let steps = |at| {
            one_each([
                Applies(&[("a", "b")], All, Ends, Some((at, Writes("a", KEY, None)))),
                Does(Writes("a", KEY, None)),
                Goes(0, Resume, Ends, None),
            ])
        };
        for end in at_each(counted(slice_bytes), steps) {
            let total = total(&end.seen, "b");
            assert!(total.iter().all(|(_, times)| *times == 1), "{total:?}");
            assert!(total.starts_with(&BOTH), "{total:?}");
        }
    }
}

/// E27: what the survivor counts meanwhile may hide the total. Then both numbers are listed, which the oracle wants to see;
/// what it had counted before the read does not hide it.
#[test]
fn what_the_survivor_counts_meanwhile_stands() {
    for slice_bytes in [1, 1_000_000] {
        let steps = |at| {
            let counts = Some((at, Writes("b", KEY, None)));
            one_each([Applies(&[("a", "b")], All, Ends, counts)])
        };
        let ends = at_each(counted(slice_bytes), steps);
        let mut exact = 0;
        for end in &ends {
            let total = total(&end.seen, "b");
            assert!(total.iter().all(|(_, times)| *times == 1), "{total:?}");
            assert!(end.acts < 3 || total.contains(&(3, 1)), "{total:?}");
            exact += usize::from(end.acts == 3 && total.len() == 3);
        }
        assert!(exact > 0, "before the read, or after the acknowledgement");
    }
}

/// What was counted on a source that was emptied is not hidden by what an undo gives back.
#[test]
fn an_undo_gives_no_number_back_under_a_later_one() {
    let steps = one_each([
        applies(&[("a", "b")], Ends),
        Does(Writes("a", KEY, None)),
        Goes(0, Undo(All), Ends, None),
    ]);
    let end = ends(counted(1), &steps);
    assert_eq!(total(&end.seen, "a"), [(3, 1)]);
    assert_eq!(total(&end.seen, "b"), BOTH);
}

/// A number that is written between T and its read, here at one of the first requests, outlives the delete as of T, and would count once more in a further run.
#[test]
fn what_is_written_while_it_is_read_is_not_counted_by_two_runs() {
    for at in 0..FIRST {
        let steps = |fate| {
            vec![
                Does(Writes("a", KEY, None)),
                Applies(&[("a", "b")], All, fate, Some((at, Writes("a", KEY, None)))),
                applies(&[("a", "b")], Ends),
            ]
        };
        for seen in with_each(KILLS, steps) {
            let all: Vec<_> = total(&seen, "a").into_iter().chain(total(&seen, "b")).collect();
            assert!(all.iter().all(|(_, times)| *times == 1), "{seen:?}");
        }
    }
}
