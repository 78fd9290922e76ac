//! A pair of ordinary accounts and what its merge leads to, for the benches that work on such.

use std::sync::Arc;

use bytes::Bytes;
use tributary::journal::memory::NoJournal;
use tributary::journal::{Codec, Intent, SliceKind, State};
use tributary::merge::{Announced, Completion, Entry, PartitionDelete, Set, Slice, Write};
use tributary::model::{AccountId, Cell, CqlType, Pair, Row, Scope, TableIndex, Tally};
use tributary::spec::Spec;

#[allow(unreachable_pub)]
#[path = "../../tests/merge/preset.rs"]
mod preset;

/// What a pair of ordinary accounts leads to: ten contents in two batches, three of them known to the
/// survivor as well, and two enrolments.
pub(crate) struct Example {
    pub(crate) spec: Arc<Spec>,
    pub(crate) codec: Codec,
    random: fastrand::Rng,
}

impl Example {
    pub(crate) fn new() -> Self {
        let spec = preset::spec();
        let codec = Codec::open(&spec, &NoJournal).expect("it keeps everything");
        Self { spec, codec, random: fastrand::Rng::with_seed(1) }
    }

    /// What is journaled of a pair, and the slice that is in it.
    pub(crate) fn intent(&mut self) -> (Intent, Slice) {
        let (from, into) = (self.uuid(), self.uuid());
        let first = self.random.u64(..1_000);
        let batch = |n: u64| format!("01{:012}", 30_929_928_739 + (first + n) % 1_000);
        let course = |n: u64| format!("do_{:09}", 310_000_000 + (first + n) % 1_000 / 4);
        let mut slice = Slice::default();
        for n in 0..10 {
            let content = format!("{}_{}", course(n % 2), n / 2);
            let key = |user: &str| [user, &content, &batch(n % 2), &course(n % 2)].map(text);
            let target = (n < 3).then(|| self.row(0, &key(&into), true));
            let write = match &target {
                Some(_) if n == 0 => {
                    Write::Update { set: vec![Set::to(4, int(2).unwrap_or_default())] }
                }
                Some(_) => Write::Nothing,
                None => Write::Copy { set: Vec::new() },
            };
            let sources = vec![(0, self.row(0, &key(&from), false))];
            slice.entries.push(Entry { target, sources, write, ..Entry::new(0) });
        }
        for n in 0..2 {
            let key = [text(&batch(n)), text(&from)];
            let sources = vec![(0, self.row(1, &key, false))];
            let write = Write::Copy { set: Vec::new() };
            slice.entries.push(Entry { sources, write, ..Entry::new(1) });
        }
        let scope = |n| Scope::from(Bytes::from(batch(n)));
        let announced = |n| Announced {
            left: None,
            scope: scope(n),
            quoted: vec![Some(Bytes::from(course(n)))],
        };
        slice.completion = Some(Completion {
            deletes: vec![PartitionDelete { table: 0, source: 0, scope: Scope::default() }],
            events: vec![announced(0), announced(1)],
        });
        let mut tally = Tally::new(2);
        tally.tables[0].source_rows = 10;
        tally.tables[0].copied = 7;
        tally.tables[1].copied = 2;
        (tally.batches, tally.slices, tally.events) = (5, 1, 2);
        let survivor = AccountId::new(into);
        let from = AccountId::new(from);
        let intent = Intent {
            group: 0,
            state: State::Intended,
            pairs: vec![Pair { from, into: survivor.clone(), line: 2 }],
            survivor,
            t: 1_790_000_000_000_000,
            kind: SliceKind::Merge,
            completes: true,
            tally,
            scopes: self.codec.encode_scopes(&[(1, vec![scope(0), scope(1)])]),
            body: self.codec.encode(&slice),
        };
        (intent, slice)
    }

    /// A row with a key; most of its other columns have values of their types.
    fn row(&mut self, table: TableIndex, key: &[Cell], slim: bool) -> Row {
        let spec = Arc::clone(&self.spec);
        let table = &spec.tables[table];
        let width = if slim { table.slim_len } else { table.columns.len() };
        let columns = table.columns[key.len()..width].iter();
        let others = columns.map(|column| match &column.cql_type {
            _ if self.random.u8(..4) == 0 => None,
            CqlType::Int => int(self.random.i32(0..100)),
            CqlType::Boolean => Some(Bytes::from_static(&[1])),
            CqlType::Timestamp => {
                let time = 1_600_000_000_000 + self.random.i64(..100_000_000_000);
                Some(Bytes::copy_from_slice(&time.to_be_bytes()))
            }
            CqlType::Text if column.name.ends_with("time") || column.name.ends_with("date") => {
                let mut part = |range: std::ops::Range<u32>| self.random.u32(range);
                Some(Bytes::from(format!(
                    "202{}-{:02}-{:02} {:02}:{:02}:{:02}:{:03}+0000",
                    part(0..5),
                    part(1..13),
                    part(1..29),
                    part(0..24),
                    part(0..60),
                    part(0..60),
                    part(0..1_000)
                )))
            }
            CqlType::Text => None,
            _ => {
                // A map of three contents to their statuses.
                let entry = |n: u32| {
                    let name = format!("do_310000042_{n}");
                    let length = (name.len() as u32).to_be_bytes();
                    [&length[..], name.as_bytes(), &4_u32.to_be_bytes(), &n.to_be_bytes()].concat()
                };
                let count = 3_u32.to_be_bytes().to_vec();
                Some(Bytes::from([count, entry(0), entry(1), entry(2)].concat()))
            }
        });
        Row::new(key.iter().cloned().chain(others).collect())
    }

    fn uuid(&mut self) -> String {
        let (a, b) = (self.random.u64(..), self.random.u64(..));
        let (b_high, b_low) = (b >> 48, b & 0xffff_ffff_ffff);
        format!(
            "{:08x}-{:04x}-4{:03x}-{b_high:04x}-{b_low:012x}",
            a >> 32,
            a >> 16 & 0xffff,
            a & 0xfff
        )
    }
}

fn text(text: &str) -> Cell {
    Some(Bytes::copy_from_slice(text.as_bytes()))
}

fn int(number: i32) -> Cell {
    Some(Bytes::copy_from_slice(&number.to_be_bytes()))
}
