//! What the application writes while a run computes, or places what came late.

use super::*;
use crate::process::WRITING;
use Act::Renews;

const SETTINGS: [Setting; 2] = [Setting::new(true, 1), Setting::new(true, 1_000_000)];

/// A status that was folded is not hidden by a lower one that its writer wrote without knowing of it.
#[test]
fn e2_what_was_computed_is_not_hidden() {
    for setting in SETTINGS {
        let steps = |at| {
            let lower = Some((at, Writes("b", KEY, Some(false))));
            vec![
                Does(Writes("a", KEY, Some(true))),
                Does(Writes("b", KEY, Some(false))),
                Applies(&[("a", "b")], All, Ends, lower),
            ]
        };
        for (at, end) in at_each(setting, steps).into_iter().enumerate() {
            let has_known = End::status(&end.stood, "b") == Some(1);
            if !has_known || end.acts < 3 {
                assert_eq!(End::status(&end.seen, "b"), Some(1), "at {at}: {:?}", end.seen);
            }
        }
    }
}

/// What a source gets between the read and the delete is compared with what was made of what was read.
#[test]
fn e3_and_e26_a_source_that_is_raised_counts_once() {
    for setting in SETTINGS {
        let steps = |at| {
            vec![
                Does(Writes("b", KEY, Some(true))),
                Does(Writes("a", KEY, Some(false))),
                Applies(&[("a", "b")], All, Ends, Some((at, Writes("a", KEY, Some(true))))),
                Does(Writes("a", KEY, Some(true))),
                Goes(0, Resume, Killed(at, Done), None),
            ]
        };
        for (at, end) in at_each(setting, steps).into_iter().enumerate() {
            let highest = i32::try_from(end.acts).unwrap();
            assert_eq!(End::status(&end.seen, "b"), Some(highest), "at {at}: {:?}", end.seen);
            assert!(!end.seen.contains_key(&("a".to_owned(), KEY)), "at {at}: {:?}", end.seen);
        }
    }
}

/// What is placed late is not hidden by a lower one that came between the read and the write.
#[test]
fn e27_what_is_placed_late_is_not_hidden() {
    for setting in SETTINGS {
        let steps = |at| {
            then([
                applies(&[("a", "b")], Ends),
                Does(Writes("a", KEY, Some(true))),
                Goes(0, Resume, Ends, Some((at, Writes("b", KEY, Some(false))))),
            ])
        };
        for (at, end) in at_each(setting, steps).into_iter().enumerate() {
            if End::status(&end.stood, "b") != Some(3) || end.acts < 4 {
                assert_eq!(End::status(&end.seen, "b"), Some(3), "at {at}: {:?}", end.seen);
            }
        }
    }
    let steps = |fate| {
        then([
            applies(&[("a", "b")], Ends),
            Does(Writes("a", KEY, Some(true))),
            Goes(0, Resume, fate, None),
            Does(Writes("b", KEY, Some(false))),
        ])
    };
    always(true, steps, KILLS);
}

/// A value over which a late one was swept is somebody's, and so is a row that was deleted since it was raised.
#[test]
fn e28_what_a_sweep_has_hidden_is_a_conflict() {
    let hidden = |fate| {
        then([
            applies(&[("a", "b")], Ends),
            Does(Writes("b", KEY, Some(false))),
            Does(Writes("a", KEY, Some(true))),
            Goes(0, Resume, Ends, None),
            Goes(0, Undo(All), fate, None),
        ])
    };
    for seen in always(true, hidden, KILLS) {
        assert_eq!(End::status(&seen, "b"), Some(4), "{seen:?}");
    }
    let deleted = |fate| {
        vec![
            Does(Writes("b", KEY, Some(false))),
            Does(Writes("a", KEY, Some(true))),
            applies(&[("a", "b")], Ends),
            Does(Deletes("b", KEY)),
            Goes(0, Undo(All), fate, None),
        ]
    };
    for seen in always(true, deleted, KILLS) {
        assert!(!seen.contains_key(&("b".to_owned(), KEY)), "{seen:?}");
    }
}

/// A row that was deleted and begun anew has nothing of the one before.
#[test]
fn e34_a_row_begun_anew_is_left_as_it_is() {
    for setting in SETTINGS {
        let steps = |at| {
            then([Applies(&[("a", "b")], All, Ends, Some((at, Renews("b", KEY, Some(false)))))])
        };
        let mut renewed = 0;
        for (at, end) in at_each(setting, steps).into_iter().enumerate() {
            if End::status(&end.stood, "b") == Some(1) && end.acts == 3 {
                assert_eq!(End::status(&end.seen, "b"), Some(-3), "at {at}: {:?}", end.seen);
                renewed += 1;
            }
        }
        assert!(renewed > 0);
    }
}

/// What was left otherwise than a policy says is told also where the process is killed before it has told it.
#[test]
fn what_was_left_is_told_whoever_is_killed() {
    for setting in SETTINGS {
        for (written, killed) in (0..8).flat_map(|at| (at..at + 8).map(move |killed| (at, killed)))
        {
            let lower = Some((WRITING + written, Writes("c", KEY, Some(false))));
            let steps = [
                Does(Writes("b", KEY, Some(false))),
                Applies(&[("b", "c")], All, Killed(WRITING + killed, Done), lower),
            ];
            ends(setting, &steps);
        }
    }
}
