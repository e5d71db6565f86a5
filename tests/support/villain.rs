//! A web site that is somebody else's: pages that tests write, on a loopback port.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// The site. Pages that nobody wrote are empty.
pub struct Villain {
    pub addr: SocketAddr,
    pages: Arc<Mutex<HashMap<String, String>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub path: String,
    pub headers: http::HeaderMap,
}

impl Villain {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let pages = Arc::<Mutex<HashMap<String, String>>>::default();
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let (served, record) = (pages.clone(), seen.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (pages, record) = (served.clone(), record.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let path = request.uri().path().to_owned();
                    let html = pages.lock().unwrap().get(&path).cloned().unwrap_or_default();
                    record.lock().unwrap().push(Seen { path, headers: request.headers().clone() });
                    async move {
                        let answer = Response::builder()
                            .header("content-type", "text/html; charset=utf-8")
                            .body(Full::new(Bytes::from(html)));
                        Ok::<_, Infallible>(answer.unwrap())
                    }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { addr, pages, seen }
    }

    /// Puts a page there, in place of what was there.
    pub fn page(&self, path: &str, body: &str) {
        let html = format!("<!doctype html><title>Elsewhere</title><h1>Elsewhere</h1>{body}");
        self.pages.lock().unwrap().insert(path.to_owned(), html);
    }

    /// The URL of a page on another site than 127.0.0.1's.
    pub fn far(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.addr.port())
    }

    /// The URL of a page on another origin of the same site: `SameSite` does not help there.
    pub fn near(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}
