//! Batches: from a slice that is journaled to the batches that write it, in pairs per second.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use example::Example;

mod example;

const PAIRS: usize = 100;

fn batches(criterion: &mut Criterion) {
    let mut example = Example::new();
    let pairs: Vec<_> = (0..PAIRS).map(|_| example.intent()).collect();
    let mut group = criterion.benchmark_group("batches");
    group.throughput(Throughput::Elements(PAIRS as u64));
    group.bench_function("pairs", |bencher| {
        bencher.iter(|| {
            let batches = black_box(&pairs).iter().flat_map(|(intent, slice)| {
                slice.writes(&example.spec, &intent.survivor, intent.t)
            });
            batches.flatten().map(|batch| batch.mutations.len()).sum::<usize>()
        });
    });
    group.finish();
}

criterion_group!(benches, batches);
criterion_main!(benches);
