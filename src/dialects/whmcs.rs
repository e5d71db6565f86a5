//! WHMCS's `CreateSsoToken`: the client area, opened as one of its clients or users.
//!
//! `POST {base}includes/api.php` with a form, `base` being `/`. Documented: `action`; `identifier`
//! and `secret`, or `username` and `password`, where a password may be plain or an MD5 in hex, and
//! where an identifier and its secret may stand too; `client_id` or `user_id`; `destination`, a
//! name of [`CATALOGUE`] or `sso:custom_redirect` with a relative `sso_redirect_path`, without
//! which the link leads to the client area; `service_id` and `domain_id` for the destinations that
//! are about one. Success is `{"result":"success","access_token":…,"redirect_url":…}`, failure
//! `{"result":"error","message":…}`.
//!
//! Seen in clients: they all ask for JSON and judge by `result`. One tells a missing permission
//! from other errors by the status 403, one shows the status and else ignores it. Seen as
//! messages: `Authentication Failed`, `Invalid destination`.
//!
//! Open, and this project's choice:
//! - the status is 403 where the caller is unknown or may not do this, and else 200;
//! - other messages: `Client ID Not Found` for whom the directory does not know or may not be
//!   signed in, `Command Not Found` for another action, and else what the native API's problem
//!   says;
//! - `responsetype` absent means JSON. Another format is refused: no link is issued in an answer
//!   that its client could not read;
//! - the case of `action` and `responsetype` does not count;
//! - the query is not read: it may be logged, and these fields are secrets;
//! - a `password` that is no caller's key is a password;
//! - with both a client and a user the user is signed in. The token's `ctx` has the `client_id`
//!   then, and `service_id` and `domain_id` whenever they are sent: the application judges whether
//!   they belong together;
//! - an empty field is an absent one, and a number has one spelling.

use http::Method;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    dialects::{
        Answer, Credentials, Format, Granted, Outcome, Request, Vendor, What, Who, Wish,
        fields::{self, Fields},
        sentence,
        whmcs::destinations::{CATALOGUE, HOME, named, needs},
    },
    gate::{
        claims::Claims,
        denial::Denial,
        destination,
        policy::{Ask, Via},
        secret::Secret,
        spoken::DialectRules,
    },
};

mod destinations;

const BASE: &str = "/";
const CALL: &str = "includes/api.php";

/// The vendor.
#[derive(Debug)]
pub(super) struct Whmcs;

impl Vendor for Whmcs {
    fn takes(&self, rules: &DialectRules, path: &str) -> bool {
        path.strip_prefix(rules.base_or(BASE)) == Some(CALL)
    }

    fn read(&self, request: &Request<'_>) -> (Format, Result<Wish, Denial>) {
        (Format::Json, wish(request))
    }

    fn write(&self, _format: Format, outcome: &Outcome<'_>) -> Answer {
        match outcome {
            Outcome::Link(Granted { token, url, .. }) => {
                Answer::json(&Said::Success { access_token: token, redirect_url: url })
            }
            Outcome::Refused(denial) => refused(denial),
            // No action of this vendor's only tests credentials.
            Outcome::Tested { .. } => refused(&Denial::NotFound),
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "result", rename_all = "lowercase")]
enum Said<'a> {
    Success { access_token: &'a str, redirect_url: &'a str },
    Error { message: String },
}

fn refused(denial: &Denial) -> Answer {
    let status = match denial {
        Denial::Unauthorized | Denial::Forbidden(_) => 403,
        _ => 200,
    };
    let message = match denial {
        Denial::Unauthorized => "Authentication Failed".to_owned(),
        Denial::NotFound => "Command Not Found".to_owned(),
        Denial::UnknownUser(_) => "Client ID Not Found".to_owned(),
        Denial::UnknownDestination(_) => "Invalid destination".to_owned(),
        _ => sentence(denial),
    };
    Answer { status, ..Answer::json(&Said::Error { message }) }
}

fn wish(request: &Request<'_>) -> Result<Wish, Denial> {
    if request.method != Method::POST {
        return Err(Denial::MethodNotAllowed("POST"));
    }
    let form = Fields::parse(request.body)?;
    let credentials = credentials(&form)?;
    Ok(Wish { credentials, what: link(&form, request.rules) })
}

fn link(form: &Fields, rules: &DialectRules) -> Result<What, Denial> {
    if !form.get("action")?.eq_ignore_ascii_case("CreateSsoToken") {
        return Err(Denial::NotFound);
    }
    let format = form.get("responsetype")?;
    if !format.is_empty() && !format.eq_ignore_ascii_case("json") {
        return Err(Denial::invalid("responsetype", "json is expected"));
    }
    let mut context = Map::new();
    let (client, user) = (number(form, "client_id")?, number(form, "user_id")?);
    let who = match (client, user) {
        (None, None) => return Err(Denial::invalid("client_id", "it or user_id is required")),
        (Some(client), None) => client,
        (client, Some(user)) => {
            context.extend(client.map(|client| ("client_id".to_owned(), client.into())));
            user
        }
    };
    for field in ["service_id", "domain_id"] {
        let sent = number(form, field)?;
        context.extend(sent.map(|number| (field.to_owned(), number.into())));
    }
    let (destination, destination_values) = destination(form, &context)?;
    let context = Claims::new(context).map_err(|why| Denial::Internal(why.to_string()))?;
    let ask = Ask {
        destination: Some(destination),
        destination_values,
        via: Some(Via {
            context: Some(context).filter(|context| !context.is_empty()),
            catalogue: Some(&CATALOGUE),
            ..Via::of(rules)
        }),
        ..Ask::default()
    };
    Ok(What::Link { who: Who::Id(who), ask: Box::new(ask) })
}

/// An identifier and its secret, or else a name and its password.
fn credentials(form: &Fields) -> Result<Credentials, Denial> {
    let pair = |name, secret| {
        let (name, secret) = (form.get(name)?, form.get(secret)?);
        let both = !name.is_empty() && !secret.is_empty();
        Ok::<_, Denial>(both.then(|| (name.to_owned(), Secret::new(secret.to_owned()))))
    };
    if let Some((name, key)) = pair("identifier", "secret")? {
        return Ok(Credentials::NamedKey { name, key });
    }
    match pair("username", "password")? {
        Some((name, secret)) => Ok(Credentials::NamedKeyOrPassword { name, secret }),
        None => Err(Denial::Unauthorized),
    }
}

/// A number from 1, where it is sent.
fn number(form: &Fields, field: &str) -> Result<Option<u64>, Denial> {
    let text = form.get(field)?;
    if text.is_empty() {
        return Ok(None);
    }
    let number = fields::number(text).filter(|number| *number > 0);
    number.map(Some).ok_or_else(|| Denial::invalid(field, "a whole number is expected"))
}

/// Where the link leads: a name and its values, or a path.
fn destination(form: &Fields, sent: &Map<String, Value>) -> Result<(String, Vec<String>), Denial> {
    match form.get("destination")? {
        "" => Ok((HOME.to_owned(), Vec::new())),
        "sso:custom_redirect" => {
            let path = form.get("sso_redirect_path")?;
            if path.is_empty() {
                let why = "is required where the destination is sso:custom_redirect";
                return Err(Denial::invalid("sso_redirect_path", why));
            }
            // Whatever else it may be, with a slash before it it is judged as a path of the site.
            let slash = if path.starts_with('/') { "" } else { "/" };
            Ok(([slash, path].concat(), Vec::new()))
        }
        other => {
            let name = named(other).ok_or_else(|| destination::unknown(other))?;
            let values = match needs(&name) {
                None => Vec::new(),
                Some(field) => {
                    let missing = || Denial::invalid(field, "is required for this destination");
                    vec![sent.get(field).ok_or_else(missing)?.to_string()]
                }
            };
            Ok((name.into_owned(), values))
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::gate::dialect::Dialect;

    fn rules(base: Option<&str>) -> DialectRules {
        DialectRules::of_the_tests(Dialect::Whmcs, base)
    }

    /// Reads a form with these fields beside the usual ones.
    fn read(more: &str) -> Result<(Credentials, u64, Ask), Denial> {
        let (rules, headers) = (rules(None), HeaderMap::new());
        let body = format!("action=CreateSsoToken&identifier=i&secret=s&{more}");
        let wish = wish(&Request {
            method: &Method::POST,
            path: "/includes/api.php",
            query: "",
            headers: &headers,
            body: body.as_bytes(),
            client: None,
            secure: true,
            rules: &rules,
        })?;
        match wish.what? {
            What::Link { who: Who::Id(id), ask } => Ok((wish.credentials, id, *ask)),
            what => panic!("{what:?}"),
        }
    }

    #[test]
    fn the_call_is_taken_below_the_base_and_nowhere_else() {
        let taken = |base, path| Whmcs.takes(&rules(base), path);
        assert!(taken(None, "/includes/api.php"));
        assert!(taken(Some("/billing/"), "/billing/includes/api.php"));
        for other in ["/Includes/api.php", "/includes/api.php/", "//includes/api.php", "/api.php"] {
            assert!(!taken(None, other), "{other}");
        }
        assert!(!taken(Some("/billing/"), "/includes/api.php"));
    }

    #[test]
    fn the_user_is_signed_in_and_the_rest_is_context() {
        let context = |ask: Ask| ask.via.unwrap().context.map(|ctx| ctx.as_object().clone());
        let (_, id, ask) = read("client_id=18").unwrap();
        assert_eq!((id, context(ask)), (18, None));
        let (_, id, ask) = read("client_id=18&user_id=19&service_id=5&domain_id=6").unwrap();
        let all = serde_json::json!({ "client_id": 18, "service_id": 5, "domain_id": 6 });
        assert_eq!((id, context(ask).map(Value::Object)), (19, Some(all)));
        let refused = read("client_id=&user_id=").unwrap_err();
        assert_eq!(refused, Denial::invalid("client_id", "it or user_id is required"));
    }

    #[test]
    fn a_number_is_read_in_its_one_spelling() {
        for field in ["client_id", "user_id", "service_id", "domain_id"] {
            for wrong in ["0", "-1", "018", "%2B18", "+18", "1e1", "18446744073709551616", "x"] {
                let other = if field == "client_id" { "user_id" } else { "client_id" };
                let form = format!("{other}=18&{field}={wrong}");
                let expected = Denial::invalid(field, "a whole number is expected");
                assert_eq!(read(&form).unwrap_err(), expected, "{form}");
            }
        }
    }

    #[test]
    fn a_custom_redirect_is_a_path_of_the_site() {
        let path = |path: &str| {
            let form =
                format!("client_id=18&destination=sso:custom_redirect&sso_redirect_path={path}");
            read(&form).unwrap().2.destination.unwrap()
        };
        assert_eq!(path("clientarea.php?action=x%26a=b"), "/clientarea.php?action=x&a=b");
        assert_eq!(path("/cart.php"), "/cart.php");
        // The gate refuses what these are: no path of one reading.
        assert_eq!(path("https://evil.example"), "/https://evil.example");
        assert_eq!(path("//evil.example"), "//evil.example");
    }
}
