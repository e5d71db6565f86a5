//! Two places to verify a password in, and three lines of those who wait for them.
//!
//! Strangers have one place, all others the other. Credentials that were right before have a line
//! of their own to the latter, of bounded length as the other: they wait for some others, but are
//! turned away by none.
//!
//! A place is the memory that is hashed in: there are as many as that, and no more.

use std::{sync::Arc, time::Duration};

use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use crate::{
    gate::password::{Decoy, Memory},
    ops::passwords::Guesser,
};

/// How many may stand in each line.
const LENGTH: usize = 32;
/// How long one may stand there.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// This credential was right before.
    Known,
    /// Not a stranger's.
    Trusted,
    /// Anybody's.
    Stranger,
}

/// The places and the lines.
#[derive(Debug)]
pub(super) struct Lanes {
    known: Lane,
    trusted: Lane,
    strangers: Lane,
    patience: Duration,
}

/// A line, and the place that it leads to; two lines may lead to one place.
#[derive(Debug)]
struct Lane {
    seats: Arc<Semaphore>,
    place: Arc<Mutex<Memory>>,
}

/// A place in a line.
#[derive(Debug)]
pub(super) struct Seat {
    place: Arc<Mutex<Memory>>,
    patience: Duration,
    held: OwnedSemaphorePermit,
}

/// A place to verify in, free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    /// What to hash in.
    pub memory: OwnedMutexGuard<Memory>,
    _seat: OwnedSemaphorePermit,
}

impl Line {
    pub(super) fn of(is_known: bool, guesser: Guesser<'_>) -> Self {
        match guesser {
            _ if is_known => Self::Known,
            Guesser::AtHome | Guesser::Trusted(_) => Self::Trusted,
            Guesser::Stranger => Self::Stranger,
        }
    }
}

impl Lanes {
    /// With memory for hashes that cost what this decoy does.
    pub(super) fn for_hashes_like(decoy: &Decoy) -> Self {
        Self::with(LENGTH, PATIENCE, decoy)
    }

    fn with(length: usize, patience: Duration, decoy: &Decoy) -> Self {
        let place = || Arc::new(Mutex::new(Memory::for_hashes_like(decoy)));
        let to = |place: &Arc<Mutex<Memory>>| Lane {
            seats: Arc::new(Semaphore::new(length)),
            place: place.clone(),
        };
        let (own, of_strangers) = (place(), place());
        Self { known: to(&own), trusted: to(&own), strangers: to(&of_strangers), patience }
    }

    /// A seat in the line; none where it is full. The one who verifies keeps its seat.
    pub(super) fn seat(&self, line: Line) -> Option<Seat> {
        let Lane { seats, place } = match line {
            Line::Known => &self.known,
            Line::Trusted => &self.trusted,
            Line::Stranger => &self.strangers,
        };
        let held = seats.clone().try_acquire_owned().ok()?;
        Some(Seat { place: place.clone(), patience: self.patience, held })
    }
}

impl Seat {
    /// The place, once it is this one's turn; none where that takes too long.
    pub(super) async fn entered(self) -> Option<Place> {
        let turn = tokio::time::timeout(self.patience, self.place.lock_owned());
        Some(Place { memory: turn.await.ok()?, _seat: self.held })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Line; 3] = [Line::Known, Line::Trusted, Line::Stranger];

    #[tokio::test]
    async fn two_enter_and_strangers_have_one_of_the_places() {
        let lanes = Lanes::with(4, Duration::ZERO, &Decoy::like([]));
        for (first, second) in [(0, 2), (1, 2), (2, 0), (2, 1)] {
            let first = lanes.seat(ALL[first]).unwrap().entered().await;
            let second = lanes.seat(ALL[second]).unwrap().entered().await;
            assert!(first.is_some() && second.is_some());
            for line in ALL {
                assert!(lanes.seat(line).unwrap().entered().await.is_none(), "{line:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_full_line_turns_away_nobody_from_another() {
        for full in ALL {
            let lanes = Lanes::with(4, Duration::ZERO, &Decoy::like([]));
            let seats: Vec<_> = (0..4).filter_map(|_| lanes.seat(full)).collect();
            assert_eq!(seats.len(), 4);
            for line in ALL {
                assert_eq!(lanes.seat(line).is_none(), line == full, "{full:?} {line:?}");
            }
            drop(seats);
            assert!(lanes.seat(full).is_some());
        }
    }

    #[tokio::test]
    async fn turns_are_in_the_order_of_coming() {
        let lanes = Lanes::for_hashes_like(&Decoy::like([]));
        let held = lanes.seat(Line::Trusted).unwrap().entered().await;
        let (said, mut heard) = tokio::sync::mpsc::unbounded_channel();
        for n in 0..10 {
            let seat = lanes.seat(if n % 2 == 0 { Line::Known } else { Line::Trusted }).unwrap();
            let said = said.clone();
            tokio::spawn(async move {
                let place = seat.entered().await;
                said.send((n, place.is_some())).unwrap();
            });
            // On this runtime of one thread: until it stands in the line.
            tokio::task::yield_now().await;
        }
        drop(held);
        for n in 0..10 {
            assert_eq!(heard.recv().await, Some((n, true)));
        }
    }
}
