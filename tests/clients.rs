//! The vendors' own clients, and their users', unchanged and over loopback: each asks for a link,
//! the link is used once, and each understands a refusal.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use support::{
    gate::Gate,
    installed,
    link_page::signs_in_once,
    vendors::{self, CAMPAIGN, PLATFORM, WHMCS, WISECP},
};

const ORIGIN: &str = "https://panel.example.com";

/// Where the clients' packages are, if all is there that the clients need.
fn installed() -> Option<PathBuf> {
    let target = installed::target();
    let there = |what: &str| target.join(what).exists();
    let all = installed::all(&[
        ("node", installed::runs("node")),
        ("php", installed::runs("php")),
        ("curl", installed::runs("curl")),
        ("a Python environment", there("venv/bin/python")),
        ("npm activecampaign", there("npm/node_modules/activecampaign")),
        ("npm whmcs", there("npm/node_modules/whmcs")),
    ]);
    all.then_some(target)
}

/// A gate that speaks all dialects, and the programs that ask it.
struct Shop {
    gate: Gate,
    base: String,
    target: PathBuf,
}

impl Shop {
    async fn open() -> Option<Self> {
        let target = installed()?;
        let gate = vendors::start().await;
        let base = format!("http://{}", gate.api_at());
        Some(Self { gate, base, target })
    }

    /// What `tests/clients/SCRIPT` prints, as JSON; the API's address is its first argument.
    async fn run(&self, script: &str, args: &[&str]) -> Value {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script);
        let program = match path.extension().and_then(|extension| extension.to_str()) {
            Some("py") => self.target.join("venv/bin/python"),
            Some("php") => "php".into(),
            _ => "node".into(),
        };
        let mut command = Command::new(program);
        command.arg(path).arg(&self.base).args(args);
        command.env("NODE_MODULES", self.target.join("npm/node_modules"));
        // The clients are old, and say so at length.
        command.env("NODE_NO_WARNINGS", "1");
        serde_json::from_str(&said(command).await).unwrap()
    }

    /// What curl prints.
    async fn curl(&self, path: &str, args: &[&str]) -> String {
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", "20", &format!("{}{path}", self.base)]).args(args);
        said(command).await
    }

    /// Opens the link, and posts its page's form twice: in once, to `landing`.
    async fn used_once(&self, url: &str, landing: &str) {
        let target = url.strip_prefix(ORIGIN).unwrap_or_else(|| panic!("not of the site: {url}"));
        signs_in_once(&self.gate, target, landing).await;
    }
}

async fn said(mut command: Command) -> String {
    let run = tokio::task::spawn_blocking(move || (command.output(), command));
    let (output, command) = run.await.unwrap();
    let output = output.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn ssot(token: &Value) -> String {
    format!("{ORIGIN}/help/start?x=1&_ssot={}", token.as_str().unwrap())
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let rest = text.split(before).nth(1).unwrap_or_else(|| panic!("no {before} in {text}"));
    rest.split(after).next().unwrap()
}

#[tokio::test]
async fn npm_activecampaign() {
    let Some(shop) = Shop::open().await else { return };
    for credentials in [[CAMPAIGN, "joe", "", ""], ["", "joe", "admin", "pass word"]] {
        let given = credentials.iter().filter(|text| !text.is_empty()).count();
        let args = if given == 2 { &credentials[..2] } else { &credentials[..] };
        let answer = shop.run("activecampaign.cjs", args).await;
        assert_eq!((&answer["success"], &answer["tested"]), (&json!(1), &json!(1)), "{answer}");
        assert_eq!((&answer["id"], &answer["username"]), (&json!(18), &json!("joe")), "{answer}");
        shop.used_once(&ssot(&answer["token"]), "/help/start?x=1").await;
    }
    let unknown = shop.run("activecampaign.cjs", &[CAMPAIGN, "nobody"]).await;
    assert_eq!(unknown["success"], 0, "{unknown}");
    assert_eq!(unknown["error"], "User not found.");
    let stranger = shop.run("activecampaign.cjs", &["og_wrong", "joe"]).await;
    assert_eq!((&stranger["success"], &stranger["tested"]), (&json!(0), &json!(0)), "{stranger}");
    assert_eq!(stranger["error"], "You are not authorized to access this file");
    shop.gate.stop().await;
}

#[tokio::test]
async fn pypi_activecampaign() {
    let Some(shop) = Shop::open().await else { return };
    let answers = shop.run("activecampaign.py", &[CAMPAIGN, "zoë"]).await;
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), 2, "by GET and by POST");
    for answer in answers {
        assert_eq!(answer["result_code"], 1, "{answer}");
        assert_eq!(answer["username"], "zoë", "{answer}");
        shop.used_once(&ssot(&answer["token"]), "/help/start?x=1").await;
    }
    for refused in shop.run("activecampaign.py", &[CAMPAIGN, "gone"]).await.as_array().unwrap() {
        assert_eq!((&refused["result_code"], &refused["token"]), (&json!(0), &Value::Null));
    }
    shop.gate.stop().await;
}

#[tokio::test]
async fn php_reads_every_format_of_activecampaign() {
    let Some(shop) = Shop::open().await else { return };
    let answers = shop.run("activecampaign.php", &["admin", "pass word", "zoë"]).await;
    for reader in ["serialize", "json", "simplexml", "dom"] {
        let answer = &answers[reader];
        assert_eq!(answer["username"], "zoë", "{reader}: {answers}");
        assert_eq!(answer["first_name"], "Zoë <&>", "{reader}");
        let code = if matches!(reader, "serialize" | "json") { json!(1) } else { json!("1") };
        assert_eq!(answer["result_code"], code, "{reader}");
        if reader == "dom" {
            // The same answer as the one before, read by another.
            assert_eq!(answer["token"], answers["simplexml"]["token"]);
            assert_eq!(answer["token"], answers["cut"], "by its tags");
        } else {
            shop.used_once(&ssot(&answer["token"]), "/help/start?x=1").await;
        }
    }
    let refused = shop.run("activecampaign.php", &["admin", "wrong", "zoë"]).await;
    for reader in ["serialize", "json", "simplexml", "dom"] {
        let message = "You are not authorized to access this file";
        assert_eq!(refused[reader]["result_message"], message, "{reader}: {refused}");
    }
    shop.gate.stop().await;
}

#[tokio::test]
async fn php_reads_allclients_as_the_vendors_class_does() {
    let Some(shop) = Shop::open().await else { return };
    let answer = shop.run("allclients.php", &["apiuser", "api pass", "2425"]).await;
    assert_eq!((&answer["children"], &answer["error"]), (&json!(3), &Value::Null), "{answer}");
    assert_eq!(answer["accountid"], "2425");
    let url = answer["signonurl"].as_str().unwrap();
    shop.used_once(&format!("{url}&redirect=Settings.aspx"), "/Settings.aspx").await;
    let refused = shop.run("allclients.php", &["apiuser", "wrong", "2425"]).await;
    assert_eq!(refused["error"], "Authentication failed", "{refused}");
    shop.gate.stop().await;
}

#[tokio::test]
async fn npm_whmcs() {
    let Some(shop) = Shop::open().await else { return };
    let answer = shop.run("whmcs.cjs", &["whmcs", "whmcs pass", "18"]).await;
    assert_eq!(answer["result"], "success", "{answer}");
    let url = answer["redirect_url"].as_str().unwrap();
    let token = answer["access_token"].as_str().unwrap();
    assert_eq!(url, format!("{ORIGIN}/oauth/singlesignon.php?access_token={token}"));
    let claims = shop.gate.claims_of(token);
    shop.used_once(url, claims.dst.as_deref().unwrap()).await;
    for (password, client) in [("whmcs pass", "20"), ("wrong", "18")] {
        let refused = shop.run("whmcs.cjs", &["whmcs", password, client]).await;
        let error = refused["error"].as_str().unwrap_or_else(|| panic!("{refused}"));
        assert!(error.starts_with("WHMCS Error ("), "{error}");
    }
    shop.gate.stop().await;
}

#[tokio::test]
async fn pypi_whmcspy() {
    let Some(shop) = Shop::open().await else { return };
    let answer = shop.run("whmcs.py", &["whmcs", WHMCS, "18"]).await;
    assert_eq!(answer["result"], "success", "{answer}");
    let claims = shop.gate.claims_of(answer["access_token"].as_str().unwrap());
    let landing = claims.dst.unwrap_or_else(|| "/".to_owned());
    shop.used_once(answer["redirect_url"].as_str().unwrap(), &landing).await;
    for (secret, client) in [(WHMCS, "20"), ("og_wrong", "18")] {
        let refused = shop.run("whmcs.py", &["whmcs", secret, client]).await;
        assert!(refused["error"].is_string(), "{refused}");
    }
    shop.gate.stop().await;
}

/// The vendors' pages, to the letter: address, credentials and ids apart.
#[tokio::test]
async fn curl_as_documented() {
    let Some(shop) = Shop::open().await else { return };
    let key = format!("Apikey: {WISECP}");
    let body = r#"{
    "user_id": 18,
    "destination": "ac-ps-products",
    "destination_values" : []
}"#;
    let header = "Content-Type: application/json";
    for path in ["/api/Clients/CreateClientSssoToken", "/api/Clients/CreateClientSsoToken"] {
        let args = ["--location", "--header", header, "--header", &key, "--data", body];
        let answer: Value = serde_json::from_str(&shop.curl(path, &args).await).unwrap();
        assert_eq!(answer["status"], "successful", "{answer}");
        let claims = shop.gate.claims_of(answer["data"]["token"].as_str().unwrap());
        shop.used_once(answer["data"]["url"].as_str().unwrap(), &claims.dst.unwrap()).await;
    }
    let answer = shop.curl("/api/Clients/CreateClientSsoToken", &["--data", body]).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer, json!({ "status": "error", "message": "Credentials do not match" }));

    let md5 = shop.md5_of("pass word").await;
    let query = format!(
        "api_user=admin&api_pass_h={md5}&api_output=xml&api_action=singlesignon\
         &sso_addr=127.0.0.1&sso_user=joe&sso_pass=&sso_duration=15"
    );
    let answer = shop.curl(&format!("/admin/api.php?{query}"), &[]).await;
    let token = between(&answer, "<token>", "</token>");
    shop.used_once(&ssot(&json!(token)), "/help/start?x=1").await;
    let answer = shop.curl("/admin/api.php?api_action=singlesignon", &[]).await;
    assert_eq!(between(&answer, "<result_code>", "</result_code>"), "0");

    let path = "/api/v3/resellers/1/user_authentication/token?account_id=505";
    let (media, token) = ("application/vnd.api+json", format!("X-Api-Token: {PLATFORM}"));
    let (content, accept) = (format!("Content-Type: {media}"), format!("Accept: {media}"));
    let args = ["-H", &content, "-H", &token, "-H", &accept];
    let answer: Value = serde_json::from_str(&shop.curl(path, &args).await).unwrap();
    let (email, token) = (&answer["owner_email"], answer["owner_token"].as_str().unwrap());
    assert_eq!(email, "owner@example.com", "{answer}");
    let url = format!("{ORIGIN}/?user_email={}&user_token={token}", email.as_str().unwrap());
    shop.used_once(&url, "/").await;
    let answer: Value = serde_json::from_str(&shop.curl(path, &args[..2]).await).unwrap();
    assert_eq!(answer["errors"][0]["status"], "401", "{answer}");

    let form =
        "response_type=json&apiusername=apiuser&apipassword=api+pass&accountid=2425&teammemberid=";
    let answer = shop.curl("/api/2/GetSignOnUrl.aspx", &["--data", form]).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((&answer["message"], &answer["accountid"]), (&json!("Success"), &json!(2425)));
    shop.used_once(answer["signonurl"].as_str().unwrap(), "/").await;
    let answer = shop.curl("/api/2/GetSignOnUrl.aspx", &["--data", "accountid=2425"]).await;
    let refused = "<?xml version=\"1.0\"?><results><error>Authentication failed</error></results>";
    assert_eq!(answer, refused);

    let form = format!(
        "action=CreateSsoToken&identifier=whmcs&secret={WHMCS}&client_id=18&responsetype=json"
    );
    let answer = shop.curl("/includes/api.php", &["--data", &form]).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["result"], "success", "{answer}");
    shop.gate.stop().await;
}

impl Shop {
    /// As a client computes it, by somebody else's MD5.
    async fn md5_of(&self, word: &str) -> String {
        let mut command = Command::new("php");
        command.args(["-r", "echo md5($argv[1]);", word]);
        said(command).await
    }
}
