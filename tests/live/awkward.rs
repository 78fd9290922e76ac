//! Every awkward case at once, through the whole life of a run: foretold, merged, compared, taken back, merged again.
//!
//! One world is taken through all of it, because it is large: what each step must leave is asserted where that step has its
//! other tests.

use crate::data;
use crate::inspect::{
    assert_awkward, assert_foretold, assert_journal, assert_nothing_left, inspect,
};
use crate::merge::{assert_report, from_a_spreadsheet};
use crate::model;
use crate::process::{read_json, rejects};
use crate::undo::{Applied, undo_gives_back_every_row};
use crate::verify::{diff, found, verify};
use crate::world::{assert_same, to_csv};

/// So many groups to a window where nothing is asserted of windows: with a few of them it takes minutes.
const WINDOW: &str = "500";

#[test]
fn every_awkward_case_at_once() {
    let mut applied = Applied::loaded("awkward", data::awkward());
    let (csv, starts) = from_a_spreadsheet(&applied.lines);
    applied.pairs = applied.world.file("pairs.csv", csv);
    applied.world.assert_tables(&applied.before); // what was loaded is what the model starts from
    is_merged_as_foretold(&applied, &starts);
    is_as_the_run_left_it(&applied);
    assert_nothing_left(&applied.world, &applied.pairs);
    undo_gives_back_every_row(&applied, WINDOW);
    may_be_merged_again(&applied);
}

fn is_merged_as_foretold(of: &Applied, starts: &[u64]) {
    let Applied { world, lines, pairs, before, expected, run } = of;
    let plan = world.run_dir();
    let inspected = inspect(world, pairs, &plan).run().exits(3).json();
    assert_eq!(inspected, read_json(&plan.join("report.json")));
    world.assert_tables(before);
    assert_eq!(world.events().len(), 0);

    // What groups have in common is journaled once per window: as foretold, where windows are large.
    let apply = of.apply().with("--plan", &plan).environment("TRIBUTARY_WINDOW", "5000");
    let merged = apply.run().exits(3).json();
    world.assert_is(expected);
    assert_report(&merged, expected, lines.len());
    assert_eq!(merged, read_json(&run.join("report.json")), "--json is the report");
    assert_foretold(&inspected, &merged);
    assert_journal(&inspected["inspection"], run);
    assert_awkward(&inspected["inspection"], &merged, run);

    let reasons = expected.plan.rejected.iter();
    let reasons = reasons.map(|(at, reason)| (starts[*at], (*reason).to_owned())).collect();
    let seen = rejects(run).into_iter().map(|(line, reject)| (line, reject.code)).collect();
    assert_same("reject of line", &reasons, &seen);
}

/// Whatever is awkward to merge is not awkward to verify.
fn is_as_the_run_left_it(of: &Applied) {
    let Applied { world, expected, run, .. } = of;
    let finished = verify(world, run).environment("TRIBUTARY_WINDOW", WINDOW).run().exits(0);
    let report = finished.json();
    assert_eq!(report["groups"]["compared"], expected.plan.groups.len() as u64, "{finished}");
    assert!(diff(run).is_empty(), "{finished}");
    let rows = found(&report, "rows");
    let copied = expected.content_consumption.copied + expected.user_courses.copied;
    assert!(rows >= copied, "{rows} rows compared, {copied} copied");
    world.assert_tables(&expected.tables);
}

/// Applying again after an undo ends like the first time; and once more, it changes nothing.
fn may_be_merged_again(of: &Applied) {
    let Applied { world, lines, expected, .. } = of;
    let apply =
        |pairs| world.apply(pairs, &world.run_dir()).environment("TRIBUTARY_WINDOW", WINDOW);
    apply(&of.pairs).flag("--no-events").run().exits(3);
    world.assert_tables(&expected.tables);

    let announced = world.messages().len();
    let pairs = world.file("again.csv", to_csv(lines));
    let finished = apply(&pairs).run().exits(3);
    world.assert_tables(&expected.tables);
    assert_eq!(world.messages().len(), announced, "{finished}");
    let again = model::apply(lines, &expected.tables);
    assert_eq!(again.events.len(), 0, "the model itself is idempotent");
    assert_report(&finished.json(), &again, lines.len());
}
