//! A specification with columns of every kind, and intents.

use crate::model::{AccountId, Counts, Pair, TableTally, Tally};
use crate::spec::schema::{Schema, TableSchema};
use crate::spec::{RawSpec, Spec};

use super::{Intent, SliceKind, State};

const SPEC: &str = r#"
    name = "every-kind"
    [[table]]
    name = "things"
    account = "owner"
    find = "partition"
    on_conflict = { rank = "max", seen = "min" }
    [[table]]
    name = "places"
    account = "owner"
    find = { partitions_from = "things.place" }
    on_conflict = "keep-target"
    [[table]]
    name = "Odd \"rooms\""
    account = "owner"
    find = { partitions_from = "things.room" }
    on_conflict = "keep-target"
    [event]
    table = "Odd \"rooms\""
    key = "${room}_${account}"
    [event.columns]
    title = { else_min = "things.kind" }
    note = {}
    [event.value]
    title = "${title}"
"#;

/// Key length, and columns with their types.
type Shape = (&'static str, usize, &'static [(&'static str, &'static str)]);

const TABLES: [Shape; 3] = [
    (
        "things",
        3,
        &[
            ("owner", "text"),
            ("place", "int"),
            ("room", "text"),
            ("rank", "int"),
            ("seen", "timestamp"),
            ("kind", "text"),
            ("name", "varchar"),
            ("code", "ascii"),
            ("tiny", "tinyint"),
            ("small", "smallint"),
            ("big", "bigint"),
            ("flag", "boolean"),
            ("ratio", "double"),
            ("raw", "blob"),
            ("tags", "map<text, int>"),
            ("Odd \"na\\me\"", "text"),
        ],
    ),
    ("places", 2, &[("place", "int"), ("owner", "text"), ("beds", "smallint")]),
    (
        "Odd \"rooms\"",
        2,
        &[
            ("room", "text"),
            ("owner", "text"),
            ("title", "text"),
            ("note", "text"),
            ("at", "timestamp"),
            ("beds", "int"),
            ("tags", "map<text, int>"),
        ],
    ),
];

pub(super) fn spec() -> Spec {
    altered(|_| {})
}

/// The same, of tables that somebody has altered.
pub(super) fn altered(alter: impl FnOnce(&mut Schema)) -> Spec {
    let mut schema = Schema { keyspace: "k".into(), ..Schema::default() };
    for (name, key, columns) in TABLES {
        schema.tables.insert(name.into(), TableSchema::keyed(key, columns));
    }
    alter(&mut schema);
    RawSpec::parse(SPEC, "a test").unwrap().check(&schema).unwrap()
}

/// A merge's only slice, with a body that is shorter when compressed.
pub(super) fn intent(group: usize) -> Intent {
    let account = |name: &str| AccountId::new(format!("{name} {group}"));
    let pair =
        |from: &str, into: &str, line| Pair { from: account(from), into: account(into), line };
    Intent {
        group,
        state: State::Intended,
        survivor: account("to"),
        pairs: vec![pair("near", "to", 2), pair("\"far,\" \u{1}\\é", "near", u64::MAX)],
        t: 1_000 + group as i64,
        kind: SliceKind::Merge,
        completes: true,
        tally: tally(group as u64),
        scopes: format!("scopes {group}").into_bytes(),
        body: format!("body {group} {}", "1,1,".repeat(200)).into_bytes(),
    }
}

/// Counts that all differ.
pub(super) fn tally(first: u64) -> Tally {
    let mut counts = first..;
    let tables = (0..2).map(|_| TableTally::of(counts.by_ref())).collect();
    Tally { tables, ..Tally::of(counts) }
}
