//! Tombstones: how many the server lets a read meet, and how many there are in a partition already.

use std::time::Duration;

use bytes::Bytes;
use scylla::client::session::Session;
use scylla::response::{PagingState, PagingStateResponse};
use scylla::statement::Consistency;

use crate::model::{TableIndex, quoted};
use crate::storage::{Fault, StorageError, TombstoneLimits};

use super::about::shown_key;
use super::fault::one_line;
use super::statements::equals;
use super::values::{Value, Values};
use super::{Cluster, ReadStore};

/// Rows of a traced page.
const PAGE_ROWS: i32 = 5_000;
/// Pages that are traced of one partition, at most: it is a look, not a load.
const MOST_PAGES: usize = 20;
/// A server writes its traces a little after its answers.
const TRIES: usize = 40;
const PAUSE: Duration = Duration::from_millis(50);

/// What a traced read of a partition has met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Met {
    pub rows: u64,
    pub(crate) tombstones: u64,
    /// Whether the read came to the end of the partition.
    pub is_whole: bool,
}

impl Cluster {
    /// How many tombstones this cluster lets a read meet.
    ///
    /// # Errors
    /// Why it does not say: the user may not read `system_views`, or it is older than Cassandra 4.0.
    pub(crate) async fn tombstone_limits(&self) -> Result<TombstoneLimits, String> {
        let ask = "SELECT name, value FROM system_views.settings WHERE name IN \
                   ('tombstone_warn_threshold', 'tombstone_failure_threshold')";
        let answer = self.session().query_unpaged(ask, ()).await;
        let rows = answer.map_err(|error| one_line(&error.to_string()))?.into_rows_result();
        let rows = rows.map_err(|error| error.to_string())?;
        let mut limits = [None, None];
        let names = ["tombstone_warn_threshold", "tombstone_failure_threshold"];
        for row in rows.rows::<(String, Option<String>)>().map_err(|error| error.to_string())? {
            let (name, value) = row.map_err(|error| error.to_string())?;
            let value = value.and_then(|value| value.parse::<u64>().ok());
            if let Some(index) = names.iter().position(|known| *known == name) {
                limits[index] = value;
            }
        }
        match limits {
            [Some(warn), Some(fail)] => Ok(TombstoneLimits { warn, fail }),
            _ => Err("system_views.settings does not have them".to_owned()),
        }
    }
}

impl ReadStore {
    /// Reads the keys of a partition that accounts share, page by page and
    /// traced, at one replica, and answers what it met; a very large partition is read in part.
    ///
    /// # Errors
    /// It cannot be read ([`Fault::Replica`]: perhaps because it holds too many tombstones already), or there are no
    /// traces to be read.
    pub(crate) async fn tombstones_in(
        &self,
        table: TableIndex,
        partition: &[Bytes],
    ) -> Result<Met, StorageError> {
        let shape = &self.spec.tables[table];
        let what = || self.attempted("tracing a read of", table, shown_key(shape, 0.., partition));
        let columns = quoted(&shape.columns[shape.account].name);
        let text = format!(
            "SELECT {columns} FROM {} WHERE {}",
            self.preparer.table(shape),
            equals(shape, shape.partition_len)
        );
        let prepared = self.preparer.prepare(&text).await;
        let mut statement =
            prepared.map_err(|error| what().error(&error.to_string(), Fault::Permanent))?;
        statement.set_tracing(true);
        statement.set_page_size(PAGE_ROWS);
        statement.set_consistency(Consistency::LocalOne);
        let values = Values(partition.iter().map(Value::raw).collect());
        let session = &self.preparer.session;
        let mut met = Met::default();
        let mut state = PagingState::start();
        for _ in 0..MOST_PAGES {
            let page = session.execute_single_page(&statement, &values, state.clone()).await;
            let (answer, next) = page.map_err(|error| what().failed(&error))?;
            let untraced = || what().error("the server has no trace of it", Fault::Permanent);
            let trace = answer.tracing_id().ok_or_else(untraced)?;
            met.tombstones += traced(session, trace).await.ok_or_else(untraced)?;
            let rows = answer.into_rows_result().map_err(|error| what().unreadable(&error))?;
            met.rows += rows.rows_num() as u64;
            match next {
                PagingStateResponse::NoMorePages => {
                    met.is_whole = true;
                    break;
                }
                PagingStateResponse::HasMorePages { state: next } => state = next,
            }
        }
        Ok(met)
    }
}

/// The tombstones that a traced read has met; `None` if its trace cannot be read, or does not say.
async fn traced(session: &Session, trace: uuid::Uuid) -> Option<u64> {
    for _ in 0..TRIES {
        if let Ok(info) = session.get_tracing_info(&trace).await {
            let traced =
                info.events.iter().filter_map(|event| tombstones(event.activity.as_deref()?));
            // Each replica that was asked tells its own.
            if let Some(most) = traced.max() {
                return Some(most);
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    None
}

/// The number in `Read 3 live rows and 4 tombstone cells`.
fn tombstones(activity: &str) -> Option<u64> {
    let (_, rest) = activity.strip_prefix("Read ")?.split_once(" and ")?;
    let (number, what) = rest.split_once(' ')?;
    what.starts_with("tombstone").then(|| number.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_tell_tombstones() {
        assert_eq!(tombstones("Read 3 live rows and 42 tombstone cells"), Some(42));
        let warned = "Read 0 live rows and 1001 tombstone cells (see tombstone_warn_threshold)";
        assert_eq!(tombstones(warned), Some(1_001));
        for other in ["Read 3 live rows", "Executing read and 4 things", "", "Read x and y"] {
            assert_eq!(tombstones(other), None);
        }
    }
}
