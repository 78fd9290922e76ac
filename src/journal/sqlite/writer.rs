//! The one thread that writes. What is queued while it syncs goes into the next transaction, so that all
//! intents in flight share one sync, and none waits for a timer.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread::{self, JoinHandle};

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use crate::journal::{JournalError, Note, SliceKind, State, Unwritten};

use super::packed::{self, Block, Packed, PackedScan};
use super::schema::unwritable;

/// So many notes are held, the last one of each group, until they are written together. With every intent, they
/// would change a page for each group where now they change one for dozens.
pub(super) const HELD_NOTES: usize = 256;

/// What became of a request.
type Written = Result<(), JournalError>;

/// Tells whoever waits for it.
pub(super) type Answer = Box<dyn FnOnce(Written) + Send>;

/// What the thread is asked for.
pub(super) enum Request {
    Intend(Vec<Block>, Answer),
    Forget(Vec<Unwritten>, Answer),
    /// With the time of the note.
    Note(Box<Note>, i64),
    Scan(Box<PackedScan>, Answer),
    Meta(String, String, Answer),
    Flush(Answer),
}

/// The thread, seen from outside. It ends with this value, and makes durable first what was noted.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    /// `None` only while it is dropped.
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    /// The device and the number of the file that was opened.
    file: Option<(u64, u64)>,
    /// The first failure. It stays: nobody knows what a later sync would still cover.
    failure: OnceLock<JournalError>,
    commits: AtomicU64,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(path: &Path, connection: Connection) -> Result<Self, JournalError> {
        let path = path.to_owned();
        let file = identity(&path);
        let (failure, commits) = (OnceLock::new(), AtomicU64::new(0));
        let shared = Arc::new(Shared { path, file, failure, commits });
        let (requests, queue) = mpsc::channel();
        let for_thread = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("journal".into())
            .spawn(move || {
                let (waiting, notes) = (Vec::new(), BTreeMap::new());
                Work { connection, shared: for_thread, waiting, notes }.run(&queue);
            })
            .map_err(|error| unwritable(&shared.path, error))?;
        Ok(Self { shared, requests: Some(requests), thread: Some(thread) })
    }

    /// Asks for something; the answer comes once it is durable.
    pub(super) fn ask(&self, request: Request) -> Written {
        if let Some(failure) = self.shared.failure.get() {
            return Err(failure.clone());
        }
        let asked = self.requests.as_ref().map(|requests| requests.send(request));
        asked.and_then(Result::ok).ok_or_else(|| self.stopped())
    }

    /// Why no answer came.
    pub(super) fn stopped(&self) -> JournalError {
        let failure = self.shared.failure.get().cloned();
        failure.unwrap_or_else(|| unwritable(&self.shared.path, "its writer has stopped"))
    }

    /// How many transactions were committed.
    pub(super) fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::Relaxed)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Closing the queue ends the thread. It needs nothing of the caller's runtime, so that waiting
        // for it is safe anywhere, and as short as a sync.
        self.requests = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("{}", self.stopped());
        }
    }
}

/// The thread, seen from inside.
struct Work {
    connection: Connection,
    shared: Arc<Shared>,
    /// What goes into the next transaction.
    waiting: Vec<Request>,
    /// What has happened to groups, and when, by group: in the order of the pages that it changes.
    notes: BTreeMap<usize, (Box<Note>, i64)>,
}

impl Work {
    fn run(mut self, queue: &mpsc::Receiver<Request>) {
        while let Ok(request) = queue.recv() {
            let mut is_awaited = self.take(request);
            for request in queue.try_iter() {
                is_awaited |= self.take(request);
            }
            if is_awaited || self.notes.len() >= HELD_NOTES {
                self.commit();
            }
        }
        self.waiting.push(Request::Flush(Box::new(drop)));
        self.commit();
        if self.shared.failure.get().is_none() {
            // Whoever reads the file at this moment only makes it do less.
            let checkpoint = self.connection.query_row("PRAGMA wal_checkpoint", [], |_| Ok(()));
            if let Err(error) = checkpoint {
                tracing::debug!("the journal's log stays beside it: {error}");
            }
        }
    }

    /// Puts a request with those that wait; says whether somebody waits for it.
    fn take(&mut self, request: Request) -> bool {
        match request {
            Request::Note(note, at_ms) => {
                self.hold(note, at_ms);
                return false;
            }
            Request::Intend(blocks, answer) => {
                // They say where the groups stand now.
                for intent in blocks.iter().flat_map(|block| &block.slices) {
                    self.notes.remove(&intent.group);
                }
                self.waiting.push(Request::Intend(blocks, answer));
            }
            Request::Forget(intents, answer) => {
                intents.iter().for_each(|intent| drop(self.notes.remove(&intent.group)));
                self.waiting.push(Request::Forget(intents, answer));
            }
            request => self.waiting.push(request),
        }
        true
    }

    /// Holds a note; what it says takes the place of what was noted of its group before.
    fn hold(&mut self, mut note: Box<Note>, at_ms: i64) {
        if let Some((earlier, _)) = self.notes.remove(&note.group) {
            note.known_as = note.known_as.or(earlier.known_as);
        }
        self.notes.insert(note.group, (note, at_ms));
    }

    /// Writes what waits, all or nothing, and answers.
    fn commit(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        let failure = self.shared.failure.get().cloned();
        let written = match failure {
            Some(failure) => Err(failure),
            None => self.write_to_disk(&waiting).map_err(|failure| {
                tracing::error!("{failure}");
                self.shared.failure.get_or_init(|| failure).clone()
            }),
        };
        for request in waiting {
            match request {
                Request::Intend(_, answer)
                | Request::Forget(_, answer)
                | Request::Scan(_, answer)
                | Request::Meta(_, _, answer)
                | Request::Flush(answer) => answer(written.clone()),
                // They are held apart.
                Request::Note(..) => {}
            }
        }
    }

    /// Writes what waits. A file that has no name any more takes it as well, and is gone when the process ends.
    fn write_to_disk(&mut self, waiting: &[Request]) -> Written {
        let path = &self.shared.path.clone();
        self.write(waiting).map_err(|error| unwritable(path, error))?;
        match self.shared.file.is_some() && self.shared.file == identity(path) {
            true => Ok(()),
            false => Err(unwritable(
                path,
                "somebody has removed or moved it, or put another in its place",
            )),
        }
    }

    fn write(&mut self, waiting: &[Request]) -> rusqlite::Result<()> {
        let is_flush = |request: &Request| matches!(request, Request::Flush(_));
        let notes_are_due = self.notes.len() >= HELD_NOTES || waiting.iter().any(is_flush);
        let notes = if notes_are_due { std::mem::take(&mut self.notes) } else { BTreeMap::new() };
        if notes.is_empty() && waiting.iter().all(is_flush) {
            return Ok(());
        }
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for request in waiting {
            match request {
                Request::Intend(blocks, _) => {
                    blocks.iter().try_for_each(|block| keep(&transaction, block))?;
                }
                Request::Forget(intents, _) => {
                    intents.iter().try_for_each(|intent| forget(&transaction, *intent))?;
                }
                Request::Scan(scan, _) => keep_scan(&transaction, scan)?,
                Request::Meta(key, value, _) => {
                    let sql = "INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)";
                    transaction.prepare_cached(sql)?.execute(params![key, value])?;
                }
                Request::Flush(_) | Request::Note(..) => {}
            }
        }
        for (note, at_ms) in notes.values() {
            write_note(&transaction, note, *at_ms)?;
        }
        transaction.commit()?;
        self.shared.commits.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// The device and the number of the file of this name.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let file = fs::metadata(path).ok()?;
    Some((file.dev(), file.ino()))
}

fn keep(transaction: &Transaction<'_>, block: &Block) -> rusqlite::Result<()> {
    let sql = "INSERT INTO blocks (body, body_bytes) VALUES (?1, ?2)";
    let id =
        transaction.prepare_cached(sql)?.insert(params![block.body, number(block.body_bytes)])?;
    block.slices.iter().try_for_each(|slice| intend(transaction, slice, id))
}

fn intend(transaction: &Transaction<'_>, intent: &Packed, block: i64) -> rusqlite::Result<()> {
    let group = number(intent.group);
    // Only a merge sets the group's time.
    let t = (intent.kind == SliceKind::Merge).then_some(intent.t);
    let sql = "INSERT INTO groups (number, survivor, pairs, t, state, changed_at_ms)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)
               ON CONFLICT (number) DO UPDATE SET t = coalesce(excluded.t, t), state = excluded.state,
                   reason = NULL, changed_at_ms = excluded.changed_at_ms";
    transaction.prepare_cached(sql)?.execute(params![
        group,
        intent.survivor.text(),
        intent.pairs,
        t,
        intent.state.to_string(),
        intent.changed_at_ms,
    ])?;
    let sql = "INSERT INTO slices
                   (group_number, kind, t, sealed, tally, scopes, block, start, bytes)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    transaction.prepare_cached(sql)?.execute(params![
        group,
        intent.kind.to_string(),
        intent.t,
        intent.completes,
        intent.tally,
        intent.scopes,
        block,
        number(intent.start),
        number(intent.bytes),
    ])?;
    Ok(())
}

/// Bodies are parts of blocks that others share, and stay there.
fn forget(transaction: &Transaction<'_>, intent: Unwritten) -> rusqlite::Result<()> {
    let group = number(intent.group);
    let Some(slice) = intent.sweep else {
        transaction
            .prepare_cached("DELETE FROM slices WHERE group_number = ?1")?
            .execute([group])?;
        transaction.prepare_cached("DELETE FROM groups WHERE number = ?1")?.execute([group])?;
        return Ok(());
    };
    transaction.prepare_cached("DELETE FROM slices WHERE id = ?1")?.execute([slice])?;
    let sql = "UPDATE groups SET state = ?2, reason = NULL WHERE number = ?1";
    transaction.prepare_cached(sql)?.execute(params![group, State::Done.to_string()])?;
    Ok(())
}

fn keep_scan(transaction: &Transaction<'_>, scan: &PackedScan) -> rusqlite::Result<()> {
    let sql = "INSERT INTO scans
                   (table_name, after_token, to_token, rows, enrolments, found, found_bytes)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    transaction.prepare_cached(sql)?.execute(params![
        scan.table,
        scan.range.after,
        scan.range.to,
        scan.rows,
        scan.clustered_rows,
        scan.found,
        number(scan.found_bytes),
    ])?;
    Ok(())
}

fn write_note(transaction: &Transaction<'_>, note: &Note, at_ms: i64) -> rusqlite::Result<()> {
    let (group, state) = (number(note.group), note.state.to_string());
    let Some((survivor, pairs)) = &note.known_as else {
        let sql = "UPDATE groups SET state = ?2, reason = ?3, changed_at_ms = ?4 WHERE number = ?1";
        transaction.prepare_cached(sql)?.execute(params![group, state, note.reason, at_ms])?;
        return Ok(());
    };
    let sql = "INSERT INTO groups (number, survivor, pairs, state, reason, changed_at_ms)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)
               ON CONFLICT (number) DO UPDATE SET state = excluded.state, reason = excluded.reason,
                   changed_at_ms = excluded.changed_at_ms";
    let pairs = packed::pairs(pairs);
    transaction.prepare_cached(sql)?.execute(params![
        group,
        survivor.text(),
        pairs,
        state,
        note.reason,
        at_ms,
    ])?;
    Ok(())
}

/// SQLite's integers are signed; what does not fit is beyond any plan.
pub(super) fn number(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Intend(..) => "Intend",
            Self::Forget(..) => "Forget",
            Self::Note(..) => "Note",
            Self::Scan(..) => "Scan",
            Self::Meta(..) => "Meta",
            Self::Flush(_) => "Flush",
        })
    }
}
