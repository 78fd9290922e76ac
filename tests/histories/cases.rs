//! Short histories that were found by reasoning, each of one kind.

use super::history::{Act, Played, Setting, Step};
use super::process::{Fate, Landing};
use super::runs::{Command, block_on};
use super::tables::{PROGRESS, Place, SEATS, Seen};
use Act::{Deletes, Writes};
use Command::{Repair, Resume, Undo};
use Fate::{Ends, Killed, Refused, Stopped};
use Landing::{Done, Late, Lost};
use Step::{Applies, Arrives, Does, Goes, GoesOn};

const KEY: Place = (PROGRESS, "k1");
const SEAT: Place = (SEATS, "r");

/// At most so many requests lie before the end of any command here.
const REQUESTS: usize = 24;

/// Plays a history in which a command is interrupted, at each of its requests in turn, as `fates` say; gives what stood in
/// the end of each. Nothing may be wrong.
#[track_caller]
fn always(
    is_registered: bool,
    steps: impl Fn(Fate) -> Vec<Step>,
    fates: &[fn(usize) -> Fate],
) -> Vec<Seen> {
    let mut ends = Vec::new();
    for at in 0..REQUESTS {
        for (number, fate) in fates.iter().enumerate() {
            // A group in many slices, or in one.
            let slice_bytes = if (at + number) % 2 == 0 { 1 } else { 1_000_000 };
            let (fate, setting) = (fate(at), Setting { is_registered, slice_bytes });
            let steps = steps(fate);
            let (wrong, seen) = block_on(async {
                let mut played = Played::new(setting);
                for step in &steps {
                    played.step(step).await;
                }
                (played.end().await, played.seen())
            });
            assert_eq!(wrong, Vec::<String>::new(), "{fate:?} {setting:?} {steps:?}");
            ends.push(seen);
        }
    }
    ends
}

const KILLS: &[fn(usize) -> Fate] =
    &[|at| Killed(at, Done), |at| Killed(at, Lost), |at| Killed(at, Late)];

const REFUSALS: &[fn(usize) -> Fate] =
    &[|at| Refused(at, Done), |at| Refused(at, Lost), |at| Refused(at, Late)];

const STOPS: &[fn(usize) -> Fate] = &[Stopped];

fn both() -> Vec<Step> {
    vec![Does(Writes("a", KEY, Some(true))), Does(Writes("a", SEAT, None))]
}

fn then(rest: impl IntoIterator<Item = Step>) -> Vec<Step> {
    both().into_iter().chain(rest).collect()
}

/// What the application writes on a source that is half merged is under the survivor in the end.
#[test]
fn e1_what_is_written_while_a_group_stands_half_merged_is_kept() {
    let steps = |fate| {
        then([
            Applies(&[("a", "b")], fate),
            Does(Writes("a", KEY, None)),
            Goes(0, Resume, Ends, None),
        ])
    };
    let ends = always(true, steps, KILLS);
    assert!(ends.iter().all(|seen| seen.contains_key(&("b".to_owned(), KEY))
        || seen.contains_key(&("a".to_owned(), KEY))));
}

/// A row that the application deleted while the run stood still does not stand again, whatever arrives when.
#[test]
fn e4_a_deleted_row_does_not_come_back() {
    for command in [Resume, Undo] {
        for arrives in [true, false] {
            for place in [KEY, SEAT] {
                let steps = |fate| {
                    let arrival = if arrives { Some(Arrives) } else { None };
                    then([Applies(&[("a", "b")], fate), Does(Deletes("a", place))])
                        .into_iter()
                        .chain(arrival)
                        .chain([Goes(0, command, Ends, None), Arrives])
                        .collect()
                };
                always(true, steps, KILLS);
                always(false, steps, KILLS);
            }
        }
    }
}

/// The right order of undo ends, the wrong one does nothing.
#[test]
fn e6_runs_are_undone_in_order_whatever_came_late() {
    let steps = |fate| {
        then([
            Applies(&[("a", "b")], Ends),
            Does(Writes("a", KEY, None)),
            Applies(&[("b", "c")], fate),
            Goes(0, Undo, Ends, None),
            Goes(1, Undo, Ends, None),
            Goes(0, Undo, Ends, None),
        ])
    };
    always(true, steps, KILLS);
    always(true, steps, REFUSALS);
}

/// A run that another found, and gave way to, is not undone before that.
#[test]
fn e7_what_another_run_gave_way_to_stays() {
    let steps = |fate| {
        then([
            Does(Writes("c", KEY, Some(false))),
            Applies(&[("a", "b")], Ends),
            Applies(&[("c", "b")], fate),
            Goes(0, Undo, Ends, None),
        ])
    };
    always(true, steps, KILLS);
}

/// Whoever stood still for longer than its lease writes nothing any more.
#[test]
fn e8_whoever_stood_still_finds_its_lease_gone() {
    let steps = |fate| then([Applies(&[("a", "b")], fate), Applies(&[("b", "c")], Ends), GoesOn]);
    always(true, steps, STOPS);
}

/// Without the register another run may have moved the copy on: nothing of it is lost.
#[test]
fn e9_a_copy_that_was_moved_on_is_no_reason_to_delete() {
    let steps = |fate| {
        let resume = Goes(0, Resume, Ends, None);
        then([Applies(&[("a", "b")], fate), Applies(&[("b", "c")], Ends), resume, Arrives])
    };
    always(false, steps, KILLS);
    always(true, steps, KILLS);
}

#[test]
fn e10_what_an_undo_gives_back_is_seen_to_stand() {
    let steps = |fate| {
        then([
            Applies(&[("a", "b")], Ends),
            Goes(0, Undo, fate, None),
            Applies(&[("a", "c")], Ends),
            Goes(0, Undo, Ends, None),
        ])
    };
    always(false, steps, KILLS);
    always(true, steps, KILLS);
}

/// What came late to a row that was deleted later goes with it.
#[test]
fn e11_a_late_write_goes_with_the_row_that_was_deleted() {
    for place in [KEY, SEAT] {
        let steps = |fate| {
            let late = Does(Writes("a", place, None));
            then([
                Applies(&[("a", "b")], Ends),
                late,
                Does(Deletes("b", place)),
                Goes(0, Resume, fate, None),
            ])
        };
        for seen in always(true, steps, KILLS) {
            assert!(!seen.keys().any(|(_, at)| *at == place), "{seen:?}");
        }
    }
}

/// What is undone, and merged the other way round by a run that knew nothing of it.
#[test]
fn e17_an_undone_run_leaves_the_earlier_one_standing() {
    let steps = |fate| {
        then([
            Applies(&[("a", "b")], Ends),
            Does(Writes("a", KEY, None)),
            Applies(&[("a", "b")], Ends),
            Goes(1, Undo, fate, None),
            Goes(1, Undo, Ends, None),
            Applies(&[("a", "c")], Ends),
        ])
    };
    always(true, steps, KILLS);
}

/// What was written on a source since it was half merged stays there when that is undone.
#[test]
fn e18_an_undo_leaves_what_was_written_since() {
    let steps = |fate| {
        then([
            Applies(&[("a", "b")], fate),
            Does(Writes("a", KEY, None)),
            Goes(0, Undo, Ends, None),
        ])
    };
    for seen in always(true, steps, KILLS) {
        let row = seen.get(&("a".to_owned(), KEY)).expect("it is its owner's again");
        assert_eq!(row.note.as_deref(), Some("n3"), "{seen:?}");
    }
}

/// Each gave way to the other: one of them stands.
#[test]
fn e19_and_e30_of_two_rows_that_gave_way_to_each_other_one_stands() {
    let steps = |fate| {
        then([
            Does(Writes("b", KEY, None)),
            Does(Writes("b", SEAT, None)),
            Applies(&[("a", "b")], fate),
            Applies(&[("b", "a")], Ends),
            GoesOn,
            Goes(0, Resume, Ends, None),
        ])
    };
    for (is_registered, fates) in [(true, STOPS), (true, KILLS), (false, KILLS)] {
        for seen in always(is_registered, steps, fates) {
            for place in [KEY, SEAT] {
                assert!(seen.keys().any(|(_, at)| *at == place), "{seen:?}");
            }
        }
    }
}

/// A copy that stands is no row of the survivor's own when the group is taken up again.
#[test]
fn e20_a_failed_group_does_not_take_its_copy_for_the_survivor_s() {
    let steps = |fate| {
        then([
            Applies(&[("a", "b")], fate),
            Does(Writes("a", KEY, None)),
            Goes(0, Resume, Ends, None),
        ])
    };
    for seen in always(true, steps, REFUSALS) {
        let notes = seen.values().filter_map(|row| row.note.as_deref());
        assert_eq!(notes.filter(|note| *note == "n3").count(), 1, "{seen:?}");
    }
}

/// An undo that was begun is completed, not resumed over.
#[test]
fn e21_an_undo_that_was_interrupted_is_completed() {
    let steps = |fate| {
        then([
            Applies(&[("a", "b")], Refused(8, Lost)),
            Goes(0, Undo, fate, None),
            Goes(0, Resume, Ends, None),
            Arrives,
        ])
    };
    always(true, steps, KILLS);
    always(true, steps, REFUSALS);
}

#[test]
fn e22_and_e23_what_came_late_is_not_judged_by_what_another_run_gave_back() {
    let steps = |fate| {
        then([
            Applies(&[("a", "b")], Ends),
            Does(Writes("a", KEY, None)),
            Applies(&[("b", "c")], fate),
            Goes(1, Undo, Ends, None),
            Goes(0, Resume, Ends, None),
        ])
    };
    always(true, steps, KILLS);
}

/// A run that is declared lost while it stands still, and whose accounts another then moves.
#[test]
fn e31_an_intent_that_the_register_never_had_is_none() {
    for last in [Undo, Resume] {
        let steps = |fate| {
            then([
                Applies(&[("a", "b")], fate),
                Applies(&[("a", "c")], Killed(9, Done)),
                Goes(0, last, Ends, None),
                Goes(1, Undo, Ends, None),
            ])
        };
        always(true, steps, KILLS);
    }
}

/// A copy whose run lost its lease before the deletes has an owner still.
#[test]
fn e36_a_copy_has_an_owner() {
    let steps = |fate| {
        then([
            Applies(&[("a", "b")], fate),
            Applies(&[("c", "b")], Ends),
            GoesOn,
            Goes(0, Resume, Ends, None),
        ])
    };
    always(true, steps, STOPS);
}

/// A repair does not bring back what was deleted, or moved on.
#[test]
fn a5_a_repair_leaves_what_was_merged_on() {
    let steps = |fate| {
        then([
            Applies(&[("a", "b")], Ends),
            Applies(&[("b", "c")], Ends),
            Does(Writes("c", KEY, Some(false))),
            Goes(0, Repair, fate, None),
        ])
    };
    always(true, steps, KILLS);
}

/// Without a register: a late row that an earlier run places on an account that a later run has begun to merge.
#[test]
fn what_arrives_at_a_half_merged_group_is_kept() {
    let setting = Setting { is_registered: false, slice_bytes: 1 };
    let steps = [
        Does(Writes("a", KEY, Some(false))),
        Applies(&[("a", "b")], Ends),
        Does(Writes("a", KEY, Some(false))),
        Applies(&[("b", "c")], Refused(5, Done)),
    ];
    assert_eq!(super::history::play(setting, &steps), Vec::<String>::new());
}

/// A row that an undo has given back is deleted there before the undo is gone on with.
#[test]
fn what_was_given_back_and_deleted_stands_nowhere() {
    let steps = |fate| {
        vec![
            Does(Writes("a", SEAT, None)),
            Applies(&[("a", "c")], Ends),
            Goes(0, Undo, fate, None),
            Does(Deletes("a", SEAT)),
        ]
    };
    always(true, steps, KILLS);
}

/// The sweep of a run that was killed before its first write hinders nobody.
#[test]
fn a_sweep_that_was_never_written_has_an_end() {
    let steps = |fate| {
        vec![
            Does(Writes("a", KEY, None)),
            Applies(&[("c", "a")], Ends),
            Does(Writes("c", KEY, None)),
            Goes(0, Resume, fate, None),
            Applies(&[("b", "a")], Ends),
        ]
    };
    always(true, steps, KILLS);
}

/// A process that stands still between its merge and its sweep, and intends what it may not write.
#[test]
fn a_sweep_behind_a_lost_lease_has_an_end() {
    let steps = |fate| {
        vec![
            Does(Writes("a", KEY, None)),
            Applies(&[("c", "b")], fate),
            Applies(&[("b", "a")], Ends),
            Does(Writes("c", (KEY.0, "k2"), None)),
        ]
    };
    always(true, steps, STOPS);
}
