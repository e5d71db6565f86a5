//! ActiveCampaign's `singlesignon`, and the two actions by which its clients test their
//! credentials.
//!
//! `GET` or `POST` at `/admin/api.php` or `/api.php`, below any path unless the operator sets one.
//! Parameters come from the query and from a urlencoded body; what the query has is not looked for
//! in the body.
//!
//! This project's choices, where the vendor's documentation and clients are silent:
//! - `api_key` counts before `api_user`, and `api_pass_h` before `api_pass`; an `api_pass_h` that
//!   is no MD5 in hex is nobody's.
//! - `sso_addr` may be an IPv6 address, or several addresses with commas between them. The link is
//!   bound to exactly these, whatever widths `[links]` gives to addresses: "Only that IP address
//!   will be able to login".
//! - `sso_duration` is a number where it is digits alone. One that is none, 0 or absent means the
//!   `ttl` of `[dialects.activecampaign]`, which is the vendor's 15 minutes unless it is set.
//! - A body that is not urlencoded has no parameters, as in PHP.

use http::Method;

use crate::{
    dialects::{
        Answer, Credentials, Format, Outcome, Request, Vendor, What, Who, Wish,
        fields::{self, Fields},
    },
    gate::{
        client_ip::ClientIp,
        denial::Denial,
        networks::MAX_BOUND,
        password::Credential,
        policy::{Ask, Via},
        secret::Secret,
        spoken::DialectRules,
    },
};

mod answer;

const CALLS: [&str; 2] = ["admin/api.php", "api.php"];
/// The call of a WHMCS in whatever folder, which must not hear of this vendor.
const WHMCS: &str = "/includes/api.php";
/// The action that issues a link.
const SIGN_ON: &str = "singlesignon";
/// The actions by which clients test their credentials.
const TESTS: [&str; 2] = ["user_me", "account_view"];

/// The vendor.
#[derive(Debug)]
pub(super) struct Activecampaign;

impl Vendor for Activecampaign {
    fn takes(&self, rules: &DialectRules, path: &str) -> bool {
        if let Some(base) = &rules.base {
            return path.strip_prefix(base).is_some_and(|call| CALLS.contains(&call));
        }
        CALLS.iter().any(|call| path.ends_with(&["/", call].concat())) && !path.ends_with(WHMCS)
    }

    fn read(&self, request: &Request<'_>) -> (Format, Result<Wish, Denial>) {
        let sources = [Fields::parse(request.query.as_bytes()), form(request)];
        let output = sources.iter().flatten().find(|source| source.has("api_output"));
        let format = match output.and_then(|source| source.get("api_output").ok()) {
            Some("json") => Format::Json,
            Some("serialize") => Format::Php,
            _ => Format::Xml,
        };
        let [query, form] = sources;
        let parameters = query.and_then(|query| Ok(Parameters { query, form: form? }));
        (format, parameters.and_then(|parameters| wish(request, &parameters)))
    }

    fn write(&self, format: Format, outcome: &Outcome<'_>) -> Answer {
        answer::of(format, outcome)
    }
}

/// The parameters of a call.
struct Parameters {
    query: Fields,
    form: Fields,
}

impl Parameters {
    /// The value of a parameter; empty where it is not there.
    fn get(&self, name: &str) -> Result<&str, Denial> {
        let source = if self.query.has(name) { &self.query } else { &self.form };
        source.get(name)
    }

    fn secret(&self, name: &str) -> Result<Option<Secret<String>>, Denial> {
        let value = self.get(name)?;
        Ok((!value.is_empty()).then(|| Secret::new(value.to_owned())))
    }
}

/// The fields of the body, where it is a form.
fn form(request: &Request<'_>) -> Result<Fields, Denial> {
    if request.method == Method::POST && fields::is_form(request.headers) {
        Fields::parse(request.body)
    } else {
        Ok(Fields::default())
    }
}

fn wish(request: &Request<'_>, parameters: &Parameters) -> Result<Wish, Denial> {
    if !matches!(*request.method, Method::GET | Method::POST) {
        return Err(Denial::MethodNotAllowed("GET, POST"));
    }
    let credentials = credentials(parameters)?;
    Ok(Wish { credentials, what: action(request, parameters) })
}

fn action(request: &Request<'_>, parameters: &Parameters) -> Result<What, Denial> {
    let action = parameters.get("api_action")?;
    match TESTS.into_iter().find(|test| *test == action) {
        Some(test) => Ok(What::Test(test)),
        None if action == SIGN_ON => sign_on(request, parameters),
        None => Err(Denial::NotFound),
    }
}

fn credentials(parameters: &Parameters) -> Result<Credentials, Denial> {
    if let Some(key) = parameters.secret("api_key")? {
        return Ok(Credentials::Key(key));
    }
    let name = parameters.get("api_user")?;
    let password = match parameters.secret("api_pass_h")? {
        Some(md5) => Some(md5).filter(|md5| Credential::is_md5(md5.expose())),
        None => parameters.secret("api_pass")?,
    };
    match password {
        Some(password) if !name.is_empty() => {
            Ok(Credentials::Password { name: name.to_owned(), password })
        }
        _ => Err(Denial::Unauthorized),
    }
}

fn sign_on(request: &Request<'_>, parameters: &Parameters) -> Result<What, Denial> {
    let name = parameters.get("sso_user")?;
    if name.is_empty() {
        return Err(Denial::invalid("sso_user", "a username or an email address is expected"));
    }
    let ip = addresses(parameters.get("sso_addr")?, request.client)?;
    let who = Who::Name { name: name.to_owned(), password: parameters.secret("sso_pass")? };
    let mut via = Via::of(request.rules);
    via.ttl = lifetime(parameters.get("sso_duration")?).unwrap_or(via.ttl);
    let ask = Ask { ip: Some(ip), via: Some(via), ..Ask::default() };
    Ok(What::Link { who, ask: Box::new(ask) })
}

/// The addresses of `sso_addr`, each with the width of itself alone.
fn addresses(listed: &str, own: Option<ClientIp>) -> Result<Vec<String>, Denial> {
    let bad = |why: &str| Denial::invalid("sso_addr", why);
    let read = |text: &str| match text.trim() {
        "__self" => own.ok_or_else(|| bad("the caller's own address cannot be told")),
        text => text.parse().map_err(|_| bad("addresses with commas between them are expected")),
    };
    let addresses: Vec<ClientIp> = listed.split(',').map(read).collect::<Result<_, _>>()?;
    if addresses.len() > MAX_BOUND {
        return Err(bad("too many addresses"));
    }
    let alone = |address: &ClientIp| {
        let width = if address.addr().is_ipv4() { 32 } else { 128 };
        format!("{address}/{width}")
    };
    Ok(addresses.iter().map(alone).collect())
}

/// The seconds of `sso_duration`; none where it says nothing. What is too long to count is longer
/// than anybody may have, and cut as such.
fn lifetime(minutes: &str) -> Option<u64> {
    let is_number = !minutes.is_empty() && minutes.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = minutes.parse().unwrap_or(u64::MAX).saturating_mul(60);
    (is_number && seconds > 0).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::dialect::Dialect;

    #[test]
    fn any_base_is_taken_unless_one_is_set() {
        let dialect = Dialect::Activecampaign;
        let taken = |base: Option<&str>, path: &str| {
            Activecampaign.takes(&DialectRules::of_the_tests(dialect, base), path)
        };
        for path in ["/api.php", "/admin/api.php", "/a/api.php", "/a/b/admin/api.php"] {
            assert!(taken(None, path), "{path}");
        }
        for path in [
            "/",
            "api.php",
            "/xapi.php",
            "/api.php/",
            "/API.php",
            "/api.php%00",
            "/api.phpx",
            "/includes/api.php",
            "/whmcs/includes/api.php",
        ] {
            assert!(!taken(None, path), "{path}");
        }
        for (base, path, expected) in [
            ("/", "/api.php", true),
            ("/", "/admin/api.php", true),
            ("/", "/a/api.php", false),
            ("/a/", "/a/api.php", true),
            ("/a/", "/a/admin/api.php", true),
            ("/a/", "/api.php", false),
            ("/a/", "/admin/api.php", false),
            ("/a/", "/a/b/api.php", false),
            ("/a/", "/b/a/api.php", false),
        ] {
            assert_eq!(taken(Some(base), path), expected, "{base} {path}");
        }
    }

    #[test]
    fn a_duration_counts_minutes_and_never_overflows() {
        for (asked, seconds) in [
            ("1", Some(60)),
            ("015", Some(900)),
            ("307445734561825861", Some(u64::MAX)),
            ("99999999999999999999999999", Some(u64::MAX)),
            ("", None),
            ("0", None),
            ("000", None),
            ("-5", None),
            ("+5", None),
            (" 5", None),
            ("1.5", None),
            ("1e3", None),
            ("five", None),
            ("٥", None),
        ] {
            assert_eq!(lifetime(asked), seconds, "{asked:?}");
        }
    }

    #[test]
    fn addresses_are_bound_alone_and_networks_are_not_taken() {
        let own: ClientIp = "2001:db8::5".parse().unwrap();
        let read = |listed: &str| addresses(listed, Some(own)).ok();
        let many = ["203.0.113.7"; MAX_BOUND + 1].join(",");
        assert_eq!(
            read("203.0.113.7, 2001:DB8:0::7,::ffff:203.0.113.8,__self").unwrap(),
            ["203.0.113.7/32", "2001:db8::7/128", "203.0.113.8/32", "2001:db8::5/128"]
        );
        assert!(read(&["203.0.113.7"; MAX_BOUND].join(",")).is_some());
        for bad in [
            "",
            ",",
            "203.0.113.7,",
            "203.0.113.0/24",
            "203.0.113.7:80",
            "[2001:db8::7]",
            "fe80::1%eth0",
            "203.0.113.07",
            "__SELF",
            "localhost",
            many.as_str(),
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
        assert!(addresses("__self", None).is_err());
    }
}
