//! The client's address from end to end: where it is read, whom it is believed from, what is
//! bound to it.

mod support;

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::json;
use support::{
    gate::{Gate, Link},
    http::{Answer, Client},
    upstream::header,
};

/// Headers that some servers believe.
const FORGED: [(&str, &str); 8] = [
    ("X-Forwarded-For", "203.0.113.7"),
    ("Forwarded", "for=203.0.113.7"),
    ("X-Real-IP", "203.0.113.7"),
    ("True-Client-IP", "203.0.113.7"),
    ("X-Client-IP", "203.0.113.7"),
    ("X-Cluster-Client-IP", "203.0.113.7"),
    ("X-Forwarded", "for=203.0.113.7"),
    ("Via", "1.1 203.0.113.7"),
];

async fn gate(listen: &str) -> Gate {
    let listen = listen.to_owned();
    Gate::with(move |text| text.replace("[listen]", &format!("[listen]\n{listen}"))).await
}

/// A gate behind proxies at the addresses this process calls from.
async fn behind(source: &str) -> Gate {
    gate(&format!(
        "client_ip = \"{source}\"\ntrusted_proxies = [\"127.0.0.0/8\", \"10.0.0.0/8\", \"fd00::/8\"]"
    ))
    .await
}

/// The address that the upstream is told.
async fn told(client: &Client, headers: &[(&str, &str)]) -> Vec<String> {
    let answer = client.get_with("/assets/a", headers).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = answer.json();
    for other in ["forwarded", "x-real-ip", "true-client-ip", "x-client-ip"] {
        assert!(header(&seen, other).is_empty(), "{other}");
    }
    header(&seen, "x-forwarded-for").into_iter().map(str::to_owned).collect()
}

async fn open(gate: &Gate, link: &Link, headers: &[(&str, &str)]) -> Answer {
    gate.browser().post_form(&link.path, &[], headers).await
}

#[tokio::test]
async fn by_default_the_peer_is_the_client_whatever_headers_say() {
    let gate = Gate::start().await;
    assert_eq!(told(&gate.public(), &FORGED).await, ["127.0.0.1"]);
    let link = gate.link(json!({ "ip": "203.0.113.7" })).await;
    let answer = open(&gate, &link, &FORGED).await;
    assert_eq!((answer.status, answer.header("set-cookie")), (403, None));
    let program = gate.public().post_form(&link.path, &[], &FORGED).await;
    assert_eq!(program.code(), "wrong_client");
    let own = gate.link(json!({ "ip": "127.0.0.1" })).await;
    assert_eq!(open(&gate, &own, &FORGED).await.status, 303);
}

#[tokio::test]
async fn a_peer_that_is_no_trusted_proxy_is_not_believed() {
    for source in ["x-forwarded-for", "forwarded"] {
        let listen = format!("client_ip = \"{source}\"\ntrusted_proxies = [\"10.0.0.0/8\"]");
        let gate = gate(&listen).await;
        assert_eq!(told(&gate.public(), &FORGED).await, ["127.0.0.1"]);
        let link = gate.link(json!({ "ip": "203.0.113.7" })).await;
        assert_eq!(gate.public().post_form(&link.path, &[], &FORGED).await.code(), "wrong_client");
    }
}

#[tokio::test]
async fn trusted_proxies_may_be_there_while_the_peer_is_the_client() {
    let gate = behind("peer").await;
    assert_eq!(told(&gate.public(), &FORGED).await, ["127.0.0.1"]);
}

#[tokio::test]
async fn x_forwarded_for_is_read_from_the_right_past_trusted_proxies() {
    let gate = behind("x-forwarded-for").await;
    for (lines, client) in [
        (&["203.0.113.7"][..], "203.0.113.7"),
        (&["198.51.100.66, 203.0.113.7"], "203.0.113.7"),
        (&["198.51.100.66, 203.0.113.7, 10.1.2.3"], "203.0.113.7"),
        (&["198.51.100.66", "203.0.113.7", "10.1.2.3,127.0.0.9"], "203.0.113.7"),
        (&["203.0.113.7, 10.1.2.3", "10.2.2.2"], "203.0.113.7"),
        (&["garbage, 203.0.113.7"], "203.0.113.7"),
        (&["203.0.113.7:4711"], "203.0.113.7"),
        (&["::ffff:203.0.113.7"], "203.0.113.7"),
        (&["[::ffff:203.0.113.7]:80, ::ffff:10.0.0.1"], "203.0.113.7"),
        (&["[2001:db8::7]:4711"], "2001:db8::7"),
        (&["2001:DB8:0::7, fd00::1"], "2001:db8::7"),
        (&["10.9.9.9, 10.1.2.3"], "10.9.9.9"),
        (&[], "127.0.0.1"),
    ] {
        let headers: Vec<_> = lines.iter().map(|line| ("X-Forwarded-For", *line)).collect();
        assert_eq!(told(&gate.public(), &headers).await, [client], "{lines:?}");
    }
    let other = [("Forwarded", "for=198.51.100.66"), ("X-Real-IP", "198.51.100.66")];
    assert_eq!(told(&gate.public(), &other).await, ["127.0.0.1"], "only the one configured counts");
}

#[tokio::test]
async fn forwarded_is_read_likewise() {
    let gate = behind("forwarded").await;
    for (lines, client) in [
        (&["for=203.0.113.7"][..], "203.0.113.7"),
        (&["For=\"[2001:db8::7]:4711\";proto=https;by=10.0.0.1"], "2001:db8::7"),
        (&["for=198.51.100.66, for=203.0.113.7;host=x, for=10.1.2.3"], "203.0.113.7"),
        (&["for=198.51.100.66", "for=203.0.113.7"], "203.0.113.7"),
        (&["for=\"203.0.113.7:_web\""], "203.0.113.7"),
        (&[], "127.0.0.1"),
    ] {
        let headers: Vec<_> = lines.iter().map(|line| ("Forwarded", *line)).collect();
        assert_eq!(told(&gate.public(), &headers).await, [client], "{lines:?}");
    }
    let other = [("X-Forwarded-For", "198.51.100.66")];
    assert_eq!(told(&gate.public(), &other).await, ["127.0.0.1"]);
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_where_an_address_is_needed_and_never_guessed() {
    for (source, name, lines) in [
        (
            "x-forwarded-for",
            "X-Forwarded-For",
            &[
                "unknown",
                "203.0.113.7, unknown",
                "203.0.113.7,",
                "203.0.113.7, , 10.0.0.1",
                "203.0.113.7 10.0.0.1",
                "fe80::1%eth0",
                "203.0.113.7:99999",
                "0203.0.113.7",
                "localhost",
                "[203.0.113.7]",
            ][..],
        ),
        (
            "forwarded",
            "Forwarded",
            &[
                "for=unknown",
                "for=_hidden",
                "for=203.0.113.7, for=\"",
                "for=\"203.0.113.7, for=10.0.0.1",
                "for=203.0.113.7;for=10.0.0.1",
                "proto=https",
                "203.0.113.7",
                "for=2001:db8::7%eth0",
            ],
        ),
    ] {
        let gate = behind(source).await;
        for line in lines {
            let headers = [(name, *line)];
            assert!(told(&gate.public(), &headers).await.is_empty(), "{line}");
            for ip in ["203.0.113.7", "127.0.0.1", "10.0.0.1"] {
                let link = gate.link(json!({ "ip": ip })).await;
                let answer = gate.public().post_form(&link.path, &[], &headers).await;
                assert_eq!(answer.code(), "wrong_client", "{line} {ip}");
            }
            let unbound = gate.link(json!({})).await;
            assert_eq!(open(&gate, &unbound, &headers).await.status, 303, "{line}");
        }
    }
}

#[tokio::test]
async fn a_bound_link_works_for_its_client_behind_proxies_and_for_no_other() {
    let gate = behind("x-forwarded-for").await;
    for (bound, seen, passes) in [
        (json!("203.0.113.7"), "203.0.113.7", true),
        (json!("203.0.113.7"), "203.0.113.8", false),
        (json!("::ffff:203.0.113.7"), "203.0.113.7", true),
        (json!("203.0.113.7"), "::ffff:203.0.113.7", true),
        (json!("203.0.113.0/24"), "203.0.113.200", true),
        (json!("203.0.113.0/24"), "203.0.114.1", false),
        (json!(["198.51.100.1", "203.0.113.7"]), "203.0.113.7", true),
        (json!("2001:db8:1:2::7"), "2001:db8:1:2:ffff::1", true),
        (json!("2001:db8:1:2::7"), "2001:db8:1:3::7", false),
        (json!("203.0.113.7"), "10.0.0.1", false),
    ] {
        let link = gate.link(json!({ "ip": bound })).await;
        // What a client wrote to the left of it does not count.
        let chain = format!("198.51.100.1, 127.0.0.1, 203.0.113.7, 192.0.2.1, {seen}, 10.0.0.2");
        let chain = if seen == "10.0.0.1" { seen.to_owned() } else { chain };
        let headers = [("x-forwarded-for", chain.as_str())];
        let shown = gate.browser().get_with(&link.path, &headers).await;
        assert_eq!(shown.status, if passes { 200 } else { 403 }, "{bound} {seen}");
        let answer = open(&gate, &link, &headers).await;
        assert_eq!(answer.status, if passes { 303 } else { 403 }, "{bound} {seen}");
    }
}

#[tokio::test]
async fn a_link_refused_to_another_address_is_still_its_owners() {
    let gate = behind("x-forwarded-for").await;
    let link = gate.link(json!({ "ip": "203.0.113.7" })).await;
    let (thief, owner) = (("x-forwarded-for", "203.0.113.8"), ("x-forwarded-for", "203.0.113.7"));
    assert_eq!(open(&gate, &link, &[thief]).await.status, 403);
    assert_eq!(open(&gate, &link, &[owner]).await.status, 303);
    assert_eq!(open(&gate, &link, &[owner]).await.status, 410);
}

#[tokio::test]
async fn a_caller_calls_from_its_networks_as_the_api_listener_reads_them() {
    let from = |text: String| {
        text.replace("rate = \"1000/s\"", "rate = \"1000/s\"\nfrom = [\"203.0.113.0/24\"]")
    };
    // Without a source of its own the API sees the peer, whatever `client_ip` says for browsers.
    let listen = "client_ip = \"x-forwarded-for\"\ntrusted_proxies = [\"127.0.0.0/8\"]";
    let ask = json!({ "user": "joe" });
    for (source, header, status) in [
        ("", Some(("X-Forwarded-For", "203.0.113.7")), 403),
        ("api_client_ip = \"x-forwarded-for\"", Some(("X-Forwarded-For", "203.0.113.7")), 201),
        (
            "api_client_ip = \"x-forwarded-for\"",
            Some(("X-Forwarded-For", "::ffff:203.0.113.7")),
            201,
        ),
        (
            "api_client_ip = \"x-forwarded-for\"",
            Some(("X-Forwarded-For", "203.0.113.7, 192.0.2.1")),
            403,
        ),
        ("api_client_ip = \"x-forwarded-for\"", Some(("X-Forwarded-For", "unknown")), 403),
        ("api_client_ip = \"x-forwarded-for\"", Some(("Forwarded", "for=203.0.113.7")), 403),
        ("api_client_ip = \"x-forwarded-for\"", None, 403),
        ("api_client_ip = \"forwarded\"", Some(("Forwarded", "for=203.0.113.7")), 201),
    ] {
        let gate = Gate::with(|text| {
            from(text).replace("[listen]", &format!("[listen]\n{listen}\n{source}"))
        })
        .await;
        let mut client = gate.api();
        if let Some((name, value)) = header {
            client = client.header(name, value);
        }
        let answer = client.post_json("/v1/links", &ask).await;
        assert_eq!(answer.status, status, "{source} {header:?}: {}", answer.text());
        if status == 403 {
            assert_eq!(answer.code(), "forbidden");
        }
    }
}

#[tokio::test]
async fn an_ipv4_visitor_of_an_ipv6_socket_is_an_ipv4_visitor() {
    let gate =
        Gate::with(|text| text.replace("public = \"127.0.0.1:0\"", "public = \"[::]:0\"")).await;
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, gate.public_at().port()));
    let client = Client::new(addr).host(support::gate::PANEL);
    assert_eq!(told(&client, &[]).await, ["127.0.0.1"]);
    let link = gate.link(json!({ "ip": "127.0.0.1" })).await;
    assert_eq!(client.post_form(&link.path, &[], &[]).await.status, 303);
}
