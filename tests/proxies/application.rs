//! The sample application: it answers with what it was asked, as a page or as JSON, and keeps it.
//!
//! `/echo` answers with the body, `/large?n` with a body of n bytes in chunks, `/socket` with every
//! message of a WebSocket. `/sso` opens a session of its own for whom the gate names.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::HeaderMap;
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::{
    Request, Response,
    body::{Body, Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{handshake::derive_accept_key, protocol::Role},
};

/// The pieces in which the body of `/large` comes.
const PIECE: usize = 64 * 1024;

/// What the application was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) trailers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

impl Asked {
    /// The values of a header.
    pub(crate) fn header(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(found, _)| found == name);
        named.map(|(_, value)| value.as_str()).collect()
    }
}

#[derive(Default)]
struct State {
    asked: Vec<Asked>,
    /// The user of each of the application's own sessions.
    sessions: BTreeMap<String, String>,
}

/// A running application.
pub(crate) struct Application {
    pub(crate) addr: SocketAddr,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Application {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                let service = service_fn(move |request| answer(request, Arc::clone(&state)));
                let serving = http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .with_upgrades();
                connections.spawn(serving);
            }
        });
        Self { addr, state, task }
    }

    /// Everything it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        locked(&self.state).asked.clone()
    }

    /// What it was asked for this target; once.
    pub(crate) fn asked_for(&self, target: &str) -> Asked {
        let all = self.asked();
        let mut found = all.iter().filter(|asked| asked.target == target);
        let (first, second) = (found.next(), found.next());
        assert!(second.is_none(), "asked for {target} more than once");
        first.unwrap_or_else(|| panic!("never asked for {target}, but {all:?}")).clone()
    }

    /// Ends it, with all its connections.
    pub(crate) fn stop(&self) {
        self.task.abort();
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        self.stop();
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap()
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

async fn answer(
    mut request: Request<Incoming>,
    state: Arc<Mutex<State>>,
) -> Result<Answer, Infallible> {
    let upgrade = hyper::upgrade::on(&mut request);
    let (parts, body) = request.into_parts();
    let collected = body.collect().await.unwrap_or_default();
    let trailers = collected.trailers().map(lines).unwrap_or_default();
    let asked = Asked {
        method: parts.method.to_string(),
        target: parts.uri.to_string(),
        headers: lines(&parts.headers),
        trailers,
        body: collected.to_bytes(),
    };
    locked(&state).asked.push(asked.clone());
    let one = |name: &str| asked.header(name).first().copied().unwrap_or_default().to_owned();
    Ok(match parts.uri.path() {
        "/echo" => respond(200, &[("content-type", "text/plain")], asked.body),
        "/large" => Response::new(Zeros(parts.uri.query().unwrap().parse().unwrap()).boxed()),
        "/socket" if !one("sec-websocket-key").is_empty() => {
            tokio::spawn(async move {
                let Ok(stream) = upgrade.await else { return };
                let stream = TokioIo::new(stream);
                let socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
                let (mut send, mut messages) = socket.split();
                while let Some(Ok(message)) = messages.next().await {
                    if message.is_text() && send.send(message).await.is_err() {
                        return;
                    }
                }
            });
            let accept = derive_accept_key(one("sec-websocket-key").as_bytes());
            let headers = [
                ("connection", "upgrade"),
                ("upgrade", "websocket"),
                ("sec-websocket-accept", accept.as_str()),
            ];
            respond(101, &headers, Bytes::new())
        }
        "/sso" => open_session(&one("x-oncegate-assertion"), &state),
        path => page(&asked, path, &user(&asked, &state)),
    })
}

fn lines(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

/// What the gate's login assertion says; its signature is for `tests/callback.rs`.
fn open_session(assertion: &str, state: &Mutex<State>) -> Answer {
    let claims = assertion.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let claims: Option<Value> = claims.and_then(|claims| serde_json::from_slice(&claims).ok());
    let Some(claims) = claims else {
        return respond(403, &[], Bytes::from_static(b"no assertion"));
    };
    let mut state = locked(state);
    let id = format!("own-session-{}", state.sessions.len());
    state.sessions.insert(id.clone(), claims["sub"].as_str().unwrap().to_owned());
    let cookie = format!("sid={id}; Path=/; Secure; HttpOnly; SameSite=Lax");
    let next = claims["dst"].as_str().unwrap_or("/");
    respond(303, &[("location", next), ("set-cookie", &cookie)], Bytes::new())
}

/// Who is signed in: in a session of the application's own, or as the gate says.
fn user(asked: &Asked, state: &Mutex<State>) -> String {
    let cookies = asked.header("cookie").join("; ");
    let own = cookies.split("; ").find_map(|cookie| cookie.strip_prefix("sid="));
    let own = own.and_then(|id| locked(state).sessions.get(id).cloned());
    let told = asked.header("x-oncegate-user").join(", ");
    own.unwrap_or(if told.is_empty() { "nobody".to_owned() } else { told })
}

fn page(asked: &Asked, path: &str, user: &str) -> Answer {
    if asked.header("accept").iter().any(|accept| accept.contains("text/html")) {
        let html = format!(
            "<!doctype html><title>Sample</title><p id=user>{user}</p><p id=path>{path}</p>"
        );
        return respond(200, &[("content-type", "text/html")], Bytes::from(html));
    }
    let told = json!({
        "user": user,
        "method": asked.method,
        "target": asked.target,
        "headers": asked.headers,
        "trailers": asked.trailers,
        "length": asked.body.len(),
    });
    respond(200, &[("content-type", "application/json")], Bytes::from(told.to_string()))
}

fn respond(status: u16, headers: &[(&str, &str)], body: Bytes) -> Answer {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Full::new(body).boxed()).unwrap()
}

/// So many bytes, made as they are asked for.
struct Zeros(u64);

impl Body for Zeros {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        static PIECES: [u8; PIECE] = [0; PIECE];
        let take = self.0.min(PIECE as u64);
        self.0 -= take;
        let piece = PIECES.get(..usize::try_from(take).unwrap()).unwrap();
        Poll::Ready((take > 0).then(|| Ok(Frame::data(Bytes::from_static(piece)))))
    }
}
