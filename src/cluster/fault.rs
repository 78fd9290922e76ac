//! Which failures of the driver may pass by themselves.

use scylla::errors::{DbError, ExecutionError, RequestAttemptError};

use crate::storage::{Fault, StorageError};

/// Turns a failed request into a [`StorageError`]; `what` says what was attempted.
pub(super) fn storage_error(what: &str, error: &ExecutionError) -> StorageError {
    StorageError { message: format!("{what}: {}", one_line(&error.to_string())), kind: kind(error) }
}

/// An answer that cannot be read: it would be unreadable again.
pub(super) fn unreadable(what: &str, error: &dyn std::error::Error) -> StorageError {
    StorageError {
        message: format!("{what}: the answer cannot be read: {}", one_line(&error.to_string())),
        kind: Fault::Permanent,
    }
}

fn kind(error: &ExecutionError) -> Fault {
    match error {
        // No node to ask, no connection, no answer: all of these end when the cluster comes back.
        ExecutionError::EmptyPlan
        | ExecutionError::ConnectionPoolError(_)
        | ExecutionError::RequestTimeout(_)
        | ExecutionError::MetadataError(_) => Fault::Transient,
        ExecutionError::LastAttemptError(attempt) => attempt_kind(attempt),
        _ => Fault::Permanent,
    }
}

fn attempt_kind(error: &RequestAttemptError) -> Fault {
    match error {
        RequestAttemptError::UnableToAllocStreamId
        | RequestAttemptError::BrokenConnectionError(_) => Fault::Transient,
        RequestAttemptError::DbError(db, _) => match db {
            DbError::Unavailable { .. }
            | DbError::Overloaded
            | DbError::IsBootstrapping
            | DbError::ReadTimeout { .. }
            | DbError::WriteTimeout { .. }
            | DbError::ServerError
            | DbError::RateLimitReached { .. } => Fault::Transient,
            // A replica that failed rather than timed out: mostly for good (too many tombstones, a
            // mutation that is too large), but also while a node restarts; the retry budget tells.
            DbError::ReadFailure { .. } | DbError::WriteFailure { .. } => Fault::Transient,
            _ => Fault::Permanent,
        },
        _ => Fault::Permanent,
    }
}

pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
