//! What opening a link shows.

use std::str::FromStr;

/// What a link's page does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Page {
    /// Submits itself by script, with a button where there is none.
    Auto,
    /// Waits for the click, and names the user.
    Confirm,
    /// No page: the visit itself spends.
    None,
}

impl Page {
    /// Each by its name in configuration, requests and tokens.
    pub const ALL: [(&'static str, Self); 3] =
        [("auto", Self::Auto), ("confirm", Self::Confirm), ("none", Self::None)];
}

/// The text names no page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("auto, confirm or none is expected")]
pub struct NotAPage;

impl FromStr for Page {
    type Err = NotAPage;

    fn from_str(name: &str) -> Result<Self, NotAPage> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, page)| *page).ok_or(NotAPage)
    }
}
