//! Scans: the ring in ranges, and the keys of a range page by page, each asked of a replica of that range.

use bytes::Bytes;
use scylla::routing::Token;

use crate::model::{Scope, TableIndex, TokenRange};
use crate::storage::{Cursor, Fault, KeyPage, Mention, StorageError, ring};

use super::about::shown_key;
use super::fault::one_line;
use super::store::ReadStore;
use super::values::{Value, Values};

/// The partitioner whose tokens are understood; every cluster has it that was not set up before 2013.
const PARTITIONER: &str = "Murmur3Partitioner";

impl ReadStore {
    /// The ring, cut at the tokens of the nodes.
    pub(super) async fn ring(&self, at_least: usize) -> Result<Vec<TokenRange>, StorageError> {
        let failed = |why: &str, kind| StorageError {
            message: format!("asking for the ring: {why}"),
            class: format!("asking for the ring: {why}"),
            kind,
        };
        let session = &self.preparer.session;
        let asked = session.query_unpaged("SELECT partitioner FROM system.local", ()).await;
        let asked = asked.map_err(|e| failed(&one_line(&e.to_string()), Fault::Transient))?;
        let unreadable = |message: String| failed(&one_line(&message), Fault::Fatal);
        let asked = asked.into_rows_result().map_err(|error| unreadable(error.to_string()))?;
        let (partitioner,) =
            asked.single_row::<(String,)>().map_err(|error| unreadable(error.to_string()))?;
        if !partitioner.ends_with(PARTITIONER) {
            let why = format!(
                "the cluster's partitioner is {partitioner}, and only {PARTITIONER} can be scanned; use \
                 --discover content"
            );
            return Err(failed(&why, Fault::Fatal));
        }
        let state = session.get_cluster_state();
        let tokens = state.replica_locator().ring().iter().map(|(token, _)| token.value());
        Ok(ring::cut(tokens, at_least))
    }

    /// A page of the keys of a range.
    pub(super) async fn keys(
        &self,
        table: TableIndex,
        range: TokenRange,
        rows: usize,
        after: Option<Cursor>,
    ) -> Result<KeyPage, StorageError> {
        let TokenRange { after: from, to } = range;
        let what = || self.attempted("scanning", table, format!("tokens {from} to {to}"));
        let Some(statement) = &self.reads[table].keys else {
            return Err(what().error("its rows are found by the account", Fault::Fatal));
        };
        let mut statement = statement.clone();
        statement.set_load_balancing_policy(Some(self.replicas(table, Token::new(to))));
        let bounds = [from, to].map(|token| Value::Raw(token.to_be_bytes().to_vec().into()));
        let page = self.one_page(&statement, &Values(bounds.into()), rows, after, &what).await?;
        let keys = page.rows.into_iter().filter_map(|row| {
            let mut cells: Vec<_> = row.cells.into_iter().collect::<Option<_>>()?;
            let account = cells.pop()?;
            Some((Scope::new(cells), account))
        });
        Ok(KeyPage { keys: keys.collect(), next: page.next })
    }

    /// The account that the row of a primary key mentions, if it does.
    pub(super) async fn mention_of(
        &self,
        table: TableIndex,
        key: &[Bytes],
    ) -> Result<Option<Mention>, StorageError> {
        let shape = &self.spec.tables[table];
        let what =
            || self.attempted("reading", table, format!("row {}", shown_key(shape, 0.., key)));
        let Some(statement) = &self.reads[table].mention else {
            return Err(what().error("its rows are found by the account", Fault::Fatal));
        };
        let values = Values(key.iter().map(Value::raw).collect());
        let Some(row) = self.all(statement, &values, &what).await?.pop() else { return Ok(None) };
        let [account, written, ttl] = row.cells.try_into().unwrap_or_default();
        let (Some(account), Some(written)) = (account, written) else { return Ok(None) };
        let t = written[..].try_into().map(i64::from_be_bytes);
        let t = t.map_err(|_| what().error("its write time cannot be read", Fault::Permanent))?;
        Ok(Some(Mention { account, t, expires: ttl.is_some() }))
    }
}
