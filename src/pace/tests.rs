use super::*;
use futures::FutureExt;

#[test]
fn no_more_than_the_limit_is_admitted() {
    let pace = Pace::new(2);
    let first = pace.admit().now_or_never();
    let second = pace.admit().now_or_never();
    assert!(first.is_some() && second.is_some());
    assert!(pace.admit().now_or_never().is_none());
    drop(first);
    assert!(pace.admit().now_or_never().is_some());
}

#[test]
fn overload_halves_and_success_restores() {
    let pace = Pace::new(64);
    pace.overloaded();
    assert_eq!(pace.now().0, 32);
    pace.overloaded();
    assert_eq!(pace.now().0, 32, "one reaction for one overload");
    let mut successes = 0;
    while pace.now().0 < 64 {
        pace.succeeded();
        successes += 1;
        assert!(successes < 1_000, "the limit never recovers");
    }
    assert!(successes >= 32, "the limit recovers only after groups ended well");
}

#[test]
fn a_limit_that_is_found_halves_as_well() {
    let pace = Pace::new(InFlight::Auto);
    let before = pace.now().0;
    pace.overloaded();
    assert_eq!(pace.now().0, before / 2);
}

#[tokio::test]
async fn the_rate_is_of_groups_and_not_of_other_reads() {
    let pace = Pace::with_rate(2, Some(0.001));
    let reads = [0, 1].map(|_| pace.admit_read().now_or_never());
    assert!(reads.iter().all(Option::is_some));
    assert!(pace.admit_read().now_or_never().is_none(), "the limit is for both");
    drop(reads);
    assert!(pace.admit().now_or_never().is_some(), "a read is no group's start");
    assert!(pace.admit().now_or_never().is_none());
    assert!(pace.admit_read().now_or_never().is_some());
}

#[tokio::test]
async fn groups_begin_no_faster_than_the_rate() {
    let pace = Pace::with_rate(1_000, Some(0.01));
    let first = pace.admit().now_or_never();
    assert!(first.is_some(), "the first may begin at once");
    assert!(pace.admit().now_or_never().is_none());
    drop(first);
    assert!(pace.admit().now_or_never().is_none(), "an end makes no room before its time");
}

#[tokio::test]
async fn a_changed_rate_counts_at_once() {
    let pace = Pace::with_rate(1_000, Some(0.001));
    drop(pace.admit().await);
    let waiting = tokio::spawn({
        let pace = Arc::clone(&pace);
        async move { pace.admit().await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    pace.set_rate(None);
    waiting.await.expect("it is admitted");
    assert_eq!(pace.rate(), None);
    pace.set_rate(Some(0.001));
    assert!(pace.admit().now_or_never().is_none(), "the next one is late again");
}

#[tokio::test]
async fn nothing_begins_while_it_is_paused() {
    let pace = Pace::new(8);
    let running = pace.admit().await;
    assert!(pace.pause() && !pace.pause() && pace.is_paused());
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let pace = Arc::clone(&pace);
            tokio::spawn(async move { pace.admit().await })
        })
        .collect();
    tokio::task::yield_now().await;
    drop(running);
    tokio::task::yield_now().await;
    assert_eq!(pace.now().1, 0, "an end makes no room in a pause");
    pace.set_rate(Some(1e9));
    tokio::task::yield_now().await;
    assert_eq!(pace.now().1, 0, "nor does another rate");
    assert!(pace.resume() && !pace.resume() && !pace.is_paused());
    let mut permits = Vec::new();
    for waiting in waiting {
        permits.push(waiting.await.expect("all that wait are admitted"));
    }
    assert_eq!(pace.now().1, 3);
}

#[test]
fn a_waiting_group_is_woken() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let pace = Pace::new(1);
        let permit = pace.admit().await;
        let waiting = tokio::spawn({
            let pace = Arc::clone(&pace);
            async move { drop(pace.admit().await) }
        });
        tokio::task::yield_now().await;
        drop(permit);
        waiting.await.expect("the waiting group is admitted");
        assert_eq!(pace.now().1, 0);
    });
}

#[test]
fn limits_are_auto_or_a_number() {
    let read = |text: &str| text.parse::<InFlight>();
    assert_eq!(read("auto"), Ok(InFlight::Auto));
    assert_eq!(read("1_024"), Ok(InFlight::Fixed(1024)));
    assert!(read("many").is_err());
    for shown in [InFlight::Auto, InFlight::Fixed(7)] {
        assert_eq!(read(&shown.to_string()), Ok(shown));
    }
}
