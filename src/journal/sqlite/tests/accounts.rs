//! Accounts are stored as they are written out, and come back as what they were.

use std::path::Path;

use futures::executor::block_on;
use rusqlite::Connection;

use super::super::packed;
use super::{create_for, note};
use crate::journal::fixtures::intent;
use crate::journal::{GroupRecord, Intent, Journal, JournalError, Note, SqliteJournal, State};
use crate::model::{AccountId, AccountType, Pair};

/// Of each type a source in a spelling of its own and in the usual one, what it is merged into, and a stranger.
const ACCOUNTS: [(AccountType, [&str; 4]); 7] = [
    (AccountType::Text, ["4AA7 \"é\"", "4AA7 \"é\"", "007", "7"]),
    (AccountType::Ascii, ["4AA7\\", "4AA7\\", "007", "7"]),
    (
        AccountType::Uuid,
        [
            "{4AA7F1C0-0000-4000-8000-00000000ABCD}",
            "4aa7f1c0-0000-4000-8000-00000000abcd",
            "4aa7f1c0-0000-4000-8000-00000000abce",
            "4aa7f1c0-0000-4000-8000-00000000abcf",
        ],
    ),
    (
        AccountType::TimeUuid,
        [
            "4AA7F1C000001000800000000000ABCD",
            "4aa7f1c0-0000-1000-8000-00000000abcd",
            "4aa7f1c0-0000-1000-8000-00000000abce",
            "4aa7f1c0-0000-1000-8000-00000000abcf",
        ],
    ),
    (AccountType::Int, ["007", "7", "-7", "77"]),
    (AccountType::BigInt, ["009223372036854775807", "9223372036854775807", "7", "0"]),
    (AccountType::Varint, ["-0018446744073709551616", "-18446744073709551616", "7", "0"]),
];

#[track_caller]
fn parsed(of: AccountType, id: &str) -> AccountId {
    AccountId::parse(of, id).unwrap_or_else(|| panic!("{id} is a {of}"))
}

fn stored(path: &Path) -> (String, String) {
    let connection = Connection::open(path).unwrap();
    let sql = "SELECT survivor, pairs FROM groups WHERE number = 1";
    connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

#[test]
fn accounts_of_every_type_come_back_and_are_found_in_any_spelling() {
    for (of, [spelt, usual, survivor, stranger]) in ACCOUNTS {
        let (_folder, path) = create_for(of);
        let (from, into) = (parsed(of, spelt), parsed(of, survivor));
        let pairs = vec![Pair { from: from.clone(), into: into.clone(), line: 2 }];
        let journal = SqliteJournal::open(&path).unwrap();
        assert_eq!(journal.accounts(), of);
        let known_as = Some((into.clone(), pairs.clone()));
        let intent = Intent { survivor: into.clone(), pairs: pairs.clone(), ..intent(1) };
        block_on(journal.intend(vec![intent])).unwrap();
        journal.note(Note { known_as, ..note(2, State::Failed) }).unwrap();
        block_on(journal.flush()).unwrap();
        drop(journal);

        let (kept, listed) = stored(&path);
        assert_eq!(kept, survivor);
        let listed: Vec<(String, String, u64)> = serde_json::from_str(&listed).unwrap();
        assert_eq!(listed, [(usual.to_owned(), survivor.to_owned(), 2)]);
        let journal = SqliteJournal::open_read_only(&path).unwrap();
        assert_eq!(journal.accounts(), of);
        let is_whole = |group: &GroupRecord| group.survivor == into && group.pairs == pairs;
        assert!((1..3).all(|group| journal.group(group).unwrap().is_some_and(|g| is_whole(&g))));
        for id in [spelt, usual, survivor] {
            let found = journal.groups_of(&parsed(of, id)).unwrap();
            assert!(found.len() == 2 && found.iter().all(is_whole), "{id}");
        }
        assert_eq!(journal.groups_of(&parsed(of, stranger)).unwrap(), []);
    }
}

#[test]
fn an_id_that_is_none_is_damage() {
    for (of, [_, usual, survivor, _]) in ACCOUNTS {
        let (_folder, path) = create_for(of);
        let journal = SqliteJournal::open(&path).unwrap();
        let (from, into) = (parsed(of, usual), parsed(of, survivor));
        let pairs = vec![Pair { from, into: into.clone(), line: 2 }];
        block_on(journal.intend(vec![Intent { survivor: into, pairs, ..intent(1) }])).unwrap();
        let other = Connection::open(&path).unwrap();
        for change in ["survivor = 'n\u{f6}', pairs = '[]'", "pairs = '[[\"n\u{f6}\",\"1\",2]]'"] {
            other.execute_batch(&format!("UPDATE groups SET {change}")).unwrap();
            let found = journal.group(1);
            if of == AccountType::Text {
                assert!(found.is_ok(), "{found:?}");
                continue;
            }
            let error = found.unwrap_err();
            assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
            assert!(error.to_string().contains(&format!("'n\u{f6}' is no {of}")), "{error}");
        }
    }
}

#[test]
fn a_journal_without_a_type_is_of_text_and_a_type_that_is_none_is_damage() {
    let (_folder, path) = create_for(AccountType::Uuid);
    let other = Connection::open(&path).unwrap();
    other.execute_batch("DELETE FROM meta").unwrap();
    let journal = SqliteJournal::open(&path).unwrap();
    assert_eq!(journal.accounts(), AccountType::Text);
    block_on(journal.intend(vec![intent(1)])).unwrap();
    assert_eq!(journal.group(1).unwrap().unwrap().survivor, intent(1).survivor);
    drop(journal);
    other.execute_batch("INSERT INTO meta VALUES ('account_type', 'blob')").unwrap();
    let error = SqliteJournal::open(&path).unwrap_err();
    assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("'blob' is not a type of accounts"), "{error}");
}

/// What a group takes in the file is counted as it is written there.
#[test]
fn the_size_of_an_intent_is_that_of_its_text() {
    let bytes = |of, survivor: &str| {
        let survivor = AccountId::parse(of, survivor).unwrap();
        packed::stored_bytes(Intent { survivor, ..intent(1) })
    };
    let uuid = "4aa7f1c0-0000-4000-8000-00000000abcd";
    // From the second on, the same body stands before it.
    bytes(AccountType::Text, uuid);
    assert_eq!(bytes(AccountType::Uuid, uuid), bytes(AccountType::Text, uuid));
}
