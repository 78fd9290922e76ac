//! Points at which a test may kill the process, to prove that whatever was begun there is finished later.
//!
//! Only debug builds look: `TRIBUTARY_FAILPOINT=name` aborts at the first visit of that point,
//! `TRIBUTARY_FAILPOINT=name:n` at the n-th. Nothing is flushed and nothing is cleaned up, as in a power
//! cut.

/// Passes a named point.
#[cfg(debug_assertions)]
pub(crate) fn hit(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static ASKED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static VISITS: AtomicU64 = AtomicU64::new(0);
    let asked = ASKED.get_or_init(|| {
        let asked = std::env::var("TRIBUTARY_FAILPOINT").ok()?;
        let (name, nth) = asked.split_once(':').unwrap_or((&asked, "1"));
        Some((name.to_owned(), nth.parse().ok()?))
    });
    let Some((point, nth)) = asked else { return };
    if point == name && VISITS.fetch_add(1, Ordering::SeqCst) + 1 == *nth {
        std::process::abort();
    }
}

/// Passes a named point; in a release build there is nothing to it.
#[cfg(not(debug_assertions))]
#[inline]
pub(crate) fn hit(_name: &str) {}
