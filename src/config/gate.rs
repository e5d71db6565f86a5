//! `[gate]`: who this gate is, and `[keys]`: where its keys are.

use std::path::{Path, PathBuf};

use crate::config::{
    raw::quoted,
    reader::{Reading, Section},
    units,
};

/// Who this gate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateRules {
    /// Its name, `[a-z0-9-]+`: tokens carry it, and the state directory remembers it.
    pub name: String,
    /// The `iss` of everything it signs, as written.
    pub issuer: String,
}

/// Reads `[gate]`; `host` is this machine's name.
pub(super) fn read(mut section: Section<'_>, host: &str) -> Option<GateRules> {
    let name = section.read("name", units::name);
    let name = if section.has("name") { name } else { from_host(&section, host) };
    let issuer = |node: &_| {
        let text = units::text(node)?;
        issuer(&text)
            .map_err(|why| format!("{} {why}; write \"https://login.example.com\"", quoted(&text)))
    };
    let issuer = section.require("issuer", issuer, "issuer = \"https://login.example.com\"");
    section.done();
    Some(GateRules { name: name?, issuer: issuer? })
}

/// Reads `[keys]`.
pub(super) fn keys_dir(mut section: Section<'_>, base: &Path) -> PathBuf {
    let dir = section.read_or("dir", units::path, PathBuf::from("keys"));
    section.done();
    base.join(dir)
}

fn from_host(section: &Section<'_>, host: &str) -> Option<String> {
    let label = host.split('.').next().unwrap_or_default().to_lowercase();
    if units::is_name(&label) {
        return Some(label);
    }
    let what =
        format!("the host name {host:?} is not a name of a-z, 0-9 and -; write name = \"gate-a\"");
    section.fault("name", what);
    None
}

fn issuer(text: &str) -> Reading<String> {
    let url = units::web_url(text)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query or a fragment".to_owned());
    }
    Ok(text.to_owned())
}
