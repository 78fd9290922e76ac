//! The exact text of a verification.

use super::*;
use crate::advice::Advice;
use crate::model::UndonePairs;

#[test]
fn a_verification_tells_differences_by_table_and_what_to_do() {
    let mut verification = data::verification();
    verification.latency.clear();
    verification.groups.failed = 0;
    verification.groups.total = 18_500;
    let text = rendered(&verification).text;
    let expected = "\
verify 20261123T041455Z-3f9a: 103 DIFFERENCES in 1 min 02 s

Session     2026-11-23 04:14:55 to 04:15:57 UTC, exit code 4
Left out    100 groups failed: rows are on the sources, or half under the
            survivor (failures.csv)
Groups      18,500 = 18,000 compared + 100 failed + 400 planned
Not told    this server does not tell the times of user_courses.contentstatus
Requests    11 requests tried again

Rows of               compared  differences  changed since  repaired
content_consumption  1,234,567          103             33         7
user_courses                 0            0              0         0

Found in             number  what
content_consumption      60  rows that are not there (row-missing)
content_consumption      43  values worse than the run left them (value-worse)
content_consumption      31  values written or deleted later, which is no
                             difference (changed-since)
content_consumption       2  rows of sources written later, which is no
                             difference (changed-since)
content_consumption       7  differences that were repaired (repaired)

To write again what is missing or worse (diff.csv has each of them):
  tributary verify '/data/my runs/r1' --repair
2 rows of sources: written after the merge, or with nothing but a key, whose
time cannot be read. What resume left before is in sweep.csv with its reason. To
take what can be moved to the survivor's row:
  tributary resume '/data/my runs/r1'
To take the run back:
  tributary undo '/data/my runs/r1'
verify.html shows this and more in a browser.
Run directory: /data/my runs/r1
";
    assert_eq!(text, expected, "\n{text}");
}

#[test]
fn a_run_that_was_taken_back_has_nothing_to_compare_and_nothing_to_take_back() {
    let mut undone = data::verification();
    undone.differences = 0;
    undone.tables.iter_mut().for_each(|table| table.counts = Default::default());
    let not_done = |states: &[(&str, u64)]| VerifiedGroups {
        total: 199,
        not_done: states.iter().map(|(state, n)| ((*state).to_owned(), *n)).collect(),
        ..VerifiedGroups::default()
    };
    undone.groups = not_done(&[("undone", 199)]);
    let text = rendered(&undone).text;
    assert!(text.contains(": nothing to compare, all of it was taken back, in "), "{text}");
    assert!(!text.contains("  tributary "), "{text}");
    undone.groups = not_done(&[("undone", 198), ("disputed", 1)]);
    let text = rendered(&undone).text;
    let ends = "where it is:\n  tributary undo '/data/my runs/r1' --keep-changed\n";
    assert!(text.contains(ends) && !text.contains("To take the run back"), "{text}");
    undone.groups = VerifiedGroups { compared: 100, ..not_done(&[("undone", 99)]) };
    let text = rendered(&undone).text;
    assert!(text.contains(": no difference in "), "{text}");
    assert!(text.contains("back:\n  tributary undo '/data/my runs/r1'\n"), "{text}");
}

#[test]
fn what_later_runs_have_merged_on_is_nothing_to_do() {
    let mut on = data::verification();
    on.differences = 0;
    on.tables.iter_mut().for_each(|table| table.counts = Default::default());
    let not_done = |states: &[(&str, u64)]| VerifiedGroups {
        total: 199,
        not_done: states.iter().map(|(state, n)| ((*state).to_owned(), *n)).collect(),
        ..VerifiedGroups::default()
    };
    on.groups = not_done(&[("merged-on", 199)]);
    let text = rendered(&on).text;
    assert!(text.contains(": nothing to compare, later runs have merged it on,"), "{text}");
    assert!(text.contains("199 groups merged on: later runs have worked"), "{text}");
    assert!(!text.contains("tributary resume"), "{text}");
    on.groups = VerifiedGroups { compared: 100, ..not_done(&[("merged-on", 99)]) };
    let text = rendered(&on).text;
    assert!(text.contains(": no difference in 1 min"), "{text}");
    assert!(!text.contains("tributary resume"), "{text}");
}

#[test]
fn an_undo_that_keeps_what_was_changed_says_the_same_of_groups_and_pairs() {
    let mut kept = data::undoing();
    kept.groups = UndoneGroups { selected: 1, kept_changed: 1, ..UndoneGroups::default() };
    kept.pairs = UndonePairs { kept_changed: 1, ..UndonePairs::default() };
    (kept.first, kept.again, kept.conflicts) = (Vec::new(), None, 0);
    let text = rendered(&kept).text;
    for label in ["Groups", "Pairs "] {
        let says = format!("\n{label:<12}1 = 0 taken back + 1 with changes kept\n");
        assert!(text.contains(&says), "{label}: {text}");
    }
    assert!(text.contains("Kept        17 cells of groups"), "{text}");
    // What nobody asked for stays merged, and can be checked.
    kept.groups.merged = 198;
    let text = rendered(&kept).text;
    assert!(text.contains("beside them 198 that stay merged"), "{text}");
    assert!(text.contains("stays merged:\n  tributary verify /data/runs/r1\n"), "{text}");
}

#[test]
fn a_stopped_verification_says_how_to_go_on() {
    let mut stopped = data::verification();
    stopped.differences = 0;
    stopped.tables.iter_mut().for_each(|table| table.counts = Default::default());
    stopped.stopped = Some("interrupted".into());
    stopped.again = Some(Advice::Verify { run: "r1".into(), repair: false });
    stopped.groups.left = 7_000;
    stopped.groups.total += 7_000;
    stopped.groups.compared_before = 2_000;
    let text = rendered(&stopped).text;
    assert!(text.contains(": no difference so far in "), "{text}");
    assert!(text.contains("+ 7,000 still to compare"), "{text}");
    assert!(text.contains("2,000 of them by the verification before"), "{text}");
    assert!(text.contains("go on where it was stopped:\n  tributary verify r1\n"), "{text}");
    assert!(!text.contains("Found in") && !text.contains("diff.csv"), "{text}");
}

#[test]
fn the_json_of_a_verification_has_every_count_by_table() {
    let json = rendered(&data::verification()).json;
    documented("verify", &json);
    let value: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["tables"][0]["row_missing"], 60);
    assert_eq!(value["groups"]["not_done"]["planned"], 400);
    assert_eq!((&value["version"], &value["adds_up"]), (&2.into(), &true.into()));
}

#[test]
fn an_undo_that_takes_nothing_back_does_not_say_that_it_did() {
    let mut none = data::undoing();
    none.tables.iter_mut().for_each(|table| table.rows = Default::default());
    (none.again, none.conflicts, none.pairs) = (None, 0, UndonePairs::default());
    for (refused, erased, says) in [(1, 0, "later runs have worked"), (0, 1, "were erased")] {
        none.groups = UndoneGroups { refused, erased, ..UndoneGroups::default() };
        let text = rendered(&none).text;
        let headline = text.lines().take(2).collect::<Vec<_>>().join(" ");
        assert!(headline.contains("nothing was taken back: ") && headline.contains(says), "{text}");
    }
}
