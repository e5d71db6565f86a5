//! From the files to how TLS begins: version 1.2 or 1.3, `h2` or `http/1.1`, no early data.

use std::{path::Path, sync::Arc};

use rustls::{
    Error, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{
        CertificateDer, CertificateRevocationListDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
    time_provider::TimeProvider,
    version::{TLS12, TLS13},
};

use crate::{
    config::Tls,
    store::certificates::{
        CertificateError, Certificates, RevocationList, Server,
        files::Contents,
        names::{of_list, validity},
    },
};

/// How TLS begins with what the files hold.
///
/// # Errors
/// [`CertificateError`].
pub(super) fn certificates(
    files: &Tls,
    contents: &Contents,
    clock: &Arc<dyn TimeProvider>,
) -> Result<Certificates, CertificateError> {
    let provider = Arc::new(ring::default_provider());
    let now = clock.current_time().map_or(0, |now| now.as_secs());
    let (pair, expires) = pair(files, contents, &provider, now)?;
    let resolver = Arc::new(SingleCertAndKey::from(pair));
    let broken = |why: Error| {
        let what = format!("cannot be used for TLS: {why}");
        CertificateError::new(&files.cert, what, "have it made anew")
    };
    let server = |callers: Option<Arc<dyn ClientCertVerifier>>| {
        let builder = ServerConfig::builder_with_details(provider.clone(), clock.clone())
            .with_protocol_versions(&[&TLS13, &TLS12])?;
        let builder = match callers.clone() {
            None => builder.with_no_client_auth(),
            Some(verifier) => builder.with_client_cert_verifier(verifier),
        };
        let mut config = builder.with_cert_resolver(resolver.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Early data may be a replay (RFC 8470).
        config.max_early_data_size = 0;
        if callers.is_some() {
            // A resumed session would bring back a caller's certificate without another look at it.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        } else {
            config.ticketer = ring::Ticketer::new()?;
        }
        Ok(Arc::new(Server { config: Arc::new(config), callers }))
    };
    let public = server(None).map_err(broken)?;
    let mut all = Certificates {
        api: public.clone(),
        public,
        expires,
        client_ca_expires: None,
        client_crl: None,
    };
    if let Some(callers) = verifier(files, contents, &provider)? {
        all.api = server(Some(callers.judge)).map_err(broken)?;
        (all.client_ca_expires, all.client_crl) = (Some(callers.expires), callers.list);
    }
    Ok(all)
}

/// The gate's own certificate with its key, and when it expires.
fn pair(
    files: &Tls,
    contents: &Contents,
    provider: &CryptoProvider,
    now: u64,
) -> Result<(CertifiedKey, u64), CertificateError> {
    let chain: Vec<CertificateDer<'static>> = all(&files.cert, &contents.cert, "a certificate")?;
    let leaf = chain.first().ok_or_else(|| none(&files.cert, "certificate"))?;
    let wrong = |what: String, fix: &str| CertificateError::new(&files.cert, what, fix);
    let (from, until) = validity(leaf).map_err(|why| {
        wrong(format!("is not a certificate: {why}"), "write the certificate in PEM")
    })?;
    if until <= now {
        return Err(wrong("has expired".to_owned(), "have it renewed"));
    }
    if from > now {
        return Err(wrong("is not valid yet".to_owned(), "see that the clock is right"));
    }
    let key = key(&files.key, contents.key.expose())?;
    let pair = CertifiedKey::from_der(chain, key, provider).map_err(|why| match why {
        Error::InconsistentKeys(_) => wrong(
            format!("is not the certificate of {}", files.key.display()),
            "name the key it was made with",
        ),
        Error::General(_) => CertificateError::new(
            &files.key,
            "is of a kind that is not supported",
            "use ECDSA P-256 or P-384, Ed25519, or RSA of 2048 bits or more",
        ),
        why => wrong(format!("cannot be used for TLS: {why}"), "have it made anew"),
    })?;
    Ok((pair, until))
}

fn key(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, CertificateError> {
    if pem.windows(9).any(|window| window == b"ENCRYPTED") {
        let fix = format!("openssl pkey -in {} -out a file without a passphrase", path.display());
        return Err(CertificateError::new(path, "is encrypted", fix));
    }
    // What the parser says might quote the key.
    PrivateKeyDer::from_pem_slice(pem)
        .map_err(|_| CertificateError::new(path, "has no private key", "write the key in PEM"))
}

/// Who verifies callers' certificates.
struct Verifier {
    judge: Arc<dyn ClientCertVerifier>,
    /// When the first of those who sign them expires.
    expires: u64,
    /// The first list to go out of date.
    list: Option<RevocationList>,
}

/// Who verifies callers' certificates, if anybody does.
fn verifier(
    files: &Tls,
    contents: &Contents,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Verifier>, CertificateError> {
    let (Some(path), Some(pem)) = (&files.client_ca, &contents.client_ca) else { return Ok(None) };
    let wrong = |what: String| CertificateError::new(path, what, "write certificates in PEM");
    let (mut roots, mut expires) = (RootCertStore::empty(), u64::MAX);
    for root in all::<CertificateDer<'static>>(path, pem, "a certificate")? {
        let (_, until) =
            validity(&root).map_err(|why| wrong(format!("is not a certificate: {why}")))?;
        expires = expires.min(until);
        roots.add(root).map_err(|why| wrong(format!("cannot be used: {why}")))?;
    }
    if roots.is_empty() {
        return Err(none(path, "certificate"));
    }
    // Asked for and not demanded: a caller may have a key instead.
    let mut builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .allow_unauthenticated();
    let mut first = None;
    if let (Some(path), Some(pem)) = (&files.client_crl, &contents.client_crl) {
        let lists: Vec<CertificateRevocationListDer<'static>> = all(path, pem, "a list")?;
        if lists.is_empty() {
            return Err(none(path, "revocation list"));
        }
        for list in &lists {
            let list = of_list(list).map_err(|why| {
                let what = format!("is not a revocation list: {why}");
                CertificateError::new(path, what, "write it in PEM")
            })?;
            first = first.into_iter().chain([list]).min_by_key(|list| list.expires);
        }
        // One that is out of date says nothing of what was taken back since.
        builder = builder.with_crls(lists).enforce_revocation_expiration();
    }
    let at_fault = files.client_crl.as_ref().unwrap_or(path);
    let verifier = builder.build().map_err(|why| {
        CertificateError::new(at_fault, format!("cannot be used: {why}"), "write it in PEM")
    })?;
    Ok(Some(Verifier { judge: verifier, expires, list: first }))
}

/// Every item of a kind in a file.
fn all<T: PemObject>(path: &Path, pem: &[u8], what: &str) -> Result<Vec<T>, CertificateError> {
    let items: Result<Vec<T>, pem::Error> = T::pem_slice_iter(pem).collect();
    items.map_err(|_| {
        let said = format!("has {what} that is not PEM");
        CertificateError::new(path, said, "write it as it came, from BEGIN to END")
    })
}

fn none(path: &Path, what: &str) -> CertificateError {
    let example = format!(
        "write it in PEM: -----BEGIN {}-----",
        match what {
            "certificate" => "CERTIFICATE",
            _ => "X509 CRL",
        }
    );
    CertificateError::new(path, format!("has no {what}"), example)
}
