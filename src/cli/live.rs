//! What a command has of the live view: its frames, the socket in the run directory and, with --listen, the server.

use std::future::Future;
use std::path::Path;

use super::exit::Exit;
use super::{Console, Failure, RunSettings};
use crate::advice::Advice;
use crate::live::{Ended, Server, Socket, Ticker};
use crate::run::RunRecord;

/// The live view of a command that goes on.
pub(super) struct Live {
    ticker: Ticker,
    server: Option<Server>,
    socket: Option<Socket>,
}

impl Live {
    /// Begins; the address to listen at, if there is one, is taken now or never.
    ///
    /// # Errors
    /// The address cannot be had.
    pub(super) fn start(
        RunSettings { listen, output, .. }: &RunSettings,
        console: &Console,
    ) -> Result<Self, Failure> {
        let ticker = Ticker::start(&console.status, &console.control);
        let start = |listen| Server::start(listen, ticker.frames(), &console.control);
        let server = listen.as_ref().map(start).transpose().map_err(Failure::failed)?;
        if let Some(server) = &server {
            tracing::info!("listening on {}", server.url());
            if !server.is_local() {
                tracing::warn!(
                    "whoever can reach {} sees how far the run is; with the token also the ids of accounts \
                     that fail, and may control it",
                    server.url()
                );
            }
            // The token is for the operator, not for the log.
            if !output.quiet {
                console.terminal.tell(&format!("live page: {}", server.url_with_token()));
            }
        }
        Ok(Self { ticker, server, socket: None })
    }

    /// From here on `tributary control` reaches the run in its directory.
    pub(super) fn is_reached_in(&mut self, run_dir: &Path, console: &Console) {
        console.status.is_kept_in(run_dir);
        let address = self.server.as_ref().map(Server::url_with_token);
        match Socket::open(run_dir, self.ticker.frames(), &console.control, address) {
            Ok(socket) => self.socket = Some(socket),
            // The run does not depend on it.
            Err(error) => {
                tracing::warn!("this run cannot be reached by the command control: {error}");
            }
        }
    }

    /// Tells those who look how the command ended, unless it has done so itself.
    pub(super) async fn close(self, result: &Result<Exit, Failure>, console: &Console) {
        console.status.freeze();
        if !console.status.has_ended() {
            console.status.end(match result {
                Ok(exit) => ended(*exit, None, None),
                Err(failure) => {
                    let how = format!("{}: {:#}", word(failure.exit), failure.error);
                    Ended {
                        how,
                        exit_code: failure.exit.code(),
                        again: console.again.command().map(Advice::to_string),
                    }
                }
            });
        }
        drop(self.socket);
        self.ticker.finish().await;
        if let Some(server) = self.server {
            server.close().await;
        }
    }
}

/// Carries out a command over a run that is there, beside its live view.
///
/// # Errors
/// The address to listen at cannot be had, or what stopped the command.
pub(super) async fn over_run(
    command: &str,
    run_dir: &Path,
    record: &RunRecord,
    settings: &RunSettings,
    console: &Console,
    work: impl Future<Output = Result<Exit, Failure>>,
) -> Result<Exit, Failure> {
    let mut live = Live::start(settings, console)?;
    console.status.begin(command, record.id.as_str());
    live.is_reached_in(run_dir, console);
    let result = work.await;
    live.close(&result, console).await;
    result
}

/// How a command ended; `stopped` says why it did so before its end.
pub(super) fn ended(exit: Exit, stopped: Option<&str>, again: Option<&Advice>) -> Ended {
    let how = stopped.unwrap_or(word(exit)).to_owned();
    Ended { how, exit_code: exit.code(), again: again.map(Advice::to_string) }
}

/// How a command ended, by its exit code.
pub(super) fn word(exit: Exit) -> &'static str {
    match exit {
        Exit::Done => "finished",
        Exit::Partial => "finished, but not everything was merged",
        Exit::Differences => "finished, with differences",
        Exit::Interrupted => "interrupted",
        Exit::Failed | Exit::Unusable => "failed",
    }
}
