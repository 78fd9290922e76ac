//! Which tables have been emptied (TRUNCATE): that changes no schema, and leaves no tombstone that could be told from what
//! an application deletes.

use std::collections::{BTreeMap, HashMap};

use scylla::client::session::Session;
use uuid::Uuid;

use crate::model::TimestampUs;

use super::ask::Ask;
use super::store::ReadStore;

impl ReadStore {
    /// The tables of the specification that have been truncated after a moment, as far as nodes tell it: each with when
    /// that was, in microseconds.
    pub(crate) async fn truncated_since(
        &self,
        since: TimestampUs,
    ) -> BTreeMap<String, TimestampUs> {
        let tables = self.spec.tables.iter().map(|table| (&*table.name, &*table.id));
        self::since(&self.preparer.session, tables, since).await
    }
}

/// As [`ReadStore::truncated_since`], of tables by name and id.
pub(super) async fn since<'t>(
    session: &Session,
    tables: impl Iterator<Item = (&'t str, &'t str)> + Clone,
    since: TimestampUs,
) -> BTreeMap<String, TimestampUs> {
    let mut truncated = BTreeMap::new();
    for node in session.get_cluster_state().get_nodes_info() {
        if !node.is_connected() {
            continue;
        }
        let ask = "SELECT truncated_at FROM system.local WHERE key = 'local'";
        type Records = Option<HashMap<Uuid, Vec<u8>>>;
        let records = match Ask::one(session, node).rows::<(Records,)>(ask, ()).await {
            Ok(rows) => rows.into_iter().filter_map(|(records,)| records).flatten(),
            Err(error) => {
                tracing::debug!("{} does not tell what was truncated: {error}", node.address);
                continue;
            }
        };
        for (truncated_id, record) in records {
            let truncated_id = truncated_id.to_string();
            let table = tables.clone().find(|(_, id)| *id == truncated_id);
            let at = moment(&record).filter(|at| *at > since);
            if let Some(((name, _), at)) = table.zip(at) {
                let known = truncated.entry(name.to_owned()).or_insert(at);
                *known = at.max(*known);
            }
        }
    }
    truncated
}

/// The moment in a record of a truncation: a position in the commit log, and milliseconds since 1970.
fn moment(record: &[u8]) -> Option<TimestampUs> {
    let (_, ms) = record.split_last_chunk::<8>()?;
    i64::from_be_bytes(*ms).checked_mul(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_ends_with_its_moment() {
        let record = [&[7; 12][..], &1_795_932_000_123_i64.to_be_bytes()].concat();
        assert_eq!(moment(&record), Some(1_795_932_000_123_000));
        assert_eq!(moment(&[1, 2, 3]), None);
    }
}
