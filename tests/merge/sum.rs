//! Numbers that are added up: each source is counted once, or what cannot be told is reported.

use std::sync::Arc;

use bytes::Bytes;
use tributary::journal::State;
use tributary::journal::memory::MemoryJournal;
use tributary::model::{Change, Row, now_us};
use tributary::pipeline::{Context, Leftover, Window, merge_group};
use tributary::spec::schema::{Schema, TableSchema};
use tributary::spec::{RawSpec, Spec};
use tributary::storage::memory::MemoryStorage;

use super::sweep::{plan_of, sweep};
use super::undo::undo_all;
use super::{block_on, context_with};

const VIEWS: usize = 3;

fn spec() -> Arc<Spec> {
    let text = "name = 'test'\n[[table]]\nname = 'watched'\naccount = 'user'\nfind = 'partition'\n\
                on_conflict = { status = 'max', views = 'sum' }";
    let columns = [("user", "text"), ("k", "text"), ("status", "int"), ("views", "int")];
    let table = TableSchema::keyed(2, &columns);
    let schema = Schema { keyspace: "k".into(), tables: [("watched".into(), table)].into() };
    Arc::new(RawSpec::parse(text, "the test").unwrap().check(&schema).unwrap())
}

fn int(value: i32) -> Option<Bytes> {
    Some(Bytes::copy_from_slice(&value.to_be_bytes()))
}

fn key(user: &str) -> Vec<Bytes> {
    [user, "x"].map(|text| Bytes::copy_from_slice(text.as_bytes())).to_vec()
}

/// Rows of one key, as an account and its views.
fn world(rows: &[(&str, Option<i32>)]) -> Arc<Context<MemoryStorage>> {
    let storage = MemoryStorage::new(spec());
    for (user, views) in rows {
        let mut cells: Vec<_> = key(user).into_iter().map(Some).collect();
        cells.extend([int(1), views.and_then(int)]);
        storage.put(0, Row::new(cells), 1_000);
    }
    context_with(spec(), 8, storage, Arc::<MemoryJournal>::default(), 1_000_000)
}

fn counts(context: &Context<MemoryStorage>, user: &str, views: i32, t: i64) {
    let set = vec![(VIEWS, int(views))];
    context.storage.apply(0, t, &Change::update(key(user), set));
}

/// The views of an account; `None` if it has no row.
fn views(context: &Context<MemoryStorage>, user: &str) -> Option<Option<i32>> {
    let rows = context.storage.dump(0);
    let row = rows.into_iter().find(|row| row.cells[0].as_deref() == Some(user.as_bytes()))?;
    Some(row.cells[VIEWS].as_deref().map(|cell| i32::from_be_bytes(cell.try_into().unwrap())))
}

fn merged(context: &Arc<Context<MemoryStorage>>, sources: &[&str]) -> Vec<Leftover> {
    let sources: Vec<String> = sources.iter().map(|source| (*source).to_owned()).collect();
    let group = plan_of("new", &sources).group(0);
    let merged = block_on(async {
        let window = Window::writing(context);
        window.alone(merge_group(&window, &group, None, None)).await
    });
    merged.unwrap().left
}

#[test]
fn all_accounts_are_added_up_until_that_is_undone() {
    let rows = [("new", Some(10)), ("old", Some(3)), ("older", None), ("oldest", Some(4))];
    let context = world(&rows);
    assert_eq!(merged(&context, &["old", "older", "oldest"]), []);
    assert_eq!(views(&context, "new"), Some(Some(17)));
    assert_eq!(["old", "older", "oldest"].map(|user| views(&context, user)), [None; 3]);
    let (context, undone, _, failed) = undo_all(context, false);
    assert_eq!((undone.undone, undone.rows[0].counted_meanwhile, failed), (1, 0, Vec::new()));
    for (user, before) in rows {
        assert_eq!(views(&context, user), Some(before), "{user}");
    }
}

#[test]
fn copies_are_added_up_as_well() {
    let context = world(&[("old", None), ("older", Some(3)), ("oldest", Some(4))]);
    assert_eq!(merged(&context, &["old", "older", "oldest"]), []);
    assert_eq!(views(&context, "new"), Some(Some(7)));
}

/// Each is told once, however many sources it is made of, and also where nothing had to be written.
#[test]
fn totals_that_do_not_fit_are_the_limit_and_are_counted() {
    const MOST: i32 = i32::MAX;
    for (values, total, capped) in [
        (vec![MOST, 1, 1], MOST, 1),
        (vec![MOST - 1, 1], MOST, 0),
        (vec![-MOST, -2, 0], i32::MIN, 1),
    ] {
        let users: Vec<String> = (1..values.len()).map(|n| format!("old{n}")).collect();
        let names = ["new"].into_iter().chain(users.iter().map(String::as_str));
        let rows: Vec<_> = names.zip(values.into_iter().map(Some)).collect();
        let context = world(&rows);
        merged(&context, &rows[1..].iter().map(|(user, _)| *user).collect::<Vec<_>>());
        assert_eq!(views(&context, "new"), Some(Some(total)));
        let tally = context.journal.tally(&[State::Done]).unwrap();
        assert_eq!(tally.tables[0].capped_sums, capped, "{rows:?}");
    }
}

/// It was read, so the total counts on from it, and yet it would hide that.
#[test]
fn what_was_written_between_t_and_the_read_does_not_hide_the_total() {
    let context = world(&[("new", Some(10)), ("old", Some(3))]);
    counts(&context, "new", 11, now_us() - 1);
    assert_eq!(merged(&context, &["old"]), []);
    assert_eq!(views(&context, "new"), Some(Some(14)));
    let (context, undone, ..) = undo_all(context, false);
    assert_eq!(undone.undone, 1);
    assert_eq!(["new", "old"].map(|user| views(&context, user)), [Some(Some(11)), Some(Some(3))]);
}

#[test]
fn what_a_source_counts_later_stays_there_and_is_reported() {
    let context = world(&[("new", Some(10)), ("old", Some(3))]);
    assert_eq!(merged(&context, &["old"]), []);
    counts(&context, "old", 4, now_us() - 1);
    let plan = plan_of("new", &["old".to_owned()]);
    for _ in 0..2 {
        let (_, swept, left) = sweep(Arc::clone(&context), &plan);
        assert_eq!((swept.rows, left.len()), (0, 1), "each time");
        assert!(left[0].why.starts_with("something that is added up"), "{}", left[0].why);
    }
    assert_eq!(["new", "old"].map(|user| views(&context, user)), [Some(Some(13)), Some(Some(4))]);
    // Given back, the 3 would be hidden by the 4, or be in it.
    let (context, undone, ..) = undo_all(context, false);
    assert_eq!((undone.undone, undone.disputed), (0, 1));
    assert_eq!(["new", "old"].map(|user| views(&context, user)), [Some(Some(13)), Some(Some(4))]);
}

/// A row that only the source begins anew is no part of any total.
#[test]
fn a_late_row_that_the_survivor_does_not_have_is_taken() {
    let context = world(&[("old", Some(3))]);
    assert_eq!(merged(&context, &["old"]), []);
    let t = now_us();
    context.storage.apply(0, t - 2, &Change::DeleteRow { key: key("new") });
    counts(&context, "old", 5, t - 1);
    let (context, swept, left) = sweep(context, &plan_of("new", &["old".to_owned()]));
    assert_eq!((swept.rows, left.len()), (1, 0));
    assert_eq!(["new", "old"].map(|user| views(&context, user)), [Some(Some(5)), None]);
}

#[test]
fn a_specification_that_adds_up_deletes_its_sources() {
    let text = "name = 'test'\n[[table]]\nname = 'watched'\naccount = 'user'\nfind = 'partition'\n\
                delete_source = false\non_conflict = { views = 'sum' }";
    let error = RawSpec::parse(text, "the test").unwrap_err().to_string();
    assert!(error.contains("views is added up") && error.contains("delete_source"), "{error}");
}
