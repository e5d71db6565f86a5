//! What is taken back stays taken back: a link, and a user with all links and sessions.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use oncegate::{
    edge::{connection::Connection, intake::Intake, redeem},
    gate::{client_ip::ClientIpSource, revoked::Revocation},
    ops::clock::Clock,
};
use serde_json::json;
use support::{
    gate::{Gate, Link, NARROW, NOW, usual},
    http::Answer,
    service::Service,
    upstream::Upstream,
};

async fn refusal(gate: &Gate, link: &Link) -> String {
    gate.public().post_form(&link.path, &[], &[]).await.code()
}

async fn signed_in(gate: &Gate, cookie: &str) -> bool {
    gate.public().get_with("/_once/session", &[("cookie", cookie)]).await.status == 200
}

#[tokio::test]
async fn a_link_that_is_taken_back_does_not_open() {
    let gate = Gate::start().await;
    let (link, other) = (gate.link(json!({})).await, gate.link(json!({})).await);
    let taken = gate.api().delete(&format!("/v1/links/{}", link.id)).await;
    assert_eq!(taken.status, 204, "{}", taken.text());
    let gate = gate.restart().await;
    assert_eq!(refusal(&gate, &link).await, "revoked");
    assert_eq!(gate.public().get(&link.path).await.code(), "revoked");
    assert_eq!(gate.redeem(&link.token).await.code(), "revoked");
    let page = gate.browser().get(&link.path).await;
    assert_eq!(page.status, 410);
    assert!(page.text().contains("withdrawn"), "{}", page.text());
    assert_eq!(gate.open(&other).await.status, 303);
    gate.stop().await;
}

/// Lets time pass, and the gate forget what it may.
fn wait(gate: &Gate, seconds: u64) {
    gate.wait(seconds);
    gate.running.as_ref().unwrap().gate.store.tick(gate.clock.now());
}

#[tokio::test]
async fn a_revocation_outlives_links_from_when_they_might_live_longer() {
    let rate = "rate = \"1000/s\"";
    let gate = Gate::with(|text| {
        text.replace("[links]", "[links]\nmax_ttl = \"5h\"")
            .replace(rate, &format!("max_ttl = \"5h\"\n{rate}"))
    })
    .await;
    let [one, all] =
        [gate.link(json!({ "ttl": 18_000 })).await, gate.link(json!({ "ttl": 18_000 })).await];
    gate.reconfigure(|text| text.replace("max_ttl = \"5h\"", "max_ttl = \"60s\""));
    let gate = gate.restart().await;
    assert_eq!(gate.api().delete(&format!("/v1/links/{}", one.id)).await.status, 204);
    wait(&gate, 3 * 3_600);
    let store = &gate.running.as_ref().unwrap().gate.store;
    assert!(store.link_revoked_by(one.id.parse().unwrap(), "billing"));
    gate.reconfigure(|text| text.replace("max_ttl = \"60s\"", "max_ttl = \"5h\""));
    let gate = gate.restart().await;
    assert_eq!(refusal(&gate, &one).await, "revoked");
    assert_eq!(gate.open(&all).await.status, 303);
    gate.stop().await;
}

#[tokio::test]
async fn a_revocation_outlives_sessions_from_when_they_might_live_longer() {
    let gate = Gate::start().await;
    let joe = gate.sign_in().await; // for 8 hours
    gate.reconfigure(|text| text.replace("[session]", "[session]\nttl = \"20m\""));
    let gate = gate.restart().await;
    gate.api().post_json("/v1/revocations", &json!({ "user": "joe" })).await;
    assert!(!signed_in(&gate, &joe).await);
    wait(&gate, 3 * 3_600);
    assert!(!signed_in(&gate, &joe).await);
    gate.reconfigure(|text| text.replace("ttl = \"20m\"", "ttl = \"8h\""));
    let gate = gate.restart().await;
    assert!(!signed_in(&gate, &joe).await);
    gate.stop().await;
}

#[tokio::test]
async fn a_user_that_is_taken_back_loses_links_and_sessions_and_gets_new_ones() {
    let gate = Gate::start().await;
    let (joe, link) = (gate.sign_in().await, gate.link(json!({})).await);
    let ann_link = gate.link(json!({ "user": "ann" })).await;
    let ann = support::gate::cookie_of(&gate.open(&ann_link).await);
    let ann_next = gate.link(json!({ "user": "ann" })).await;
    let taken = gate.api().post_json("/v1/revocations", &json!({ "user": "joe" })).await;
    assert_eq!(taken.status, 204, "{}", taken.text());
    // To the second: what was issued up to now, and nothing after.
    let same_second = gate.link(json!({})).await;
    let gate = gate.restart().await;
    assert!(!signed_in(&gate, &joe).await);
    assert_eq!(gate.public().get_with("/", &[("cookie", &joe)]).await.code(), "sign_in_required");
    assert_eq!(refusal(&gate, &link).await, "revoked");
    assert!(signed_in(&gate, &support::gate::cookie_of(&gate.open(&same_second).await)).await);
    assert!(signed_in(&gate, &ann).await);
    assert_eq!(gate.open(&ann_next).await.status, 303);
    gate.wait(1);
    assert!(signed_in(&gate, &gate.sign_in().await).await);
    assert!(!signed_in(&gate, &joe).await);
    gate.stop().await;
}

#[tokio::test]
async fn a_session_begun_by_an_older_link_ends_with_its_user_however_late() {
    let gate = Gate::start().await;
    let joe = gate.sign_in().await;
    gate.wait(2 * 3_600);
    gate.api().post_json("/v1/revocations", &json!({ "user": "joe" })).await;
    gate.wait(3 * 3_600);
    let gate = gate.restart().await;
    assert!(!signed_in(&gate, &joe).await);
    gate.stop().await;
}

#[tokio::test]
async fn who_may_not_take_back_does_not() {
    let gate = Gate::start().await;
    let (joe, link) = (gate.sign_in().await, gate.link(json!({})).await);
    for key in [Some(NARROW), None, Some("og_no-key")] {
        let api = gate.api_as(key);
        let status = if key == Some(NARROW) { 403 } else { 401 };
        assert_eq!(api.delete(&format!("/v1/links/{}", link.id)).await.status, status);
        let user = json!({ "user": "joe", "site": "panel" });
        assert_eq!(api.post_json("/v1/revocations", &user).await.status, status);
    }
    assert!(signed_in(&gate, &joe).await);
    assert_eq!(gate.open(&link).await.status, 303);
    gate.stop().await;
}

#[tokio::test]
async fn a_caller_takes_back_only_on_its_own_sites_and_of_its_own_users() {
    // `narrow` may revoke, but has other users: `joe` is none of its.
    let gate = Gate::with(|text| {
        text.replace("users = [\"test-*\"]", "users = [\"test-*\"]\nmay = [\"issue\", \"revoke\"]")
    })
    .await;
    let (joe, link) = (gate.sign_in().await, gate.link(json!({})).await);
    let api = gate.api_as(Some(NARROW));
    assert_eq!(api.delete(&format!("/v1/links/{}", link.id)).await.status, 204, "tells nothing");
    let user = json!({ "user": "joe", "site": "panel" });
    assert_eq!(api.post_json("/v1/revocations", &user).await.status, 403);
    assert!(signed_in(&gate, &joe).await);
    assert_eq!(gate.open(&link).await.status, 303);
    gate.stop().await;
}

#[tokio::test]
async fn a_clock_that_was_ahead_hides_nothing_from_a_revocation() {
    for (ahead, restarts) in [(15, false), (3_600, false), (15, true), (3_600, true)] {
        let mut gate = Gate::start().await;
        gate.wait(ahead);
        let (link, cookie) = (gate.link(json!({})).await, gate.sign_in().await);
        gate.clock.set(gate.clock.now() - ahead);
        if restarts {
            gate = gate.restart().await;
        }
        let asked = json!({ "user": "joe" });
        assert_eq!(gate.api().post_json("/v1/revocations", &asked).await.status, 204);
        wait(&gate, ahead + 1);
        assert!(!signed_in(&gate, &cookie).await, "{ahead} {restarts}");
        assert_ne!(gate.open(&link).await.status, 303, "{ahead} {restarts}");
        gate.wait(60);
        gate.sign_in().await;
        gate.stop().await;
    }
}

#[tokio::test]
async fn a_clock_that_was_ahead_costs_everybody_once_not_at_each_revocation() {
    let gate = Gate::start().await;
    gate.wait(3_600);
    gate.link(json!({})).await;
    gate.clock.set(gate.clock.now() - 3_600);
    let revoke = |user: &'static str| {
        let (api, asked) = (gate.api(), json!({ "user": user }));
        async move { api.post_json("/v1/revocations", &asked).await.status }
    };
    assert_eq!(revoke("ann").await, 204);
    gate.wait(1);
    let cookie = gate.sign_in().await;
    gate.wait(1);
    assert_eq!(revoke("ann").await, 204);
    assert!(signed_in(&gate, &cookie).await);
    gate.stop().await;
}

#[tokio::test]
async fn revocations_count_against_the_callers_rate() {
    let gate = Gate::with(|text| text.replace("rate = \"1000/s\"", "rate = \"2/h\"")).await;
    let made_up = "/v1/links/AAAAAAAAAAAAAAAAAAAAAA";
    assert_eq!(gate.api().delete(made_up).await.status, 204);
    let asked = json!({ "user": "joe" });
    assert_eq!(gate.api().post_json("/v1/revocations", &asked).await.status, 204);
    assert_eq!(gate.api().delete(made_up).await.code(), "rate_limited");
    assert_eq!(gate.api().post_json("/v1/revocations", &asked).await.code(), "rate_limited");
    gate.stop().await;
}

#[tokio::test]
async fn a_revocation_answered_while_a_link_is_recorded_holds() {
    let gate = Gate::start().await;
    let (link, other) = (gate.link(json!({})).await, gate.link(json!({})).await);
    // The other is opened a second later: its session begins after what comes, its link did not.
    gate.wait(1);
    let cookie = support::gate::cookie_of(&gate.open(&other).await);
    let running = gate.running.as_ref().unwrap().gate.clone();
    let request = http::Request::post("/").header("host", "x").body(()).unwrap();
    let connection = Connection::plain((std::net::Ipv4Addr::LOCALHOST, 0).into());
    let (intake, _) = Intake::read(&running, &connection, ClientIpSource::Peer, &request);
    let by = redeem::Presenter::default();
    let verified = redeem::verify(&running, &link.token).await.unwrap();
    let site = running.site_named("panel").unwrap();
    let judged = redeem::judge(&running, site, &by, verified).unwrap();
    assert!(signed_in(&gate, &cookie).await);
    let revocation = Revocation::user("panel", "joe", NOW, NOW + 3_600);
    running.store.revoke(revocation, NOW).await.unwrap();
    let refusal = redeem::spend(&running, &intake, &by, judged).await.unwrap_err();
    assert_eq!(refusal.denial.public().code, "revoked");
    assert!(!signed_in(&gate, &cookie).await);
    drop(running);
    gate.stop().await;
}

const FILE: &str = "[[users]]\nid = 18\nusername = \"joe\"\nemail = \"joe@example.com\"\n\
                    [[users]]\nid = 19\nusername = \"ann\"\nemail = \"ann@example.com\"\n\
                    [[users]]\nid = 20\nusername = \"test-1\"\nemail = \"tim@example.com\"\n";

/// A gate whose directory is this file; `narrow` may revoke.
async fn with_file(text: &str) -> Gate {
    let (dir, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    std::fs::write(dir.path().join("directory.toml"), text).unwrap();
    let config = [usual(&upstream).as_str(), "[directory]\nfile = \"directory.toml\"\n"].concat();
    let own = "users = [\"test-*\"]";
    assert!(config.contains(own), "{config}");
    let config = config.replace(own, &format!("{own}\nmay = [\"issue\", \"revoke\"]"));
    Gate::in_dir(dir, upstream, &config, Clock::manual(NOW)).await
}

async fn take_back(gate: &Gate, user: &str) -> Answer {
    gate.api().post_json("/v1/revocations", &json!({ "user": user })).await
}

#[tokio::test]
async fn a_user_is_taken_back_by_any_of_its_names_under_all_of_them_even_once_it_is_closed() {
    for name in ["joe", "joe@example.com", "18"] {
        for active in [true, false] {
            let gate = with_file(FILE).await;
            let (link, ann) =
                (gate.link(json!({})).await, gate.link(json!({ "user": "19" })).await);
            // As ActivePlatform's dialect names the owner of an account, and as without a directory.
            let mut others = Vec::new();
            for sub in ["joe@example.com", name] {
                others.push(gate.crafted(|claims| claims.sub = sub.to_owned()).await);
            }
            if !active {
                let closed = FILE.replacen("username", "active = false\nusername", 1);
                std::fs::write(gate.dir.path().join("directory.toml"), closed).unwrap();
                gate.running.as_ref().unwrap().take_up_directory();
            }
            assert_eq!(take_back(&gate, name).await.status, 204, "{name}");
            for link in others.iter().chain([&link]) {
                assert_eq!(refusal(&gate, link).await, "revoked", "{name} {active}");
            }
            assert_eq!(gate.open(&ann).await.status, 303);
            gate.stop().await;
        }
    }
}

#[tokio::test]
async fn of_a_users_names_a_caller_takes_back_those_that_it_may_sign_in() {
    let gate = with_file(FILE).await;
    let api = gate.api_as(Some(NARROW));
    let ask = async |user: &str| {
        let asked = json!({ "user": user, "site": "panel" });
        api.post_json("/v1/revocations", &asked).await
    };
    let link = gate.link(json!({ "user": "test-1" })).await;
    let email = gate.crafted(|claims| claims.sub = "tim@example.com".to_owned()).await;
    // It may ask twice an hour.
    assert_eq!(ask("tim@example.com").await.status, 204);
    assert_eq!(refusal(&gate, &link).await, "revoked");
    assert_eq!(gate.open(&email).await.status, 303, "this name is none of its own");
    assert_eq!(ask("ann@example.com").await.code(), "forbidden");
    gate.stop().await;
}

#[tokio::test]
async fn of_anothers_user_a_revocation_tells_and_takes_back_nothing() {
    let file = FILE.replace("joe@example.com", "test-joe@example.com");
    for (name, status) in
        [("joe", 403), ("nobody", 403), ("18", 403), ("test-joe@example.com", 204)]
    {
        let gate = with_file(&file).await;
        let link = gate.link(json!({})).await;
        let asked = json!({ "user": name, "site": "panel" });
        let answer = gate.api_as(Some(NARROW)).post_json("/v1/revocations", &asked).await;
        assert_eq!(answer.status, status, "{name}");
        assert_eq!(gate.open(&link).await.status, 303, "{name}");
        gate.stop().await;
    }
}

#[tokio::test]
async fn while_the_directory_is_silent_the_name_itself_is_taken_back_and_the_caller_is_told() {
    let service = Service::start().await;
    service.says("/users/joe", json!({ "username": "joe" }));
    let gate = Gate::with(|text| {
        let own = "users = [\"test-*\"]";
        let may = [own, "\nmay = [\"issue\", \"revoke\"]"].concat();
        [text.replace(own, &may), service.section("5s", "1ms")].concat()
    })
    .await;
    let (link, email) = (
        gate.link(json!({})).await,
        gate.crafted(|claims| claims.sub = "joe@example.com".to_owned()).await,
    );
    service.says("/users/joe%40example.com", (500, ""));
    let answer = take_back(&gate, "joe@example.com").await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "bad_gateway"), "{}", answer.text());
    assert_eq!(refusal(&gate, &email).await, "revoked");
    assert_eq!(gate.public().get(&link.path).await.status, 200, "not known to be theirs");
    let answer = gate.api_as(Some(NARROW));
    let asked = json!({ "user": "joe@example.com", "site": "panel" });
    let answer = answer.post_json("/v1/revocations", &asked).await;
    assert_eq!(answer.code(), "bad_gateway", "whether it may is not known either");
    gate.stop().await;
}
