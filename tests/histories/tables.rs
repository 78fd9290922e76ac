//! The tables of the histories, one found by partition and one by clustering, and what a person sees in them.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use tributary::model::{CqlType, Row, TableIndex, TimestampUs};
use tributary::spec::schema::{ColumnKind, ColumnSchema, Direction, Schema, TableSchema};
use tributary::spec::{RawSpec, Spec};
use tributary::storage::memory::MemoryStorage;

pub const PROGRESS: TableIndex = 0;
pub const SEATS: TableIndex = 1;

pub const ACCOUNTS: [&str; 4] = ["a", "b", "c", "d"];

const SPEC: &str = r#"
name = "histories"

[[table]]
name = "progress"
account = "userid"
find = "partition"
on_conflict = { status = "max", views = "sum", zone = "keep-source", zoom = "latest" }

[[table]]
name = "seats"
account = "userid"
find = { partition = { room = { value = "r" } } }
"#;

thread_local! {
    static NOW: Cell<TimestampUs> = const { Cell::new(0) };
}

/// The time in a history: it passes when something happens.
pub fn now() -> TimestampUs {
    NOW.get()
}

/// How far a clock may be ahead.
pub const AHEAD_US: TimestampUs = 4_000_000;

/// How long tombstones are kept.
pub const KEPT_US: TimestampUs = 3_600_000_000;

/// The time by a clock that is ahead.
pub fn ahead() -> TimestampUs {
    now() + AHEAD_US
}

/// Time passes.
pub fn pass(us: TimestampUs) {
    NOW.set(NOW.get() + us);
}

/// A history begins.
pub fn begin() {
    NOW.set(1_000_000_000_000_000);
}

fn schema() -> Schema {
    let column = |name: &str, cql_type: &str, kind| ColumnSchema {
        name: name.into(),
        cql_type: CqlType::parse(cql_type),
        kind,
    };
    let key = ColumnKind::PartitionKey(0);
    let clustering = ColumnKind::Clustering(0, Direction::Ascending);
    let note = || column("note", "text", ColumnKind::Regular);
    // It is written with the row, and never again.
    let begun = || column("begun", "text", ColumnKind::Regular);
    let progress = vec![
        column("userid", "text", key),
        column("k", "text", clustering),
        column("status", "int", ColumnKind::Regular),
        column("views", "varint", ColumnKind::Regular),
        column("zone", "text", ColumnKind::Regular),
        column("zoom", "text", ColumnKind::Regular),
        note(),
        begun(),
    ];
    let account = column("userid", "text", clustering);
    let seats = vec![column("room", "text", key), account, note(), begun()];
    let mut schema = Schema { keyspace: "k".into(), ..Schema::default() };
    for (name, columns) in [("progress", progress), ("seats", seats)] {
        schema.tables.insert(name.into(), TableSchema { columns, ..TableSchema::default() });
    }
    schema
}

pub fn spec() -> Arc<Spec> {
    static CHECKED: LazyLock<Arc<Spec>> = LazyLock::new(|| {
        let raw = RawSpec::parse(SPEC, "histories.toml").expect("it parses");
        Arc::new(raw.check(&schema()).expect("it fits"))
    });
    Arc::clone(&CHECKED)
}

/// A key of a table, without its account.
pub type Place = (TableIndex, &'static str);

/// What a row holds: a status, a count, a zone and a zoom, where its table has them, and a note.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    pub status: Option<i32>,
    /// What was counted, a digit for each time ([`once`]).
    pub views: Option<u128>,
    /// That of the source counts, also where it has none.
    pub zone: Option<String>,
    /// That of the later write.
    pub zoom: Option<String>,
    pub note: Option<String>,
}

/// All rows that a read sees, by account and place.
pub type Seen = BTreeMap<(String, Place), Values>;

/// The number to which a place is counted up by the n-th write: in the total of several of these, each can be told.
pub fn once(write: i32) -> u128 {
    1 << (3 * write)
}

/// How often each write is counted in a total.
pub fn times(views: u128) -> impl Iterator<Item = (i32, u128)> {
    let digits = (0..42).map(move |write| (write, views >> (3 * write) & 7));
    digits.filter(|(_, times)| *times > 0)
}

fn number(bytes: &Bytes) -> u128 {
    bytes.iter().fold(0, |number, byte| number << 8 | u128::from(*byte))
}

pub fn key_of((table, key): Place, account: &str) -> Vec<Bytes> {
    let text = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    if table == PROGRESS { vec![text(account), text(key)] } else { vec![text("r"), text(account)] }
}

/// What is written of a row; all of it, where it is new.
pub fn row((table, key): Place, account: &str, values: &Values, is_new: bool) -> Row {
    let text = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let mut cells: Vec<_> = key_of((table, key), account).into_iter().map(Some).collect();
    if table == PROGRESS {
        cells.push(values.status.map(|status| Bytes::copy_from_slice(&status.to_be_bytes())));
        // It is positive: a byte of zeros before it keeps its sign.
        cells.push(values.views.map(|views| [&[0], &views.to_be_bytes()[..]].concat().into()));
        cells.push(values.zone.as_deref().map(text));
        cells.push(values.zoom.as_deref().map(text));
    }
    cells.push(values.note.as_deref().map(text));
    cells.push(is_new.then(|| Bytes::from_static(b"begun")));
    Row::new(cells)
}

/// Gives each account so many rows that nobody asks about, before all others.
pub fn fill(storage: &MemoryStorage, rows: usize) {
    for account in ACCOUNTS {
        for number in 0..rows {
            let text = |text: &str| Some(Bytes::copy_from_slice(text.as_bytes()));
            let cells = vec![
                text(account),
                text(&format!("f{number:04}")),
                None,
                None,
                None,
                None,
                None,
                text("begun"),
            ];
            storage.put(PROGRESS, Row::new(cells), now());
        }
    }
    pass(1_000);
}

/// Everything that a read sees now, but for [such](fill) rows.
pub fn seen(storage: &MemoryStorage) -> Seen {
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let mut seen = Seen::new();
    for row in storage.dump(PROGRESS) {
        let [user, key, status, views, zone, zoom, note, _] = &row.cells[..] else {
            unreachable!()
        };
        let key = match &*text(key.as_ref().unwrap()) {
            "k1" => "k1",
            "k2" => "k2",
            _ => continue,
        };
        let status = status.as_ref().map(|s| i32::from_be_bytes(s[..].try_into().unwrap()));
        let views = views.as_ref().map(number);
        let [zone, zoom, note] = [zone, zoom, note].map(|cell| cell.as_ref().map(text));
        let values = Values { status, views, zone, zoom, note };
        seen.insert((text(user.as_ref().unwrap()), (PROGRESS, key)), values);
    }
    for row in storage.dump(SEATS) {
        let [_, user, note, _] = &row.cells[..] else { unreachable!() };
        let values = Values { note: note.as_ref().map(text), ..Values::default() };
        seen.insert((text(user.as_ref().unwrap()), (SEATS, "r")), values);
    }
    seen
}
