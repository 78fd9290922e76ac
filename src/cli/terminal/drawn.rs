//! Where progress bars are drawn: on standard error, as long as there is somebody to see them. Once the terminal is gone,
//! nothing is drawn, and nothing fails for it.

use std::io::{self, Write};
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::TermLike;

/// What is drawn next: it is written at once, so that it does not flicker.
#[derive(Debug, Default)]
pub(super) struct Drawn(Mutex<String>);

impl Drawn {
    fn next(&self) -> MutexGuard<'_, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, text: &str) -> io::Result<()> {
        self.next().push_str(text);
        Ok(())
    }

    /// Moves the cursor so far in the direction of an escape sequence.
    fn go(&self, n: usize, direction: char) -> io::Result<()> {
        if n == 0 { Ok(()) } else { self.add(&format!("\x1b[{n}{direction}")) }
    }
}

impl TermLike for Drawn {
    fn width(&self) -> u16 {
        terminal_size::terminal_size_of(io::stderr()).map_or(80, |(width, _)| width.0)
    }

    fn height(&self) -> u16 {
        terminal_size::terminal_size_of(io::stderr()).map_or(24, |(_, height)| height.0)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.go(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.go(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.go(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.go(n, 'D')
    }

    fn write_line(&self, line: &str) -> io::Result<()> {
        self.add(line)?;
        self.add("\n")
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.add(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.add("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        let text = mem::take(&mut *self.next());
        let mut to = io::stderr().lock();
        // The bars would take an error for the end of the world.
        _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
        Ok(())
    }
}
