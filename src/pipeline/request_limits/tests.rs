use futures::FutureExt;

use super::limit::PATIENCE;
use super::*;

fn load(count: usize, bytes: usize) -> Load {
    Load { kind: RequestKind::Write, table: 0, count, bytes }
}

fn request_limits() -> RequestLimits {
    let table = OfTable {
        owns_partitions: true,
        largest_partition: OnceCell::new(),
        limits: Mutex::new([UNKNOWN; Slot::COUNT]),
        trials: Default::default(),
    };
    let room = Semaphore::new(MOST_BYTES / ROOM_UNIT);
    RequestLimits { sizes: RowSizes::new(1), tables: vec![table], room }
}

#[test]
fn more_than_was_taken_is_tried_by_one_at_a_time() {
    let request_limits = request_limits();
    let first = request_limits.trial(load(100, 10)).now_or_never().unwrap();
    assert!(first.is_some());
    assert!(request_limits.trial(load(50, 10)).now_or_never().is_none(), "it waits");
    assert!(
        request_limits.trial(load(1, 10)).now_or_never().unwrap().is_none(),
        "less is not possible"
    );
    request_limits.took(load(100, 10));
    assert!(request_limits.trial(load(50, 10)).now_or_never().unwrap().is_none(), "it is known");
    drop(first);
    assert!(request_limits.trial(load(101, 10)).now_or_never().unwrap().is_some());
}

#[test]
fn statements_are_told_from_bytes_by_what_was_taken() {
    let request_limits = request_limits();
    request_limits.took(load(25, 5_000));
    request_limits.too_large(load(50, 10_000), Fault::Permanent);
    assert_eq!(request_limits.batch(0), [25, BATCH_BYTES]);
    request_limits.too_large(load(25, 60_000), Fault::Permanent);
    assert_eq!(request_limits.batch(0), [25, 30_000]);
    assert!(!request_limits.allows(load(26, 1)) && !request_limits.allows(load(1, 30_001)));
}

#[test]
fn what_may_pass_is_tried_again_more_and_more_rarely() {
    let request_limits = request_limits();
    request_limits.took(load(4, 1));
    request_limits.too_large(load(8, 1), Fault::TimedOut);
    for round in 1..4 {
        let allowed = request_limits.batch(0)[0];
        let before = PATIENCE << (round - 1);
        (1..before).for_each(|_| request_limits.took(load(allowed, 1)));
        assert_eq!(request_limits.batch(0)[0], allowed);
        request_limits.took(load(allowed, 1));
        assert_eq!(request_limits.batch(0)[0], 2 * allowed);
    }
    request_limits.too_large(load(8, 1), Fault::Permanent);
    (0..10 * PATIENCE).for_each(|_| request_limits.took(load(4, 1)));
    assert_eq!(request_limits.batch(0)[0], 4, "what is refused stays refused");
}

/// A node says a mebibyte of the smallest of partitions.
#[test]
fn accounts_are_asked_for_their_first_rows_only_where_some_are_large() {
    let request_limits = request_limits();
    let may_be_large =
        |bytes| request_limits.may_be_large(RequestKind::First(Width::Full), 0, bytes);
    request_limits.sizes.learn(0, RequestKind::First(Width::Full), [(10, 5_000)].into_iter());
    assert!(!may_be_large(Some(0)) && !may_be_large(Some(1 << 20)));
    assert!(may_be_large(Some(2 << 20)) && may_be_large(None));
}
