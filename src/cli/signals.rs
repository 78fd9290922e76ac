//! Ctrl-C and SIGTERM: the first asks the run to finish what is in flight, the second ends it at once. The clock may
//! ask as the first does, and so does a terminal that goes away (SIGHUP), unless it was ignored from the start (nohup).

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::console::Console;
use super::exit::{self, Exit};

/// A command that was asked to stop ends by itself well before this, whatever the servers do; should it not, it is ended.
const LAST_RESORT: Duration = Duration::from_secs(29);

/// What a process is sent that writes more than it may to a file (`ulimit -f`), on Linux. Once somebody listens, it does not
/// end the process any more, and the write fails like one to a disk that is full.
const FILE_TOO_LARGE: i32 = 25;

/// Listens from now on, in the background of the current runtime. The value becomes `true` with the
/// first signal, or when the run is stopped in another way.
pub(crate) fn listen(console: &Console) -> io::Result<watch::Receiver<bool>> {
    let mut signals = Signals::new()?;
    let stopped = console.stop.subscribe();
    if let Some(until) = &console.until {
        console.status.ends_at(until.moment());
        tokio::spawn(until.clone().stop(console.stop.clone()));
    }
    let (console, mut asked) = (console.clone(), stopped.clone());
    let last = console.clone();
    tokio::spawn(async move {
        if asked.wait_for(|stop| *stop).await.is_ok() {
            tokio::time::sleep(LAST_RESORT).await;
            end_at_once(&last, "what is in flight does not end");
        }
    });
    tokio::spawn(async move {
        let name = signals.first().await;
        tracing::warn!("{name}: finishing the groups in flight; once more to stop at once");
        // Nobody may be listening any more, at the very end; the second signal still counts.
        console.stop.send_replace(true);
        let name = signals.once_more().await;
        end_at_once(&console, &format!("{name} again"))
    });
    Ok(stopped)
}

/// Ends the process, and says what that means. Nothing is lost by it that a crash would not lose, too: whatever was begun
/// is in the journal.
fn end_at_once(console: &Console, why: &str) -> ! {
    console.terminal.clear();
    let look = match console.again.command() {
        None => "nothing was changed".to_owned(),
        Some(command) => format!("what was in flight may be half done. To go on:\n  {command}"),
    };
    console.terminal.complain(&format!("{why}: stopped at once; {look}"));
    exit::at_once(Exit::Interrupted)
}

/// What a process is sent that is to end.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Option<Signal>,
}

impl Signals {
    fn new() -> io::Result<Self> {
        let hang_up = SignalKind::hangup();
        let ignored = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let is_ignored = ignores(&ignored, hang_up.as_raw_value());
        drop(signal(SignalKind::from_raw(FILE_TOO_LARGE))?);
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: if is_ignored { None } else { Some(signal(hang_up)?) },
        })
    }

    async fn first(&mut self) -> &'static str {
        let Self { interrupt, terminate, hang_up } = self;
        let hang_up = async {
            match hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => "interrupted",
            _ = terminate.recv() => "terminated",
            _ = hang_up => "the terminal is gone",
        }
    }

    /// What is meant by a person: a terminal that goes away may say so several times.
    async fn once_more(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "interrupted",
            _ = self.terminate.recv() => "terminated",
        }
    }
}

/// Whether a process ignores a signal, by what Linux says of it in `/proc/self/status`.
fn ignores(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    mask & 1 << (signal - 1) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_is_ignored_stays_so() {
        let status =
            "SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000002\n";
        assert!(ignores(status, 1) && ignores(status, 13));
        assert!(!ignores(status, 2) && !ignores("", 1));
    }
}
