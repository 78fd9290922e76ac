//! Rows that mention accounts: the example of the manual, killed at its steps, gone on with, compared and undone.

use serde_json::{Value, json};
use tributary::help::{Block, TOPICS, blocks};

use crate::spec::refuses;
use crate::world::World;

/// A specification that the manual prints.
pub(crate) fn printed(name: &str) -> String {
    let topic = TOPICS.iter().find(|topic| topic.name == "specification").expect("there is one");
    let head = format!("# {name}");
    let code = blocks(&topic.markdown()).into_iter().find_map(|block| match block {
        Block::Code(_, lines) if lines.first() == Some(&head) => Some(lines.join("\n")),
        _ => None,
    });
    code.unwrap_or_else(|| panic!("the manual does not print {name}"))
}

fn world(name: &str) -> World {
    let world = World::empty(name);
    let cql = |statement: &str| world.cql(&statement.replace("KS", &world.keyspace));
    cql("CREATE TABLE KS.orders (customer text, number int, referred_by text, total int, \
         PRIMARY KEY (customer, number))");
    cql("CREATE TABLE KS.tickets (day text, number int, assignee text, reporter text, note text, \
         PRIMARY KEY ((day), number))");
    for (customer, number, by) in [
        ("old", 1, "'old'"),
        ("old", 2, "'elder'"),
        ("new", 3, "'old'"),
        ("new", 4, "'other'"),
        ("other", 5, "'old'"),
        ("other", 6, "null"),
    ] {
        cql(&format!(
            "INSERT INTO KS.orders (customer, number, referred_by, total) VALUES ('{customer}', {number}, {by}, {number})"
        ));
    }
    for (number, assignee, reporter) in
        [(1, "old", "elder"), (2, "new", "old"), (3, "other", "other")]
    {
        // Rows without liveness of their own.
        cql(&format!(
            "UPDATE KS.tickets SET assignee = '{assignee}', reporter = '{reporter}' WHERE day = 'd' AND number = {number}"
        ));
    }
    world
}

fn rows(world: &World) -> Value {
    let of = |query: &str| {
        let mut rows = world.rows(query);
        rows.sort_by_key(|row| format!("{row:?}"));
        json!(rows)
    };
    json!([
        of("SELECT customer, number, referred_by, total FROM orders"),
        of("SELECT number, assignee, reporter, note FROM tickets"),
    ])
}

fn merged() -> Value {
    json!([
        [
            ["new", 1, "new", 1],
            ["new", 2, "last", 2],
            ["new", 3, "new", 3],
            ["new", 4, "other", 4],
            ["other", 5, "new", 5],
            ["other", 6, null, 6],
        ],
        [[1, "new", "last", null], [2, "new", "new", null], [3, "other", "other", null]],
    ])
}

#[test]
fn the_example_of_the_manual_is_merged_killed_compared_and_undone() {
    let world = world("mentions");
    let cql = |statement: &str| world.cql(&statement.replace("KS", &world.keyspace));
    let before = rows(&world);
    let spec = world.file("orders.toml", printed("orders.toml"));
    let pairs = world.file("pairs.csv", "from,to\nold,new\nelder,last\n");
    let run = world.run_dir();
    let apply = world.apply(&pairs, &run).with("--spec", &spec);
    // Behind the intents of both merges, and the first of mentions.
    apply.environment("TRIBUTARY_FAILPOINT", "intended:3").run().was_killed();
    let resume = || world.resume(&run);
    resume().environment("TRIBUTARY_FAILPOINT", "mentioned:1").run().was_killed();
    resume().environment("TRIBUTARY_FAILPOINT", "mentioned:2").run();
    let report = resume().run().exits(0).json();
    assert_eq!(rows(&world), merged(), "{report:#}");
    assert_eq!(report["mentions"]["left"], 0, "{report:#}");
    assert_eq!(
        report["mentions"]["scanned"],
        5 + 2 * 3,
        "each row once for each column that it has"
    );
    world.over("verify", &run).run().exits(0);

    // What comes late, what expires, and what somebody else changes.
    cql("UPDATE KS.tickets SET assignee = 'old' WHERE day = 'd' AND number = 3");
    cql("INSERT INTO KS.tickets (day, number, assignee) VALUES ('e', 9, 'old') USING TTL 86400");
    cql("UPDATE KS.orders SET referred_by = 'third' WHERE customer = 'other' AND number = 5");
    let late = resume().run().exits(3).json();
    let mentions = &late["mentions"];
    assert_eq!((&mentions["rows"], &mentions["left"]), (&json!(1), &json!(1)), "{late:#}");
    let left = std::fs::read_to_string(run.join("sweep.csv")).expect("it is listed");
    assert!(left.contains("old,new,2,tickets.assignee,") && left.contains("expires"), "{left}");
    world.over("verify", &run).run().exits(0);

    // Undone, but for what somebody changed.
    world.over("undo", &run).run().exits(4);
    let conflicts = std::fs::read_to_string(run.join("conflicts.csv")).expect("it is listed");
    assert!(conflicts.contains("orders.referred_by") && conflicts.contains("third"), "{conflicts}");
    cql("UPDATE KS.orders SET referred_by = 'old' WHERE customer = 'other' AND number = 5");
    cql("DELETE FROM KS.tickets WHERE day = 'e'");
    world.over("undo", &run).run().exits(0);
    cql("UPDATE KS.tickets SET assignee = 'other' WHERE day = 'd' AND number = 3");
    assert_eq!(rows(&world), before);
}

#[test]
fn what_cannot_be_a_mention_is_refused_before_anything_is_written() {
    let world = World::empty("mentions_refused");
    let cql = |statement: &str| world.cql(&statement.replace("KS", &world.keyspace));
    cql("CREATE TYPE KS.person (id text)");
    cql("CREATE TABLE KS.notes (id text PRIMARY KEY, many set<text>, one frozen<person>, n int)");
    cql("CREATE TABLE KS.shared (id text, n int, owner text static, PRIMARY KEY (id, n))");
    let spec = "name = 's'\n[[table]]\nname = 'notes'\nmentions = ['many', 'one', 'id', 'who']\n[[table]]\nname = \
                'shared'\nmentions = ['owner']\n";
    refuses(
        &world,
        spec,
        &[
            "line 4: table notes: mentions names many, which is of type set<text>",
            "line 4: table notes: mentions names one, which is of type frozen<person>",
            "line 4: table notes: mentions names id, which is part of the primary key",
            "line 4: table notes: mentions names who, but there is no such column",
            "line 7: table shared: mentions names owner, which is static",
        ],
    );
}
