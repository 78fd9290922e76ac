//! The command that resumes a run: whatever stops one tells it to its operator.

use std::env;
use std::sync::{Arc, OnceLock};

use crate::advice::Advice;

/// The command that resumes the run of this process, from the moment at which there is one. Clones
/// share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Again(Arc<OnceLock<Advice>>);

impl Again {
    /// There is a run now; what was set first stays.
    pub(super) fn set(&self, command: Advice) {
        self.0.get_or_init(|| command);
    }

    /// The command, if there is a run to resume.
    pub(crate) fn command(&self) -> Option<&Advice> {
        self.0.get()
    }
}

/// The command of this process, once more.
pub(super) fn same() -> Advice {
    Advice::again(env::args_os().map(|argument| argument.to_string_lossy().into_owned()))
}
