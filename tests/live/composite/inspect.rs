//! `plan --inspect` of composite tables: what it counts and shows is what a merge then does.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::model::{Conflict, Discover, Outcome};
use super::random::Data;
use super::shape::WORLD;
use super::{Kind, Scene, cells};
use crate::process::Call;

fn inspect(scene: &Scene) -> Call {
    Call::new(&["plan", scene.pairs.to_str().expect("the tests use UTF-8")])
        .with("--inspect", "all")
        .with("--spec", &scene.spec)
        .with("--hosts", &scene.world.addresses.hosts)
        .with("--keyspace", &scene.world.keyspace)
        .with("--run-dir", scene.world.run_dir())
        .flag("--json")
}

/// A figure of which nothing was left to chance.
#[track_caller]
fn exact(estimate: &Value) -> u64 {
    assert_eq!(estimate["low"], estimate["high"], "{estimate}");
    estimate["value"].as_u64().unwrap_or_else(|| panic!("no count: {estimate}"))
}

#[track_caller]
fn assert_counts(inspection: &Value, expected: &Outcome) {
    let tables = inspection["tables"].as_array().expect("there are tables");
    assert_eq!(tables.len(), expected.tallies.len());
    for table in tables {
        let name = table["table"].as_str().expect("a table has a name");
        let tally = expected.tallies[name];
        let seen = ["source_rows", "copied", "merged", "unchanged", "deleted"]
            .map(|counter| exact(&table[counter]));
        let counts =
            [tally.source_rows, tally.copied, tally.merged, tally.unchanged, tally.deleted];
        assert_eq!(seen, counts, "{name}: rows, copied, merged, unchanged, deleted");
    }
    assert_eq!(exact(&inspection["absent_sources"]["accounts"]), expected.absent_sources);
    assert_eq!(exact(&inspection["absent_survivors"]["accounts"]), expected.absent_survivors);
    assert_eq!(exact(&inspection["events"]), expected.announced.len() as u64);
}

/// A conflict as it is shown: table, survivor, source, key without the account, and whether the row changes.
type Shown = (String, String, String, BTreeMap<String, String>, bool);

fn expected_of(conflict: &Conflict) -> Shown {
    let shape = WORLD.iter().find(|shape| shape.name == conflict.table).expect("it is there");
    let columns = shape.columns[..shape.key].iter().zip(&conflict.key).enumerate();
    let others = columns.filter(|(at, _)| *at != shape.account);
    // A date is shown in hexadecimal.
    let others = others.filter(|(_, ((_, of), _))| *of != "date");
    let key = others.map(|(_, ((name, _), value))| ((*name).to_owned(), value.clone()));
    (
        conflict.table.to_owned(),
        cells::unquote(&conflict.survivor),
        cells::unquote(&conflict.source),
        key.collect(),
        conflict.is_merged,
    )
}

fn seen(conflict: &Value) -> Shown {
    let text = |name: &str| conflict[name].as_str().expect("a text").to_owned();
    let key: BTreeMap<String, Value> = serde_json::from_str(&text("key")).expect("a key is JSON");
    let is_date = |name: &str| name == "day";
    let literal = |value: Value| match value {
        Value::String(text) => cells::quote(&text),
        other => other.to_string(),
    };
    (
        text("table"),
        text("survivor"),
        text("source"),
        key.into_iter()
            .filter(|(name, _)| !is_date(name))
            .map(|(name, value)| (name, literal(value)))
            .collect(),
        conflict["is_merged"].as_bool().expect("it is said"),
    )
}

#[test]
fn an_inspection_counts_and_names_what_a_merge_does() {
    let data = Data::groups(Kind::Text, 9, &WORLD, 60);
    let scene = Scene::new("composite_inspect", &WORLD, &data).with_event();
    let expected = scene.expected();
    let report = inspect(&scene).run().exits(0).json();
    let inspection = &report["inspection"];
    assert_eq!(inspection["coverage"]["is_exact"], true);
    assert_counts(inspection, &expected);
    scene.assert_tables(&scene.before);

    // Some of each table are shown: those that change the survivor's row, and those that do not.
    let known: Vec<Shown> = expected.conflicts.iter().map(expected_of).collect();
    let shown = inspection["conflicts"].as_array().expect("a list");
    let shown: Vec<Shown> = shown.iter().map(seen).collect();
    for conflict in &shown {
        assert!(known.contains(conflict), "{conflict:?} is none");
    }
    for shape in &WORLD {
        for is_merged in [true, false] {
            let is_of = |conflict: &&Shown| conflict.0 == shape.name && conflict.4 == is_merged;
            let (of_model, of_tool) =
                (known.iter().filter(is_of).count(), shown.iter().filter(is_of).count());
            assert_eq!(of_tool, of_model.min(2), "{} that change: {is_merged}", shape.name);
        }
    }

    // The rows that only a scan finds are counted by one.
    let by_scan = scene.expected_by(Discover::Scan);
    let report = inspect(&scene).with("--discover", "scan").run().exits(0).json();
    assert_counts(&report["inspection"], &by_scan);
    let missed = json!({"value": by_scan.missed, "low": by_scan.missed, "high": by_scan.missed});
    assert_eq!(report["inspection"]["missed"]["clustered_rows"], missed);
}

#[test]
fn an_inspection_for_people_can_be_read() {
    let scene = Scene::new("composite_look", &WORLD, &Data::groups(Kind::Text, 10, &WORLD, 12));
    let text = inspect(&scene).without("--json").run().exits(0).stdout;
    for shape in &WORLD {
        assert!(text.contains(shape.name), "no {}: {text}", shape.name);
    }
}
