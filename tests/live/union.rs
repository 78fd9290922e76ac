//! Sets and maps of which the survivor gets the elements of both accounts.

use serde_json::{Value, json};

use crate::world::World;

const SPEC: &str = r#"
name = "union"

[[table]]
name = "cards"
account = "userid"
find = "partition"
on_conflict = { tags = "union", notes = "union" }

[[table]]
name = "seats"
account = "userid"
find = { partitions_from = "cards.room" }
on_conflict = { tags = "union" }
"#;

#[test]
fn the_survivor_gets_the_elements_of_both() {
    let world = &World::empty("union");
    let cql = |statement: &str| world.cql(&statement.replace("KS", &world.keyspace));
    cql("CREATE TABLE KS.cards (userid text, room text, tags set<text>, notes map<text, int>, \
         PRIMARY KEY (userid, room))");
    cql(
        "CREATE TABLE KS.seats (room text, userid text, tags set<text>, PRIMARY KEY (room, userid))",
    );
    for (user, tags, notes) in
        [("new", "'a', 'b'", "'k': 1"), ("old", "'b', 'c'", "'k': 2, 'l': 3")]
    {
        cql(&format!(
            "INSERT INTO KS.cards (userid, room, tags, notes) VALUES ('{user}', 'r', {{{tags}}}, {{{notes}}})"
        ));
        cql(&format!(
            "INSERT INTO KS.seats (room, userid, tags) VALUES ('r', '{user}', {{{tags}}})"
        ));
    }
    let seen = || {
        // The order of partitions is that of their tokens.
        let mut rows = world.rows("SELECT userid, tags, notes FROM cards");
        rows.sort_by_key(|row| format!("{row:?}"));
        rows.extend(world.rows("SELECT userid, tags FROM seats"));
        let rows = rows.into_iter().map(|row| row.into_iter().map(Option::unwrap_or_default));
        rows.map(Iterator::collect::<Vec<Value>>).collect::<Vec<_>>()
    };
    let before = seen();
    let (spec, pairs) =
        (world.file("union.toml", SPEC), world.file("pairs.csv", "from,to\nold,new\n"));
    let run = world.run_dir();
    let apply = world.apply(&pairs, &run).without("--brokers").without("--topic");
    apply.with("--spec", &spec).flag("--no-events").run().exits(0);
    let all = json!(["a", "b", "c"]);
    let notes = json!({"k": 1, "l": 3});
    assert_eq!(seen(), [vec![json!("new"), all.clone(), notes], vec![json!("new"), all]]);

    let over = |command: &str| world.over(command, &run);
    over("verify").run().exits(0);
    // Later elements of the source join the others; the survivor's entries stay.
    cql("UPDATE KS.cards SET tags = tags + {'d'}, notes = notes + {'k': 9, 'm': 4} \
         WHERE userid = 'old' AND room = 'r'");
    over("resume").run().exits(0);
    let (late, notes) = (json!(["a", "b", "c", "d"]), json!({"k": 1, "l": 3, "m": 4}));
    assert_eq!(seen()[0], [json!("new"), late, notes]);
    assert_eq!(seen().len(), 2);
    over("verify").run().exits(0);
    over("undo").run().exits(0);
    let undone = seen();
    let of = |user: &str| {
        let rows = |rows: &[Vec<Value>]| rows.iter().filter(|row| row[0] == user).count();
        (rows(&undone), rows(&before))
    };
    assert_eq!((of("new"), of("old")), ((2, 2), (2, 2)));
    let of_survivor = |rows: &[Vec<Value>]| {
        rows.iter().filter(|row| row[0] == "new").cloned().collect::<Vec<_>>()
    };
    assert_eq!(of_survivor(&undone), of_survivor(&before));
}
