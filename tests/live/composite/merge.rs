//! All kinds of keys at once: merged, checked, merged again and undone.

use std::collections::BTreeMap;

use super::random::Data;
use super::shape::WORLD;
use super::{Kind, Scene, model::Discover, model::Outcome};
use crate::kafka;

/// Every table is as the model says, and everything comes back.
fn whole(name: &str, seed: u64, in_flight: &str) {
    let data = Data::groups(Kind::Text, seed, &WORLD, 60);
    let scene = Scene::new(name, &WORLD, &data).with_event();
    let expected = scene.expected();
    // The world is worth its name: each table has rows of each kind, and rows that stay where they are.
    for (table, tally) in &expected.tallies {
        assert!(tally.copied > 0 && tally.merged > 0 && tally.unchanged > 0, "{table}: {tally:?}");
    }
    let scanned = scene.expected_by(Discover::Scan);
    assert!(scanned.missed > 20, "{} rows to which nothing leads", scanned.missed);

    let finished = scene.apply().with("--in-flight", in_flight).run().exits(0);
    scene.assert_tables(&expected.tables);
    let announced = kafka::consume(&scene.world.addresses.brokers, &scene.world.topic);
    let verified = scene.walk("verify").run().exits(0).json();
    assert_eq!(verified["groups"]["compared"], scene.plan.groups.len(), "{verified:#}");
    scene.assert_tables(&expected.tables);

    // Once more, and there is nothing to do but for the table whose sources keep their rows.
    let run = scene.world.run_dir();
    let again = scene.world.apply(&scene.pairs, &run).with("--spec", &scene.spec);
    let report = again.run().exits(0).json();
    scene.assert_tables(&expected.tables);
    for table in report["tables"].as_array().expect("a report has tables") {
        let changes = ["copied", "merged", "deleted"].map(|counter| &table[counter]);
        assert_eq!(changes, [0, 0, 0], "{table:#}");
    }
    let events = kafka::consume(&scene.world.addresses.brokers, &scene.world.topic);
    assert_eq!(events.len(), expected.announced.len(), "nothing is announced twice");

    // It has worked on the same accounts since, so it comes first.
    scene.walk("undo").run().exits(4);
    scene.assert_tables(&expected.tables);
    scene.walk_over("undo", &run).run().exits(0);
    scene.walk("undo").run().exits(0);
    scene.assert_tables(&scene.before);

    scene.assert_report(&finished.json(), &expected);
    assert_announced(announced, &expected);
}

/// Each member whose partition saw a change is announced once, as it is then.
#[track_caller]
fn assert_announced(messages: Vec<kafka::Message>, expected: &Outcome) {
    let mut seen = BTreeMap::new();
    for message in messages {
        let [course, member] =
            ["course", "member"].map(|name| message.payload[name].as_str().expect("it is quoted"));
        assert_eq!(message.key, format!("{course}_{member}"));
        let key = vec![super::cells::quote(course), super::cells::quote(member)];
        let first = seen.insert(key, message.payload["points"].to_string());
        assert_eq!(first, None, "two events for {}", message.key);
    }
    let points = |(course, member): &(String, String)| {
        let key = vec![course.clone(), member.clone()];
        let points = expected.tables["members"][&key].get("points").cloned();
        (key, points.unwrap_or("null".into()))
    };
    let announced = expected.announced.iter().map(points).collect();
    crate::world::assert_same("event", &announced, &seen);
}

#[test]
fn a_composite_world_of_seed_1() {
    whole("composite_1", 1, "auto");
}

#[test]
fn a_composite_world_of_seed_2_group_by_group() {
    whole("composite_2", 2, "1");
}

/// Few rows of one pair, by table: key, column and value.
fn few(name: &str, rows: &[(&'static str, &[&str], &'static str, &str)]) -> Scene {
    let mut data = Data::groups(Kind::Text, 0, &WORLD, 0);
    data.pair("source", "target");
    for (table, key, column, value) in rows {
        let key = key.iter().map(|part| (*part).to_owned()).collect();
        let cells = [(*column, (*value).to_owned())].into();
        data.tables.get_mut(table).expect("it is there").insert(key, cells);
    }
    Scene::new(name, &WORLD, &data).with_event()
}

/// A partition key of one column is never empty, but a column of several may be: also where the account is the other.
#[test]
fn an_empty_part_of_a_key_leads_to_rows() {
    let scene = few(
        "composite_empty",
        &[
            ("users", &["'source'"], "tenant", "''"),
            ("profile", &["''", "'source'"], "level", "1"),
            ("user_enrolments", &["'source'", "''", "'b'"], "status", "1"),
            ("user_activity_agg", &["'Course'", "''", "'source'", "''"], "score", "1"),
        ],
    );
    let expected = scene.expected();
    assert_eq!(expected.tallies["profile"].copied, 1);
    scene.apply().run().exits(0);
    scene.assert_tables(&expected.tables);
}

#[test]
fn an_event_quotes_what_a_policy_has_left() {
    let scene = few(
        "composite_quoted",
        &[
            ("user_enrolments", &["'source'", "'k'", "'b'"], "status", "1"),
            ("members", &["'k'", "'source'"], "points", "2"),
            ("members", &["'k'", "'target'"], "points", "1"),
        ],
    );
    let expected = scene.expected();
    scene.apply().run().exits(0);
    scene.assert_tables(&expected.tables);
    let messages = kafka::consume(&scene.world.addresses.brokers, &scene.world.topic);
    assert_eq!(messages.len(), 1);
    assert_announced(messages, &expected);
}

#[test]
fn rows_that_are_deleted_one_by_one_are_counted() {
    let scene = few(
        "composite_deleted",
        &[
            ("user_enrolments", &["'source'", "'k'", "'b'"], "status", "1"),
            ("posts", &["'blog'", "'k'", "'source'", "1"], "likes", "1"),
        ],
    );
    let expected = scene.expected();
    let finished = scene.apply().run().exits(0);
    scene.assert_tables(&expected.tables);
    scene.assert_report(&finished.json(), &expected);
}
