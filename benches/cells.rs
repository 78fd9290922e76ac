//! Cells: what a policy decodes, what the join compares, and what a copy costs, in rows per second.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use example::Example;
use tributary::model::Collection;
use tributary::model::{AccountId, Change, Row};

mod example;

/// Pairs whose rows are looked at.
const PAIRS: usize = 100;

/// The content rows of sources.
fn rows(example: &mut Example) -> Vec<Row> {
    let entries = (0..PAIRS).flat_map(|_| example.intent().1.entries);
    let sources = entries.filter(|entry| entry.table == 0).flat_map(|entry| entry.sources);
    sources.map(|(_, row)| row).collect()
}

fn cells(criterion: &mut Criterion) {
    let mut example = Example::new();
    let rows = rows(&mut example);
    let table = &example.spec.tables[0];
    let rule = &table.survivorship[0];
    let mut group = criterion.benchmark_group("cells");
    group.throughput(Throughput::Elements(rows.len() as u64 - 1));
    group.bench_function("decode: the higher status", |bencher| {
        bencher.iter(|| {
            let pairs = black_box(&rows).windows(2);
            let better = pairs.filter(|pair| {
                rule.combine(&pair[1].cells[rule.column], &pair[0].cells[rule.column]).is_some()
            });
            better.count()
        });
    });
    group.bench_function("compare: clustering keys", |bencher| {
        bencher.iter(|| {
            let pairs = black_box(&rows).windows(2);
            pairs.filter(|pair| table.compare(&pair[0], &pair[1]).is_lt()).count()
        });
    });
    group.throughput(Throughput::Elements(rows.len() as u64));
    group.bench_function("copy: rows to inserts of another account", |bencher| {
        let survivor = AccountId::new("4aa7c1de-0d4c-4f0e-9a51-3f6c1b2d7e90");
        bencher.iter(|| {
            let copies = black_box(&rows).iter().map(|row| {
                let mut row = row.clone();
                row.cells[table.account] = Some(survivor.cell().clone());
                Change::Insert { row }
            });
            copies.collect::<Vec<_>>()
        });
    });
    let map = map_of(3);
    group.bench_function("split and join: a map of three", |bencher| {
        bencher.iter(|| {
            for _ in 0..rows.len() {
                let elements = Collection::Map.split(black_box(&map)).expect("it is a map");
                let parts = elements.iter().map(|(key, value)| (key, value.as_ref()));
                black_box(Collection::Map.join(parts));
            }
        });
    });
    group.finish();
}

fn map_of(entries: u32) -> Bytes {
    let mut map = entries.to_be_bytes().to_vec();
    for n in 0..entries {
        let key = format!("do_310000042_{n}");
        map.extend((key.len() as u32).to_be_bytes());
        map.extend(key.as_bytes());
        map.extend([4_u32, n].map(u32::to_be_bytes).concat());
    }
    map.into()
}

criterion_group!(benches, cells);
criterion_main!(benches);
