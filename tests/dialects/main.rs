//! Golden pairs: a vendor's request, byte for byte, and the answer that its clients expect.
//!
//! One behaviour a file, in the folder of its vendor; `golden` says how a file is written. Every
//! pair has a gate of its own, so that none depends on another. A pair whose answer shows a token
//! must issue exactly one link, which that token opens; any other must issue none.

#![cfg(test)]
#![allow(unreachable_pub, reason = "a room of a test binary is public to its other rooms alone")]

mod campaign;
mod catalogues;
mod golden;
mod sizes;
#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};

use oncegate::gate::token::{LinkClaims, Presented, Verified};
use support::{
    gate::Gate,
    http::{Answer, Client},
    vendors,
};

use golden::Golden;

#[tokio::test]
async fn wisecp() {
    every_pair_of("wisecp").await;
}

#[tokio::test]
async fn activecampaign() {
    every_pair_of("activecampaign").await;
}

#[tokio::test]
async fn activeplatform() {
    every_pair_of("activeplatform").await;
}

#[tokio::test]
async fn allclients() {
    every_pair_of("allclients").await;
}

#[tokio::test]
async fn whmcs() {
    every_pair_of("whmcs").await;
}

/// Plays every file of a folder; all that is wrong is shown at once.
async fn every_pair_of(vendor: &str) {
    let files = files(vendor);
    assert!(!files.is_empty(), "tests/dialects/{vendor} holds no pair");
    let mut wrong = Vec::new();
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        let golden = Golden::parse(&text).unwrap_or_else(|why| panic!("{}: {why}", shown(file)));
        if let Err(why) = play(vendor, &golden).await {
            wrong.push(format!("{}: {}\n{why}", shown(file), golden.why));
        }
    }
    assert!(wrong.is_empty(), "{} of {}\n\n{}", wrong.len(), files.len(), wrong.join("\n\n"));
}

fn files(vendor: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialects").join(vendor);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|why| panic!("{folder:?}: {why}"));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    files
}

fn shown(file: &Path) -> String {
    file.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(file).display().to_string()
}

/// Sends the request and compares all that the file says of what follows.
async fn play(vendor: &str, golden: &Golden) -> Result<(), String> {
    let gate = vendors::with(|text| golden.configured(vendor, &text)).await;
    let headers: Vec<_> =
        golden.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let api = Client::new(gate.api_at());
    let answer = api.request(&golden.method, &golden.target, &headers, &golden.body).await;
    let judged = judge(golden, &gate, &answer).await;
    gate.stop().await;
    judged
}

async fn judge(golden: &Golden, gate: &Gate, answer: &Answer) -> Result<(), String> {
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    let token = golden::token_in(&body);
    let body = token.map_or(body.clone(), |token| body.replace(token, "{token}"));
    let mut expected = vec![format!("=> {}", golden.status)];
    let mut came = vec![format!("=> {}", answer.status)];
    for (name, value) in &golden.answer_headers {
        expected.push(format!("{name}: {value}"));
        let lines = answer.header_lines(name);
        came.extend(lines.into_iter().map(|line| format!("{name}: {line}")));
    }
    let length = token.map_or(0, str::len).to_string();
    let answer = golden.answer.replace("{length}", &length);
    expected.extend(answer.split('\n').map(str::to_owned));
    came.extend(body.split('\n').map(str::to_owned));
    if expected != came {
        return Err(golden::difference(&expected, &came));
    }
    let links = u64::from(golden.answer.contains("{token}"));
    let issued = issued(gate).await;
    if issued != links {
        return Err(format!("  {links} links were to be issued, and {issued} were"));
    }
    match (token, &golden.token) {
        (Some(token), said) => {
            let claims = claims(gate, token)?;
            said.as_ref().map_or(Ok(()), |said| golden::says(said, &claims))
        }
        (None, Some(_)) => Err("  the file has a token: line, and the answer no token".to_owned()),
        (None, None) => Ok(()),
    }
}

fn claims(gate: &Gate, token: &str) -> Result<LinkClaims, String> {
    let verified = Presented::new(token).and_then(|token| gate.keyring().verify(&token));
    verified.map(Verified::into_claims).map_err(|denial| format!("  the token: {denial}"))
}

async fn issued(gate: &Gate) -> u64 {
    let text = gate.admin().get("/metrics").await.text().to_owned();
    let counted = text.lines().filter(|line| line.starts_with("oncegate_links_issued_total"));
    counted.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

#[tokio::test]
async fn a_pair_that_does_not_hold_is_found_out() {
    let documented = files("wisecp").into_iter().find(|file| file.ends_with("documented.txt"));
    let text = std::fs::read_to_string(documented.unwrap()).unwrap();
    assert_eq!(play("wisecp", &Golden::parse(&text).unwrap()).await, Ok(()));
    let token = "\"token\":\"{token}\"";
    for (holds, does_not) in [
        ("=> 200", "=> 201"),
        ("=> 200\nContent-Type: application/json", "=> 200\nContent-Type: application/xml"),
        ("\"status\":\"successful\"", "\"status\": \"successful\""),
        (token, "\"token\":\"\""),
        ("sub=joe", "sub=zoe"),
        ("dst=/clientarea/services", "dst=-"),
        ("ttl=60", "ttl=61"),
        ("via=wisecp", "via=-"),
        ("via=wisecp", "via=wisecp ips=127.0.0.1/32"),
        ("via=wisecp", "via=wisecp ctx={}"),
    ] {
        assert_eq!(text.matches(holds).count(), 1, "{holds}");
        let golden = Golden::parse(&text.replace(holds, does_not)).unwrap();
        assert!(play("wisecp", &golden).await.is_err(), "{does_not}");
    }
}
