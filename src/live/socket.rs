//! The socket in the run directory: how `tributary control` reaches the process that works on a run.
//!
//! One line in, one line of JSON out. Only the owner of the run directory can reach it, so it needs no token.

use std::fs::{self, File, Permissions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as ClientStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader as AsyncBufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time;

use super::control::{Control, Order};
use super::ticker::Frames;

/// Its name in the run directory.
const NAME: &str = "control.sock";

/// The system takes a path of 107 bytes at most.
const LONGEST_PATH: usize = 107;

/// Clients at once; further ones are closed.
const CLIENTS: usize = 16;

/// Neither side waits longer than this for the other.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longer than any order.
const LINE_BYTES: u64 = 1_024;

/// An answer is read as far as this.
const ANSWER_BYTES: u64 = 1 << 20;

/// The order that asks for the figures and changes nothing.
const STATUS: &str = "status";

/// What a process answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Reply {
    /// Whether the order was carried out.
    pub(crate) ok: bool,
    /// What to tell whoever asked.
    pub(crate) message: String,
    /// The address of the live page with its token, if there is one.
    pub(crate) address: Option<String>,
    /// The figures of the run.
    pub(crate) status: Value,
}

/// Why a run cannot be asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum SocketError {
    /// Nobody listens.
    #[error("no process that can be asked works on the run {}", run.display())]
    Nobody {
        /// The run directory.
        run: PathBuf,
        /// A process has left its socket there: it was killed, or its machine went down.
        was_killed: bool,
    },
    /// It does not answer.
    #[error(
        "the process that works on the run {} is there, and does not answer: it is held (as by Ctrl-Z; fg, or kill -CONT, \
         lets it go on), or this machine is too busy. Ask again",
        run.display()
    )]
    Silent {
        /// The run directory.
        run: PathBuf,
    },
    /// Something goes wrong in between.
    #[error("cannot ask the process that works on the run {}: {cause}", run.display())]
    Broken {
        /// The run directory.
        run: PathBuf,
        cause: io::Error,
    },
}

/// A socket that is served. It goes when this is dropped.
#[derive(Debug)]
pub(crate) struct Socket {
    path: SocketPath,
    serving: JoinHandle<()>,
}

impl Socket {
    /// Serves in a run directory that belongs to this process alone, in the background of the current runtime. What a
    /// killed process has left there is replaced.
    ///
    /// # Errors
    /// The folder cannot hold a socket.
    pub(crate) fn open(
        run: &Path,
        frames: &Frames,
        control: &Control,
        address: Option<String>,
    ) -> io::Result<Self> {
        let path = SocketPath::new(run)?;
        match fs::remove_file(&path.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path.path)?;
        fs::set_permissions(&path.path, Permissions::from_mode(0o600))?;
        let host = Host { frames: frames.clone(), control: control.clone(), address };
        let serving = tokio::spawn(serve(listener, host));
        Ok(Self { path, serving })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.serving.abort();
        // If it cannot be removed, it is stale, and the next process replaces it.
        let _ = fs::remove_file(&self.path.path);
    }
}

/// Where the socket is, by a path that is short enough.
#[derive(Debug)]
struct SocketPath {
    path: PathBuf,
    /// What a path by way of a file descriptor goes through.
    _folder: Option<File>,
}

impl SocketPath {
    fn new(run: &Path) -> io::Result<Self> {
        let path = run.join(NAME);
        if path.as_os_str().len() <= LONGEST_PATH {
            return Ok(Self { path, _folder: None });
        }
        let folder = File::open(run)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{NAME}", folder.as_raw_fd()));
        Ok(Self { path, _folder: Some(folder) })
    }
}

#[derive(Clone)]
struct Host {
    frames: Frames,
    control: Control,
    address: Option<String>,
}

async fn serve(listener: UnixListener, host: Host) {
    let slots = Arc::new(Semaphore::new(CLIENTS));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            time::sleep(Duration::from_millis(200)).await;
            continue;
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else { continue };
        let host = host.clone();
        tokio::spawn(async move {
            // A client that says nothing, or is gone, is none of our concern.
            let _ = time::timeout(PATIENCE, host.answer(stream)).await;
            drop(slot);
        });
    }
}

impl Host {
    async fn answer(&self, mut stream: UnixStream) -> io::Result<()> {
        let mut line = String::new();
        AsyncBufReader::new((&mut stream).take(LINE_BYTES)).read_line(&mut line).await?;
        let order = line.trim();
        let done = match order {
            STATUS => Ok(String::new()),
            order => order
                .parse()
                .and_then(|order: Order| self.control.carry_out(order, "by the command control")),
        };
        self.frames.refresh();
        let (ok, message) = match done {
            Ok(message) => (true, message),
            Err(refused) => (false, refused.to_string()),
        };
        let status = serde_json::from_str(&self.frames.latest().status)?;
        let answer = Reply { ok, message, address: self.address.clone(), status };
        stream.write_all((serde_json::to_string(&answer)? + "\n").as_bytes()).await?;
        stream.shutdown().await
    }
}

/// Asks the process that works on a run; `None` asks for the figures only.
///
/// # Errors
/// There is no such process, or it does not answer.
pub(crate) fn ask(run: &Path, order: Option<Order>) -> Result<Reply, SocketError> {
    let broken = |cause| SocketError::Broken { run: run.to_path_buf(), cause };
    let path = SocketPath::new(run).map_err(broken)?;
    let stream = ClientStream::connect(&path.path).map_err(|cause| match cause.kind() {
        kind @ (io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            let was_killed = kind == io::ErrorKind::ConnectionRefused;
            SocketError::Nobody { run: run.to_path_buf(), was_killed }
        }
        _ => broken(cause),
    })?;
    let line = order.map_or_else(|| STATUS.to_owned(), |order| order.to_string());
    exchange(&stream, &line).map_err(|cause| match cause.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            SocketError::Silent { run: run.to_path_buf() }
        }
        _ => broken(cause),
    })
}

fn exchange(mut stream: &ClientStream, line: &str) -> io::Result<Reply> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{line}\n").as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream.take(ANSWER_BYTES)).read_line(&mut answer)?;
    if answer.is_empty() {
        return Err(io::Error::other("it went away"));
    }
    Ok(serde_json::from_str(&answer)?)
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::*;
    use crate::live::{Status, Ticker};
    use crate::pace::Pace;

    /// A folder below the system's, removed at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir()
                .join(format!("tributary-socket-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn asked(run: &Path, order: Option<Order>) -> Result<Reply, SocketError> {
        let run = run.to_path_buf();
        std::thread::spawn(move || ask(&run, order)).join().unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_run_can_be_asked_while_its_process_is_there() {
        // The second is longer than the path of a socket may be.
        for name in ["short".to_owned(), "long".repeat(30)] {
            let folder = Folder::new(&name);
            let (stop, stopped) = watch::channel(false);
            let control = Control::new(stop);
            let pace = Pace::new(1);
            control.paces(&pace);
            let ticker = Ticker::start(&Status::default(), &control);
            let refused = asked(&folder.0, None).unwrap_err().to_string();
            assert!(refused.contains("no process"), "{refused}");
            // As a killed process leaves one.
            drop(
                std::os::unix::net::UnixListener::bind(SocketPath::new(&folder.0).unwrap().path)
                    .unwrap(),
            );
            assert!(matches!(asked(&folder.0, None), Err(SocketError::Nobody { .. })));

            let socket =
                Socket::open(&folder.0, ticker.frames(), &control, Some("a#b".into())).unwrap();
            let mode = fs::metadata(folder.0.join(NAME)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            let answer = asked(&folder.0, None).unwrap();
            assert_eq!((answer.ok, answer.address.as_deref()), (true, Some("a#b")));
            assert_eq!(answer.status["phase"], "planning");
            assert!(asked(&folder.0, Some(Order::Pause)).unwrap().ok && pace.is_paused());
            assert!(asked(&folder.0, Some(Order::Stop)).unwrap().ok && *stopped.borrow());
            assert!(!asked(&folder.0, Some(Order::Resume)).unwrap().ok);
            drop(socket);
            assert!(!folder.0.join(NAME).exists());
        }
    }

    #[test]
    fn a_process_that_is_held_is_told_as_silent() {
        let folder = Folder::new("held");
        let path = SocketPath::new(&folder.0).unwrap().path;
        let _unanswered = std::os::unix::net::UnixListener::bind(path).unwrap();
        let silent = asked(&folder.0, None).unwrap_err();
        assert!(matches!(silent, SocketError::Silent { .. }), "{silent}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn clients_that_hang_keep_nobody_out() {
        let folder = Folder::new("hang");
        let (stop, _) = watch::channel(false);
        let control = Control::new(stop);
        let ticker = Ticker::start(&Status::default(), &control);
        let _socket = Socket::open(&folder.0, ticker.frames(), &control, None).unwrap();
        let path = folder.0.join(NAME);
        let hanging: Vec<_> =
            (0..CLIENTS - 1).map(|_| ClientStream::connect(&path).unwrap()).collect();
        assert!(asked(&folder.0, None).unwrap().ok);
        drop(hanging);
    }
}
