//! Each vendor's call as its clients make it, and its answer as they read it.

use oncegate::gate::{dialect::Dialect, password::Credential};

use crate::support::{
    gate::Gate,
    http::{Answer, Client},
    vendors,
};

/// What a caller has to show: a key or a password, under a name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) caller: &'static str,
    pub(crate) name: &'static str,
    pub(crate) secret: &'static str,
}

/// All that the callers of the vendors' gate have.
pub(crate) const HELD: [Held; 8] = [
    Held { caller: "wisecp", name: "wisecp", secret: vendors::WISECP },
    Held { caller: "campaign", name: "campaign", secret: vendors::CAMPAIGN },
    Held { caller: "campaign", name: "admin", secret: "pass word" },
    Held { caller: "platform", name: "platform", secret: vendors::PLATFORM },
    Held { caller: "clients", name: "apiuser", secret: "api pass" },
    Held { caller: "whmcs", name: "whmcs", secret: vendors::WHMCS },
    Held { caller: "whmcs", name: "whmcs", secret: "whmcs pass" },
    Held { caller: "billing", name: "billing", secret: crate::support::gate::BILLING },
];

/// A request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    pub(crate) method: &'static str,
    pub(crate) target: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// This token.
    Link(String),
    /// No, in these words.
    Refused(String),
}

impl Asked {
    /// Sends it to the API, under further headers.
    pub(crate) async fn send(&self, gate: &Gate, more: &[(&str, &str)]) -> Answer {
        let own = self.headers.iter().map(|(name, value)| (*name, value.as_str()));
        let headers: Vec<_> = own.chain(more.iter().copied()).collect();
        Client::new(gate.api_at()).request(self.method, &self.target, &headers, &self.body).await
    }
}

/// Who gets signed in by the calls of [`ways`]: the token's `sub`.
pub(crate) fn user(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Wisecp | Dialect::Activecampaign | Dialect::Whmcs => "joe",
        Dialect::Activeplatform => "owner@example.com",
        Dialect::Allclients => "2425",
    }
}

/// The caller that speaks a dialect.
pub(crate) fn caller(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Wisecp => "wisecp",
        Dialect::Activecampaign => "campaign",
        Dialect::Activeplatform => "platform",
        Dialect::Allclients => "clients",
        Dialect::Whmcs => "whmcs",
    }
}

/// The dialect's call with its own caller's credentials.
pub(crate) fn good(dialect: Dialect) -> Asked {
    let held = HELD.iter().find(|held| held.caller == caller(dialect)).unwrap();
    ways(dialect, held.name, held.secret).remove(0)
}

/// The dialect's call in every way in which it takes a name and a secret.
pub(crate) fn ways(dialect: Dialect, name: &str, secret: &str) -> Vec<Asked> {
    let md5 = Credential::of(secret);
    let header = |name, method, target: &str, body: &str| Asked {
        method,
        target: target.to_owned(),
        headers: vec![(name, secret.to_owned()), ("Content-Type", "application/json".to_owned())],
        body: body.as_bytes().to_vec(),
    };
    let forms = |target: &str, fixed: &[(&str, &str)], ways: &[&[(&str, &str)]]| {
        ways.iter().map(|credentials| form(target, fixed, credentials)).collect()
    };
    match dialect {
        Dialect::Wisecp => {
            let target = "/api/Clients/CreateClientSsoToken";
            vec![header("Apikey", "POST", target, r#"{"user_id":18}"#)]
        }
        Dialect::Activeplatform => {
            let target = "/api/v3/resellers/1/user_authentication/token?account_id=505";
            vec![header("X-Api-Token", "GET", target, "")]
        }
        Dialect::Activecampaign => forms(
            "/admin/api.php",
            &[
                ("api_action", "singlesignon"),
                ("api_output", "json"),
                ("sso_addr", "127.0.0.1"),
                ("sso_user", "joe"),
            ],
            &[
                &[("api_key", secret)],
                &[("api_user", name), ("api_pass", secret)],
                &[("api_user", name), ("api_pass_h", md5.expose())],
            ],
        ),
        Dialect::Allclients => forms(
            "/api/2/GetSignOnUrl.aspx",
            &[("accountid", "2425")],
            &[
                &[("apiusername", name), ("apipassword", secret)],
                &[("apiusername", name), ("apipassword", md5.expose())],
            ],
        ),
        Dialect::Whmcs => forms(
            "/includes/api.php",
            &[("action", "CreateSsoToken"), ("responsetype", "json"), ("client_id", "18")],
            &[
                &[("identifier", name), ("secret", secret)],
                &[("username", name), ("password", secret)],
                &[("username", name), ("password", md5.expose())],
            ],
        ),
    }
}

fn form(target: &str, fixed: &[(&str, &str)], credentials: &[(&str, &str)]) -> Asked {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(fixed).extend_pairs(credentials);
    Asked {
        method: "POST",
        target: target.to_owned(),
        headers: vec![("Content-Type", "application/x-www-form-urlencoded".to_owned())],
        body: form.finish().into_bytes(),
    }
}

/// Reads an answer as the vendor's clients do; an error says what they would stumble over.
pub(crate) fn read(dialect: Dialect, answer: &Answer) -> Result<Told, String> {
    let strange = || format!("{}: {:?}", answer.status, String::from_utf8_lossy(&answer.body));
    let told = match dialect {
        Dialect::Activeplatform => platform(answer),
        // Its clients tell a missing permission by the status.
        Dialect::Whmcs if answer.status == 403 => whmcs(answer).filter(is_refusal),
        _ if answer.status != 200 => None,
        Dialect::Wisecp => {
            let json = object(answer, "application/json");
            json.and_then(|json| match json["status"].as_str()? {
                "successful" => text(&json["data"]["token"]).map(Told::Link),
                "error" => text(&json["message"]).map(Told::Refused),
                _ => None,
            })
        }
        Dialect::Activecampaign => campaign(answer),
        Dialect::Allclients => clients(answer),
        Dialect::Whmcs => whmcs(answer),
    };
    told.ok_or_else(strange)
}

fn whmcs(answer: &Answer) -> Option<Told> {
    let json = object(answer, "application/json")?;
    match json["result"].as_str()? {
        "success" => text(&json["access_token"]).map(Told::Link),
        "error" => text(&json["message"]).map(Told::Refused),
        _ => None,
    }
}

fn is_refusal(told: &Told) -> bool {
    matches!(told, Told::Refused(_))
}

fn platform(answer: &Answer) -> Option<Told> {
    let json = object(answer, "application/vnd.api+json")?;
    if answer.status == 200 {
        return text(&json["owner_token"]).map(Told::Link);
    }
    let known = matches!(answer.status, 400 | 401 | 403 | 404 | 405 | 413 | 422 | 429 | 502);
    let [fault] = json["errors"].as_array()?.as_slice() else { return None };
    text(&fault["title"])?;
    let status = answer.status.to_string();
    let same = fault["status"].as_str() == Some(status.as_str());
    text(&fault["detail"]).filter(|_| known && same).map(Told::Refused)
}

fn campaign(answer: &Answer) -> Option<Told> {
    let fields = match answer.header("content-type")? {
        "application/json" => {
            let json = object(answer, "application/json")?;
            let (code, message) = (json["result_code"].as_i64()?, text(&json["result_message"])?);
            (code.to_string(), message, text(&json["token"]))
        }
        "text/plain; charset=utf-8" => {
            let refused = answer.text().starts_with("a:3:{s:11:\"result_code\";i:0;");
            ("0".to_owned(), answer.text().to_owned(), refused.then(String::new))
        }
        _ => {
            let fields = flat(answer, "text/xml; charset=utf-8")?;
            let field = |name| {
                fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
            };
            (field("result_code")?, field("result_message")?, field("token"))
        }
    };
    match fields {
        (code, _, Some(token)) if code == "1" => Some(Told::Link(token)),
        (code, message, None) if code == "0" => Some(Told::Refused(message)),
        (code, message, Some(nothing)) if code == "0" && nothing.is_empty() => {
            Some(Told::Refused(message))
        }
        _ => None,
    }
}

fn clients(answer: &Answer) -> Option<Told> {
    let url = |url: &str| url.rsplit_once("hash=").map(|(_, token)| Told::Link(token.to_owned()));
    if answer.header("content-type") == Some("application/json") {
        let json = object(answer, "application/json")?;
        return match json["error"].as_str() {
            Some(error) => Some(Told::Refused(error.to_owned())),
            None => url(json["signonurl"].as_str()?),
        };
    }
    let fields = flat(answer, "text/xml")?;
    let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    match fields.as_slice() {
        [("error", error)] => Some(Told::Refused((*error).to_owned())),
        [("message", "Success"), ("accountid", _), ("signonurl", found)] => url(found),
        _ => None,
    }
}

fn object(answer: &Answer, media_type: &str) -> Option<serde_json::Value> {
    let json: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
    Some(json).filter(|json| json.is_object() && answer.header("content-type") == Some(media_type))
}

fn text(value: &serde_json::Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The elements of a flat document without white space between them.
fn flat(answer: &Answer, media_type: &str) -> Option<Vec<(String, String)>> {
    if answer.header("content-type") != Some(media_type) {
        return None;
    }
    let document = std::str::from_utf8(&answer.body).ok()?.strip_prefix("<?xml version=")?;
    let document = document.split_once("?>")?.1.trim_start_matches('\n');
    let (root, rest) = document.strip_prefix('<')?.split_once('>')?;
    let mut rest = rest.strip_suffix(&format!("</{root}>"))?;
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let (name, after) = rest.strip_prefix('<')?.split_once('>')?;
        let (value, after) = after.split_once(&format!("</{name}>"))?;
        let value = quick_xml::escape::unescape(value).ok().filter(|_| !value.contains('<'))?;
        fields.push((name.to_owned(), value.into_owned()));
        rest = after;
    }
    Some(fields)
}
