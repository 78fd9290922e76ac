//! Rows that mention accounts: of anybody's, and of nobody's; stopped anywhere, undone, written to meanwhile.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use tokio::sync::watch;
use tributary::journal::memory::MemoryJournal;
use tributary::journal::{Journal, SliceKind, State};
use tributary::model::{Cell, Change, MentionTally, Row, now_us};
use tributary::pairs::{self, Format};
use tributary::pipeline::{self, Context, Known, Leftover};
use tributary::plan::{self, Plan};
use tributary::spec::schema::{Schema, TableSchema};
use tributary::spec::{RawSpec, Spec};
use tributary::storage::memory::MemoryStorage;
use tributary::verify::Options;

use super::stops::Stops;
use super::undo::undo_all;
use super::verify::verified;
use super::{block_on, context_with, merges};

const USERS: usize = 0;
const ORDERS: usize = 1;

const SPEC: &str = "name = 'test'\n[[table]]\nname = 'users'\naccount = 'id'\nfind = 'partition'\nmentions = \
                    ['managedby']\non_conflict = { rank = 'max' }\n[[table]]\nname = 'orders'\nmentions = ['seller']\n";

fn schema() -> Schema {
    let users = [("id", "text"), ("rank", "int"), ("managedby", "text"), ("name", "text")];
    let orders = [("day", "text"), ("n", "text"), ("seller", "text"), ("note", "text")];
    let tables =
        [("users", TableSchema::keyed(1, &users)), ("orders", TableSchema::keyed(2, &orders))];
    let tables = tables.into_iter().map(|(name, table)| (name.to_owned(), table)).collect();
    Schema { keyspace: "k".into(), tables }
}

fn check(text: &str) -> Result<Spec, String> {
    let raw = RawSpec::parse(text, "the test").map_err(|faults| faults.to_string())?;
    raw.check(&schema()).map_err(|faults| faults.to_string())
}

fn spec() -> Arc<Spec> {
    Arc::new(check(SPEC).unwrap())
}

/// A user: rank, whom it names, its name.
type User = (Option<i32>, Option<String>, Option<String>);

#[derive(Clone, Debug, Default, PartialEq)]
struct World {
    users: BTreeMap<String, User>,
    orders: BTreeMap<(String, String), Option<String>>,
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn cell(text: &Option<String>) -> Cell {
    text.as_deref().map(bytes)
}

fn text(cell: &Cell) -> Option<String> {
    cell.as_ref().map(|cell| String::from_utf8(cell.to_vec()).unwrap())
}

fn user_row(id: &str, (rank, manager, name): &User) -> Row {
    let rank = rank.map(|rank| Bytes::copy_from_slice(&rank.to_be_bytes()));
    Row::new(vec![Some(bytes(id)), rank, cell(manager), cell(name)])
}

fn load(world: &World, storage: &MemoryStorage) {
    for (id, user) in &world.users {
        storage.put(USERS, user_row(id, user), 1_000);
    }
    for ((day, n), seller) in &world.orders {
        let cells = vec![Some(bytes(day)), Some(bytes(n)), cell(seller)];
        storage.put(ORDERS, Row::new(cells), 1_000);
    }
}

fn dump(storage: &MemoryStorage) -> World {
    let mut world = World::default();
    for row in storage.dump(USERS) {
        let [id, rank, manager, name] = row.cells.try_into().unwrap();
        let rank = rank.map(|rank| i32::from_be_bytes(rank[..].try_into().unwrap()));
        world.users.insert(text(&id).unwrap(), (rank, text(&manager), text(&name)));
    }
    for row in storage.dump(ORDERS) {
        let [day, n, seller] = row.cells.try_into().unwrap();
        world.orders.insert((text(&day).unwrap(), text(&n).unwrap()), text(&seller));
    }
    world
}

/// Survivors with their sources, in order.
type Groups = Vec<(String, Vec<String>)>;

fn plan_of(groups: &Groups) -> Plan {
    let lines = groups
        .iter()
        .flat_map(|(to, sources)| sources.iter().map(move |source| format!("{source},{to}\n")));
    let csv = format!("from,to\n{}", lines.collect::<String>());
    plan::resolve(pairs::read(csv.as_bytes(), &Format::default()).unwrap())
}

impl World {
    /// Every step in the plainest way.
    fn merge(&mut self, groups: &Groups) {
        for (to, sources) in groups {
            for source in sources {
                let Some(user) = self.users.remove(source) else { continue };
                match self.users.get_mut(to) {
                    Some(own) => own.0 = own.0.max(user.0),
                    None => drop(self.users.insert(to.clone(), user)),
                }
            }
        }
        let names = self.users.values_mut().map(|user| &mut user.1).chain(self.orders.values_mut());
        for name in names.flatten() {
            let into = groups.iter().find(|(_, sources)| sources.contains(name));
            name.clone_from(into.map_or(&name.clone(), |(to, _)| to));
        }
    }
}

fn context(storage: MemoryStorage, journal: &Arc<MemoryJournal>) -> Arc<Context<MemoryStorage>> {
    // Long ago, so that groups are dated by the clock.
    context_with(spec(), 8, storage, Arc::clone(journal), 1_000_000)
}

/// One session: merge, sweep, mentions; nothing where it was stopped.
fn session(
    context: &Arc<Context<MemoryStorage>>,
    plan: &Plan,
) -> Option<(MentionTally, Vec<Leftover>)> {
    let known = Known::new(context.journal.states().unwrap());
    let (_stop, stop) = watch::channel(false);
    let mut left = Vec::new();
    if !merges(context, plan, &known, &stop) {
        return None;
    }
    let swept = block_on(pipeline::sweep(context, plan, &known, &stop, |_| {})).ok()?;
    let mentioned =
        block_on(pipeline::mentions(context, plan, &known, &stop, |row| left.push(row.clone())));
    let mentioned = mentioned.ok()?;
    (swept.failed == 0 && mentioned.failed == 0).then_some((mentioned, left))
}

fn again(
    context: Arc<Context<MemoryStorage>>,
    journal: &Arc<MemoryJournal>,
) -> Arc<Context<MemoryStorage>> {
    self::context(Arc::into_inner(context).unwrap().into_storage().unwrap(), journal)
}

fn world_and_groups() -> impl Strategy<Value = (World, Groups)> {
    let account = || (1..=7_u8).prop_map(|n| format!("u{n}"));
    let name = || prop::option::of(account());
    let user = (prop::option::of(0..4_i32), name(), prop::option::of("[a-z]"));
    let users = prop::collection::btree_map(account(), user, 0..7);
    let key = ("[ab]", "[a-c]");
    let orders = prop::collection::btree_map(key, name(), 0..6);
    let order = Just((1..=7).map(|n| format!("u{n}")).collect::<Vec<_>>()).prop_shuffle();
    (users, orders, order, 1..4_usize, 1..3_usize).prop_map(
        |(users, orders, order, first, second)| {
            let groups = vec![
                (order[0].clone(), order[1..=first].to_vec()),
                (order[4].clone(), order[5..5 + second].to_vec()),
            ];
            (World { users, orders }, groups)
        },
    )
}

fn check_verified(context: &Arc<Context<MemoryStorage>>) {
    let folder = tempfile::tempdir().unwrap();
    let diff = super::verify::diff(&folder);
    let verified = verified(context, Options::default(), Path::new(&diff));
    let lines = std::fs::read_to_string(&diff).unwrap();
    assert_eq!(lines.lines().count(), 1, "{lines}");
    assert_eq!(verified.failed, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    /// Stopped at any request of the merge, the sweep or the pass over mentions, and again; then undone, stopped as well.
    #[test]
    fn whatever_stops_it_every_row_names_the_survivor_and_undo_gives_all_back(
        (world, groups) in world_and_groups(),
        stops in prop::collection::vec((0..640_usize, any::<bool>()), 0..4),
        undo_stops in prop::collection::vec((0..20_usize, any::<bool>()), 0..3),
        goes_on in prop::bool::weighted(0.7),
    ) {
        let stop = Stops::default();
        let storage = stop.storage(spec());
        load(&world, &storage);
        let plan = plan_of(&groups);
        let journal = Arc::<MemoryJournal>::default();
        let mut context = context(storage, &journal);
        for at in stops.into_iter().map(Some) {
            stop.set(at);
            drop(session(&context, &plan));
            context = again(context, &journal);
        }
        stop.set(None);
        if goes_on {
            let (_, left) = session(&context, &plan).unwrap();
            prop_assert_eq!(left, Vec::new());
            let mut expected = world.clone();
            expected.merge(&groups);
            prop_assert_eq!(dump(&context.storage), expected.clone());
            check_verified(&context);

            // Nothing is left to be done.
            context = again(context, &journal);
            let (mentioned, left) = session(&context, &plan).unwrap();
            prop_assert_eq!((mentioned.rows, mentioned.left, left.len()), (0, 0, 0));
            prop_assert_eq!(dump(&context.storage), expected);
        }
        for at in undo_stops.into_iter().map(Some).chain([None]) {
            stop.set(at);
            context = again(context, &journal);
            context = undo_all(context, false).0;
        }
        prop_assert_eq!(dump(&context.storage), world);
        let states = journal.states().unwrap();
        let is_undone = |(_, state): &(usize, State)| *state == State::Undone;
        prop_assert!(!goes_on || states.iter().all(is_undone), "{:?}", states);
    }
}

fn name(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// Rows of others that mention `old`, which goes into `new`.
fn merged() -> (Arc<Context<MemoryStorage>>, Arc<MemoryJournal>, Plan) {
    let mut world = World::default();
    for id in ["old", "one", "two"] {
        world.users.insert(id.to_owned(), (None, name("old"), name(id)));
    }
    world.orders.insert(("d".to_owned(), "1".to_owned()), name("old"));
    let (storage, journal) = (MemoryStorage::new(spec()), Arc::default());
    load(&world, &storage);
    (context(storage, &journal), journal, plan_of(&vec![("new".into(), vec!["old".into()])]))
}

fn set_manager(context: &Context<MemoryStorage>, id: &str, manager: Option<&str>, t: i64) {
    let change = Change::update(vec![bytes(id)], vec![(2, manager.map(bytes))]);
    context.storage.apply(USERS, t, &change);
}

fn manager(context: &Context<MemoryStorage>, id: &str) -> Option<Option<String>> {
    dump(&context.storage).users.get(id).map(|user| user.1.clone())
}

#[test]
fn what_is_written_meanwhile_wins_and_what_is_late_is_found_again() {
    let (context, journal, plan) = merged();
    let (mentioned, left) = session(&context, &plan).unwrap();
    // The row of `old` itself was mapped where it was copied.
    assert_eq!((mentioned.rows, left.len()), (3, 0));
    assert_eq!(manager(&context, "new"), Some(name("new")));
    assert_eq!(manager(&context, "old"), None);
    let kinds = journal.slices(0).unwrap().into_iter().map(|slice| slice.kind);
    assert_eq!(kinds.collect::<Vec<_>>(), [SliceKind::Merge, SliceKind::Mention]);

    set_manager(&context, "one", Some("else"), now_us());
    set_manager(&context, "two", Some("old"), now_us());
    context.storage.apply(
        ORDERS,
        now_us(),
        &Change::DeleteRow { key: vec![bytes("d"), bytes("1")] },
    );
    check_differences(&context, 0);
    let context = again(context, &journal);
    let (mentioned, left) = session(&context, &plan).unwrap();
    assert_eq!((mentioned.rows, left.len()), (1, 0));
    assert_eq!(manager(&context, "one"), Some(name("else")));
    assert_eq!(manager(&context, "two"), Some(name("new")));
    assert_eq!(dump(&context.storage).orders.len(), 0, "a row that was deleted stays so");

    // Undo leaves alone what names somebody else by now, and the row that is gone.
    let (context, undone, ..) = undo_all(again(context, &journal), false);
    assert_eq!((undone.undone, undone.disputed), (0, 1));
    assert_eq!(manager(&context, "one"), Some(name("else")));
    assert_eq!(manager(&context, "two"), Some(name("old")));
    assert_eq!(manager(&context, "old"), Some(name("old")));
    assert_eq!(dump(&context.storage).orders.len(), 0);
}

/// A row that comes late is mapped where it is moved, so that nobody has to change it there.
#[test]
fn what_a_late_row_mentions_is_mapped_by_the_sweep() {
    let (context, journal, plan) = merged();
    session(&context, &plan).unwrap();
    set_manager(&context, "old", Some("old"), now_us());
    let context = again(context, &journal);
    let (mentioned, left) = session(&context, &plan).unwrap();
    assert_eq!((mentioned.rows, left.len()), (0, 0));
    assert_eq!(manager(&context, "new"), Some(name("new")));
    assert_eq!(manager(&context, "old"), None);
    check_differences(&context, 0);
    let (context, undone, ..) = undo_all(again(context, &journal), false);
    assert_eq!((undone.undone, undone.disputed), (1, 0));
    assert_eq!(manager(&context, "old"), Some(name("old")));
    assert_eq!(manager(&context, "new"), None);
}

/// How many lines verify writes that are differences.
fn check_differences(context: &Arc<Context<MemoryStorage>>, expected: usize) {
    let folder = tempfile::tempdir().unwrap();
    let diff = super::verify::diff(&folder);
    drop(verified(context, Options::default(), &diff));
    let lines = std::fs::read_to_string(&diff).unwrap();
    let differences = lines.lines().skip(1).filter(|line| !line.starts_with("changed-since"));
    assert_eq!(differences.count(), expected, "{lines}");
}

#[test]
fn what_is_dated_ahead_is_left_and_listed() {
    let (context, journal, plan) = merged();
    let ahead = now_us() + 3_600_000_000;
    set_manager(&context, "one", Some("old"), ahead);
    let (mentioned, left) = session(&context, &plan).unwrap();
    assert_eq!((mentioned.rows, mentioned.left), (2, 1));
    let left = &left[0];
    assert_eq!((&*left.account.text(), &*left.survivor.text()), ("old", "new"));
    assert_eq!(left.key, [bytes("one")]);
    assert!(left.why.contains("dated ahead"), "{}", left.why);
    assert_eq!(manager(&context, "one"), Some(name("old")));
    drop(journal);
}

/// Killed behind the intent: what happened to the rows before the resume stands.
#[test]
fn a_replay_brings_back_no_row_and_rolls_back_no_value() {
    let stop = Stops::default();
    let mut world = World::default();
    for id in ["one", "two", "three"] {
        world.users.insert(id.to_owned(), (None, name("old"), None));
    }
    let groups = vec![("new".to_owned(), vec!["old".to_owned()])];
    let plan = plan_of(&groups);
    // Until the intent of the mentions is there, and nothing of it is written.
    for at in 480.. {
        assert!(at < 2_000, "the intent is never met");
        let (storage, journal) = (stop.storage(spec()), Arc::<MemoryJournal>::default());
        load(&world, &storage);
        stop.set(Some((at, false)));
        let context = context(storage, &journal);
        let ended = session(&context, &plan);
        stop.set(None);
        let slices = journal.slices(0).unwrap();
        let is_intended = slices.iter().any(|slice| slice.kind == SliceKind::Mention);
        if !is_intended || dump(&context.storage) != world {
            assert!(ended.is_none(), "it was never stopped behind its intent");
            continue;
        }
        set_manager(&context, "one", Some("else"), now_us());
        context.storage.apply(USERS, now_us(), &Change::DeleteRow { key: vec![bytes("two")] });
        let context = again(context, &journal);
        let (mentioned, left) = session(&context, &plan).unwrap();
        assert_eq!((mentioned.rows, left.len()), (0, 0), "it was replayed, and nothing is late");
        assert_eq!(manager(&context, "one"), Some(name("else")));
        assert_eq!(manager(&context, "two"), None);
        assert_eq!(manager(&context, "three"), Some(name("new")));
        return;
    }
}

#[track_caller]
fn check_refused(from: &str, to: &str, named: &str) {
    assert!(SPEC.contains(from));
    let message = check(&SPEC.replacen(from, to, 1)).unwrap_err();
    assert!(message.contains(named), "{message}");
}

#[test]
fn what_cannot_be_a_mention_is_refused_by_name() {
    check_refused("['managedby']", "['manager']", "mentions names manager, but there is no such");
    check_refused("['managedby']", "['id']", "column id is the account itself");
    check_refused("['managedby']", "['managedby', 'managedby']", "managedby is named twice");
    check_refused("['managedby']", "[]", "mentions is a list, but it lists the columns");
    check_refused("['managedby']", "'managedby'", "mentions = [\"managedby\"]");
    check_refused("{ rank = 'max' }", "{ managedby = 'max' }", "and has a policy");
    check_refused(
        "{ rank = 'max' }",
        "{ keep = 'higher', by = ['rank'] }",
        "no rule for whole rows",
    );
    check_refused("['seller']", "['n']", "n, which is part of the primary key");
    check_refused("['seller']\n", "['seller']\nfind = 'partition'\n", "no account is named");
    for (of, named) in [
        ("set<text>", "of type set<text>: a mention is the id of one account"),
        ("frozen<address>", "of type frozen<address>: a mention is"),
        ("list<text>", "of type list<text>: a mention is"),
        ("int", "its account column is of type int, but that of users is of type text"),
    ] {
        let mut schema = schema();
        let columns = &mut schema.tables.get_mut("orders").unwrap().columns;
        columns[2].cql_type = tributary::model::CqlType::parse(of);
        let message = RawSpec::parse(SPEC, "the test").unwrap().check(&schema).unwrap_err();
        assert!(message.to_string().contains(named), "{message}");
    }
    let mut schema = schema();
    let columns = &mut schema.tables.get_mut("orders").unwrap().columns;
    columns[2].kind = tributary::spec::schema::ColumnKind::Static;
    let message = RawSpec::parse(SPEC, "the test").unwrap().check(&schema).unwrap_err();
    assert!(message.to_string().contains("seller, which is static"), "{message}");
}
