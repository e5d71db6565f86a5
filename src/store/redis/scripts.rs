//! The steps, as the server runs them.
//!
//! No text holds an id of a memory: what guards a memory is judged inside, so that a script may
//! be loaded again at any time, on any server.

use super::protocol::{Ask, KEEP};
use crate::gate::seen::CLOCK_SLACK;

/// One of the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    Spend,
    Look,
    Make,
    Hear,
    Revoke,
    Sweep,
}

impl Script {
    /// All of them, in the order in which they are loaded.
    pub(super) const ALL: [Self; 6] =
        [Self::Spend, Self::Look, Self::Make, Self::Hear, Self::Revoke, Self::Sweep];

    /// The step that answers a question.
    pub(super) fn of(ask: &Ask) -> Self {
        match ask {
            Ask::Spend { .. } => Self::Spend,
            Ask::Look { .. } => Self::Look,
            Ask::Make { .. } => Self::Make,
            Ask::Hear { .. } => Self::Hear,
            Ask::Revoke { .. } => Self::Revoke,
            Ask::Sweep { .. } => Self::Sweep,
        }
    }

    /// Its text, in Lua.
    pub(super) fn text(self) -> String {
        let own = match self {
            Self::Spend => include_str!("scripts/spend.lua"),
            Self::Look => include_str!("scripts/look.lua"),
            Self::Make => include_str!("scripts/make.lua"),
            Self::Hear => include_str!("scripts/hear.lua"),
            Self::Revoke => include_str!("scripts/revoke.lua"),
            Self::Sweep => include_str!("scripts/sweep.lua"),
        };
        let judge = include_str!("scripts/judge.lua");
        format!("local SLACK, KEEP = {CLOCK_SLACK}, {KEEP}\n{judge}\n{own}")
    }

    /// Its place in [`Script::ALL`].
    pub(super) fn place(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stands_at_its_place() {
        for (place, script) in Script::ALL.into_iter().enumerate() {
            assert_eq!(script.place(), place);
            assert!(script.text().starts_with("local SLACK, KEEP = 21, 3600\n"));
        }
    }
}
