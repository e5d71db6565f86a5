//! A small JSON client, for the commands that ask a running gate. No redirects.

use std::{error::Error, io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Uri,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use serde_json::Value;

use crate::gate::secret::Secret;

/// How long an answer may take, to its end.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most bytes of an answer that are read.
const LARGEST: usize = 1 << 20;

/// What to ask.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// An absolute URL, `http` or `https`.
    pub url: &'a str,
    /// The API key, where one is needed.
    pub key: Option<&'a Secret<String>>,
    /// What to post; without it, GET.
    pub post: Option<&'a Value>,
}

/// An answer that was JSON, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Value,
}

/// There was no answer, or none that can be read. `Display` holds no key.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The question itself cannot be sent.
    #[error("cannot ask {url}: {why}")]
    Unaskable {
        /// The URL.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody answered.
    #[error(
        "no answer from {url}: {why}\n  do: see that the gate runs and that this is its address"
    )]
    Unanswered {
        /// The URL.
        url: String,
        /// What the system says.
        why: String,
    },
    /// Somebody answered, but not a gate.
    #[error("{url} answers {status} without JSON\n  do: see that this is the gate's own listener")]
    NotJson {
        /// The URL.
        url: String,
        /// The HTTP status.
        status: u16,
    },
}

/// Asks once. The answer may take ten seconds and have 1 MiB.
///
/// # Errors
/// [`AskError`].
pub async fn ask(question: Question<'_>) -> Result<Answer, AskError> {
    let url = question.url.to_owned();
    let unanswered = |why: String| AskError::Unanswered { url: url.clone(), why };
    let request = request(&question)?;
    let connector = connector(question.url).map_err(|why| {
        let what = "install the system's certificates, or name them in SSL_CERT_FILE";
        AskError::Unaskable { url: url.clone(), why: format!("{why}\n  do: {what}") }
    })?;
    let client = Client::builder(TokioExecutor::new()).build::<_, Full<Bytes>>(connector);
    let answered = tokio::time::timeout(PATIENCE, async {
        let response = client.request(request).await.map_err(|error| root(&error))?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        body.map(|body| (status, body.to_bytes())).map_err(|error| error.to_string())
    });
    let (status, body) = match answered.await {
        Ok(Ok(answer)) => answer,
        Ok(Err(why)) => return Err(unanswered(why)),
        Err(_) => return Err(unanswered(format!("not within {} s", PATIENCE.as_secs()))),
    };
    let body = serde_json::from_slice(&body);
    body.map(|body| Answer { status, body }).map_err(|_| AskError::NotJson { url, status })
}

/// Connects by http, or by https verified with the system's roots; `SSL_CERT_FILE` and
/// `SSL_CERT_DIR` name others.
fn connector(url: &str) -> io::Result<HttpsConnector<HttpConnector>> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let tls = if url.starts_with("https://") {
        tls.with_native_roots()?
    } else {
        // Nothing is to be verified.
        tls.with_root_certificates(RootCertStore::empty())
    };
    let tls = tls.with_no_client_auth();
    Ok(HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(http))
}

fn request(question: &Question<'_>) -> Result<Request<Full<Bytes>>, AskError> {
    let unaskable =
        |why: &str| AskError::Unaskable { url: question.url.to_owned(), why: why.to_owned() };
    let uri: Uri = question.url.parse().map_err(|_| unaskable("it is not a URL"))?;
    let body = question.post.map(Value::to_string).unwrap_or_default();
    let method = if question.post.is_some() { Method::POST } else { Method::GET };
    let mut request = Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    if question.post.is_some() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if let Some(key) = question.key {
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", key.expose()))
            .map_err(|_| unaskable("the key has a character that no key has"))?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
    }
    Ok(request)
}

/// The innermost reason: "Connection refused", not "client error".
fn root(error: &hyper_util::client::legacy::Error) -> String {
    let mut reason: &dyn Error = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    reason.to_string()
}
