//! The command that goes on with a run: whatever stops one tells it to its operator.

use std::env;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::report::shell_word;
use crate::secret::{REDACTED, is_secret};

/// The command that goes on with the run of this process, from the moment at which there is one. Clones
/// share it.
#[derive(Clone, Debug, Default)]
pub struct Again(Arc<OnceLock<String>>);

impl Again {
    /// There is a run now; what was set first stays.
    pub(super) fn set(&self, command: String) {
        self.0.get_or_init(|| command);
    }

    /// The command, if there is a run to go on with.
    pub fn command(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}

/// `tributary resume RUN`, with the flags that are needed beside what the run recorded.
pub(super) fn resume(run: &Path, flags: &[String]) -> String {
    let run = shown(run, env::current_dir().ok().as_deref());
    let words = ["tributary", "resume", &run].into_iter().chain(flags.iter().map(String::as_str));
    words.map(shell_word).collect::<Vec<_>>().join(" ")
}

/// The command line of this process, without secrets, which have to be filled in, and without the time at which it was
/// to stop, which may be over.
pub(super) fn same(args: impl IntoIterator<Item = String>) -> String {
    let mut words = vec!["tributary".to_owned()];
    let mut args = args.into_iter().skip(1);
    while let Some(arg) = args.next() {
        if TIMES.contains(&arg.as_str()) {
            args.next();
        } else if !TIMES.iter().any(|flag| arg.starts_with(&format!("{flag}="))) {
            words.push(shell_word(&without_secret(&arg)));
        }
    }
    words.join(" ")
}

/// The flags that hold for one call.
const TIMES: [&str; 2] = ["--until", "--for"];

/// A path as short as it can be given from `here`.
fn shown(path: &Path, here: Option<&Path>) -> String {
    let below = here.and_then(|here| path.strip_prefix(here).ok());
    // A name that begins with a dash would be taken for a flag.
    let short = below.map(Path::to_string_lossy);
    let short = short.filter(|short| !short.is_empty() && !short.starts_with('-'));
    short.unwrap_or(path.to_string_lossy()).into_owned()
}

fn without_secret(arg: &str) -> String {
    match arg.split_once('=') {
        Some((key, _)) if is_secret(key) => format!("{key}={REDACTED}"),
        _ => arg.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_is_named_as_shortly_as_it_can_be() {
        let shown = |path: &str| shown(Path::new(path), Some(Path::new("/data")));
        assert_eq!(shown("/data/runs/r1"), "runs/r1");
        assert_eq!(shown("/other/r1"), "/other/r1");
        assert_eq!(shown("/data"), "/data");
        assert_eq!(shown("/data/-r"), "/data/-r");
        let flags = ["-X", "sasl.password=***"].map(str::to_owned);
        assert_eq!(
            resume(Path::new("/no where/r1"), &flags),
            "tributary resume '/no where/r1' -X 'sasl.password=***'"
        );
    }

    #[test]
    fn the_command_can_be_pasted_and_holds_no_secret() {
        let args = [
            "/usr/bin/tributary",
            "resume",
            "my runs/r1",
            "--limit=all",
            "-X",
            "sasl.password=hunter2",
            "-Xssl.key.pem=hunter2",
            "-X",
            "linger.ms=5",
            "--until",
            "06:00",
            "--for=4h",
        ];
        assert_eq!(
            same(args.map(str::to_owned)),
            "tributary resume 'my runs/r1' --limit=all -X 'sasl.password=***' '-Xssl.key.pem=***' \
             -X linger.ms=5"
        );
    }
}
