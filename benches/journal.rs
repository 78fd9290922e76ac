//! The journal: bodies of slices, and how many pairs per second can be made durable on this disk.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use example::Example;
use tokio::runtime::Runtime;
use tributary::journal::{Intent, Journal, Note, SqliteJournal, State};
use tributary::model::AccountType;

mod example;

fn bodies(criterion: &mut Criterion) {
    let mut example = Example::new();
    let (intent, slice) = example.intent();
    let (codec, body) = (&example.codec, Bytes::from(intent.body));
    let mut group = criterion.benchmark_group("journal body");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("encode", |bencher| {
        bencher.iter(|| codec.encode(black_box(&slice)));
    });
    group.bench_function("decode", |bencher| {
        bencher.iter(|| codec.decode(black_box(&body)).expect("it was encoded"));
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
        SqliteJournal::create(&path, AccountType::Text).expect("a journal is made");
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
        journal.intend(vec![intent]).await.expect("there is room");
        for state in [State::Written, State::Done] {
            let note = Note { group, state, reason: None, known_as: None };
            journal.note(note).expect("there is room");
        }
    }
}

criterion_group!(benches, bodies, append);
criterion_main!(benches);
