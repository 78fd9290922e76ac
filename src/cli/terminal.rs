//! The terminal: the only place that prints.
//!
//! Reports go to standard output; progress, logs and errors to standard error. A line that is written
//! while a progress bar is shown takes the bar away for a moment, so that neither breaks the other.

mod drawn;

use std::env;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use drawn::Drawn;

use super::catalogue::output::LogFormat;
use super::exit::Failure;
use crate::moment::Moment;
use crate::report::Rendered;

/// What writing to a terminal that is gone fails with.
const EIO: i32 = 5;

/// Standard output and standard error of this process. Clones share the progress bar.
#[derive(Clone, Debug)]
pub(crate) struct Terminal {
    bars: MultiProgress,
    /// Whether standard error gets JSON lines and nothing else.
    json: Arc<AtomicBool>,
}

impl Terminal {
    /// The terminal of this process.
    pub(crate) fn new() -> Self {
        let target = match io::stderr().is_terminal() {
            true => ProgressDrawTarget::term_like_with_hz(Box::new(Drawn::default()), 5),
            false => ProgressDrawTarget::hidden(),
        };
        Self { bars: MultiProgress::with_draw_target(target), json: Arc::default() }
    }

    /// How standard error is written from now on.
    pub(super) fn write_as(&self, format: LogFormat) {
        self.json.store(format == LogFormat::Json, Ordering::Relaxed);
    }

    /// Whether standard error is shown to a person, on a terminal that can draw a bar.
    pub(crate) fn shows_bars(&self) -> bool {
        let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        io::stderr().is_terminal() && !dumb && !self.json.load(Ordering::Relaxed)
    }

    /// Whether standard error may be coloured: on a terminal, unless the environment says otherwise by the
    /// usual names.
    pub(super) fn has_colours(&self) -> bool {
        let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        colours(self.shows_bars(), variable)
    }

    /// The columns that a text of standard output may take: lines beyond a hundred are hard to read.
    pub(super) fn columns(&self) -> usize {
        let shown = terminal_size::terminal_size_of(io::stdout());
        shown.map_or(80, |(width, _)| usize::from(width.0).clamp(20, 100))
    }

    /// Prints a report, for people or for machines.
    pub(super) fn report(&self, report: &Rendered, json: bool) -> Result<(), Failure> {
        let printed = self.print(if json { &report.json } else { &report.text });
        printed.context("cannot write to standard output").map_err(Failure::failed)
    }

    /// Prints a text. A reader that went away (`| head`, or a terminal that was closed) is no error.
    pub(crate) fn print(&self, report: &str) -> io::Result<()> {
        let printed = self.bars.suspend(|| {
            let mut out = io::stdout().lock();
            out.write_all(report.as_bytes()).and_then(|()| out.flush())
        });
        match printed {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) if error.raw_os_error() == Some(EIO) => Ok(()),
            printed => printed,
        }
    }

    /// Tells something on standard error that is no error, and is not logged.
    pub(crate) fn tell(&self, what: &str) {
        self.line("INFO", "", what);
    }

    /// Tells what may be wrong, before there is a log.
    pub(crate) fn warn(&self, what: &str) {
        self.line("WARN", "warning: ", what);
    }

    /// Tells an error.
    pub(crate) fn complain(&self, error: &str) {
        self.line("ERROR", "tributary: ", error);
    }

    fn line(&self, level: &str, prefix: &str, message: &str) {
        let line = match self.json.load(Ordering::Relaxed) {
            true => {
                let timestamp = Moment::now();
                json!({"timestamp": timestamp, "level": level, "target": "tributary", "message": message})
                    .to_string()
            }
            false => format!("{prefix}{message}"),
        };
        // There is nobody left to tell if this fails.
        let _ = (&mut &*self).write_all(format!("{line}\n").as_bytes());
    }

    pub(super) fn add(&self, bar: ProgressBar) -> ProgressBar {
        self.bars.add(bar)
    }

    pub(super) fn clear(&self) {
        let _ = self.bars.clear();
    }
}

/// <https://no-color.org> before <https://bixense.com/clicolors>.
fn colours(on_terminal: bool, variable: impl Fn(&str) -> Option<String>) -> bool {
    let is = |name: &str, value: &str| variable(name).is_some_and(|variable| variable == value);
    if variable("NO_COLOR").is_some() {
        return false;
    }
    match variable("CLICOLOR_FORCE") {
        Some(force) if force != "0" => true,
        _ => on_terminal && !is("CLICOLOR", "0"),
    }
}

impl Default for Terminal {
    fn default() -> Self {
        Self::new()
    }
}

/// Writes to standard error.
impl Write for &Terminal {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.bars.suspend(|| io::stderr().lock().write(line))
    }

    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        self.bars.suspend(|| io::stderr().lock().write_all(line))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

impl<'a> MakeWriter<'a> for Terminal {
    type Writer = &'a Terminal;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_decides_on_colours() {
        let shown = |on_terminal: bool, set: &[(&str, &str)]| {
            let variable = |name: &str| {
                let found = set.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            colours(on_terminal, variable)
        };
        assert!(shown(true, &[]) && !shown(false, &[]));
        assert!(!shown(true, &[("NO_COLOR", "1")]) && !shown(true, &[("CLICOLOR", "0")]));
        assert!(
            shown(false, &[("CLICOLOR_FORCE", "1")]) && !shown(false, &[("CLICOLOR_FORCE", "0")])
        );
        assert!(!shown(true, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    }
}
