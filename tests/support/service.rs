//! A user's own directory service: it answers what it is told to, and keeps what it was asked.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

/// The token that a gate of the tests sends to its directory.
pub const TOKEN: &str = "directory-token-of-the-tests";

/// What is answered to a path.
#[derive(Debug, Clone)]
pub enum Reply {
    /// This status, headers and body.
    Says(u16, Vec<(String, String)>, Vec<u8>),
    /// Nothing, ever.
    Nothing,
    /// Nothing, and the connection is closed.
    Closes,
}

impl From<Value> for Reply {
    fn from(json: Value) -> Self {
        Self::from((200, json.to_string()))
    }
}

impl<B: Into<Vec<u8>>> From<(u16, B)> for Reply {
    fn from((status, body): (u16, B)) -> Self {
        Self::Says(status, Vec::new(), body.into())
    }
}

pub struct Service {
    pub addr: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    replies: BTreeMap<String, Reply>,
    otherwise: Option<Reply>,
    asked: Vec<Asked>,
}

/// What was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    pub line: String,
    pub headers: BTreeMap<String, String>,
}

impl Service {
    /// One that knows nothing: 404.
    pub async fn start() -> Self {
        Self::of(None).await
    }

    /// The same, over TLS.
    pub async fn over_tls(acceptor: TlsAcceptor) -> Self {
        Self::of(Some(acceptor)).await
    }

    async fn of(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::<Mutex<Shared>>::default();
        let state = shared.clone();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let state = state.clone();
                let service = service_fn(move |request| answer(request, state.clone()));
                let tls = tls.clone();
                connections.spawn(async move {
                    if let Some(tls) = tls {
                        let Ok(stream) = tls.accept(stream).await else { return };
                        let served = http1::Builder::new();
                        let _ = served.serve_connection(TokioIo::new(stream), service).await;
                        return;
                    }
                    let _ =
                        http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { addr, shared, task }
    }

    /// `[directory]` for this service.
    pub fn section(&self, timeout: &str, cache: &str) -> String {
        let addr = self.addr;
        format!(
            "[directory]\nurl = \"http://{addr}/dir/\"\ntoken = \"{TOKEN}\"\n\
             timeout = \"{timeout}\"\ncache = \"{cache}\"\n"
        )
    }

    /// Says this of a path below `/dir` from now on.
    pub fn says(&self, path: &str, reply: impl Into<Reply>) {
        self.shared.lock().unwrap().replies.insert(path.to_owned(), reply.into());
    }

    /// Says this of every other path from now on.
    pub fn says_otherwise(&self, reply: impl Into<Reply>) {
        self.shared.lock().unwrap().otherwise = Some(reply.into());
    }

    /// Everything it was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.lock().unwrap().asked.clone()
    }

    /// How often it was asked for a path below `/dir`.
    pub fn asked_for(&self, path: &str) -> usize {
        let line = format!("GET /dir{path}");
        self.asked().iter().filter(|asked| asked.line == line).count()
    }

    /// Ends, with all its connections.
    pub async fn end(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

async fn answer(
    request: Request<Incoming>,
    shared: Arc<Mutex<Shared>>,
) -> io::Result<Response<Full<Bytes>>> {
    let target = request.uri().to_string();
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| (name.to_string(), text(value))).collect();
    let reply = {
        let mut shared = shared.lock().unwrap();
        shared.asked.push(Asked { line: format!("{} {target}", request.method()), headers });
        let path = target.strip_prefix("/dir").unwrap_or_default();
        shared.replies.get(path).or(shared.otherwise.as_ref()).cloned()
    };
    match reply.unwrap_or_else(|| (404, "").into()) {
        Reply::Nothing => std::future::pending().await,
        Reply::Closes => Err(io::ErrorKind::ConnectionAborted.into()),
        Reply::Says(status, headers, body) => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            Ok(response.body(Full::from(body)).unwrap())
        }
    }
}
