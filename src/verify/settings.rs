//! How a run is verified: the rows of its settings, and what they make.
//!
//! A new one is a row, a field and a line of [`Options::of`], and its use: the options are handed on whole.

use serde::{Deserialize, Serialize};

use crate::setting::Command::Verify;
use crate::setting::{Layers, Setting, SettingsError, settings};

settings! {
    /// How a run is verified.
    pub(crate) VERIFY: "", &[Verify];

    /// Write what is missing or worse again, as of the run's own times: over nothing that was written or deleted since
    REPAIR: bool = Setting::switch("repair").of_a_call();

    /// Begin with the first group again, instead of going on where a verification was stopped
    RESTART: bool = Setting::switch("restart").of_a_call();
}

/// How a run is verified. A verification goes on only where one of the same options was stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// Whether what is missing or worse is written again.
    pub repair: bool,
    /// Whether to begin anew, whatever an earlier verify has left to do.
    #[serde(skip)]
    pub restart: bool,
}

impl Options {
    /// What the settings say of it.
    ///
    /// # Errors
    /// A setting has no value that it may have.
    pub(crate) fn of(layers: &Layers) -> Result<Self, SettingsError> {
        Ok(Self { repair: layers.get(&REPAIR)?, restart: layers.get(&RESTART)? })
    }
}
