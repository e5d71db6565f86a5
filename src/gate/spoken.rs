//! A dialect that is spoken here: what its operator sets.

use crate::gate::{dialect::Dialect, form::Form};

/// `[dialects.NAME]` of the configuration.
#[derive(Debug, Clone)]
pub struct DialectRules {
    /// Which dialect.
    pub dialect: Dialect,
    /// The name of the site its links open.
    pub site: String,
    /// The path before the vendor's own, with a `/` at both ends; absent: the vendor's default.
    pub base: Option<String>,
    /// Lifetime of its links where a request names none, in seconds.
    pub ttl: u64,
    /// How the links carry their token.
    pub form: Form,
}

impl DialectRules {
    /// The path before the vendor's own: what the operator set, or else this `default`; each with a
    /// `/` at both ends.
    pub fn base_or<'a>(&'a self, default: &'a str) -> &'a str {
        self.base.as_deref().unwrap_or(default)
    }

    /// Those of a dialect for which nothing is set but perhaps the base.
    #[cfg(test)]
    pub(crate) fn of_the_tests(dialect: Dialect, base: Option<&str>) -> Self {
        Self {
            dialect,
            site: "panel".to_owned(),
            base: base.map(str::to_owned),
            ttl: dialect.default_ttl(),
            form: Form::of(dialect, "en"),
        }
    }
}
