//! SQLite.

/// The journal in a file.
#[derive(Debug)]
pub struct SqliteJournal {}
