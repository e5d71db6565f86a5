//! The audit: one line a decision, with who, what, where from and why; and the id that ties it
//! to its request.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test fails where it stands")]

mod support;

use serde_json::json;
use support::{
    gate::{Gate, Link, cookie_of},
    http::Answer,
    logs::{self, Line},
};
use tracing::Level;

/// The one line about the request that got this answer.
fn line(answer: &Answer) -> Line {
    let id = answer.header("x-request-id").expect("every answer names its request");
    let lines = logs::audit(id);
    assert_eq!(lines.len(), 1, "one line a decision: {lines:#?}");
    lines.into_iter().next().unwrap()
}

/// What a line says under these names, in order.
fn said<const N: usize>(line: &Line, names: [&str; N]) -> [String; N] {
    names.map(|name| line.get(name).to_owned())
}

async fn behind_proxies() -> Gate {
    logs::keep();
    Gate::with(|text| {
        let listen = "client_ip = \"x-forwarded-for\"\ntrusted_proxies = [\"127.0.0.0/8\"]";
        text.replace("[listen]", &format!("[listen]\n{listen}"))
    })
    .await
}

async fn start() -> Gate {
    logs::keep();
    Gate::start().await
}

#[tokio::test]
async fn issuing_and_redeeming_say_who_whom_where_and_from_where() {
    let gate = start().await;
    let ask = json!({ "user": "joe", "destination": "invoice", "destination_values": [7] });
    let issued = gate.api().post_json("/v1/links", &ask).await;
    let link = Link::of(&issued.json());
    let about = ["event", "id", "caller", "user", "site", "destination", "client"];
    let expected =
        ["issue", &link.id, "billing", "joe", "panel", "/clientarea/invoices/7", "127.0.0.1"];
    assert_eq!(said(&line(&issued), about), expected);
    assert_eq!(line(&issued).get("expires"), (gate.clock.now() + 60).to_string());
    let used = gate.open(&link).await;
    let expected =
        ["redeem", &link.id, "billing", "joe", "panel", "/clientarea/invoices/7", "127.0.0.1"];
    assert_eq!(said(&line(&used), about), expected);
    let link = gate.link(json!({})).await;
    let used = gate.redeem(&link.token).await;
    assert_eq!(said(&line(&used), ["event", "id"]), ["redeem", &link.id]);
    assert_eq!(line(&used).level, Level::INFO);
}

#[tokio::test]
async fn a_refusal_says_why_and_about_whom_where_the_token_was_genuine() {
    let gate = start().await;
    let link = gate.link(json!({})).await;
    gate.open(&link).await;
    let about = ["event", "code", "id", "caller", "user", "site"];
    let again = line(&gate.open(&link).await);
    assert_eq!(
        said(&again, about),
        ["refuse", "already_used", &link.id, "billing", "joe", "panel"]
    );
    assert_eq!(said(&again, ["possible_interception", "first_use"]), ["", ""], "the same address");

    let bound = gate.link(json!({ "ip": "203.0.113.7" })).await;
    let elsewhere = line(&gate.open(&bound).await);
    assert_eq!(said(&elsewhere, ["code", "id"]), ["wrong_client", &bound.id]);
    let reason = elsewhere.get("reason");
    assert!(reason.contains("203.0.113.7") && reason.contains("127.0.0.1"), "{reason}");

    // Of a forged one nothing is believed.
    let (signed, _) = link.token.rsplit_once('.').unwrap();
    let forged = line(&gate.redeem(&format!("{signed}.{}", "A".repeat(86))).await);
    assert_eq!(forged.get("code"), "bad_signature");
    assert_eq!(said(&forged, ["id", "user", "site", "caller"]), ["", "", "", "billing"]);
    let page = gate.browser().get(&link.path).await;
    assert_eq!((page.status, line(&page).get("code")), (410, "already_used"));
}

#[tokio::test]
async fn callers_are_named_where_they_are_known() {
    let gate = start().await;
    let ask = json!({ "user": "joe" });
    let nobody = line(&gate.api_as(Some("og_wrong")).post_json("/v1/links", &ask).await);
    assert_eq!(said(&nobody, ["event", "code", "caller"]), ["refuse", "unauthorized", ""]);
    let narrow = gate.api_as(Some(support::gate::NARROW));
    let refused = line(&narrow.post_json("/v1/links", &ask).await);
    assert_eq!(said(&refused, ["event", "caller"]), ["refuse", "narrow"]);
    let stranger = line(&gate.public().get("/clientarea").await);
    assert_eq!(said(&stranger, ["event", "code"]), ["refuse", "sign_in_required"]);
}

#[tokio::test]
async fn taking_back_and_signing_out_are_decisions_too() {
    let gate = start().await;
    let cookie = gate.sign_in().await;
    let out = gate.public().request("POST", "/_once/logout", &[("cookie", &cookie)], b"").await;
    assert_eq!(said(&line(&out), ["event", "user", "site"]), ["logout", "joe", "panel"]);
    let link = gate.link(json!({})).await;
    let revoked = gate.api().delete(&format!("/v1/links/{}", link.id)).await;
    let about = ["event", "caller", "what", "of"];
    assert_eq!(said(&line(&revoked), about), ["revoke", "billing", "link", &link.id]);
    let refused = line(&gate.open(&link).await);
    assert_eq!(said(&refused, ["code", "id"]), ["revoked", &link.id]);
    let revoked = gate.api().post_json("/v1/revocations", &json!({ "user": "joe" })).await;
    assert_eq!(said(&line(&revoked), about), ["revoke", "billing", "user", "joe"]);
}

#[tokio::test]
async fn a_batch_is_as_many_decisions_as_it_asks_for() {
    let gate = start().await;
    let asks = json!([{ "user": "a" }, { "user": "" }, { "user": "c" }]);
    let answer = gate.api().post_json("/v1/links/batch", &asks).await;
    let lines = logs::audit(answer.header("x-request-id").unwrap());
    let events: Vec<_> = lines.iter().map(|line| line.get("event")).collect();
    assert_eq!(events, ["issue", "refuse", "issue"]);
    let callers = lines.iter().map(|line| line.get("caller")).collect::<Vec<_>>();
    assert_eq!(callers, ["billing"; 3]);
}

#[tokio::test]
async fn showing_a_page_decides_nothing() {
    let gate = start().await;
    let link = gate.link(json!({})).await;
    let cookie = gate.sign_in().await;
    for answer in [
        gate.browser().get(&link.path).await,
        gate.public().get_with("/", &[("cookie", &cookie)]).await,
        gate.public().get("/.well-known/jwks.json").await,
    ] {
        assert_eq!(answer.status, 200);
        assert!(logs::audit(answer.header("x-request-id").unwrap()).is_empty());
    }
}

#[tokio::test]
async fn a_second_use_from_another_address_may_be_an_interception() {
    let gate = behind_proxies().await;
    let link = gate.link(json!({})).await;
    let from = |addr: &str| vec![("x-forwarded-for".to_owned(), addr.to_owned())];
    let open = async |addr: &str| {
        let headers = from(addr);
        let headers: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        gate.browser().post_form(&link.path, &[], &headers).await
    };
    let first = open("203.0.113.7").await;
    assert_eq!((first.status, line(&first).get("client")), (303, "203.0.113.7"));
    let same = line(&open("203.0.113.7").await);
    assert_eq!((same.get("possible_interception"), same.level), ("", Level::INFO));
    let mapped = line(&open("::ffff:203.0.113.7").await);
    assert_eq!(mapped.get("possible_interception"), "", "the same address in other words");

    let other = line(&open("198.51.100.1").await);
    let about = ["code", "possible_interception", "first_use", "client", "id", "user"];
    let expected = ["already_used", "true", "203.0.113.7", "198.51.100.1", &link.id, "joe"];
    assert_eq!(said(&other, about), expected);
    assert_eq!(other.level, Level::WARN, "somebody should look at it");

    // Nobody says from where: then nobody can say that it is elsewhere.
    let unknown = line(&open("unknown").await);
    assert_eq!(said(&unknown, ["code", "possible_interception"]), ["already_used", ""]);
    let unknown = line(&gate.redeem(&link.token).await);
    assert_eq!(said(&unknown, ["code", "possible_interception"]), ["already_used", ""]);
    let metrics = gate.admin().get("/metrics").await;
    assert!(metrics.text().contains("oncegate_possible_interceptions_total 1\n"));
}

#[tokio::test]
async fn the_first_user_of_a_link_is_led_on_without_alarm() {
    let gate = start().await;
    let link = gate.link(json!({})).await;
    let cookie = cookie_of(&gate.open(&link).await);
    let again = gate.browser().get_with(&link.path, &[("cookie", &cookie)]).await;
    assert_eq!(again.status, 303);
    assert_eq!(again.header("set-cookie"), None);
}

#[tokio::test]
async fn a_requests_id_is_the_gates_own_or_a_trusted_proxys() {
    let gate = start().await;
    let own = |answer: &Answer| {
        let id = answer.header("x-request-id").unwrap();
        id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let ours = [("x-request-id", "trace-1.a_B")];
    for answer in [
        gate.public().get_with("/", &ours).await,
        gate.api().get_with("/v1/nothing", &ours).await,
        gate.public().get("/").await,
    ] {
        assert!(own(&answer), "a stranger's is not taken: {:?}", answer.headers);
    }
    let (one, two) = (gate.public().get("/").await, gate.public().get("/").await);
    assert_ne!(one.header("x-request-id"), two.header("x-request-id"));
    let page = gate.browser().get("/").await;
    assert!(page.text().contains(page.header("x-request-id").unwrap()), "a person can name it");

    let gate = behind_proxies().await;
    let taken = gate.public().get_with("/", &ours).await;
    assert_eq!(taken.header("x-request-id"), Some("trace-1.a_B"));
    assert_eq!(line(&taken).get("code"), "sign_in_required");
    for bad in ["", "a b", "a\"b", "a\tb", "<b>", &"a".repeat(65)] {
        assert!(own(&gate.public().get_with("/", &[("x-request-id", bad)]).await), "{bad:?}");
    }
}

#[tokio::test]
async fn an_upstreams_own_id_does_not_hide_the_requests() {
    let gate = start().await;
    let cookie = gate.sign_in().await;
    let answer = gate.public().get_with("/", &[("cookie", &cookie)]).await;
    assert_eq!(answer.header_lines("x-request-id").len(), 1);
}
