//! The end of a walk that was asked to stop, whatever Cassandra and Kafka do.
//!
//! What is under way gets a while to end. What has not ended by then is left: its requests are dropped, and what they
//! were about is in the journal, so that `resume` (or the same command once more) goes on with it. Reads that nothing
//! depends on are dropped at once.

use std::future::{Future, pending};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time;

/// How long what is under way may take to end. A request that gets no answer is given up after twelve seconds; what is
/// left of half a minute is for the journal, the events and the report.
const DRAIN: Duration = Duration::from_secs(20);

/// Ends when a walk that was asked to stop has had its time.
pub(super) async fn is_over(stop: watch::Receiver<bool>) {
    is_stopped(stop).await;
    time::sleep(DRAIN).await;
}

/// What nothing is lost with if it is dropped: a read, or a pause; `None` if it was stopped.
pub(super) async fn unless_stopped<T>(
    stop: &watch::Receiver<bool>,
    work: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        biased;
        () = is_stopped(stop.clone()) => None,
        done = work => Some(done),
    }
}

async fn is_stopped(mut stop: watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        // Nobody is left who could ask.
        pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn what_never_ends_is_given_up_once_it_is_asked_to_stop() {
        let (stop, stopped) = watch::channel(false);
        let mut waits = Box::pin(unless_stopped(&stopped, pending::<()>()));
        assert!(waits.as_mut().now_or_never().is_none());
        assert_eq!(unless_stopped(&stopped, async { 7 }).await, Some(7));
        stop.send_replace(true);
        assert_eq!(waits.await, None);
        assert!(is_over(stopped.clone()).now_or_never().is_none(), "what is under way has time");
    }
}
