//! What is under way at the moment: groups, windows, since when, and how much they hold.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::pages::LARGE_GROUP_BYTES;

/// The windows that are under way.
#[derive(Debug, Default)]
pub(super) struct Windows {
    all: Mutex<BTreeMap<u64, Entry>>,
    next: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    /// When its groups began to read.
    began: Instant,
    groups: u64,
    left: u64,
    /// The bytes of the rows that it has read.
    read: Arc<AtomicU64>,
}

/// One window that is under way, until this is dropped.
#[derive(Debug)]
pub(super) struct UnderWay {
    windows: Arc<Windows>,
    number: u64,
}

/// What is under way at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Windows of which a group has not ended.
    pub windows: u64,
    /// Groups that have begun and are not acknowledged.
    pub groups: u64,
    /// How long ago the window of the oldest of these began to read.
    pub(crate) oldest: Option<Duration>,
    /// Bytes of rows and writes that they hold, at most.
    pub bytes: u64,
}

impl Windows {
    /// A window of so many groups begins now; it counts the bytes that it reads.
    pub(super) fn begin(self: &Arc<Self>, groups: usize, read: Arc<AtomicU64>) -> UnderWay {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let groups = groups as u64;
        let entry = Entry { began: Instant::now(), groups, left: groups, read };
        self.all().insert(number, entry);
        UnderWay { windows: Arc::clone(self), number }
    }

    /// What is under way now.
    pub(super) fn load(&self) -> Load {
        let all = self.all();
        let under_way = all.values().filter(|entry| entry.left > 0);
        under_way.fold(Load::default(), |load, entry| Load {
            windows: load.windows + 1,
            groups: load.groups + entry.left,
            oldest: load.oldest.max(Some(entry.began.elapsed())),
            bytes: load.bytes + entry.bytes(),
        })
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<u64, Entry>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// A group holds what it has read until it ends: its writes are made of the same bytes. A large one lets go of what
    /// it has written, and never holds more than it may.
    fn bytes(&self) -> u64 {
        let read = self.read.load(Ordering::Relaxed);
        let of_those_left = read as u128 * u128::from(self.left) / u128::from(self.groups.max(1));
        let most = self.left.saturating_mul(LARGE_GROUP_BYTES as u64);
        u64::try_from(of_those_left).unwrap_or(u64::MAX).min(most)
    }
}

impl UnderWay {
    /// One of its groups has ended.
    pub(super) fn ended(&self) {
        if let Some(entry) = self.windows.all().get_mut(&self.number) {
            entry.left = entry.left.saturating_sub(1);
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.windows.all().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_under_way_is_counted_until_it_ends() {
        let windows = Arc::<Windows>::default();
        assert_eq!(windows.load(), Load::default());
        let read = Arc::<AtomicU64>::default();
        let first = windows.begin(4, Arc::clone(&read));
        read.store(4_000, Ordering::Relaxed);
        let large = Arc::new(AtomicU64::new(u64::MAX));
        let second = windows.begin(1, large);
        let load = windows.load();
        assert_eq!((load.windows, load.groups), (2, 5));
        assert_eq!(load.bytes, 4_000 + LARGE_GROUP_BYTES as u64);
        assert!(load.oldest.is_some());
        first.ended();
        drop(second);
        assert_eq!((windows.load().groups, windows.load().bytes), (3, 3_000));
        (0..3).for_each(|_| first.ended());
        assert_eq!(windows.load(), Load::default(), "its groups have all ended");
    }
}
