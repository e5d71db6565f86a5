//! An upstream that answers when, and what, the test says.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Request, Response, body::Incoming, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Panel {
    pub addr: SocketAddr,
    visits: mpsc::UnboundedReceiver<Visit>,
}

/// A request that waits for its answer.
pub struct Visit {
    /// Which connection it came on, counted from 0.
    pub connection: usize,
    pub method: String,
    pub target: String,
    pub headers: HeaderMap,
    answer: oneshot::Sender<Response<Full<Bytes>>>,
}

impl Panel {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (tell, visits) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            for connection in 0.. {
                let Ok((stream, _)) = listener.accept().await else { return };
                let tell = tell.clone();
                let service = service_fn(move |request| visited(request, connection, tell.clone()));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { addr, visits }
    }

    /// The next visit; waits for it.
    pub async fn next(&mut self) -> Visit {
        let visit = tokio::time::timeout(PATIENCE, self.visits.recv()).await;
        visit.expect("nobody visits").unwrap()
    }

    /// Whether nobody has visited that was not answered for.
    pub fn is_quiet(&mut self) -> bool {
        self.visits.try_recv().is_err()
    }
}

impl Visit {
    /// The values of a header.
    pub fn header(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }

    pub fn answer(self, response: Response<Full<Bytes>>) {
        let _ = self.answer.send(response);
    }
}

async fn visited(
    request: Request<Incoming>,
    connection: usize,
    tell: mpsc::UnboundedSender<Visit>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (answer, answered) = oneshot::channel();
    let visit = Visit {
        connection,
        method: request.method().to_string(),
        target: request.uri().to_string(),
        headers: request.headers().clone(),
        answer,
    };
    let _ = tell.send(visit);
    let gone = || Response::builder().status(500).body(Full::default()).unwrap();
    Ok(answered.await.unwrap_or_else(|_| gone()))
}
