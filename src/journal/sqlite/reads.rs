//! What is read back. A connection of its own: readers see what is committed and never hold up the writer.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, Type, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::journal::body::json;
use crate::journal::{GroupRecord, JournalError, ScanRecord, SliceKind, SliceRecord, State};
use crate::model::{AccountId, AccountType, Amount, Tally, TokenRange};

use super::packed::{read_account, read_pairs, read_tally, uncompress};
use super::schema::{ACCOUNT_TYPE, unreadable};
use super::writer::number;

const GROUP: &str = "SELECT number, survivor, pairs, t, state, reason, changed_at_ms FROM groups";
const SLICE: &str = "SELECT id, group_number, kind, t, sealed, tally, scopes FROM slices";

/// The reading connection.
#[derive(Debug)]
pub(super) struct Reads {
    connection: Mutex<Connection>,
    path: PathBuf,
    /// Ids are stored as they are written out, and read by it.
    accounts: AccountType,
    /// Slices that are read one after the other are often of one block.
    last_blocks: Mutex<VecDeque<(i64, Bytes)>>,
}

/// The bytes of blocks that are held: the groups of a window have their turns in no order, and all their blocks fit.
const HELD_BYTES: usize = 8 * 1024 * 1024;

impl Reads {
    pub(super) fn new(path: &Path, connection: Connection) -> Result<Self, JournalError> {
        let (connection, path) = (Mutex::new(connection), path.to_owned());
        let last_blocks = Mutex::default();
        let reads = Self { connection, path, accounts: AccountType::default(), last_blocks };
        // A journal of an earlier version does not say it: its accounts are text.
        let accounts = match reads.meta(ACCOUNT_TYPE)? {
            Some(name) => name.parse().map_err(|what| reads.damaged(what))?,
            None => AccountType::default(),
        };
        Ok(Self { accounts, ..reads })
    }

    pub(super) fn accounts(&self) -> AccountType {
        self.accounts
    }

    pub(super) fn states(&self) -> Result<Vec<(usize, State)>, JournalError> {
        self.read(|connection| {
            let mut query =
                connection.prepare("SELECT number, state FROM groups ORDER BY number")?;
            let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })
    }

    pub(super) fn group(&self, group: usize) -> Result<Option<GroupRecord>, JournalError> {
        self.read(|connection| {
            let mut query = connection.prepare_cached(&format!("{GROUP} WHERE number = ?1"))?;
            query.query_row([number(group)], |row| self.group_record(row)).optional()
        })
    }

    pub(super) fn groups_of(&self, account: &AccountId) -> Result<Vec<GroupRecord>, JournalError> {
        let mut quoted = Vec::new();
        json::text(&mut quoted, &account.text());
        let quoted = String::from_utf8_lossy(&quoted);
        self.read(|connection| {
            // The text may stand across two ids (`","` does), so what is found is looked at again.
            let sql =
                format!("{GROUP} WHERE survivor = ?1 OR instr(pairs, ?2) > 0 ORDER BY number");
            let mut query = connection.prepare_cached(&sql)?;
            let named = params![account.text(), quoted];
            let found = query.query_map(named, |row| self.group_record(row))?;
            let names = |group: &GroupRecord| {
                let mut pairs = group.pairs.iter();
                group.survivor == *account
                    || pairs.any(|pair| pair.from == *account || pair.into == *account)
            };
            found.filter(|group| group.as_ref().map_or(true, names)).collect()
        })
    }

    pub(super) fn slices(&self, group: usize) -> Result<Vec<SliceRecord>, JournalError> {
        self.read(|connection| {
            let sql = format!("{SLICE} WHERE group_number = ?1 ORDER BY id");
            let mut query = connection.prepare_cached(&sql)?;
            query.query_map([number(group)], slice_record)?.collect()
        })
    }

    pub(super) fn slices_between(
        &self,
        kind: SliceKind,
        from: usize,
        to: usize,
    ) -> Result<Vec<SliceRecord>, JournalError> {
        self.read(|connection| {
            let sql = format!(
                "{SLICE} WHERE group_number >= ?2 AND group_number < ?3 AND kind = ?1
                 ORDER BY group_number, id"
            );
            let mut query = connection.prepare_cached(&sql)?;
            let slices = params![kind.to_string(), number(from), number(to)];
            query.query_map(slices, slice_record)?.collect()
        })
    }

    pub(super) fn body(&self, slice: i64) -> Result<Bytes, JournalError> {
        let found = self.read(|connection| {
            let sql = "SELECT block, start, bytes FROM slices WHERE id = ?1";
            let mut query = connection.prepare_cached(sql)?;
            let location = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            query.query_row([slice], location).optional()
        });
        let (block, start, bytes): (i64, usize, usize) =
            found?.ok_or_else(|| JournalError::Record(format!("there is no slice {slice}")))?;
        let block = self.block(block)?;
        let end = start.checked_add(bytes).filter(|end| *end <= block.len());
        end.map(|end| block.slice(start..end))
            .ok_or_else(|| JournalError::Record(format!("slice {slice} is not in its block")))
    }

    /// A block, from the file only if it is none of the last.
    fn block(&self, id: i64) -> Result<Bytes, JournalError> {
        let last = || self.last_blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, block)) = last().iter().find(|(known, _)| *known == id) {
            return Ok(block.clone());
        }
        let sql = "SELECT body, body_bytes FROM blocks WHERE id = ?1";
        let block = self.unpacked(sql, "block", id)?;
        let mut last = last();
        last.push_back((id, block.clone()));
        let mut held: usize = last.iter().map(|(_, block)| block.len()).sum();
        while held > HELD_BYTES
            && let Some((_, oldest)) = last.pop_front()
        {
            held -= oldest.len();
        }
        Ok(block)
    }

    pub(super) fn scans(&self) -> Result<Vec<ScanRecord>, JournalError> {
        self.read(|connection| {
            let sql = "SELECT id, table_name, after_token, to_token, rows, enrolments FROM scans
                       ORDER BY id";
            connection.prepare_cached(sql)?.query_map([], scan_record)?.collect()
        })
    }

    pub(super) fn found(&self, scan: i64) -> Result<Bytes, JournalError> {
        self.unpacked("SELECT found, found_bytes FROM scans WHERE id = ?1", "scan", scan)
    }

    /// What a query gives as packed bytes and their number when they are not.
    fn unpacked(&self, sql: &str, what: &str, id: i64) -> Result<Bytes, JournalError> {
        let found = self.read(|connection| {
            let mut query = connection.prepare_cached(sql)?;
            query.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        });
        let (packed, bytes) =
            found?.ok_or_else(|| JournalError::Record(format!("there is no {what} {id}")))?;
        uncompress(packed, bytes).map(Bytes::from).map_err(JournalError::Record)
    }

    /// Row by row: there may be millions.
    pub(super) fn tally(&self, states: &[State]) -> Result<Tally, JournalError> {
        self.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT state, tally FROM slices JOIN groups ON number = group_number
                 WHERE kind = ?1",
            )?;
            let mut rows = query.query([SliceKind::Merge.to_string()])?;
            let mut sum = Tally::default();
            while let Some(row) = rows.next()? {
                if states.contains(&row.get(0)?) {
                    sum.add(&json_of(row, 1, read_tally)?);
                }
            }
            Ok(sum)
        })
    }

    pub(super) fn meta(&self, name: &str) -> Result<Option<String>, JournalError> {
        self.read(|connection| {
            let mut query = connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
            query.query_row([name], |row| row.get(0)).optional()
        })
    }

    pub(super) fn metas(&self, beginning: &str) -> Result<Vec<(String, String)>, JournalError> {
        self.read(|connection| {
            let sql = "SELECT key, value FROM meta WHERE substr(key, 1, length(?1)) = ?1";
            let mut query = connection.prepare_cached(sql)?;
            let rows = query.query_map([beginning], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })
    }

    fn group_record(&self, row: &Row<'_>) -> rusqlite::Result<GroupRecord> {
        let of = self.accounts;
        Ok(GroupRecord {
            group: row.get(0)?,
            survivor: read_account(of, row.get_ref(1)?.as_str()?)
                .map_err(|error| unfit(1, error))?,
            pairs: json_of(row, 2, |text| read_pairs(of, text.unwrap_or_default()))?,
            t: row.get(3)?,
            state: row.get(4)?,
            reason: row.get(5)?,
            changed_at_ms: row.get(6)?,
        })
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, JournalError> {
        let connection: MutexGuard<'_, _> =
            self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        read(&connection).map_err(|error| unreadable(&self.path, &error))
    }

    fn damaged(&self, what: String) -> JournalError {
        JournalError::Damaged { path: self.path.display().to_string(), what }
    }
}

fn slice_record(row: &Row<'_>) -> rusqlite::Result<SliceRecord> {
    Ok(SliceRecord {
        id: row.get(0)?,
        group: row.get(1)?,
        kind: row.get(2)?,
        t: row.get(3)?,
        completes: row.get(4)?,
        tally: json_of(row, 5, read_tally)?,
        scopes: row.get::<_, Option<Vec<u8>>>(6)?.unwrap_or_default().into(),
    })
}

fn scan_record(row: &Row<'_>) -> rusqlite::Result<ScanRecord> {
    Ok(ScanRecord {
        id: row.get(0)?,
        table: row.get(1)?,
        range: TokenRange { after: row.get(2)?, to: row.get(3)? },
        rows: row.get(4)?,
        clustered_rows: row.get(5)?,
    })
}

/// What a column holds as JSON.
fn json_of<T>(
    row: &Row<'_>,
    column: usize,
    read: impl FnOnce(Option<&str>) -> Result<T, serde_json::Error>,
) -> rusqlite::Result<T> {
    read(row.get_ref(column)?.as_str_or_null()?).map_err(|error| unfit(column, error))
}

/// The error of a column that does not hold what it should.
fn unfit(column: usize, error: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}

impl FromSql for State {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        named(value, "a state")
    }
}

impl FromSql for SliceKind {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        named(value, "a kind of slice")
    }
}

fn named<T: FromStr>(value: ValueRef<'_>, what: &str) -> FromSqlResult<T> {
    let name = value.as_str()?;
    name.parse().map_err(|_| FromSqlError::Other(format!("'{name}' is not {what}").into()))
}
