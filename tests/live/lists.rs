//! The enrolments that Sunbird publishes: a list of certificates that is not frozen, and an index on status.

use serde_json::Value;

use crate::world::World;

/// The certificates of enrolments, by account and batch.
fn certificates(world: &World) -> Vec<Vec<Option<Value>>> {
    let mut rows = world.rows("SELECT userid, batchid, certificates, grade FROM user_courses");
    rows.sort_by_key(|row| format!("{row:?}"));
    rows
}

#[test]
fn certificates_move_with_their_enrolments_and_none_doubles() {
    let world = World::new("lists");
    world.cql("ALTER TABLE user_courses ADD certificates list<frozen<map<text, text>>>");
    world.cql("CREATE INDEX ON user_courses (status)");
    let (one, two) = ("{'id': 'c1', 'name': 'first'}", "{'id': 'c2'}");
    for (user, batch, list) in [
        ("old", "b1", format!("[{one}, {two}, {one}]")),
        ("old", "b2", format!("[{one}]")),
        ("old", "b3", "null".to_owned()),
        ("new", "b2", format!("[{two}]")),
    ] {
        world.cql(&format!(
            "INSERT INTO user_courses (batchid, userid, status, grade, certificates) \
             VALUES ('{batch}', '{user}', 2, 'A', {list})"
        ));
        world.cql(&format!(
            "INSERT INTO content_consumption (userid, contentid, batchid, courseid, status) \
             VALUES ('{user}', 'do_1', '{batch}', 'k', 2)"
        ));
    }
    let before = certificates(&world);
    let expected: Vec<Vec<Option<Value>>> = {
        let mut moved = before.clone();
        let own = moved.iter().position(|row| row[0] == Some("new".into())).expect("its own row");
        let own = moved.remove(own);
        moved.retain(|row| row[1] != own[1]);
        moved.iter_mut().for_each(|row| row[0] = Some("new".into()));
        moved.push(own);
        moved.sort_by_key(|row| format!("{row:?}"));
        moved
    };
    let (pairs, run) = (world.file("pairs.csv", "from,to\nold,new\n"), world.run_dir());
    // Killed behind its first batches, and again while it goes on: what was written is written again.
    let apply = world.apply(&pairs, &run);
    apply.environment("TRIBUTARY_FAILPOINT", "batch:2").run().was_killed();
    world.resume(&run).environment("TRIBUTARY_FAILPOINT", "finished:1").run().was_killed();
    world.resume(&run).run().exits(0);
    assert_eq!(certificates(&world), expected);
    let over = |command: &str| world.over(command, &run);
    over("verify").run().exits(0);
    over("undo").environment("TRIBUTARY_FAILPOINT", "given-back:1").run().was_killed();
    over("undo").run().exits(0);
    assert_eq!(certificates(&world), before);
}
