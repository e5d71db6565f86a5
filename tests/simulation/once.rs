//! Where a gate has a token's use recorded: in its [`Store`], or in something around it that is
//! wrong on purpose.

use std::fmt;

use futures_util::future::{BoxFuture, FutureExt as _};
use oncegate::{
    gate::denial::Denial,
    store::{Store, Use},
};

use crate::time::Clock;

/// What a process spends with.
pub trait Once: fmt::Debug + Send + Sync {
    /// The store, of which everything else is asked.
    fn store(&self) -> &Store;

    /// Records the use of a token that was presented in this spelling.
    fn spend<'a>(
        &'a self,
        token: &'a Use,
        spelling: u64,
        clock: &'a Clock,
    ) -> BoxFuture<'a, Result<(), Denial>>;
}

impl Once for Store {
    fn store(&self) -> &Store {
        self
    }

    fn spend<'a>(
        &'a self,
        token: &'a Use,
        _: u64,
        clock: &'a Clock,
    ) -> BoxFuture<'a, Result<(), Denial>> {
        async { self.spend(token, || clock.now()).await.map(drop) }.boxed()
    }
}
