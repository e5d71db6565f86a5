//! `upstream` of one of `[[sites]]`: where its requests go.

use std::path::Path;

use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use url::Url;

use crate::{
    config::{
        raw::{Node, quoted},
        reader::{Reading, Section},
        units,
    },
    gate::site::{Trust, Upstream},
};

/// Reads `upstream`, and `upstream_ca`, whose path is relative to `base`.
pub(super) fn read(section: &mut Section<'_>, base: &Path) -> Option<Upstream> {
    let upstream = section.read("upstream", upstream);
    let ca = section.read("upstream_ca", |node| certificates(node, base));
    let plain = upstream.as_ref().is_some_and(|upstream| upstream.tls.is_none());
    if section.has("upstream_ca") && (plain || !section.has("upstream")) {
        let what = "is for an upstream over TLS; write upstream = \"https://…\", or remove this";
        section.fault("upstream_ca", what);
    }
    upstream.map(|upstream| match (&upstream.tls, ca) {
        (Some(_), Some(pem)) => Upstream { tls: Some(Trust::Own(pem)), ..upstream },
        _ => upstream,
    })
}

fn upstream(node: &Node) -> Reading<Upstream> {
    let text = units::text(node)?;
    let wrong =
        |what: &str| Err(format!("{} {what}; write \"http://127.0.0.1:3000\"", quoted(&text)));
    let Ok(url) = Url::parse(&text) else { return wrong("is not a URL") };
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let (tls, usual) = match url.scheme() {
        "http" => (None, 80),
        "https" => (Some(Trust::System), 443),
        _ => return wrong("begins neither with http:// nor with https://"),
    };
    match url.host_str() {
        Some(_) if !url.username().is_empty() || url.password().is_some() => {
            wrong("has a user name or a password in it")
        }
        Some(_) if !bare => wrong("has more than a host and a port"),
        Some(host) => {
            let port = url.port().unwrap_or(usual);
            Ok(Upstream { authority: format!("{host}:{port}"), tls })
        }
        None => wrong("names no host"),
    }
}

/// Certificates as PEM. They are no secret.
fn certificates(node: &Node, base: &Path) -> Reading<String> {
    let pem = units::secret_file(node, base)?.expose().clone();
    let mut found = 0;
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let wrong = |error| format!("{}: {error}; write certificates as PEM", node.shown());
        certificate.map_err(wrong)?;
        found += 1;
    }
    if found == 0 {
        let what = "has no certificate in it; write that of whoever signed the upstream's, as PEM";
        return Err(format!("{} {what}", node.shown()));
    }
    Ok(pem)
}
