//! A witness between the tool and Cassandra: it writes down every request, and can be told to
//! answer one with an error, to hold it back, to lose its answer or to cut its connection.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::frames::{Dictionary, Frame, HEADER, Request, UNKNOWN, UNPREPARED};
use crate::world::runtime;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fate {
    Pass,
    /// It never reaches the server; the client is told this error.
    Refuse(i32),
    /// The server does it; the client is told this error all the same.
    Misreport(i32),
    Delay(Duration),
    /// The server does it; the answer never comes.
    Lose,
    /// The connection is cut before the server sees it.
    Cut,
    /// It never reaches the server; the client is told that it was done: a write that is acknowledged, and lost.
    Swallow,
}

/// A request on a test's tables that has been seen.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) request: Request,
    pub(crate) fate: Fate,
    /// The moments, counted in moments of all requests, at which it was sent and was answered.
    pub(crate) sent: usize,
    pub(crate) answered: Option<usize>,
    /// How large request and answer are.
    pub(crate) bytes: usize,
}

/// A value larger than this is not kept: nobody looks at it.
const MOST_KEPT: usize = 256 * 1024;

type Judge = Box<dyn Fn(&Request, usize) -> Fate + Send + Sync>;

struct Shared {
    server: String,
    judge: Judge,
    sees_register: bool,
    dictionary: Mutex<Dictionary>,
    seen: Mutex<Vec<Seen>>,
    clock: AtomicUsize,
    /// Statements have other ids than the server gave them.
    renames: AtomicBool,
    complaints: Mutex<Vec<String>>,
}

pub(crate) struct Proxy {
    pub(crate) hosts: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Only looks on.
    pub(crate) fn new(server: &str) -> Self {
        Self::with(server, |_, _| Fate::Pass)
    }

    /// Asks `judge` about each request on a test's tables; the number counts these from 0.
    pub(crate) fn with(
        server: &str,
        judge: impl Fn(&Request, usize) -> Fate + Send + Sync + 'static,
    ) -> Self {
        Self::start(server, Box::new(judge), false)
    }

    /// As [`with`](Self::with), of the requests on the register as well.
    pub(crate) fn with_register(
        server: &str,
        judge: impl Fn(&Request, usize) -> Fate + Send + Sync + 'static,
    ) -> Self {
        Self::start(server, Box::new(judge), true)
    }

    fn start(server: &str, judge: Judge, sees_register: bool) -> Self {
        let listener = runtime().block_on(TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("a port is free");
        let hosts = listener.local_addr().expect("it is bound").to_string();
        let shared = Arc::new(Shared {
            server: server.to_owned(),
            judge,
            sees_register,
            dictionary: Mutex::default(),
            seen: Mutex::default(),
            clock: AtomicUsize::new(0),
            renames: AtomicBool::new(false),
            complaints: Mutex::default(),
        });
        let task = runtime().spawn(accept(listener, Arc::clone(&shared)));
        Self { hosts, shared, task }
    }

    /// The requests on the test's tables so far.
    #[track_caller]
    pub(crate) fn seen(&self) -> Vec<Seen> {
        let complaints = lock(&self.shared.complaints).clone();
        assert!(complaints.is_empty(), "the witness could not follow: {complaints:?}");
        lock(&self.shared.seen).clone()
    }

    /// From now on statements have other ids, and are not known by those that they had.
    pub(crate) fn rename_statements(&self) {
        self.shared.renames.store(true, Ordering::SeqCst);
    }

    /// How many requests on the test's tables have been seen so far.
    pub(crate) fn count(&self) -> usize {
        lock(&self.shared.seen).len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(connection(client, Arc::clone(&shared)));
    }
}

/// What is still to be done when the answer to a stream comes.
#[derive(Default)]
struct Pending {
    prepare: Option<String>,
    /// Its place in the list of requests, and what becomes of it.
    request: Option<(usize, Fate)>,
}

async fn connection(client: TcpStream, shared: Arc<Shared>) {
    let Ok(server) = TcpStream::connect(&shared.server).await else { return };
    _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let pending: Arc<Mutex<HashMap<i16, Pending>>> = Arc::default();

    let (answers, mut answers_to_write) = unbounded_channel::<Frame>();
    let (requests, mut requests_to_write) = unbounded_channel::<Frame>();
    let write_answers = async {
        while let Some(frame) = answers_to_write.recv().await {
            if to_client.write_all(&frame.0).await.is_err() {
                return;
            }
        }
    };
    let write_requests = async {
        while let Some(frame) = requests_to_write.recv().await {
            if to_server.write_all(&frame.0).await.is_err() {
                return;
            }
        }
    };
    let read_requests = async {
        while let Some(frame) = read(&mut from_client).await {
            if !request(frame, &shared, &pending, &requests, &answers) {
                return;
            }
        }
    };
    let read_answers = async {
        while let Some(frame) = read(&mut from_server).await {
            answer(frame, &shared, &pending, &answers);
        }
    };
    // Whichever ends first ends the connection, both ways.
    tokio::select! {
        () = write_answers => {}
        () = write_requests => {}
        () = read_requests => {}
        () = read_answers => {}
    }
}

async fn read(stream: &mut OwnedReadHalf) -> Option<Frame> {
    let mut header = [0; HEADER];
    stream.read_exact(&mut header).await.ok()?;
    let mut bytes = header.to_vec();
    bytes.resize(HEADER + Frame::body_length(&header), 0);
    stream.read_exact(&mut bytes[HEADER..]).await.ok()?;
    Some(Frame(bytes))
}

/// Deals with one request; false cuts the connection.
fn request(
    mut frame: Frame,
    shared: &Arc<Shared>,
    pending: &Mutex<HashMap<i16, Pending>>,
    requests: &UnboundedSender<Frame>,
    answers: &UnboundedSender<Frame>,
) -> bool {
    let stream = frame.stream();
    if shared.renames.load(Ordering::SeqCst)
        && let Some(id) = lock(&shared.dictionary).rename_back(&mut frame)
    {
        return answers.send(Frame::unprepared(stream, &id)).is_ok();
    }
    let prepare = frame.to_prepare();
    let mut request = lock(&shared.dictionary).read(&frame);
    let values = request.iter_mut().flat_map(|request| &mut request.statements);
    let values = values.flat_map(|statement| &mut statement.values).flatten();
    values.filter(|value| value.len() > MOST_KEPT).for_each(|value| *value = Vec::new());
    if request.iter().flat_map(|request| &request.statements).any(|s| s.query == UNKNOWN) {
        lock(&shared.complaints).push("a statement that was never prepared".to_owned());
    }
    let is_seen = |request: &Request| {
        request.is_on_user_tables() || shared.sees_register && request.is_of_register()
    };
    let Some(request) = request.filter(is_seen) else {
        lock(pending).insert(stream, Pending { prepare, request: None });
        return requests.send(frame).is_ok();
    };
    let mut seen = lock(&shared.seen);
    let index = seen.len();
    let fate = (shared.judge)(&request, index);
    let sent = shared.clock.fetch_add(1, Ordering::SeqCst);
    seen.push(Seen { request, fate, sent, answered: None, bytes: frame.0.len() });
    drop(seen);

    lock(pending).insert(stream, Pending { prepare: None, request: Some((index, fate)) });
    match fate {
        Fate::Pass | Fate::Misreport(_) | Fate::Lose => requests.send(frame).is_ok(),
        Fate::Refuse(UNPREPARED) => {
            answers.send(Frame::unprepared(stream, &frame.first_id())).is_ok()
        }
        Fate::Refuse(code) => answers.send(Frame::error(stream, code)).is_ok(),
        Fate::Cut => false,
        Fate::Swallow => answers.send(Frame::done(stream)).is_ok(),
        Fate::Delay(delay) => {
            let requests = requests.clone();
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                _ = requests.send(frame);
            });
            true
        }
    }
}

fn answer(
    frame: Frame,
    shared: &Shared,
    pending: &Mutex<HashMap<i16, Pending>>,
    answers: &UnboundedSender<Frame>,
) {
    let Pending { prepare, request } = lock(pending).remove(&frame.stream()).unwrap_or_default();
    let mut frame = frame.without_compression();
    if let Some(query) = prepare {
        let mut dictionary = lock(&shared.dictionary);
        dictionary.learn(&query, &frame);
        if shared.renames.load(Ordering::SeqCst) {
            dictionary.rename(&mut frame);
        }
    }
    if let Some((index, fate)) = request {
        if fate == Fate::Lose {
            return;
        }
        let now = shared.clock.fetch_add(1, Ordering::SeqCst);
        let seen = &mut lock(&shared.seen)[index];
        seen.answered = Some(now);
        seen.bytes += frame.0.len();
        if let Fate::Misreport(code) = fate {
            frame = Frame::error(frame.stream(), code);
        }
    }
    _ = answers.send(frame);
}
