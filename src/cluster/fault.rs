//! Which failures of the driver may pass by themselves, and how they are told.

use scylla::errors::{DbError, ExecutionError, PrepareError, RequestAttemptError};

use crate::storage::{Fault, StorageError};

/// A code of the protocol's version 5.
const CDC_WRITE_FAILURE: i32 = 0x1600;

/// How Cassandra begins to say that a table or a column is gone (`Schema.validateTable`, `TableMetadata.getExistingColumn`).
const GONE: [&str; 3] = ["unconfigured table", "Undefined column name", "Unknown identifier"];
/// How it ends to say so of a keyspace. In the midst of a message it may be part of a key, which concerns one group.
const NOWHERE: &str = "does not exist";
/// How it names a row that no replica can ever take (`MutationExceededMaxSizeException`), before 5.0 as an error of its own.
const OVERSIZED: &str = "oversized mutation";

/// How it fails at a statement on a table that has just been dropped (`Schema.getColumnFamilyStoreInstance`).
const UNKNOWN: &str = "Unknown CF ";
const DROPPED: &str = "the table is gone: it was dropped while this command ran";

/// What OpenSSL says of a certificate that has expired, or whose issuer it does not trust.
const UNTRUSTED: &str = "certificate verify failed";

/// How the driver begins to say that a node took a new connection and then closed it, and how it goes on. With TLS 1.3 that
/// is how a certificate of ours is refused, for the reason comes behind the handshake: the driver does not always see it.
const SET_UP: &str = "Failed to perform a connection setup request";
const CLOSED: &str = "Connection broken";
/// In which words OpenSSL tells that reason.
const REFUSED: &str = "alert certificate";

/// How the driver says that it has no connection, before it says why.
const NO_CONNECTION: &str =
    "No connections in the pool: The pool is broken; Last connection failed with: ";
/// How Cassandra refuses a login, in the midst of the driver's words for that.
const BAD_LOGIN: &str = "Authentication failed - bad credentials";
/// How the driver begins to say that a node failed to read or to write, of which that says no more.
const FAILED: &str = "A non-timeout error during a";

/// Behind what the driver has the words of a server.
const SERVER_SAYS: &str = "Error message: ";

/// The characters of a key that are shown.
const SHOWN: usize = 64;

/// What was attempted: `what` on a table, `about` which account or key.
pub(super) struct Attempted<'a> {
    pub(super) what: &'static str,
    pub(super) table: &'a str,
    pub(super) about: String,
}

impl Attempted<'_> {
    /// The request failed.
    pub(super) fn failed(&self, error: &ExecutionError) -> StorageError {
        match is_dropped(error) {
            true => self.error(DROPPED, Fault::Fatal),
            false => self.error(&words(&error.to_string()), kind(error)),
        }
    }

    /// The answer cannot be read: it would be unreadable again.
    pub(super) fn unreadable(&self, error: &dyn std::error::Error) -> StorageError {
        let why = format!("the answer cannot be read: {}", one_line(&error.to_string()));
        self.error(&why, Fault::Permanent)
    }

    /// The request never left: `why`, and whether trying again may help.
    pub(super) fn error(&self, why: &str, kind: Fault) -> StorageError {
        let Self { what, table, about } = self;
        StorageError {
            message: format!("{what} {table} ({about}): {why}"),
            class: format!("{what} {table}: {why}"),
            kind,
        }
    }
}

/// A key as it may be shown: no control characters, and not too long.
pub(super) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().count() > SHOWN {
        shown.push('…');
    }
    shown
}

fn kind(error: &ExecutionError) -> Fault {
    match error {
        // No node to ask, no connection, no answer: all of these end when the cluster comes back.
        ExecutionError::EmptyPlan
        | ExecutionError::ConnectionPoolError(_)
        | ExecutionError::MetadataError(_) => Fault::Transient,
        ExecutionError::RequestTimeout(_) => Fault::TimedOut,
        ExecutionError::LastAttemptError(attempt) => attempt_kind(attempt),
        _ => Fault::Permanent,
    }
}

/// Whether a statement cannot be prepared because a server knows no such table; `message` is the driver's.
pub(super) fn is_unprepared_for_table(message: &str) -> bool {
    message.rsplit_once(SERVER_SAYS).is_some_and(|(_, own)| is_no_table(own))
}

/// Whether a server says of a table that there is none.
fn is_no_table(message: &str) -> bool {
    message.starts_with(GONE[0]) || message.starts_with("table ") && message.ends_with(NOWHERE)
}

/// What a statement that cannot be prepared calls for: one that is refused is refused at every use.
pub(super) fn preparation_kind(error: &PrepareError) -> Fault {
    let kind = match error {
        PrepareError::ConnectionPoolError(_) => Fault::Transient,
        PrepareError::AllAttemptsFailed { first_attempt } => attempt_kind(first_attempt),
        _ => Fault::Permanent,
    };
    if kind == Fault::Permanent { Fault::Fatal } else { kind }
}

fn attempt_kind(error: &RequestAttemptError) -> Fault {
    match error {
        RequestAttemptError::UnableToAllocStreamId
        | RequestAttemptError::BrokenConnectionError(_) => Fault::Transient,
        // The driver prepares such a statement again, once.
        RequestAttemptError::RepreparedIdMissingInBatch
        | RequestAttemptError::RepreparedIdChanged { .. } => Fault::Forgotten,
        RequestAttemptError::DbError(error, message) => db_kind(error, message),
        _ => Fault::Permanent,
    }
}

fn db_kind(error: &DbError, message: &str) -> Fault {
    match error {
        DbError::Unavailable { .. }
        | DbError::Overloaded
        | DbError::IsBootstrapping
        | DbError::RateLimitReached { .. } => Fault::Transient,
        DbError::ReadTimeout { .. } | DbError::WriteTimeout { .. } => Fault::Late,
        DbError::ServerError if message.contains(OVERSIZED) => Fault::Permanent,
        DbError::ReadFailure { .. } | DbError::WriteFailure { .. } | DbError::ServerError => {
            Fault::Replica
        }
        DbError::Unprepared { .. } => Fault::Forgotten,
        // Space for changes that wait for a consumer is used up (CASSANDRA-12148); the driver has no name for it.
        DbError::Other(CDC_WRITE_FAILURE) => Fault::Transient,
        DbError::Unauthorized => Fault::Fatal,
        DbError::Invalid if is_gone(message) || is_about_level(message) => Fault::Fatal,
        _ => Fault::Permanent,
    }
}

/// Whether a table is not there; at the moment in which it is dropped, servers call that an error of their own.
fn is_dropped(error: &ExecutionError) -> bool {
    let ExecutionError::LastAttemptError(RequestAttemptError::DbError(kind, message)) = error
    else {
        return false;
    };
    match kind {
        DbError::ServerError => message.contains(UNKNOWN),
        DbError::Invalid => is_no_table(message),
        _ => false,
    }
}

/// Whether a guardrail forbids the consistency level, at which every request is made.
pub(super) fn is_about_level(message: &str) -> bool {
    message.contains("consistency_levels violated")
}

/// Whether a table, a keyspace or a column is not there.
fn is_gone(message: &str) -> bool {
    GONE.iter().any(|gone| message.starts_with(gone)) || message.ends_with(NOWHERE)
}

/// What the driver says, in one line and without the source lines of OpenSSL. A certificate that is not accepted any more is
/// looked at closely by whoever connects next.
fn words(text: &str) -> String {
    let text = one_line(text).replace(NO_CONNECTION, "no connection to a node: ");
    if text.contains(FAILED) {
        return format!(
            "{text}; the log of the node says why: a full disk, no space for changes (CDC), damaged files or too many tombstones"
        );
    }
    if let Some((before, _)) = text.split_once(SET_UP)
        && text.contains(BAD_LOGIN)
    {
        return format!(
            "{before}a node refuses the login ({BAD_LOGIN}): if the password was changed since the command began, stop it, and \
             go on with the new one"
        );
    }
    if let Some((before, rest)) = text.split_once(SET_UP)
        && rest.contains(CLOSED)
    {
        let why = match rest.contains(REFUSED) {
            true => {
                "a node does not accept our certificate (--tls-cert) any more: it may have expired"
            }
            false => {
                "a node closes new connections before it answers: it may be starting or stopping, or not accept our \
                 certificate (--tls-cert) any more, which the next command to connect says"
            }
        };
        return format!("{before}{why}");
    }
    match text.split_once("error:") {
        Some((before, rest)) if rest.contains(UNTRUSTED) => format!(
            "{before}the certificate of a node is not accepted any more ({UNTRUSTED}): it may have expired, or be of another \
             CA, which the next command to connect says"
        ),
        _ => text,
    }
}

pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use scylla::statement::Consistency;

    #[track_caller]
    fn check(error: DbError, message: &str, expected: Fault) {
        let error = RequestAttemptError::DbError(error, message.into());
        assert_eq!(kind(&ExecutionError::LastAttemptError(error)), expected);
    }

    #[test]
    fn what_passes_by_itself_is_tried_again() {
        let consistency = Consistency::LocalQuorum;
        check(DbError::Unavailable { consistency, required: 2, alive: 1 }, "", Fault::Transient);
        check(DbError::Overloaded, "", Fault::Transient);
        let (received, required, data_present) = (1, 2, true);
        let late = DbError::ReadTimeout { consistency, received, required, data_present };
        check(late, "", Fault::Late);
        check(DbError::Invalid, "Key may not be empty", Fault::Permanent);
        check(DbError::Invalid, "unconfigured table user_courses", Fault::Fatal);
        check(DbError::Invalid, "Keyspace 'k' does not exist", Fault::Fatal);
        check(DbError::Invalid, "Guardrail read_consistency_levels violated: …", Fault::Fatal);
        check(DbError::Invalid, "Guardrail column_value_size violated: …", Fault::Permanent);
        let oversized = "Rejected an oversized mutation (20/16) for keyspace: k. Top keys are: t.it does not exist (20)";
        check(DbError::Invalid, oversized, Fault::Permanent);
        check(DbError::ServerError, "Encountered an oversized mutation (20/16)", Fault::Permanent);
        check(DbError::ServerError, "java.lang.NullPointerException", Fault::Replica);
        check(DbError::Invalid, "Undefined column name grade in table k.t", Fault::Fatal);
        check(DbError::Unauthorized, "no MODIFY permission", Fault::Fatal);
        let (received, required, numfailures, data_present) = (0, 1, 1, false);
        let failed =
            DbError::ReadFailure { consistency, received, required, numfailures, data_present };
        check(failed, "", Fault::Replica);
    }

    #[test]
    fn a_table_that_was_dropped_is_no_error_of_the_server() {
        let unknown = "java.lang.IllegalArgumentException: Unknown CF d4010620-ebde-11f1";
        for (kind, message) in [
            (DbError::ServerError, unknown),
            (DbError::Invalid, "unconfigured table t"),
            (DbError::Invalid, "table t does not exist"),
        ] {
            let error = RequestAttemptError::DbError(kind, message.into());
            let (what, table, about) = ("reading", "t", "account a".to_owned());
            let failed =
                Attempted { what, table, about }.failed(&ExecutionError::LastAttemptError(error));
            let expected = format!("reading t (account a): {DROPPED}");
            assert_eq!((failed.message, failed.kind), (expected, Fault::Fatal));
        }
    }

    #[test]
    fn a_login_that_is_refused_and_a_node_that_fails_are_told_without_words_of_the_driver() {
        let shown = words(&format!(
            "{NO_CONNECTION}{SET_UP}. Request: AUTH_RESPONSE, reason: Database returned an error: {BAD_LOGIN}, Error message: \
             Provided username merger and/or password are incorrect"
        ));
        assert!(
            shown.starts_with("no connection to a node: a node refuses the login ("),
            "{shown}"
        );
        assert!(shown.contains("password was changed") && !shown.contains("AUTH"), "{shown}");
        let shown = words(&format!("{FAILED} write request (numfailures: 1)"));
        assert!(shown.contains("the log of the node says why"), "{shown}");
    }

    #[test]
    fn certificates_are_named_without_lines_of_source() {
        let pool = "The pool is broken; Last connection failed with: ";
        let openssl = "error:0A000086:SSL routines:tls_post_process:certificate verify failed:../ssl/clnt.c:1889:";
        let shown = words(&format!("{pool}{openssl}"));
        assert!(
            shown.starts_with(&format!("{pool}the certificate of a node is not accepted any more"))
        );
        assert!(!shown.contains("clnt.c"), "{shown}");
        let closed =
            format!("{SET_UP}. Request: OPTIONS, reason: {CLOSED}, reason: via tokio channel.");
        let shown = words(&format!("{pool}{closed}"));
        assert!(shown.starts_with(&format!("{pool}a node closes new")), "{shown}");
        assert!(shown.contains("--tls-cert") && !shown.contains("tokio"), "{shown}");
        let shown =
            words(&format!("{closed} error:0A000415:SSL routines:sslv3 {REFUSED} expired:x.c:1:"));
        assert!(shown.starts_with("a node does not accept our certificate"), "{shown}");
        assert_eq!(words("no\n answer"), "no answer");
    }

    #[test]
    fn keys_are_shown_short_and_harmless() {
        assert_eq!(shown("plain-1"), "plain-1");
        assert_eq!(shown("a\x1b[31m\n"), "a\\u{1b}[31m\\n");
        assert_eq!(shown(&"x".repeat(2_000)).chars().count(), SHOWN + 1);
    }
}
