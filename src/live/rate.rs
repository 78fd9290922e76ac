//! How fast it goes at the moment.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The rate is taken over this long.
const WINDOW: Duration = Duration::from_secs(10);

/// Something counted, per second, over the last while.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    seen: VecDeque<(Instant, u64)>,
}

impl Rate {
    /// Takes note of how many there were at a moment.
    pub(crate) fn see(&mut self, now: Instant, counted: u64) {
        self.seen.push_back((now, counted));
        while self.seen.len() > 2 && now.duration_since(self.seen[1].0) >= WINDOW {
            self.seen.pop_front();
        }
    }

    /// How many more there are now than at the beginning of the last while.
    pub(crate) fn gained(&self) -> u64 {
        match (self.seen.front(), self.seen.back()) {
            (Some(first), Some(last)) => last.1.saturating_sub(first.1),
            _ => 0,
        }
    }

    /// Nothing before a second is over.
    pub(crate) fn per_second(&self) -> Option<f64> {
        let (first, last) = (self.seen.front()?, self.seen.back()?);
        let seconds = last.0.duration_since(first.0).as_secs_f64();
        (seconds >= 1.0).then(|| self.gained() as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_while() {
        let start = Instant::now();
        let mut rate = Rate::default();
        for second in 0..=30_u64 {
            let slow = second.min(20) * 10 + second.saturating_sub(20) * 100;
            rate.see(start + Duration::from_secs(second), slow);
            assert_eq!(rate.per_second().is_some(), second > 0);
        }
        assert_eq!(rate.per_second(), Some(100.0));
        assert_eq!(rate.gained(), 1_000);
        assert_eq!(rate.seen.len(), 11);
    }
}
