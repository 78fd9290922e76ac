//! Logs: a few lines for the terminal, more of them for run.log.
//!
//! The run directory is made after the first lines have been logged, so those wait in memory until
//! [`RunLog::attach`] names the file. Timestamps are UTC. As JSON, every line is an object with `timestamp`,
//! `level`, `target`, `message` and the fields of the event.

use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use super::catalogue::output::LogFormat;
use super::settings::OutputSettings;
use super::terminal::Terminal;

/// What waits for the file, at most. A run logs little before it has a directory.
const MAX_WAITING_BYTES: usize = 1 << 20;

/// The target of the progress lines, which have a level of their own on the terminal.
const PROGRESS: &str = "tributary::cli::progress";

/// Starts logging for this process.
pub(super) fn init(output: &OutputSettings, terminal: &Terminal) -> Result<RunLog, TryInitError> {
    let run_log = RunLog::default();
    terminal.write_as(output.log_format);
    let on_terminal = terminal_filter(output, terminal.shows_bars());
    let registry = tracing_subscriber::registry();
    match output.log_format {
        LogFormat::Text => {
            let to_terminal = fmt::layer()
                .with_writer(terminal.clone())
                .with_ansi(terminal.has_colours())
                .with_target(output.verbose > 1)
                .log_internal_errors(false)
                .with_filter(on_terminal);
            let to_file = fmt::layer()
                .with_writer(run_log.clone())
                .with_ansi(false)
                .log_internal_errors(false)
                .with_filter(file_filter(output));
            registry.with(to_terminal).with(to_file).try_init()?;
        }
        LogFormat::Json => {
            let to_terminal = fmt::layer()
                .json()
                .flatten_event(true)
                .with_writer(terminal.clone())
                .log_internal_errors(false)
                .with_filter(on_terminal);
            let to_file = fmt::layer()
                .json()
                .flatten_event(true)
                .with_writer(run_log.clone())
                .log_internal_errors(false)
                .with_filter(file_filter(output));
            registry.with(to_terminal).with(to_file).try_init()?;
        }
    }
    Ok(run_log)
}

fn terminal_filter(output: &OutputSettings, with_bar: bool) -> Targets {
    let (ours, others) = match (output.quiet, output.verbose) {
        (true, _) => (LevelFilter::ERROR, LevelFilter::OFF),
        // What the drivers say comes back as an error of ours, or was retried.
        (false, 0) => (LevelFilter::WARN, LevelFilter::OFF),
        (false, 1) => (LevelFilter::INFO, LevelFilter::WARN),
        (false, _) => (LevelFilter::DEBUG, LevelFilter::INFO),
    };
    let progress = if with_bar || output.quiet { LevelFilter::OFF } else { LevelFilter::INFO };
    levels(ours, others).with_target(PROGRESS, progress)
}

fn file_filter(output: &OutputSettings) -> Targets {
    match output.verbose {
        0 => levels(LevelFilter::INFO, LevelFilter::WARN),
        _ => levels(LevelFilter::DEBUG, LevelFilter::INFO),
    }
}

fn levels(ours: LevelFilter, others: LevelFilter) -> Targets {
    Targets::new().with_default(others).with_target("tributary", ours)
}

/// run.log, whose file is named later.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunLog {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
enum State {
    Waiting(Vec<u8>),
    Attached(File),
}

impl Default for State {
    fn default() -> Self {
        Self::Waiting(Vec::new())
    }
}

impl RunLog {
    /// Writes what has waited, and everything from now on, to this file.
    pub(crate) fn attach(&self, mut file: File) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Waiting(lines) = &mut *state {
            file.write_all(&mem::take(lines))?;
        }
        *state = State::Attached(file);
        Ok(())
    }
}

impl Write for &RunLog {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match &mut *self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Waiting(lines) if lines.len() + line.len() <= MAX_WAITING_BYTES => {
                lines.extend_from_slice(line);
            }
            State::Waiting(_) => {}
            State::Attached(file) => file.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for RunLog {
    type Writer = &'a RunLog;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::{env, fs, process};

    use tracing::Level;

    use super::*;

    #[test]
    fn lines_wait_for_the_file() {
        let path = env::temp_dir().join(format!("tributary-log-{}", process::id()));
        let log = RunLog::default();
        (&log).write_all(b"early\n").unwrap();
        log.attach(File::create(&path).unwrap()).unwrap();
        (&log).write_all(b"late\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "early\nlate\n");
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn what_the_drivers_say_is_for_the_file_unless_asked_for() {
        let output = |verbose| OutputSettings { verbose, ..OutputSettings::default() };
        let on_terminal = |verbose| terminal_filter(&output(verbose), true);
        let shown = |filter: &Targets, level| filter.would_enable("scylla::cluster", &level);
        assert!(!shown(&on_terminal(0), Level::ERROR));
        assert!(shown(&on_terminal(1), Level::WARN));
        assert!(shown(&file_filter(&output(0)), Level::WARN));
    }

    #[test]
    fn progress_lines_are_for_those_without_a_bar() {
        let output =
            |quiet, verbose| OutputSettings { quiet, verbose, ..OutputSettings::default() };
        let shown = |filter: &Targets, target, level| filter.would_enable(target, &level);
        let plain = terminal_filter(&output(false, 0), false);
        assert!(shown(&plain, PROGRESS, Level::INFO));
        assert!(shown(&plain, "tributary::events", Level::WARN));
        assert!(!shown(&plain, "tributary::pipeline", Level::INFO));
        assert!(!shown(&terminal_filter(&output(false, 2), true), PROGRESS, Level::INFO));
        let quiet = terminal_filter(&output(true, 0), false);
        assert!(
            !shown(&quiet, PROGRESS, Level::INFO)
                && !shown(&quiet, "tributary::events", Level::WARN)
        );
        assert!(shown(&file_filter(&output(true, 0)), "tributary::pipeline", Level::INFO));
    }
}
