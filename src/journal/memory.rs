//! A journal in memory, for tests and benches.
