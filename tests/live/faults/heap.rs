//! Rows of a megabyte beside small ones: no walk asks a node for more than it can hold (B7).

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};
use scylla::statement::Statement;

use super::*;
use crate::proxy::Proxy;
use crate::services::{self, Instance};
use crate::world::{connect, runtime};

const LARGE: usize = 16;
const LARGE_ROWS: usize = 20;
const LARGE_ROW: usize = 1_000_000;
const SMALL: usize = 3_000;
const SMALL_ROWS: usize = 3;

/// What one request may ask for, and what may be asked for at once.
const MOST_OF_ANSWER: usize = 16 << 20;
const MOST_AT_ONCE: usize = 64 << 20;

/// A text that says whose it is.
fn text(of: &str, content: &str, bytes: usize) -> String {
    format!("{of}/{content} ").repeat(bytes.div_ceil(of.len() + content.len() + 2))
}

/// The accounts of the `n`-th pair, and the rows that its source has.
fn pair(n: usize) -> (String, String, usize, usize) {
    let (name, rows, bytes) = match n < LARGE {
        true => ("large", LARGE_ROWS, LARGE_ROW),
        false => ("small", SMALL_ROWS, 20),
    };
    (format!("{name}-{n}"), format!("to-{name}-{n}"), rows, bytes)
}

/// Who holds which row, as the length of its text and whether it is the right one: of all pairs either the sources or
/// the survivors.
fn expected(is_merged: bool) -> BTreeMap<(String, String), bool> {
    (0..LARGE + SMALL)
        .flat_map(|n| {
            let (from, to, rows, _) = pair(n);
            let owner = if is_merged { to } else { from };
            (0..rows).map(move |row| ((owner.clone(), format!("c{row:02}")), true))
        })
        .collect()
}

async fn load(world: &World) {
    let insert = format!(
        "INSERT INTO {}.content_consumption (userid, contentid, batchid, courseid, status, grade) \
         VALUES (?, ?, 'b', 'k', 1, ?)",
        world.keyspace
    );
    let session = world.session();
    let insert = &session.prepare(insert).await.expect("the rows fit the table");
    let rows = (0..LARGE + SMALL).flat_map(|n| {
        let (from, _, rows, bytes) = pair(n);
        (0..rows).map(move |row| (from.clone(), format!("c{row:02}"), bytes))
    });
    let writes = rows.map(|(from, content, bytes)| async move {
        let text = text(&from, &content, bytes);
        session.execute_unpaged(insert, (&from, &content, &text)).await.map(drop)
    });
    let done = stream::iter(writes.map(Ok)).try_for_each_concurrent(4, |write| write).await;
    done.expect("the rows can be loaded");
}

/// Reads a few rows at a time.
async fn held(world: &World) -> BTreeMap<(String, String), bool> {
    let query =
        format!("SELECT userid, contentid, grade FROM {}.content_consumption", world.keyspace);
    let rows = world.session().query_iter(Statement::new(query).with_page_size(8), ()).await;
    let rows = rows.expect("the query is valid").rows_stream::<(String, String, String)>();
    let rows = rows.expect("the columns have these types").map(|row| {
        let (owner, content, found) = row.expect("a row can be read");
        let n = owner.rsplit('-').next().and_then(|n| n.parse().ok()).expect("it ends so");
        let (from, _, _, bytes) = pair(n);
        let is_right = found == text(&from, &content, bytes);
        ((owner, content), is_right)
    });
    rows.collect().await
}

/// The largest request with its answer, and the most that was asked for at once.
fn weighed(proxy: &Proxy) -> (usize, usize) {
    let seen = proxy.seen();
    let largest = seen.iter().map(|one| one.bytes).max().unwrap_or_default();
    let mut moments: Vec<(usize, isize)> = Vec::new();
    for one in &seen {
        let bytes = isize::try_from(one.bytes).expect("a frame is smaller");
        moments.push((one.sent, bytes));
        moments.extend(one.answered.map(|answered| (answered, -bytes)));
    }
    moments.sort_unstable();
    let (mut now, mut most) = (0, 0);
    for (_, bytes) in moments {
        now += bytes;
        most = most.max(now);
    }
    (largest, most as usize)
}

#[test]
#[ignore = "long: scripts/test --full"]
fn no_walk_asks_a_node_for_more_than_it_can_hold() {
    let cassandra = Instance::start("heap", &["--cassandra-only"]);
    let mut addresses = services::shared().clone();
    addresses.hosts.clone_from(&cassandra.addresses.hosts);
    let session = connect(&addresses.hosts, None);
    let world = World::on("heap", addresses, session).with_tables();
    runtime().block_on(load(&world));
    let assert_held = |is_merged| {
        let held = runtime().block_on(held(&world));
        assert_same("row", &expected(is_merged), &held);
    };
    assert_held(false);

    let all: Vec<usize> = (0..LARGE + SMALL).collect();
    let mixed: Vec<usize> = (0..all.len()).map(|n| n * 7 % all.len()).collect();
    let last = all.iter().rev().copied().collect();
    // Everything in one window, or some of it.
    let orders = [
        ("last", last, 512),
        ("first", all, 256),
        ("mixed", mixed.clone(), 64),
        ("mixed", mixed, 5_000),
    ];
    for (name, order, window) in orders {
        let window = window.to_string();
        let name = format!("{name}, windows of {window}");
        let mut lines = "from,to\n".to_owned();
        order
            .iter()
            .map(|n| pair(*n))
            .for_each(|(from, to, ..)| lines += &format!("{from},{to}\n"));
        let (pairs, run) = (world.file("pairs.csv", lines), world.run_dir());
        let watched = |what: &str, call: Call| {
            let began = Instant::now();
            let proxy = Proxy::new(&world.addresses.hosts);
            let call = call.with("--hosts", &proxy.hosts).environment("TRIBUTARY_WINDOW", &window);
            let finished = call.start().within(Duration::from_secs(1_800)).wait().exits(0);
            let (largest, most) = weighed(&proxy);
            println!(
                "large ones {name}, {what}: {} s, {} requests, the largest of {} KiB, {} KiB at once at most, {} MiB resident",
                began.elapsed().as_secs(),
                proxy.count(),
                largest >> 10,
                most >> 10,
                finished.peak_kib >> 10,
            );
            assert!(largest <= MOST_OF_ANSWER, "{what} asks for {largest} bytes");
            assert!(most <= MOST_AT_ONCE, "{what} asks for {most} bytes at once");
        };
        let plan = Call::new(&["plan", pairs.to_str().expect("the tests use UTF-8")]);
        let plan = plan.with("--inspect", "all").with("--keyspace", &world.keyspace);
        watched("plan --inspect", plan.with("--run-dir", world.run_dir()));
        watched("apply", world.apply(&pairs, &run));
        assert_held(true);
        watched("resume", world.over("resume", &run));
        watched("verify", world.over("verify", &run));
        watched("verify --repair", world.over("verify", &run).flag("--repair"));
        assert_held(true);
        watched("undo", world.over("undo", &run));
        assert_held(false);
    }
}
