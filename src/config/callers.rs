//! `[[callers]]`: the services that may ask for links, and what they may do.

use std::path::Path;

use crate::{
    config::{
        checked::Found,
        keys, login,
        raw::{Node, Value, quoted},
        reader::{Reading, Section, nearest, one_of},
        records, units,
    },
    gate::{
        caller::{Caller, Permissions, Rate},
        certificate::CertificateName,
        client_ip::Networks,
        dialect::Dialect,
        glob::Globs,
        link::LinkRules,
        page::Page,
    },
};

/// The longest lifetime of a caller's links where it sets none, in seconds.
const MAX_TTL: u64 = 5 * 60;

const MAY: [(&str, May); 4] = [
    ("issue", May::Issue),
    ("redeem", May::Redeem),
    ("revoke", May::Revoke),
    ("inspect", May::Inspect),
];

/// One thing a caller may do.
#[derive(Clone, Copy)]
enum May {
    Issue,
    Redeem,
    Revoke,
    Inspect,
}

/// Reads one of `[[callers]]`.
pub(super) fn read(
    mut section: Section<'_>,
    links: &LinkRules,
    base: &Path,
) -> Option<Found<Caller>> {
    let name = section.require("name", units::name, "name = \"billing\"");
    let login = login::read(&mut section, base);
    let certificates = section.list("certificate", certificate).unwrap_or_default();
    let others = ["username", "password", "password_file", "certificate"];
    let known_otherwise = others.iter().any(|key| section.has(key));
    let keys = keys::read(&mut section, base, known_otherwise);
    let sites = sites(&mut section);
    let may = permissions(&mut section);
    let users = globs(&mut section, "users", &["*"]);
    let destinations = globs(&mut section, "destinations", &["*"]);
    let claims = globs(&mut section, "claims", &[]);
    let from = networks(&mut section);
    let max_ttl = section.read_or("max_ttl", units::seconds, MAX_TTL.min(links.max_ttl));
    let page = section.read("page", one_of(&Page::ALL));
    let rate = section.read_or("rate", units::rate, Rate { count: 50, seconds: 1 });
    let dialects = dialects(&mut section);
    let reseller = section.read("reseller", units::number(1, records::LARGEST_ID));
    let sign_on_url = section.read_or("sign_on_url", units::flag, false);
    let path = section.path().to_owned();
    section.done();
    let value = Caller {
        name: name?,
        keys,
        certificates,
        sites,
        may,
        users: users?,
        destinations: destinations?,
        claims: claims?,
        from,
        max_ttl,
        page,
        rate,
        dialects,
        username: login.username,
        password: login.password,
        reseller,
        sign_on_url,
    };
    Some(Found { path, value })
}

fn certificate(node: &Node) -> Reading<CertificateName> {
    let text = units::text(node)?;
    text.parse().map_err(|why| format!("{} {why}", quoted(&text)))
}

fn dialects(section: &mut Section<'_>) -> Vec<Dialect> {
    let mut dialects = section.list("dialects", dialect).unwrap_or_default();
    dialects.sort_unstable();
    dialects.dedup();
    dialects
}

fn dialect(node: &Node) -> Reading<Dialect> {
    let text = units::text(node)?;
    text.parse().map_err(|_| {
        let names = Dialect::ALL.map(|(name, _)| name);
        let near = nearest(&text, &names).map_or_else(
            || format!("write one of {names:?}"),
            |near| format!("did you mean {near:?}?"),
        );
        format!("{} is not a dialect; {near}", quoted(&text))
    })
}

fn sites(section: &mut Section<'_>) -> Vec<String> {
    let example = "sites = [\"panel\"]";
    let sites = section.list("sites", units::text);
    match &sites {
        None if !section.has("sites") => {
            section.ledger.missing(&section.path_of("sites"), example);
        }
        Some(sites) if sites.is_empty() => {
            section.fault("sites", format!("names no site; write {example}"));
        }
        _ => {}
    }
    sites.unwrap_or_default()
}

fn permissions(section: &mut Section<'_>) -> Permissions {
    let may = section.list("may", |node| one_of(&MAY)(node));
    let mut permissions = Permissions::default();
    for may in may.unwrap_or_else(|| vec![May::Issue]) {
        match may {
            May::Issue => permissions.issue = true,
            May::Redeem => permissions.redeem = true,
            May::Revoke => permissions.revoke = true,
            May::Inspect => permissions.inspect = true,
        }
    }
    permissions
}

fn globs(section: &mut Section<'_>, key: &'static str, default: &[&str]) -> Option<Globs> {
    let globs = section.list(key, |node: &Node| -> Reading<String> {
        let glob = match &node.value {
            // Users are often numbered.
            Value::Integer(number) => number.clone(),
            _ => units::text(node)?,
        };
        Globs::names(&[&glob]).map_err(|error| format!("{error}; write \"*\""))?;
        Ok(glob)
    });
    let globs = globs.unwrap_or_else(|| default.iter().map(|&glob| glob.to_owned()).collect());
    // Each was a glob by itself; together they can only be too many.
    Globs::names(&globs).map_err(|error| section.fault(key, error.to_string())).ok()
}

fn networks(section: &mut Section<'_>) -> Networks {
    let networks = section.list("from", units::network).unwrap_or_default();
    Networks::parse(&networks).unwrap_or_default()
}
