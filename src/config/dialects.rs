//! `[dialects.NAME]`: the other vendors' issuing APIs that are spoken, and the site of each.

use crate::{
    config::{
        checked::Found,
        raw::{Node, quoted},
        reader::{Reading, Section},
        units,
    },
    gate::{
        dialect::Dialect,
        form::Form,
        link::{self, LinkRules},
        spoken::DialectRules,
    },
};

/// The first segment of WISECP's paths where nobody sets another.
const LANGUAGE: &str = "en";

/// Where the gate's own API is, beside the vendors'.
const OWN_API: [&str; 2] = ["/v1/", "/openapi.json/"];

/// Reads `[dialects]`: a table for each that is spoken.
pub(super) fn read(mut section: Section<'_>, links: &LinkRules) -> Vec<Found<DialectRules>> {
    let spoken = Dialect::ALL.into_iter().filter_map(|(name, dialect)| {
        let table = section.optional(name)?;
        rules(dialect, table, links)
    });
    let spoken = spoken.collect();
    section.done();
    spoken
}

fn rules(
    dialect: Dialect,
    mut section: Section<'_>,
    links: &LinkRules,
) -> Option<Found<DialectRules>> {
    let site = section.require("site", units::text, "site = \"panel\"");
    let base = section.read("base", base);
    let ttl = section.read("ttl", units::seconds);
    if ttl.is_some_and(|ttl| ttl > links.max_ttl) {
        let what = format!("is longer than links.max_ttl; write \"{}s\" or less", links.max_ttl);
        section.fault("ttl", what);
    }
    let language = match dialect {
        Dialect::Wisecp => section.read("language", language),
        _ => None,
    };
    let path = section.path().to_owned();
    section.done();
    let value = DialectRules {
        dialect,
        site: site?,
        base,
        // What nobody wrote is no fault: the default gives way.
        ttl: ttl.unwrap_or_else(|| dialect.default_ttl().min(links.max_ttl)),
        form: Form::of(dialect, language.as_deref().unwrap_or(LANGUAGE)),
    };
    Some(Found { path, value })
}

/// The path before the vendor's own, with a `/` at both ends however it was written: `"/api"` and
/// `"/api/"` are one base.
fn base(node: &Node) -> Reading<String> {
    let text = units::text(node)?;
    let shown = quoted(&text);
    let Some(rest) = text.strip_prefix('/') else {
        let near = format!("/{}", text.trim_start_matches("./"));
        return Err(format!("{shown} does not begin with /; write {near:?}"));
    };
    if rest.is_empty() {
        return Ok("/".to_owned());
    }
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if !rest.split('/').all(is_segment) {
        return Err(format!("{shown} is not the path of an API; write \"/api/\""));
    }
    let base = format!("/{rest}/");
    if link::is_gates_own(&base) {
        return Err(format!("{shown} is the gate's own path; write \"/api/\""));
    }
    if OWN_API.iter().any(|own| base.to_ascii_lowercase().starts_with(own)) {
        return Err(format!("{shown} is the path of the gate's own API; write \"/api/\""));
    }
    Ok(base)
}

/// Whether a segment of a path reads alike however it is read: nothing that is encoded, and no
/// step upwards.
fn is_segment(segment: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    !segment.is_empty() && segment.bytes().all(plain) && segment.bytes().any(|b| b != b'.')
}

/// A segment such as `en` or `pt-br`.
fn language(node: &Node) -> Reading<String> {
    let text = units::text(node)?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if !(1..=35).contains(&text.len()) || !text.bytes().all(plain) {
        let shown = quoted(&text);
        return Err(format!("{shown} is not a language of a-z, 0-9, - and _; write \"en\""));
    }
    if link::is_gates_own(&format!("/{text}/sign-in")) {
        return Err(format!("{} is the gate's own path; write \"en\"", quoted(&text)));
    }
    Ok(text)
}
