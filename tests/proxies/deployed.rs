//! The files of `deploy/`, with nothing changed but ports and paths.

use std::{
    fmt::Display,
    fs,
    path::{Path, PathBuf},
};

/// A file of `deploy/`.
pub(crate) struct Deployed {
    name: String,
    text: String,
}

impl Deployed {
    /// Reads one: `nginx/through.conf`.
    pub(crate) fn read(name: &str) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name);
        let text = fs::read_to_string(&file).unwrap_or_else(|why| panic!("{name}: {why}"));
        Self { name: name.to_owned(), text }
    }

    /// Puts `by` in every place of `what`; there is one at least.
    pub(crate) fn replace(mut self, what: &str, by: impl Display) -> Self {
        assert!(self.text.contains(what), "{} has no {what}", self.name);
        self.text = self.text.replace(what, &by.to_string());
        self
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Writes it under this path, and gives the path.
    pub(crate) fn write(&self, path: PathBuf) -> PathBuf {
        fs::write(&path, &self.text).unwrap();
        path
    }
}
