//! The command that resumes a run: whatever stops one tells it to its operator.

use std::env;
use std::path::{Path, PathBuf};
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

/// A path as short as it can be given from here.
pub(super) fn short(path: &Path) -> PathBuf {
    below(path, env::current_dir().ok().as_deref())
}

fn below(path: &Path, here: Option<&Path>) -> PathBuf {
    let below = here.and_then(|here| path.strip_prefix(here).ok());
    below.filter(|below| !below.as_os_str().is_empty()).unwrap_or(path).to_path_buf()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_is_named_as_shortly_as_it_can_be() {
        let shown = |path: &str| below(Path::new(path), Some(Path::new("/data")));
        assert_eq!(shown("/data/runs/r1"), Path::new("runs/r1"));
        assert_eq!(shown("/other/r1"), Path::new("/other/r1"));
        assert_eq!(shown("/data"), Path::new("/data"));
        assert_eq!(below(Path::new("/data/r1"), None), Path::new("/data/r1"));
    }
}
