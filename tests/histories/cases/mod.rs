//! Short histories that were found by reasoning, each of one kind.

mod clocks;
mod overtaken;
mod several;
mod totals;

use super::history::{Act, Pairs, Played, Setting, Step};
use super::process::{Fate, Landing};
use super::runs::{Command, Share, block_on};
use super::tables::{PROGRESS, Place, SEATS, Seen};
use Act::{Deletes, Writes};
use Command::{KeepChanged, Repair, Resume, Undo};
use Fate::{Ends, Killed, Refused, Stopped};
use Landing::{Done, Late, Lost};
use Share::All;
use Step::{Applies, Arrives, Does, Goes, GoesOn, Loses};

const KEY: Place = (PROGRESS, "k1");
const SEAT: Place = (SEATS, "r");

/// At most so many requests lie before the end of any command here; of one that reads in pages, more.
const REQUESTS: usize = 24;
const REQUESTS_IN_PAGES: usize = 48;

/// How a history was played.
struct End {
    /// What stood before the last act of the application.
    stood: Seen,
    /// How often it acted.
    acts: usize,
    /// What stands in the end.
    seen: Seen,
}

impl End {
    fn status(seen: &Seen, account: &str) -> Option<i32> {
        seen.get(&(account.to_owned(), KEY))?.status
    }

    /// The note of an account's row.
    fn note(&self, account: &str, place: Place) -> Option<&str> {
        self.seen.get(&(account.to_owned(), place))?.note.as_deref()
    }
}

/// Plays a history to its end. Nothing may be wrong.
#[track_caller]
fn ends(setting: Setting, steps: &[Step]) -> End {
    let (wrong, end) = block_on(async {
        let mut played = Played::new(setting, None);
        for step in steps {
            played.step(step).await;
        }
        let wrong = played.end().await;
        let (stood, acts) = played.stood();
        (wrong, End { stood, acts, seen: played.seen() })
    });
    assert_eq!(wrong, Vec::<String>::new(), "{setting:?} {steps:?}");
    end
}

/// Plays a history in which a command is interrupted, at each of its requests in turn, as `fates` say; gives what stood in
/// the end of each.
#[track_caller]
fn always(
    is_registered: bool,
    steps: impl Fn(Fate) -> Vec<Step>,
    fates: &[fn(usize) -> Fate],
) -> Vec<Seen> {
    let mut seen = Vec::new();
    for at in 0..REQUESTS {
        for (number, fate) in fates.iter().enumerate() {
            // A group in many slices, or in one.
            let slice_bytes = if (at + number) % 2 == 0 { 1 } else { 1_000_000 };
            seen.push(ends(Setting::new(is_registered, slice_bytes), &steps(fate(at))).seen);
        }
    }
    seen
}

/// Plays a history in which the application does something at each request of a command in turn.
#[track_caller]
fn at_each(setting: Setting, steps: impl Fn(usize) -> Vec<Step>) -> Vec<End> {
    let requests = if setting.rows_before > 0 { REQUESTS_IN_PAGES } else { REQUESTS };
    (0..requests).map(|at| ends(setting, &steps(at))).collect()
}

/// A run of some pairs, all of them.
fn applies(pairs: Pairs, fate: Fate) -> Step {
    Applies(pairs, All, fate, None)
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
            applies(&[("a", "b")], fate),
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
    for command in [Resume, Undo(All)] {
        for arrives in [true, false] {
            for place in [KEY, SEAT] {
                let steps = |fate| {
                    let arrival = if arrives { Some(Arrives) } else { None };
                    then([applies(&[("a", "b")], fate), Does(Deletes("a", place))])
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
            applies(&[("a", "b")], Ends),
            Does(Writes("a", KEY, None)),
            applies(&[("b", "c")], fate),
            Goes(0, Undo(All), Ends, None),
            Goes(1, Undo(All), Ends, None),
            Goes(0, Undo(All), Ends, None),
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
            applies(&[("a", "b")], Ends),
            applies(&[("c", "b")], fate),
            Goes(0, Undo(All), Ends, None),
        ])
    };
    always(true, steps, KILLS);
}

/// Whoever stood still for longer than its lease writes nothing any more.
#[test]
fn e8_whoever_stood_still_finds_its_lease_gone() {
    let steps = |fate| then([applies(&[("a", "b")], fate), applies(&[("b", "c")], Ends), GoesOn]);
    always(true, steps, STOPS);
}

/// Without the register another run may have moved the copy on: nothing of it is lost.
#[test]
fn e9_a_copy_that_was_moved_on_is_no_reason_to_delete() {
    let steps = |fate| {
        let resume = Goes(0, Resume, Ends, None);
        then([applies(&[("a", "b")], fate), applies(&[("b", "c")], Ends), resume, Arrives])
    };
    always(false, steps, KILLS);
    always(true, steps, KILLS);
}

#[test]
fn e10_what_an_undo_gives_back_is_seen_to_stand() {
    let steps = |fate| {
        then([
            applies(&[("a", "b")], Ends),
            Goes(0, Undo(All), fate, None),
            applies(&[("a", "c")], Ends),
            Goes(0, Undo(All), Ends, None),
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
                applies(&[("a", "b")], Ends),
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
            applies(&[("a", "b")], Ends),
            Does(Writes("a", KEY, None)),
            applies(&[("a", "b")], Ends),
            Goes(1, Undo(All), fate, None),
            Goes(1, Undo(All), Ends, None),
            applies(&[("a", "c")], Ends),
        ])
    };
    always(true, steps, KILLS);
}

/// What was written on a source since it was half merged stays there when that is undone.
#[test]
fn e18_an_undo_leaves_what_was_written_since() {
    let steps = |fate| {
        then([
            applies(&[("a", "b")], fate),
            Does(Writes("a", KEY, None)),
            Goes(0, Undo(All), Ends, None),
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
            applies(&[("a", "b")], fate),
            applies(&[("b", "a")], Ends),
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
            applies(&[("a", "b")], fate),
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
            applies(&[("a", "b")], Refused(8, Lost)),
            Goes(0, Undo(All), fate, None),
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
            applies(&[("a", "b")], Ends),
            Does(Writes("a", KEY, None)),
            applies(&[("b", "c")], fate),
            Goes(1, Undo(All), Ends, None),
            Goes(0, Resume, Ends, None),
        ])
    };
    always(true, steps, KILLS);
}

/// A run that is declared lost while it stands still, and whose accounts another then moves.
#[test]
fn e31_an_intent_that_the_register_never_had_is_none() {
    for last in [Undo(All), Resume] {
        let steps = |fate| {
            then([
                applies(&[("a", "b")], fate),
                applies(&[("a", "c")], Killed(9, Done)),
                Goes(0, last, Ends, None),
                Goes(1, Undo(All), Ends, None),
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
            applies(&[("a", "b")], fate),
            applies(&[("c", "b")], Ends),
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
            applies(&[("a", "b")], Ends),
            applies(&[("b", "c")], Ends),
            Does(Writes("c", KEY, Some(false))),
            Goes(0, Repair, fate, None),
        ])
    };
    always(true, steps, KILLS);
}

/// A row that was deleted since, and another that came to its source while a repair was looking.
#[test]
fn a_repair_hides_nothing_that_was_written_since() {
    let steps = |at| {
        vec![
            Does(Writes("b", SEAT, None)),
            applies(&[("b", "a")], Ends),
            Does(Deletes("a", SEAT)),
            Goes(0, Repair, Ends, Some((at, Writes("b", SEAT, None)))),
        ]
    };
    let mut ends = at_each(Setting::new(true, 1), steps);
    // A repair that is over before that happens writes nothing either.
    ends.retain(|end| end.acts == 3);
    assert!(!ends.is_empty() && ends.iter().all(|end| end.note("a", SEAT) == Some("n2")));
}

/// A late row that was deleted while its sweep stood still does not come back under the survivor.
#[test]
fn a_row_that_was_deleted_under_a_sweep_stays_so() {
    let steps = |fate| {
        vec![
            Does(Writes("a", SEAT, None)),
            applies(&[("a", "b")], Ends),
            Does(Writes("a", KEY, None)),
            Goes(0, Resume, fate, None),
            Does(Deletes("a", KEY)),
        ]
    };
    always(true, steps, STOPS);
    always(true, steps, KILLS);
    // Without the register nobody else can be told from the application, and yet whoever else has taken the row has it.
    let kills: &[fn(usize) -> Fate] = &[|at| Killed(at, Lost)];
    always(false, steps, kills);
}

/// Nothing is begun on an account whose merge is being undone, also where a lost run has named it before.
#[test]
fn a_lost_run_hides_none_that_is_at_work() {
    let steps = |fate| {
        vec![
            Does(Writes("b", KEY, None)),
            applies(&[("b", "a")], Stopped(0)),
            Loses(0),
            Does(Writes("a", KEY, None)),
            applies(&[("a", "c")], Ends),
            GoesOn,
            Goes(1, Undo(All), fate, None),
            applies(&[("b", "a")], Ends),
        ]
    };
    always(true, steps, KILLS);
}

/// Without a register: a late row that an earlier run places on an account that a later run has begun to merge.
#[test]
fn what_arrives_at_a_half_merged_group_is_kept() {
    let setting = Setting::new(false, 1);
    let steps = [
        Does(Writes("a", KEY, Some(false))),
        applies(&[("a", "b")], Ends),
        Does(Writes("a", KEY, Some(false))),
        applies(&[("b", "c")], Refused(5, Done)),
    ];
    assert_eq!(super::history::play(setting, &steps, None), Vec::<String>::new());
}

/// A row that an undo has given back is deleted there before the undo is gone on with.
#[test]
fn what_was_given_back_and_deleted_stands_nowhere() {
    let steps = |fate| {
        vec![
            Does(Writes("a", SEAT, None)),
            applies(&[("a", "c")], Ends),
            Goes(0, Undo(All), fate, None),
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
            applies(&[("c", "a")], Ends),
            Does(Writes("c", KEY, None)),
            Goes(0, Resume, fate, None),
            applies(&[("b", "a")], Ends),
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
            applies(&[("c", "b")], fate),
            applies(&[("b", "a")], Ends),
            Does(Writes("c", (KEY.0, "k2"), None)),
        ]
    };
    always(true, steps, STOPS);
}

/// Whoever stood still and is dated after another run's undo intends nothing: that is not over yet.
#[test]
fn whoever_stood_still_intends_nothing_beside_an_undo() {
    let steps = |fate| {
        vec![
            Does(Writes("c", KEY, Some(false))),
            Does(Writes("a", KEY, None)),
            applies(&[("a", "c"), ("b", "c")], Stopped(0)),
            applies(&[("c", "a")], Ends),
            Goes(1, Undo(All), fate, None),
        ]
    };
    always(true, steps, KILLS);
}
