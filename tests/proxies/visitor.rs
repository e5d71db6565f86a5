//! A visitor at the site, by whichever address of this machine it comes from. It keeps its
//! cookies, follows no redirects, and sends what it is told to.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::StreamBody;
use hyper::{body::Frame, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::support::{
    gate::PANEL,
    http::{Answer, Connection},
    link_page,
};

/// What the run knows and nobody may log.
pub(crate) type Secrets = Arc<Mutex<Vec<String>>>;

/// The headers of a browser's navigation.
const NAVIGATION: [(&str, &str); 4] = [
    ("Accept", "text/html,application/xhtml+xml"),
    ("Sec-Fetch-Site", "same-origin"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Dest", "document"),
];
/// The headers of a script's request.
const SCRIPT: [(&str, &str); 5] = [
    ("Accept", "application/json"),
    ("X-Requested-With", "XMLHttpRequest"),
    ("Sec-Fetch-Site", "same-origin"),
    ("Sec-Fetch-Mode", "cors"),
    ("Sec-Fetch-Dest", "empty"),
];

pub(crate) struct Visitor {
    at: SocketAddr,
    from: Ipv4Addr,
    tls: Arc<ClientConfig>,
    host: String,
    headers: Vec<(String, String)>,
    cookies: Mutex<BTreeMap<String, String>>,
    secrets: Secrets,
}

impl Visitor {
    pub(crate) fn new(at: SocketAddr, tls: Arc<ClientConfig>, secrets: Secrets) -> Self {
        Self {
            at,
            from: Ipv4Addr::LOCALHOST,
            tls,
            host: PANEL.to_owned(),
            headers: Vec::new(),
            cookies: Mutex::default(),
            secrets,
        }
    }

    /// From this address of the machine.
    pub(crate) fn from(mut self, address: [u8; 4]) -> Self {
        self.from = address.into();
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn headers(self, headers: &[(&str, &str)]) -> Self {
        headers.iter().fold(self, |visitor, (name, value)| visitor.header(name, value))
    }

    /// A browser that goes from page to page.
    pub(crate) fn browsing(self) -> Self {
        self.headers(&NAVIGATION)
    }

    /// A script of the application's own pages.
    pub(crate) fn script(self) -> Self {
        self.headers(&SCRIPT)
    }

    /// The cookies it has, as it sends them.
    pub(crate) fn cookies(&self) -> String {
        let cookies = self.cookies.lock().unwrap();
        cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    /// A connection over TLS, on which nothing was sent yet.
    pub(crate) async fn connect(&self) -> TlsStream<TcpStream> {
        self.connect_with(Arc::clone(&self.tls)).await.unwrap()
    }

    async fn connect_with(&self, tls: Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((self.from, 0).into())?;
        let stream = socket.connect(self.at).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(PANEL).unwrap();
        TlsConnector::from(tls).connect(name, stream).await
    }

    /// Asks somebody who may not be there, or not be ready.
    pub(crate) async fn try_get(&self, target: &str) -> io::Result<Answer> {
        let mut connection = Connection::over(self.connect_with(Arc::clone(&self.tls)).await?);
        connection.send(self.head("GET", target, &[]) + "\r\n").await?;
        connection.answer().await
    }

    /// Sends exactly these bytes and reads one response.
    pub(crate) async fn raw(&self, bytes: impl AsRef<[u8]>) -> Answer {
        let mut connection = Connection::over(self.connect().await);
        connection.send(bytes).await.unwrap();
        self.kept(connection.answer().await.unwrap())
    }

    /// Sends a request and gives the connection, the answer still to be read.
    pub(crate) async fn ask(&self, method: &str, target: &str) -> Connection<TlsStream<TcpStream>> {
        let mut connection = Connection::over(self.connect().await);
        connection.send(self.head(method, target, &[]) + "\r\n").await.unwrap();
        connection
    }

    /// A request's head up to its last header line.
    pub(crate) fn head(&self, method: &str, target: &str, more: &[(&str, &str)]) -> String {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.host);
        let cookies = self.cookies();
        if !cookies.is_empty() {
            head.extend(["Cookie: ", &cookies, "\r\n"]);
        }
        let own = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in own.chain(more.iter().copied()) {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head
    }

    pub(crate) async fn request(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut head = self.head(method, target, headers);
        if !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH") {
            head.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
        }
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("connection")) {
            head += "Connection: close\r\n";
        }
        self.raw([head.as_bytes(), b"\r\n", body].concat()).await
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.request("GET", target, &[], b"").await
    }

    /// Posts a body over HTTP/2, of a length known beforehand or not, with these after it; `None`
    /// where the connection ends over it.
    pub(crate) async fn post_with_trailers(
        &self,
        target: &str,
        measured: bool,
        trailers: &HeaderMap,
    ) -> Option<StatusCode> {
        let mut tls = ClientConfig::clone(&self.tls);
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let stream = self.connect_with(Arc::new(tls)).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
        let (mut sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut frames = vec![Ok(Frame::data(Bytes::from_static(b"body")))];
        frames.push(Ok::<_, Infallible>(Frame::trailers(trailers.clone())));
        let body = StreamBody::new(futures_util::stream::iter(frames));
        let mut request = Request::post(format!("https://{}{target}", self.host));
        if measured {
            request = request.header("content-length", 4);
        }
        let request = request.header("cookie", self.cookies()).body(body).unwrap();
        Some(sender.send_request(request).await.ok()?.status())
    }

    /// Opens a link, given as path and query, as a browser would: its page, then the page's form.
    pub(crate) async fn open(&self, target: &str) -> Answer {
        let page = self.get(target).await;
        assert_eq!(page.status, 200, "{target}: {}", page.text());
        self.submit(&page).await
    }

    /// Posts the form of a link's page.
    pub(crate) async fn submit(&self, page: &Answer) -> Answer {
        let (_, rest) = page.text().split_once("method=\"post\" action=\"").expect("a form");
        let action = rest.split('"').next().unwrap();
        assert!(action.starts_with("/_once/l/"), "{action}");
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        if let Some(next) = link_page::next(page) {
            form.append_pair("next", &next);
        }
        let origin = format!("https://{}", self.host);
        let headers =
            [("Content-Type", "application/x-www-form-urlencoded"), ("Origin", origin.as_str())];
        self.request("POST", action, &headers, form.finish().as_bytes()).await
    }

    /// Keeps the cookies of an answer, as secrets too.
    fn kept(&self, answer: Answer) -> Answer {
        for line in answer.header_lines("set-cookie") {
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            let mut cookies = self.cookies.lock().unwrap();
            // A session that ended: there is no cookie any more.
            if value.is_empty() {
                cookies.remove(name);
                continue;
            }
            cookies.insert(name.to_owned(), value.to_owned());
            self.secrets.lock().unwrap().push(value.to_owned());
        }
        answer
    }
}
