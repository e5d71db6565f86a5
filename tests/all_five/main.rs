//! All five dialects on one gate: nobody speaks another's, what binds a caller binds it there
//! too, and whatever is sent, the answer is one that the vendor's clients can read.

#![cfg(test)]

mod spoken;
#[path = "../support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};

use oncegate::{
    config::Config,
    gate::{dialect::Dialect, password::Credential, token::Presented},
};
use spoken::{Asked, HELD, Told, good, read, user, ways};
use support::{
    dice::Dice,
    gate::Gate,
    http::Answer,
    logs::{self, Line},
    vendors,
};

/// Every dialect.
fn all() -> [Dialect; 5] {
    Dialect::ALL.map(|(_, dialect)| dialect)
}

/// A gate on which each vendor's caller has these lines instead of its `max_ttl`.
async fn bound_by(lines: &str) -> Gate {
    vendors::with(|text| changed(&text, "max_ttl = \"15m\"", lines)).await
}

fn changed(text: &str, from: &str, to: &str) -> String {
    let changed = text.replace(from, to);
    assert_ne!(changed, text, "nothing has {from:?} in it");
    changed
}

async fn told(gate: &Gate, dialect: Dialect, asked: &Asked) -> Told {
    let answer = asked.send(gate, &[]).await;
    read(dialect, &answer).unwrap_or_else(|why| panic!("{dialect}: {asked:?}: {why}"))
}

fn refusal(dialect: Dialect, answer: &Answer) -> String {
    match read(dialect, answer) {
        Ok(Told::Refused(why)) => why,
        other => panic!("{dialect}: {other:?}"),
    }
}

async fn issued(gate: &Gate) -> u64 {
    let text = gate.admin().get("/metrics").await.text().to_owned();
    let counted = text.lines().filter(|line| line.starts_with("oncegate_links_issued_total"));
    counted.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

#[tokio::test]
async fn everybody_speaks_their_own_dialect_and_no_other() {
    let gate = vendors::start().await;
    let mut table: BTreeMap<(&str, Dialect), u64> = BTreeMap::new();
    for held in HELD {
        for dialect in all() {
            let links = table.entry((held.caller, dialect)).or_default();
            for asked in ways(dialect, held.name, held.secret) {
                match told(&gate, dialect, &asked).await {
                    Told::Link(_) => *links += 1,
                    Told::Refused(why) => assert!(!why.contains(held.secret), "{why}"),
                }
            }
        }
    }
    let config = &gate.running.as_ref().unwrap().gate.config;
    let speakers = config.callers.iter().filter(|caller| !caller.dialects.is_empty());
    let speakers: BTreeSet<_> = speakers.map(|caller| caller.name.as_str()).collect();
    let tried: BTreeSet<_> = table.keys().map(|(caller, _)| *caller).collect();
    assert!(speakers.is_subset(&tried) && speakers.len() == 5, "{speakers:?} {tried:?}");
    assert_eq!(table.len(), tried.len() * Dialect::ALL.len());
    for ((caller, dialect), links) in &table {
        let own = *caller == spoken::caller(*dialect);
        assert_eq!(*links > 0, own, "{caller} in {dialect}: {links} links");
    }
    assert_eq!(issued(&gate).await, table.values().sum::<u64>());
    gate.stop().await;
}

#[tokio::test]
async fn a_caller_who_could_not_open_its_dialects_site_is_a_fault_of_the_configuration() {
    for (name, _) in Dialect::ALL {
        let gate = vendors::start().await;
        let text = std::fs::read_to_string(gate.dir.path().join("oncegate.toml")).unwrap();
        let table = format!("[dialects.{name}]\nsite = ");
        let text = changed(&text, &format!("{table}\"panel\""), &format!("{table}\"shop\""));
        let parsed = Config::parse(&text, "oncegate.toml", gate.dir.path(), std::iter::empty());
        let faults = parsed.expect_err("a caller without a site to open").to_string();
        assert!(faults.contains("shop") && faults.contains(name), "{faults}");
        gate.stop().await;
    }
}

#[tokio::test]
async fn a_caller_signs_in_its_own_users_alone() {
    let gate = bound_by("users = [\"somebody-else\"]").await;
    for dialect in all() {
        let answer = good(dialect).send(&gate, &[]).await;
        assert!(!refusal(dialect, &answer).is_empty());
    }
    assert_eq!(issued(&gate).await, 0);
    gate.stop().await;
    let gate = bound_by("users = [\"joe\", \"owner@*\", \"2425\"]").await;
    for dialect in all() {
        assert!(matches!(told(&gate, dialect, &good(dialect)).await, Told::Link(_)), "{dialect}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_caller_opens_its_own_destinations_alone() {
    let gate = bound_by("destinations = [\"/elsewhere/*\"]").await;
    for dialect in all() {
        let answer = good(dialect).send(&gate, &[]).await;
        assert!(!refusal(dialect, &answer).is_empty());
    }
    assert_eq!(issued(&gate).await, 0);
    gate.stop().await;
}

#[tokio::test]
async fn links_live_no_longer_than_their_caller_may_have() {
    let gate = bound_by("max_ttl = \"30s\"").await;
    for dialect in all() {
        let Told::Link(token) = told(&gate, dialect, &good(dialect)).await else {
            panic!("{dialect}: no link")
        };
        let claims = gate.keyring().verify(&Presented::new(&token).unwrap()).unwrap().into_claims();
        assert_eq!(claims.exp - claims.iat, 30, "{dialect}");
        assert_eq!(
            (claims.via.as_deref(), claims.sub.as_str()),
            (Some(dialect.name()), user(dialect))
        );
    }
    gate.stop().await;
}

#[tokio::test]
async fn who_asks_too_fast_is_told_so_by_the_vendors_own_answer() {
    let gate = vendors::with(|text| {
        let rest = "max_ttl = \"15m\"\nrate = ";
        changed(&text, &format!("{rest}\"1000/s\""), &format!("{rest}\"1/h\""))
    })
    .await;
    for dialect in all() {
        let asked = good(dialect);
        assert!(matches!(told(&gate, dialect, &asked).await, Told::Link(_)), "{dialect}");
        let answer = asked.send(&gate, &[]).await;
        assert!(!refusal(dialect, &answer).is_empty());
        let wait: u64 = answer.header("retry-after").expect("how long to wait").parse().unwrap();
        assert!((3_500..=3_600).contains(&wait), "{wait}");
        let status = if dialect == Dialect::Activeplatform { 429 } else { 200 };
        assert_eq!(answer.status, status, "{dialect}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn in_the_clear_nobody_is_answered_and_no_secret_is_looked_at() {
    let gate = vendors::with(|text| {
        let open = "api = \"0.0.0.0:0\"\ntrusted_proxies = [\"127.0.0.0/8\"]";
        changed(&text, "api = \"127.0.0.1:0\"", open)
    })
    .await;
    for dialect in all() {
        let asked = good(dialect);
        let clear = asked.send(&gate, &[]).await;
        let why = refusal(dialect, &clear);
        // ActiveCampaign's clients know a few messages, and nothing of https.
        let says = dialect == Dialect::Activecampaign || why.contains("https");
        assert!(says, "{dialect}: {why}");
        let wrong = ways(dialect, "nobody", "nothing").remove(0).send(&gate, &[]).await;
        assert_eq!((clear.status, clear.text()), (wrong.status, wrong.text()), "{dialect}");
        let proto = [("X-Forwarded-Proto", "https")];
        let sealed = read(dialect, &asked.send(&gate, &proto).await);
        assert!(matches!(sealed, Ok(Told::Link(_))), "{dialect}: {sealed:?}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_network_that_is_vouched_for_carries_all_but_allclients_passwords() {
    let gate = vendors::with(|text| {
        let open = "api = \"0.0.0.0:0\"\ninsecure_api = true\n";
        let open = [open, "trusted_proxies = [\"127.0.0.0/8\"]"].concat();
        changed(&text, "api = \"127.0.0.1:0\"", &open)
    })
    .await;
    for dialect in all() {
        for (proto, taken) in [("http", dialect != Dialect::Allclients), ("https", true)] {
            let answer = good(dialect).send(&gate, &[("X-Forwarded-Proto", proto)]).await;
            let told = read(dialect, &answer).unwrap();
            assert_eq!(matches!(told, Told::Link(_)), taken, "{dialect} {proto}: {told:?}");
        }
        // A proxy on this machine that does not say by which protocol it was asked.
        for forwarded in ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"] {
            let answer = good(dialect).send(&gate, &[(forwarded, "10.0.0.9")]).await;
            let told = read(dialect, &answer).unwrap();
            let taken = dialect != Dialect::Allclients;
            assert_eq!(matches!(told, Told::Link(_)), taken, "{dialect} {forwarded}: {told:?}");
        }
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_directory_that_is_down_is_no_link_and_no_riddle() {
    let gate = vendors::with(|text| {
        // A port on which nobody listens: that of a listener that is gone.
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        changed(&text, "file = \"directory.toml\"", &format!("url = \"http://{gone}\""))
    })
    .await;
    for dialect in all() {
        let answer = good(dialect).send(&gate, &[]).await;
        assert!(!refusal(dialect, &answer).contains("127.0.0.1"), "{}", answer.text());
        let status = if dialect == Dialect::Activeplatform { 502 } else { 200 };
        assert_eq!(answer.status, status, "{dialect}");
    }
    assert_eq!(issued(&gate).await, 0);
    gate.stop().await;
}

#[tokio::test]
async fn sign_on_may_be_enabled_for_a_caller_as_well_as_for_an_account() {
    let mut asked = good(Dialect::Allclients);
    asked.body = String::from_utf8(asked.body).unwrap().replace("2425", "2426").into_bytes();
    let gate = vendors::start().await;
    let told_no = told(&gate, Dialect::Allclients, &asked).await;
    assert!(matches!(told_no, Told::Refused(_)), "{told_no:?}");
    gate.stop().await;
    let gate = vendors::with(|text| {
        changed(&text, "name = \"clients\"\n", "name = \"clients\"\nsign_on_url = true\n")
    })
    .await;
    let told_yes = told(&gate, Dialect::Allclients, &asked).await;
    assert!(matches!(told_yes, Told::Link(_)), "{told_yes:?}");
    gate.stop().await;
}

/// The one line about the request that got this answer.
fn line(answer: &Answer) -> Line {
    let lines = logs::audit(answer.header("x-request-id").unwrap());
    assert_eq!(lines.len(), 1, "one line a decision: {lines:#?}");
    lines.into_iter().next().unwrap()
}

#[tokio::test]
async fn the_audit_names_caller_user_and_dialect() {
    logs::keep();
    let gate = vendors::start().await;
    for dialect in all() {
        let said = line(&good(dialect).send(&gate, &[]).await);
        let said = ["event", "caller", "user", "site", "via"].map(|name| said.get(name).to_owned());
        let via = dialect.name();
        assert_eq!(said, ["issue", spoken::caller(dialect), user(dialect), "panel", via]);
        let refused = line(&ways(dialect, "nobody", "nothing").remove(0).send(&gate, &[]).await);
        let said = ["event", "code", "caller"].map(|name| refused.get(name).to_owned());
        assert_eq!(said, ["refuse", "unauthorized", ""], "{dialect}");
    }
    let foreign = ways(Dialect::Wisecp, "campaign", vendors::CAMPAIGN).remove(0);
    let refused = line(&foreign.send(&gate, &[]).await);
    let said = ["event", "code", "caller"].map(|name| refused.get(name).to_owned());
    assert_eq!(said, ["refuse", "forbidden", "campaign"]);
    gate.stop().await;
}

#[tokio::test]
async fn no_secret_that_a_dialect_carries_is_read_in_a_log_or_a_refusal() {
    const STRANGE: [(&str, &str); 2] =
        [("stranger", "og_key-of-another-service"), ("admin", "a wrong word+%/=")];
    const USERS: [&str; 2] = ["joe's word", "not joe's word"];
    logs::keep();
    let gate = vendors::start().await;
    let mut seen = Vec::new();
    let mut tokens = Vec::new();
    let held = HELD.iter().map(|held| (held.name, held.secret)).chain(STRANGE);
    let held: Vec<_> = held.collect();
    for (name, secret) in &held {
        for asked in all().into_iter().flat_map(|dialect| {
            ways(dialect, name, secret).into_iter().map(move |asked| (dialect, asked))
        }) {
            let (dialect, mut asked) = asked;
            let answer = asked.send(&gate, &[]).await;
            match read(dialect, &answer).unwrap() {
                Told::Link(token) => tokens.push(token),
                Told::Refused(_) => seen.push(answer.text().to_owned()),
            }
            // The same in the wrong place, and broken.
            let query = String::from_utf8_lossy(&asked.body).replace(['{', '}', '"'], "");
            asked.target = format!("{}?{query}", asked.target.split('?').next().unwrap());
            asked.body.extend_from_slice(b"&a=%ff\xff");
            let answer = asked.send(&gate, &[]).await;
            if let Ok(Told::Refused(_)) = read(dialect, &answer) {
                seen.push(answer.text().to_owned());
            }
        }
    }
    for word in USERS {
        for asked in ways(Dialect::Activecampaign, "admin", "pass word") {
            let mut asked = asked;
            let form: String = url::form_urlencoded::byte_serialize(word.as_bytes()).collect();
            asked.body.extend_from_slice(format!("&sso_pass={form}").as_bytes());
            let answer = asked.send(&gate, &[]).await;
            if let Told::Refused(_) = read(Dialect::Activecampaign, &answer).unwrap() {
                seen.push(answer.text().to_owned());
            }
        }
    }
    let shown = gate.running.as_ref().unwrap();
    seen.extend([format!("{shown:?}"), format!("{:?}", shown.gate.config)]);
    seen.extend(logs::all().iter().map(|line| format!("{line:?}")));
    assert!(seen.len() > 100 && tokens.len() >= 8, "{} {}", seen.len(), tokens.len());

    let mut secrets = tokens;
    for secret in held.iter().map(|(_, secret)| *secret).chain(USERS) {
        let encoded =
            |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        secrets.extend([secret.to_owned(), encoded(secret), secret.replace(' ', "%20")]);
        secrets.push(Credential::of(secret).expose().to_owned());
    }
    let found = |seen: &[String], secret: &str| seen.iter().any(|text| text.contains(secret));
    for secret in &secrets {
        assert!(!found(&seen, secret), "{secret:?} is read");
    }
    // The search finds what is there.
    seen.push(format!("x{}y", secrets[0]));
    assert!(found(&seen, &secrets[0]));
    gate.stop().await;
}

/// What no client sends: bodies.
fn garbage(dice: &mut Dice) -> Vec<Vec<u8>> {
    let deep = |open: &str, close: &str| [open.repeat(30_000), close.repeat(30_000)].concat();
    let mut bodies: Vec<Vec<u8>> = [
        String::new(),
        "\0".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        "{".to_owned(),
        "{}".to_owned(),
        "\u{feff}{\"user_id\":18}".to_owned(),
        "{\"user_id\":1e400}".to_owned(),
        "{\"user_id\":NaN}".to_owned(),
        "{\"user_id\":-1}".to_owned(),
        "{\"user_id\":18,\"user_id\":19}".to_owned(),
        "{\"user_id\":\"18\\u0000\"}".to_owned(),
        "{\"user_id\":[[[]]],\"destination\":{}}".to_owned(),
        "{\"user_id\":18,\"destination\":\"\\ud800\"}".to_owned(),
        "{\"user_id\":18,\"destination\":\"\\u0000\"}".to_owned(),
        "{\"user_id\":18,\"destination_values\":{\"0\":null}}".to_owned(),
        deep("[", "]"),
        deep("{\"a\":", ""),
        "&=&=&&==&%".to_owned(),
        "%".repeat(1_000),
        "%00=%00&accountid=%00&sso_user=%00&client_id=%00".to_owned(),
        "api_action=singlesignon&sso_addr=%00&sso_user=%00".to_owned(),
        "a=1&".repeat(15_000),
        "accountid=99999999999999999999999999&client_id=-1&user_id=0x12".to_owned(),
        "<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]>"
            .to_owned(),
        "x".repeat(70 * 1_024),
    ]
    .map(String::into_bytes)
    .to_vec();
    bodies.push(b"accountid=\xff\xfe&user_id=\xc0\x80".to_vec());
    bodies.push(b"{\"user_id\":\"\xff\"}".to_vec());
    for _ in 0..60 {
        let length = dice.below(400);
        bodies.push((0..length).map(|_| u8::try_from(dice.below(256)).unwrap()).collect());
    }
    bodies
}

/// What no client sends: queries, of characters that a target may have.
fn queries(dice: &mut Dice) -> Vec<String> {
    let mut queries = vec![
        "account_id=%00".to_owned(),
        "account_id=%ff".to_owned(),
        "account_id=505&account_id=506".to_owned(),
        "%".to_owned(),
        "a=1&".repeat(2_000),
        "api_action=singlesignon&api_output=serialize&sso_addr=%00&sso_user=%ff".to_owned(),
        "api_action[]=singlesignon&sso_user[0]=joe".to_owned(),
        "api_output=json&api_action=%00".to_owned(),
    ];
    let chars: Vec<char> = ('!'..='~').filter(|c| !"\\#\"<>`{|}^".contains(*c)).collect();
    queries.extend((0..40).map(|_| (0..dice.below(100)).map(|_| dice.one_of(&chars)).collect()));
    queries
}

#[tokio::test]
async fn whatever_is_sent_the_vendors_clients_can_read_the_answer() {
    let gate = vendors::start().await;
    let mut dice = Dice::new();
    let (bodies, queries) = (garbage(&mut dice), queries(&mut dice));
    assert!(bodies.len() > 50 && queries.len() > 40);
    for dialect in all() {
        let asked = good(dialect);
        let path = asked.target.split('?').next().unwrap().to_owned();
        let mut sent = Vec::new();
        for body in &bodies {
            let mut garbage = asked.clone();
            garbage.method = "POST";
            garbage.body.clone_from(body);
            sent.push(garbage.clone());
            // Authenticated as far as the form goes, and broken behind it.
            garbage.body = [asked.body.as_slice(), b"&", body].concat();
            sent.push(garbage);
        }
        for query in &queries {
            let mut garbage = asked.clone();
            garbage.target = format!("{path}?{query}");
            sent.push(garbage);
        }
        for method in ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"] {
            let bare = Asked { method, target: path.clone(), ..Asked::default() };
            sent.push(bare);
        }
        for value in ["", " ", "é", "\t", &"x".repeat(8_000), "application/json; charset=\u{1f511}"]
        {
            for name in ["Apikey", "X-Api-Token", "Content-Type", "Accept", "X-Forwarded-For"] {
                let mut garbage = asked.clone();
                garbage.headers.push((name, value.to_owned()));
                sent.push(garbage.clone());
                garbage.headers.retain(|(known, _)| *known != name);
                garbage.headers.push((name, value.to_owned()));
                sent.push(garbage);
            }
        }
        for garbage in sent {
            let answer = garbage.send(&gate, &[]).await;
            let shown =
                |body: &[u8]| String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
            read(dialect, &answer).unwrap_or_else(|why| {
                let (method, target) = (garbage.method, &garbage.target);
                panic!("{dialect}: {method} {target} {:?}: {why}", shown(&garbage.body))
            });
        }
    }
    gate.stop().await;
}
