//! Globs, as callers' permissions and sites' public paths are written.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// A list of globs; empty matches nothing.
///
/// `*` and `?` as everywhere, `[a-z]` and `{a,b}` too. In [`Globs::names`] `*` matches anything;
/// in [`Globs::paths`] `*` stops at `/` and `**` does not.
#[derive(Debug, Clone)]
pub struct Globs {
    patterns: Vec<String>,
    set: GlobSet,
    /// Whether anything matches, so that nothing need be looked at: most callers may sign in anybody.
    any: bool,
}

/// A pattern that is not a glob.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pattern:?} is not a glob: {why}")]
pub struct NotAGlob {
    /// The pattern as written.
    pub pattern: String,
    /// What is wrong with it.
    pub why: String,
}

impl Globs {
    /// Globs over names, where `/` is a character like any other.
    ///
    /// # Errors
    /// The first pattern that is not a glob.
    pub fn names<S: AsRef<str>>(patterns: &[S]) -> Result<Self, NotAGlob> {
        Self::build(patterns, false)
    }

    /// Globs over paths, where only `**` crosses a `/`.
    ///
    /// # Errors
    /// The first pattern that is not a glob.
    pub fn paths<S: AsRef<str>>(patterns: &[S]) -> Result<Self, NotAGlob> {
        Self::build(patterns, true)
    }

    /// Whether any of the globs matches the whole of `text`, case counting.
    pub fn matches(&self, text: &str) -> bool {
        self.any || self.set.is_match(text)
    }

    /// Whether `*` itself is among the patterns: everything, said outright.
    pub fn everything(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern == "*")
    }

    /// The patterns as written.
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }

    fn build<S: AsRef<str>>(patterns: &[S], paths: bool) -> Result<Self, NotAGlob> {
        let mut set = GlobSetBuilder::new();
        for pattern in patterns.iter().map(AsRef::as_ref) {
            let glob = GlobBuilder::new(pattern)
                .literal_separator(paths)
                .backslash_escape(true)
                .build()
                .map_err(|error| NotAGlob {
                    pattern: pattern.to_owned(),
                    why: error.kind().to_string(),
                })?;
            set.add(glob);
        }
        let set = set.build().map_err(|error| NotAGlob {
            pattern: error.glob().unwrap_or_default().to_owned(),
            why: error.kind().to_string(),
        })?;
        let patterns: Vec<_> = patterns.iter().map(|p| p.as_ref().to_owned()).collect();
        let any = !paths && patterns.iter().any(|pattern| pattern == "*");
        Ok(Self { patterns, set, any })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths_differ_in_the_slash() {
        let names = Globs::names(&["/clientarea/*", "joe-?"]).unwrap();
        assert!(names.matches("/clientarea/invoices/7"));
        assert!(names.matches("joe-1") && !names.matches("joe-12") && !names.matches("Joe-1"));
        let paths = Globs::paths(&["/assets/*", "/open/**"]).unwrap();
        assert!(paths.matches("/assets/a.css") && !paths.matches("/assets/x/a.css"));
        assert!(paths.matches("/open/x/a.css"));
    }

    #[test]
    fn a_star_is_any_name_and_no_path_below() {
        for patterns in [["*", "joe"], ["joe", "*"]] {
            let (names, paths) =
                (Globs::names(&patterns).unwrap(), Globs::paths(&patterns).unwrap());
            assert!(names.matches("") && names.matches("a/b\n") && names.everything());
            assert!(names.set.is_match("") && names.set.is_match("a/b\n"), "as the set has it");
            assert!(paths.matches("a") && !paths.matches("a/b"));
        }
    }

    #[test]
    fn none_match_nothing_and_bad_ones_are_named() {
        assert!(!Globs::names::<&str>(&[]).unwrap().matches(""));
        assert_eq!(Globs::names(&["["]).unwrap_err().pattern, "[");
    }
}
