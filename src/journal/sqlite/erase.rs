//! Groups, taken out of a journal for good: their accounts, their slices, and the bytes that these have in blocks.

use std::fs::{self, File};
use std::path::Path;

use rusqlite::{Connection, params};

use crate::journal::{JournalError, LEFT_OF, State};

use super::packed::{compress, uncompress};
use super::schema::{begin_log, create_file, unreadable, unwritable, writing};
use super::writer::number;

/// A slice in its block.
struct Extent {
    block: i64,
    start: usize,
    bytes: usize,
}

/// Erases groups of a journal that nobody works on.
///
/// # Errors
/// It cannot be read or written, or is damaged.
pub(super) fn erase(path: &Path, groups: &[usize]) -> Result<(), JournalError> {
    let connection = writing(path, None)?;
    let failed = |error| unwritable(path, error);
    // Freed pages are overwritten, not only forgotten.
    connection.pragma_update(None, "secure_delete", "on").map_err(failed)?;
    connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
    for group in groups {
        for extent in extents(&connection, *group).map_err(|error| unreadable(path, &error))? {
            blank(&connection, path, &extent)?;
        }
        erase_group(&connection, *group).map_err(failed)?;
    }
    connection.execute_batch("COMMIT").map_err(failed)?;
    write_anew(connection, path)
}

/// Writes a journal anew, without what its pages hold beside their rows. The copy is made in the journal's own folder: that
/// of a plain `VACUUM` lies where temporary files do, which is another disk, and may be full. Whatever stops it leaves a
/// journal from which the groups are gone.
fn write_anew(connection: Connection, path: &Path) -> Result<(), JournalError> {
    let failed = |error| unwritable(path, error);
    let anew = path.with_extension("new");
    // Left by one that was killed.
    _ = fs::remove_file(&anew);
    let copy = || -> rusqlite::Result<()> {
        connection.execute("VACUUM INTO ?1", [anew.to_string_lossy()])?;
        begin_log(&anew)?.close().map_err(|(_, error)| error)?;
        connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
    };
    let copied = create_file(&anew).map_err(|error| unwritable(&anew, error));
    if let Err(error) = copied.and_then(|()| copy().map_err(failed)) {
        _ = fs::remove_file(&anew);
        return Err(error);
    }
    connection.close().map_err(|(_, error)| failed(error))?;
    let synced = File::open(&anew).and_then(|file| file.sync_all());
    synced.and_then(|()| fs::rename(&anew, path)).map_err(|error| unwritable(path, error))
}

fn extents(connection: &Connection, group: usize) -> rusqlite::Result<Vec<Extent>> {
    let sql = "SELECT block, start, bytes FROM slices WHERE group_number = ?1";
    let mut query = connection.prepare_cached(sql)?;
    let extent = query.query_map([number(group)], |row| {
        Ok(Extent { block: row.get(0)?, start: row.get(1)?, bytes: row.get(2)? })
    })?;
    extent.collect()
}

/// Overwrites the bytes of a slice; the slices beside it stay where they are.
fn blank(connection: &Connection, path: &Path, extent: &Extent) -> Result<(), JournalError> {
    let damaged = |what| JournalError::Damaged { path: path.display().to_string(), what };
    let sql = "SELECT body, body_bytes FROM blocks WHERE id = ?1";
    let (packed, bytes): (Vec<u8>, usize) = connection
        .query_row(sql, [extent.block], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(|error| unreadable(path, &error))?;
    let mut body = uncompress(packed, bytes).map_err(damaged)?;
    let end = extent.start.saturating_add(extent.bytes);
    let slice = body.get_mut(extent.start..end);
    slice.ok_or_else(|| damaged("a slice is not in its block".to_owned()))?.fill(0);
    let packed = compress(body, &[]);
    let sql = "UPDATE blocks SET body = ?2 WHERE id = ?1";
    let updated = connection.execute(sql, params![extent.block, packed]);
    updated.map(drop).map_err(|error| unwritable(path, error))
}

fn erase_group(connection: &Connection, group: usize) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM slices WHERE group_number = ?1", [number(group)])?;
    connection.execute("DELETE FROM meta WHERE key = ?1", [format!("{LEFT_OF}{group}")])?;
    let sql = "UPDATE groups SET survivor = '', pairs = '[]', t = NULL, reason = NULL, state = ?2
               WHERE number = ?1";
    connection.execute(sql, params![number(group), State::Erased.to_string()]).map(drop)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use futures::executor::block_on;

    use crate::journal::fixtures::intent;
    use crate::journal::{Intent, Journal, LEFT_OF, SqliteJournal, State};
    use crate::model::AccountType;

    /// Bytes that cannot be packed, so that they are found in the file.
    fn body(seed: u64) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(seed);
        std::iter::repeat_with(|| random.u8(..)).take(500).collect()
    }

    #[test]
    fn nothing_of_a_group_is_left_in_the_file_and_the_others_are_as_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.sqlite");
        SqliteJournal::create(&path, AccountType::Text).unwrap();
        let journal = SqliteJournal::open(&path).unwrap();
        let intents = [1, 2, 3].map(|group| Intent { body: body(group as u64), ..intent(group) });
        block_on(journal.intend(intents.to_vec())).unwrap();
        let kept = journal.group(1).unwrap();
        let left = |group: usize| format!("what was left of the group numbered {group}");
        for group in [1, 2] {
            journal.set_meta(&format!("{LEFT_OF}{group}"), &left(group)).unwrap();
        }
        drop(journal);
        let holds = |part: &[u8]| {
            let bytes = fs::read(&path).unwrap();
            bytes.windows(part.len()).any(|window| window == part)
        };
        let survivor = intents[1].survivor.to_string();
        assert!(holds(&body(2)) && holds(survivor.as_bytes()));

        SqliteJournal::erase(&path, &[2]).unwrap();
        assert!(!holds(&body(2)) && !holds(survivor.as_bytes()) && !holds(left(2).as_bytes()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no log is left beside it");
        let journal = SqliteJournal::open(&path).unwrap();
        let states = journal.states().unwrap();
        assert_eq!(states, [(1, State::Intended), (2, State::Erased), (3, State::Intended)]);
        assert_eq!(journal.group(1).unwrap(), kept);
        assert_eq!(journal.metas(LEFT_OF).unwrap(), [(format!("{LEFT_OF}1"), left(1))]);
        assert_eq!(journal.slices(2).unwrap(), []);
        for group in [1, 3] {
            let slice = journal.slices(group).unwrap()[0].id;
            assert_eq!(journal.body(slice).unwrap(), body(group as u64));
        }
    }
}
