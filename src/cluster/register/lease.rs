//! The lease: conditional writes at SERIAL, so that of two runs one knows that it is second.

use std::sync::atomic::Ordering;
use std::time::Duration;

use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency as Level, SerialConsistency};

use crate::model::{TimestampUs, now_us};
use crate::register::{self, LEASE_US, Lease};
use crate::storage::{Fault, StorageError};

use super::super::statements::Preparer;
use super::super::{ClusterError, Consistency};
use super::ClusterRegister;

/// How often the lease is tried to be taken where requests fail, or somebody else takes it at the same moment.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(250);

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
pub(super) fn lasts() -> TimestampUs {
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
        let failed = |message: String| ClusterError::Query {
            what: format!("taking the lease on keyspace {}", self.reader.merged),
            message,
        };
        let mut tries = 0;
        loop {
            tries += 1;
            match self.try_take().await {
                Ok(Ok(true)) => return Ok(()),
                Ok(Err(lease)) => {
                    let keyspace = self.reader.merged.clone();
                    let seconds = lease.seconds_left(now_us());
                    return Err(ClusterError::Leased { keyspace, lease, seconds });
                }
                Ok(Ok(false)) if tries < TRIES => {}
                Err(error)
                    if tries < TRIES
                        && matches!(
                            error.kind,
                            Fault::Transient | Fault::TimedOut | Fault::Late
                        ) => {}
                Ok(Ok(false)) => return Err(failed("others take it all the time".to_owned())),
                Err(error) => return Err(failed(error.message)),
            }
            tokio::time::sleep(PAUSE.mul_f64(0.5 + fastrand::f64())).await;
        }
    }

    /// Whether it was taken, unless another run has it.
    async fn try_take(&self) -> Result<Result<bool, Lease>, StorageError> {
        let now = now_us();
        let found = self.reader.lease().await?;
        let epoch = found.as_ref().map_or(0, |lease| lease.epoch) + 1;
        let floor = found.as_ref().map_or(0, |lease| lease.floor);
        let until = now + lasts();
        let is_taken = match found {
            Some(lease) if lease.run != self.run && lease.is_live(now) => return Ok(Err(lease)),
            None => {
                let values = (&*self.reader.merged, &*self.run, &*self.host, epoch, floor, until);
                self.is_applied(&self.statements.take_first, values).await?
            }
            Some(lease) => {
                let values =
                    (&*self.run, &*self.host, epoch, until, &*self.reader.merged, lease.epoch);
                self.is_applied(&self.statements.take, values).await?
            }
        };
        if is_taken {
            self.epoch.store(epoch, Ordering::SeqCst);
            self.floor.store(floor, Ordering::SeqCst);
        }
        Ok(Ok(is_taken))
    }

    /// The highest time that any run may have written, in microseconds.
    pub(crate) fn floor(&self) -> TimestampUs {
        self.floor.load(Ordering::SeqCst)
    }

    /// Gives the lease back. What was not taken is not given back.
    ///
    /// # Errors
    /// The register cannot be written; the lease then ends by itself.
    pub(crate) async fn release(&self) -> Result<(), StorageError> {
        if self.epoch.load(Ordering::SeqCst) > 0 { self.renew(0, 0).await } else { Ok(()) }
    }

    pub(super) async fn look_at_lease(&self) -> Result<(), StorageError> {
        match self.reader.lease().await? {
            Some(lease) if lease.epoch == self.epoch.load(Ordering::SeqCst) => Ok(()),
            lease => Err(self.lost(lease.as_ref())),
        }
    }

    /// Renews the lease for so long, in microseconds.
    pub(super) async fn renew(
        &self,
        floor: TimestampUs,
        long: TimestampUs,
    ) -> Result<(), StorageError> {
        let floor = self.floor.fetch_max(floor, Ordering::SeqCst).max(floor);
        let until = if long > 0 { now_us() + long } else { 0 };
        let values = (floor, until, &*self.reader.merged, self.epoch.load(Ordering::SeqCst));
        match self.is_applied(&self.statements.renew, values).await? {
            true => Ok(()),
            false => Err(self.lost(self.reader.lease().await?.as_ref())),
        }
    }

    fn lost(&self, lease: Option<&Lease>) -> StorageError {
        register::lost(&self.run, &self.reader.merged, lease)
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
