//! The application writes to the survivor's computed cells while its group is merged: no value of a source is lost by
//! it, and what it writes once the merge is acknowledged stands.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use proptest::prelude::*;
use tributary::events::EventSink;
use tributary::journal::SliceKind;
use tributary::journal::memory::MemoryJournal;
use tributary::model::{Change, now_us};
use tributary::pipeline::{Context, GroupError, Leftover, Merged, Window, merge_group};
use tributary::storage::memory::{MemoryStorage, Request};

use super::block_on;
use super::context_of;
use super::model::{Columns, World};
use super::preset::spec;
use super::undo::{Stops, undo_all};
use super::world::{CONTENT, dump, events_of, group, load, to_row};

/// Contents, of which some are held by the source, some by the survivor, each with a status.
type Held = BTreeMap<u8, (Option<i32>, Option<i32>)>;

fn key(user: &str, content: u8) -> (String, String, String, String) {
    (user.into(), format!("c{content}"), "b1".into(), "k1".into())
}

fn world(held: &Held) -> World {
    let mut world = World::default();
    for (content, (own, offered)) in held {
        for (user, status) in [("t", own), ("s", offered)] {
            if let Some(status) = status {
                let row = [("status", status.to_string()), ("grade", user.to_owned())];
                let row = row.map(|(name, value)| (name.to_owned(), value));
                world.content.insert(key(user, *content), row.into());
            }
        }
    }
    world.enrolments.insert(("b1".into(), "t".into()), Columns::new());
    world
}

/// One write of the application to a status of the survivor: how many turns it waits, where, and what.
type Write = (usize, u8, i32);

/// What the application wrote, with the write time.
type Written = Vec<(u8, i32, i64)>;

/// Merges with an application beside it.
fn merge_beside(
    context: &Arc<Context<MemoryStorage>>,
    writes: &[Write],
) -> (Result<Merged, GroupError>, Written) {
    let earlier = context.journal.group(0).unwrap().map(|record| record.state);
    block_on(async {
        let window = Window::writing(context);
        let group = group("t", &["s".to_owned()]);
        let merge = window.alone(merge_group(&window, &group, earlier, None));
        let application = async {
            let mut written = Written::new();
            for (turns, content, status) in writes {
                for _ in 0..*turns {
                    tokio::task::yield_now().await;
                }
                let t = now_us();
                let shape = &spec().tables[CONTENT];
                let (user, content_id, batch, course) = key("t", *content);
                let all = [("userid", user), ("contentid", content_id), ("batchid", batch)];
                let mut columns: Columns = all.map(|(name, value)| (name.into(), value)).into();
                columns.insert("courseid".into(), course);
                columns.insert("status".into(), status.to_string());
                let row = to_row(&spec(), CONTENT, &columns);
                let key = shape.key_of(&row);
                let status_column = shape.position("status").unwrap();
                let set = vec![(status_column, row.cells[status_column].clone())];
                context.storage.apply(CONTENT, t, &Change::update(key, set));
                written.push((*content, *status, t));
            }
            written
        };
        tokio::join!(merge, application)
    })
}

/// When the merge's own writes were acknowledged, at the earliest and at the latest.
#[derive(Debug, Default)]
struct Acknowledged {
    after: AtomicI64,
    before: AtomicI64,
}

fn observed(acknowledged: &Arc<Acknowledged>) -> MemoryStorage {
    let acknowledged = Arc::clone(acknowledged);
    MemoryStorage::with_faults(spec(), move |request| {
        match request {
            Request::Write(_) if acknowledged.before.load(Ordering::SeqCst) == 0 => {
                acknowledged.after.store(now_us(), Ordering::SeqCst);
            }
            Request::WrittenSince(..) => {
                let before = &acknowledged.before;
                let _ = before.compare_exchange(0, now_us(), Ordering::SeqCst, Ordering::SeqCst);
            }
            _ => {}
        }
        None
    })
}

fn status(world: &World, user: &str, content: u8) -> Option<i32> {
    world.content.get(&key(user, content))?.get("status").map(|status| status.parse().unwrap())
}

fn held() -> impl Strategy<Value = Held> {
    let status = || prop::option::of(0..5_i32);
    prop::collection::btree_map(0..4_u8, (status(), status()), 1..4)
}

fn writes() -> impl Strategy<Value = Vec<Write>> {
    prop::collection::vec((0..25_usize, 0..4_u8, 0..5_i32), 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_higher_of_both_stands_whenever_the_application_writes(held in held(), writes in writes()) {
        let acknowledged = Arc::<Acknowledged>::default();
        let storage = observed(&acknowledged);
        let before = world(&held);
        load(&before, &spec(), &storage);
        let context = context_of(8, storage, Arc::default(), 1_000_000);
        let (merged, written) = merge_beside(&context, &writes);
        let left = merged.unwrap().left;
        let t = context.journal.group(0).unwrap().map_or(0, |group| group.t.unwrap());
        let after = dump(&spec(), &context.storage);
        let (early, late) = (
            acknowledged.after.load(Ordering::SeqCst),
            acknowledged.before.load(Ordering::SeqCst),
        );
        for content in 0..4 {
            let own = status(&before, "t", content);
            let offered = status(&before, "s", content);
            // What the application wrote last.
            let last = written.iter().rfind(|write| write.0 == content);
            let found = status(&after, "t", content);
            let Some((_, value, at)) = last.copied() else {
                prop_assert_eq!(found, own.max(offered));
                continue;
            };
            let higher = Some(value).max(offered);
            if own.is_none() && left.iter().any(|row| row.key[1] == format!("c{content}")) {
                // A row of nothing but what was written since may as well have been begun anew.
                prop_assert_eq!(found, Some(value));
                continue;
            }
            let expected: &[Option<i32>] = match at {
                // It was there when the merge began.
                at if at <= t => &[higher],
                at if at < early => &[higher],
                // One that came before it may have been in the way of what was computed.
                at if at > late && late > 0 && written.iter().filter(|w| w.0 == content).count() == 1 => {
                    &[Some(value)]
                }
                _ => &[higher, Some(value)],
            };
            prop_assert!(expected.contains(&found), "{content}: {found:?} is none of {expected:?}");
        }
        let reported = |row: &Leftover| held.keys().any(|content| {
            held[content].0.is_none() && row.key[1] == format!("c{content}")
        });
        prop_assert!(left.iter().all(reported), "{left:?}");
        prop_assert!(after.content.keys().all(|key| key.0 == "t"));
    }

    /// Stopped at any request, before or behind the second look: going on ends the same, and everything is announced.
    #[test]
    fn a_stop_makes_no_difference(
        held in held(),
        writes in writes(),
        at in 0..10_usize,
        carried_out: bool,
    ) {
        let stop = Stops::default();
        let storage = stop.storage();
        stop.set(Some((at, carried_out)));
        let before = world(&held);
        load(&before, &spec(), &storage);
        let journal = Arc::<MemoryJournal>::default();
        let context = context_of(8, storage, Arc::clone(&journal), 1_000_000);
        let (first, written) = merge_beside(&context, &writes);
        stop.set(None);
        if first.is_err() {
            let (second, _) = merge_beside(&context, &[]);
            second.unwrap();
        }
        let after = dump(&spec(), &context.storage);
        for content in 0..4 {
            let offered = status(&before, "s", content);
            let found = status(&after, "t", content);
            match written.iter().rfind(|write| write.0 == content) {
                None => prop_assert_eq!(found, status(&before, "t", content).max(offered)),
                Some((_, value, _)) => {
                    let higher = Some(*value).max(offered);
                    prop_assert!(found == higher || found == Some(*value), "{content}: {found:?}");
                    // What went on later than the last write knows of it.
                    let own = status(&before, "t", content);
                    if first.is_err() && offered.is_some() && own.is_some() {
                        prop_assert_eq!(found, higher);
                    }
                }
            }
        }
        prop_assert!(after.content.keys().all(|key| key.0 == "t"));
        let EventSink::Memory(events) = &context.event_sink else { unreachable!() };
        let events = std::mem::take(&mut *events.lock().unwrap());
        let changed = (0..4).any(|content| {
            let (own, offered) = (status(&before, "t", content), status(&before, "s", content));
            let is_alone = written.iter().all(|write| write.0 != content);
            is_alone && offered.is_some() && offered > own
        });
        if changed {
            prop_assert!(!events_of(&events).is_empty());
        }
    }
}

/// The trace by which this was found: T, the application's lower value, our read, our write.
#[test]
fn a_lower_value_between_t_and_the_read_does_not_hide_the_higher_one() {
    let storage = MemoryStorage::new(spec());
    let before = world(&[(1, (Some(0), Some(2)))].into());
    load(&before, &spec(), &storage);
    let context = context_of(8, storage, Arc::default(), 1_000_000);
    let (merged, written) = merge_beside(&context, &[(1, 1, 1)]);
    assert!(merged.unwrap().left.is_empty());
    assert_eq!(status(&dump(&spec(), &context.storage), "t", 1), Some(2));
    let records = context.journal.slices(0).unwrap();
    let kinds: Vec<SliceKind> = records.iter().map(|record| record.kind).collect();
    assert_eq!(kinds, [SliceKind::Merge, SliceKind::Raise]);
    assert_eq!(written.len(), 1);
}

/// A row that the application deletes and begins anew owes nothing to the one before: it is left, and told.
#[test]
fn a_row_that_is_begun_anew_is_left_and_told() {
    let acknowledged = Arc::<Acknowledged>::default();
    let storage = observed(&acknowledged);
    load(&world(&[(1, (None, Some(2)))].into()), &spec(), &storage);
    let context = context_of(8, storage, Arc::default(), 1_000_000);
    let shape = &spec().tables[CONTENT];
    let columns = [("userid", "t"), ("contentid", "c1"), ("batchid", "b1"), ("courseid", "k1")];
    let mut columns: Columns = columns.map(|(n, v)| (n.to_owned(), v.to_owned())).into();
    columns.insert("status".into(), "1".into());
    let row = to_row(&spec(), CONTENT, &columns);
    let (merged, ()) = block_on(async {
        let window = Window::writing(&context);
        let group = group("t", &["s".to_owned()]);
        let application = async {
            while acknowledged.after.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
            // The copy is there, and the second look has not been answered yet.
            let t = context.journal.group(0).unwrap().unwrap().t.unwrap();
            context.storage.apply(CONTENT, t + 1, &Change::DeleteRow { key: shape.key_of(&row) });
            context.storage.put(CONTENT, row, t + 2);
        };
        tokio::join!(window.alone(merge_group(&window, &group, None, None)), application)
    });
    let left = merged.unwrap().left;
    assert_eq!(status(&dump(&spec(), &context.storage), "t", 1), Some(1), "{left:?}");
    assert_eq!(left.len(), 1);
    assert!(left[0].why.contains("begun anew"), "{left:?}");
}

/// Undo gives the survivor what the application had written, not what stood before that.
#[test]
fn undo_gives_back_what_the_application_wrote() {
    let storage = MemoryStorage::new(spec());
    let before = world(&[(1, (Some(0), Some(3))), (2, (None, Some(1)))].into());
    load(&before, &spec(), &storage);
    let context = context_of(8, storage, Arc::default(), 1_000_000);
    merge_beside(&context, &[(1, 1, 1)]).0.unwrap();
    let context = undo_all(context, false).0;
    let after = dump(&spec(), &context.storage);
    assert_eq!(status(&after, "t", 1), Some(1));
    assert_eq!((status(&after, "s", 1), status(&after, "s", 2)), (Some(3), Some(1)));
    assert_eq!(status(&after, "t", 2), None);
}
