//! Accounts and batches of a million rows, in bounded memory.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use scylla::client::session::Session;
use scylla::serialize::row::SerializeRow;
use scylla::statement::batch::{Batch, BatchType};

use super::*;
use crate::world::runtime;

const ROWS: u64 = 1_000_000;
/// Resident memory that a run may take, in KiB.
const MOST_KIB: u64 = 512 * 1024;

/// How often a batch of the data set is sent: a server that many tests share may be late.
const TRIES: usize = 10;

/// Rows of one table in batches of one partition, `chunks` giving the rows of each.
async fn load<R: SerializeRow>(
    session: &Session,
    insert: &str,
    chunks: impl Iterator<Item = Vec<R>>,
) {
    let insert = session.prepare(insert).await.expect("the rows fit the table");
    let insert = &insert;
    let writes = chunks.map(|rows| async move {
        let mut batch = Batch::new(BatchType::Unlogged);
        rows.iter().for_each(|_| batch.append_statement(insert.clone()));
        let mut sent = session.batch(&batch, &rows).await;
        for _ in 1..TRIES {
            if sent.is_ok() {
                break;
            }
            sent = session.batch(&batch, &rows).await;
        }
        sent.map(drop)
    });
    stream::iter(writes.map(Ok))
        .try_for_each_concurrent(64, |write| write)
        .await
        .expect("the rows can be loaded");
}

fn chunks(count: u64, size: u64) -> impl Iterator<Item = std::ops::Range<u64>> {
    (0..count).step_by(size as usize).map(move |from| from..count.min(from + size))
}

/// Compares the rows of a query with those expected, one by one: there are too many to hold.
#[track_caller]
fn assert_rows<T>(world: &World, query: &str, expected: impl Iterator<Item = T>)
where
    T: PartialEq + std::fmt::Debug,
    T: for<'f, 'm> scylla::deserialize::row::DeserializeRow<'f, 'm>,
{
    runtime().block_on(async {
        let rows = world.session().query_iter(query, ()).await.expect("the query is valid");
        let mut rows = rows.rows_stream::<T>().expect("the columns have these types");
        let mut count = 0;
        for expected in expected {
            let row = rows.next().await.map(|row| row.expect("a row can be read"));
            assert_eq!(row, Some(expected), "row {count}");
            count += 1;
        }
        assert!(rows.next().await.is_none(), "more than {count} rows");
    });
}

/// Applies pairs and says what it took.
fn measured(world: &World, what: &str, pairs: &[u8]) {
    let pairs = world.file("pairs.csv", pairs);
    let run = world.run_dir();
    let running = world.apply(&pairs, &run).start().within(Duration::from_secs(3_600));
    let finished = running.wait().exits(0);
    let report = finished.json();
    let peak_kib = finished.peak_kib;
    let journal = std::fs::metadata(run.join("journal.sqlite")).expect("there is one").len();
    println!(
        "{what}: {} s, {} rows/s, {} slices, {} MiB resident at most, journal of {} MiB",
        report["elapsed_s"],
        report["throughput"]["rows_per_s"],
        report["slices"],
        peak_kib / 1024,
        journal >> 20,
    );
    assert!((1..MOST_KIB).contains(&peak_kib), "{what} took {} MiB", peak_kib / 1024);
}

#[test]
#[ignore = "long: scripts/test --full"]
fn an_account_with_a_million_rows_is_merged_in_bounded_memory() {
    let world = World::new("million_rows");
    let content = |n: u64| format!("content-{n:07}");
    let score = |n: u64| format!("a score of some length, and with a number: {n}");
    let insert = format!(
        "INSERT INTO {}.content_consumption (userid, contentid, batchid, courseid, status, score) \
         VALUES (?, ?, ?, 'k', ?, ?)",
        world.keyspace
    );
    let rows = |user: &'static str, step: u64, status: i32| {
        chunks(ROWS / step, 50).map(move |numbers| {
            let numbers = numbers.map(move |n| n * step);
            let row = |n| (user, content(n), format!("b{}", n % 100), status, score(n));
            numbers.map(row).collect::<Vec<_>>()
        })
    };
    runtime().block_on(async {
        load(world.session(), &insert, rows("source", 1, 2)).await;
        load(world.session(), &insert, rows("target", 10, 1)).await;
    });
    measured(&world, "an account with 1,000,000 rows", b"from,to\nsource,target\n");
    let query = format!(
        "SELECT contentid, batchid, status, score FROM {}.content_consumption WHERE userid = ",
        world.keyspace
    );
    let merged = (0..ROWS).map(|n| (content(n), format!("b{}", n % 100), Some(2), Some(score(n))));
    assert_rows(&world, &format!("{query}'target'"), merged);
    let nothing = std::iter::empty::<(String, String, Option<i32>, Option<String>)>();
    assert_rows(&world, &format!("{query}'source'"), nothing);
}

/// Every tenth user of the batch is merged: into another user, or into somebody new.
#[test]
#[ignore = "long: scripts/test --full"]
fn a_batch_with_a_million_users_is_merged_in_bounded_memory() {
    let world = World::new("million_users");
    let user = |n: u64| format!("user-{n:07}");
    let target =
        |n: u64| if n.is_multiple_of(20) { user(n + 1) } else { format!("{}-to", user(n)) };
    let enrol = format!(
        "INSERT INTO {}.user_courses (batchid, userid, progress, delta) VALUES ('batch', ?, ?, ?)",
        world.keyspace
    );
    let study = format!(
        "INSERT INTO {}.content_consumption (userid, contentid, batchid, courseid, status) \
         VALUES (?, 'c', 'batch', 'k', 1)",
        world.keyspace
    );
    let delta = |n: u64| format!("a text of some length, and with a number: {n}");
    let progress = |n: u64| n as i32;
    runtime().block_on(async {
        let enrolments = chunks(ROWS, 50)
            .map(|numbers| numbers.map(|n| (user(n), progress(n), delta(n))).collect::<Vec<_>>());
        load(world.session(), &enrol, enrolments).await;
        let studies = chunks(ROWS, 10).map(|numbers| vec![(user(numbers.start),)]);
        load(world.session(), &study, studies).await;
    });
    let sources = || (0..ROWS).step_by(10);
    let mut pairs = "from,to\n".to_owned();
    sources().for_each(|n| pairs += &format!("{},{}\n", user(n), target(n)));
    measured(&world, "a batch with 1,000,000 users, 100,000 pairs", pairs.as_bytes());

    let query = format!(
        "SELECT userid, progress, delta FROM {}.user_courses WHERE batchid = 'batch'",
        world.keyspace
    );
    let merged = (0..ROWS).filter_map(|n| match n % 20 {
        0 => None, // its target was enrolled already
        10 => Some((target(n), Some(progress(n)), Some(delta(n)))),
        _ => Some((user(n), Some(progress(n)), Some(delta(n)))),
    });
    assert_rows(&world, &query, merged);
    let owners = world.rows("SELECT userid FROM content_consumption").into_iter().flatten();
    let mut left: BTreeSet<_> =
        owners.filter_map(|owner| owner?.as_str().map(str::to_owned)).collect();
    sources().for_each(|n| assert!(left.remove(&target(n)), "nothing of {}", target(n)));
    assert_eq!(left.len(), 0, "{:?} is left", left.first());
}
