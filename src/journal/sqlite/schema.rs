//! The tables, and connections to them.

use std::fmt::Display;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, MAIN_DB, OpenFlags};

use crate::journal::JournalError;
use crate::model::AccountType;

/// The version of the tables and of what is in them; kept in the file as `user_version`. Since the fourth what is set may be
/// null; since the fifth counts may follow that whoever reads does not know.
pub(super) const VERSION: i64 = 5;

/// The oldest one that is read. What is written is of [`VERSION`], and the file says so from its first write on.
const OLDEST: i64 = 3;

/// How long to wait for another program that has locked the file, such as an operator's shell.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// A checkpoint writes pages of the log back into the file, each once, however often it changed; so a longer
/// log is less work. 4,096 pages are 16 MiB.
const CHECKPOINT_PAGES: i64 = 4_096;

/// What `meta` calls the type of accounts.
pub(super) const ACCOUNT_TYPE: &str = "account_type";

const TABLES: &str = "
    -- What the run is about, such as the number of its groups.
    CREATE TABLE meta (
        key TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) WITHOUT ROWID;

    -- The groups that are more than planned.
    CREATE TABLE groups (
        number INTEGER PRIMARY KEY,
        survivor TEXT NOT NULL,
        pairs TEXT NOT NULL,            -- JSON: [[from, to, line], ...] in merge order
        t INTEGER,                      -- write time of the merge, in microseconds
        state TEXT NOT NULL,
        reason TEXT,
        changed_at_ms INTEGER NOT NULL
    );

    -- What is written, recorded before it is.
    CREATE TABLE slices (
        id INTEGER PRIMARY KEY,
        group_number INTEGER NOT NULL,
        kind TEXT NOT NULL,
        t INTEGER NOT NULL,             -- write time, in microseconds
        sealed INTEGER NOT NULL,
        tally TEXT,                     -- JSON: [[[counts of a table], ...], counts of all], as `record` names them
        scopes BLOB,                    -- where its rows led to
        block INTEGER NOT NULL,         -- what is written is part of a block:
        start INTEGER NOT NULL,         -- where it starts there, in bytes
        bytes INTEGER NOT NULL
    );
    CREATE INDEX slices_of_group ON slices (group_number);

    -- What is written, of several slices one behind the other; the command record shows it.
    CREATE TABLE blocks (
        id INTEGER PRIMARY KEY,
        body BLOB NOT NULL,             -- by zlib, unless it is of that length already
        body_bytes INTEGER NOT NULL
    );

    -- The token ranges that --discover scan has been through.
    CREATE TABLE scans (
        id INTEGER PRIMARY KEY,
        table_name TEXT NOT NULL,
        after_token INTEGER NOT NULL,   -- exclusive
        to_token INTEGER NOT NULL,      -- inclusive
        rows INTEGER NOT NULL,          -- that were looked at
        enrolments INTEGER NOT NULL,    -- of sources among them
        found BLOB NOT NULL,            -- in which partitions rows of which groups are; packed like a block
        found_bytes INTEGER NOT NULL
    );

    CREATE VIEW states (state, groups) AS
        SELECT 'planned', value - (SELECT count(*) FROM groups) FROM meta WHERE key = 'groups'
        UNION ALL
        SELECT state, count(*) FROM groups GROUP BY state;
";

/// Makes the file and its tables; its owner alone may read it.
pub(super) fn create(path: &Path, accounts: AccountType) -> Result<(), JournalError> {
    create_file(path).map_err(|error| unwritable(path, error))?;
    fill(path, accounts).map_err(|error| unwritable(path, error))
}

/// Makes an empty file that nobody else can read.
pub(super) fn create_file(path: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// A connection to a file that has no log beside it yet: from now on it has.
pub(super) fn begin_log(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    Ok(connection)
}

fn fill(path: &Path, accounts: AccountType) -> rusqlite::Result<()> {
    let connection = begin_log(path)?;
    connection.pragma_update(None, "synchronous", "full")?;
    // The name of a type needs no escape.
    let accounts = format!("INSERT INTO meta VALUES ('{ACCOUNT_TYPE}', '{accounts}')");
    connection.execute_batch(&format!(
        "BEGIN; {TABLES} {accounts}; PRAGMA user_version = {VERSION}; COMMIT;"
    ))?;
    connection.close().map_err(|(_, error)| error)
}

fn connect(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    // A connection is used by one thread at a time: the writer's own, or behind a lock.
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(connection)
}

/// A connection that writes, to a file of so many pages at most.
pub(super) fn writing(path: &Path, max_pages: Option<u32>) -> Result<Connection, JournalError> {
    exists(path)?;
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .map_err(|error| unwritable(path, error))?;
    let found = check_version(&connection, path)?;
    if found != VERSION {
        let renewed = connection.pragma_update(None, "user_version", VERSION);
        renewed.map_err(|error| unwritable(path, error))?;
    }
    set_up(&connection, max_pages).map_err(|error| unwritable(path, error))?;
    // SQLite opens for reading what it may not write, and says nothing.
    match connection.is_readonly(MAIN_DB) {
        Ok(false) => Ok(connection),
        Ok(true) => Err(unwritable(path, "it is read-only")),
        Err(error) => Err(unwritable(path, error)),
    }
}

fn set_up(connection: &Connection, max_pages: Option<u32>) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    match max_pages {
        Some(pages) => connection.pragma_update(None, "max_page_count", pages),
        None => Ok(()),
    }
}

/// A connection that reads beside the one that writes.
pub(super) fn reading(path: &Path) -> Result<Connection, JournalError> {
    exists(path)?;
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
    let connection = connection.map_err(|error| unreadable(path, &error))?;
    check_version(&connection, path)?;
    Ok(connection)
}

/// A connection that reads what nobody may be working on. Without a log beside the file nobody is, and then
/// SQLite is told so: otherwise it would leave an empty log behind, and refuse a folder that cannot be
/// written. (Should a run begin at this very moment, what is read may be nonsense; it is not acted upon.)
pub(super) fn looking(path: &Path) -> Result<Connection, JournalError> {
    if log_of(path).exists() {
        return reading(path);
    }
    exists(path)?;
    let access = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let connection = connect(Path::new(&immutable(path)), access);
    let connection = connection.map_err(|error| unreadable(path, &error))?;
    check_version(&connection, path)?;
    Ok(connection)
}

/// The URI of a file that does not change. Slashes are escaped as well: two in front would name a host.
fn immutable(path: &Path) -> String {
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => {
                uri.push(char::from(*byte));
            }
            byte => uri.push_str(&format!("%{byte:02x}")),
        }
    }
    uri + "?immutable=1"
}

/// The write-ahead log of a file.
pub(super) fn log_of(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

fn exists(path: &Path) -> Result<(), JournalError> {
    match fs::metadata(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let run = path.parent().unwrap_or(path).display().to_string();
            Err(JournalError::Missing { path: run })
        }
        Err(error) => Err(JournalError::Read { path: text(path), cause: error.to_string() }),
    }
}

fn check_version(connection: &Connection, path: &Path) -> Result<i64, JournalError> {
    let version = connection.pragma_query_value(None, "user_version", |row| row.get(0));
    let found: i64 = version.map_err(|error| unreadable(path, &error))?;
    match found {
        OLDEST..=VERSION => Ok(found),
        0 => Err(JournalError::Damaged { path: text(path), what: "it has no tables".into() }),
        found => Err(JournalError::Version { path: text(path), found, known: [OLDEST, VERSION] }),
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// The error of a write.
pub(super) fn unwritable(path: &Path, cause: impl Display) -> JournalError {
    JournalError::Write { path: text(path), cause: cause.to_string() }
}

/// The error of a read: a fault of the file, or of its contents.
pub(super) fn unreadable(path: &Path, error: &rusqlite::Error) -> JournalError {
    use rusqlite::Error as E;
    use rusqlite::ErrorCode::{CannotOpen, DatabaseCorrupt, NotADatabase};
    let damaged = match error {
        E::SqliteFailure(code, _) => matches!(code.code, DatabaseCorrupt | NotADatabase),
        E::FromSqlConversionFailure(..)
        | E::IntegralValueOutOfRange(..)
        | E::Utf8Error(..)
        | E::InvalidColumnType(..) => true,
        _ => false,
    };
    match damaged {
        true => JournalError::Damaged { path: text(path), what: error.to_string() },
        false => {
            // SQLite keeps the reason to itself.
            let opened = error.sqlite_error_code().filter(|code| *code == CannotOpen);
            let cause = match opened.map(|_| fs::File::open(path)) {
                None => error.to_string(),
                Some(Err(reason)) => reason.to_string(),
                Some(Ok(_)) => format!(
                    "{error}; two files stand beside it while it is open, so its directory has to take new ones (its rights, \
                     and inodes: df -i)"
                ),
            };
            JournalError::Read { path: text(path), cause }
        }
    }
}
