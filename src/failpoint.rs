//! Points at which a test may kill the process, to prove that whatever was begun there is finished later.
//!
//! Only debug builds look: `TRIBUTARY_FAILPOINT=name` aborts at the first visit of that point,
//! `TRIBUTARY_FAILPOINT=name:n` at the n-th. Nothing is flushed and nothing is cleaned up, as in a power
//! cut. `TRIBUTARY_FAILPOINT=name:n:stop` holds the process there, as a machine that is suspended, until it is continued.

/// Passes a named point.
#[cfg(debug_assertions)]
pub(crate) fn hit(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static ASKED: OnceLock<Option<Asked>> = OnceLock::new();
    static VISITS: AtomicU64 = AtomicU64::new(0);
    let asked = ASKED.get_or_init(|| Asked::parse(&std::env::var("TRIBUTARY_FAILPOINT").ok()?));
    let Some(Asked { point, nth, is_stop }) = asked else { return };
    if point == name && VISITS.fetch_add(1, Ordering::SeqCst) + 1 == *nth {
        if !is_stop {
            std::process::abort();
        }
        // Whether it could be is seen by the test, which waits for it.
        let held = std::process::id().to_string();
        let mut seen = std::time::Instant::now();
        let _ = std::process::Command::new("kill").args(["-STOP", &held]).status();
        // Another thread may take the signal, a moment later: this one goes nowhere before it has been held.
        while seen.elapsed() < std::time::Duration::from_secs(1) {
            seen = std::time::Instant::now();
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

/// What is to happen where.
#[cfg(debug_assertions)]
struct Asked {
    point: String,
    nth: u64,
    is_stop: bool,
}

#[cfg(debug_assertions)]
impl Asked {
    fn parse(asked: &str) -> Option<Self> {
        let mut parts = asked.split(':');
        let point = parts.next()?.to_owned();
        let nth = parts.next().unwrap_or("1").parse().ok()?;
        Some(Self { point, nth, is_stop: parts.next() == Some("stop") })
    }
}

/// Passes a named point; in a release build there is nothing to it.
#[cfg(not(debug_assertions))]
#[inline]
pub(crate) fn hit(_name: &str) {}
