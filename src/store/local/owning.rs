//! Whether the state directory is still this process's own.

use std::{
    io,
    sync::{MutexGuard, PoisonError},
    time::Duration,
};

use super::{error::StoreError, journal::Place, lock::DirectoryLock, manifest, spending::Local};

impl Local {
    /// Whether the state directory, if there is one, is still the one that was locked.
    pub(super) fn owns_directory(&self) -> bool {
        let held = self.lease();
        self.0.place.is_none() || held.as_ref().is_some_and(DirectoryLock::holds)
    }

    /// Makes what is now where the state directory was this process's own, if nobody's journal is
    /// in it: that is for a start to judge.
    ///
    /// # Errors
    /// As [`DirectoryLock::acquire`] without waiting; [`StoreError::Io`] where a journal is there.
    pub(super) fn own_directory(&self) -> Result<(), StoreError> {
        let Some(place) = self.0.place.as_ref().filter(|_| !self.owns_directory()) else {
            return Ok(());
        };
        let Place { disk, dir, .. } = place;
        let taken = DirectoryLock::acquire(&**disk, dir, Duration::ZERO)?;
        if disk.facts(&dir.join(manifest::NAME)).is_ok() {
            let another = io::Error::other("another journal is there; restart the gate");
            return Err(StoreError::io("begin anew in", dir, another));
        }
        *self.lease() = Some(taken);
        Ok(())
    }

    fn lease(&self) -> MutexGuard<'_, Option<DirectoryLock>> {
        self.0.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
