//! What a real browser's `WebSocket` and `EventSource` make of the gate, on its own page and on
//! another's.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use support::{
    browser::Browser,
    gate::Gate,
    villain::Villain,
    wire::{read_until, upstream_at},
};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::accept_async;

const PAGE: &str = r#"<p id="socket"></p><p id="event"></p><script>
const show = (id, text) => document.getElementById(id).textContent = text;
const socket = new WebSocket(`ws://${location.host}/ws`);
socket.onopen = () => socket.send("hello");
socket.onmessage = said => show("socket", said.data);
new EventSource("/events").onmessage = event => show("event", event.data);
</script>"#;

/// An application with a page, a `WebSocket` that echoes, and events that go on.
async fn application() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(visited(stream));
        }
    });
    addr
}

async fn visited(mut stream: TcpStream) {
    let mut start = [0; 8];
    while stream.peek(&mut start).await.unwrap_or(8) < start.len() {}
    if start.starts_with(b"GET /ws ") {
        let Ok(mut socket) = accept_async(stream).await else { return };
        while let Some(Ok(said)) = socket.next().await {
            let _ = socket.send(said).await;
        }
        return;
    }
    let head = read_until(&mut stream, "\r\n\r\n").await;
    if head.starts_with("GET /events ") {
        let events = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                      Transfer-Encoding: chunked\r\n\r\nd\r\ndata: first\n\n\r\n";
        let _ = stream.write_all(events.as_bytes()).await;
        // The next one comes once this one was seen; nobody ends it here.
        std::future::pending::<()>().await;
    }
    let length = PAGE.len();
    let page = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{PAGE}"
    );
    let _ = stream.write_all(page.as_bytes()).await;
}

#[tokio::test]
async fn a_page_of_the_site_has_its_websocket_and_its_events_and_another_page_has_not() {
    let application = application().await;
    let gate = Gate::on_loopback(move |text| upstream_at(&text, application)).await;
    let villain = Villain::start().await;
    let Some(browser) = Browser::start(true).await else { return };
    let link = gate.link(json!({})).await;
    browser.goto(&link.url).await;
    browser.shows("#socket", "hello").await;
    browser.shows("#event", "first").await;

    villain.page(
        "/",
        &format!(
            r#"<p id="socket"></p><script>
            const show = text => document.getElementById("socket").textContent = text;
            const socket = new WebSocket("ws://{}/ws");
            socket.onopen = () => show("open");
            socket.onerror = () => show("refused");
            </script>"#,
            gate.public_at()
        ),
    );
    // The same host at another port: the browser sends the session along.
    for url in [villain.near("/"), villain.far("/")] {
        browser.goto(&url).await;
        browser.shows("#socket", "refused").await;
    }
    let metrics = gate.admin().get("/metrics").await;
    assert!(metrics.text().contains("code=\"cross_site\"} 2\n"), "{}", metrics.text());
    browser.close().await;
    gate.stop().await;
}
