//! `keep-source`, of columns and of whole rows: what the source has takes the place of what the survivor has, null as well.
//! Held against a plain model.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use proptest::prelude::*;
use tributary::journal::memory::MemoryJournal;
use tributary::model::{Cell, Change, Row, now_us};
use tributary::pipeline::Context;
use tributary::spec::schema::{Schema, TableSchema};
use tributary::spec::{RawSpec, Spec};
use tributary::storage::memory::MemoryStorage;
use tributary::verify::Options;

use super::sweep::{plan_of, sweep};
use super::undo::{end, undo_all};
use super::verify::{diff, verified};
use super::world::dying;
use super::{block_on, context_with, run};

const COLUMNS: [(&str, &str); 5] =
    [("user", "text"), ("k", "text"), ("status", "int"), ("theme", "text"), ("grade", "text")];

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// The theme is the source's; the status is the higher, and the grade the survivor's.
    Column,
    Row,
}

fn spec(rule: Rule) -> Arc<Spec> {
    let on_conflict = match rule {
        Rule::Column => "{ status = 'max', theme = 'keep-source' }",
        Rule::Row => "'keep-source'",
    };
    let text = format!(
        "name = 'test'\n[[table]]\nname = 'seats'\naccount = 'user'\nfind = 'partition'\non_conflict = {on_conflict}"
    );
    let table = TableSchema::keyed(2, &COLUMNS);
    let schema = Schema { keyspace: "k".into(), tables: [("seats".into(), table)].into() };
    Arc::new(RawSpec::parse(&text, "the test").unwrap().check(&schema).unwrap())
}

/// Status, theme and grade.
type Seat = (Option<i32>, Option<String>, Option<String>);

/// (user, k) → what its row holds.
type World = BTreeMap<(String, String), Seat>;

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn at(rule: Rule, name: &str) -> usize {
    spec(rule).tables[0].position(name).unwrap()
}

fn row(rule: Rule, (user, k): &(String, String), (status, theme, grade): &Seat) -> Row {
    let mut cells: Vec<Cell> = vec![None; 5];
    (cells[0], cells[1]) = (Some(bytes(user)), Some(bytes(k)));
    cells[at(rule, "status")] = status.map(|v| Bytes::copy_from_slice(&v.to_be_bytes()));
    cells[at(rule, "theme")] = theme.as_deref().map(bytes);
    cells[at(rule, "grade")] = grade.as_deref().map(bytes);
    Row::new(cells)
}

fn dump(rule: Rule, context: &Context<MemoryStorage>) -> World {
    let text = |cell: &Cell| cell.as_ref().map(|cell| String::from_utf8(cell.to_vec()).unwrap());
    let rows = context.storage.dump(0).into_iter().map(|row| {
        let cell = |name| &row.cells[at(rule, name)];
        let status =
            cell("status").as_ref().map(|cell| i32::from_be_bytes(cell[..].try_into().unwrap()));
        let key = (text(&row.cells[0]).unwrap(), text(&row.cells[1]).unwrap());
        (key, (status, text(cell("theme")), text(cell("grade"))))
    });
    rows.collect()
}

fn merge(rule: Rule, world: &mut World, sources: &[String]) {
    for source in sources {
        let own: Vec<_> = world.keys().filter(|key| key.0 == *source).cloned().collect();
        for key in own {
            let seat = world.remove(&key).unwrap();
            let to = ("new".to_owned(), key.1);
            if rule == Rule::Column
                && let Some(own) = world.get_mut(&to)
            {
                own.0 = own.0.max(seat.0);
                own.1 = seat.1;
            } else {
                world.insert(to, seat);
            }
        }
    }
}

fn rule() -> impl Strategy<Value = Rule> {
    prop::sample::select(vec![Rule::Column, Rule::Row])
}

fn world() -> impl Strategy<Value = World> {
    let seat = (prop::option::of(0..3_i32), prop::option::of("[a-c]"), prop::option::of("[a-c]"));
    let key = (prop::sample::select(vec!["new", "old1", "old2", "old3"]), "[x-z]");
    prop::collection::btree_map(key, seat, 1..10).prop_map(|world| {
        world.into_iter().map(|((user, k), seat)| ((user.to_owned(), k), seat)).collect()
    })
}

fn sources() -> Vec<String> {
    ["old1", "old2", "old3"].map(str::to_owned).into()
}

fn context(
    rule: Rule,
    storage: MemoryStorage,
    journal: &Arc<MemoryJournal>,
) -> Arc<Context<MemoryStorage>> {
    context_with(spec(rule), 8, storage, Arc::clone(journal), 1_000_000)
}

/// Puts rows; some of them were begun without an insert, and stand by their cells alone.
fn put(rule: Rule, storage: &MemoryStorage, world: &World, has_liveness: bool) {
    for (key, seat) in world {
        let row = row(rule, key, seat);
        let cells = row.cells.iter().cloned().enumerate().skip(2);
        let set: Vec<_> = cells.filter(|(_, cell)| cell.is_some()).collect();
        match has_liveness || set.is_empty() {
            true => storage.put(0, row, 1_000),
            false => {
                storage.apply(0, 1_000, &Change::update(vec![bytes(&key.0), bytes(&key.1)], set));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_the_source_has_stands_until_it_is_undone(
        rule in rule(), world in world(), has_liveness in any::<bool>(),
    ) {
        let storage = MemoryStorage::new(spec(rule));
        put(rule, &storage, &world, has_liveness);
        let context = context(rule, storage, &Arc::default());
        run(&context, &plan_of("new", &sources()).group(0)).0.unwrap();
        let mut expected = world.clone();
        merge(rule, &mut expected, &sources());
        prop_assert_eq!(dump(rule, &context), expected);
        let folder = tempfile::tempdir().unwrap();
        let options = Options { restart: true, ..Options::default() };
        prop_assert_eq!(verified(&context, options, &diff(&folder)).counts.differences(), 0);
        let (context, undone, _, failed) = undo_all(context, false);
        prop_assert_eq!((undone.undone, failed), (1, Vec::new()));
        prop_assert_eq!(dump(rule, &context), world);
    }

    /// The run dies at any request, carried out or not, and another one goes on with it, or undoes it.
    #[test]
    fn a_run_that_dies_ends_as_if_it_had_not(
        rule in rule(), world in world(), at in 0..8_usize, is_carried_out in any::<bool>(),
        is_undone in any::<bool>(), has_liveness in any::<bool>(),
    ) {
        let (storage, dies) = dying(spec(rule), at, is_carried_out);
        put(rule, &storage, &world, has_liveness);
        let journal = Arc::<MemoryJournal>::default();
        let first = context(rule, storage, &journal);
        let group = plan_of("new", &sources()).group(0);
        drop(run(&first, &group));
        dies.store(usize::MAX, Ordering::Relaxed);
        let second =
            context(rule, Arc::into_inner(first).unwrap().into_storage().unwrap(), &journal);
        let mut expected = world;
        if !is_undone {
            merge(rule, &mut expected, &sources());
        }
        let second = end(second, &group, is_undone);
        prop_assert_eq!(dump(rule, &second), expected);
    }
}

fn key(user: &str) -> (String, String) {
    (user.to_owned(), "x".to_owned())
}

fn seat(status: i32, theme: Option<&str>, grade: Option<&str>) -> Seat {
    (Some(status), theme.map(str::to_owned), grade.map(str::to_owned))
}

/// Merged from rows of one key: the run's world.
fn merged(rule: Rule, rows: &[(&str, Seat)]) -> Arc<Context<MemoryStorage>> {
    merged_in(rule, rows, &Arc::default())
}

fn merged_in(
    rule: Rule,
    rows: &[(&str, Seat)],
    journal: &Arc<MemoryJournal>,
) -> Arc<Context<MemoryStorage>> {
    let storage = MemoryStorage::new(spec(rule));
    for (user, seat) in rows {
        storage.put(0, row(rule, &key(user), seat), 1_000);
    }
    let context = context(rule, storage, journal);
    run(&context, &plan_of("new", &["old".to_owned()]).group(0)).0.unwrap();
    context
}

fn writes(context: &Context<MemoryStorage>, rule: Rule, user: &str, theme: Option<&str>, t: i64) {
    let set = vec![(at(rule, "theme"), theme.map(bytes))];
    context.storage.apply(0, t, &Change::update(vec![bytes(user), bytes("x")], set));
}

/// Nothing is computed, so that nothing has to be computed anew: what the application writes to the survivor stands.
#[test]
fn what_the_application_writes_later_stands() {
    for rule in [Rule::Column, Rule::Row] {
        let storage = MemoryStorage::new(spec(rule));
        for (user, theme) in [("new", "own"), ("old", "its")] {
            storage.put(0, row(rule, &key(user), &seat(1, Some(theme), None)), 1_000);
        }
        let context = context(rule, storage, &Arc::default());
        writes(&context, rule, "new", Some("since"), now_us() + 60_000_000);
        let group = plan_of("new", &["old".to_owned()]).group(0);
        let left = block_on(async {
            let window = tributary::pipeline::Window::writing(&context);
            let merged = tributary::pipeline::merge_group(&window, &group, None, None);
            window.alone(merged).await.unwrap().left
        });
        assert_eq!(left, []);
        let expected = [(key("new"), seat(1, Some("since"), None))];
        assert_eq!(dump(rule, &context), expected.into());
    }
}

/// Of a late value and the survivor's the later write stands.
#[test]
fn a_late_value_goes_by_its_write_time() {
    let plan = plan_of("new", &["old".to_owned()]);
    for rule in [Rule::Column, Rule::Row] {
        for is_own_later in [false, true] {
            let rows = [("new", seat(1, Some("own"), None)), ("old", seat(1, None, None))];
            let context = merged(rule, &rows);
            assert_eq!(dump(rule, &context), [(key("new"), seat(1, None, None))].into());
            let t = now_us() - 10;
            writes(&context, rule, "old", Some("late"), t);
            writes(&context, rule, "new", Some("own again"), t + i64::from(is_own_later) * 2 - 1);
            let (context, swept, left) = sweep(context, &plan);
            assert_eq!((swept.rows, left.len()), (1, 0), "{rule:?}");
            let stands = if is_own_later { "own again" } else { "late" };
            let expected = [(key("new"), seat(1, Some(stands), None))];
            assert_eq!(dump(rule, &context), expected.into(), "{rule:?}");
        }
    }
}

/// It is no part of a row that was merged, and would take the survivor's away.
#[test]
fn a_row_that_is_begun_late_stays_beside_one_of_the_survivors_own() {
    let context = merged(Rule::Row, &[("new", seat(1, Some("own"), None))]);
    writes(&context, Rule::Row, "old", Some("late"), now_us() - 1);
    let (context, swept, left) = sweep(context, &plan_of("new", &["old".to_owned()]));
    assert_eq!((swept.rows, left.len()), (0, 1));
    assert!(left[0].why.contains("merge the same pair once more"), "{}", left[0].why);
    assert_eq!(dump(Rule::Row, &context).len(), 2);
}

/// A cell that the merge has deleted and that is there again, as old as it was, is deleted again; one that somebody wrote is
/// left.
#[test]
fn a_delete_that_was_lost_is_repaired() {
    for rule in [Rule::Column, Rule::Row] {
        let own = seat(1, Some("own"), None);
        let journal = Arc::default();
        let rows = [("new", own.clone()), ("old", seat(1, None, None))];
        drop(merged_in(rule, &rows, &journal));
        // All of it is there but the delete.
        let storage = MemoryStorage::new(spec(rule));
        storage.put(0, row(rule, &key("new"), &own), 1_000);
        let context = context(rule, storage, &journal);
        let folder = tempfile::tempdir().unwrap();
        let repair = Options { repair: true, ..Options::default() };
        let options = Options { restart: true, ..repair };
        let found = verified(&context, options, &diff(&folder)).counts;
        assert_eq!((found.differences(), found.tables[0].repaired), (0, 1), "{rule:?}");
        assert_eq!(dump(rule, &context), [(key("new"), seat(1, None, None))].into());
        writes(&context, rule, "new", Some("since"), now_us());
        let found = verified(&context, options, &diff(&folder)).counts;
        assert_eq!((found.differences(), found.tables[0].repaired), (0, 0), "{rule:?}");
    }
}

#[test]
fn a_rule_for_whole_rows_stands_alone() {
    let text = "name = 'test'\n[[table]]\nname = 'seats'\naccount = 'user'\nfind = 'partition'\nmentions = ['grade']\n\
                on_conflict = 'keep-source'";
    let error = RawSpec::parse(text, "the test").unwrap_err().to_string();
    assert!(error.contains("no rule for whole rows"), "{error}");
}
