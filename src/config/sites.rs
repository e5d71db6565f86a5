//! `[[sites]]`: the protected applications.

use std::path::Path;

use url::Url;

use crate::{
    config::{
        checked::Found,
        headers,
        raw::{Node, quoted},
        reader::{Reading, Section, one_of},
        units, upstream,
    },
    gate::{
        denial::Denial,
        destination::{AllowedUrl, Catalogue, Template},
        glob::Globs,
        host::HostPattern,
        origin::Origin,
        site::{Anonymous, Handoff, Site},
        spoken::DialectRules,
        template,
    },
};

/// Where an admission goes, before its path is known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Handing {
    Session,
    Callback,
}

const HANDING: [(&str, Handing); 2] =
    [("session", Handing::Session), ("callback", Handing::Callback)];

/// Reads one of `[[sites]]`, whose paths are relative to `base`, with the forms of the `dialects`
/// that open it.
pub(super) fn read(
    mut section: Section<'_>,
    dialects: &[Found<DialectRules>],
    base: &Path,
) -> Option<Found<Site>> {
    let name = section.require("name", units::name, "name = \"panel\"");
    let origin = section.require("origin", origin, "origin = \"https://panel.example.com\"");
    let hosts = hosts(&mut section, origin.as_ref());
    let upstream = upstream::read(&mut section, base);
    let handoff = handoff(&mut section, upstream.is_some());
    let home = section.read_or("home", path, "/".to_owned());
    let anonymous = section.read_or("anonymous", anonymous, Anonymous::Refuse);
    let public = public(&mut section);
    let allow_urls = section.list("allow_urls", allowed).unwrap_or_default();
    let headers = headers::read(&mut section);
    let templates = destinations(&mut section);
    let named: Vec<(String, usize)> =
        templates.iter().map(|(name, template)| (name.clone(), template.places())).collect();
    let mut destinations = Catalogue::default();
    for (name, template) in templates {
        destinations.insert(name, template);
    }
    let good = name.is_some() && origin.is_some() && public.is_some();
    // Its paths are judged even where its origin is wrong: every fault at once.
    let origin = origin.or_else(|| Origin::parse("https://panel.example.com").ok());
    let public = public.or_else(|| Globs::paths::<&str>(&[]).ok());
    let name = name.unwrap_or_default();
    let path = section.path().to_owned();
    let forms = dialects.iter().filter(|rules| rules.value.site == name);
    let forms = forms.map(|rules| rules.value.form.clone()).collect();
    let site = origin.zip(public).map(|(origin, public)| Site {
        name,
        origin,
        hosts,
        upstream,
        home,
        anonymous,
        public,
        handoff,
        allow_urls,
        headers,
        destinations,
        forms,
    });
    if let Some(site) = &site {
        paths_are_destinations(&section, site);
        named_are_destinations(&section, site, &named);
    }
    section.done();
    site.filter(|_| good).map(|value| Found { path, value })
}

fn origin(node: &Node) -> Reading<Origin> {
    let text = units::text(node)?;
    let origin = Origin::parse(&text).map_err(|error| {
        let near = Url::parse(&text).ok().map(|url| url.origin()).filter(url::Origin::is_tuple);
        let near = near.map_or_else(
            || "https://panel.example.com".to_owned(),
            |near| near.ascii_serialization(),
        );
        format!("{} is not an origin: {}; write {near:?}", quoted(&text), error.why)
    })?;
    if !origin.is_secure() && !origin.is_loopback() {
        let near = format!("https://{}", origin.authority());
        return Err(format!("http is for loopback only; write {near:?}"));
    }
    Ok(origin)
}

/// Further hosts, by the scheme of the origin.
fn hosts(section: &mut Section<'_>, origin: Option<&Origin>) -> Vec<HostPattern> {
    let secure = origin.is_none_or(Origin::is_secure);
    let hosts = section.list("hosts", |node| {
        let text = units::text(node)?;
        let near = "write \"panel.example.org\" or \"*.customers.example.com\"";
        let host = HostPattern::parse(&text, if secure { "https" } else { "http" })
            .map_err(|why| format!("{} is not a host: {why}; {near}", quoted(&text)))?;
        if !secure && !host.is_loopback() {
            return Err(format!(
                "{} would be visited over http, as the origin is, which is for loopback only; \
                 write an https origin",
                quoted(&text)
            ));
        }
        Ok(host)
    });
    hosts.unwrap_or_default()
}

fn handoff(section: &mut Section<'_>, has_upstream: bool) -> Handoff {
    let handing = section.read_or("handoff", one_of(&HANDING), Handing::Session);
    let callback = section.read("callback", |node| {
        let path = path(node)?;
        if path.contains(['?', '#']) {
            return Err(format!("{} has more than a path; write \"/sso\"", quoted(&path)));
        }
        Ok(path)
    });
    match (handing, callback) {
        (Handing::Session, None) => Handoff::Session,
        (Handing::Session, Some(_)) => {
            let what = "is for handoff = \"callback\" alone; write that, or remove this";
            section.fault("callback", what);
            Handoff::Session
        }
        (Handing::Callback, callback) => {
            if !section.has("callback") {
                section.ledger.missing(&section.path_of("callback"), "callback = \"/sso\"");
            }
            if !has_upstream && !section.has("upstream") {
                let what = "\"callback\" needs an upstream to call; write \
                            upstream = \"http://127.0.0.1:3000\"";
                section.fault("handoff", what);
            }
            callback.map_or(Handoff::Session, Handoff::Callback)
        }
    }
}

fn anonymous(node: &Node) -> Reading<Anonymous> {
    let text = units::text(node)?;
    match text.as_str() {
        "refuse" => Ok(Anonymous::Refuse),
        "pass" => Ok(Anonymous::Pass),
        login if login.starts_with('/') => Ok(Anonymous::Login(text)),
        login => match units::web_url(login) {
            Ok(_) => Ok(Anonymous::Login(text)),
            Err(why) => {
                let shown = quoted(&text);
                Err(format!(
                    "{shown} {why}; write \"refuse\", \"pass\" or \"https://example.com/login\""
                ))
            }
        },
    }
}

fn public(section: &mut Section<'_>) -> Option<Globs> {
    let globs = section.list("public", |node| {
        let glob = units::text(node)?;
        if !glob.starts_with('/') {
            let near = format!("/{}", glob.trim_start_matches("./"));
            return Err(format!("{} does not begin with /; write {near:?}", quoted(&glob)));
        }
        Globs::paths(&[&glob]).map_err(|error| format!("{error}; write \"/assets/**\""))?;
        Ok(glob)
    });
    // Each was a glob by itself; together they can only be too many.
    let globs = Globs::paths(&globs.unwrap_or_default());
    globs.map_err(|error| section.fault("public", error.to_string())).ok()
}

fn allowed(node: &Node) -> Reading<AllowedUrl> {
    let text = units::text(node)?;
    AllowedUrl::parse(&text).map_err(|error| {
        let shown = quoted(&text);
        format!("{shown} cannot be allowed: {}; write \"https://other.example.com\"", error.why)
    })
}

fn destinations(section: &mut Section<'_>) -> Vec<(String, Template)> {
    section.entries("destinations", |name, node| {
        if !template::is_name(name) {
            let what = "is not a destination's name; use letters, digits, \".\", \"_\" and \"-\"";
            return Err(what.to_owned());
        }
        Template::parse(&units::text(node)?).map_err(|error| error.to_string())
    })
}

fn path(node: &Node) -> Reading<String> {
    let text = units::text(node)?;
    if !text.starts_with('/') {
        return Err(format!(
            "{} is not a path; write \"/{}\"",
            quoted(&text),
            text.trim_start_matches("./")
        ));
    }
    Ok(text)
}

/// The paths the gate itself sends people to are judged like any destination.
fn paths_are_destinations(section: &Section<'_>, site: &Site) {
    let login = match &site.anonymous {
        Anonymous::Login(login) if login.starts_with('/') => Some(login),
        _ => None,
    };
    let callback = match &site.handoff {
        Handoff::Callback(path) => Some(path),
        Handoff::Session => None,
    };
    for (key, path) in [("home", Some(&site.home)), ("anonymous", login), ("callback", callback)] {
        if let Some(Err(denial)) = path.map(|path| site.judge_destination(path)) {
            let why = match denial {
                Denial::DestinationNotAllowed(why) => why,
                denial => denial.to_string(),
            };
            section.fault(key, format!("{why}; write a path such as \"/login\""));
        }
    }
    if callback.is_some() && site.anonymous == Anonymous::Refuse {
        let what = "refuses whoever signed in by callback: the application keeps that session, not \
                    the gate; write anonymous = \"pass\"";
        section.ledger.warn(&section.path_of("anonymous"), what);
    }
    if let Some(login) =
        login.filter(|login| site.upstream.is_some() && !site.public.matches(path_of(login)))
    {
        let what = format!(
            "{login:?} is not in public: whoever is not signed in is sent there in circles"
        );
        section.ledger.warn(&section.path_of("anonymous"), &what);
    }
}

/// So are the named destinations, as far as they are the same whatever their values.
fn named_are_destinations(section: &Section<'_>, site: &Site, named: &[(String, usize)]) {
    for (name, places) in named {
        if site.destination(name, &vec!["0".to_owned(); *places], None).is_err() {
            let what = "leads to the gate's own pages, or carries what a link's token is called";
            section.fault(&format!("destinations.{name}"), format!("{what}; write another path"));
        }
    }
}

fn path_of(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}
