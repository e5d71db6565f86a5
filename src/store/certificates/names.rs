//! What a certificate says of itself. Whether that is true is for `rustls` to verify.

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_cert::{
    Certificate,
    certificate::Rfc5280,
    crl::CertificateList,
    der::{Decode as _, asn1::ObjectIdentifier},
    ext::pkix::{
        SubjectAltName,
        name::{DirectoryString, GeneralName},
    },
};

use crate::{gate::certificate::CertificateName, store::certificates::RevocationList};

/// `commonName` (RFC 4519, 2.3).
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// The names of a verified certificate that a caller may be known by. None of one that cannot be
/// read; no common name of a subject with several, of which one reader may take the first and
/// another the last.
pub fn names(certificate: &CertificateDer<'_>) -> Vec<CertificateName> {
    let Ok(certificate) = Certificate::from_der(certificate) else { return Vec::new() };
    let certificate = certificate.tbs_certificate();
    let mut common = certificate.subject().iter().filter(|part| part.oid == COMMON_NAME);
    let mut names = Vec::new();
    if let (Some(name), None) = (common.next(), common.next())
        && let Ok(name) = name.value.decode_as::<DirectoryString>()
    {
        names.push(CertificateName::CommonName(name.value().into_owned()));
    }
    if let Ok(Some((_, SubjectAltName(alternatives)))) = certificate.get_extension() {
        names.extend(alternatives.iter().filter_map(|name| match name {
            GeneralName::DnsName(name) => Some(CertificateName::dns(name.as_str())),
            GeneralName::UniformResourceIdentifier(uri) => {
                Some(CertificateName::Uri(uri.as_str().to_owned()))
            }
            _ => None,
        }));
    }
    names
}

/// From when and until when a certificate is valid, in seconds since the Unix epoch.
///
/// # Errors
/// It cannot be read.
pub(super) fn validity(
    certificate: &CertificateDer<'_>,
) -> Result<(u64, u64), x509_cert::der::Error> {
    let certificate = Certificate::from_der(certificate)?;
    let validity = certificate.tbs_certificate().validity();
    let seconds = |time: x509_cert::time::Time| time.to_unix_duration().as_secs();
    Ok((seconds(validity.not_before), seconds(validity.not_after)))
}

/// How long a list is good (RFC 5280, 5.1.2.5).
///
/// # Errors
/// It cannot be read.
pub(super) fn of_list(
    list: &CertificateRevocationListDer<'_>,
) -> Result<RevocationList, x509_cert::der::Error> {
    let list = CertificateList::<Rfc5280>::from_der(list)?.tbs_cert_list;
    let seconds = |time: x509_cert::time::Time| time.to_unix_duration().as_secs();
    let expires = list.next_update.map_or(u64::MAX, seconds);
    Ok(RevocationList { from: seconds(list.this_update), expires })
}
