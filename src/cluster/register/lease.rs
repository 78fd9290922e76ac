//! The lease: conditional writes at SERIAL, so that of two runs one knows that it is second.

use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt};
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency as Level, SerialConsistency};

use crate::model::{TimestampUs, now_us};
use crate::register::{self, Held, LEASE_US, Lease, LeaseReader, LeaseRows, Taken};
use crate::storage::{Fault, StorageError};

use super::super::statements::Preparer;
use super::super::{ClusterError, Consistency};
use super::{ClusterRegister, RegisterReader, Statements};

/// How often the lease is tried to be taken where requests fail, or somebody else takes it at the same moment.
const TRIES: u32 = 20;
/// How often it is tried to be given back where servers say that they are late: others would wait for a minute.
const RELEASES: usize = 4;
const PAUSE: Duration = Duration::from_millis(250);

/// What is written of a lease that is taken.
pub(super) const ALL: &str = "run = ?, host = ?, epoch = ?, floor = ?, until = ?";

/// Prepares a read of what was written by conditions: by the same protocol.
pub(super) async fn serial(with: &Preparer, text: &str) -> Result<PreparedStatement, ClusterError> {
    let mut statement = with.prepare(text).await?;
    statement.set_consistency(Level::Serial);
    Ok(statement)
}

/// Prepares a conditional write.
pub(super) async fn conditional(
    with: &Preparer,
    text: &str,
) -> Result<PreparedStatement, ClusterError> {
    let mut statement = with.prepare(text).await?;
    statement.set_serial_consistency(Some(SerialConsistency::Serial));
    if with.levels.writes == Consistency::EachQuorum {
        // Conditions cannot be written at that level.
        statement.set_consistency(Level::Quorum);
    }
    // An answer to a condition has columns that are not known from the preparation.
    statement.set_use_cached_result_metadata(false);
    Ok(statement)
}

/// How long a lease lasts, in microseconds. Debug builds ask `TRIBUTARY_LEASE`, in seconds, so that a test need not wait
/// for it.
fn lasts() -> TimestampUs {
    let given = || std::env::var("TRIBUTARY_LEASE").ok()?.parse::<TimestampUs>().ok();
    let given = if cfg!(debug_assertions) { given() } else { None };
    given.map_or(LEASE_US, |seconds| seconds * 1_000_000)
}

impl ClusterRegister {
    /// Takes the lease.
    ///
    /// # Errors
    /// Another run has it, or the register cannot be written.
    pub(crate) async fn take(&self) -> Result<(), ClusterError> {
        let keyspace = &self.reader.merged;
        let failed = |message: String| ClusterError::Query {
            what: format!("taking the lease on keyspace {keyspace}"),
            message,
        };
        let mut tries = 0;
        loop {
            tries += 1;
            match register::take(self, keyspace, &self.holder).await {
                Ok(Taken::Held(held)) => {
                    return self
                        .held
                        .set(*held)
                        .map_err(|_| failed("it is taken already".to_owned()));
                }
                Ok(Taken::Busy(lease)) => {
                    let (keyspace, seconds) = (keyspace.clone(), lease.seconds_left(now_us()));
                    return Err(ClusterError::Leased { keyspace, lease, seconds });
                }
                Ok(Taken::Again) if tries < TRIES => {}
                Err(error)
                    if tries < TRIES
                        && matches!(
                            error.kind,
                            Fault::Transient | Fault::TimedOut | Fault::Late
                        ) => {}
                Ok(Taken::Again) => return Err(failed("others take it all the time".to_owned())),
                Err(error) => return Err(failed(error.message)),
            }
            tokio::time::sleep(PAUSE.mul_f64(0.5 + fastrand::f64())).await;
        }
    }

    /// The highest time that any run may have written, in microseconds.
    pub(crate) fn floor(&self) -> TimestampUs {
        self.held.get().map_or(0, Held::floor)
    }

    /// Gives the lease back. What was not taken is not given back.
    ///
    /// # Errors
    /// The register cannot be written; the lease then ends by itself.
    pub(crate) async fn release(&self) -> Result<(), StorageError> {
        let Some(held) = self.held.get() else { return Ok(()) };
        for _ in 1..RELEASES {
            match held.release(self).await {
                // It may stand, or not: what stands is read again.
                Err(error) if error.kind == Fault::Late => tokio::time::sleep(PAUSE).await,
                end => return end,
            }
        }
        held.release(self).await
    }

    pub(super) async fn look_at_lease(&self) -> Result<(), StorageError> {
        self.taken()?.look(&self.reader).await
    }

    pub(super) async fn renew(&self, floor: TimestampUs) -> Result<(), StorageError> {
        self.taken()?.hold(self, floor).await
    }

    /// Nothing is written by who has not taken it.
    fn taken(&self) -> Result<&Held, StorageError> {
        self.held.get().ok_or_else(|| {
            let message = format!("the lease on keyspace {} is not taken", self.reader.merged);
            StorageError { class: message.clone(), message, kind: Fault::Fatal }
        })
    }

    async fn is_applied(
        &self,
        statement: &PreparedStatement,
        values: impl scylla::serialize::row::SerializeRow,
    ) -> Result<bool, StorageError> {
        let what = "taking the lease of";
        let answer = self.reader.execute(what, statement, &values).await?;
        let unreadable =
            |error: &dyn std::error::Error| self.reader.attempted(what).unreadable(error);
        let rows = answer.into_rows_result().map_err(|error| unreadable(&error))?;
        // `[applied]` is the first column, whatever else there is.
        let mut rows = rows.rows::<scylla::value::Row>().map_err(|error| unreadable(&error))?;
        let first = rows.next().transpose().map_err(|error| unreadable(&error))?;
        let applied = first.and_then(|row| row.columns.into_iter().next().flatten());
        Ok(applied.and_then(|applied| applied.as_boolean()).unwrap_or_default())
    }
}

impl LeaseReader for RegisterReader {
    fn row<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Lease>, StorageError>> {
        type Row = (Option<String>, Option<String>, Option<i64>, Option<i64>, Option<i64>);
        let lease = |(run, host, epoch, floor, until): Row| Lease {
            run: run.unwrap_or_default(),
            host: host.unwrap_or_default(),
            epoch: epoch.unwrap_or_default(),
            floor: floor.unwrap_or_default(),
            until: until.unwrap_or_default(),
        };
        let rows = self.ask("reading the lease of", &self.lease, (name,));
        rows.map_ok(move |rows: Vec<Row>| rows.into_iter().next().map(lease)).boxed()
    }
}

impl LeaseReader for ClusterRegister {
    fn row<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Lease>, StorageError>> {
        self.reader.row(name)
    }
}

impl LeaseRows for ClusterRegister {
    fn put<'a>(
        &'a self,
        name: &'a str,
        found: Option<&'a Lease>,
        lease: &'a Lease,
    ) -> BoxFuture<'a, Result<bool, StorageError>> {
        let Statements { take_first, take, .. } = &self.statements;
        let Lease { run, host, epoch, floor, until } = lease;
        match found {
            None => self.is_applied(take_first, (name, run, host, epoch, floor, until)).boxed(),
            Some(found) => {
                let values = (run, host, epoch, floor, until, name, found.epoch, found.until);
                self.is_applied(take, values).boxed()
            }
        }
    }

    fn renew<'a>(
        &'a self,
        name: &'a str,
        lease: &'a Lease,
    ) -> BoxFuture<'a, Result<bool, StorageError>> {
        let values = (lease.floor, lease.until, name, lease.epoch);
        self.is_applied(&self.statements.renew, values).boxed()
    }

    fn now(&self) -> TimestampUs {
        now_us()
    }

    fn lasts(&self) -> TimestampUs {
        lasts()
    }
}
