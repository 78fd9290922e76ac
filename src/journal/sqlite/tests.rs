//! The journal in a file: what it keeps, and what it says of one that it cannot read.

#[cfg(test)]
mod accounts;
#[cfg(test)]
mod counts;

use std::fs;
use std::path::{Path, PathBuf};

use futures::executor::block_on;
use futures::future::join_all;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::journal::fixtures::intent;
use crate::journal::{Intent, Journal, JournalError, Note, SliceKind, SqliteJournal, State};
use crate::model::{AccountId, AccountType};

/// A new journal's folder (which goes with the first value) and file.
fn create() -> (TempDir, PathBuf) {
    create_for(AccountType::Text)
}

/// The same, of accounts of this type.
fn create_for(accounts: AccountType) -> (TempDir, PathBuf) {
    // What a URI would read otherwise.
    let folder = tempfile::Builder::new().prefix("a %41?b=c#d &é").tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    SqliteJournal::create(&path, accounts).unwrap();
    (folder, path)
}

fn note(group: usize, state: State) -> Note {
    Note { group, state, reason: None, known_as: None }
}

/// What stands in the file, as somebody else sees it.
fn count(path: &Path, what: &str) -> i64 {
    let connection = Connection::open(path).unwrap();
    connection.query_row(&format!("SELECT count(*) FROM {what}"), [], |row| row.get(0)).unwrap()
}

fn files(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn intents_are_in_the_file_when_answered_and_notes_later() {
    let (_folder, path) = create();
    let journal = SqliteJournal::open(&path).unwrap();
    block_on(journal.intend(vec![intent(1)])).unwrap();
    assert_eq!((count(&path, "groups"), count(&path, "slices")), (1, 1));
    journal.note(note(1, State::Written)).unwrap();
    journal.note(note(1, State::Done)).unwrap();
    block_on(journal.intend(vec![intent(2)])).unwrap();
    assert_eq!(count(&path, "groups WHERE state = 'done'"), 0, "it rode with an intent");
    assert_eq!(journal.commits(), 2, "the notes had a sync of their own");
    journal.note(note(2, State::Done)).unwrap();
    block_on(journal.flush()).unwrap();
    assert_eq!(count(&path, "groups WHERE state = 'done'"), 2);
    block_on(journal.flush()).unwrap();
    assert_eq!(journal.commits(), 3, "nothing was synced");
    journal.set_meta("a", "b").unwrap();
    assert_eq!(count(&path, "meta WHERE key = 'a' AND value = 'b'"), 1);
    journal.note(note(1, State::Failed)).unwrap();
    drop(journal);
    assert_eq!(count(&path, "groups WHERE state = 'failed'"), 1, "closing flushes");
}

#[test]
fn an_intent_stands_above_the_notes_before_it() {
    let (_folder, path) = create();
    let journal = SqliteJournal::open(&path).unwrap();
    let Intent { survivor, pairs, .. } = intent(1);
    block_on(journal.intend(vec![intent(1)])).unwrap();
    journal.note(note(1, State::Done)).unwrap();
    let swept = Intent { state: State::Sweeping, kind: SliceKind::Sweep, ..intent(1) };
    block_on(journal.intend(vec![swept])).unwrap();
    // It is known by the first note only.
    journal.note(Note { known_as: Some((survivor, pairs)), ..note(2, State::Failed) }).unwrap();
    journal.note(note(2, State::Failed)).unwrap();
    block_on(journal.flush()).unwrap();
    assert_eq!(journal.states().unwrap(), [(1, State::Sweeping), (2, State::Failed)]);
}

/// A kill does not tell a transaction that was synced from one that was not; only a power cut would.
#[test]
fn every_transaction_is_synced() {
    let (_folder, path) = create();
    let connection = super::schema::writing(&path, None).unwrap();
    let synchronous: i64 =
        connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
    assert_eq!(synchronous, 2, "full");
    let mode: String =
        connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
}

#[test]
fn intents_in_flight_share_a_sync() {
    let (_folder, path) = create();
    let journal = SqliteJournal::open(&path).unwrap();
    // Somebody else has the file while they are asked for; the first transaction waits for that.
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let answers = block_on(async {
        let asked = join_all((0..200).map(|group| journal.intend(vec![intent(group)])));
        let release = async { other.execute_batch("COMMIT").unwrap() };
        futures::join!(asked, release).0
    });
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(count(&path, "slices"), 200);
    // The first takes those that were there when it began, the second the rest.
    assert!(journal.commits() <= 2, "{} syncs", journal.commits());
}

#[test]
fn many_notes_do_not_wait_for_an_intent() {
    let (_folder, path) = create();
    let journal = SqliteJournal::open(&path).unwrap();
    let Intent { survivor, pairs, .. } = intent(1);
    for group in 0..super::writer::HELD_NOTES {
        let known_as = Some((survivor.clone(), pairs.clone()));
        journal.note(Note { known_as, ..note(group, State::Failed) }).unwrap();
    }
    let begun = std::time::Instant::now();
    while count(&path, "groups") == 0 {
        assert!(begun.elapsed().as_secs() < 60, "they are still held");
        std::thread::yield_now();
    }
    assert_eq!(count(&path, "groups"), super::writer::HELD_NOTES as i64);
}

#[test]
fn a_full_disk_ends_it_and_what_failed_is_not_in_the_file() {
    let (_folder, path) = create();
    let journal = SqliteJournal::open_limited(&path, Some(40)).unwrap();
    let mut kept = Vec::new();
    let error = loop {
        let group = kept.len();
        match block_on(journal.intend(vec![intent(group)])) {
            Ok(()) => kept.push((group, State::Intended)),
            Err(error) => break error.to_string(),
        }
    };
    assert!(kept.len() > 10, "{}", kept.len());
    let expected =
        format!("the journal {} cannot be written: database or disk is full", path.display());
    assert!(error.starts_with(&expected), "{error}");
    // Even what would fit now fails, with the same words.
    let failed = [
        block_on(journal.intend(vec![intent(500)])),
        journal.note(note(0, State::Done)),
        block_on(journal.flush()),
        journal.set_meta("a", "b"),
    ];
    for failed in failed {
        assert_eq!(failed.unwrap_err().to_string(), error);
    }
    assert_eq!(journal.states().unwrap(), kept);
    drop(journal);
    let journal = SqliteJournal::open(&path).unwrap();
    assert_eq!(journal.states().unwrap(), kept);
    assert_eq!(count(&path, "slices"), kept.len() as i64);
    // With room again, a new session goes on.
    block_on(journal.intend(vec![intent(kept.len())])).unwrap();
}

#[test]
fn intents_that_share_a_sync_share_its_failure() {
    let (_folder, path) = create();
    let journal = SqliteJournal::open_limited(&path, Some(12)).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let large = |group| Intent { body: vec![7; 100], ..intent(group) };
    let answers = block_on(async {
        let asked = join_all((0..400).map(|group| journal.intend(vec![large(group)])));
        let release = async { other.execute_batch("COMMIT").unwrap() };
        futures::join!(asked, release).0
    });
    let kept = journal.states().unwrap();
    for (group, answer) in answers.iter().enumerate() {
        assert_eq!(answer.is_ok(), kept.contains(&(group, State::Intended)), "{group}: {answer:?}");
    }
    assert!(answers.iter().any(Result::is_err));
}

#[tokio::test]
async fn dropped_anywhere_it_keeps_what_was_noted_and_leaves_one_file() {
    let (folder, path) = create();
    let journal = SqliteJournal::open(&path).unwrap();
    journal.intend(vec![intent(1)]).await.unwrap();
    journal.note(note(1, State::Done)).unwrap();
    assert_eq!(files(&folder).len(), 3);
    drop(journal);
    assert_eq!(files(&folder), ["journal.sqlite"]);
    let journal = SqliteJournal::open_read_only(&path).unwrap();
    assert_eq!(journal.states().unwrap(), [(1, State::Done)]);
    drop(journal);
    assert_eq!(files(&folder), ["journal.sqlite"], "a look leaves nothing");
}

#[test]
fn a_look_changes_nothing() {
    let (_folder, path) = create();
    let run = SqliteJournal::open(&path).unwrap();
    block_on(run.intend(vec![intent(1)])).unwrap();
    let look = SqliteJournal::open_read_only(&path).unwrap();
    assert_eq!(look.states().unwrap(), [(1, State::Intended)]);
    block_on(run.intend(vec![intent(2)])).unwrap();
    assert_eq!(look.states().unwrap().len(), 2, "it sees what a run adds");
    for refused in [
        block_on(look.intend(vec![intent(3)])),
        look.note(note(1, State::Done)),
        look.set_meta("a", "b"),
        block_on(look.flush()),
    ] {
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("it was opened for reading only"), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn only_its_owner_can_read_it() {
    use std::os::unix::fs::MetadataExt;
    let (folder, path) = create();
    let _journal = SqliteJournal::open(&path).unwrap();
    for name in files(&folder) {
        let mode = fs::metadata(folder.path().join(&name)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn a_file_is_never_made_over_another() {
    let (_folder, path) = create();
    let before = fs::read(&path).unwrap();
    let error = SqliteJournal::create(&path, AccountType::Text).unwrap_err();
    assert!(matches!(error, JournalError::Write { .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

/// What opening a file says, for a run and for a look.
fn refused(path: &Path) -> JournalError {
    let error = SqliteJournal::open(path).unwrap_err();
    let look = SqliteJournal::open_read_only(path).unwrap_err();
    assert_eq!(error.to_string(), look.to_string());
    error
}

#[test]
fn what_is_no_journal_is_told_apart() {
    let (folder, path) = create();
    let error = refused(&folder.path().join("none")).to_string();
    let expected = format!("{} has no journal: it is not a run", folder.path().display());
    assert!(error.starts_with(&expected), "{error}");

    for (version, expected) in [
        (2, "has a schema of version 2, but this program reads versions 3 to 5"),
        (6, "has a schema of version 6, but this program reads versions 3 to 5"),
    ] {
        Connection::open(&path).unwrap().pragma_update(None, "user_version", version).unwrap();
        let error = refused(&path).to_string();
        assert!(error.contains(expected), "{error}");
    }

    for contents in [&b""[..], b"from,to\na,b\n", &[0x53; 8_192]] {
        fs::write(&path, contents).unwrap();
        let error = refused(&path);
        assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
    }
}

/// A journal of the version before is read as it is, and is one of this version from when it may be written to.
#[test]
fn a_journal_of_the_version_before_is_gone_on_with() {
    let (_folder, path) = create();
    let version = || -> i64 {
        let connection = Connection::open(&path).unwrap();
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    };
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 4).unwrap();
    drop(SqliteJournal::open_read_only(&path).unwrap());
    assert_eq!(version(), 4);
    drop(SqliteJournal::open(&path).unwrap());
    assert_eq!(version(), 5);
}

#[test]
fn damage_is_an_error_and_no_panic() {
    let (_folder, path) = create();
    let journal = SqliteJournal::open(&path).unwrap();
    block_on(join_all((0..100).map(|group| journal.intend(vec![intent(group)]))));
    drop(journal);
    let whole = fs::read(&path).unwrap();
    let mut noticed = 0;
    for at in (100..whole.len()).step_by(1_500) {
        let mut damaged = whole.clone();
        let end = (at + 700).min(whole.len());
        damaged[at..end].fill(0xa5);
        fs::write(&path, damaged).unwrap();
        let Ok(journal) = SqliteJournal::open_read_only(&path) else {
            noticed += 1;
            continue;
        };
        let slices = journal.slices_between(SliceKind::Merge, 0, 1_000);
        noticed += usize::from(slices.is_err());
        for slice in slices.into_iter().flatten() {
            noticed += usize::from(journal.body(slice.id).is_err());
        }
        noticed += usize::from(journal.states().is_err());
        noticed += usize::from(journal.tally(&[State::Intended]).is_err());
    }
    assert!(noticed > 10, "{noticed}");
}

#[test]
fn what_stands_in_a_column_is_checked() {
    let (_folder, path) = create();
    let journal = SqliteJournal::open(&path).unwrap();
    block_on(journal.intend(vec![intent(1)])).unwrap();
    type Read = fn(&SqliteJournal) -> Result<(), JournalError>;
    let body: Read = |journal| journal.body(1).map(drop);
    let slice: Read = |journal| journal.slices(1).map(drop);
    let group: Read = |journal| journal.group(1).map(drop);
    let other = Connection::open(&path).unwrap();
    for (change, read, expected) in [
        ("UPDATE blocks SET body_bytes = body_bytes + 1", body, "a body is not"),
        ("UPDATE blocks SET body_bytes = 9223372036854775807", body, "a body is not"),
        ("UPDATE blocks SET body_bytes = 7", body, "a body is not 7 bytes long"),
        ("UPDATE blocks SET body_bytes = -1", body, "out of range"),
        ("UPDATE blocks SET body = x'789c0102', body_bytes = 7", body, "cannot be uncompressed"),
        ("UPDATE blocks SET body = 1.5", body, "Invalid column type Real"),
        ("UPDATE slices SET block = 7", body, "there is no block 7"),
        ("UPDATE slices SET tally = '['", slice, "EOF"),
        ("UPDATE slices SET tally = NULL, kind = 'x'", slice, "'x' is not a kind of slice"),
        ("UPDATE groups SET state = 'lost'", group, "'lost' is not a state"),
        ("UPDATE groups SET state = 'done', pairs = '[[1]]'", group, "expected a string"),
    ] {
        other.execute_batch(change).unwrap();
        let error = read(&journal).unwrap_err();
        let is_told = matches!(error, JournalError::Damaged { .. } | JournalError::Record(_));
        assert!(is_told, "{change}: {error}");
        let is_undecoded = expected.starts_with("a body") || expected.starts_with("cannot be");
        assert!(!(is_undecoded && error.is_fatal()), "{change}: other groups are not concerned");
        assert!(error.to_string().contains(expected), "{change}: {error}");
    }
}

#[test]
fn an_account_is_found_wherever_it_stands() {
    let (_folder, path) = create();
    let journal = SqliteJournal::open(&path).unwrap();
    for group in [1, 2, 12] {
        block_on(journal.intend(vec![intent(group)])).unwrap();
    }
    let found = |account: &str| -> Vec<usize> {
        let groups = journal.groups_of(&AccountId::new(account)).unwrap();
        groups.into_iter().map(|group| group.group).collect()
    };
    assert_eq!(found("to 1"), [1]);
    assert_eq!(found("near 2"), [2]);
    assert_eq!(found("\"far,\" \u{1}\\é 12"), [12]);
    for absent in ["", ",", "to", "near", "[", "near 1\",\"to 1", "1"] {
        assert!(found(absent).is_empty(), "{absent}");
    }
}

#[test]
fn an_operator_sees_where_the_groups_stand() {
    let (_folder, path) = create();
    let journal = SqliteJournal::open(&path).unwrap();
    let states = || -> Vec<(String, i64)> {
        let connection = Connection::open(&path).unwrap();
        let mut query =
            connection.prepare("SELECT state, groups FROM states ORDER BY state").unwrap();
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    let expect = |expected: &[(&str, i64)]| {
        let found = states();
        let found: Vec<_> = found.iter().map(|(state, groups)| (state.as_str(), *groups)).collect();
        assert_eq!(found, expected);
    };
    expect(&[]);
    journal.set_meta("groups", "10").unwrap();
    expect(&[("planned", 10)]);
    for group in 0..3 {
        block_on(journal.intend(vec![intent(group)])).unwrap();
    }
    journal.note(note(1, State::Done)).unwrap();
    block_on(journal.flush()).unwrap();
    expect(&[("done", 1), ("intended", 2), ("planned", 7)]);
}
