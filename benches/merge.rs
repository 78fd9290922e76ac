//! The merge core: join, fold and cut, in source rows per second. No I/O.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tributary::merge::{Draft, Findings, Fold, Join};
use tributary::model::{AccountId, Row};
use tributary::spec::Spec;

#[allow(unreachable_pub)]
#[path = "../tests/merge/preset.rs"]
mod preset;

/// Rows of one account; every second key is shared between all accounts.
fn rows(spec: &Spec, account: usize, count: usize, width: usize) -> Vec<Row> {
    let row = |n: usize| {
        let content = match n % 2 {
            0 => format!("do_{n:08}_shared"),
            _ => format!("do_{n:08}_{account:08}"),
        };
        let mut cells = vec![
            Some(Bytes::from(format!("{account:08}-7c1e-4d2b-9b1a-5f2f4a7d9e10"))),
            Some(Bytes::from(content)),
            Some(Bytes::from(format!("batch-{:06}", n % 200))),
            Some(Bytes::from_static(b"course-000042")),
            Some(Bytes::copy_from_slice(&((n % 3) as i32).to_be_bytes())),
        ];
        cells.resize(spec.tables[0].columns.len(), Some(Bytes::from_static(b"2026-01-01 00:00")));
        cells.truncate(width);
        Row::new(cells)
    };
    (0..count).map(row).collect()
}

fn merge_core(criterion: &mut Criterion) {
    let spec = preset::spec();
    let table = &spec.tables[0];
    let survivor = AccountId::new("00000000-7c1e-4d2b-9b1a-5f2f4a7d9e10");
    let mut group = criterion.benchmark_group("merge");
    for (sources, per_account) in [(1, 10), (1, 10_000), (100, 100)] {
        group.throughput(Throughput::Elements((sources * per_account) as u64));
        let streams: Vec<Vec<Row>> = (0..=sources)
            .map(|account| match account {
                0 => rows(&spec, 0, per_account, table.slim_len),
                _ => rows(&spec, account, per_account, table.columns.len()),
            })
            .collect();
        let id = BenchmarkId::new("rows", format!("{sources}x{per_account}"));
        group.bench_function(id, |bencher| {
            bencher.iter_batched(
                || streams.clone(),
                |streams| {
                    let mut join = Join::new(table, sources);
                    let mut findings = Findings::new(&spec, sources);
                    let mut draft = Draft::new(spec.tables.len());
                    for (stream, rows) in streams.into_iter().enumerate() {
                        join.feed(stream, rows, true).expect("in order");
                    }
                    while let Some(matched) = join.next_key() {
                        let (entry, tally) = Fold::all(0, table, matched);
                        findings.note(table, &entry);
                        draft.add(entry, &tally);
                    }
                    black_box(draft.slice.writes(&spec, &survivor, 1))
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, merge_core);
criterion_main!(benches);
