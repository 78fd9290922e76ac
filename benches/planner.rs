//! How many pairs the planner resolves per second, from the text of the CSV to the groups.

use std::fmt::Write;
use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tributary::pairs::{self, Format};
use tributary::plan;

const PAIRS: u64 = 100_000;

/// A CSV of pairs of numbered accounts.
fn csv(pairs: impl Iterator<Item = (u64, u64)>) -> String {
    let mut text = "from,to\n".to_owned();
    for (from, to) in pairs {
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "{},{}", uuid(from), uuid(to));
    }
    text
}

/// A UUID that looks random.
fn uuid(number: u64) -> String {
    let mixed = |value: u64| {
        let value = (value ^ (value >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (value ^ (value >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    };
    let (a, b) = (mixed(number + 1), mixed(!number));
    let (b_high, b_low) = (b >> 48, b & 0xffff_ffff_ffff);
    format!("{:08x}-{:04x}-{:04x}-{b_high:04x}-{b_low:012x}", a >> 32, a >> 16 & 0xffff, a & 0xffff)
}

fn bench(criterion: &mut Criterion) {
    let shapes = [
        ("plain", csv((0..PAIRS).map(|n| (2 * n, 2 * n + 1)))),
        ("chains of 10", csv((0..PAIRS).map(|n| (n + n / 10, n + n / 10 + 1)))),
        ("fan-ins of 10", csv((0..PAIRS).map(|n| (n, PAIRS + n / 10)))),
    ];
    let mut group = criterion.benchmark_group("planner");
    group
        .throughput(Throughput::Elements(PAIRS))
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3));
    for (name, text) in &shapes {
        group.bench_function(*name, |bencher| {
            bencher.iter(|| {
                let list = pairs::read(black_box(text.as_bytes()), &Format::default());
                plan::resolve(list.expect("the input is well-formed")).len()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
