//! ActivePlatform's "Get user's auth by token": its Customer Control Panel, opened as the owner of
//! an account.
//!
//! `GET {base}resellers/{reseller_id}/user_authentication/token?account_id=505` with
//! `X-Api-Token`, `base` being `/api/v3/`; the answer is `{"owner_email":"…","owner_token":"…"}`.
//! The caller puts both into `SITE/?user_email=…&user_token=…` itself, the email percent-encoded.
//!
//! The vendor publishes no errors. This project's choice: JSON:API's errors object under 401, 403,
//! 404 or 422, or the status that the native API has for the same refusal.
//! - A reseller or an account that is unknown, not the caller's, closed or no number at all is one
//!   and the same 404, byte for byte: nobody learns which numbers exist.
//! - A number has one spelling: decimal, no sign, no leading zeros, nothing percent-encoded.
//! - `Content-Type` and `Accept` are not looked at; editions of the vendor's API differ in them.
//! - `HEAD` is refused like any other method: it could not carry the token it would cost.

use http::Method;
use serde::Serialize;
use serde_json::Map;

use crate::{
    dialects::{
        Answer, Credentials, Format, Granted, Outcome, Request, Vendor, What, Who, Wish,
        fields::{Fields, number},
    },
    gate::{
        claims::Claims,
        denial::Denial,
        policy::{Ask, Via},
        spoken::DialectRules,
    },
};

const BASE: &str = "/api/v3/";
const TYPE: &str = "application/vnd.api+json";
/// What stands for every reseller and every account that a caller cannot have.
const NOWHERE: (&str, &str) = ("Not found", "There is no such reseller or account");

/// The vendor.
#[derive(Debug)]
pub(super) struct Activeplatform;

impl Vendor for Activeplatform {
    fn takes(&self, rules: &DialectRules, path: &str) -> bool {
        reseller(rules, path).is_some()
    }

    fn read(&self, request: &Request<'_>) -> (Format, Result<Wish, Denial>) {
        (Format::Json, wish(request))
    }

    fn write(&self, _format: Format, outcome: &Outcome<'_>) -> Answer {
        match outcome {
            Outcome::Link(Granted { user, token, .. }) => {
                answer(200, &Owner { owner_email: user, owner_token: token })
            }
            Outcome::Refused(denial) => refused(denial),
            // No action of this vendor's only tests credentials.
            Outcome::Tested { .. } => refused(&Denial::NotFound),
        }
    }
}

#[derive(Serialize)]
struct Owner<'a> {
    owner_email: &'a str,
    owner_token: &'a str,
}

/// JSON:API's errors object (jsonapi.org, 1.1, "Error Objects"): `status` is a text.
#[derive(Serialize)]
struct Errors<'a> {
    errors: [Fault<'a>; 1],
}

#[derive(Serialize)]
struct Fault<'a> {
    status: String,
    title: &'a str,
    detail: &'a str,
}

/// The segment of the path that names the reseller.
fn reseller<'p>(rules: &DialectRules, path: &'p str) -> Option<&'p str> {
    let below = path.strip_prefix(rules.base_or(BASE))?.strip_prefix("resellers/")?;
    below.strip_suffix("/user_authentication/token").filter(|segment| !segment.contains('/'))
}

fn wish(request: &Request<'_>) -> Result<Wish, Denial> {
    if request.method != Method::GET {
        return Err(Denial::MethodNotAllowed("GET"));
    }
    let credentials = Credentials::in_header(request.headers, "x-api-token")?;
    Ok(Wish { credentials, what: link(request) })
}

fn link(request: &Request<'_>) -> Result<What, Denial> {
    let reseller = reseller(request.rules, request.path).ok_or(Denial::NotFound)?;
    let reseller = number(reseller).ok_or(Denial::NotFound)?;
    let account = account(request.query)?;
    let context = Map::from_iter([("account".to_owned(), account.into())]);
    let context = Claims::new(context).map_err(|why| Denial::Internal(why.to_string()))?;
    let ask = Ask {
        // Two accounts may have one owner; the token's `sub` is only the latter.
        via: Some(Via { context: Some(context), ..Via::of(request.rules) }),
        ..Ask::default()
    };
    let who = Who::Owner { reseller, account };
    Ok(What::Link { who, ask: Box::new(ask) })
}

fn account(query: &str) -> Result<u64, Denial> {
    let fields = Fields::parse(query.as_bytes())?;
    let account = fields.get("account_id")?;
    if account.is_empty() {
        return Err(Denial::invalid("account_id", "the number of an account is expected"));
    }
    // As it stands in the URL, not as it decodes.
    let spelled = query.split('&').any(|pair| pair.strip_prefix("account_id=") == Some(account));
    number(account).filter(|_| spelled).ok_or(Denial::NotFound)
}

fn refused(denial: &Denial) -> Answer {
    let public = denial.public();
    let detail = denial.detail();
    let (status, (title, detail)) = match denial {
        Denial::NotFound | Denial::UnknownUser(_) => (404, NOWHERE),
        _ => (public.status, (public.title, detail.as_deref().unwrap_or(public.title))),
    };
    answer(status, &Errors { errors: [Fault { status: status.to_string(), title, detail }] })
}

fn answer(status: u16, body: &impl Serialize) -> Answer {
    Answer { status, content_type: TYPE, ..Answer::json(body) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::dialect::Dialect;

    fn rules(base: Option<&str>) -> DialectRules {
        DialectRules::of_the_tests(Dialect::Activeplatform, base)
    }

    #[test]
    fn the_path_is_the_documented_one_under_its_base() {
        let call = "/resellers/1/user_authentication/token";
        for (base, path) in [
            (None, format!("/api/v3{call}")),
            (Some("/api/v3/"), format!("/api/v3{call}")),
            (Some("/api/v4/"), format!("/api/v4{call}")),
            (Some("/"), call.to_owned()),
            (None, "/api/v3/resellers/no-number/user_authentication/token".to_owned()),
            (None, "/api/v3/resellers//user_authentication/token".to_owned()),
        ] {
            assert!(Activeplatform.takes(&rules(base), &path), "{base:?} {path}");
        }
        for (base, path) in [
            (None, call.to_owned()),
            (Some("/api/v4/"), format!("/api/v3{call}")),
            (None, format!("/api/v3{call}/")),
            (None, format!("/api/v3{call}s")),
            (None, format!("/api/v3/{call}")),
            (None, format!("/API/v3{call}")),
            (None, "/api/v3/resellers/1/2/user_authentication/token".to_owned()),
            (None, "/api/v3/resellers/1".to_owned()),
        ] {
            assert!(!Activeplatform.takes(&rules(base), &path), "{base:?} {path}");
        }
    }

    #[test]
    fn an_account_is_named_once_and_as_it_stands() {
        assert_eq!(account("account_id=505"), Ok(505));
        assert_eq!(account("a=b&account_id=505&account_id=505"), Ok(505));
        for missing in ["", "account_id=", "account_id", "account=505"] {
            assert_eq!(account(missing).unwrap_err().public().status, 422, "{missing}");
        }
        assert_eq!(account("account_id=505&account_id=506").unwrap_err().public().status, 422);
        assert_eq!(account("account_id=505&account%5Fid=506").unwrap_err().public().status, 422);
        for unknown in ["account_id=%35%30%35", "account%5Fid=505", "account_id=x"] {
            assert_eq!(account(unknown), Err(Denial::NotFound), "{unknown}");
        }
    }

    #[test]
    fn whom_the_caller_cannot_have_does_not_exist() {
        let unknown = refused(&Denial::NotFound);
        assert_eq!(refused(&Denial::UnknownUser("the account is closed")), unknown);
        assert_eq!(
            unknown.body,
            r#"{"errors":[{"status":"404","title":"Not found","detail":"There is no such reseller or account"}]}"#
        );
    }
}
