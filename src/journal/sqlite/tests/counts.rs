//! The counts of slices, as they stand in a journal of any age.

use futures::executor::block_on;
use rusqlite::Connection;

use super::create;
use crate::journal::fixtures::intent;
use crate::journal::{Journal, SqliteJournal};
use crate::model::{TableTally, Tally};

/// Counts are known by their place: a journal may lack the last ones, or have some that are newer than this program.
#[test]
fn counts_that_a_journal_lacks_are_none_and_those_that_are_not_known_are_passed_over() {
    let (_folder, path) = create();
    let journal = SqliteJournal::open(&path).unwrap();
    block_on(journal.intend(vec![intent(1)])).unwrap();
    let read = |tally: &str| {
        let change = format!("UPDATE slices SET tally = '{tally}'");
        Connection::open(&path).unwrap().execute_batch(&change).unwrap();
        journal.slices(1).unwrap()[0].tally.clone()
    };
    let table = TableTally { source_rows: 9, copied: 7, ..TableTally::default() };
    let known = Tally { tables: vec![table], absent_survivors: 5, ..Tally::default() };
    assert_eq!(read("[[[9,0,7]],0,5]"), known);
    let later = |first: &str| format!("{first}{}", ",0".repeat(100)) + ",8";
    assert_eq!(read(&format!("[[[{}]],{}]", later("9,0,7"), later("0,5"))), known);
    assert_eq!(read("[]"), Tally::default());
}
