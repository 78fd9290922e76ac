//! Runs of several groups, and several runs over one account.

use super::*;
use Share::First;
use Step::Loses;

const OTHER: Place = (PROGRESS, "k2");

fn row(account: &str, place: Place) -> (String, Place) {
    (account.to_owned(), place)
}

/// The groups that a run has not begun are asked about again: an account may have gone elsewhere since.
#[test]
fn e5_and_e32_nothing_is_merged_into_an_account_that_is_gone() {
    let ways: [(Pairs, [&str; 2]); 3] = [
        (&[("a", "b"), ("c", "d")], ["c", "d"]),
        (&[("c", "b"), ("a", "d")], ["a", "d"]),
        (&[("c", "d"), ("a", "b")], ["c", "d"]),
    ];
    for (pairs, [source, gone]) in ways {
        let steps = |fate| {
            vec![
                Does(Writes(source, OTHER, None)),
                Does(Writes(gone, KEY, None)),
                Applies(pairs, First, Ends, None),
                applies(&[("d", "b")], fate),
                Goes(0, Resume, Ends, None),
            ]
        };
        for seen in always(true, steps, KILLS) {
            if seen.contains_key(&row("b", KEY)) {
                assert!(!seen.contains_key(&row(gone, OTHER)), "{pairs:?}: {seen:?}");
            }
        }
    }
}

/// Groups of several times are resumed together: no delete has the time of another group.
#[test]
fn e14_a_delete_takes_nothing_later_than_its_own_group() {
    let steps = |fate| {
        vec![
            Does(Writes("a", KEY, None)),
            Does(Writes("c", KEY, None)),
            Applies(&[("a", "b"), ("c", "d")], First, fate, None),
            Does(Writes("a", KEY, None)),
            Goes(0, Resume, Ends, None),
        ]
    };
    for is_registered in [true, false] {
        for seen in always(is_registered, steps, KILLS) {
            let late = Some("n3".to_owned());
            assert!(seen.values().any(|values| values.note == late), "{seen:?}");
        }
    }
}

/// A later value of the survivor's, which another run has moved on, is not written over by what came before it.
#[test]
fn e24_what_was_written_last_stands_wherever_it_is() {
    let steps = |fate| {
        then([
            applies(&[("a", "b")], Ends),
            Does(Writes("a", KEY, None)),
            Does(Writes("b", KEY, None)),
            applies(&[("b", "c")], fate),
            Goes(0, Resume, Ends, None),
        ])
    };
    for fates in [KILLS, REFUSALS] {
        for seen in always(true, steps, fates) {
            let survivor = seen.get(&row("c", KEY)).or_else(|| seen.get(&row("b", KEY)));
            assert_eq!(survivor.unwrap().note.as_deref(), Some("n4"), "{seen:?}");
        }
    }
}

/// A run that goes on after it was declared lost, and after another has taken its accounts, deletes nothing.
#[test]
fn e25_the_lease_is_looked_at_before_the_deletes() {
    let steps =
        |fate| then([applies(&[("a", "b")], fate), Loses(0), applies(&[("b", "c")], Ends), GoesOn]);
    for seen in always(true, steps, STOPS) {
        for place in [KEY, SEAT] {
            assert!(seen.keys().any(|(_, at)| *at == place), "{seen:?}");
        }
    }
}

/// A late row that gave way to another run's copy is not on nobody when that run is undone.
#[test]
fn e29_a_late_row_does_not_give_way_to_a_copy_that_may_go() {
    let steps = |fate| {
        vec![
            Does(Writes("a", OTHER, None)),
            Does(Writes("c", KEY, None)),
            applies(&[("a", "b")], Ends),
            applies(&[("c", "b")], Ends),
            Does(Writes("a", KEY, None)),
            Goes(0, Resume, fate, None),
            Goes(1, Undo(All), Ends, None),
        ]
    };
    for seen in always(true, steps, KILLS) {
        let late = Some("n3".to_owned());
        assert!(seen.values().any(|values| values.note == late), "{seen:?}");
        assert!(seen.contains_key(&row("c", KEY)), "{seen:?}");
    }
}

/// Two runs, one of which has its second part after the other: one order of undo ends.
#[test]
fn e35_two_runs_that_are_between_each_other_are_undone() {
    let steps = |fate| {
        vec![
            Does(Writes("a", KEY, None)),
            Does(Writes("b", OTHER, None)),
            Does(Writes("c", KEY, None)),
            Does(Writes("d", OTHER, None)),
            Applies(&[("a", "b"), ("c", "d")], First, Ends, None),
            applies(&[("b", "d")], Ends),
            Goes(0, Resume, Ends, None),
            Goes(0, Undo(All), fate, None),
            // What is refused is asked for again when that is done which it names.
            Goes(0, Undo(All), Ends, None),
            Goes(1, Undo(All), Ends, None),
            Goes(0, Undo(All), Ends, None),
        ]
    };
    for fates in [KILLS, REFUSALS] {
        for seen in always(true, steps, fates) {
            let own = [row("a", KEY), row("b", OTHER), row("c", KEY), row("d", OTHER)];
            assert_eq!(seen.into_keys().collect::<Vec<_>>(), own);
        }
    }
}

/// The same, with a group in which something was changed: that one is ended first, and what was changed stays.
#[test]
fn e35_a_disputed_group_of_two_runs_that_are_between_each_other_has_an_end() {
    let steps = |fate| {
        vec![
            Does(Writes("a", KEY, None)),
            Does(Writes("b", OTHER, None)),
            Does(Writes("c", SEAT, None)),
            Applies(&[("a", "b"), ("c", "d")], First, Ends, None),
            applies(&[("b", "d")], Ends),
            Goes(0, Resume, Ends, None),
            // What was c's belongs to whoever has changed it.
            Does(Writes("d", SEAT, None)),
            Goes(0, Undo(All), fate, None),
            Goes(0, Undo(All), Ends, None),
            // It keeps its accounts busy until somebody has looked at it.
            Goes(1, Undo(All), Ends, None),
            Goes(0, KeepChanged, Ends, None),
            Goes(1, Undo(All), Ends, None),
            Goes(0, Undo(All), Ends, None),
        ]
    };
    for fates in [KILLS, REFUSALS] {
        for seen in always(true, steps, fates) {
            let own = [row("a", KEY), row("b", OTHER), row("d", SEAT)];
            assert_eq!(seen.into_keys().collect::<Vec<_>>(), own);
        }
    }
}

/// What a run that stood still has intended was never written when an earlier run has been undone before that.
#[test]
fn an_intent_behind_an_undo_is_none() {
    let steps = |fate| {
        vec![
            Does(Writes("c", KEY, None)),
            Does(Writes("a", KEY, None)),
            applies(&[("a", "b")], Ends),
            applies(&[("c", "b")], fate),
            Goes(0, Undo(All), Ends, None),
            GoesOn,
        ]
    };
    always(true, steps, STOPS);
}

/// Where an account went is dated by what was written, not by what was intended before another run came.
#[test]
fn a_run_that_began_anew_is_the_later_one() {
    let steps = |fate| {
        vec![
            Does(Writes("a", KEY, None)),
            applies(&[("a", "c")], fate),
            applies(&[("b", "a")], Ends),
            GoesOn,
            Does(Writes("b", KEY, Some(false))),
        ]
    };
    always(true, steps, STOPS);
}

/// What a lost run was undoing is nobody's to merge, accepted or not: its delete of a copy may be under way, and a merge
/// that finds that copy leaves it as the survivor's own.
#[test]
fn what_a_lost_run_was_undoing_is_not_merged() {
    let steps = |fate| {
        vec![
            Does(Writes("a", SEAT, None)),
            Does(Writes("a", KEY, Some(true))),
            applies(&[("a", "d")], Ends),
            Goes(0, Undo(All), fate, None),
            Loses(0),
            applies(&[("a", "d")], Ends),
        ]
    };
    always(true, steps, KILLS);
}

/// What a lost run merged, or swept, out of an account is not merged back into it, accepted or not: its delete may be under
/// way, and would take the row to which the copy gives way.
#[test]
fn a_source_of_a_lost_run_does_not_survive_another() {
    for pairs in [&[("b", "a")], &[("c", "a")]] {
        let merging = |fate| {
            then([applies(&[("a", "b")], fate), Loses(0), applies(pairs, Ends), Arrives, GoesOn])
        };
        let finishing = |fate| {
            then([
                applies(&[("a", "b")], Killed(9, Done)),
                Goes(0, Resume, fate, None),
                Loses(0),
                applies(pairs, Ends),
                Arrives,
                GoesOn,
            ])
        };
        let sweeping = |fate| {
            vec![
                applies(&[("a", "b")], Ends),
                Does(Writes("a", KEY, None)),
                Does(Writes("a", SEAT, None)),
                Goes(0, Resume, fate, None),
                Loses(0),
                applies(pairs, Ends),
                Arrives,
                GoesOn,
            ]
        };
        for fates in [KILLS, STOPS] {
            always(true, merging, fates);
            always(true, finishing, fates);
            always(true, sweeping, fates);
        }
    }
}

/// What a source gets after its merge, and what nobody sweeps before that account survives another, is its own row then:
/// what the other gets later gives way to it.
#[test]
fn what_came_late_is_the_account_s_own_row_when_it_survives() {
    let steps = vec![
        Does(Writes("a", SEAT, None)),
        Does(Writes("a", KEY, None)),
        applies(&[("a", "b")], Stopped(8)),
        Loses(0),
        applies(&[("a", "c")], Ends),
        GoesOn,
        Does(Writes("a", SEAT, None)),
        applies(&[("b", "c")], Ends),
        applies(&[("c", "a")], Ends),
        Does(Writes("c", SEAT, None)),
        Goes(2, Undo(All), Ends, None),
    ];
    ends(Setting::new(true, 1), &steps);
}

/// Nobody keeps the sweep of one run off the accounts of another without the register: what it places on a source whose row
/// is being given back is of an earlier time than that, and stands.
#[test]
fn an_undo_that_goes_on_gives_nothing_back_over_what_another_run_has_placed() {
    // What arrives later still, nobody can look for.
    let kills: &[fn(usize) -> Fate] = &[
        |at| Killed(at, Done),
        |at| Killed(at, Lost),
        |at| Killed(1_000 + at, Done),
        |at| Killed(1_000 + at, Lost),
    ];
    let steps = |fate| {
        vec![
            Does(Writes("a", KEY, Some(true))),
            applies(&[("c", "a")], Ends),
            applies(&[("a", "b")], Ends),
            Does(Writes("c", KEY, Some(true))),
            Goes(1, Undo(All), fate, None),
            Goes(0, Resume, Ends, None),
        ]
    };
    for seen in always(false, steps, kills) {
        let statuses = seen.values().filter_map(|values| values.status);
        assert_eq!(statuses.max(), Some(2), "{seen:?}");
    }
}

/// A late row that a sweep has put where the survivor's own was deleted is the source's there: what that gets later follows
/// it.
#[test]
fn what_comes_late_to_a_row_that_a_sweep_has_moved_follows_it() {
    for is_registered in [true, false] {
        let steps = |at| {
            vec![
                Does(Writes("a", SEAT, None)),
                Does(Writes("b", SEAT, None)),
                applies(&[("a", "b")], Ends),
                Does(Deletes("b", SEAT)),
                Does(Act::Renews("a", SEAT, None)),
                Goes(0, Resume, Ends, Some((at, Writes("a", SEAT, None)))),
            ]
        };
        for end in at_each(Setting::new(is_registered, 1), steps) {
            assert!(end.acts < 5 || end.note("b", SEAT) == Some("n4"), "{:?}", end.seen);
        }
    }
}
