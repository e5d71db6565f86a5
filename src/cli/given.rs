//! What a person pastes: a token, or the link that carries it in any form that a site takes.

use std::{slice, sync::Arc};

use url::{Position, Url};

use crate::gate::{
    carried::Carried,
    denial::Denial,
    link,
    site::{Site, Visited},
};

/// A token, and what its link says.
#[derive(Debug, PartialEq, Eq)]
pub enum Given {
    /// A token alone.
    Token(String),
    /// A link.
    Link(Carried),
}

impl Given {
    /// Whether a token may be in a text, whatever the sites: a link has one in its query, or at the
    /// native path.
    pub fn may_be_in(text: &str) -> bool {
        let text = text.trim();
        url(text).map_or(!text.is_empty(), |url| {
            url.query().is_some() || url.path().starts_with(link::PATH)
        })
    }

    /// Reads a text as the gate of these sites would; nothing, where no token is in it.
    ///
    /// A link of another origin is read as any of the sites would.
    ///
    /// # Errors
    /// As [`Site::carried`].
    pub fn read(text: &str, sites: &[Arc<Site>]) -> Result<Option<Self>, Denial> {
        let text = text.trim();
        let Some(url) = url(text) else {
            return Ok((!text.is_empty()).then(|| Self::Token(text.to_owned())));
        };
        let authority = &url[Position::BeforeHost..Position::AfterPort];
        let own = Visited::find(sites, authority).map(|at| at.site);
        let asked = own.as_ref().map_or(sites, slice::from_ref);
        let link = asked.iter().find_map(|site| carried(&url, site).transpose()).transpose()?;
        Ok(link.filter(|link| !link.token.is_empty()).map(Self::Link))
    }

    /// The token.
    pub fn token(&self) -> &str {
        match self {
            Self::Token(token) => token,
            Self::Link(carried) => &carried.token,
        }
    }

    /// What the link says, where it is one.
    pub fn link(&self) -> Option<&Carried> {
        match self {
            Self::Token(_) => None,
            Self::Link(carried) => Some(carried),
        }
    }
}

fn url(text: &str) -> Option<Url> {
    text.contains("://").then(|| Url::parse(text).ok()).flatten()
}

fn carried(url: &Url, site: &Site) -> Result<Option<Carried>, Denial> {
    match (site.carried(url.path(), url.query())?, url.path().strip_prefix(link::PATH)) {
        (Some(_), Some(_)) => Err(Denial::Unreadable("the URL carries two tokens".to_owned())),
        (None, Some(token)) => Ok(Some(Carried::at_path(token))),
        (carried, None) => Ok(carried),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::{dialect::Dialect, form::Form, origin::Origin};

    fn site(name: &str, dialects: &[Dialect]) -> Arc<Site> {
        Arc::new(Site {
            name: name.to_owned(),
            origin: Origin::parse(&format!("https://{name}.example.com")).unwrap(),
            forms: dialects.iter().map(|dialect| Form::of(*dialect, "en")).collect(),
            ..Site::of_the_tests()
        })
    }

    fn read(text: &str) -> Result<Option<String>, Denial> {
        let all = Dialect::ALL.map(|(_, dialect)| dialect);
        let given = Given::read(text, &[site("shop", &[]), site("panel", &all)])?;
        Ok(given.map(|given| given.token().to_owned()))
    }

    #[test]
    fn a_token_is_found_in_every_form_of_a_link() {
        for text in [
            "a.b.c",
            " a.b.c\n",
            "https://panel.example.com/_once/l/a.b.c",
            "https://panel.example.com/_once/l/a.b.c?x=1#y",
            "https://panel.example.com/page?x=1&_once=a.b.c",
            "https://panel.example.com/en/sign-in?sso_token=a.b.c",
            "https://panel.example.com/reports?x=1&_ssot=a.b.c",
            "https://panel.example.com/?user_email=o+x@example.com&user_token=a.b.c",
            "https://panel.example.com/Login.aspx?a=2425&t=0&hash=a.b.c&delay=0",
            "https://panel.example.com/oauth/singlesignon.php?access_token=a.b.c",
            "https://elsewhere.example/oauth/singlesignon.php?access_token=a.b.c",
        ] {
            assert_eq!(read(text), Ok(Some("a.b.c".to_owned())), "{text}");
            assert!(Given::may_be_in(text), "{text}");
        }
    }

    #[test]
    fn where_the_gate_sees_no_token_there_is_none() {
        for text in [
            "",
            " \n",
            "https://panel.example.com/page",
            "https://panel.example.com/_once/l/",
            "https://panel.example.com/page?hash=a.b.c",
            "https://shop.example.com/en/sign-in?sso_token=a.b.c",
        ] {
            assert_eq!(read(text), Ok(None), "{text}");
        }
        for text in ["", " \n", "https://panel.example.com/page"] {
            assert!(!Given::may_be_in(text), "{text}");
        }
    }

    #[test]
    fn a_link_with_two_tokens_is_refused() {
        for target in [
            "en/sign-in?sso_token=a.b.c&_once=a.b.c",
            "en/sign-in?sso_token=a.b.c&sso_token=a.b.c",
            "_once/l/a.b.c?_once=a.b.c",
        ] {
            let denial = read(&format!("https://panel.example.com/{target}")).unwrap_err();
            assert_eq!(denial, Denial::Unreadable("the URL carries two tokens".to_owned()));
        }
    }
}
