//! A storage that stops at a request, as a killed process stops.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tributary::spec::Spec;
use tributary::storage::memory::{FaultKind, MemoryStorage};

/// At which request it stops, for good, and whether that is carried out.
#[derive(Clone, Default)]
pub struct Stops {
    seen: Arc<AtomicUsize>,
    at: Arc<Mutex<Option<(usize, bool)>>>,
}

impl Stops {
    pub fn storage(&self, spec: Arc<Spec>) -> MemoryStorage {
        let stops = self.clone();
        MemoryStorage::with_faults(spec, move |_| stops.fault())
    }

    /// What becomes of the next request.
    pub fn fault(&self) -> Option<FaultKind> {
        let (at, carried_out) = (*self.at.lock().unwrap())?;
        let seen = self.seen.fetch_add(1, Ordering::Relaxed);
        // Whoever is stopped sends nothing any more.
        (seen >= at).then_some(match carried_out && seen == at {
            true => FaultKind::AnswerLostForGood,
            false => FaultKind::Refused,
        })
    }

    /// From here on.
    pub fn set(&self, at: Option<(usize, bool)>) {
        *self.at.lock().unwrap() = at;
        self.seen.store(0, Ordering::Relaxed);
    }
}
