//! The seam's two implementations side by side: what a fake in memory answers is what Cassandra answers,
//! so that tests on the fake say something about the real thing.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{StreamExt, stream};
use tributary::cluster::{Cluster, ClusterSettings, Store};
use tributary::model::{
    AccountId, Batch, Change, ColumnIndex, CqlType, Mutation, Row, Scope, TableIndex, TimestampUs,
    now_us,
};
use tributary::spec::{RawSpec, Spec};
use tributary::storage::memory::MemoryStorage;
use tributary::storage::{Among, Fault, Reader, TimedRow, Width, Writer};

use crate::data::Random;
use crate::world::{World, runtime};

const CONTENT: TableIndex = 0;
const ENROLMENTS: TableIndex = 1;

/// The columns that scripts write to, so that writes meet: one with a policy, and one of each kind.
const WRITTEN: [&str; 9] = [
    "status",
    "active",
    "grade",
    "datetime",
    "contentstatus",
    "tags",
    "frozen",
    "Per Day",
    "marks",
];

/// A world with every kind of column in it.
fn world(name: &str) -> World {
    let world = World::new(name);
    world.cql("ALTER TABLE user_courses ADD tags set<int>");
    world.cql("ALTER TABLE user_courses ADD marks list<int>");
    world.cql("ALTER TABLE user_courses ADD frozen frozen<map<text, int>>");
    world.cql("ALTER TABLE content_consumption ADD \"Per Day\" map<int, text>");
    world
}

async fn store(world: &World) -> (Store, Arc<Spec>) {
    let settings = ClusterSettings {
        hosts: vec![world.addresses.hosts.clone()],
        keyspace: world.keyspace.clone(),
        ..ClusterSettings::default()
    };
    let cluster = Cluster::connect(settings).await.expect("the cluster is there");
    let raw = RawSpec::course_batch().expect("the preset parses");
    let spec = Arc::new(raw.check(cluster.schema()).expect("the preset fits"));
    let store = cluster.store(Arc::clone(&spec)).await.expect("every statement is accepted");
    (store, spec)
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Random changes of a few rows that no other script touches.
struct Script<'a> {
    spec: &'a Spec,
    random: Random,
    accounts: Vec<AccountId>,
    batch: Bytes,
}

impl<'a> Script<'a> {
    /// A script of this number, on accounts of its own.
    fn new(spec: &'a Spec, number: u64) -> Self {
        let accounts = ["a", "b"].map(|name| AccountId::new(format!("{name}{number}")));
        let batch = bytes(&format!("batch{number}"));
        Self { spec, random: Random::new(number), accounts: accounts.into(), batch }
    }

    /// One to three changes of one partition, half of the threes at one time.
    fn batch(&mut self) -> Batch {
        let table = *self.random.one_of(&[CONTENT, ENROLMENTS]);
        let account = self.random.one_of(&self.accounts).clone();
        let count = if self.random.chance(70) { 1 } else { 3 };
        let (one_time, mut t) = (self.random.chance(50), self.time());
        let mutations = (0..count).map(|_| {
            t = if one_time { t } else { self.time() };
            Mutation { table, t, change: self.change(table, &account) }
        });
        Batch { table, mutations: mutations.collect() }
    }

    fn time(&mut self) -> TimestampUs {
        1 + self.random.below(5) as i64
    }

    fn key(&mut self, table: TableIndex, account: &AccountId) -> Vec<Bytes> {
        let content = self.random.one_of(&["c1", "c2"]);
        match table {
            CONTENT => vec![account.cell().clone(), bytes(content), self.batch.clone(), bytes("")],
            _ => vec![self.batch.clone(), account.cell().clone()],
        }
    }

    fn change(&mut self, table: TableIndex, account: &AccountId) -> Change {
        let shape = &self.spec.tables[table];
        let key = self.key(table, account);
        let written = |column: &ColumnIndex| WRITTEN.contains(&&*shape.columns[*column].name);
        let regular: Vec<_> = (shape.key_len..shape.columns.len()).filter(written).collect();
        // Elements of lists are not written one by one.
        let multi = |column: &ColumnIndex| shape.columns[*column].cql_type.collection().is_some();
        let multi_cell: Vec<ColumnIndex> = regular.iter().copied().filter(multi).collect();
        match self.random.below(100) {
            0..25 => {
                let percent = *self.random.one_of(&[0, 20, 60]);
                let mut cells: Vec<_> = key.into_iter().map(Some).collect();
                cells.resize(shape.columns.len(), None);
                for column in regular {
                    let value = self.value(&shape.columns[column].cql_type);
                    cells[column] = self.random.chance(percent).then_some(value);
                }
                Change::Insert { row: Row::new(cells) }
            }
            // The columns of policies come first; a merge writes values to those and to no others.
            25..35 => {
                let column = regular[0];
                let value = self.value(&shape.columns[column].cql_type);
                Change::update(key, vec![(column, Some(value))])
            }
            35..60 => {
                let mut set = BTreeMap::new();
                for _ in 0..=self.random.below(3) {
                    let of = if self.random.chance(40) { &multi_cell } else { &regular };
                    let column = *self.random.one_of(of);
                    let value = self.value(&shape.columns[column].cql_type);
                    set.insert(column, self.random.chance(55).then_some(value));
                }
                Change::update(key, set.into_iter().collect())
            }
            60..75 => {
                let column = *self.random.one_of(&multi_cell);
                let elements = self.value(&shape.columns[column].cql_type);
                Change::AddElements { key, column, elements }
            }
            75..88 => {
                let column = *self.random.one_of(&multi_cell);
                let element = shape.columns[column].cql_type.element().expect("it has elements");
                let keys = self.collection(element, None);
                Change::RemoveElements { key, column, keys }
            }
            88..92 => Change::ExpireRow { key },
            92..97 if table == CONTENT && self.random.chance(40) => {
                Change::DeletePartition { key: key[..1].to_vec() }
            }
            _ => Change::DeleteRow { key },
        }
    }

    /// One of few values, so that equal ones meet.
    fn value(&mut self, cql_type: &CqlType) -> Bytes {
        match cql_type {
            CqlType::Text => {
                let text = self.random.one_of(&["", "a", "\u{e9}"]);
                bytes(text)
            }
            CqlType::Int => {
                Bytes::copy_from_slice(&(self.random.below(4) as i32 - 2).to_be_bytes())
            }
            CqlType::Boolean => Bytes::copy_from_slice(&[self.random.below(2) as u8]),
            CqlType::Timestamp => {
                Bytes::copy_from_slice(&(self.random.below(3) as i64).to_be_bytes())
            }
            CqlType::Map(key, value) => self.collection(key, Some(value)),
            CqlType::Set(of) => self.collection(of, None),
            CqlType::List(of) => self.collection(of, None),
            CqlType::Frozen(of) => self.value(of),
            other => panic!("no value of type {other}"),
        }
    }

    fn collection(&mut self, key: &CqlType, value: Option<&CqlType>) -> Bytes {
        let mut elements = BTreeMap::new();
        for _ in 0..self.random.below(4) {
            elements.insert(self.value(key), value.map(|value| self.value(value)));
        }
        let mut collection = (elements.len() as u32).to_be_bytes().to_vec();
        for part in elements.iter().flat_map(|(key, value)| [Some(key), value.as_ref()]).flatten() {
            collection.extend((part.len() as u32).to_be_bytes());
            collection.extend(part);
        }
        collection.into()
    }
}

/// Everything that can be read of a script's rows, by the request that read it. Where rows have expired, a row of which
/// nothing is left that was asked for may be in Cassandra's answer or not: it skips other cells that are older than a
/// row's liveness, but only those that lie in one file or memtable with it.
async fn seen<R: Reader>(
    store: &R,
    script: &Script<'_>,
    have_expired: bool,
) -> BTreeMap<String, String> {
    let mut seen = BTreeMap::new();
    let mut note = |request: String, answer: &dyn Debug| {
        seen.insert(request, format!("{answer:?}"));
    };
    let Script { accounts, batch, .. } = script;
    let (own, in_batch) = (Scope::default(), Scope::from(batch.clone()));
    let mut keys = Vec::new();
    for account in accounts {
        for width in [Width::Full, Width::Slim] {
            let (mut rows, mut after) = (Vec::new(), None);
            loop {
                let page =
                    store.page(CONTENT, (&own, account), width, 1, after).await.expect("a page");
                rows.extend(page.rows);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            if have_expired && width == Width::Slim {
                let key_len = script.spec.tables[CONTENT].key_len;
                rows.retain(|row| row.cells[key_len..].iter().any(Option::is_some));
            }
            note(format!("page {account} {width:?}"), &rows);
        }
        let (mut rows, mut after) = (Vec::<TimedRow>::new(), None);
        loop {
            let page = store.timed_page(CONTENT, (&own, account), 1, after).await.expect("a page");
            rows.extend(page.rows);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        note(format!("timed_page {account}"), &rows);
        for content in ["c1", "c2"] {
            let parts = [account.cell().clone(), bytes(content), batch.clone(), bytes("")];
            keys.push((CONTENT, parts.to_vec()));
        }
        keys.push((ENROLMENTS, vec![batch.clone(), account.cell().clone()]));
    }
    for (table, key) in keys {
        note(format!("timed_row {key:?}"), &store.timed_row(table, &key).await.expect("a row"));
    }
    let stranger = AccountId::new("stranger");
    let asked = [&accounts[..], &[stranger]].concat();
    let mut rows = store.rows_of(ENROLMENTS, &in_batch, &asked).await.expect("rows");
    rows.sort_by(|a, b| a.cells[1].cmp(&b.cells[1]));
    note("rows_of".into(), &rows);
    let mut rows = store.timed_rows_of(ENROLMENTS, &in_batch, &asked).await.expect("rows");
    rows.sort_by(|a, b| a.row.cells[1].cmp(&b.row.cells[1]));
    note("timed_rows_of".into(), &rows);
    for (table, scope) in [(CONTENT, &own), (ENROLMENTS, &in_batch)] {
        let owners = store
            .owners(table, Among { scope, accounts: &asked, node: None })
            .await
            .expect("accounts");
        note(format!("owners {table}"), &owners);
    }
    seen
}

/// Scripts of changes, with write times that often meet, each read back after every batch.
#[test]
fn the_fake_is_like_cassandra() {
    const SCRIPTS: u64 = 120;
    const BATCHES: usize = 8;
    let world = world("seam");
    let (store, spec) = runtime().block_on(store(&world));
    let fake = MemoryStorage::new(Arc::clone(&spec));
    let play = async |number| {
        let mut script = Script::new(&spec, number);
        let (mut done, mut expires) = (Vec::new(), false);
        for _ in 0..BATCHES {
            let batch = script.batch();
            fake.write(&[Arc::new(batch.clone())], now_us())
                .await
                .expect("the fake takes every batch");
            store
                .write(&[Arc::new(batch.clone())], now_us())
                .await
                .unwrap_or_else(|error| panic!("{batch:?}: {error}"));
            expires |= batch.mutations.iter().any(|m| matches!(m.change, Change::ExpireRow { .. }));
            done.push(batch);
            let fakes = seen(&fake, &script, expires).await;
            // What expires does so in Cassandra within two seconds, in the fake at once.
            let deadline = Instant::now() + Duration::from_secs(if expires { 10 } else { 0 });
            let mut expected = seen(&store, &script, expires).await;
            while expected != fakes && Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(100)).await;
                expected = seen(&store, &script, expires).await;
            }
            if expected != fakes {
                let changes = done.iter().flat_map(|batch| &batch.mutations);
                let changes: Vec<_> = changes.map(|change| format!("{change:?}")).collect();
                let differ =
                    expected.iter().filter(|(request, answer)| fakes[*request] != **answer);
                let differ = differ.map(|(request, answer)| {
                    format!("{request}\n  Cassandra {answer}\n  the fake  {}", fakes[request])
                });
                let differ = differ.collect::<Vec<_>>().join("\n");
                let changes = changes.join("\n");
                panic!("after script {number}:\n{changes}\nthese differ:\n{differ}");
            }
        }
    };
    runtime().block_on(stream::iter(0..SCRIPTS).for_each_concurrent(16, play));
    let rows = fake.dump(CONTENT).len() + fake.dump(ENROLMENTS).len();
    assert!(rows > SCRIPTS as usize, "only {rows} rows are left to compare");
    let (fakes, keys) = runtime().block_on(async { (keys(&fake).await, keys(&store).await) });
    assert!(keys.len() > 20, "only {} keys", keys.len());
    assert_eq!(fakes, keys);
}

/// Every key of the enrolments, as a scan gives them, in small pages.
async fn keys(store: &impl Reader) -> BTreeMap<(Scope, Bytes), usize> {
    let mut keys = BTreeMap::new();
    for range in store.token_ranges(20).await.expect("there is a ring") {
        let mut next = None;
        loop {
            let page = store.scan(ENROLMENTS, range, 3, next).await.expect("a page");
            assert!(page.keys.len() <= 3);
            for key in page.keys {
                *keys.entry(key).or_default() += 1;
            }
            next = page.next;
            if next.is_none() {
                break;
            }
        }
    }
    assert!(keys.values().all(|times| *times == 1), "{keys:?}");
    keys
}

/// Partitions that were emptied in different ways are told from those that hold a row, however many
/// are asked for at once.
#[test]
fn emptied_partitions_are_told_from_occupied_ones() {
    const ACCOUNTS: u64 = 200;
    const ROWS: usize = 30;
    let world = World::new("occupied");
    let (store, spec) = runtime().block_on(store(&world));
    let accounts: Vec<AccountId> =
        (0..ACCOUNTS).map(|number| AccountId::new(format!("account-{number}"))).collect();
    let dated = |t, change| Mutation { table: CONTENT, t, change };
    let fill = async |(number, account): (usize, &AccountId)| {
        let key = |row: usize| {
            let content = bytes(&format!("c{row:03}"));
            vec![account.cell().clone(), content, bytes("b"), bytes("k")]
        };
        let mut mutations: Vec<Mutation> = (0..ROWS)
            .map(|row| {
                let mut cells: Vec<_> = key(row).into_iter().map(Some).collect();
                cells.resize(spec.tables[CONTENT].columns.len(), None);
                dated(1, Change::Insert { row: Row::new(cells) })
            })
            .collect();
        match number % 4 {
            // All of it, row by row, all but the last row, or nothing is deleted.
            0 => mutations
                .push(dated(2, Change::DeletePartition { key: vec![account.cell().clone()] })),
            1 => {
                mutations
                    .extend((0..ROWS).map(|row| dated(2, Change::DeleteRow { key: key(row) })));
            }
            2 => mutations
                .extend((1..ROWS).map(|row| dated(2, Change::DeleteRow { key: key(row - 1) }))),
            _ => {}
        }
        let batch = Batch { table: CONTENT, mutations };
        store.write(&[Arc::new(batch.clone())], now_us()).await.expect("the batch is written");
    };
    let check = async |accounts: &[AccountId]| {
        let occupied = store
            .owners(CONTENT, Among { scope: &Scope::default(), accounts, node: None })
            .await
            .expect("accounts");
        let expected = accounts.iter().filter(|account| {
            let number: usize = account.text()["account-".len()..].parse().expect("a number");
            number % 4 >= 2
        });
        assert_eq!(occupied, expected.cloned().collect::<Vec<_>>());
    };
    runtime().block_on(async {
        stream::iter(accounts.iter().enumerate()).for_each_concurrent(16, fill).await;
        check(&accounts).await;
        for some in accounts.chunks(32) {
            check(some).await;
        }
        check(&[]).await;
    });
}

/// A row whose own liveness has expired lives by its cells alone, and Cassandra passes over it where some
/// other columns are asked for: who owns a row must not be asked like that.
#[test]
fn a_row_that_lives_by_older_cells_is_found() {
    let world = World::new("expired");
    let (store, spec) = runtime().block_on(store(&world));
    let account = AccountId::new("a");
    let content = ["a", "c", "b", "k"].map(bytes).to_vec();
    let enrolment = ["b", "a"].map(bytes).to_vec();
    runtime().block_on(async {
        for (table, key) in [(CONTENT, content), (ENROLMENTS, enrolment)] {
            let column = spec.tables[table].position("grade").expect("there is a grade");
            let set = vec![(column, Some(bytes("A")))];
            let update = Mutation { table, t: 2, change: Change::update(key.clone(), set) };
            let expire = Mutation { table, t: 3, change: Change::ExpireRow { key } };
            let batch = Batch { table, mutations: vec![update, expire] };
            store.write(&[Arc::new(batch.clone())], now_us()).await.expect("the batch is written");
        }
        // The survivor's columns do not include the grade: until the expiry, the row is seen without it.
        let deadline = Instant::now() + Duration::from_secs(10);
        let own = Scope::default();
        let slim = || store.page(CONTENT, (&own, &account), Width::Slim, 1, None);
        while !slim().await.expect("a page").rows.is_empty() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let accounts = [account.clone()];
        assert_eq!(
            store
                .owners(CONTENT, Among { scope: &own, accounts: &accounts, node: None })
                .await
                .expect("accounts"),
            accounts
        );
        let present = store
            .owners(
                ENROLMENTS,
                Among { scope: &bytes("b").into(), accounts: &accounts, node: None },
            )
            .await;
        assert_eq!(present.expect("accounts"), accounts);
        let page = store.timed_page(CONTENT, (&own, &account), 9, None).await.expect("a page");
        assert_eq!(page.rows.len(), 1);
    });
}

/// What is in memory alone is not counted; on disk, the smallest of partitions counts as a mebibyte, which is usual.
#[test]
fn how_large_partitions_are_is_told() {
    if crate::services::older().is_some() {
        return;
    }
    let world = world("seam_largest");
    let (store, _) = runtime().block_on(store(&world));
    let largest = || runtime().block_on(store.largest_partition(CONTENT));
    assert_eq!(largest(), Some(0));
    world.cql(
        "INSERT INTO content_consumption (userid, contentid, batchid, courseid) VALUES ('a', 'c', 'b', 'k')",
    );
    world.cql("ALTER TABLE content_consumption WITH memtable_flush_period_in_ms = 100");
    crate::stops::wait_until("it is on disk", || largest() != Some(0));
    assert_eq!(largest(), Some(1 << 20));
}

/// A server that does not know a read with write times says so before anything is done, and a plain merge
/// does not need it.
#[test]
fn refused_reads_with_write_times_are_told() {
    let world = world("untimed");
    let (store, _) = runtime().block_on(store(&world));
    world.cql("ALTER TABLE content_consumption DROP \"Per Day\"");
    let error = runtime().block_on(store.as_ref().prepare_timed()).expect_err("a column is gone");
    let error = error.to_string();
    assert!(
        error.contains("WRITETIME(\"Per Day\")") && error.contains("Undefined column"),
        "{error}"
    );
    let account = AccountId::new("a");
    let own = Scope::default();
    let error = runtime().block_on(store.timed_page(CONTENT, (&own, &account), 1, None));
    let error = error.expect_err("it is still gone");
    assert_eq!(error.kind, Fault::Fatal);
    assert!(error.message.contains("WRITETIME(\"Per Day\")"), "{error}");
}

/// A partition of a table in which accounts share partitions cannot be deleted, nor can elements of a
/// column that has none.
#[test]
fn changes_that_no_table_allows_are_refused() {
    let world = World::new("not_allowed");
    let (store, spec) = runtime().block_on(store(&world));
    assert!(!spec.tables[ENROLMENTS].owns_partitions());
    let key = vec![bytes("b"), bytes("a")];
    for change in [
        Change::DeletePartition { key: vec![bytes("b")] },
        Change::AddElements { key: key.clone(), column: 2, elements: bytes("") },
    ] {
        let allowed =
            Mutation { table: ENROLMENTS, t: 2, change: Change::DeleteRow { key: key.clone() } };
        let refused = Mutation { table: ENROLMENTS, t: 2, change };
        let batch = Batch { table: ENROLMENTS, mutations: vec![allowed, refused] };
        let error = runtime()
            .block_on(store.write(&[Arc::new(batch.clone())], now_us()))
            .expect_err("it is refused");
        assert_eq!(error.kind, Fault::Permanent, "{error}");
    }
}
