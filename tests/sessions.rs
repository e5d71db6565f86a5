//! The sealed session: whom it is believed of, how long, and how it ends.

mod support;

use serde_json::json;
use support::gate::{Gate, NOW, cookie_of};

/// Whether somebody is signed in who sends these headers.
async fn signed_in(gate: &Gate, headers: &[(&str, &str)]) -> bool {
    let answer = gate.public().get_with("/_once/session", headers).await;
    if answer.status == 200 {
        return true;
    }
    assert_eq!((answer.status, answer.code().as_str()), (401, "sign_in_required"));
    // The same is true of the site itself.
    assert_eq!(gate.public().get_with("/", headers).await.code(), "sign_in_required");
    false
}

#[tokio::test]
async fn the_session_says_who_is_signed_in() {
    let gate = Gate::start().await;
    let ask = json!({ "user": "jürgen \"x\"", "claims": { "plan": "gold", "note": [1] } });
    let link = gate.link(ask).await;
    let cookie = cookie_of(&gate.open(&link).await);
    gate.wait(60);
    let answer = gate.public().get_with("/_once/session", &[("cookie", &cookie)]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(
        answer.json(),
        json!({
            "user": "jürgen \"x\"", "site": "panel", "caller": "billing", "id": link.id,
            "claims": { "plan": "gold", "note": [1] },
            "signed_in_at": "2025-11-24T16:00:00Z", "expires_at": "2025-11-25T00:00:00Z",
        })
    );
    let post = gate.public().post_form("/_once/session", &[], &[("cookie", &cookie)]).await;
    assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD")));
    gate.stop().await;
}

#[tokio::test]
async fn a_cookie_that_was_changed_or_is_there_twice_is_none() {
    let gate = Gate::start().await;
    let cookie = gate.sign_in().await;
    let other = gate.sign_in().await;
    assert!(signed_in(&gate, &[("cookie", &cookie)]).await);
    assert!(signed_in(&gate, &[("cookie", &format!("a=1; {cookie}; oncegate=x; b"))]).await);
    let (name, value) = cookie.split_once('=').unwrap();
    let middle = value.len() / 2;
    let swapped = if value.as_bytes()[middle] == b'A' { "B" } else { "A" };
    let mut changed = value.to_owned();
    changed.replace_range(middle..=middle, swapped);
    for bad in [
        format!("{name}={changed}"),
        format!("{name}={}", &value[..value.len() - 4]),
        format!("{name}={value}="),
        format!("{name}=\"{value}\""),
        format!("{name}="),
        format!("oncegate={value}"),
        format!("{}={value}", name.to_lowercase()),
        format!("x{name}={value}"),
        format!("{cookie}; {other}"),
        format!("{cookie}; {cookie}"),
        format!("{name}=; {cookie}"),
        format!("{cookie}; a=b; {name}=x"),
    ] {
        assert!(!signed_in(&gate, &[("cookie", &bad)]).await, "{bad}");
    }
    assert!(!signed_in(&gate, &[("cookie", &cookie), ("cookie", &other)]).await);
    assert!(!signed_in(&gate, &[("cookie", &format!("{name}=\u{fc}; {cookie}"))]).await);
    let latin: Vec<u8> = [
        b"GET /_once/session HTTP/1.1\r\nHost: panel.example.com\r\nConnection: close\r\nCookie: ",
        format!("{name}=").as_bytes(),
        b"\xff; ",
        cookie.as_bytes(),
        b"\r\n\r\n",
    ]
    .concat();
    assert_eq!(support::http::raw(gate.public_at(), latin).await.status, 401);
    gate.stop().await;
}

#[tokio::test]
async fn a_session_counts_on_its_site_alone() {
    let gate = Gate::start().await;
    let cookie = gate.sign_in().await;
    let shop = gate.public().host("shop.example.com").header("cookie", &cookie);
    assert_eq!(shop.get("/_once/session").await.code(), "sign_in_required");
    assert_eq!(shop.get("/").await.code(), "sign_in_required");
    assert_eq!(gate.upstream.seen().len(), 0);
    gate.stop().await;
}

#[tokio::test]
async fn a_session_of_another_gates_keys_is_none() {
    let (gate, other) = (Gate::start().await, Gate::start().await);
    let cookie = other.sign_in().await;
    assert!(!signed_in(&gate, &[("cookie", &cookie)]).await);
    gate.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn a_session_ends_at_its_second() {
    let gate = Gate::start().await;
    let cookie = gate.sign_in().await;
    gate.clock.set(NOW + 8 * 3_600 - 1);
    assert!(signed_in(&gate, &[("cookie", &cookie)]).await);
    gate.clock.set(NOW + 8 * 3_600);
    assert!(!signed_in(&gate, &[("cookie", &cookie)]).await);
    gate.stop().await;
}

#[tokio::test]
async fn an_idle_session_ends_and_a_used_one_is_renewed() {
    let gate =
        Gate::with(|text| text.replace("[session]", "[session]\nidle = \"1h\"\nttl = \"2h\""))
            .await;
    let cookie = gate.sign_in().await;
    let get = async |cookie: &str| gate.public().get_with("/", &[("cookie", cookie)]).await;
    // Fresh: nothing to renew, and only the upstream's own cookie comes.
    let answer = get(&cookie).await;
    assert_eq!(answer.header("set-cookie"), Some("app=1; Path=/"));
    gate.clock.set(NOW + 3_599);
    let answer = get(&cookie).await;
    let renewed = format!("__Host-oncegate={}", answer.cookie("__Host-oncegate").unwrap());
    let lines = answer.header_lines("set-cookie");
    assert!(lines.iter().any(|line| line.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure")));
    assert_ne!(renewed, cookie);
    gate.clock.set(NOW + 3_600);
    assert!(!signed_in(&gate, &[("cookie", &cookie)]).await);
    assert!(signed_in(&gate, &[("cookie", &renewed)]).await);
    // Renewed or not, it ends when it ends.
    gate.clock.set(NOW + 7_190);
    let last =
        format!("__Host-oncegate={}", get(&renewed).await.cookie("__Host-oncegate").unwrap());
    gate.clock.set(NOW + 7_200);
    assert!(!signed_in(&gate, &[("cookie", &last)]).await);
    gate.stop().await;
}

#[tokio::test]
async fn signing_out_ends_the_session_for_good() {
    let gate = Gate::start().await;
    let (cookie, other) = (gate.sign_in().await, gate.sign_in().await);
    let browser = gate.browser().header("cookie", &cookie);
    let question = browser.get("/_once/logout").await;
    assert!(question.text().contains("action=\"/_once/logout\""), "{}", question.text());
    assert!(question.text().contains("<bdi>joe</bdi>"));
    assert_eq!(question.header("referrer-policy"), Some("strict-origin"));
    assert!(signed_in(&gate, &[("cookie", &cookie)]).await, "a GET only asks");
    let answer = browser.post_form("/_once/logout", &[], &[]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("set-cookie"),
        Some("__Host-oncegate=; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=0")
    );
    assert!(answer.text().contains("signed out"));
    assert!(!signed_in(&gate, &[("cookie", &cookie)]).await, "the old cookie, sent again");
    assert!(signed_in(&gate, &[("cookie", &other)]).await, "another session of that user");
    let gate = gate.restart().await;
    assert!(!signed_in(&gate, &[("cookie", &cookie)]).await);
    assert!(signed_in(&gate, &[("cookie", &other)]).await);
    // The used link leads on only for a session that is alive.
    gate.stop().await;
}

#[tokio::test]
async fn a_renewed_cookie_ends_with_its_session() {
    let gate = Gate::with(|text| text.replace("[session]", "[session]\nidle = \"1h\"")).await;
    let cookie = gate.sign_in().await;
    gate.wait(600);
    let answer = gate.public().get_with("/", &[("cookie", &cookie)]).await;
    let renewed = format!("__Host-oncegate={}", answer.cookie("__Host-oncegate").unwrap());
    let public = gate.public();
    assert_eq!(public.post_form("/_once/logout", &[], &[("cookie", &cookie)]).await.status, 204);
    assert!(!signed_in(&gate, &[("cookie", &renewed)]).await);
    gate.stop().await;
}

#[tokio::test]
async fn signing_out_twice_or_as_nobody_does_no_harm() {
    let gate = Gate::start().await;
    let cookie = gate.sign_in().await;
    for headers in [&[("cookie", cookie.as_str())][..], &[("cookie", &cookie)], &[]] {
        let answer = gate.public().post_form("/_once/logout", &[], headers).await;
        assert_eq!(answer.status, 204);
        assert!(answer.header("set-cookie").unwrap().contains("Max-Age=0"));
    }
    let put = gate.public().request("PUT", "/_once/logout", &[], b"").await;
    assert_eq!((put.status, put.header("allow")), (405, Some("GET, HEAD, POST")));
    let nobody = gate.browser().get("/_once/logout").await;
    assert!(nobody.text().contains("Nobody is signed in"));
    gate.stop().await;
}

#[tokio::test]
async fn a_session_lasts_through_a_restart_and_not_longer_than_the_memory_behind_it() {
    let gate = Gate::start().await;
    let cookie = gate.sign_in().await;
    let gate = gate.restart().await;
    assert!(signed_in(&gate, &[("cookie", &cookie)]).await);
    let state = gate.dir.path().join("state");
    gate.reconfigure(|text| text.replace("dir = \"state\"", "dir = \"elsewhere\""));
    let gate = gate.restart().await;
    assert!(state.exists());
    assert!(!signed_in(&gate, &[("cookie", &cookie)]).await);
    gate.stop().await;
    let gate = Gate::with(|text| text.replace("dir = \"state\"", "store = \"memory\"")).await;
    let cookie = gate.sign_in().await;
    assert!(signed_in(&gate, &[("cookie", &cookie)]).await);
    let gate = gate.restart().await;
    assert!(!signed_in(&gate, &[("cookie", &cookie)]).await);
    gate.stop().await;
}
