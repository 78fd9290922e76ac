//! Events: from what is announced to the bytes that the broker gets, in pairs per second; a pair of the example
//! announces two enrolments.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use example::Example;
use tributary::merge;

mod example;

const PAIRS: usize = 100;

fn encode(criterion: &mut Criterion) {
    let mut example = Example::new();
    let pairs: Vec<_> = (0..PAIRS).map(|_| example.intent()).collect();
    let spec = example.spec.event.as_ref().expect("the preset announces");
    let mut group = criterion.benchmark_group("events");
    group.throughput(Throughput::Elements(PAIRS as u64));
    group.bench_function("pairs", |bencher| {
        bencher.iter(|| {
            let announced = black_box(&pairs).iter().flat_map(|(intent, slice)| {
                let completion = slice.completion.iter();
                let announced = completion.flat_map(|completion| &completion.events);
                announced.map(|announced| (&intent.survivor, announced, intent.t))
            });
            let events =
                announced.map(|(to, announced, t)| merge::event(spec, (to, None), announced, t));
            events.map(|event| event.payload.len()).sum::<usize>()
        });
    });
    group.finish();
}

criterion_group!(benches, encode);
criterion_main!(benches);
