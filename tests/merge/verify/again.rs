//! Sources that own rows again; verifies that are stopped, fail in part, and go on.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tempfile::TempDir;
use tokio::sync::watch;
use tributary::journal::Journal;
use tributary::journal::memory::MemoryJournal;
use tributary::model::{Change, now_us};
use tributary::pipeline::{Context, Walked};
use tributary::storage::memory::{FaultKind, MemoryStorage, Request};
use tributary::verify::Options;

use super::super::model::{Columns, World};
use super::super::preset::spec;
use super::super::world::{CONTENT, ENROLMENTS, dump, group, load, to_row};
use super::super::{coalesce, context_of, run};
use super::{announced, diff, lines, repair, verified, verified_until};

fn columns(columns: &[(&str, &str)]) -> Columns {
    columns.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn content(user: &str, content: &str) -> (String, String, String, String) {
    (user.into(), content.into(), "b1".into(), "k1".into())
}

/// A source with two contents and an enrolment; the survivor has none of it.
fn small_world() -> World {
    let mut world = World::default();
    world.content.insert(content("s", "c1"), columns(&[("status", "1"), ("grade", "A")]));
    world.content.insert(content("s", "c2"), columns(&[("status", "2")]));
    world.enrolments.insert(("b1".into(), "s".into()), columns(&[("courseid", "k1")]));
    world
}

/// The same run, of which the deletes and some copies were lost: a backup was restored.
fn restored(
    world: &World,
    lost: &str,
    faults: impl Fn(&Request<'_>) -> Option<FaultKind> + Send + Sync + 'static,
) -> (Arc<Context<MemoryStorage>>, i64) {
    let storage = MemoryStorage::new(spec());
    load(world, &spec(), &storage);
    let journal = Arc::<MemoryJournal>::default();
    let context = context_of(8, storage, Arc::clone(&journal), 1_000_000);
    run(&context, &group("t", &["s".to_owned()])).0.unwrap();
    let t = journal.group(0).unwrap().unwrap().t.unwrap();
    let storage = MemoryStorage::with_faults(spec(), faults);
    load(world, &spec(), &storage);
    for table in [CONTENT, ENROLMENTS] {
        let rows = context.storage.dump(table);
        let lost = Some(Bytes::copy_from_slice(lost.as_bytes()));
        rows.into_iter()
            .filter(|row| !row.cells.contains(&lost))
            .for_each(|row| storage.put(table, row, t));
    }
    (context_of(8, storage, journal, 1_000_000), t)
}

fn verdicts(folder: &TempDir) -> Vec<(String, String, String)> {
    let lines = lines(&diff(folder)).into_iter();
    let mut verdicts: Vec<_> = lines
        .map(|(verdict, account, key, _)| {
            let key: serde_json::Value = serde_json::from_str(&key).unwrap();
            let part = key.get("contentid").unwrap_or(&key["batchid"]);
            (verdict, account, part.as_str().unwrap().to_owned())
        })
        .collect();
    verdicts.sort();
    verdicts
}

fn verdicts_of(verdicts: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
    let owned = |(a, b, c): &(&str, &str, &str)| ((*a).into(), (*b).into(), (*c).into());
    verdicts.iter().map(owned).collect()
}

#[test]
fn sources_are_emptied_again_of_what_was_copied_and_of_nothing_else() {
    let world = small_world();
    let (context, t) = restored(&world, "c2", |_| None);
    let put = |table, columns: &[(&str, &str)], t| {
        context.storage.put(table, to_row(&spec(), table, &self::columns(columns)), t);
    };
    // Something that the run never saw, though it is older; and something that was written later.
    let key = [("userid", "s"), ("batchid", "b1"), ("courseid", "k1")];
    put(CONTENT, &[&key[..], &[("contentid", "c9"), ("status", "3")]].concat(), t - 1);
    put(CONTENT, &[&key[..], &[("contentid", "c1"), ("score", "9")]].concat(), t + 1);
    let folder = TempDir::new().unwrap();
    let found = verified(&context, Options::default(), &diff(&folder));
    let changed = ("changed-since", "s", "c1");
    let unknown = ("source-not-emptied", "s", "c9");
    let old = |key| ("source-not-emptied", "s", key);
    let missing = ("row-missing", "t", "c2");
    assert_eq!(
        verdicts(&folder),
        verdicts_of(&[changed, missing, old("b1"), old("c1"), old("c2"), unknown])
    );
    assert_eq!(found.counts.differences(), 5);
    assert_eq!(found.counts.tables[CONTENT].source_changed_since, 1);

    let repaired = verified(&context, repair(), &diff(&folder));
    assert_eq!(repaired.counts.differences(), 1, "{:?}", verdicts(&folder));
    let left: Vec<_> = verdicts(&folder).into_iter().filter(|line| line.0 != "repaired").collect();
    assert_eq!(left, verdicts_of(&[changed, unknown]));
    let mut expected = world;
    expected.merge("t", &["s".to_owned()]);
    let later = columns(&[("score", "9")]);
    expected.content.insert(content("s", "c1"), later);
    expected.content.insert(content("s", "c9"), columns(&[("status", "3")]));
    assert_eq!(dump(&spec(), &context.storage), expected);
    assert_eq!(announced(&context).len(), 1, "a row of the survivor was repaired");
}

#[test]
fn what_was_repaired_and_not_announced_is_announced_by_the_next() {
    let refuse = Arc::new(AtomicBool::new(false));
    let refused = Arc::clone(&refuse);
    let (context, _) = restored(&small_world(), "c2", move |request| {
        // The row that the event quotes.
        let is_quoted =
            matches!(request, Request::RowsOf(ENROLMENTS, _, [account]) if account.text() == "t");
        (is_quoted && refused.load(Ordering::Relaxed)).then_some(FaultKind::Refused)
    });
    context.storage.apply(
        ENROLMENTS,
        now_us(),
        &Change::DeleteRow { key: vec![Bytes::from_static(b"b1"), Bytes::from_static(b"s")] },
    );
    let folder = TempDir::new().unwrap();
    refuse.store(true, Ordering::Relaxed);
    let failed = verified(&context, repair(), &diff(&folder));
    assert_eq!((failed.failed, failed.counts.groups), (1, 0));
    assert!(announced(&context).is_empty());
    assert!(dump(&spec(), &context.storage).content.contains_key(&content("t", "c2")));
    refuse.store(false, Ordering::Relaxed);
    let next = verified(&context, repair(), &diff(&folder));
    assert_eq!((next.failed, next.counts.differences()), (0, 0));
    assert_eq!(announced(&context).len(), 1);
    verified(&context, repair(), &diff(&folder));
    assert!(announced(&context).is_empty());
}

/// All groups of [`together`], merged, and one content of each survivor deleted since.
fn many(
    faults: impl Fn(&Request<'_>) -> Option<FaultKind> + Send + Sync + 'static,
) -> (Arc<Context<MemoryStorage>>, BTreeSet<String>) {
    let (world, plan) = coalesce::world();
    let storage = MemoryStorage::with_faults(spec(), faults);
    load(&world, &spec(), &storage);
    let context = context_of(4, storage, Arc::default(), 1_000_000);
    coalesce::run_all(&context, &plan, coalesce::never(), pipeline_errors());
    let mut accounts = BTreeSet::new();
    for row in context.storage.dump(CONTENT) {
        let key: Vec<Bytes> = row.cells[..4].iter().flatten().cloned().collect();
        let account = String::from_utf8(key[0].to_vec()).unwrap();
        if accounts.insert(account) {
            context.storage.apply(CONTENT, now_us(), &Change::DeleteRow { key });
        }
    }
    assert!(accounts.len() > 50);
    (context, accounts)
}

fn pipeline_errors() -> tributary::pipeline::ErrorLimit {
    tributary::pipeline::ErrorLimit::Groups(0)
}

/// The accounts with a difference, each of them once.
fn accounts(folder: &TempDir) -> BTreeSet<String> {
    let lines = lines(&diff(folder));
    let accounts: BTreeSet<String> = lines.iter().map(|line| line.1.clone()).collect();
    assert_eq!(accounts.len(), lines.len(), "a line is there twice");
    accounts
}

#[test]
fn a_verify_that_was_stopped_goes_on_and_one_that_was_killed_leaves_no_trace() {
    let (stop, stopped) = watch::channel(false);
    let reads = AtomicUsize::new(0);
    let (context, planted) = many(move |request| {
        if matches!(request, Request::TimedFirstRows(..))
            && reads.fetch_add(1, Ordering::Relaxed) == 4
        {
            stop.send_replace(true);
        }
        None
    });
    let folder = TempDir::new().unwrap();
    let first = verified_until(&context, Options::default(), &diff(&folder), stopped);
    assert_eq!(first.ended, Walked::Interrupted);
    let compared = first.counts.groups;
    assert!(compared >= 16 && compared < first.done, "{compared} of {}", first.done);
    assert_eq!(first.counts.differences(), accounts(&folder).len() as u64);
    // A killed process may have written more than it has kept.
    let mut file = OpenOptions::new().append(true).open(diff(&folder)).unwrap();
    file.write_all(b"row-missing,content_consum").unwrap();
    let second = verified(&context, Options::default(), &diff(&folder));
    assert_eq!((second.ended, second.before), (Walked::Finished, compared));
    assert_eq!(second.counts.groups, second.done);
    assert_eq!(second.counts.differences(), planted.len() as u64);
    assert_eq!(accounts(&folder), planted);
    // One that is over begins anew.
    let third = verified(&context, Options::default(), &diff(&folder));
    assert_eq!((third.before, third.counts), (0, second.counts));
    assert_eq!(accounts(&folder), planted);
}

#[test]
fn only_the_same_verify_is_resumed() {
    for other in [repair(), Options { restart: true, ..Options::default() }] {
        let (stop, stopped) = watch::channel(false);
        let stop = Mutex::new(Some(stop));
        let (context, planted) = many(move |request| {
            if matches!(request, Request::TimedFirstRows(..))
                && let Some(stop) = stop.lock().unwrap().take()
            {
                stop.send_replace(true);
            }
            None
        });
        let folder = TempDir::new().unwrap();
        let first = verified_until(&context, Options::default(), &diff(&folder), stopped);
        assert_eq!(first.ended, Walked::Interrupted);
        let second = verified(&context, other, &diff(&folder));
        assert_eq!((second.before, second.counts.groups), (0, second.done));
        assert_eq!(accounts(&folder), planted);
    }
}

#[test]
fn groups_that_could_not_be_read_have_another_turn() {
    let refuse = Arc::new(AtomicBool::new(false));
    let refused = Arc::clone(&refuse);
    let (context, planted) = many(move |request| {
        let of_seven = |account: &str| ["t7", "t17"].contains(&account);
        match request {
            Request::TimedFirstRows(_, accounts, _)
                if accounts.iter().any(|account| of_seven(&account.text())) =>
            {
                refused.load(Ordering::Relaxed).then_some(FaultKind::Refused)
            }
            _ => None,
        }
    });
    let folder = TempDir::new().unwrap();
    refuse.store(true, Ordering::Relaxed);
    let first = verified(&context, Options::default(), &diff(&folder));
    assert_eq!((first.ended, first.failed), (Walked::Finished, 2));
    assert_eq!(first.counts.groups, first.done - 2);
    assert_eq!(first.error.unwrap().to_string(), "the request was refused");
    refuse.store(false, Ordering::Relaxed);
    let second = verified(&context, Options::default(), &diff(&folder));
    assert_eq!((second.before, second.counts.groups), (second.done - 2, second.done));
    assert_eq!(accounts(&folder), planted);
}
