//! Accounts of many rows: pages and slices in each kind of key, in partitions that others share.

use super::cells::{Cells, Key, quote};
use super::random::Data;
use super::shape::{ACCOUNT, WORLD};
use super::{Kind, Scene};

/// Rows of the source in each table: several slices, and more pages.
const ROWS: usize = 1_000;

/// The table, and the column that counts its rows.
const WIDE: [(&str, &str); 4] = [
    ("ranking", "place"),
    ("posts", "post_id"),
    ("followers", "since"),
    ("assessment", "attempt_id"),
];

fn data() -> Data {
    let mut data = Data::groups(Kind::Text, 0, &WORLD, 0);
    for from in ["from a", "from b"] {
        data.pair(from, "to");
        let key = [from, "k1", "b0"].map(quote).to_vec();
        let rows = data.tables.get_mut("user_enrolments").expect("it is there");
        rows.insert(key, Cells::new());
    }
    for (table, counter) in WIDE {
        let shape = WORLD.iter().find(|shape| shape.name == table).expect("it is described");
        let rows = data.tables.get_mut(table).expect("it is there");
        // Between the rows of the group are those of somebody else.
        for (account, every) in [("from a", 1), ("from b", 2), ("somebody", 2), ("to", 3)] {
            for n in (0..ROWS).step_by(every) {
                let value = |(name, of): &(&str, &str)| match (*name, *of) {
                    (_, ACCOUNT) => quote(account),
                    ("kind", _) => quote(if table == "posts" { "blog" } else { "weekly" }),
                    ("courseid" | "course_id", _) => quote("k1"),
                    ("day", _) => quote("2026-02-03"),
                    (name, _) if name == counter => (n as i64 * 7 - 2_000).to_string(),
                    (name, _) => quote(name),
                };
                let key: Key = shape.columns[..shape.key].iter().map(value).collect();
                let mut cells = Cells::new();
                for (name, of) in &shape.columns[shape.key..] {
                    let value = match *name {
                        // All of them lead to one partition.
                        "topic" => quote("topic"),
                        _ if *of == "int" => ((n + account.len()) % 5).to_string(),
                        _ => quote(&format!("{account} {}", "x".repeat(400))),
                    };
                    cells.insert(name, value);
                }
                rows.insert(key, cells);
            }
        }
    }
    data
}

#[test]
fn accounts_of_many_rows_die_between_their_slices_and_go_on() {
    let scene = Scene::new("composite_wide", &WORLD, &data());
    let expected = scene.expected();
    for (table, _) in WIDE {
        let tally = expected.tallies[table];
        assert!(tally.copied > 500 && tally.merged > 50, "{table}: {tally:?}");
    }
    let dies = |at: &str| {
        let call = if scene.run.exists() { scene.resume() } else { scene.apply() };
        call.environment("TRIBUTARY_FAILPOINT", at).run().was_killed();
    };
    for at in ["intend:2", "intended:1", "intend:1", "intended:1", "batch:5", "copied:1"] {
        dies(at);
    }
    let finished = scene.resume().run().exits(0);
    scene.assert_tables(&expected.tables);
    scene.walk("verify").run().exits(0);
    scene.walk("undo").run().exits(0);
    scene.assert_tables(&scene.before);
    scene.assert_report(&finished.json(), &expected);
}
