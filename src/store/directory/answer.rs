//! What the user's own service may answer: the members of the directory file's tables, as JSON.
//!
//! It is the user's service and will grow, so members that are not known here are passed over.
//! Those that are known are held to the file's rules, but that a number may be as large as 64 bits
//! hold, and an email address any name. What is wrong is told without the value: it
//! goes to the log, and an answer may hold the hash of a password.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _, MapAccess, Visitor},
};
use serde_json::Value;

use crate::gate::{
    directory::{self, Account, Reseller, Scalar, User},
    token,
};

/// A record that a service can be asked for.
pub(super) trait Record: Sized {
    /// The collection it is in: the first segment of its path.
    const COLLECTION: &'static str;

    /// Reads an answer to the question for `asked`.
    ///
    /// # Errors
    /// What is wrong with it, without the value; also where it is another record's.
    fn read(body: &[u8], asked: &str) -> Result<Self, String>;
}

impl Record for User {
    const COLLECTION: &'static str = "users";

    fn read(body: &[u8], asked: &str) -> Result<Self, String> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Answer {
            id: Value,
            username: Value,
            email: Value,
            password: Value,
            active: Value,
            fields: Option<Members>,
        }
        let answer: Answer = json(body)?;
        let user = Self {
            id: number("id", &answer.id)?,
            username: name("username", &answer.username)?.ok_or("username is missing")?,
            email: name("email", &answer.email)?,
            password: match text("password", &answer.password)? {
                Some(hash) => Some(hash.parse().map_err(|why| format!("password {why}"))?),
                None => None,
            },
            active: flag("active", &answer.active)?.unwrap_or(true),
            fields: fields(answer.fields.unwrap_or_default())?,
        };
        let is_asked = user.username == asked
            || user.email.as_deref() == Some(asked)
            || user.id.is_some_and(|id| id.to_string() == asked);
        if is_asked { Ok(user) } else { Err("it is another user's".to_owned()) }
    }
}

impl Record for Account {
    const COLLECTION: &'static str = "accounts";

    fn read(body: &[u8], asked: &str) -> Result<Self, String> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Answer {
            id: Value,
            reseller: Value,
            owner_email: Value,
            active: Value,
            sign_on_url: Value,
        }
        let answer: Answer = json(body)?;
        Ok(Self {
            id: own_number(&answer.id, asked)?,
            reseller: number("reseller", &answer.reseller)?,
            owner_email: name("owner_email", &answer.owner_email)?,
            active: flag("active", &answer.active)?.unwrap_or(true),
            sign_on_url: flag("sign_on_url", &answer.sign_on_url)?.unwrap_or(false),
        })
    }
}

impl Record for Reseller {
    const COLLECTION: &'static str = "resellers";

    fn read(body: &[u8], asked: &str) -> Result<Self, String> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Answer {
            id: Value,
            parent: Value,
        }
        let answer: Answer = json(body)?;
        Ok(Self { id: own_number(&answer.id, asked)?, parent: number("parent", &answer.parent)? })
    }
}

fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    // Its own words may quote the value.
    serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!("not the JSON object that is expected, at line {line}, column {column}")
    })
}

/// The members of an object in their order, none of them twice.
#[derive(Default)]
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::<(String, Value)>::new();
                while let Some((name, value)) = map.next_entry()? {
                    if members.iter().any(|(known, _)| *known == name) {
                        return Err(A::Error::custom("a member stands twice"));
                    }
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }

        from.deserialize_map(Object)
    }
}

/// A member that is `null` is as good as absent, here and below.
fn number(member: &str, value: &Value) -> Result<Option<u64>, String> {
    match value {
        Value::Null => Ok(None),
        _ => match value.as_u64() {
            Some(number) if number > 0 => Ok(Some(number)),
            _ => Err(format!("{member} is not a whole number above 0")),
        },
    }
}

fn own_number(value: &Value, asked: &str) -> Result<u64, String> {
    let id = number("id", value)?.ok_or("id is missing")?;
    if id.to_string() == asked { Ok(id) } else { Err("id is another one's".to_owned()) }
}

fn flag(member: &str, value: &Value) -> Result<Option<bool>, String> {
    match value {
        Value::Null => Ok(None),
        _ => value.as_bool().map(Some).ok_or(format!("{member} is not true or false")),
    }
}

fn text<'v>(member: &str, value: &'v Value) -> Result<Option<&'v str>, String> {
    match value {
        Value::Null => Ok(None),
        _ => value.as_str().map(Some).ok_or(format!("{member} is not a text")),
    }
}

/// What may become the `sub` of a token, and stand in any answer.
fn name(member: &str, value: &Value) -> Result<Option<String>, String> {
    let Some(name) = text(member, value)? else { return Ok(None) };
    if token::is_user(name) && directory::is_plain(name) {
        Ok(Some(name.to_owned()))
    } else {
        Err(format!("{member} is not 1 to 256 characters without control characters"))
    }
}

fn fields(members: Members) -> Result<Vec<(String, Scalar)>, String> {
    let mut fields = Vec::new();
    for (name, value) in members.0 {
        if !directory::is_field_name(&name) || directory::is_taken(&name) {
            return Err("fields has a name that no answer can carry".to_owned());
        }
        let scalar = match value {
            Value::Null => continue,
            Value::String(text) if directory::is_plain(&text) => Scalar::Text(text),
            Value::Bool(flag) => Scalar::Flag(flag),
            Value::Number(number) if number.is_i64() => {
                Scalar::Integer(number.as_i64().unwrap_or_default())
            }
            _ => {
                let what = "is not a text without control characters, a whole number or a flag";
                return Err(format!("fields.{name} {what}"));
            }
        };
        fields.push((name, scalar));
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(body: &str) -> Result<User, String> {
        User::read(body.as_bytes(), "joe")
    }

    #[test]
    fn a_user_is_read_with_its_fields_in_order_and_what_is_not_known_passed_over() {
        let body = r#"{"plan":[1,{}],"username":"joe","id":18,"email":null,
            "fields":{"zip":"10115","can_edit":true,"credits":-7,"none":null}}"#;
        let fields = [
            ("zip".to_owned(), Scalar::Text("10115".to_owned())),
            ("can_edit".to_owned(), Scalar::Flag(true)),
            ("credits".to_owned(), Scalar::Integer(-7)),
        ];
        let expected = User {
            id: Some(18),
            username: "joe".to_owned(),
            email: None,
            password: None,
            active: true,
            fields: fields.to_vec(),
        };
        assert_eq!(user(body), Ok(expected));
    }

    #[test]
    fn whoever_was_asked_for_may_be_asked_for_by_each_of_their_names() {
        let body = br#"{"username":"joe","id":18,"email":"joe@example.com"}"#;
        for asked in ["joe", "18", "joe@example.com"] {
            assert!(User::read(body, asked).is_ok(), "{asked}");
        }
        for asked in ["JOE", "018", "+18", "joe@example.co", ""] {
            assert_eq!(User::read(body, asked), Err("it is another user's".to_owned()), "{asked}");
        }
    }

    #[test]
    fn a_user_with_anything_wrong_is_none_and_the_reason_tells_no_value() {
        let wrong = [
            "",
            "null",
            "[]",
            r#""SECRET""#,
            r#"{"username":"joe""#,
            r#"{"id":18}"#,
            r#"{"username":["SECRET"]}"#,
            r#"{"username":""}"#,
            r#"{"username":"joe","username":"joe"}"#,
            r#"{"username":"jo\ne"}"#,
            r#"{"username":"joe","id":"SECRET"}"#,
            r#"{"username":"joe","id":-1}"#,
            r#"{"username":"joe","id":0}"#,
            r#"{"username":"joe","id":1.5}"#,
            r#"{"username":"joe","email":7}"#,
            r#"{"username":"joe","email":"\u0001"}"#,
            r#"{"username":"joe","password":"SECRET"}"#,
            r#"{"username":"joe","active":"SECRET"}"#,
            r#"{"username":"joe","active":1}"#,
            r#"{"username":"joe","fields":["SECRET"]}"#,
            r#"{"username":"joe","fields":{"a":"SECRET\u0000"}}"#,
            r#"{"username":"joe","fields":{"a":1.5}}"#,
            r#"{"username":"joe","fields":{"a":9223372036854775808}}"#,
            r#"{"username":"joe","fields":{"a":{"b":"SECRET"}}}"#,
            r#"{"username":"joe","fields":{"a":1,"a":1}}"#,
            r#"{"username":"joe","fields":{"1SECRET":1}}"#,
            r#"{"username":"joe","fields":{"":1}}"#,
            r#"{"username":"joe","fields":{"token":"SECRET"}}"#,
            r#"{"username":"joe","fields":{"result_code":1}}"#,
        ];
        for body in wrong {
            let why = user(body).expect_err(body);
            assert!(!why.contains("SECRET"), "{why}");
        }
    }

    #[test]
    fn accounts_and_resellers_have_the_number_that_was_asked_for() {
        let account = Account {
            id: 505,
            reseller: Some(7),
            owner_email: Some("owner@example.com".to_owned()),
            active: true,
            sign_on_url: false,
        };
        let body = br#"{"id":505,"reseller":7,"owner_email":"owner@example.com","since":2011}"#;
        assert_eq!(Account::read(body, "505"), Ok(account));
        assert_eq!(Account::read(body, "506"), Err("id is another one's".to_owned()));
        let reseller = Reseller { id: 7, parent: Some(1) };
        assert_eq!(Reseller::read(br#"{"id":7,"parent":1}"#, "7"), Ok(reseller));
        for body in ["{}", r#"{"id":8}"#, r#"{"id":"7"}"#, r#"{"id":7,"parent":true}"#] {
            assert!(Reseller::read(body.as_bytes(), "7").is_err(), "{body}");
        }
    }
}
