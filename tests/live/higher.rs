//! A finished enrolment is not lost to one that was only begun: the row that ranks higher survives whole.

use serde_json::Value;

use crate::world::World;

const PRESET: &str = include_str!("../../src/spec/course-batch.toml");

#[test]
fn a_finished_enrolment_survives_one_that_was_begun() {
    let world = World::new("higher");
    let kept = "on_conflict = \"keep-target\"";
    assert!(PRESET.contains(kept));
    let rule = "on_conflict = { keep = \"higher\", by = [\"status\", \"completionpercentage\"] }";
    let spec = world.file("higher.toml", PRESET.replace(kept, rule));
    for (user, batch, status, columns, values) in [
        ("new", "b1", 1, "delta, contentstatus", "'begun', {'do_1': 1, 'do_9': 1}"),
        ("old", "b1", 2, "grade, contentstatus", "'A', {'do_1': 2}"),
        ("new", "b2", 2, "grade", "'B'"),
        ("old", "b2", 2, "grade", "'C'"),
    ] {
        world.cql(&format!(
            "INSERT INTO user_courses (batchid, userid, status, {columns}) VALUES ('{batch}', '{user}', {status}, {values})"
        ));
        world.cql(&format!(
            "INSERT INTO content_consumption (userid, contentid, batchid, courseid, status) \
             VALUES ('{user}', 'do_1', '{batch}', 'k', 2)"
        ));
    }
    let seen = || {
        let columns = "userid, batchid, status, grade, delta, contentstatus";
        let mut rows = world.rows(&format!("SELECT {columns} FROM user_courses"));
        rows.sort_by_key(|row| format!("{row:?}"));
        rows
    };
    let before = seen();
    // What the survivor's rows have to be: the finished one of b1, with nothing of its own.
    let mut expected: Vec<Vec<Option<Value>>> = before
        .iter()
        .filter(|row| (row[0] == Some("old".into())) == (row[1] == Some("b1".into())))
        .cloned()
        .collect();
    expected.iter_mut().for_each(|row| row[0] = Some("new".into()));
    expected.sort_by_key(|row| format!("{row:?}"));
    let (pairs, run) = (world.file("pairs.csv", "from,to\nold,new\n"), world.run_dir());
    let apply = world.apply(&pairs, &run).with("--spec", &spec);
    apply.environment("TRIBUTARY_FAILPOINT", "batch:1").run().was_killed();
    world.resume(&run).run().exits(0);
    assert_eq!(seen(), expected);
    let over = |command: &str| world.over(command, &run);
    over("verify").run().exits(0);
    over("undo").run().exits(0);
    assert_eq!(seen(), before);
}
