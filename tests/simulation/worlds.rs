//! The kinds of worlds.

mod journal;
mod pinned;
mod shared;

use std::sync::Arc;

use crate::world::World;

/// A kind of world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One gate with a journal, and its restarts.
    Journal,
    /// Several gates on one Redis.
    Shared,
    /// Several gates with a memory each.
    Pinned,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Journal, Self::Shared, Self::Pinned];

    /// Lives through a world of this kind.
    pub async fn live(self, world: &Arc<World>) {
        match self {
            Self::Journal => journal::live(world).await,
            Self::Shared => shared::live(world).await,
            Self::Pinned => pinned::live(world).await,
        }
    }
}
