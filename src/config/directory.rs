//! `[directory]`: where issuing looks users up.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use url::Url;

use crate::{
    config::{
        raw::{Node, quoted},
        reader::{Reading, Section},
        units,
    },
    gate::secret::Secret,
};

/// How long one answer may take where nobody sets it.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How long an answer may be remembered where nobody sets it.
const CACHE: Duration = Duration::from_secs(5);

/// Where issuing looks users, accounts and resellers up.
#[derive(Debug, Clone, Default)]
pub enum DirectorySource {
    /// Nowhere: names pass through.
    #[default]
    None,
    /// In a TOML file, read again when it changes.
    File(PathBuf),
    /// At the user's own service.
    Http {
        /// `https://…`, or `http://` on loopback; without a `/` at its end, unless its path is
        /// nothing else, and without user info, query and fragment.
        url: Url,
        /// The bearer token.
        token: Option<Secret<String>>,
        /// How long one answer may take.
        timeout: Duration,
        /// How long an answer may be remembered.
        cache: Duration,
    },
}

/// Reads `[directory]`, whose paths are relative to `base`.
pub(super) fn read(mut section: Section<'_>, base: &Path) -> DirectorySource {
    let file = section.read("file", units::path);
    let url = section.read("url", url);
    let token = token(&mut section, base);
    let timeout = section.read_or("timeout", units::duration, TIMEOUT);
    let cache = section.read_or("cache", units::duration, CACHE);
    match (section.has("file"), section.has("url")) {
        (true, true) => section.fault("url", "is given beside file; remove one of them"),
        (false, false) => {
            let example = "file = \"directory.toml\", or url = \"https://users.example.com\"";
            section.ledger.missing(&section.path_of("file"), example);
        }
        (true, false) => {
            for key in ["token", "token_file", "timeout", "cache"] {
                if section.has(key) {
                    section.fault(key, "is for a directory with a url; remove it");
                }
            }
        }
        (false, true) => {}
    }
    section.done();
    match (file, url) {
        (Some(file), _) => DirectorySource::File(base.join(file)),
        (None, Some(url)) => DirectorySource::Http { url, token, timeout, cache },
        (None, None) => DirectorySource::None,
    }
}

fn url(node: &Node) -> Reading<Url> {
    let text = units::text(node)?;
    let wrong = |why: &str| format!("{} {why}; write \"https://users.example.com\"", quoted(&text));
    let mut url = units::web_url(&text).map_err(wrong)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("has a query or a fragment"));
    }
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty();
    }
    Ok(url)
}

/// The bearer token: in the file, or in one beside it.
fn token(section: &mut Section<'_>, base: &Path) -> Option<Secret<String>> {
    let written = section.read("token", |node| bearer(units::secret(node)?));
    let filed = section.read("token_file", |node| bearer(units::private_file(node, base)?));
    if section.has("token") && section.has("token_file") {
        section.fault("token_file", "is given beside token; remove one of them");
    }
    written.or(filed)
}

/// What an `Authorization` header can carry (RFC 6750, 2.1); a wrong one is not quoted.
fn bearer(token: Secret<String>) -> Reading<Secret<String>> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
    if token.expose().is_empty() || !token.expose().bytes().all(plain) {
        let what = "is not a bearer token; write letters, digits and - . _ ~ + / = alone";
        return Err(what.to_owned());
    }
    Ok(token)
}
