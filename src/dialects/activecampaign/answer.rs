//! What ActiveCampaign's API answers: a flat record under `200 OK`, in one of three formats.
//!
//! This project's choices, where the vendor's documentation and clients are silent:
//! - The root of the XML is the action; of a refusal it is `singlesignon`.
//! - Flags of a record are 1 or 0 in every format: the vendor's permissions are numbers or texts
//!   there, and `false` in XML would be true to most that read it.
//! - A number that PHP cannot count to is a text.
//! - `user_me` answers the caller's name as `username`, `account_view` the site's host as
//!   `account`; their `result_message` is that of the vendor's other actions.
//! - Refusals that the vendor does not know say in a sentence what anybody may learn of them.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

use super::SIGN_ON;
use crate::{
    dialects::{
        Answer, Format, Granted, Outcome, Who,
        php::{self, Value},
        sentence, xml,
    },
    gate::{denial::Denial, directory::Scalar},
};

/// Of a link.
const FOUND: &str = "User found";
/// Of a test, as the vendor's clients see it of every other action that succeeds.
const SUCCESS: &str = "Success: Something is returned";
/// Of bad credentials, of an action that there is not, and of what the caller may not do.
const NOT_AUTHORIZED: &str = "You are not authorized to access this file";

/// The answer.
pub(super) fn of(format: Format, outcome: &Outcome<'_>) -> Answer {
    let (root, mut members, code, message) = match outcome {
        Outcome::Link(granted) => (SIGN_ON, record(granted), 1, FOUND.into()),
        Outcome::Tested { action, caller, site } => {
            (*action, tested(action, caller, site), 1, SUCCESS.into())
        }
        Outcome::Refused(denial) => (SIGN_ON, Vec::new(), 0, message(denial)),
    };
    members.push(("result_code", Value::Integer(code)));
    members.push(("result_message", Value::Text(message)));
    members.push(("result_output", text(name(format))));
    let plain = |content_type, body| Answer { status: 200, content_type, body };
    match format {
        Format::Json => Answer::json(&Object(&members)),
        Format::Xml => plain("text/xml; charset=utf-8", xml(root, &members)),
        Format::Php => plain("text/plain; charset=utf-8", php::array(&members)),
    }
}

/// A field of the answer.
type Member<'a> = (&'a str, Value<'a>);

fn text(value: &str) -> Value<'_> {
    Value::Text(value.into())
}

/// Who is signed in, and by which token.
fn record<'a>(granted: &Granted<'a>) -> Vec<Member<'a>> {
    let id = match (granted.record.and_then(|user| user.id), granted.who) {
        (Some(id), _) => number(id),
        (None, Who::Name { name, .. }) => text(name),
        (None, _) => text(granted.user),
    };
    let mut members = vec![("id", id), ("username", text(granted.user))];
    let fields = granted.record.map(|user| user.fields.as_slice()).unwrap_or_default();
    // Their names were judged when the directory was read: none is one of the answer's own.
    members.extend(fields.iter().map(|(name, value)| (name.as_str(), scalar(value))));
    members.push(("token", text(granted.token)));
    members
}

fn number(number: u64) -> Value<'static> {
    match i64::try_from(number) {
        Ok(number) => Value::Integer(number),
        Err(_) => Value::Text(number.to_string().into()),
    }
}

fn scalar(value: &Scalar) -> Value<'_> {
    match value {
        Scalar::Text(value) => text(value),
        Scalar::Integer(value) => Value::Integer(*value),
        Scalar::Flag(value) => Value::Integer((*value).into()),
    }
}

fn tested<'a>(action: &str, caller: &'a str, site: &'a str) -> Vec<Member<'a>> {
    match action {
        "account_view" => vec![("account", text(host(site)))],
        _ => vec![("username", text(caller))],
    }
}

/// An authority without its port.
fn host(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// What a refusal says, and nothing that the request said: no format can break on it.
fn message(denial: &Denial) -> Cow<'static, str> {
    let message = match denial {
        Denial::Unauthorized
        | Denial::Forbidden(_)
        | Denial::NotFound
        | Denial::MethodNotAllowed(_) => NOT_AUTHORIZED,
        Denial::UnknownUser(_) => "User not found.",
        Denial::Invalid { field, .. } if field == "sso_user" => "User not provided.",
        Denial::Invalid { field, .. } if field == "sso_addr" => "IP Address not provided.",
        // Only a destination would be repeated, and none is asked for here.
        denial => return sentence(denial).into(),
    };
    message.into()
}

/// The name of a format, as requests and answers have it.
fn name(format: Format) -> &'static str {
    match format {
        Format::Json => "json",
        Format::Xml => "xml",
        Format::Php => "serialize",
    }
}

/// An object's members in the order of the list, which a map would lose.
struct Object<'a>(&'a [Member<'a>]);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

fn xml(root: &str, members: &[Member<'_>]) -> String {
    let texts: Vec<(&str, String)> = members
        .iter()
        .map(|(name, value)| match value {
            Value::Integer(value) => (*name, value.to_string()),
            Value::Text(value) => (*name, value.to_string()),
        })
        .collect();
    let elements: Vec<(&str, &str)> =
        texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
    ["<?xml version='1.0' encoding='utf-8'?>\n", &xml::flat(root, &elements)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_no_port() {
        for (authority, expected) in [
            ("panel.example.com", "panel.example.com"),
            ("panel.example.com:8443", "panel.example.com"),
            ("[2001:db8::1]", "[2001:db8::1]"),
            ("[2001:db8::1]:8443", "[2001:db8::1]"),
        ] {
            assert_eq!(host(authority), expected);
        }
    }

    #[test]
    fn a_number_beyond_phps_is_a_text() {
        assert_eq!(number(i64::MAX as u64), Value::Integer(i64::MAX));
        assert_eq!(number(u64::MAX), text("18446744073709551615"));
    }
}
