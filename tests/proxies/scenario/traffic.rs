//! What passes, in which direction, and in how much memory.

use std::collections::BTreeMap;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _};

use crate::stand::{Form, Stand};

/// More than any load balancer takes without being told to.
const UPLOAD: usize = 3 << 20;
/// A WebSocket's handshake, without what a browser says of its page.
pub(crate) const HANDSHAKE: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];
/// How much more memory a large answer may take, in KiB: the buffers of one connection.
const GROWTH: u64 = 48 << 10;

pub(crate) async fn what_is_posted_arrives(stand: &mut Stand) {
    let visitor = stand.signed_in().await;
    let body: Vec<u8> = (0..UPLOAD).map(|at| b"0123456789abcde"[at % 15]).collect();
    let headers = [("Content-Type", "text/plain")];
    let answer = visitor.request("POST", "/echo?a=b", &headers, &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body == body, "{} bytes came back", answer.body.len());
    let asked = stand.application.asked_for("/echo?a=b");
    assert_eq!((asked.method.as_str(), asked.header("content-type")), ("POST", vec!["text/plain"]));
    // The same of no length that is known beforehand.
    let chunked = [("Transfer-Encoding", "chunked"), ("Connection", "close")];
    let head = visitor.head("PUT", "/echo", &chunked);
    let answer = visitor.raw(head + "\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n").await;
    let expected = if stand.takes_unmeasured_bodies { (200, "hello!") } else { (411, "") };
    assert_eq!((answer.status, answer.text()), expected);
}

pub(crate) async fn head_has_no_body(stand: &mut Stand) {
    let visitor = stand.signed_in().await;
    let answer = visitor.request("HEAD", "/orders", &[], b"").await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(stand.application.asked_for("/orders").method, "HEAD");
    // Nor has a refusal, and a link is not spent by it.
    let link = stand.link(serde_json::json!({})).await;
    let looked = stand.browser().request("HEAD", &link.path, &[], b"").await;
    assert_eq!((looked.status, looked.body.len()), (200, 0));
    let nobody = stand.browser().request("HEAD", "/nobody", &[], b"").await;
    assert!(nobody.body.is_empty(), "{nobody:?}");
    assert_eq!(stand.browser().open(&link.path).await.status, 303);
}

pub(crate) async fn a_websocket_talks(stand: &mut Stand) {
    let visitor = stand.signed_in().await;
    let mut request = "wss://panel.example.com/socket".into_client_request().unwrap();
    request.headers_mut().insert("origin", "https://panel.example.com".parse().unwrap());
    request.headers_mut().insert("sec-fetch-site", "same-origin".parse().unwrap());
    request.headers_mut().insert("cookie", visitor.cookies().parse().unwrap());
    let stream = visitor.connect().await;
    let (mut socket, answer) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    assert_eq!(answer.status(), 101);
    for word in ["one", "two"] {
        socket.send(Message::text(word)).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text(word));
    }
    socket.close(None).await.unwrap();
}

pub(crate) async fn another_sites_page_opens_no_websocket(stand: &mut Stand) {
    let cookies = stand.signed_in().await.cookies();
    let before = stand.application.asked().len();
    // As browsers say it, and as those did that have no Sec-Fetch-Site.
    for said in [&[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "websocket")][..], &[]] {
        let headers = [&HANDSHAKE[..], said, &[("Origin", "https://evil.example")]].concat();
        let visitor = stand.visitor().header("Cookie", &cookies);
        let answer = visitor.request("GET", "/socket", &headers, b"").await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "cross_site"), "{said:?}");
    }
    assert_eq!(stand.application.asked().len(), before, "{:?}", stand.application.asked());
}

/// Behind such an upgrade would be requests that nobody judges.
pub(crate) async fn nobody_upgrades_to_http_itself(stand: &mut Stand) {
    let visitor = stand.signed_in().await;
    for protocol in ["h2c", "websocket, h2c", "H2C", "HTTP/2.0", "TLS/1.2"] {
        let headers = [
            ("Connection", "Upgrade, HTTP2-Settings"),
            ("Upgrade", protocol),
            ("HTTP2-Settings", "AAMAAABkAAQAAP__"),
        ];
        let answer = visitor.request("GET", "/orders", &headers, b"").await;
        assert!(matches!(answer.status, 200 | 400 | 403 | 404), "{protocol}: {answer:?}");
    }
    // Refused, or passed on without that wish.
    for asked in stand.application.asked() {
        assert!(asked.header("upgrade").is_empty(), "{asked:?}");
    }
}

/// A gigabyte where it passes the gate and the load balancer; elsewhere what would not fit either.
pub(crate) async fn a_large_answer_passes_in_little_memory(stand: &mut Stand) {
    let visitor = stand.signed_in().await;
    // Once around before anything is measured.
    assert_eq!(visitor.request("POST", "/echo", &[], &b"x".repeat(1 << 20)).await.status, 200);
    let before: BTreeMap<u32, u64> = stand.peaks().into_iter().collect();
    let large: u64 = if stand.form == Form::Through { 1 << 30 } else { 128 << 20 };
    let measured = visitor.ask("GET", &format!("/large?{large}")).await.measure().await;
    let (answer, length) = measured.unwrap_or_else(|why| {
        panic!("{why}, and logged:\n{}", stand.logged_with(&[""]).join("\n"))
    });
    assert_eq!((answer.status, length), (200, large));
    let after = stand.peaks();
    assert!(after.len() > 1, "{after:?}");
    for (id, peak) in after {
        let before = before.get(&id).copied().unwrap_or_default();
        assert!(peak < before + GROWTH, "process {id}: {before} KiB before, {peak} KiB after");
    }
}
