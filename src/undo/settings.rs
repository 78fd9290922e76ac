//! How a run is undone: the rows of its settings, and what they make.
//!
//! A new one is a row, a field and a line of [`Options::of`], and its use: the options are handed on whole.

use crate::setting::Command::Undo;
use crate::setting::{Layers, Setting, SettingsError, settings};

settings! {
    /// How a run is undone.
    pub(crate) UNDO: "", &[Undo];

    /// Take up only the groups that an undo has begun with, and end them: what was changed in them since stays there
    ///
    /// What was changed is listed in conflicts.csv, and belongs to whoever changed it; its accounts are free for other
    /// runs then.
    KEEP_CHANGED: bool = Setting::switch("keep_changed").of_a_call();

    /// Take back also what has been changed under survivors since the run, and lose those changes
    FORCE: bool = Setting::switch("force").of_a_call();
}

/// How to undo.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Restore even what someone changed since.
    pub force: bool,
    /// End what an undo has begun, and leave what was changed: see `undo::keep`.
    pub keep_changed: bool,
}

impl Options {
    /// What the settings say of it.
    ///
    /// # Errors
    /// A setting has no value that it may have, or two of them do not go together.
    pub(crate) fn of(layers: &Layers) -> Result<Self, SettingsError> {
        let (force, keep_changed) = (layers.get(&FORCE)?, layers.get(&KEEP_CHANGED)?);
        match force && keep_changed {
            true => Err(SettingsError::new(
                "--keep-changed leaves what was changed since, and --force takes it back: leave out one of them",
            )),
            false => Ok(Self { force, keep_changed }),
        }
    }
}
