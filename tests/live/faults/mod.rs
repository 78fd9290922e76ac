//! Whatever dies, hangs, fills up or writes meanwhile, nothing is lost: each file is one kind of fault.
//!
//! What takes long is ignored unless it is asked for: `scripts/test --full` does.

#![expect(clippy::print_stdout, reason = "the figures of the long runs are to be read")]

mod disk;
mod heap;
mod kills;
mod nodes;
mod parts;
mod points;
mod size;
mod wire;
pub(crate) mod writers;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::data::{self, Data, Random, columns};
use crate::merge::assert_whole_run;
use crate::model::{self, Line, Outcome};
use crate::process::{Call, Finished};
use crate::world::{World, assert_same, to_csv};

/// A run that is to be finished whatever happens to it, and what it must leave.
struct Scenario {
    world: World,
    lines: Vec<Line>,
    expected: Outcome,
    pairs: PathBuf,
    run: PathBuf,
}

impl Scenario {
    fn new(name: &str, data: Data) -> Self {
        Self::on(World::new(name), data)
    }

    fn on(world: World, data: Data) -> Self {
        let Data { lines, tables, .. } = data;
        world.load(&tables);
        let expected = model::apply(&lines, &data::without_empty_maps(tables));
        assert!(expected.plan.rejected.is_empty(), "a run that rejects lines never ends with 0");
        let (pairs, run) = (world.file("pairs.csv", to_csv(&lines)), world.run_dir());
        Self { world, lines, expected, pairs, run }
    }

    /// The next call: `apply`, or `resume` once there is a run.
    fn session(&self) -> Call {
        match self.run.exists() {
            true => self.world.resume(&self.run),
            false => self.world.apply(&self.pairs, &self.run),
        }
    }

    /// One more session, which nothing disturbs.
    fn finish(&self) -> Finished {
        self.session().run().exits(0)
    }

    /// Asserts that rows, counters and events are those of an undisturbed run, `swept` being the enrolments
    /// that the sweep announces once more. Gives the number of repeated messages.
    #[track_caller]
    fn assert_whole(&self, last: &Finished, swept: &BTreeSet<(String, String)>) -> usize {
        self.world.assert_tables(&self.expected.tables);
        assert_whole_run(&last.json(), &self.expected, self.lines.len());
        let (payloads, ids, repeated) = announced(&self.world);
        assert_same("event", &self.expected.events, &payloads);
        for (object, ids) in &ids {
            let expected = 1 + usize::from(swept.contains(object));
            assert_eq!(ids.len(), expected, "ids of the events for {object:?}: {ids:?}");
        }
        repeated
    }
}

type Objects<T> = BTreeMap<(String, String), T>;

/// What was announced: payload and ids by survivor and batch, and how many messages came again.
#[track_caller]
fn announced(world: &World) -> (Objects<Value>, Objects<BTreeSet<String>>, usize) {
    let (mut payloads, mut ids) = (Objects::new(), Objects::<BTreeSet<String>>::new());
    let messages = world.messages();
    let count = messages.len();
    for (object, event) in messages {
        ids.entry(object.clone()).or_default().insert(event.mid);
        let payload = payloads.entry(object).or_insert_with(|| event.payload.clone());
        assert_eq!(*payload, event.payload, "two events for one enrolment that differ");
    }
    let repeated = count - ids.values().map(BTreeSet::len).sum::<usize>();
    (payloads, ids, repeated)
}

/// Groups of one to three sources that share contents and batches, and two accounts of several slices.
fn crowd(seed: u64, groups: u64) -> Data {
    let mut data = Data::new(seed);
    for group in 0..groups {
        let to = format!("to-{group}.");
        let from = |n: u64| format!("from-{group}-{n}.");
        let sources = 1 + data.random.below(3);
        for n in 0..sources {
            let target = if n > 0 && data.random.chance(40) { from(n - 1) } else { to.clone() };
            data.pair(&from(n), &target);
        }
        for account in (0..sources).map(from).chain([to.clone()]) {
            for _ in 0..data.random.below(4) {
                let content = format!("c{}", data.random.below(4));
                let batch = format!("b{}", data.random.below(12));
                data.study(&account, &content, &batch);
            }
        }
    }
    wide(&mut data, 0..2);
    data
}

/// Accounts of several slices each.
fn wide(data: &mut Data, groups: std::ops::Range<u64>) {
    for group in groups {
        let (from, to) = (format!("wide-from-{group}."), format!("wide-to-{group}."));
        for n in 0..1_500 {
            let (content, batch) = (format!("c{n:05}"), format!("wide-{}", n % 30));
            let row = columns([("result", "x".repeat(700).into()), ("status", json!(n % 3))]);
            data.consume([&from, &content, &batch, "k"], row);
            if n % 3 == 0 {
                let row = columns([("status", json!(n % 4)), ("grade", json!("own"))]);
                data.consume([&to, &content, &batch, "k"], row);
            }
            if n < 30 {
                data.enrol(&batch, &from, columns([("progress", json!(n))]));
            }
        }
        data.pair(&from, &to);
    }
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Groups of a run that are done, as its journal says while the run goes on.
fn groups_done(run: &Path) -> u64 {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let done = rusqlite::Connection::open_with_flags(run.join("journal.sqlite"), flags);
    let done = done.and_then(|journal| {
        let count = "SELECT count(*) FROM groups WHERE state = 'done'";
        journal.query_row(count, [], |row| row.get(0))
    });
    done.unwrap_or_default() // there is no run yet
}
