//! A server that refuses what is too large for it: every walk ends as if it had not, and meets each limit a few times,
//! not once per request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tributary::journal::memory::MemoryJournal;
use tributary::model::now_us;
use tributary::pairs::{self, Format};
use tributary::pipeline::{Context, Discover, ErrorLimit, Selection};
use tributary::plan::{self, Plan};
use tributary::storage::memory::{FaultKind, MemoryStorage, Request};
use tributary::verify::Options;

use super::coalesce::{never, run_all};
use super::inspect::{inspect, reading};
use super::model::{Events, World};
use super::preset::spec;
use super::sweep::sweep;
use super::undo::undo_all;
use super::verify::{diff, verified};
use super::world::{CONTENT, ENROLMENTS, dump, load, to_row};
use super::{context_of, events_of};

/// Pairs, all in one batch.
const PAIRS: usize = 40;
/// Sources of one group, more than are read as small ones.
const FAN_IN: usize = 70;
/// Rows of each source.
const ROWS: usize = 12;

fn world() -> (World, Plan) {
    let mut world = World::default();
    let mut csv = "from,to\n".to_owned();
    let mut source = |from: String, to: String| {
        for row in 0..ROWS {
            let key = (from.clone(), format!("c{row:02}"), "b0".to_owned(), "k".to_owned());
            world.content.insert(key, [("status".to_owned(), "1".to_owned())].into());
        }
        world.enrolments.insert(("b0".to_owned(), from.clone()), [].into());
        csv += &format!("{from},{to}\n");
    };
    (0..FAN_IN).for_each(|n| source(format!("f{n}"), "fan".to_owned()));
    (0..PAIRS).for_each(|n| source(format!("s{n}"), format!("t{n}")));
    (world, plan::resolve(pairs::read(csv.as_bytes(), &Format::default()).unwrap()))
}

/// What a request asks for: its kind, its table and its size.
fn size(request: &Request<'_>) -> (&'static str, usize, usize) {
    match request {
        Request::Page(table, _, rows) => ("pages", *table, *rows),
        Request::TimedPage(table, _, rows) => ("timed pages", *table, *rows),
        Request::Scan(table, _, rows) => ("scan", *table, *rows),
        Request::FirstRows(table, accounts, rows) => ("first rows", *table, accounts.len() * rows),
        Request::TimedFirstRows(table, accounts, rows) => {
            ("timed first rows", *table, accounts.len() * rows)
        }
        Request::RowsOf(table, _, accounts) => ("rows", *table, accounts.len()),
        Request::TimedRowsOf(table, _, accounts) => ("timed rows", *table, accounts.len()),
        Request::Owners(table, _, accounts) => ("owners", *table, accounts.len()),
        Request::WrittenSince(table, accounts) => ("owners", *table, accounts.len()),
        Request::DeletePartitions(table, accounts) => ("deletes", *table, accounts.len()),
        Request::Write(batch) => ("statements", batch.table, batch.mutations.len()),
        Request::TimedRow(table, _) => ("row", *table, 1),
        Request::Ring => ("ring", 0, 1),
        Request::Unaltered => ("unaltered", 0, 1),
        Request::Clocks => ("clocks", 0, 1),
    }
}

type Limit = fn(&Request<'_>) -> Option<FaultKind>;

/// Accounts of an `IN`, on partitions and on clustering.
fn accounts(request: &Request<'_>) -> (usize, usize) {
    match request {
        Request::FirstRows(_, accounts, _)
        | Request::TimedFirstRows(_, accounts, _)
        | Request::DeletePartitions(_, accounts)
        | Request::WrittenSince(_, accounts)
        | Request::Owners(CONTENT, _, accounts) => (accounts.len(), 0),
        Request::RowsOf(.., accounts)
        | Request::TimedRowsOf(.., accounts)
        | Request::Owners(.., accounts) => (0, accounts.len()),
        _ => (0, 0),
    }
}

const LIMITS: &[(&str, Limit)] = &[
    ("accounts of partitions", |request| (accounts(request).0 > 5).then_some(FaultKind::Refused)),
    ("accounts in one partition", |request| {
        (accounts(request).1 > 7).then_some(FaultKind::Refused)
    }),
    ("rows of a page", |request| match request {
        Request::Page(.., rows) | Request::TimedPage(.., rows) | Request::Scan(.., rows) => {
            (*rows > 3).then_some(FaultKind::Refused)
        }
        _ => None,
    }),
    ("statements", |request| match request {
        Request::Write(batch) => (batch.mutations.len() > 10).then_some(FaultKind::Refused),
        _ => None,
    }),
    ("bytes", |request| match request {
        Request::Write(batch) if batch.mutations.len() > 1 => {
            let bytes: usize = batch.mutations.iter().map(|mutation| mutation.size_bytes()).sum();
            (bytes > 400).then_some(FaultKind::Refused)
        }
        _ => None,
    }),
    ("a mutation", |request| match request {
        Request::Write(batch) => (batch.mutations.len() > 6).then_some(FaultKind::Failed),
        _ => None,
    }),
    ("tombstones", |request| match request {
        Request::FirstRows(.., rows)
        | Request::TimedFirstRows(.., rows)
        | Request::Page(.., rows)
        | Request::TimedPage(.., rows) => (*rows > 4).then_some(FaultKind::Failed),
        _ => None,
    }),
    ("time", |request| {
        let (partitions, clustering) = accounts(request);
        let statements = match request {
            Request::Write(batch) => batch.mutations.len(),
            _ => 0,
        };
        (partitions.max(clustering) > 3 || statements > 9).then_some(FaultKind::TimedOut)
    }),
];

/// The largest size that was refused of each kind and table, and how many were.
type Refused = Arc<Mutex<HashMap<(&'static str, usize), (usize, u32)>>>;

fn storage_with(limit: Option<Limit>, refused: &Refused) -> MemoryStorage {
    let refused = Arc::clone(refused);
    MemoryStorage::with_faults(spec(), move |request| {
        let fault = limit?(request)?;
        let (kind, table, size) = size(request);
        let mut refused = refused.lock().unwrap();
        let (largest, times) = refused.entry((kind, table)).or_default();
        (*largest, *times) = (size.max(*largest), *times + 1);
        Some(fault)
    })
}

/// What every walk, each of them a command, leaves and says.
#[derive(Debug, PartialEq)]
struct Outcome {
    inspected: (u64, u64),
    merged: (World, Events),
    swept: (World, u64),
    differences: u64,
    undone: World,
}

fn all_walks(name: &str, limit: Option<Limit>) -> Outcome {
    let refused = Refused::default();
    let over = |walk: &str| {
        for ((kind, table), (largest, times)) in refused.lock().unwrap().drain() {
            // Those of sources and those of survivors are of two kinds: other columns.
            let kinds = if ["pages", "first rows"].contains(&kind) { 2 } else { 1 };
            let most = kinds * (largest.ilog2() + 2);
            assert!(times <= most, "{name}, {walk}: {kind} of table {table}: {times} > {most}");
        }
    };
    let (world, plan) = world();
    let storage = storage_with(limit, &refused);
    load(&world, &spec(), &storage);

    let context = reading(storage, Discover::Scan);
    let inspected = inspect(&context, &plan, Selection::All, &never()).unwrap();
    assert_eq!(inspected.unreadable, 0, "{name}: {:?}", inspected.reasons);
    let scanned = inspected.scanned.unwrap().clustered_rows;
    over("inspect");

    let journal = Arc::<MemoryJournal>::default();
    let again = |context: Arc<Context<MemoryStorage>>| {
        let storage = Arc::into_inner(context).unwrap().into_storage().unwrap();
        let mut context = context_of(16, storage, Arc::clone(&journal), 1_000_000);
        Arc::get_mut(&mut context).unwrap().window = Some(200);
        context
    };
    let context = again(context);
    let (outcome, failed) = run_all(&context, &plan, never(), ErrorLimit::Groups(0));
    assert_eq!((outcome.failed, failed), (0, Vec::new()), "{name}");
    let tributary::events::EventSink::Memory(events) = &context.event_sink else { unreachable!() };
    let events = events_of(&events.lock().unwrap());
    let merged = (dump(&spec(), &context.storage), events);
    over("merge");

    let context = again(context);
    for source in (0..PAIRS).map(|n| format!("s{n}")).chain((0..FAN_IN).map(|n| format!("f{n}"))) {
        let columns = [("batchid", "b0"), ("userid", source.as_str()), ("grade", "late")];
        let columns = columns.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        context.storage.put(ENROLMENTS, to_row(&spec(), ENROLMENTS, &columns), now_us());
    }
    let (context, swept, left) = sweep(context, &plan);
    assert_eq!((swept.failed, left), (0, Vec::new()), "{name}");
    let swept = (dump(&spec(), &context.storage), swept.rows);
    over("sweep");

    let context = again(context);
    let folder = TempDir::new().unwrap();
    let look = Options::default();
    let verified = verified(&context, look, &diff(&folder));
    assert_eq!(verified.failed, 0, "{name}");
    over("verify");

    let (context, _, _, failures) = undo_all(again(context), false);
    assert_eq!(failures, Vec::<String>::new(), "{name}");
    over("undo");
    Outcome {
        inspected: (inspected.groups, scanned),
        merged,
        swept,
        differences: verified.counts.differences(),
        undone: dump(&spec(), &context.storage),
    }
}

#[test]
fn a_server_that_takes_less_is_asked_for_less() {
    let expected = all_walks("none", None);
    for (name, limit) in LIMITS {
        assert!(all_walks(name, Some(*limit)) == expected, "{name}: other rows");
    }
}
