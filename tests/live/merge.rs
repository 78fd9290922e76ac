//! What a whole run leaves behind, compared with the model in every row, column and event.

use serde_json::Value;

use crate::data::{self, Data};
use crate::model::{self, Line, Outcome, Tables};
use crate::process::Finished;
use crate::world::{World, quoted, to_csv};

/// A CSV as a spreadsheet may leave it: BOM, CRLF, more columns, ids quoted now and then, no newline
/// at the end. Also gives the line of each record.
pub(crate) fn from_a_spreadsheet(lines: &[Line]) -> (Vec<u8>, Vec<u64>) {
    let mut text = "\u{feff}note,to,when,from\r\n".to_owned();
    let mut starts = Vec::new();
    for (n, line) in lines.iter().enumerate() {
        starts.push(1 + text.matches('\n').count() as u64);
        match line {
            Line::Blank => {}
            Line::Malformed => text.push_str("one column only"),
            Line::Pair(from, to) => {
                let cell = |id: &str| match n % 3 {
                    0 => format!("\"{}\"", id.replace('"', "\"\"")),
                    _ => quoted(id),
                };
                text.push_str(&format!("\"a, note\",{},,{}", cell(to), cell(from)));
            }
        }
        if n + 1 < lines.len() {
            text.push_str("\r\n");
        }
    }
    (text.into_bytes(), starts)
}

/// Asserts that every counter of the report is the model's, and that they add up.
#[track_caller]
pub(crate) fn assert_report(report: &Value, expected: &Outcome, lines: usize) {
    assert_whole_run(report, expected, lines);
    let events = report.pointer("/events/acknowledged").and_then(Value::as_u64);
    assert_eq!(events, Some(expected.events.len() as u64), "{report:#}");
}

/// The same for what a report says of all sessions of a run; events are those of the last one.
#[track_caller]
pub(crate) fn assert_whole_run(report: &Value, expected: &Outcome, lines: usize) {
    let count = |pointer: &str| {
        let value = report.pointer(pointer).and_then(Value::as_u64);
        value.unwrap_or_else(|| panic!("no {pointer} in {report:#}"))
    };
    let plan = &expected.plan;
    assert_eq!(count("/plan/lines"), lines as u64);
    assert_eq!(count("/plan/blank"), plan.blank as u64);
    assert_eq!(count("/plan/duplicates"), plan.duplicates as u64);
    assert_eq!(count("/plan/pairs"), plan.pairs as u64);
    assert_eq!(count("/plan/groups"), plan.groups.len() as u64);
    for reason in ["malformed", "invalid-id", "self-pair", "ambiguous", "cycle"] {
        let rejected = plan.rejected.values().filter(|rejected| **rejected == reason).count();
        assert_eq!(count(&format!("/plan/rejected/{reason}")), rejected as u64, "{reason}");
    }
    for (name, model) in [
        ("user_courses", expected.user_courses),
        ("content_consumption", expected.content_consumption),
    ] {
        let table = report["tables"].as_array().into_iter().flatten();
        let table = table.into_iter().find(|table| table["table"] == name);
        let table = table.unwrap_or_else(|| panic!("no {name} in {report:#}"));
        let seen = ["source_rows", "copied", "merged", "unchanged", "deleted"]
            .map(|counter| (counter, table[counter].as_u64()));
        let model = [
            ("source_rows", model.source_rows),
            ("copied", model.copied),
            ("merged", model.merged),
            ("unchanged", model.unchanged),
            ("deleted", model.deleted),
        ]
        .map(|(counter, value)| (counter, Some(value)));
        assert_eq!(seen, model, "{name}");
    }
    assert_eq!(count("/absent_sources"), expected.absent_sources, "sources without rows");
    assert_eq!(count("/absent_survivors"), expected.absent_survivors, "survivors without rows");
    assert_eq!(count("/groups/done"), plan.groups.len() as u64);
    assert_eq!(count("/pairs/done"), plan.pairs as u64);
    assert_eq!(report["adds_up"], true, "{report:#}");
}

/// Many small worlds side by side in one keyspace, each with its own pairs.
fn random_worlds(name: &str, seed: u64) -> Finished {
    let world = World::new(name);
    let mut data = Data::new(seed);
    for n in 0..250 {
        data::small(n, &mut data);
    }
    world.load(&data.tables);
    let before = data::without_empty_maps(data.tables);
    let expected = model::apply(&data.lines, &before);
    assert!(expected.plan.groups.len() > 100 && expected.content_consumption.merged > 100);

    let pairs = world.file("pairs.csv", to_csv(&data.lines));
    let finished = world.apply(&pairs, &world.run_dir()).run().exits(3);
    world.assert_is(&expected);
    assert_report(&finished.json(), &expected, data.lines.len());
    finished
}

#[test]
fn random_worlds_of_seed_1() {
    random_worlds("random_1", 1);
}

#[test]
fn random_worlds_of_seed_2() {
    random_worlds("random_2", 2);
}

#[test]
fn random_worlds_of_seed_3() {
    random_worlds("random_3", 3);
}

#[test]
fn without_events_the_rows_are_the_same_and_no_broker_is_needed() {
    let world = World::new("no_events");
    let mut data = Data::new(7);
    data.study("source", "c", "b");
    data.pair("source", "target");
    world.load(&data.tables);
    let before = data::without_empty_maps(data.tables);
    let expected = model::apply(&data.lines, &before);
    assert_eq!(expected.events.len(), 1);

    let pairs = world.file("pairs.csv", to_csv(&data.lines));
    let call = world.apply(&pairs, &world.run_dir()).without("--brokers").without("--topic");
    call.with("--brokers", "127.0.0.1:1").flag("--no-events").run().exits(0);
    world.assert_tables(&expected.tables);
    assert_eq!(world.events().len(), 0);
}

#[test]
fn an_input_without_pairs_is_nothing_to_do() {
    let world = World::new("nothing");
    let before = Tables::default();
    for (name, text) in [("header.csv", "from,to\n"), ("blank.csv", "from,to\r\n\r\n\n")] {
        let run = world.run_dir();
        let finished = world.apply(&world.file(name, text), &run).run().exits(0);
        assert_eq!(finished.json().pointer("/plan/pairs"), Some(&0.into()));
        assert!(run.join("report.json").is_file());
    }
    world.assert_tables(&before);
}

/// Many groups at once leave the same as one after the other.
#[test]
fn the_number_of_groups_in_flight_makes_no_difference() {
    for in_flight in ["1", "200"] {
        let world = World::new(&format!("in_flight_{in_flight}"));
        let mut data = Data::new(11);
        for n in 0..60 {
            data::small(n, &mut data);
        }
        world.load(&data.tables);
        let expected = model::apply(&data.lines, &data::without_empty_maps(data.tables));
        let pairs = world.file("pairs.csv", to_csv(&data.lines));
        let call = world.apply(&pairs, &world.run_dir()).with("--in-flight", in_flight);
        call.run().exits(3);
        world.assert_is(&expected);
    }
}
