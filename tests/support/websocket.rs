//! A `WebSocket` at both ends, by somebody else's implementation.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, Request};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async, client_async,
    tungstenite::{Error, Message, handshake::client::generate_key},
};

/// An upstream that echoes what it is told, until it is told `bye`. Handshakes are its only
/// pages.
pub struct Echo {
    pub addr: SocketAddr,
    seen: Arc<Mutex<Vec<(String, HeaderMap)>>>,
}

impl Echo {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Vec<(String, HeaderMap)>>>::default();
        let record = seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(echo(stream, record.clone()));
            }
        });
        Self { addr, seen }
    }

    /// The target and the head of every handshake so far.
    pub fn seen(&self) -> Vec<(String, HeaderMap)> {
        self.seen.lock().unwrap().clone()
    }
}

#[expect(clippy::result_large_err, reason = "the callback's type is the crate's")]
async fn echo(stream: TcpStream, record: Arc<Mutex<Vec<(String, HeaderMap)>>>) {
    let handshake = |request: &Request<()>, mut response: http::Response<()>| {
        record.lock().unwrap().push((request.uri().to_string(), request.headers().clone()));
        response.headers_mut().insert("set-cookie", "app=1; Path=/".parse().unwrap());
        Ok(response)
    };
    let Ok(mut socket) = accept_hdr_async(stream, handshake).await else { return };
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Text(text) if text.as_str() == "bye" => {
                let _ = socket.close(None).await;
            }
            Message::Text(_) | Message::Binary(_) => {
                let _ = socket.send(message).await;
            }
            _ => {}
        }
    }
}

/// Opens a WebSocket at `addr`, as `ws://HOST/TARGET` with these further headers; gives the head
/// of the answer too.
///
/// # Errors
/// What the other end says instead.
pub async fn open(
    addr: SocketAddr,
    host: &str,
    target: &str,
    headers: &[(&str, &str)],
) -> Result<(WebSocketStream<TcpStream>, HeaderMap), Error> {
    open_over(TcpStream::connect(addr).await.unwrap(), host, target, headers).await
}

/// As [`open`], over a connection that is already there.
///
/// # Errors
/// What the other end says instead.
pub async fn open_over<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    host: &str,
    target: &str,
    headers: &[(&str, &str)],
) -> Result<(WebSocketStream<S>, HeaderMap), Error> {
    let mut request = Request::get(format!("ws://{host}{target}"))
        .header("host", host)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", generate_key());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (socket, answer) = client_async(request.body(()).unwrap(), stream).await?;
    Ok((socket, answer.headers().clone()))
}

/// The refusal: its status, and the `code` of its problem.
pub fn refused<T>(opened: Result<T, Error>) -> (u16, String) {
    match opened {
        Err(Error::Http(answer)) => {
            let problem: Option<serde_json::Value> =
                answer.body().as_ref().and_then(|body| serde_json::from_slice(body).ok());
            let code = problem.and_then(|p| Some(p.get("code")?.as_str()?.to_owned()));
            (answer.status().as_u16(), code.unwrap_or_default())
        }
        Err(other) => panic!("not refused, but {other}"),
        Ok(_) => panic!("not refused"),
    }
}

/// Says something, and gives what comes back.
pub async fn say<S>(socket: &mut WebSocketStream<S>, message: impl Into<Message>) -> Message
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    socket.send(message.into()).await.unwrap();
    let patience = std::time::Duration::from_secs(20);
    let heard = tokio::time::timeout(patience, socket.next()).await;
    heard.expect("nothing comes back").expect("closed").unwrap()
}
