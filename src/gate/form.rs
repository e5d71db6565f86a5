//! How the links of a dialect carry their token: written here, and told apart from what is the
//! application's own. Read back in [`carried`](crate::gate::carried).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::gate::{
    denial::Denial, dialect::Dialect, link, origin::Origin, path, token::LinkClaims,
};

/// All but what RFC 3986 calls unreserved: a `+` is a blank to some, an `@` ends a user to others.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The member of an account where there is none.
const NO_MEMBER: &str = "0";

/// How a dialect's links carry their token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// Whose form it is.
    pub dialect: Dialect,
    /// The path of its links; absent: any page of the site.
    pub path: Option<String>,
    /// The query parameter that holds the token.
    pub parameter: &'static str,
}

impl Form {
    /// The form of a dialect; `language` is the first segment of WISECP's paths.
    pub fn of(dialect: Dialect, language: &str) -> Self {
        let (path, parameter) = match dialect {
            Dialect::Wisecp => (Some(format!("/{language}/sign-in")), "sso_token"),
            Dialect::Activecampaign => (None, "_ssot"),
            Dialect::Activeplatform => (Some("/".to_owned()), "user_token"),
            Dialect::Allclients => (Some("/Login.aspx".to_owned()), "hash"),
            Dialect::Whmcs => (Some("/oauth/singlesignon.php".to_owned()), "access_token"),
        };
        Self { dialect, path, parameter }
    }

    /// The URL that carries `token`, which says `claims`, to the site with this origin.
    ///
    /// `ORIGIN/en/sign-in?sso_token=T` · `ORIGIN/?_ssot=T` · `ORIGIN/?user_email=E&user_token=T` ·
    /// `ORIGIN/Login.aspx?a=ACCOUNT&t=MEMBER&hash=T` · `ORIGIN/oauth/singlesignon.php?access_token=T`
    ///
    /// # Errors
    /// [`Denial::Invalid`] past 2,000 characters.
    pub fn url(&self, origin: &Origin, token: &str, claims: &LinkClaims) -> Result<String, Denial> {
        let path = self.path.as_deref().unwrap_or("/");
        let named = match self.dialect {
            Dialect::Activeplatform => format!("user_email={}&", encoded(&claims.sub)),
            Dialect::Allclients => {
                let (account, member) = account_and_member(&claims.sub);
                format!("a={}&t={}&", encoded(account), encoded(member))
            }
            Dialect::Wisecp | Dialect::Activecampaign | Dialect::Whmcs => String::new(),
        };
        link::bounded([origin.as_str(), path, "?", &named, self.parameter, "=", token].concat())
    }

    /// Whether a request for `path` is for this form's own, byte for byte.
    pub(in crate::gate) fn is_at(&self, path: &str) -> bool {
        self.path.as_deref().is_none_or(|own| own == path)
    }

    /// Whether anybody could take this URL for one of this form, or for a misspelled one.
    ///
    /// Only there do its parameter's name and its neighbours' belong to the gate: `hash` and
    /// `access_token` elsewhere are the application's.
    pub(in crate::gate) fn may_be(&self, path: &str, query: &str) -> bool {
        self.is_named_in(query) && self.path.as_deref().is_none_or(|own| path::may_reach(path, own))
    }

    /// Whether anybody could read this form's parameter in the query.
    pub(in crate::gate) fn is_named_in(&self, query: &str) -> bool {
        // Some of the vendors' own servers read names without case.
        link::may_name(query, |name| name.eq_ignore_ascii_case(self.parameter))
    }
}

/// An AllClients user as its URLs name it: the account, and its member or `0`.
pub(in crate::gate) fn account_and_member(user: &str) -> (&str, &str) {
    user.split_once('/').unwrap_or((user, NO_MEMBER))
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, VALUE).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::gate::{
        id::{MemoryId, TokenId},
        site::Site,
        token::Actor,
    };

    fn site() -> Site {
        let forms = Dialect::ALL.iter().map(|(_, dialect)| Form::of(*dialect, "en")).collect();
        Site { forms, ..Site::of_the_tests() }
    }

    fn claims(dialect: Dialect, user: &str) -> LinkClaims {
        LinkClaims {
            iss: "https://login.example.com".to_owned(),
            aud: "panel".to_owned(),
            sub: user.to_owned(),
            iat: 1,
            exp: 61,
            jti: TokenId::from_bytes([1; 16]),
            mem: MemoryId::from_bytes([2; 16]),
            gate: None,
            dst: None,
            ips: None,
            act: Actor { sub: "billing".to_owned() },
            via: Some(dialect.name().to_owned()),
            page: None,
            ctx: None,
        }
    }

    fn url(dialect: Dialect, user: &str, token: &str) -> Result<String, Denial> {
        Form::of(dialect, "en").url(&site().origin, token, &claims(dialect, user))
    }

    #[test]
    fn each_dialects_links_are_written_as_its_vendor_writes_them() {
        let cases = [
            (Dialect::Wisecp, "joe", "/en/sign-in?sso_token=a.b.c"),
            (Dialect::Activecampaign, "joe", "/?_ssot=a.b.c"),
            (
                Dialect::Activeplatform,
                "o+x&y@example.com",
                "/?user_email=o%2Bx%26y%40example.com&user_token=a.b.c",
            ),
            (Dialect::Allclients, "2425", "/Login.aspx?a=2425&t=0&hash=a.b.c"),
            (Dialect::Allclients, "2425/7", "/Login.aspx?a=2425&t=7&hash=a.b.c"),
            (Dialect::Whmcs, "zoë", "/oauth/singlesignon.php?access_token=a.b.c"),
        ];
        for (dialect, user, expected) in cases {
            let expected = ["https://panel.example.com", expected].concat();
            assert_eq!(url(dialect, user, "a.b.c"), Ok(expected));
        }
        let german = Form::of(Dialect::Wisecp, "de");
        let url = german.url(&site().origin, "a.b.c", &claims(Dialect::Wisecp, "joe")).unwrap();
        assert_eq!(url, "https://panel.example.com/de/sign-in?sso_token=a.b.c");
    }

    #[test]
    fn a_link_has_at_most_2000_characters_all_told() {
        for (name, dialect) in Dialect::ALL {
            let user = "@".repeat(50);
            let rest = url(dialect, &user, "").unwrap().len();
            assert_eq!(url(dialect, &user, &"a".repeat(2_000 - rest)).unwrap().len(), 2_000);
            let denial = url(dialect, &user, &"a".repeat(2_001 - rest)).unwrap_err();
            assert_eq!(denial.public().code, "invalid_request", "{name}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_was_written_is_read_back_and_fits(
            (name, dialect) in prop::sample::select(Dialect::ALL.to_vec()),
            user in "[^\\p{Cc}]{1,60}",
            token in "[A-Za-z0-9_-]{1,40}\\.[A-Za-z0-9_-]{1,200}\\.[A-Za-z0-9_-]{86}",
        ) {
            let url = url(dialect, &user, &token).unwrap();
            let target = url.strip_prefix("https://panel.example.com").unwrap();
            let (path, query) = target.split_once('?').unwrap();
            let carried = site().carried(path, Some(query)).unwrap().unwrap();
            prop_assert_eq!(&carried.token, &token);
            prop_assert!(!carried.skips_page);
            prop_assert_eq!(carried.fits(&claims(dialect, &user)), Ok(()));
            for (other, another) in Dialect::ALL {
                let fits = carried.fits(&claims(another, &user)).is_ok();
                prop_assert_eq!(fits, other == name, "{} in the form of {}", other, name);
            }
        }

        #[test]
        fn a_url_that_carries_no_token_for_sure_is_one_that_nobody_could_read_one_in(
            path in "/[a-zA-Z.%/;]{0,12}|/Login.aspx|/en/sign-in|/oauth/singlesignon.php",
            query in "([&;a-z_]|%[0-9A-F]{2}|hash|_ssot|_once|sso_token|user_token|=|\\[|\\]|\\+){0,12}",
        ) {
            let site = site();
            let none = matches!(site.carried(&path, Some(&query)), Ok(None));
            prop_assert_eq!(none, !site.may_carry_token(&path, &query));
        }
    }
}
