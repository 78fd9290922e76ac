//! Where a run is kept, how it is watched and reported.

use std::path::PathBuf;

use crate::live::Listen;
use crate::setting::Command::{
    Apply, Config, ControlStatus, Forget, Lookup, Plan, Resume, Runs, RunsPrune, SpecCheck,
    SpecInit, SpecShow, Undo, Verify,
};
use crate::setting::{Layer, Setting, ValueKind, settings, values};

settings! {
    /// Where a run is kept, how it is watched and reported.
    pub(in crate::cli) OUTPUT: "Output", &[Plan, Apply, Resume, Verify, Undo];

    /// The run directory, which must be missing or empty [default: a new one under runs/]
    RUN_DIR: PathBuf = Setting::new("run_dir", ValueKind::Text, "DIR", run_dir).example("runs/a").taken_by(&[Plan, Apply]);

    /// Serve a live page and metrics there: a port of this machine, or host:port; 0 takes a free port
    ///
    /// The address is printed with a token, without which the page shows the run but cannot control it. Whoever
    /// can reach the address can look, so name a host only where that may be. /metrics is for Prometheus, /status
    /// is JSON, /healthz says that the process is there.
    LISTEN: Listen = Setting::new("listen", ValueKind::Number, "ADDR", str::parse)
        .example("8088").taken_by(&[Apply, Resume, Verify, Undo]);

    /// Print the report as JSON
    JSON: bool = Setting::switch("json")
        .taken_by(&[Plan, Apply, Resume, Verify, Undo, Lookup, Forget, ControlStatus, Runs, RunsPrune]);

    /// No progress, and nothing but errors on standard error
    QUIET: bool = Setting::switch("quiet").short('q');

    /// How log lines are written, on standard error and in run.log: text or json
    ///
    /// With json there is no progress bar, and errors are JSON lines, too.
    LOG_FORMAT: LogFormat = Setting::new("log_format", ValueKind::Text, "FORMAT", log_format)
        .default("text").example("json");

    /// Say more on standard error and in run.log; twice: much more
    VERBOSE: u8 = Setting::new("verbose", ValueKind::Count, "", verbose)
        .short('v').default("0").only(&[Layer::Flag, Layer::File]);

    /// A file with settings (TOML)
    CONFIG: PathBuf = Setting::new("config", ValueKind::Path, "FILE", values::path)
        .example("tributary.toml")
        .only(&[Layer::Flag, Layer::Environment])
        .taken_by(&[Plan, Apply, Resume, Verify, Undo, Lookup, Forget, Runs, RunsPrune, SpecShow, SpecCheck, SpecInit, Config]);
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

fn run_dir(text: &str) -> Result<PathBuf, String> {
    match text {
        "" => Err("is not a directory".to_owned()),
        path => Ok(path.into()),
    }
}

/// The format of log lines, by its name.
fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("is not a format of log lines: use text or json".to_owned()),
    }
}

/// How much more to say.
fn verbose(text: &str) -> Result<u8, String> {
    let level = values::count(text, 0, 2)?;
    Ok(u8::try_from(level).unwrap_or(u8::MAX))
}
