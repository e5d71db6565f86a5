//! Names and passwords through the front door: both forms of a password, guesses, and those whom
//! guesses must not lock out.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use support::{
    gate::Gate,
    http::{Answer, Client},
    vendors,
};

/// Where the callers are.
const HOME: &str = "203.0.113.7";
const ELSEWHERE: &str = "2001:db8::7";

/// A gate behind a proxy that tells where its clients are; `change` changes the configuration.
async fn behind_a_proxy(change: impl FnOnce(String) -> String) -> Gate {
    let listen = "[listen]\napi_client_ip = \"x-forwarded-for\"\n\
                  trusted_proxies = [\"127.0.0.0/8\"]";
    vendors::with(|text| change(text.replace("[listen]", listen))).await
}

/// The API as from this address, through TLS.
fn from(gate: &Gate, address: &str) -> Client {
    Client::new(gate.api_at())
        .header("X-Forwarded-For", address)
        .header("X-Forwarded-Proto", "https")
}

async fn all_clients(gate: &Gate, address: &str, name: &str, password: &str) -> Answer {
    let form = form(&[("apiusername", name), ("apipassword", password), ("accountid", "2425")]);
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    from(gate, address).request("POST", "/api/2/GetSignOnUrl.aspx", &headers, form.as_bytes()).await
}

fn form(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

fn is_link(answer: &Answer) -> bool {
    answer.status == 200 && answer.text().contains("<signonurl>")
}

fn is_limited(answer: &Answer) -> bool {
    let seconds = answer.header("retry-after").and_then(|seconds| seconds.parse::<u64>().ok());
    let error = answer.text().contains("<results><error>") && !answer.text().contains("failed");
    answer.status == 200 && error && seconds.is_some_and(|seconds| seconds >= 1)
}

/// What is counted under this name, with its labels.
async fn counted(gate: &Gate, line: &str) -> u64 {
    let text = gate.admin().get("/metrics").await.text().to_owned();
    let value = text.lines().find_map(|each| each.strip_prefix(line));
    value.unwrap_or_else(|| panic!("{line} is not among\n{text}")).trim().parse().unwrap()
}

async fn verified(gate: &Gate) -> u64 {
    counted(gate, "oncegate_passwords_total{how=\"argon2\"}").await
}

#[tokio::test]
async fn the_word_and_its_md5_in_either_case_are_one_password_to_every_vendor() {
    let gate = behind_a_proxy(|text| text).await;
    let md5 = |word: &str| oncegate::gate::password::Credential::of(word).expose().to_owned();
    for word in ["api pass".to_owned(), md5("api pass"), md5("api pass").to_uppercase()] {
        let answer = all_clients(&gate, HOME, "apiuser", &word).await;
        assert!(is_link(&answer), "{word}: {}", answer.text());
    }
    for word in ["pass word".to_owned(), md5("pass word"), md5("pass word").to_uppercase()] {
        // The vendor's own field for an MD5 takes no word.
        let fields = ["api_pass", "api_pass_h"].into_iter();
        for field in fields.filter(|field| *field == "api_pass" || !word.contains(' ')) {
            let query = form(&[
                ("api_action", "singlesignon"),
                ("api_output", "json"),
                ("api_user", "admin"),
                (field, &word),
                ("sso_addr", "192.0.2.9"),
                ("sso_user", "joe"),
            ]);
            let answer = from(&gate, HOME).get(&format!("/admin/api.php?{query}")).await;
            assert_eq!(answer.json()["result_code"], 1, "{field} {word}: {}", answer.text());
        }
    }
    for word in ["whmcs pass".to_owned(), md5("whmcs pass"), md5("whmcs pass").to_uppercase()] {
        let body = form(&[
            ("action", "CreateSsoToken"),
            ("responsetype", "json"),
            ("username", "whmcs"),
            ("password", &word),
            ("client_id", "18"),
        ]);
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        let client = from(&gate, HOME);
        let answer = client.request("POST", "/includes/api.php", &headers, body.as_bytes()).await;
        assert_eq!(answer.json()["result"], "success", "{word}: {}", answer.text());
    }
    assert_eq!(verified(&gate).await, 3, "each of the three once");
    gate.stop().await;
}

#[tokio::test]
async fn a_password_that_oncegate_made_is_one_to_a_vendor_that_takes_keys_in_its_place() {
    // As `oncegate caller new --username` makes them: they begin as keys do.
    let (word, line) = ("og_made-for-whmcs", "username = \"whmcs\"\npassword = ");
    let gate = behind_a_proxy(|text| {
        let (before, rest) = text.split_once(line).unwrap();
        let (_, after) = rest.split_once('\n').unwrap();
        format!("{before}{line}\"{}\"\n{after}", vendors::hash(word))
    })
    .await;
    let ask = async |name: &str, password: &str| {
        let body = form(&[
            ("action", "CreateSsoToken"),
            ("username", name),
            ("password", password),
            ("client_id", "18"),
        ]);
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        let client = from(&gate, HOME);
        let answer = client.request("POST", "/includes/api.php", &headers, body.as_bytes()).await;
        answer.json()["result"] == "success"
    };
    assert!(ask("whmcs", word).await);
    assert!(ask("whmcs", vendors::WHMCS).await, "nor does its key stop being one");
    for (name, password) in
        [("whmcs", "og_other"), ("other", vendors::WHMCS), ("whmcs", vendors::WISECP)]
    {
        assert!(!ask(name, password).await, "{name}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn an_unknown_name_and_a_wrong_password_are_told_the_same() {
    let gate = behind_a_proxy(|text| text).await;
    let wrong = all_clients(&gate, HOME, "apiuser", "wrong").await;
    assert!(wrong.text().contains("Authentication failed"), "{}", wrong.text());
    let others = [("apiuse", "api pass"), ("apiusers", "wrong"), ("APIUSER", "api pass")];
    for (name, password) in others {
        let answer = all_clients(&gate, HOME, name, password).await;
        assert_eq!((answer.status, answer.text()), (wrong.status, wrong.text()), "{name}");
    }
    assert_eq!(verified(&gate).await, 4, "an unknown name costs as much");
    gate.stop().await;
}

#[tokio::test]
async fn what_can_be_no_name_or_password_is_refused_without_a_verification() {
    let gate = behind_a_proxy(|text| text).await;
    let long = "a".repeat(257);
    let md5_of_nothing = "d41d8cd98f00b204e9800998ecf8427e";
    let all = [
        ("", "api pass"),
        ("apiuser", ""),
        ("apiuser", md5_of_nothing),
        (long.as_str(), "api pass"),
        ("api\nuser", "api pass"),
    ];
    for (name, password) in all {
        let answer = all_clients(&gate, HOME, name, password).await;
        assert!(answer.text().contains("<error>"), "{name:?}: {}", answer.text());
        assert!(!is_link(&answer));
    }
    let text = gate.admin().get("/metrics").await.text().to_owned();
    assert!(text.contains("oncegate_passwords_total{how=\"argon2\"} 0"), "{text}");
    gate.stop().await;
}

#[tokio::test]
async fn a_thousand_guesses_cost_few_verifications_and_lock_nobody_out() {
    let gate = behind_a_proxy(|text| text).await;
    assert!(is_link(&all_clients(&gate, HOME, "apiuser", "api pass").await));
    let before = verified(&gate).await;
    let mut limited = 0;
    for n in 0..1_000 {
        let answer = all_clients(&gate, HOME, "apiuser", &format!("guess {n}")).await;
        assert!(!is_link(&answer), "{}", answer.text());
        limited += u64::from(is_limited(&answer));
        if n % 250 == 249 {
            for address in [HOME, ELSEWHERE] {
                let answer = all_clients(&gate, address, "apiuser", "api pass").await;
                assert!(is_link(&answer), "{address}: {}", answer.text());
            }
        }
    }
    let verified = verified(&gate).await - before;
    // Nine beside the right one, and one more for each six seconds that this took.
    assert!((9..=40).contains(&verified), "{verified} verifications");
    assert_eq!(limited, 1_000 - verified);
    let why = counted(&gate, "oncegate_passwords_refused_total{why=\"limited\"}").await;
    assert_eq!(why, limited);
    // Nor does a stranger who has used up the guesses learn that one was right.
    let mut guesses = 0..100;
    let used_up = loop {
        let guess = format!("guess {}", guesses.next().unwrap());
        let answer = all_clients(&gate, "192.0.2.1", "apiuser", &guess).await;
        if is_limited(&answer) {
            break answer;
        }
    };
    let answer = all_clients(&gate, "192.0.2.1", "apiuser", "api pass").await;
    assert!(is_limited(&answer), "{} after {}", answer.text(), used_up.text());
    gate.stop().await;
}

#[tokio::test]
async fn guesses_at_a_users_password_lock_out_no_caller_and_no_other_user() {
    let gate = behind_a_proxy(|text| text).await;
    let ask = async |user: &str, password: &str| {
        let query = form(&[
            ("api_action", "singlesignon"),
            ("api_output", "json"),
            ("api_user", "admin"),
            ("api_pass", "pass word"),
            ("sso_addr", "192.0.2.9"),
            ("sso_user", user),
            ("sso_pass", password),
        ]);
        let answer = from(&gate, HOME).get(&format!("/admin/api.php?{query}")).await;
        (answer.json()["result_code"].clone(), answer.header("retry-after").is_some())
    };
    let mut limited = false;
    for n in 0..30 {
        // The name of the caller itself, as a user's.
        limited |= ask("admin", &format!("guess {n}")).await.1;
    }
    assert!(limited, "guesses at a user's password are limited");
    assert_eq!(ask("joe", "joe's word").await, (1.into(), false));
    gate.stop().await;
}

#[tokio::test]
async fn a_caller_cannot_have_users_passwords_tried_without_end() {
    let gate = behind_a_proxy(|text| text).await;
    let ask = async |user: &str, password: &str| {
        let query = form(&[
            ("api_action", "singlesignon"),
            ("api_output", "json"),
            ("api_key", vendors::CAMPAIGN),
            ("sso_addr", "192.0.2.9"),
            ("sso_user", user),
            ("sso_pass", password),
        ]);
        let answer = from(&gate, HOME).get(&format!("/admin/api.php?{query}")).await;
        (answer.json()["result_code"].clone(), answer.header("retry-after").is_some())
    };
    assert_eq!(ask("joe", "joe's word").await, (1.into(), false));
    let before = verified(&gate).await;
    let mut limited = 0;
    for n in 0..200 {
        limited += u64::from(ask(&format!("user {n}"), "guess").await.1);
    }
    let verified = verified(&gate).await - before;
    // One more for each two seconds that this took.
    assert!((30..=60).contains(&verified), "{verified} verifications");
    assert_eq!(limited, 200 - verified);
    assert_eq!(ask("joe", "joe's word").await, (1.into(), false), "who was right before comes in");
    gate.stop().await;
}

#[tokio::test]
async fn where_from_a_caller_may_call_is_told_only_with_its_password() {
    let own = "username = \"apiuser\"";
    let gate =
        behind_a_proxy(|text| text.replace(own, &format!("{own}\nfrom = [\"203.0.113.0/24\"]")))
            .await;
    assert!(is_link(&all_clients(&gate, HOME, "apiuser", "api pass").await));
    let outside = all_clients(&gate, ELSEWHERE, "apiuser", "api pass").await;
    assert!(!is_link(&outside), "{}", outside.text());
    let wrong = all_clients(&gate, ELSEWHERE, "apiuser", "wrong").await;
    let unknown = all_clients(&gate, ELSEWHERE, "nobody", "wrong").await;
    assert_eq!(wrong.text(), unknown.text());
    let refused = |code: &'static str| {
        let line = format!("oncegate_refused_total{{code=\"{code}\"}}");
        let gate = &gate;
        async move { counted(gate, &line).await }
    };
    assert_eq!((refused("forbidden").await, refused("unauthorized").await), (1, 2));
    gate.stop().await;
}
