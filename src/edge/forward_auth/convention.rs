//! How each load balancer asks, and how it understands the answer: all that tells them apart.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, Method, Request};
use hyper::body::Incoming;

use crate::{
    edge::{
        forward_auth::PATH,
        intake::{self, Intake},
    },
    gate::{denial::Denial, original::Original, site::Site},
};

const ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");
const ORIGINAL_URL: HeaderName = HeaderName::from_static("x-original-url");
const FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");

/// One load balancer's way to ask.
#[derive(Debug)]
pub(super) struct Convention {
    /// Where it asks, below `/_once/auth/`.
    pub path: &'static str,
    told: Told,
    asks_by: AsksBy,
    style: Style,
}

/// Where it tells of the request it asks about. Nothing else is read: whatever another one would
/// say it with is the visitor's own.
#[derive(Debug, Clone, Copy)]
enum Told {
    /// `X-Original-Method`, and `X-Original-URL` with the whole URL.
    Url,
    /// `X-Forwarded-Method`, `-Proto`, `-Host`, `-Uri`.
    Forwarded,
    /// The question has its method and its host, and its target behind the path where it is
    /// asked; `X-Forwarded-Proto`.
    Itself,
}

/// By which method it asks.
#[derive(Debug, Clone, Copy)]
enum AsksBy {
    Get,
    /// By HEAD where only the status and `Location` are of use to it.
    GetOrHead,
    /// By GET, or by that of the request it asks about.
    GetOrOriginal,
}

/// How it understands an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Whatever is not a success goes to the visitor as it stands.
    Full,
    /// The status alone, and `Location`: 401 with one, 403 without.
    Terse,
    /// As `Full`, to the visitor of a request that has been refused: it never lets anything pass.
    Shown,
}

const ALL: [Convention; 6] = [
    Convention::of("nginx", Told::Url, AsksBy::Get, Style::Terse),
    // nginx shows nothing of a refusal's answer: a named location fetches it here.
    Convention::of("denied", Told::Url, AsksBy::GetOrOriginal, Style::Shown),
    Convention::of("haproxy", Told::Forwarded, AsksBy::GetOrHead, Style::Full),
    Convention::of("caddy", Told::Forwarded, AsksBy::Get, Style::Full),
    Convention::of("traefik", Told::Forwarded, AsksBy::GetOrOriginal, Style::Full),
    Convention::of("envoy", Told::Itself, AsksBy::GetOrOriginal, Style::Full),
];

impl Convention {
    const fn of(path: &'static str, told: Told, asks_by: AsksBy, style: Style) -> Self {
        Self { path, told, asks_by, style }
    }

    /// Whose questions are answered at this path.
    pub(super) fn at(path: &str) -> Option<&'static Self> {
        ALL.iter().find(|convention| match (convention.told, convention.below(path)) {
            (Told::Itself, Some(target)) => target.starts_with('/'),
            (Told::Url | Told::Forwarded, Some(rest)) => rest.is_empty(),
            (_, None) => false,
        })
    }

    /// How the answer to a question by this method is understood.
    pub(super) fn style(&self, asked_by: &Method) -> Style {
        if *asked_by == Method::HEAD && matches!(self.asks_by, AsksBy::GetOrHead) {
            Style::Terse
        } else {
            self.style
        }
    }

    /// The request that is asked about.
    ///
    /// # Errors
    /// [`Denial::Unreadable`] for a header that is missing, there twice, or no text;
    /// [`Denial::MethodNotAllowed`] for a question by another method; what [`Original`] refuses.
    pub(super) fn original<'r>(
        &self,
        sites: &[Arc<Site>],
        intake: &Intake,
        asked: &'r Request<Incoming>,
    ) -> Result<Original<'r>, Denial> {
        let headers = asked.headers();
        let original = match self.told {
            Told::Url => {
                let method = only(headers, &ORIGINAL_METHOD)?;
                Original::of_url(sites, method, only(headers, &ORIGINAL_URL)?)
            }
            Told::Forwarded => Original::of_parts(
                sites,
                only(headers, &FORWARDED_METHOD)?,
                only(headers, &FORWARDED_PROTO)?,
                only(headers, &FORWARDED_HOST)?,
                only(headers, &FORWARDED_URI)?,
            ),
            Told::Itself => {
                let scheme = only(headers, &FORWARDED_PROTO)?;
                let target = self.below(intake::target(asked.uri())).unwrap_or_default();
                let method = asked.method().as_str();
                Original::of_parts(sites, method, scheme, &intake.authority, target)
            }
        }?;
        self.is_asked_by(asked.method(), &original.method)?;
        Ok(original)
    }

    fn is_asked_by(&self, asked: &Method, original: &Method) -> Result<(), Denial> {
        let (further, methods) = match self.asks_by {
            AsksBy::Get => (None, "GET"),
            AsksBy::GetOrHead => (Some(&Method::HEAD), "GET, HEAD"),
            AsksBy::GetOrOriginal => (Some(original), "GET"),
        };
        let taken = *asked == Method::GET || Some(asked) == further;
        if taken { Ok(()) } else { Err(Denial::MethodNotAllowed(methods)) }
    }

    /// What follows the path where it asks.
    fn below<'p>(&self, path: &'p str) -> Option<&'p str> {
        path.strip_prefix(PATH)?.strip_prefix(self.path)
    }
}

/// The one line of a header that must be there.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<&'h str, Denial> {
    let mut lines = headers.get_all(name).iter();
    let why = match (lines.next().map(|line| line.to_str()), lines.next()) {
        (Some(Ok(text)), None) if !text.is_empty() => return Ok(text),
        (Some(Ok(_)) | None, None) => "is missing",
        (_, Some(_)) => "is there twice",
        (Some(Err(_)), None) => "is no text",
    };
    Err(Denial::Unreadable(format!("the load balancer's {name} {why}")))
}
