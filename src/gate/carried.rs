//! The token that a URL carries, in the native form or a dialect's, and what else the URL says.
//!
//! A URL that anybody could take for one with a token is read here or refused: it never reaches
//! the application. What is read is what every server reads; where they differ, nobody guesses.

use std::{fmt, iter};

use url::form_urlencoded;

use crate::gate::{
    denial::Denial,
    dialect::Dialect,
    form::{Form, account_and_member},
    link, path,
    site::Site,
    token::LinkClaims,
};

/// What speaks against a URL that names another than its token does, or nobody.
pub const NAMES_ANOTHER: &str = "its URL does not name the one it is for";

/// A token and what its URL says. `Debug` does not show the token.
#[derive(Clone, PartialEq, Eq)]
pub struct Carried {
    /// The token, as it came.
    pub token: String,
    /// The page asked for: the target without the token, or what a parameter names. Still to be
    /// judged as a destination.
    pub next: Option<String>,
    /// Whether the URL asks for no page in between, as `page = none` does in a token.
    pub skips_page: bool,
    /// In whose form it came; absent: the native one.
    dialect: Option<Dialect>,
    named: Named,
}

/// Whom a URL names beside its token.
#[derive(Clone, PartialEq, Eq)]
enum Named {
    /// The form has no such parameter.
    Nobody,
    /// ActivePlatform's owner, in each spelling the address may have been meant in.
    Email(Vec<String>),
    /// AllClients' account and member.
    Account(Option<String>, Option<String>),
}

impl Carried {
    /// The token of the native path `/_once/l/TOKEN`.
    pub fn at_path(token: &str) -> Self {
        Self {
            token: token.to_owned(),
            next: None,
            skips_page: false,
            dialect: None,
            named: Named::Nobody,
        }
    }

    /// Whether a genuine token may be opened by this URL: it is of this form, and for the one that
    /// the URL names.
    ///
    /// # Errors
    /// [`Denial::WrongType`] for a token of another form; [`Denial::Malformed`] where the URL
    /// names somebody else, or nobody where it should.
    pub fn fits(&self, claims: &LinkClaims) -> Result<(), Denial> {
        match (self.dialect, claims.via.as_deref()) {
            (None, None) => {}
            (Some(dialect), Some(via)) if dialect.name() == via => {}
            (None, Some(_)) => {
                return Err(Denial::WrongType("a dialect's link, in the native form"));
            }
            (Some(_), None) => {
                return Err(Denial::WrongType("a native link, in a dialect's form"));
            }
            (Some(_), Some(_)) => {
                return Err(Denial::WrongType("a dialect's link, in another dialect's form"));
            }
        }
        let names_the_user = match &self.named {
            Named::Nobody => true,
            Named::Email(spellings) => spellings.contains(&claims.sub),
            Named::Account(account, member) => {
                let (of_user, member_of_user) = account_and_member(&claims.sub);
                account.as_deref() == Some(of_user) && member.as_deref() == Some(member_of_user)
            }
        };
        if names_the_user { Ok(()) } else { Err(Denial::Malformed(NAMES_ANOTHER)) }
    }
}

impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carried").field("dialect", &self.dialect).finish_non_exhaustive()
    }
}

impl Site {
    /// The token that a URL of this site carries in its query.
    ///
    /// Names count percent-decoded, as every server reads them; the rest of the query is kept
    /// byte for byte.
    ///
    /// # Errors
    /// [`Denial::Unreadable`] for two tokens, for a parameter or a path that only some would read
    /// as a form's, and for another parameter of a form that is sent twice.
    pub fn carried(&self, path: &str, query: Option<&str>) -> Result<Option<Carried>, Denial> {
        let Some(query) = query else { return Ok(None) };
        let mut found = None;
        for form in self.forms_in(path, query) {
            let parameter = form.map_or(link::PARAMETER, |form| form.parameter);
            let is_token = |part: &&str| value(part, parameter).is_some();
            let (tokens, kept): (Vec<&str>, Vec<&str>) = query.split('&').partition(is_token);
            let token = match tokens.as_slice() {
                [] => return Err(odd("the token's parameter")),
                [one] => value(one, parameter).unwrap_or_default(),
                _ => return Err(two_tokens()),
            };
            let rest = kept.join("&");
            if let Some(form) = form {
                if !form.is_at(path) {
                    return Err(odd("the path of a link"));
                }
                if form.is_named_in(&rest) {
                    return Err(odd("a second token's parameter"));
                }
            }
            if found.replace((form.map(|form| form.dialect), token, rest)).is_some() {
                return Err(two_tokens());
            }
        }
        found.map(|(dialect, token, rest)| self.read(path, dialect, &token, &rest)).transpose()
    }

    /// Whether anybody could read a token in this URL of the site.
    pub(in crate::gate) fn may_carry_token(&self, path: &str, query: &str) -> bool {
        self.forms_in(path, query).next().is_some()
    }

    /// The forms whose token somebody could read here; `None` is the native one.
    fn forms_in<'a>(
        &'a self,
        path: &'a str,
        query: &'a str,
    ) -> impl Iterator<Item = Option<&'a Form>> {
        let native = link::may_carry_token(query).then_some(None);
        let dialects = self.forms.iter().filter(move |form| form.may_be(path, query)).map(Some);
        native.into_iter().chain(dialects)
    }

    /// What the rest of the query says to a form.
    fn read(
        &self,
        path: &str,
        dialect: Option<Dialect>,
        token: &str,
        rest: &str,
    ) -> Result<Carried, Denial> {
        let mut carried = Carried { dialect, ..Carried::at_path(token) };
        match dialect {
            None | Some(Dialect::Activecampaign) => {
                let page =
                    if rest.is_empty() { path.to_owned() } else { [path, "?", rest].concat() };
                // A page that could not be a destination is not posted along: home is where that
                // leads.
                carried.next = self.judge_destination(&page).is_ok().then_some(page);
            }
            Some(Dialect::Wisecp | Dialect::Whmcs) => {}
            Some(Dialect::Activeplatform) => {
                let email = only(rest, "user_email")?;
                carried.named = Named::Email(email.into_iter().flat_map(spellings).collect());
            }
            Some(Dialect::Allclients) => {
                let text = |name| only(rest, name).map(|part| part.and_then(|p| value(p, name)));
                carried.named = Named::Account(text("a")?, text("t")?);
                carried.skips_page = text("delay")?.as_deref() == Some("0");
                carried.next = text("redirect")?.filter(|to| !to.is_empty()).map(within);
            }
        }
        Ok(carried)
    }
}

/// The value of a part of a query, if it has this name: both decoded once.
fn value(part: &str, name: &str) -> Option<String> {
    let (found, value) = form_urlencoded::parse(part.as_bytes()).next()?;
    (found == name).then(|| value.into_owned())
}

/// The part of a query that has this name.
fn only<'q>(query: &'q str, name: &str) -> Result<Option<&'q str>, Denial> {
    let mut parts = query.split('&').filter(|part| value(part, name).is_some());
    match (parts.next(), parts.next()) {
        (part, None) => Ok(part),
        _ => Err(Denial::Unreadable(format!("the URL says {name} twice"))),
    }
}

/// What a parameter's text can mean: clients paste addresses as they are, and in a query a `+`
/// that stands for itself looks like one that stands for a blank.
fn spellings(part: &str) -> Vec<String> {
    let parts = iter::once(part.to_owned()).chain(iter::once(part.replace('+', "%2B")));
    parts
        .filter_map(|part| {
            let (_, value) = form_urlencoded::parse(part.as_bytes()).next()?;
            Some(value.into_owned())
        })
        .collect()
}

/// A page that is named as relative to the site: `Settings.aspx` is `/Settings.aspx`.
fn within(reference: String) -> String {
    let first = reference.split(['/', '?', '#']).next().unwrap_or_default();
    if first.is_empty() && reference.starts_with('/') {
        return reference;
    }
    // A scheme, or somebody at a host. No destination has an empty segment: it will be refused
    // where destinations are, by name.
    let root = if path::decoded(first).contains([':', '@']) { "//" } else { "/" };
    [root, &reference].concat()
}

fn odd(what: &str) -> Denial {
    Denial::Unreadable(format!("{what} is spelled so that only some would read it"))
}

fn two_tokens() -> Denial {
    Denial::Unreadable("the URL carries two tokens".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_encoded_and_as_pasted() {
        let pasted = spellings("user_email=o+x@example.com");
        assert_eq!(pasted, ["o x@example.com", "o+x@example.com"]);
        let encoded = spellings("user_email=o%2Bx%40example.com");
        assert_eq!(encoded, ["o+x@example.com", "o+x@example.com"]);
    }

    #[test]
    fn a_page_named_beside_the_token_is_made_a_path() {
        for (reference, expected) in [
            ("Settings.aspx", "/Settings.aspx"),
            ("/Settings.aspx", "/Settings.aspx"),
            ("a/b.aspx?at=a@b:c", "/a/b.aspx?at=a@b:c"),
            ("//evil.example", "//evil.example"),
            ("https://evil.example", "//https://evil.example"),
            ("javascript%3aalert(1)", "//javascript%3aalert(1)"),
            ("@evil.example", "//@evil.example"),
        ] {
            assert_eq!(within(reference.to_owned()), expected);
        }
    }

    #[test]
    fn what_is_carried_is_not_shown_with_its_token() {
        assert_eq!(format!("{:?}", Carried::at_path("secret")), "Carried { dialect: None, .. }");
    }
}
