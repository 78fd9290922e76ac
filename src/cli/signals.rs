//! Ctrl-C and SIGTERM: the first asks the run to finish what is in flight, the second ends it at once. The clock may
//! ask as the first does.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::console::Console;
use super::exit::{self, Exit};

/// A command that was asked to stop ends by itself well before this, whatever the servers do; should it not, it is ended.
const LAST_RESORT: Duration = Duration::from_secs(29);

/// Listens from now on, in the background of the current runtime. The value becomes `true` with the
/// first signal, or when the run is stopped in another way.
pub(crate) fn listen(console: &Console) -> io::Result<watch::Receiver<bool>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
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
        let name = either(&mut interrupt, &mut terminate).await;
        tracing::warn!("{name}: finishing the groups in flight; once more to stop at once");
        // Nobody may be listening any more, at the very end; the second signal still counts.
        console.stop.send_replace(true);
        let name = either(&mut interrupt, &mut terminate).await;
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

async fn either(interrupt: &mut Signal, terminate: &mut Signal) -> &'static str {
    tokio::select! {
        _ = interrupt.recv() => "interrupted",
        _ = terminate.recv() => "terminated",
    }
}
