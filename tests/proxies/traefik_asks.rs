//! What Traefik asks by its documents, in each of the ways that its options allow, whatever
//! `deploy/` has it do: <https://doc.traefik.io/traefik/middlewares/http/forwardauth/>.

use serde_json::json;

use crate::support::{
    gate::{Gate, PANEL},
    http::{Answer, Client},
};

/// Where it is told to ask.
const ASKS: &str = "/_once/auth/traefik";

/// A gate that trusts the Traefik on this machine, or only one on another.
async fn gate(trusted: &str) -> Gate {
    let listen =
        format!("[listen]\nclient_ip = \"x-forwarded-for\"\ntrusted_proxies = [\"{trusted}\"]\n");
    Gate::with(|text| text.replace("[listen]\n", &listen)).await
}

/// Traefik, about to ask about a request for this target: by GET, at the address of the gate as it
/// knows it, with the five headers of its documents and the two of its entry points.
fn traefik(gate: &Gate, method: &str, target: &str) -> Client {
    Client::new(gate.public_at())
        .header("X-Forwarded-Method", method)
        .header("X-Forwarded-Proto", "https")
        .header("X-Forwarded-Host", PANEL)
        .header("X-Forwarded-Uri", target)
        .header("X-Forwarded-For", "203.0.113.7")
        .header("X-Forwarded-Port", "443")
        .header("X-Forwarded-Server", "edge-1")
        .header("User-Agent", "")
}

fn lets_in(answer: &Answer) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-oncegate-user"), Some("joe"));
    assert_eq!(answer.header("x-oncegate-caller"), Some("billing"));
    assert_eq!(answer.header("remote-user"), Some("joe"));
    assert_eq!(answer.header("x-oncegate-assertion").unwrap().split('.').count(), 3);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn whoever_is_signed_in_is_let_in_whichever_way_it_asks() {
    let gate = gate("127.0.0.1").await;
    let cookie = gate.sign_in().await;
    let signed_in = [("Cookie", cookie.as_str())];
    lets_in(&traefik(&gate, "GET", "/orders?a=b").get_with(ASKS, &signed_in).await);
    // A WebSocket's handshake, where trustForwardHeader passes on what the entry point says.
    let handshake = [
        ("Cookie", cookie.as_str()),
        ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
        ("Origin", "https://panel.example.com"),
    ];
    let by_wss = Client::new(gate.public_at())
        .header("X-Forwarded-Method", "GET")
        .header("X-Forwarded-Proto", "wss")
        .header("X-Forwarded-Host", PANEL)
        .header("X-Forwarded-Uri", "/socket");
    lets_in(&by_wss.get_with(ASKS, &handshake).await);
    // preserveRequestMethod, with forwardBody and without.
    for method in ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"] {
        for body in [&b""[..], b"a=b"] {
            if method == "HEAD" && !body.is_empty() {
                continue;
            }
            let traefik = traefik(&gate, method, "/orders");
            lets_in(&traefik.request(method, ASKS, &signed_in, body).await);
        }
    }
    // forwardBody alone, and a body with no end in sight of the gate's own limit.
    let large = vec![b'x'; 1 << 20];
    lets_in(&traefik(&gate, "POST", "/orders").request("GET", ASKS, &signed_in, &large).await);
    // With authRequestHeaders that leave the cookie out, nobody is.
    let nobody = traefik(&gate, "GET", "/orders").get(ASKS).await;
    assert_eq!((nobody.status, nobody.code().as_str()), (401, "sign_in_required"));
}

#[tokio::test]
async fn a_link_on_a_page_leads_to_the_gate_and_is_not_spent_by_asking() {
    let gate = gate("127.0.0.1").await;
    let link = gate.link(json!({})).await;
    let target = format!("/orders?a=b&_once={}", link.token);
    for _ in 0..3 {
        let sent = traefik(&gate, "GET", &target).get(ASKS).await;
        assert_eq!(sent.status, 302, "{}", sent.text());
        let location = sent.header("location").unwrap();
        // Absolute: without preserveLocationHeader, Traefik reads it as relative to the gate's own
        // address, which no visitor can reach.
        assert!(location.starts_with("https://panel.example.com/_once/"), "{location}");
        assert!(sent.header_lines("set-cookie").is_empty());
    }
    for method in ["POST", "PUT"] {
        let refused = traefik(&gate, method, &target).get(ASKS).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "invalid_request"));
    }
    assert_eq!(gate.remembered(), 0);
    assert_eq!(gate.open(&link).await.status, 303);
}

#[tokio::test]
async fn only_what_traefik_says_counts_and_it_says_each_thing_once() {
    let gate = gate("127.0.0.1").await;
    let cookie = gate.sign_in().await;
    // What other load balancers would say it with is the visitor's own.
    let others = [
        ("X-Original-URL", "https://panel.example.com/assets/open.css"),
        ("X-Original-Method", "GET"),
        ("X-Original-URI", "/assets/open.css"),
        ("X-Rewrite-URL", "/assets/open.css"),
        ("Forwarded", "for=192.0.2.1;host=panel.example.com;proto=https"),
        ("X-Oncegate-User", "admin"),
        ("X_Oncegate_User", "admin"),
    ];
    let nobody = traefik(&gate, "GET", "/orders").get_with(ASKS, &others).await;
    assert_eq!((nobody.status, nobody.code().as_str()), (401, "sign_in_required"));
    assert_eq!(nobody.header("x-oncegate-user"), None);
    // A public page is one without all that, and nobody is there.
    let public = traefik(&gate, "GET", "/assets/open.css").get_with(ASKS, &others).await;
    assert_eq!(public.status, 200);
    assert_eq!(public.header("x-oncegate-user"), Some(""));
    // Each twice, or not at all.
    let names = ["X-Forwarded-Method", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Uri"];
    for name in names {
        let twice = [("Cookie", cookie.as_str()), (name, "GET")];
        let refused = traefik(&gate, "GET", "/orders").get_with(ASKS, &twice).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "invalid_request"), "{name}");
        let without = names.iter().filter(|other| **other != name);
        let without = without.fold(Client::new(gate.public_at()), |client, other| {
            let value = match *other {
                "X-Forwarded-Proto" => "https",
                "X-Forwarded-Host" => PANEL,
                "X-Forwarded-Uri" => "/orders",
                _ => "GET",
            };
            client.header(other, value)
        });
        let refused = without.get_with(ASKS, &[("Cookie", cookie.as_str())]).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "invalid_request"), "{name}");
    }
}

#[tokio::test]
async fn a_host_or_a_protocol_of_no_site_is_refused() {
    let gate = gate("127.0.0.1").await;
    let cookie = gate.sign_in().await;
    for (proto, host) in [
        ("https", "panel.example.com.evil.example"),
        ("https", "127.0.0.1:8080"),
        ("https", "panel.example.com, shop.example.com"),
        ("http", PANEL),
        ("ftp", PANEL),
    ] {
        let asked = Client::new(gate.public_at())
            .header("X-Forwarded-Method", "GET")
            .header("X-Forwarded-Proto", proto)
            .header("X-Forwarded-Host", host)
            .header("X-Forwarded-Uri", "/orders");
        let refused = asked.get_with(ASKS, &[("Cookie", cookie.as_str())]).await;
        assert_eq!((refused.status, refused.code().as_str()), (421, "wrong_site"), "{host}");
    }
}

#[tokio::test]
async fn nobody_else_may_ask() {
    let gate = gate("192.0.2.1").await;
    let cookie = gate.sign_in().await;
    let asked = traefik(&gate, "GET", "/orders").host(PANEL);
    let refused = asked.get_with(ASKS, &[("Cookie", cookie.as_str())]).await;
    assert_eq!((refused.status, refused.code().as_str()), (404, "not_found"));
    assert_eq!(refused.header("x-oncegate-user"), None);
}
