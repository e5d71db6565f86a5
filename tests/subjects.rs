//! Whom the vendors' requests name, and who that is to the directory: a number, a name with its
//! password, the owner of an account in the caller's tree, an account.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use support::{
    gate::Gate,
    http::Answer,
    service::{Reply, Service},
    tokens::claims_of,
    vendors::{self, CAMPAIGN, PLATFORM, WISECP},
};

const DIRECTORY: &str = "[directory]\nfile = \"directory.toml\"\n";

/// A gate without a directory.
async fn without_directory(change: impl FnOnce(String) -> String) -> Gate {
    let gone = [
        DIRECTORY,
        "reseller = 1\n",
        "dialects = [\"activeplatform\"]\n",
        "[dialects.activeplatform]\nsite = \"panel\"\n",
    ];
    vendors::with(|text| {
        assert!(gone.iter().all(|part| text.contains(part)), "{text}");
        change(gone.iter().fold(text, |text, part| text.replace(part, "")))
    })
    .await
}

/// A gate that asks this service.
async fn asking(service: &Service) -> Gate {
    vendors::with(|text| text.replace(DIRECTORY, &service.section("5s", "1ms"))).await
}

/// The `sub` of the user with this number, or what WISECP's clients are told.
async fn by_number(gate: &Gate, number: u64) -> Result<String, String> {
    let client = gate.api_as(None).header("Apikey", WISECP);
    let path = "/api/Clients/CreateClientSsoToken";
    let answer = client.post_json(path, &json!({ "user_id": number })).await.json();
    subject(&answer["data"]["token"], &answer["message"])
}

/// The `sub` of the user of this name, or what ActiveCampaign's clients are told.
async fn by_name(gate: &Gate, name: &str, password: &str) -> Result<String, String> {
    let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let (name, password) = (encoded(name), encoded(password));
    let path = format!(
        "/admin/api.php?api_action=singlesignon&api_output=json&api_key={CAMPAIGN}\
         &sso_addr=203.0.113.7&sso_user={name}&sso_pass={password}"
    );
    let answer = gate.api_as(None).get(&path).await.json();
    subject(&answer["token"], &answer["result_message"])
}

fn subject(token: &Value, otherwise: &Value) -> Result<String, String> {
    match token.as_str() {
        Some(token) => Ok(claims_of(token)["sub"].as_str().unwrap().to_owned()),
        None => Err(otherwise.as_str().unwrap().to_owned()),
    }
}

async fn owner(gate: &Gate, reseller: u64, account: u64) -> Answer {
    let path =
        format!("/api/v3/resellers/{reseller}/user_authentication/token?account_id={account}");
    gate.api_as(None).header("X-Api-Token", PLATFORM).get(&path).await
}

/// Whether an account can be signed in to, by AllClients' API.
async fn account(gate: &Gate, account: &str) -> bool {
    let form = [
        ("response_type", "json"),
        ("apiusername", "apiuser"),
        ("apipassword", "api pass"),
        ("accountid", account),
    ];
    let answer = gate.api_as(None).post_form("/api/2/GetSignOnUrl.aspx", &form, &[]).await.json();
    assert_ne!(answer["signonurl"].is_string(), answer["error"].is_string(), "{answer}");
    answer["signonurl"].is_string()
}

#[tokio::test]
async fn a_number_is_nobodys_name() {
    let file = "[[users]]\nid = 5\nusername = \"joe\"\n[[users]]\nid = 6\nusername = \"42\"\n";
    let gate = vendors::with_directory(|text| text, file.to_owned()).await;
    assert_eq!(by_number(&gate, 5).await, Ok("joe".to_owned()));
    assert_eq!(by_number(&gate, 6).await, Ok("42".to_owned()));
    assert!(by_number(&gate, 42).await.is_err(), "the user called 42 is number 6");
    assert_eq!(by_name(&gate, "42", "").await, Ok("42".to_owned()));
    assert!(by_name(&gate, "5", "").await.is_err(), "nobody is called 5");
    gate.stop().await;
}

#[tokio::test]
async fn a_service_may_answer_a_number_with_its_user_alone() {
    let service = Service::start().await;
    service.says("/users/42", json!({ "id": 6, "username": "42" }));
    service.says("/users/6", json!({ "id": 6, "username": "42" }));
    let gate = asking(&service).await;
    assert!(by_number(&gate, 42).await.is_err());
    assert_eq!(by_number(&gate, 6).await, Ok("42".to_owned()));
    gate.stop().await;
}

#[tokio::test]
async fn who_is_not_active_is_like_nobody() {
    let gate = vendors::start().await;
    assert!(by_number(&gate, 18).await.is_ok());
    let nobody = by_number(&gate, 999).await;
    assert!(nobody.is_err());
    assert_eq!(by_number(&gate, 20).await, nobody);
    let nobody = by_name(&gate, "nobody", "").await;
    assert!(nobody.is_err());
    for name in ["gone", "gone@example.com", "JOE", "joe\u{fffe}", ".."] {
        assert_eq!(by_name(&gate, name, "").await, nobody, "{name}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_password_that_is_sent_must_be_theirs() {
    let gate = vendors::start().await;
    let joe = Ok("joe".to_owned());
    // `joe's word`, and its MD5.
    for password in ["", "joe's word", "92e611a07d8e3aedddabbc7fe5e6518b"] {
        for name in ["joe", "joe@example.com"] {
            assert_eq!(by_name(&gate, name, password).await, joe, "{password}");
        }
    }
    let nobody = by_name(&gate, "nobody", "").await;
    for (name, password) in
        [("joe", "wrong"), ("zoë", "joe's word"), ("nobody", "joe's word"), ("gone", "joe's word")]
    {
        assert_eq!(by_name(&gate, name, password).await, nobody, "{name}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn without_a_directory_names_pass_and_passwords_do_not() {
    let gate = without_directory(|text| text).await;
    assert_eq!(by_number(&gate, 999).await, Ok("999".to_owned()));
    assert_eq!(by_name(&gate, "whoever", "").await, Ok("whoever".to_owned()));
    assert!(by_name(&gate, "whoever", "joe's word").await.is_err());
    assert!(by_name(&gate, "jo\u{fffe}e", "").await.is_err(), "no XML could carry it");
    assert!(by_name(&gate, &"x".repeat(257), "").await.is_err());
    gate.stop().await;
}

const TREE: [(u64, u64, Option<&str>); 19] = [
    // Seen from reseller 7: its own, and downstream of it.
    (7, 505, Some("owner@example.com")),
    (7, 508, Some("owner+plus@example.com")),
    (8, 508, Some("owner+plus@example.com")),
    // The account is above the reseller of the path.
    (8, 505, None),
    // Up, sideways, nowhere.
    (1, 505, None),
    (1, 508, None),
    (1, 506, None),
    (2, 506, None),
    (2, 505, None),
    (99, 505, None),
    (0, 505, None),
    (u64::MAX, 505, None),
    // The account is elsewhere, nowhere, closed, or nobody's.
    (7, 506, None),
    (7, 999, None),
    (7, 507, None),
    (7, 2425, None),
    (8, 506, None),
    (8, 999, None),
    (7, u64::MAX, None),
];

#[tokio::test]
async fn a_caller_reaches_its_own_tree_and_learns_nothing_of_what_is_outside() {
    let gate = vendors::with(|text| text.replace("reseller = 1\n", "reseller = 7\n")).await;
    let nowhere = owner(&gate, 99, 999).await;
    assert_eq!(nowhere.status, 404, "{}", nowhere.text());
    for (reseller, account, expected) in TREE {
        let answer = owner(&gate, reseller, account).await;
        if let Some(email) = expected {
            let json = answer.json();
            assert_eq!(json["owner_email"], email, "{reseller} {account}: {json}");
            assert_eq!(claims_of(json["owner_token"].as_str().unwrap())["sub"], email);
        } else {
            let told = (answer.status, answer.text());
            assert_eq!(told, (404, nowhere.text()), "{reseller} {account}");
        }
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_tree_that_goes_in_circles_or_is_too_deep_is_a_fault_of_the_directory() {
    let service = Service::start().await;
    let owner_of = |id: u64, reseller: u64| {
        let path = format!("/accounts/{id}");
        let email = "owner@example.com";
        service.says(&path, json!({ "id": id, "reseller": reseller, "owner_email": email }));
    };
    let reseller = |id: u64, parent: u64| {
        let parent = (parent != 0).then_some(parent);
        service.says(&format!("/resellers/{id}"), json!({ "id": id, "parent": parent }));
    };
    reseller(1, 0);
    // 21 > 22 > 23 > 21, and 30 above itself.
    for (id, parent) in [(21, 22), (22, 23), (23, 21), (30, 30)] {
        reseller(id, parent);
    }
    // 101 is right below 1, and 164 is 64 below it.
    reseller(101, 1);
    (102..=164).for_each(|id| reseller(id, id - 1));
    for (id, of) in [(505, 1), (521, 21), (530, 30), (563, 163), (564, 164)] {
        owner_of(id, of);
    }
    let gate = asking(&service).await;
    assert_eq!(owner(&gate, 1, 505).await.status, 200);
    assert_eq!(owner(&gate, 1, 563).await.status, 200, "64 resellers, the first and the last too");
    for (reseller, account) in [(21, 505), (30, 505), (1, 521), (1, 530), (1, 564), (164, 505)] {
        assert_eq!(owner(&gate, reseller, account).await.status, 502, "{reseller} {account}");
    }
    assert_eq!(owner(&gate, 1, 506).await.status, 404);
    // One of those above it cannot be read.
    service.says("/resellers/22", Reply::from((500, "")));
    assert_eq!(owner(&gate, 21, 505).await.status, 502);
    gate.stop().await;
}

#[tokio::test]
async fn an_account_needs_somebody_who_enabled_it() {
    let allowing = |text: String| {
        let caller = "name = \"clients\"\n";
        text.replace(caller, &format!("{caller}sign_on_url = true\n"))
    };
    // 2425 is enabled, 2426 is not, 2427 is closed.
    let gate = vendors::start().await;
    for (id, good) in [("2425", true), ("2426", false), ("2427", false), ("9999", false)] {
        assert_eq!(account(&gate, id).await, good, "{id}");
    }
    gate.stop().await;
    let gate = vendors::with(allowing).await;
    for (id, good) in [("2425", true), ("2426", true), ("2427", false), ("9999", false)] {
        assert_eq!(account(&gate, id).await, good, "{id}, with the caller's leave");
    }
    gate.stop().await;
    let gate = without_directory(|text| text).await;
    assert!(!account(&gate, "2425").await, "nobody has enabled it");
    gate.stop().await;
    let gate = without_directory(allowing).await;
    assert!(account(&gate, "9999").await, "the caller may, and there is nobody else to ask");
    gate.stop().await;
}

/// Lets this caller sign in these users only.
fn of_caller(text: &str, caller: &str, users: &str) -> String {
    let name = format!("name = \"{caller}\"\n");
    assert!(text.contains(&name), "{text}");
    text.replace(&name, &format!("{name}users = [{users}]\n"))
}

/// How many passwords were verified.
async fn verified(gate: &Gate) -> u64 {
    let text = gate.admin().get("/metrics").await.text().to_owned();
    let line = "oncegate_passwords_total{how=\"argon2\"} ";
    text.lines().find_map(|each| each.strip_prefix(line)).unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_owner_who_is_a_closed_user_or_not_the_callers_is_as_an_account_that_does_not_exist() {
    for named in ["username", "username = \"o\"\nemail"] {
        let users = format!("[[users]]\n{named} = \"owner@example.com\"\nactive = false\n");
        let directory = [users, vendors::directory()].concat();
        let gate = vendors::with_directory(|text| text, directory.clone()).await;
        let nowhere = owner(&gate, 7, 999).await;
        let closed = owner(&gate, 7, 505).await;
        assert_eq!((closed.status, closed.text()), (404, nowhere.text()), "{named}");
        assert_eq!(owner(&gate, 7, 508).await.status, 200, "who is no user is not closed");
        gate.stop().await;
        let directory = directory.replacen("active = false", "active = true", 1);
        let gate = vendors::with_directory(|text| text, directory).await;
        let json = owner(&gate, 7, 505).await.json();
        let token = json["owner_token"].as_str().unwrap();
        assert_eq!(claims_of(token)["sub"], "owner@example.com", "{named}");
        gate.stop().await;
    }
    let gate = vendors::with(|text| of_caller(&text, "platform", "\"owner@*\"")).await;
    assert_eq!(owner(&gate, 7, 505).await.status, 200);
    let (nowhere, foreign) = (owner(&gate, 7, 999).await, owner(&gate, 7, 508).await);
    assert_eq!((foreign.status, foreign.text()), (404, nowhere.text()));
    gate.stop().await;
}

#[tokio::test]
async fn anothers_user_is_as_nobody_whatever_the_password() {
    let word = "joe's word";
    // By a name that would not be the caller's: forbidden, and nothing is verified.
    let gate = vendors::with(|text| of_caller(&text, "campaign", "\"zo*\"")).await;
    let nobody = by_name(&gate, "nobody", word).await;
    for (name, password) in
        [("joe", word), ("joe", "wrong"), ("joe", ""), ("joe@example.com", word), ("gone", word)]
    {
        assert_eq!(by_name(&gate, name, password).await, nobody, "{name} {password}");
    }
    assert_eq!(verified(&gate).await, 0);
    assert_eq!(by_name(&gate, "zoe+x@example.com", "").await, Ok("zoë".to_owned()));
    gate.stop().await;

    // By a name that would be: unknown, at the same cost.
    let gate = vendors::with(|text| of_caller(&text, "campaign", "\"*@example.com\"")).await;
    let unknown = by_name(&gate, "nobody@example.com", "").await;
    assert_ne!(unknown, nobody);
    let all = [("nobody@example.com", word), ("joe@example.com", word), ("joe@example.com", "x")];
    for (n, (name, password)) in all.into_iter().enumerate() {
        assert_eq!(by_name(&gate, name, password).await, unknown, "{name} {password}");
        assert_eq!(verified(&gate).await, u64::try_from(n).unwrap() + 1, "{name} {password}");
    }
    assert_eq!(by_name(&gate, "joe@example.com", "").await, unknown);
    gate.stop().await;

    let gate = vendors::with(|text| of_caller(&text, "wisecp", "\"1*\"")).await;
    let unknown = by_number(&gate, 17).await;
    assert_eq!(by_number(&gate, 18).await, unknown, "number 18 is joe, who is not its own");
    assert_eq!(by_number(&gate, 28).await, by_number(&gate, 20).await);
    assert_ne!(by_number(&gate, 28).await, unknown);
    gate.stop().await;
}

#[tokio::test]
async fn nothing_is_told_of_an_account_that_is_not_the_callers() {
    let gate = vendors::with(|text| of_caller(&text, "clients", "\"2425/7\"")).await;
    let ask = async |account: &str, member: &str| {
        let form = [
            ("response_type", "json"),
            ("apiusername", "apiuser"),
            ("apipassword", "api pass"),
            ("accountid", account),
            ("teammemberid", member),
        ];
        gate.api_as(None).post_form("/api/2/GetSignOnUrl.aspx", &form, &[]).await.json()
    };
    let nowhere = ask("9", "").await;
    assert!(nowhere["error"].is_string(), "{nowhere}");
    // Enabled, not enabled, closed.
    for (account, member) in [("2425", ""), ("2426", ""), ("2427", ""), ("2425", "8"), ("9", "7")] {
        assert_eq!(ask(account, member).await, nowhere, "{account} {member}");
    }
    let own = ask("2425", "7").await;
    assert_eq!(
        claims_of(own["signonurl"].as_str().unwrap().split_once("hash=").unwrap().1)["sub"],
        "2425/7"
    );
    gate.stop().await;
}
