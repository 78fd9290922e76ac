//! How a report of any kind is laid out for a terminal, and for programs.

use std::path::Path;

use super::super::document::{Fact, Kept, Report, Section, Table};
use super::super::words::{code, count, counted, say, seconds, share};
use super::data::{applied, plan, summary};
use super::*;
use crate::advice::Advice;

/// All of a report, to the last blank.
#[test]
fn a_report_is_laid_out_for_a_terminal() {
    let run = Path::new("/data/runs/r1");
    let mut report = Report::new("walk", &"r1", Kept::new(run, "walk.html", "walk.json"));
    report.outcome.word = say!("finished, with something left");
    report.outcome.took = say!("in {}", seconds(2.0));
    let long = say!(
        "{} that take more room than a line of a terminal has, so that they are {}",
        counted(2, "word"),
        "broken"
    );
    report.facts.push(Fact::new("First", long).with(say!("and what else there is")));
    let mut warned = Fact::new("Second", share(1, 8)).toned(Tone::Warning);
    warned.examples = (1..=4).map(|n| say!("example {}", count(n))).collect();
    report.facts.push(warned);
    let mut table = Table::new(["Rows of", "copied"]);
    table.push([code("a"), count(1_234).into()]);
    table.push([code("bb"), count(5).into()]);
    report.add(Section::new("Rows").with(table).with(Fact::new("Third", "behind a table")));
    report.add(Section::new("Last").with(Fact::new("Fourth", "in a section of its own")));
    report.advise(say!("To undo it"), Advice::undo(run));
    let expected = "\
walk r1: finished, with something left, in 2.0 s

First       2 words that take more room than a line of a terminal has, so that
            they are broken
            and what else there is
WARNING     12.5%
            example 1
            example 2
            example 3
            … (walk.json names more)

Rows of  copied
a         1,234
bb            5

Third       behind a table
Fourth      in a section of its own

To undo it:
  tributary undo /data/runs/r1
walk.html shows this and more in a browser.
Run directory: /data/runs/r1
";
    assert_eq!(export::text(&report), expected);
}

#[test]
fn the_json_is_flat_and_versioned() {
    let text = rendered(&summary("apply", plan(), Some(applied()))).json;
    let value: Value = serde_json::from_str(&text).unwrap();
    for (at, expected) in [
        ("/version", 3.into()),
        ("/adds_up", true.into()),
        ("/started_at", Value::from("2026-11-23T04:14:55.000Z")),
        ("/plan/rejected/cycle", 4.into()),
        ("/pairs/failed", 15.into()),
        ("/tables/1/table", "user_courses".into()),
        ("/tables/1/copied", 60_970.into()),
        ("/latency/0/p99_us", 12_345.into()),
        ("/equations/0/holds", true.into()),
    ] {
        assert_eq!(value.pointer(at), Some(&expected), "{at}");
    }
    let plan = rendered(&summary("plan", plan(), None)).json;
    assert!(!plan.contains("\"groups\": {"), "{plan}");
    let value: Value = serde_json::from_str(&plan).unwrap();
    let mean = value["figures"]["accounts_per_group"].as_f64().unwrap();
    assert!((2.108..2.109).contains(&mean), "{mean}");
}
