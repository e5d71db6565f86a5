//! AllClients' `GetSignOnUrl`: a temporary sign-on URL for an account, or a member of its team.
//!
//! `POST {base}GetSignOnUrl.aspx`, `base` being `/api/2/`, with a urlencoded form: `response_type`,
//! `apiusername`, `apipassword`, `accountid`, `teammemberid`; other fields are ignored, as the
//! vendor's own class sends some. The status is always 200, since its clients take any other for a
//! failure of the transport.
//!
//! Where the vendor is silent, this project's choice:
//! - The path is compared without regard to case, as ASP.NET does; `json` too. Field names are not.
//! - The body is a form where `Content-Type` says so or nothing; PHP's `CURLOPT_POSTFIELDS` with an
//!   array sends another, and is told.
//! - A blank `teammemberid` or `0` is no member. A number has one spelling: decimal, no sign, no
//!   leading zeros. What is spelled otherwise, or longer than any number is, is no account's.
//! - Over-long values are trimmed to the length of their field, as documented, but the lengths are
//!   not: `response_type` has the four of its longest word, so that `jsonp` reads as `json`. Names,
//!   passwords and numbers are never trimmed: an over-long one matches nothing.
//! - Without TLS and not on this machine, the password is not looked at.
//!
//! | `error` | when |
//! |---|---|
//! | `Authentication failed` | no such name or password (the vendor's own words) |
//! | `Account not found` | no such account, a closed one, or no such member |
//! | `accountid: …` | it is missing |
//! | `use https: …` | it came in the clear |
//! | `sign-on is not enabled …` | nobody enabled it, neither for the account nor for the caller |
//! | others | what the native API's problem says |

use http::Method;
use serde::Serialize;

use crate::{
    dialects::{
        Answer, Credentials, Format, Granted, Outcome, Request, Vendor, What, Who, Wish,
        fields::{self, FORM, Fields},
        sentence, xml,
    },
    gate::{
        denial::Denial,
        policy::{Ask, Via},
        secret::Secret,
        spoken::DialectRules,
    },
};

const BASE: &str = "/api/2/";
const CALL: &str = "GetSignOnUrl.aspx";
const DECLARATION: &str = "<?xml version=\"1.0\"?>";
/// The one `response_type` that is told from others, and the longest.
const JSON: &str = "json";
/// No account has this number, in words that do not tell which of two is wrong.
const NOT_FOUND: &str = "Account not found";

/// The vendor.
#[derive(Debug)]
pub(super) struct Allclients;

impl Vendor for Allclients {
    fn takes(&self, rules: &DialectRules, path: &str) -> bool {
        path.eq_ignore_ascii_case(&[rules.base_or(BASE), CALL].concat())
    }

    fn read(&self, request: &Request<'_>) -> (Format, Result<Wish, Denial>) {
        (format(request.body), wish(request))
    }

    fn write(&self, format: Format, outcome: &Outcome<'_>) -> Answer {
        match outcome {
            Outcome::Link(Granted { who: Who::Account { account, .. }, url, .. }) => {
                signed_on(format, *account, url)
            }
            Outcome::Refused(denial) => failed(format, &message(denial)),
            // What `read` never asks for.
            Outcome::Link(_) | Outcome::Tested { .. } => failed(format, NOT_FOUND),
        }
    }
}

#[derive(Serialize)]
struct SignedOn<'a> {
    message: &'a str,
    accountid: u64,
    signonurl: &'a str,
}

#[derive(Serialize)]
struct Failed<'a> {
    error: &'a str,
}

/// What `response_type` says, even in a form that cannot be read otherwise.
fn format(body: &[u8]) -> Format {
    let is_json = |value: &str| {
        let trimmed = value.get(..JSON.len()).unwrap_or(value);
        trimmed.eq_ignore_ascii_case(JSON)
    };
    let json = url::form_urlencoded::parse(body)
        .any(|(name, value)| name == "response_type" && is_json(&value));
    if json { Format::Json } else { Format::Xml }
}

fn wish(request: &Request<'_>) -> Result<Wish, Denial> {
    if !request.secure {
        return Err(Denial::Forbidden("use https: SSL is required".to_owned()));
    }
    if request.method != Method::POST {
        return Err(Denial::MethodNotAllowed("POST"));
    }
    if !fields::is_form(request.headers) {
        return Err(Denial::UnsupportedMediaType(FORM));
    }
    let fields = Fields::parse(request.body)?;
    fields.get("response_type")?;
    let credentials = credentials(&fields)?;
    Ok(Wish { credentials, what: link(&fields, request.rules) })
}

fn link(fields: &Fields, rules: &DialectRules) -> Result<What, Denial> {
    let (account, member) = (fields.get("accountid")?, fields.get("teammemberid")?);
    if account.is_empty() {
        return Err(Denial::invalid("accountid", "the number of an account is expected"));
    }
    // What is no number is no account's, like a number that is not.
    let number = |text| fields::number(text).ok_or(Denial::NotFound);
    let member = match member {
        "" | "0" => None,
        member => Some(number(member)?),
    };
    let who = Who::Account { account: number(account)?, member };
    let ask = Ask { via: Some(Via::of(rules)), ..Ask::default() };
    Ok(What::Link { who, ask: Box::new(ask) })
}

fn credentials(fields: &Fields) -> Result<Credentials, Denial> {
    let (name, password) = (fields.get("apiusername")?, fields.get("apipassword")?);
    if name.is_empty() || password.is_empty() {
        return Err(Denial::Unauthorized);
    }
    Ok(Credentials::Password { name: name.to_owned(), password: Secret::new(password.to_owned()) })
}

fn message(denial: &Denial) -> String {
    match denial {
        Denial::Unauthorized => "Authentication failed".to_owned(),
        Denial::NotFound | Denial::UnknownUser(_) => NOT_FOUND.to_owned(),
        _ => sentence(denial),
    }
}

fn signed_on(format: Format, account: u64, url: &str) -> Answer {
    let message = "Success";
    match format {
        Format::Json => Answer::json(&SignedOn { message, accountid: account, signonurl: url }),
        _ => xml(&[("message", message), ("accountid", &account.to_string()), ("signonurl", url)]),
    }
}

fn failed(format: Format, error: &str) -> Answer {
    match format {
        Format::Json => Answer::json(&Failed { error }),
        // A real client knows an error by `results` having exactly one child.
        _ => xml(&[("error", error)]),
    }
}

fn xml(elements: &[(&str, &str)]) -> Answer {
    let body = [DECLARATION, &xml::flat("results", elements)].concat();
    Answer { status: 200, content_type: "text/xml", body }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::gate::dialect::Dialect;

    fn rules(base: Option<&str>) -> DialectRules {
        DialectRules::of_the_tests(Dialect::Allclients, base)
    }

    fn refusal(body: &str, secure: bool) -> Option<Denial> {
        let request = Request {
            method: &Method::POST,
            path: "/api/2/GetSignOnUrl.aspx",
            query: "",
            headers: &HeaderMap::new(),
            body: body.as_bytes(),
            client: None,
            secure,
            rules: &rules(None),
        };
        Allclients.read(&request).1.and_then(|wish| wish.what).err()
    }

    #[test]
    fn the_path_is_the_documented_one_in_any_case() {
        for (base, path) in [
            (None, "/api/2/GetSignOnUrl.aspx"),
            (None, "/API/2/getsignonurl.ASPX"),
            (Some("/crm/api/2/"), "/crm/api/2/GetSignOnUrl.aspx"),
            (Some("/crm/"), "/crm/GetSignOnUrl.aspx"),
            (Some("/"), "/GetSignOnUrl.aspx"),
        ] {
            assert!(Allclients.takes(&rules(base), path), "{base:?} {path}");
        }
        for (base, path) in [
            (None, "/GetSignOnUrl.aspx"),
            (None, "/api/2//GetSignOnUrl.aspx"),
            (None, "/api/2/GetSignOnUrl.aspx/"),
            (None, "/api/2/GetAccounts.aspx"),
            (Some("/crm/"), "/api/2/GetSignOnUrl.aspx"),
        ] {
            assert!(!Allclients.takes(&rules(base), path), "{base:?} {path}");
        }
    }

    #[test]
    fn without_tls_nothing_else_is_looked_at() {
        for body in ["", "apiusername=a&apipassword=b&accountid=1", "%ff"] {
            assert!(matches!(refusal(body, false), Some(Denial::Forbidden(_))), "{body}");
        }
        assert_eq!(refusal("apiusername=a&apipassword=b&accountid=1", true), None);
    }

    #[test]
    fn the_format_is_known_where_the_rest_is_wrong() {
        for (body, expected) in [
            ("response_type=json", Format::Json),
            ("a=%ff&response%5Ftype=JSON", Format::Json),
            ("response_type=xml", Format::Xml),
            ("response_type=jsonp", Format::Json),
            ("response_type=JSON%C3%AB", Format::Json),
            ("response_type=jso", Format::Xml),
            ("response_type=js%C3%AB", Format::Xml),
            ("response_type=xmljson", Format::Xml),
            ("", Format::Xml),
        ] {
            assert_eq!(format(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn names_and_passwords_are_needed_and_numbers_have_one_spelling() {
        for (body, expected) in [
            ("accountid=1", Denial::Unauthorized),
            ("apiusername=a&accountid=1", Denial::Unauthorized),
            ("apipassword=b&accountid=1", Denial::Unauthorized),
            ("apiusername=a&apipassword=b&accountid=01", Denial::NotFound),
            ("apiusername=a&apipassword=b&accountid=1&teammemberid=%2B1", Denial::NotFound),
            ("apiusername=a&apipassword=b&accountid=1&teammemberid=00", Denial::NotFound),
        ] {
            assert_eq!(refusal(body, true), Some(expected), "{body}");
        }
        let missing = refusal("apiusername=a&apipassword=b", true).unwrap();
        assert!(message(&missing).starts_with("accountid: "));
        for none in ["", "&teammemberid=", "&teammemberid=0"] {
            let body = format!("apiusername=a&apipassword=b&accountid=1{none}");
            assert_eq!(refusal(&body, true), None, "{body}");
        }
    }
}
