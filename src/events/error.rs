//! What is to be done when events cannot be delivered; each kind of sink says in its own words why.

use thiserror::Error;

/// Why events were not delivered, or cannot be. The message is complete in itself.
#[derive(Clone, Debug, Error)]
#[error("{message}")]
pub struct EventError {
    scope: Scope,
    message: String,
}

/// What an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Settings: arguments and files alone can tell, nothing has been tried yet.
    Settings,
    /// One event, or a sink that cannot be reached at the start.
    One,
    /// Every event from now on: going on is pointless.
    All,
    /// Events that were still on their way when the sink was closed.
    OnTheirWay,
}

impl EventError {
    /// An error about this.
    pub(crate) fn new(scope: Scope, message: impl Into<String>) -> Self {
        Self { scope, message: message.into() }
    }

    /// What it is about.
    pub(crate) fn scope(&self) -> Scope {
        self.scope
    }

    /// Whether every later event fails as well, so that going on is pointless.
    pub(crate) fn is_fatal(&self) -> bool {
        self.scope == Scope::All
    }
}
