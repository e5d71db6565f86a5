//! The browser and HTTP test kits do what the tests that rely on them believe they do.
#![allow(
    clippy::unwrap_used,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use support::browser::Browser;
use support::http::{Client, Connection, raw};
use tokio::net::TcpListener;

const PAGE: &str = r#"<!doctype html><title>kit</title>
<p id="script">without script</p><script>document.getElementById("script").textContent = "with script"</script>
<form action="/sent" method="post"><input name="who"><button>Send</button></form>"#;

/// A server of two pages: a form that also sets a cookie, and what was posted.
async fn pages() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let served = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(page));
            tokio::spawn(served);
        }
    });
    addr
}

async fn page(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = match path.as_str() {
        "/sent" => {
            let sent = http_body_util::BodyExt::collect(request.into_body()).await.unwrap();
            format!("<p id=sent>{}</p>", String::from_utf8_lossy(&sent.to_bytes()))
        }
        _ => PAGE.to_owned(),
    };
    let answer = Response::builder()
        .header("Content-Type", "text/html; charset=utf-8")
        .header("Set-Cookie", "kit=yes; HttpOnly; Path=/")
        .body(Full::new(Bytes::from(body)));
    Ok(answer.unwrap())
}

#[tokio::test]
async fn a_browser_with_script_runs_it_and_posts_a_form() {
    let addr = pages().await;
    let Some(browser) = Browser::start(true).await else { return };
    browser.goto(&format!("http://{addr}/")).await;
    browser.shows("#script", "with script").await;
    assert_eq!(browser.cookies().await, [("kit".to_owned(), "yes".to_owned())]);
    browser.fill("input[name=who]", "joe").await;
    browser.click("button").await;
    assert!(browser.wait_for_url("/sent").await.starts_with(&format!("http://{addr}/")));
    browser.shows("#sent", "who=joe").await;
    assert!(!browser.has("#script").await);

    let directory = tempfile::tempdir().unwrap();
    let picture = directory.path().join("page.png");
    browser.resize(390, 844).await;
    browser.screenshot(&picture).await;
    assert!(std::fs::read(picture).unwrap().starts_with(b"\x89PNG"));
    browser.close().await;
}

#[tokio::test]
async fn a_browser_without_script_runs_none() {
    let addr = pages().await;
    let Some(browser) = Browser::start(false).await else { return };
    browser.goto(&format!("http://{addr}/")).await;
    browser.shows("#script", "without script").await;
    browser.click("button").await;
    browser.shows("#sent", "who=").await;
    browser.close().await;
}

#[tokio::test]
async fn an_answer_is_shown_as_it_came() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\n\
            Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: t\r\n\r\n\
            HTTP/1.1 204 No Content\r\n\r\nHTTP/1.0 404 Not Found\r\n\r\nto the end";
        tokio::io::AsyncWriteExt::write_all(&mut stream, bytes).await.unwrap();
    });
    let mut connection = Connection::open(addr).await.unwrap();
    let first = connection.answer().await.unwrap();
    assert_eq!((first.status, first.text()), (200, "abcde"));
    assert_eq!(first.header_lines("X-A"), ["1", "2"]);
    assert_eq!(connection.answer().await.unwrap().status, 204);
    let last = connection.answer().await.unwrap();
    assert_eq!((last.status, last.text()), (404, "to the end"));
    assert!(connection.closed().await);
    served.await.unwrap();
}

#[tokio::test]
async fn a_client_sends_forms_and_raw_sends_bytes() {
    let addr = pages().await;
    let client = Client::new(addr);
    let answer = client.post_form("/sent", &[("a", "x y&z")], &[]).await;
    assert_eq!(answer.text(), "<p id=sent>a=x+y%26z</p>");
    assert_eq!(answer.cookie("kit"), Some("yes"));
    let head = raw(addr, "HEAD / HTTP/1.1\r\nHost: kit\r\n\r\n").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    let garbage = raw(addr, "GET / HTTP/9.9\r\n\r\n").await;
    assert_eq!(garbage.status, 400);
}
