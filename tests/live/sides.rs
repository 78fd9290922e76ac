//! `keep-source`: what the source has takes the place of what the survivor has, null as well, in a column or in whole rows.

use serde_json::{Value, json};

use crate::process::Call;
use crate::world::World;

const PRESET: &str = include_str!("../../src/spec/course-batch.toml");

#[test]
fn what_the_source_has_stands_until_it_is_undone() {
    let world = World::new("sides");
    let rules = [
        (
            "on_conflict = { status = \"max\" }",
            "on_conflict = { status = \"max\", grade = \"keep-source\" }",
        ),
        ("on_conflict = \"keep-target\"", "on_conflict = \"keep-source\""),
    ];
    let spec = rules.iter().fold(PRESET.to_owned(), |spec, (from, to)| {
        assert!(spec.contains(from), "{from}");
        spec.replace(from, to)
    });
    let spec = world.file("sides.toml", spec);
    for (user, content, batch, status, grade) in [
        ("new", "do_1", "b1", 2, "'own'"),
        ("old", "do_1", "b1", 1, "null"),
        ("new", "do_2", "b1", 1, "null"),
        ("old", "do_2", "b1", 2, "'its'"),
        ("old", "do_3", "b2", 1, "'its'"),
    ] {
        world.cql(&format!(
            "INSERT INTO content_consumption (userid, contentid, batchid, courseid, status, grade) \
             VALUES ('{user}', '{content}', '{batch}', 'k', {status}, {grade})"
        ));
    }
    // A row that stands by its cells alone, and one that has nothing but its key.
    world.cql(
        "UPDATE user_courses SET delta = 'own', status = 1 WHERE batchid = 'b1' AND userid = 'new'",
    );
    world.cql("INSERT INTO user_courses (batchid, userid) VALUES ('b1', 'old')");
    world.cql(
        "INSERT INTO user_courses (batchid, userid, status, contentstatus) VALUES ('b2', 'new', 2, {'do_9': 1})",
    );
    world.cql(
        "INSERT INTO user_courses (batchid, userid, grade, contentstatus) VALUES ('b2', 'old', 'A', {'do_3': 1})",
    );
    let seen = || {
        let content =
            world.rows("SELECT userid, contentid, status, grade FROM content_consumption");
        let columns = "userid, batchid, status, grade, delta, contentstatus";
        let mut rows = world.rows(&format!("SELECT {columns} FROM user_courses"));
        rows.extend(content);
        rows.sort_by_key(|row| format!("{row:?}"));
        rows
    };
    let before = seen();
    let some = |value: Value| Some(value);
    let content = |content: &str, status: i64, grade: Option<Value>| {
        vec![some("new".into()), some(content.into()), some(json!(status)), grade]
    };
    let mut expected = vec![
        content("do_1", 2, None),
        content("do_2", 2, some("its".into())),
        content("do_3", 1, some("its".into())),
        vec![some("new".into()), some("b1".into()), None, None, None, None],
    ];
    let its = before.iter().find(|row| row[0] == some("old".into()) && row[1] == some("b2".into()));
    let mut its = its.expect("it was inserted").clone();
    its[0] = some("new".into());
    expected.push(its);
    expected.sort_by_key(|row| format!("{row:?}"));

    let (pairs, run) = (world.file("pairs.csv", "from,to\nold,new\n"), world.run_dir());
    let inspect = Call::new(&["plan", pairs.to_str().expect("UTF-8")])
        .with("--inspect", "all")
        .flag("--json")
        .with("--hosts", &world.addresses.hosts)
        .with("--keyspace", &world.keyspace)
        .with("--spec", &spec);
    let inspected = inspect.run().exits(0).json();
    let conflicts = inspected["inspection"]["conflicts"].as_array().expect("a list").clone();
    let deleted = conflicts
        .iter()
        .flat_map(|conflict| conflict["columns"].as_array().cloned().unwrap_or_default());
    let deleted =
        deleted.filter(|column| !column["survivor"].is_null() && column["result"].is_null());
    let deleted: Vec<Value> = deleted.map(|column| column["column"].clone()).collect();
    assert!(
        deleted.contains(&"grade".into()) || deleted.contains(&"delta".into()),
        "{conflicts:?}"
    );

    let apply = world.apply(&pairs, &run).with("--spec", &spec);
    apply.environment("TRIBUTARY_FAILPOINT", "batch:1").run().was_killed();
    world.resume(&run).run().exits(0);
    assert_eq!(seen(), expected);
    let record = Call::new(&["record", run.to_str().expect("UTF-8"), "old"]).run().exits(0);
    assert!(record.stdout.replace(' ', "").contains("\"grade\":null"), "{record}");
    let over = |command: &str| world.over(command, &run);
    over("verify").run().exits(0);
    // Of a late value and the survivor's the later write stands.
    let write = |user: &str, grade: &str| {
        world.cql(&format!(
            "UPDATE content_consumption SET grade = '{grade}' WHERE userid = '{user}' AND contentid = 'do_1' AND batchid = \
             'b1' AND courseid = 'k'"
        ));
    };
    write("new", "own again");
    write("old", "late");
    world.resume(&run).run().exits(0);
    let grade = "SELECT grade FROM content_consumption WHERE userid = 'new' AND contentid = 'do_1'";
    assert_eq!(world.rows(&format!("{grade} ALLOW FILTERING")), [[some("late".into())]]);
    over("verify").run().exits(0);
    // What the application had written before the late value is nobody's any more: it is a conflict, and is told.
    over("undo").run().exits(4);
    over("undo").flag("--force").run().exits(0);
}
