//! What is served by HTTP: the page, its events, figures for programs, and orders.
//!
//! Nobody who connects can slow the run: whoever asks gets the latest frame, a client that does not read misses frames,
//! one that says or takes nothing is cut off, and there are so many connections at most.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use futures::{Stream, stream};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time;

use super::control::{Control, Order, Refused};
use super::guard::{Token, is_own_host, is_own_origin};
use super::listen::{Listen, ListenError};
use super::ticker::{Frame, Frames};
use super::{metrics, page};

/// Connections at once; further ones are closed.
const CONNECTIONS: usize = 64;

/// A client that has not sent the head of its request by then is cut off; so is one that only keeps a connection.
const HEAD_PATIENCE: Duration = Duration::from_secs(20);

/// A client that takes nothing of what was sent to it for this long is cut off, by the kernel.
const SEND_PATIENCE: Duration = Duration::from_secs(30);

/// How long the server still answers when the last frame is out: a page asks once more for what it has shown.
const LINGER: Duration = Duration::from_millis(300);

/// How long the end waits for clients to take the last frame.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// How long it takes until a browser connects again, in milliseconds.
const RECONNECT: Duration = Duration::from_secs(1);

/// A server at an address of its own.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    names: Arc<[String]>,
    token: Token,
    serving: JoinHandle<()>,
    close: watch::Sender<bool>,
}

/// What requests are answered from.
#[derive(Clone)]
struct Shared {
    frames: Frames,
    control: Control,
    token: Token,
    names: Arc<[String]>,
}

impl Server {
    /// Takes the address and serves, in the background of the current runtime.
    ///
    /// # Errors
    /// The address cannot be had.
    pub(crate) fn start(
        listen: &Listen,
        frames: &Frames,
        control: &Control,
    ) -> Result<Self, ListenError> {
        let token = Token::random().map_err(|error| ListenError::Random(error.to_string()))?;
        let failed = |cause| ListenError::Bind { listen: listen.clone(), cause };
        let listener = TcpListener::from_std(listen.bind()?).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let names: Arc<[String]> = listen.names().into();
        let shared = Shared {
            frames: frames.clone(),
            control: control.clone(),
            token: token.clone(),
            names: Arc::clone(&names),
        };
        let (close, closed) = watch::channel(false);
        let serving = tokio::spawn(serve(listener, router(shared), closed));
        Ok(Self { address, names, token, serving, close })
    }

    /// The address of the page, as it may be logged.
    pub(crate) fn url(&self) -> String {
        let port = self.address.port();
        match (self.address.ip(), self.names.first()) {
            (ip, Some(name)) if ip.is_unspecified() && name.parse::<IpAddr>().is_err() => {
                format!("http://{name}:{port}/")
            }
            (ip, _) if ip.is_unspecified() => format!("http://127.0.0.1:{port}/"),
            _ => format!("http://{}/", self.address),
        }
    }

    /// The address with the token, for the operator's eyes only. The token stands in the fragment, which browsers do
    /// not send.
    pub(crate) fn url_with_token(&self) -> String {
        format!("{}#token={}", self.url(), self.token.expose())
    }

    /// Whether only this machine can reach it.
    pub(crate) fn is_local(&self) -> bool {
        self.address.ip().is_loopback()
    }

    /// Lets clients take the last frame, for a moment, and closes.
    pub(crate) async fn close(self) {
        time::sleep(LINGER).await;
        self.close.send_replace(true);
        let aborting = self.serving.abort_handle();
        if time::timeout(CLOSE_PATIENCE, self.serving).await.is_err() {
            aborting.abort();
        }
    }
}

async fn serve(listener: TcpListener, router: Router, closed: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    let mut closing = closed.clone();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = closing.wait_for(|closed| *closed) => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) if connections.len() < CONNECTIONS => {
                connections.spawn(connection(stream, router.clone(), closed.clone()));
            }
            Ok(_) => tracing::debug!("{CONNECTIONS} connections are open; another one is closed"),
            // Most likely out of file descriptors; it passes.
            Err(error) => {
                tracing::debug!("cannot accept a connection: {error}");
                time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(stream: TcpStream, router: Router, mut closed: watch::Receiver<bool>) {
    // Where the system does not know it, a client that hangs keeps its slot until the run ends.
    let _ = SockRef::from(&stream).set_tcp_user_timeout(Some(SEND_PATIENCE));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_PATIENCE);
    let service = TowerToHyperService::new(router);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = closed.wait_for(|closed| *closed) => {}
    }
    connection.as_mut().graceful_shutdown();
    // A client that is gone is none of our concern.
    let _ = connection.await;
}

fn router(shared: Shared) -> Router {
    let guard = middleware::from_fn_with_state(shared.clone(), guarded);
    Router::new()
        .route("/", get(live_page))
        .route("/events", get(events))
        .route("/status", get(status))
        .route("/metrics", get(prometheus))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/control/{*order}", post(order))
        .fallback(|| async { (StatusCode::NOT_FOUND, "there is no such page\n") })
        .layer(guard)
        .with_state(shared)
}

/// Answers only those who may ask, and says to browsers what they may do with the answer.
async fn guarded(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let mut response = match refused(&shared, request.method(), request.headers()) {
        Some((status, why)) => (status, why).into_response(),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    response
}

fn refused(shared: &Shared, method: &Method, headers: &HeaderMap) -> Option<(StatusCode, String)> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    if !is_own_host(host, &shared.names) {
        let why = "this server does not go by that name: ask it by its address, or by the host of --listen\n";
        return Some((StatusCode::MISDIRECTED_REQUEST, why.to_owned()));
    }
    let authorization = text(header::AUTHORIZATION);
    if [Method::GET, Method::HEAD].contains(method) && authorization.is_none() {
        return None;
    }
    let origin = headers.get(header::ORIGIN).map(|value| value.to_str().unwrap_or_default());
    let site = text(HeaderName::from_static("sec-fetch-site"));
    if !is_own_origin(origin, host) || site.is_some_and(|site| site != "same-origin") {
        return Some((StatusCode::FORBIDDEN, "only its own page may ask for that\n".to_owned()));
    }
    (!shared.token.is_in(authorization.unwrap_or_default())).then(|| {
        let why = "the token that the run printed at its start is missing or wrong\n";
        (StatusCode::UNAUTHORIZED, why.to_owned())
    })
}

async fn live_page() -> Response {
    match page::page() {
        Ok((html, policy)) => {
            ([(header::CONTENT_SECURITY_POLICY, policy)], Html(html)).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn status(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let Frame { public, status, .. } = shared.frames.latest();
    // A wrong token has been refused already.
    let status = if headers.contains_key(header::AUTHORIZATION) { status } else { public };
    let status = status.to_string();
    ([(header::CONTENT_TYPE, "application/json")], status).into_response()
}

async fn prometheus(State(shared): State<Shared>) -> Response {
    let metrics = shared.frames.latest().metrics.to_string();
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics).into_response()
}

async fn events(
    State(shared): State<Shared>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>> + Send> {
    Sse::new(stream::unfold(Some(shared.frames.subscribe()), |frames| async {
        let mut frames = frames?;
        frames.changed().await.ok()?;
        let Frame { public, is_last, .. } = frames.borrow_and_update().clone();
        let name = if is_last { "ended" } else { "figures" };
        let event = Event::default().event(name).retry(RECONNECT).data(public);
        Some((Ok(event), (!is_last).then_some(frames)))
    }))
}

async fn order(State(shared): State<Shared>, Path(order): Path<String>) -> (StatusCode, String) {
    let done = order
        .replacen('/', " ", 1)
        .parse::<Order>()
        .and_then(|order| shared.control.carry_out(order, "from the live page"));
    shared.frames.refresh();
    match done {
        Ok(message) => (StatusCode::OK, message + "\n"),
        Err(refused) => {
            let status = match refused {
                Refused::Unknown(_) => StatusCode::NOT_FOUND,
                Refused::NotARate(_) => StatusCode::BAD_REQUEST,
                Refused::NotNow => StatusCode::CONFLICT,
            };
            (status, format!("{refused}\n"))
        }
    }
}
