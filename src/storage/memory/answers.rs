//! What answers weigh while they are on their way.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::model::Row;

use super::TURNS;

/// Bytes of rows in answers.
#[derive(Debug, Default)]
pub struct Answers {
    now: AtomicUsize,
    /// At once, at most.
    pub at_once: AtomicUsize,
    /// In one answer, at most.
    pub largest: AtomicUsize,
}

impl Answers {
    /// An answer is on its way while others have their turn.
    pub(super) async fn deliver<'a>(&self, rows: impl Iterator<Item = &'a Row>) {
        let bytes: usize = rows.map(Row::size_bytes).sum();
        let now = self.now.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.at_once.fetch_max(now, Ordering::Relaxed);
        self.largest.fetch_max(bytes, Ordering::Relaxed);
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
        self.now.fetch_sub(bytes, Ordering::Relaxed);
    }
}
