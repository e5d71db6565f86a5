//! WISECP's `CreateClientSsoToken`: the client area, opened as one of its users.
//!
//! `POST {base}Clients/CreateClientSsoToken` with the header `Apikey`, `base` being `/api/`. The
//! vendor's page also spells it `CreateClientSssoToken`. Both are taken, in this case only.
//!
//! Documented: `user_id`, a whole number; `destination`, a name of [`CATALOGUE`] or a URL, without
//! which the link leads to the client area; `destination_values`, an array. The status is always
//! 200; success is `{"status":"successful","data":{"token":…,"url":…}}`, failure
//! `{"status":"error","message":…}`, and a bad key's message `Credentials do not match`.
//!
//! Not documented, and this project's choice:
//! - the other messages. They say what the native API's problem says, such as
//!   `user_id: a whole number is expected`, `There is no such user` or
//!   `There is no such destination: "x"`;
//! - a key that is missing or sent twice is a bad one;
//! - `user_id` may be a text of digits, in the one spelling that the number has; 0 is nobody;
//! - `destination` may be null or empty for none, or a path of the site; a URL is taken only where
//!   the site allows it;
//! - `destination_values` holds texts and whole numbers; null is an empty one;
//! - members of other names are ignored, as the vendor's own language reads a body;
//! - the body is JSON whatever `Content-Type` calls it, and read strictly: no member twice.

use http::Method;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    dialects::{
        Answer, Credentials, Format, Granted, Outcome, Request, Vendor, What, Who, Wish, fields,
        sentence,
        wisecp::catalogue::{CATALOGUE, HOME},
    },
    gate::{
        claims,
        denial::Denial,
        policy::{Ask, Via},
        spoken::DialectRules,
    },
};

mod catalogue;

const BASE: &str = "/api/";
const CALLS: [&str; 2] = ["Clients/CreateClientSsoToken", "Clients/CreateClientSssoToken"];

/// The vendor.
#[derive(Debug)]
pub(super) struct Wisecp;

impl Vendor for Wisecp {
    fn takes(&self, rules: &DialectRules, path: &str) -> bool {
        path.strip_prefix(rules.base_or(BASE)).is_some_and(|call| CALLS.contains(&call))
    }

    fn read(&self, request: &Request<'_>) -> (Format, Result<Wish, Denial>) {
        (Format::Json, wish(request))
    }

    fn write(&self, _format: Format, outcome: &Outcome<'_>) -> Answer {
        Answer::json(&match outcome {
            Outcome::Link(Granted { token, url, .. }) => {
                Said::Successful { data: Data { token, url } }
            }
            Outcome::Refused(denial) => Said::Error { message: message(denial) },
            // No call of this vendor's only tests credentials.
            Outcome::Tested { .. } => Said::Error { message: message(&Denial::NotFound) },
        })
    }
}

#[derive(Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum Said<'a> {
    Successful { data: Data<'a> },
    Error { message: String },
}

#[derive(Serialize)]
struct Data<'a> {
    token: &'a str,
    url: &'a str,
}

fn message(denial: &Denial) -> String {
    match denial {
        Denial::Unauthorized => "Credentials do not match".to_owned(),
        _ => sentence(denial),
    }
}

fn wish(request: &Request<'_>) -> Result<Wish, Denial> {
    if request.method != Method::POST {
        return Err(Denial::MethodNotAllowed("POST"));
    }
    let credentials = Credentials::in_header(request.headers, "apikey")?;
    Ok(Wish { credentials, what: link(request) })
}

fn link(request: &Request<'_>) -> Result<What, Denial> {
    let body = claims::value_from_json(request.body)
        .map_err(|error| Denial::Unreadable(format!("not JSON: {error}")))?;
    let Value::Object(body) = body else {
        return Err(Denial::Unreadable("a JSON object is expected".to_owned()));
    };
    let who = Who::Id(user_id(&body)?);
    let destination = destination(&body)?;
    let destination_values = destination_values(&body)?;
    if destination.is_none() && !destination_values.is_empty() {
        return Err(Denial::invalid("destination_values", "there is no destination to fill"));
    }
    let ask = Ask {
        destination: Some(destination.unwrap_or_else(|| HOME.to_owned())),
        destination_values,
        via: Some(Via { catalogue: Some(&CATALOGUE), ..Via::of(request.rules) }),
        ..Ask::default()
    };
    Ok(What::Link { who, ask: Box::new(ask) })
}

fn user_id(body: &Map<String, Value>) -> Result<u64, Denial> {
    let id = match body.get("user_id") {
        None | Some(Value::Null) => return Err(Denial::invalid("user_id", "is required")),
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(text)) => fields::number(text),
        Some(_) => None,
    };
    id.filter(|id| *id > 0).ok_or_else(|| Denial::invalid("user_id", "a whole number is expected"))
}

fn destination(body: &Map<String, Value>) -> Result<Option<String>, Denial> {
    match body.get("destination") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
        Some(_) => Err(Denial::invalid("destination", "a string is expected")),
    }
}

fn destination_values(body: &Map<String, Value>) -> Result<Vec<String>, Denial> {
    let wrong = || {
        let why = "an array of strings or whole numbers is expected";
        Denial::invalid("destination_values", why)
    };
    match body.get("destination_values") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(values)) => values
            .iter()
            .map(|value| match value {
                Value::String(text) => Ok(text.clone()),
                Value::Number(number) if number.is_u64() || number.is_i64() => {
                    Ok(number.to_string())
                }
                _ => Err(wrong()),
            })
            .collect(),
        Some(_) => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::gate::dialect::Dialect;

    fn rules(base: Option<&str>) -> DialectRules {
        DialectRules::of_the_tests(Dialect::Wisecp, base)
    }

    fn read(body: &str) -> Result<(u64, Ask), Denial> {
        let rules = rules(None);
        let headers = HeaderMap::from_iter([("apikey".parse().unwrap(), "k".parse().unwrap())]);
        let wish = wish(&Request {
            method: &Method::POST,
            path: "/api/Clients/CreateClientSsoToken",
            query: "",
            headers: &headers,
            body: body.as_bytes(),
            client: None,
            secure: true,
            rules: &rules,
        })?;
        match wish.what? {
            What::Link { who: Who::Id(id), ask } => Ok((id, *ask)),
            what => panic!("{what:?}"),
        }
    }

    #[test]
    fn both_spellings_of_the_call_are_taken_below_the_base_and_no_other() {
        let taken = |base, path| Wisecp.takes(&rules(base), path);
        assert!(taken(None, "/api/Clients/CreateClientSsoToken"));
        assert!(taken(None, "/api/Clients/CreateClientSssoToken"));
        assert!(taken(Some("/"), "/Clients/CreateClientSsoToken"));
        assert!(taken(Some("/a/b/"), "/a/b/Clients/CreateClientSsoToken"));
        for other in [
            "/Clients/CreateClientSsoToken",
            "/api/clients/createclientssotoken",
            "/api/Clients/CreateClientSsoToken/",
            "/api//Clients/CreateClientSsoToken",
            "/api/Clients/CreateClientSs%6FToken",
            "/x/api/Clients/CreateClientSsoToken",
        ] {
            assert!(!taken(None, other), "{other}");
        }
        assert!(!taken(Some("/a/b/"), "/api/Clients/CreateClientSsoToken"));
    }

    #[test]
    fn a_number_is_read_in_its_one_spelling() {
        for (written, id) in [("18", 18), ("\"18\"", 18), ("18446744073709551615", u64::MAX)] {
            assert_eq!(read(&format!("{{\"user_id\":{written}}}")).unwrap().0, id, "{written}");
        }
        for wrong in [
            "0",
            "-18",
            "18.0",
            "1.8e1",
            "\"018\"",
            "\"+18\"",
            "\" 18\"",
            "\"\"",
            "\"0x12\"",
            "\"\u{661}\"",
            "true",
            "[18]",
            "{}",
            "18446744073709551616",
        ] {
            let refused = read(&format!("{{\"user_id\":{wrong}}}"));
            let expected = Denial::invalid("user_id", "a whole number is expected");
            assert_eq!(refused.unwrap_err(), expected, "{wrong}");
        }
    }

    #[test]
    fn no_destination_however_written_is_the_client_area() {
        for rest in [
            "",
            ",\"destination\":null",
            ",\"destination\":\"\"",
            ",\"destination_values\":[]",
            ",\"destination_values\":null",
        ] {
            let (_, ask) = read(&format!("{{\"user_id\":18{rest}}}")).unwrap();
            assert_eq!(ask.destination.as_deref(), Some("my-account"), "{rest}");
            assert!(ask.destination_values.is_empty());
        }
    }

    #[test]
    fn values_are_texts_and_whole_numbers() {
        let body = r#"{"user_id":18,"destination":"x","destination_values":["a",7,-7]}"#;
        assert_eq!(read(body).unwrap().1.destination_values, ["a", "7", "-7"]);
        for wrong in ["[null]", "[1.5]", "[true]", "[[1]]", "{\"0\":1}", "\"1\"", "1"] {
            let body =
                format!("{{\"user_id\":18,\"destination\":\"x\",\"destination_values\":{wrong}}}");
            assert!(matches!(read(&body), Err(Denial::Invalid { .. })), "{wrong}");
        }
    }
}
