//! Cells that expire, in a table in which everything does unless it says otherwise: what is left of them is carried.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::process::Call;
use crate::spec::refuses;
use crate::world::World;

/// The example of the manual.
const SPEC: &str = "name = 'sessions'\n[[table]]\nname = 'sessions'\naccount = 'userid'\nfind = 'partition'\nttl = 'carry'\n\
                    on_conflict = { status = 'max' }\n";

/// How far the moments of a cell and its copy may be apart here, in seconds: far less than any two are that are told apart.
const NEAR_S: u64 = 600;
const HOUR_S: i64 = 3_600;

/// A value, and when it expires.
type Lasting = (Value, Option<i64>);
/// The cells of rows, by user and device.
type Rows = BTreeMap<String, BTreeMap<&'static str, Lasting>>;

fn rows(world: &World) -> Rows {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
    let columns = ["status", "note", "seen"];
    let query = "SELECT userid, device, status, TTL(status), note, TTL(note), seen, TTL(seen) FROM sessions";
    let rows = world.rows(query).into_iter().map(|row| {
        let key =
            format!("{} {}", row[0].as_ref().expect("a key"), row[1].as_ref().expect("a key"));
        let cells = columns.into_iter().zip(row[2..].chunks(2)).filter_map(|(name, cell)| {
            let left = cell[1].as_ref().map(|left| left.as_i64().expect("seconds"));
            Some((name, (cell[0].clone()?, left.map(|left| now as i64 + left))))
        });
        (key.replace('"', ""), cells.collect())
    });
    rows.collect()
}

#[track_caller]
fn assert_same(found: &Rows, expected: &Rows) {
    let is_same = |(value, expires): &Lasting, (other, theirs): &Lasting| {
        let is_near = match (expires, theirs) {
            (Some(expires), Some(theirs)) => expires.abs_diff(*theirs) < NEAR_S,
            (expires, theirs) => expires == theirs,
        };
        value == other && is_near
    };
    let is_alike = found.len() == expected.len()
        && found.iter().zip(expected).all(|((key, row), (other, own))| {
            let mut cells = row.iter().zip(own);
            key == other
                && row.len() == own.len()
                && cells
                    .all(|((name, cell), (column, known))| name == column && is_same(cell, known))
        });
    assert!(is_alike, "{found:#?}\nis not\n{expected:#?}");
}

/// Waits until something that expires has.
fn wait_until_gone(world: &World, key: &str) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while rows(world).contains_key(key) {
        assert!(Instant::now() < deadline, "{key} does not expire");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn world(name: &str) -> World {
    let world = World::empty(name);
    world.cql(&format!(
        "CREATE TABLE {}.sessions (userid text, device text, status int, note text, seen int, \
         PRIMARY KEY (userid, device)) WITH default_time_to_live = 864000",
        world.keyspace
    ));
    world
}

impl World {
    /// Sets cells of a row that last so many hours; 0 is for ever.
    fn lasting(&self, user: &str, device: &str, set: &str, hours: i64) {
        self.cql(&format!(
            "UPDATE {}.sessions USING TTL {} SET {set} WHERE userid = '{user}' AND device = '{device}'",
            self.keyspace,
            hours * HOUR_S,
        ));
    }
}

#[test]
fn what_expires_does_so_where_it_is_copied_and_when_it_is_given_back() {
    let world = world("ttl");
    for (user, device, cells) in [
        // A copy of three moments; a row that never expires; one that the survivor has as well, and of which one cell wins.
        ("old", "one", [("status = 1", 30), ("note = 'a'", 60), ("seen = 7", 0)]),
        ("old", "two", [("status = 2", 0), ("note = 'b'", 0), ("seen = 8", 0)]),
        ("old", "three", [("status = 5", 90), ("note = 'c'", 120), ("seen = 9", 0)]),
        ("new", "three", [("status = 4", 0), ("note = 'own'", 20), ("seen = 1", 0)]),
        ("elder", "four", [("status = 3", 30), ("note = 'd'", 30), ("seen = 2", 30)]),
    ] {
        cells.iter().for_each(|(set, hours)| world.lasting(user, device, set, *hours));
    }
    let before = rows(&world);
    world.cql(&format!(
        "INSERT INTO {}.sessions (userid, device, status, note) VALUES ('old', 'short', 1, 'x') USING TTL 12",
        world.keyspace
    ));
    let mut merged: Rows = before.clone();
    for (from, into) in [("old one", "new one"), ("old two", "new two"), ("elder four", "new four")]
    {
        let row = merged.remove(from).expect("it is there");
        merged.insert(into.into(), row);
    }
    let dropped = merged.remove("old three").expect("it is there");
    let own = merged.get_mut("new three").expect("it is there");
    own.insert("status", dropped["status"].clone());

    let spec = world.file("sessions.toml", SPEC);
    let (pairs, run) = (world.file("pairs.csv", "from,to\nold,new\nelder,new\n"), world.run_dir());
    let apply = world.apply(&pairs, &run).with("--spec", &spec);
    apply.environment("TRIBUTARY_FAILPOINT", "begun:1").run().was_killed();
    // Journaled, and not written: what has expired until it is must not come back.
    wait_until_gone(&world, "old short");
    world.resume(&run).environment("TRIBUTARY_FAILPOINT", "finished:1").run().was_killed();
    world.resume(&run).run().exits(0);
    assert_same(&rows(&world), &merged);
    world.over("verify", &run).run().exits(0);

    // What comes late is swept with what it has left.
    world.lasting("old", "late", "status = 1, note = 'late'", 50);
    world.lasting("old", "one", "status = 9", 70);
    let late = rows(&world);
    merged.insert("new late".into(), late["old late"].clone());
    let own = merged.get_mut("new one").expect("it is there");
    own.insert("status", late["old one"]["status"].clone());
    world.resume(&run).environment("TRIBUTARY_FAILPOINT", "placed:1").run().was_killed();
    world.resume(&run).run().exits(0);
    assert_same(&rows(&world), &merged);
    world.over("verify", &run).run().exits(0);

    // A copy that is lost is written again with what it has left.
    world.cql(&format!(
        "DELETE status FROM {}.sessions WHERE userid = 'new' AND device = 'two'",
        world.keyspace
    ));
    world.over("verify", &run).run().exits(4);
    world.lasting("new", "two", "status = 2", 0);

    world.over("undo", &run).environment("TRIBUTARY_FAILPOINT", "given-back:1").run().was_killed();
    world.over("undo", &run).run().exits(0);
    let mut back = before;
    back.insert("old late".into(), late["old late"].clone());
    let own = back.get_mut("old one").expect("it is there");
    own.insert("status", late["old one"]["status"].clone());
    assert_same(&rows(&world), &back);
}

#[test]
fn a_row_of_which_nobody_tells_how_long_it_lasts_fails_its_group_by_name() {
    let world = world("ttl_bare");
    world.cql(&format!(
        "INSERT INTO {}.sessions (userid, device) VALUES ('old', 'bare')",
        world.keyspace
    ));
    world.lasting("other", "one", "status = 1", 5);
    let spec = world.file("sessions.toml", SPEC);
    let pairs = world.file("pairs.csv", "from,to\nold,new\nother,another\n");
    let run = world.run_dir();
    world.apply(&pairs, &run).with("--spec", &spec).run().exits(3);
    let failures = std::fs::read_to_string(run.join("failures.csv")).expect("it is listed");
    assert!(failures.contains("a row of old in sessions has nothing but its key"), "{failures}");
    let found = rows(&world);
    assert!(found.contains_key("another one") && found.contains_key("old bare"), "{found:?}");
    // As it says: with a value, it can be merged.
    world.lasting("old", "bare", "note = 'here'", 5);
    world.resume(&run).run().exits(0);
    assert!(rows(&world).contains_key("new bare"));
    world.over("verify", &run).run().exits(0);
}

#[test]
fn ttls_are_refused_where_nobody_tells_them() {
    let world = World::empty("ttl_refused");
    let cql = |statement: &str| world.cql(&statement.replace("KS", &world.keyspace));
    cql("CREATE TABLE KS.tagged (userid text, k text, tags set<text>, PRIMARY KEY (userid, k))");
    cql("CREATE TABLE KS.keys (userid text, k text, PRIMARY KEY (userid, k))");
    cql("CREATE TABLE KS.added (userid text, k text, n int, PRIMARY KEY (userid, k))");
    let table = |name: &str, more: &str| {
        format!(
            "[[table]]\nname = '{name}'\naccount = 'userid'\nfind = 'partition'\nttl = 'carry'\n{more}\n"
        )
    };
    let spec = ["tagged", "keys"].map(|name| table(name, "")).concat();
    let spec = format!("name = 's'\n{spec}{}", table("added", "on_conflict = { n = 'sum' }"));
    refuses(
        &world,
        spec,
        &[
            "line 6: table tagged: ttl = \"carry\" is not available beside tags, which is a set<text>: its elements",
            "line 12: table keys: ttl = \"carry\" is not available without a column beside the key",
            "line 18: table added: ttl = \"carry\" is not available beside n, which is added up",
        ],
    );
}

/// Whoever does not carry TTLs learns beforehand what that means.
#[test]
fn an_inspection_counts_what_would_last_for_ever() {
    let world = World::empty("ttl_inspected");
    let table = "(userid text, device text, status int, note text, seen int, tags set<text>, \
                 PRIMARY KEY (userid, device))";
    world.cql(&format!("CREATE TABLE {}.sessions {table}", world.keyspace));
    world.lasting("old", "one", "status = 1, note = 'a'", 5);
    world.lasting("old", "one", "seen = 7, tags = {'x'}", 0);
    world.lasting("new", "two", "note = 'b'", 5);
    let spec = world.file("sessions.toml", SPEC.replace("ttl = 'carry'\n", ""));
    let pairs = world.file("pairs.csv", "from,to\nold,new\n");
    let inspect = || {
        Call::new(&["plan", pairs.to_str().expect("UTF-8"), "--inspect", "all"])
            .with("--hosts", &world.addresses.hosts)
            .with("--keyspace", &world.keyspace)
            .with("--spec", &spec)
            .with("--run-dir", world.run_dir())
    };
    let report = inspect().flag("--json").run().exits(0).json();
    let table = &report["inspection"]["tables"][0];
    assert_eq!(table["immortal"]["value"], 2, "{table:#}");
    let shown = inspect().run().exits(0);
    assert!(shown.stdout.contains("2 cells of sessions that expire"), "{shown}");
}
