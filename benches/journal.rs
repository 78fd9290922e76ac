//! The journal: bodies of slices, and how many pairs per second can be made durable on this disk.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::Runtime;
use tributary::account::{AccountId, Cell, Pair, Row, TableIndex, Tally};
use tributary::journal::{Intent, Journal, Kind, Note, SqliteJournal, State, body};
use tributary::merge::{Announced, Entry, Seal, Slice, Write};
use tributary::spec::Spec;

#[allow(unreachable_pub)]
#[path = "../tests/merge/preset.rs"]
mod preset;

/// What a pair of ordinary accounts leads to: ten contents in two batches, three of them known to the
/// survivor as well, and two enrolments.
struct Example {
    spec: Arc<Spec>,
    random: fastrand::Rng,
}

impl Example {
    fn new() -> Self {
        Self { spec: preset::spec(), random: fastrand::Rng::with_seed(1) }
    }

    fn intent(&mut self) -> (Intent, Slice) {
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
                Some(_) if n == 0 => Write::Update { set: vec![(4, int(2).unwrap_or_default())] },
                Some(_) => Write::Nothing,
                None => Write::Copy { set: Vec::new() },
            };
            let sources = vec![(0, self.row(0, &key(&from), false))];
            slice.entries.push(Entry { table: 0, target, sources, write });
        }
        for n in 0..2 {
            let key = [text(&batch(n)), text(&from)];
            let sources = vec![(0, self.row(1, &key, false))];
            slice.entries.push(Entry {
                table: 1,
                target: None,
                sources,
                write: Write::Copy { set: Vec::new() },
            });
        }
        let announced = |n| Announced {
            partition: Bytes::from(batch(n)),
            quoted: vec![Some(Bytes::from(course(n)))],
        };
        slice.seal = Some(Seal { deletes: vec![(0, 0)], events: vec![announced(0), announced(1)] });
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
            kind: Kind::Merge,
            sealed: true,
            tally,
            partitions: format!("{{\"user_courses\":[\"{}\",\"{}\"]}}", batch(0), batch(1)),
            body: body::encode(&self.spec, &slice),
        };
        (intent, slice)
    }

    /// A row with a key; most of its other columns have values of their types.
    fn row(&mut self, table: TableIndex, key: &[Cell], slim: bool) -> Row {
        let spec = Arc::clone(&self.spec);
        let table = &spec.tables[table];
        let width = if slim { table.slim_len } else { table.columns.len() };
        let columns = table.columns[key.len()..width].iter();
        let others = columns.map(|column| match column.cql_type.as_str() {
            _ if self.random.u8(..4) == 0 => None,
            "int" => int(self.random.i32(0..100)),
            "boolean" => Some(Bytes::from_static(&[1])),
            "timestamp" => {
                let time = 1_600_000_000_000 + self.random.i64(..100_000_000_000);
                Some(Bytes::copy_from_slice(&time.to_be_bytes()))
            }
            "text" if column.name.ends_with("time") || column.name.ends_with("date") => {
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
            "text" => None,
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
        Row { cells: key.iter().cloned().chain(others).collect() }
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

fn bodies(criterion: &mut Criterion) {
    let mut example = Example::new();
    let (intent, slice) = example.intent();
    let spec = &example.spec;
    let mut group = criterion.benchmark_group("journal body");
    group.throughput(Throughput::Bytes(intent.body.len() as u64));
    group.bench_function("encode", |bencher| {
        bencher.iter(|| body::encode(spec, black_box(&slice)));
    });
    group.bench_function("decode", |bencher| {
        bencher.iter(|| body::decode(spec, black_box(&intent.body)).expect("it was encoded"));
    });
    group.finish();
}

/// Each task intends, notes what follows and goes on with its next group, as groups in flight do.
#[expect(clippy::print_stdout, reason = "the harness has no place for sizes")]
fn append(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime starts");
    let mut example = Example::new();
    let intents: Vec<Intent> = (0..500).map(|_| example.intent().0).collect();
    let intents = Arc::new(intents);
    let mut group = criterion.benchmark_group("journal append");
    group
        .throughput(Throughput::Elements(1))
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(5));
    for tasks in [1, 16, 64, 256] {
        // In the build directory: what stands for temporary files is often no disk at all.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder is made");
        let path = folder.path().join("journal.sqlite");
        SqliteJournal::create(&path).expect("a journal is made");
        let journal = Arc::new(SqliteJournal::open(&path).expect("a journal is opened"));
        let next = Arc::new(AtomicUsize::new(0));
        group.bench_function(BenchmarkId::new("pairs", tasks), |bencher| {
            bencher.iter_custom(|pairs| {
                let began = Instant::now();
                let last = next.load(Ordering::Relaxed) + pairs as usize;
                let working = (0..tasks).map(|_| {
                    let journal = Arc::clone(&journal);
                    let (next, intents) = (Arc::clone(&next), Arc::clone(&intents));
                    runtime.spawn(async move { work(&journal, &intents, &next, last).await })
                });
                let working: Vec<_> = working.collect();
                for task in working {
                    runtime.block_on(task).expect("the journal takes all");
                }
                let took = began.elapsed();
                next.store(last, Ordering::Relaxed);
                took
            });
        });
        let (pairs, syncs) = (next.load(Ordering::Relaxed) as u64, journal.commits());
        let bytes = journal.size_bytes() / pairs.max(1);
        println!("{pairs} pairs in {syncs} syncs, {bytes} bytes per pair\n");
    }
    group.finish();
}

async fn work(journal: &SqliteJournal, intents: &[Intent], next: &AtomicUsize, last: usize) {
    loop {
        let group = next.fetch_add(1, Ordering::Relaxed);
        if group >= last {
            return;
        }
        let intent = Intent { group, ..intents[group % intents.len()].clone() };
        journal.intend(intent).await.expect("there is room");
        for state in [State::Written, State::Done] {
            let note = Note { group, state, reason: None, known_as: None };
            journal.note(note).expect("there is room");
        }
    }
}

criterion_group!(benches, bodies, append);
criterion_main!(benches);
