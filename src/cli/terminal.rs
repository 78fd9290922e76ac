//! The terminal: the only place that prints.
//!
//! Reports go to standard output; progress, logs and errors to standard error. A line that is written
//! while a progress bar is shown takes the bar away for a moment, so that neither breaks the other.

use std::io::{self, IsTerminal, Write};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};
use tracing_subscriber::fmt::MakeWriter;

/// Standard output and standard error of this process. Clones share the progress bar.
#[derive(Clone, Debug)]
pub struct Terminal {
    bars: MultiProgress,
}

impl Terminal {
    /// The terminal of this process.
    pub fn new() -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(5));
        Self { bars }
    }

    /// Whether standard error is shown to a person.
    pub fn is_interactive(&self) -> bool {
        io::stderr().is_terminal()
    }

    /// Prints a report. A reader that went away (`| head`) is no error.
    pub fn print(&self, report: &str) -> io::Result<()> {
        let printed = self.bars.suspend(|| {
            let mut out = io::stdout().lock();
            out.write_all(report.as_bytes()).and_then(|()| out.flush())
        });
        match printed {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            printed => printed,
        }
    }

    /// Tells something on standard error that is no error, and is not logged.
    pub fn tell(&self, what: &str) {
        // There is nobody left to tell if this fails.
        let _ = (&mut &*self).write_all(format!("{what}\n").as_bytes());
    }

    /// Tells an error.
    pub fn complain(&self, error: &str) {
        // There is nobody left to tell if this fails.
        let _ = (&mut &*self).write_all(format!("tributary: {error}\n").as_bytes());
    }

    pub(super) fn add(&self, bar: ProgressBar) -> ProgressBar {
        self.bars.add(bar)
    }

    pub(super) fn clear(&self) {
        let _ = self.bars.clear();
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
