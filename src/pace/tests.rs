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

#[tokio::test]
async fn the_rate_is_of_groups_and_not_of_requests() {
    let pace = Pace::with_rate(2, Some(0.001));
    let requests = [0, 1].map(|_| pace.admit().now_or_never());
    assert!(requests.iter().all(Option::is_some));
    assert!(
        pace.begin(1).now_or_never().is_none(),
        "no group begins while requests fill the limit"
    );
    drop(requests);
    assert!(pace.begin(1).now_or_never().is_some(), "a request is no group's start");
    assert!(pace.begin(1).now_or_never().is_none());
    assert!(pace.admit().now_or_never().is_some());
}

#[tokio::test]
async fn groups_begin_no_faster_than_the_rate() {
    let pace = Pace::with_rate(1_000, Some(0.01));
    assert!(pace.begin(1).now_or_never().is_some(), "the first may begin at once");
    assert!(pace.begin(1).now_or_never().is_none());
}

#[tokio::test]
async fn a_window_of_groups_takes_the_time_of_all_of_them() {
    let pace = Pace::with_rate(1_000, Some(1_000.0));
    let began = Instant::now();
    for _ in 0..20 {
        pace.begin(5).await;
    }
    let took = began.elapsed();
    assert!(took + LATE >= Duration::from_millis(95), "{took:?}");
}

#[tokio::test]
async fn a_changed_rate_counts_at_once() {
    let pace = Pace::with_rate(1_000, Some(0.001));
    pace.begin(1).await;
    let waiting = tokio::spawn({
        let pace = Arc::clone(&pace);
        async move { pace.begin(1).await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    pace.set_rate(None);
    waiting.await.expect("they begin");
    assert_eq!(pace.rate(), None);
    pace.set_rate(Some(0.001));
    pace.begin(1).await;
    assert!(pace.begin(1).now_or_never().is_none(), "the next one is late again");
}

#[tokio::test]
async fn nothing_begins_while_it_is_paused() {
    let pace = Pace::new(8);
    let request = pace.admit().await;
    assert!(pace.pause() && !pace.pause() && pace.is_paused());
    let waiting = tokio::spawn({
        let pace = Arc::clone(&pace);
        async move { pace.begin(1).await }
    });
    tokio::task::yield_now().await;
    assert!(pace.admit().now_or_never().is_some(), "what is under way goes on");
    drop(request);
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished(), "an end makes no room in a pause");
    pace.set_rate(Some(1e9));
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished(), "nor does another rate");
    assert!(pace.resume() && !pace.resume() && !pace.is_paused());
    waiting.await.expect("what waits begins");
}

#[tokio::test]
async fn requests_wait_in_turn_and_groups_wait_behind_them() {
    let pace = Pace::new(1);
    let first = pace.admit().await;
    let mut second = std::pin::pin!(pace.admit());
    let mut third = std::pin::pin!(pace.admit());
    let mut groups = std::pin::pin!(pace.begin(1));
    assert!(futures::poll!(&mut second).is_pending());
    assert!(futures::poll!(&mut third).is_pending());
    drop(first);
    assert!(futures::poll!(&mut third).is_pending(), "it came later");
    assert!(futures::poll!(&mut groups).is_pending());
    let second = second.await;
    drop(second);
    assert!(futures::poll!(&mut groups).is_pending());
    drop(third.await);
    groups.await;
    assert_eq!(pace.now().1, 0);
}

#[tokio::test]
async fn requests_that_are_too_many_make_no_room() {
    let pace = Pace::new(4);
    let mut requests = Vec::new();
    for _ in 0..4 {
        requests.push(pace.admit().await);
    }
    pace.overloaded();
    assert_eq!(pace.now(), (2, 4));
    requests.truncate(2);
    assert!(pace.admit().now_or_never().is_none(), "two are as many as may be");
    requests.truncate(1);
    assert!(pace.admit().now_or_never().is_some());
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
