//! A name in a client's certificate, by which a caller is known.
//!
//! Compared whole: no name here stands for another one.

use std::{fmt, str::FromStr};

/// The most characters of a name.
const LONGEST: usize = 512;

/// A name in a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CertificateName {
    /// The common name of its subject (`CN=billing`), where it has exactly one.
    CommonName(String),
    /// A DNS name among its alternative names (`DNS:billing.internal`), in lower case.
    Dns(String),
    /// A URI among its alternative names (`URI:spiffe://example.com/billing`).
    Uri(String),
}

/// A text that is no name of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0}; write \"CN=billing\", \"DNS:billing.internal\" or \"URI:spiffe://example.com/billing\""
)]
pub struct NotAName(&'static str);

impl CertificateName {
    /// A DNS name, in its one form.
    pub fn dns(name: &str) -> Self {
        Self::Dns(name.to_ascii_lowercase())
    }
}

impl FromStr for CertificateName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let (make, name): (fn(&str) -> Self, &str) = if let Some(name) = text.strip_prefix("CN=") {
            (|name| Self::CommonName(name.to_owned()), name)
        } else if let Some(name) = text.strip_prefix("DNS:") {
            (Self::dns, name)
        } else if let Some(name) = text.strip_prefix("URI:") {
            (|name| Self::Uri(name.to_owned()), name)
        } else {
            return Err(NotAName("does not say which name of a certificate it is"));
        };
        if name.is_empty() || name.trim() != name || name.chars().any(char::is_control) {
            return Err(NotAName("is no name"));
        }
        if name.contains('*') {
            return Err(NotAName("has a *, and names are compared whole"));
        }
        if name.len() > LONGEST {
            return Err(NotAName("is longer than 512 bytes"));
        }
        Ok(make(name))
    }
}

impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommonName(name) => write!(f, "CN={name}"),
            Self::Dns(name) => write!(f, "DNS:{name}"),
            Self::Uri(name) => write!(f, "URI:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_where_in_the_certificate_it_is() {
        for text in ["CN=billing", "CN=a, b = c", "DNS:billing.internal", "URI:spiffe://x/y"] {
            assert_eq!(text.parse::<CertificateName>().unwrap().to_string(), text);
        }
        assert_eq!("DNS:Billing.Internal".parse(), Ok(CertificateName::dns("billing.internal")));
        assert_ne!("CN=Billing".parse::<CertificateName>(), "CN=billing".parse());
    }

    #[test]
    fn what_could_stand_for_several_names_or_none_is_refused() {
        let long = format!("CN={}", "x".repeat(513));
        for text in [
            "",
            "billing",
            "cn=billing",
            "CN=",
            "DNS:",
            "DNS:*.internal",
            "CN= a",
            "URI:a\n",
            &long,
        ] {
            assert!(text.parse::<CertificateName>().is_err(), "{text:?}");
        }
    }
}
