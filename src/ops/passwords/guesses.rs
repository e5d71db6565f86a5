//! How many guesses at a password are taken, by name and address; and by the caller that brings
//! those of users.
//!
//! What is counted is a verification that begins, not its outcome: a thousand guesses at once
//! must not all be found within the limit. A caller alone is given back what turned out right: all
//! its users together come with their passwords first at any rate.
//!
//! A limiter is forgotten a minute after it was last asked, when it is full again: that gives
//! nobody fresh guesses. Pushing one out earlier takes more new names in a minute than there is
//! room for, and strangers' verifications, one at a time, do not come to that.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    num::{NonZeroU32, NonZeroUsize},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock, Reference as _},
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};

use super::{Guesser, latest::Latest};
use crate::gate::client_ip::ClientIp;

/// For one name at one address: this many at once,
const BY_NAME: NonZeroU32 = NonZeroU32::new(10).unwrap();
/// and then one in each of these.
const BY_NAME_EVERY: Duration = Duration::from_secs(6);
/// For all names of callers together at one address: this many at once,
const BY_ADDRESS: NonZeroU32 = NonZeroU32::new(30).unwrap();
/// and then one in each of these.
const BY_ADDRESS_EVERY: Duration = Duration::from_secs(2);
/// For the users of one caller together: this many wrong ones at once,
const BY_CALLER: u32 = 30;
/// and then one in each of these.
const BY_CALLER_EVERY: Duration = Duration::from_secs(2);
/// Each limiter is full again after this long.
const REFILLED: Duration = Duration::from_secs(60);
/// The most limiters of each kind.
const MAX_LIMITERS: NonZeroUsize = NonZeroUsize::new(20_000).unwrap();

/// Where guesses come from: an IPv4 address, a /64 of IPv6 (one subscriber has that many), or
/// nowhere that could be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Neighbourhood(Option<IpAddr>);

/// Limits guesses.
pub(super) struct Guesses<C: Clock = DefaultClock> {
    names: Latest<Arc<Limiter<C>>>,
    /// By [`Neighbourhood::key`]: of the same type as the names', so compiled once.
    addresses: Latest<Arc<Limiter<C>>>,
    /// As many as there are callers.
    callers: Mutex<HashMap<String, Arc<Account<C>>>>,
    clock: C,
}

/// A guess that was taken. Dropped, it is given back to the caller's account, where it was taken
/// from one.
pub(super) struct Guess<C: Clock = DefaultClock>(Option<Arc<Account<C>>>);

/// The wrong guesses of one caller: when the last of them will have been made good.
struct Account<C: Clock>(Mutex<C::Instant>);

type Limiter<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;

impl Neighbourhood {
    pub(super) fn of(client: Option<ClientIp>) -> Self {
        Self(client.map(|client| match client.addr() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            v4 @ IpAddr::V4(_) => v4,
        }))
    }

    /// In the same form for all: mapped into IPv6; all zeros where it could not be told.
    pub(super) fn bytes(self) -> [u8; 16] {
        match self.0 {
            None => [0; 16],
            Some(IpAddr::V4(address)) => address.to_ipv6_mapped().octets(),
            Some(IpAddr::V6(address)) => address.octets(),
        }
    }

    /// [`Neighbourhood::bytes`], as long as a digest.
    fn key(self) -> [u8; 32] {
        let mut key = [0; 32];
        key.iter_mut().zip(self.bytes()).for_each(|(key, byte)| *key = byte);
        key
    }
}

impl Default for Guesses {
    fn default() -> Self {
        Self::by(DefaultClock::default())
    }
}

impl<C: Clock + Clone + Send + Sync + 'static> Guesses<C>
where
    C::Instant: Send + Sync,
{
    fn by(clock: C) -> Self {
        Self {
            names: Latest::new(MAX_LIMITERS, REFILLED),
            addresses: Latest::new(MAX_LIMITERS, REFILLED),
            callers: Mutex::default(),
            clock,
        }
    }

    /// Takes one guess at the name that `place` stands for, from there.
    ///
    /// # Errors
    /// Seconds until another is taken.
    pub(super) fn take(
        &self,
        place: [u8; 32],
        from: Neighbourhood,
        guesser: Guesser<'_>,
    ) -> Result<Guess<C>, u64> {
        let now = Instant::now();
        // The address first: where it is at its limit, new names add nothing to what is kept. A
        // caller's own address stands for all its users.
        if guesser == Guesser::Stranger {
            let new = || self.limiter(BY_ADDRESS, BY_ADDRESS_EVERY);
            let limiter = self.addresses.renewed(from.key(), new, now);
            self.check(&limiter)?;
        }
        // Given back if there is none at this name.
        let guess = Guess(match guesser {
            Guesser::Trusted(caller) => Some(self.of_caller(caller)?),
            Guesser::Stranger | Guesser::AtHome => None,
        });
        let new = || self.limiter(BY_NAME, BY_NAME_EVERY);
        let limiter = self.names.renewed(place, new, now);
        self.check(&limiter)?;
        Ok(guess)
    }

    fn of_caller(&self, caller: &str) -> Result<Arc<Account<C>>, u64> {
        let now = self.clock.now();
        let account = {
            let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
            match callers.get(caller) {
                Some(account) => account.clone(),
                None => callers
                    .entry(caller.to_owned())
                    .or_insert_with(|| Arc::new(Account(Mutex::new(now))))
                    .clone(),
            }
        };
        account.take(now)?;
        Ok(account)
    }

    fn limiter(&self, burst: NonZeroU32, every: Duration) -> Arc<Limiter<C>> {
        // Only a period of zero has no quota.
        let quota = Quota::with_period(every).unwrap_or(Quota::per_minute(NonZeroU32::MIN));
        Arc::new(RateLimiter::direct_with_clock(quota.allow_burst(burst), self.clock.clone()))
    }

    fn check(&self, limiter: &Limiter<C>) -> Result<(), u64> {
        limiter.check().map_err(|until| {
            seconds(until.earliest_possible().duration_since(self.clock.now()).into())
        })
    }
}

/// Rounded up.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

impl<C: Clock> Account<C> {
    /// As a governor's limiter does, which gives nothing back.
    fn take(&self, now: C::Instant) -> Result<(), u64> {
        let mut good = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = (*good).max(now) + BY_CALLER_EVERY.into();
        let owed: Duration = next.duration_since(now).into();
        let most = BY_CALLER_EVERY * BY_CALLER;
        if owed > most {
            return Err(seconds(owed.saturating_sub(most)));
        }
        *good = next;
        Ok(())
    }

    fn give_back(&self) {
        let mut good = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *good = good.saturating_sub(BY_CALLER_EVERY.into());
    }
}

impl<C: Clock> Guess<C> {
    /// It counts.
    pub(super) fn was_wrong(mut self) {
        self.0 = None;
    }
}

impl<C: Clock> Drop for Guess<C> {
    fn drop(&mut self) {
        if let Some(account) = &self.0 {
            account.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn guesses() -> (Guesses<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (Guesses::by(clock.clone()), clock)
    }

    fn at(address: &str) -> Neighbourhood {
        Neighbourhood::of(Some(address.parse().unwrap()))
    }

    /// How many of so many guesses are taken.
    fn taken(
        guesses: &Guesses<FakeRelativeClock>,
        by: Guesser<'_>,
        places: impl IntoIterator<Item = u8>,
    ) -> usize {
        let from = at("192.0.2.7");
        let taken = places.into_iter().flat_map(|place| guesses.take([place; 32], from, by));
        taken.map(Guess::was_wrong).count()
    }

    fn take(
        guesses: &Guesses<FakeRelativeClock>,
        from: &str,
        place: u8,
        by: Guesser<'_>,
    ) -> Result<(), u64> {
        guesses.take([place; 32], at(from), by).map(Guess::was_wrong)
    }

    #[test]
    fn thirty_wrong_passwords_of_a_callers_users_are_taken_and_then_one_in_two_seconds() {
        let (guesses, clock) = guesses();
        let (one, other) = (Guesser::Trusted("campaign"), Guesser::Trusted("whmcs"));
        for round in 0..5 {
            let right: Vec<_> =
                (0..30).map(|n| guesses.take([n; 32], at("192.0.2.7"), one).is_ok()).collect();
            assert_eq!(right, [true; 30], "what was right is given back: {round}");
        }
        clock.advance(REFILLED);
        let held: Vec<_> =
            (0..40).flat_map(|n| guesses.take([n; 32], at("192.0.2.7"), one)).collect();
        assert_eq!(held.len(), 30, "what is not known yet counts");
        drop(held);
        assert_eq!(taken(&guesses, one, 0..200), 30);
        assert_eq!(take(&guesses, "192.0.2.8", 201, one), Err(2), "wherever it calls from");
        assert_eq!(taken(&guesses, other, 100..130), 30);
        clock.advance(BY_CALLER_EVERY);
        assert_eq!(taken(&guesses, one, 100..200), 1);
        clock.advance(REFILLED);
        assert_eq!(taken(&guesses, one, [1; 15]), 10, "a name has its own limit,");
        assert_eq!(taken(&guesses, one, 2..200), 20, "and what it refuses costs nothing");
    }

    #[test]
    fn ten_guesses_at_a_name_are_taken_at_once_and_then_one_in_six_seconds() {
        let (guesses, clock) = guesses();
        assert_eq!(taken(&guesses, Guesser::Stranger, [1; 15]), 10);
        assert_eq!(take(&guesses, "192.0.2.7", 1, Guesser::AtHome), Err(6));
        clock.advance(Duration::from_millis(5_500));
        assert_eq!(take(&guesses, "192.0.2.7", 1, Guesser::AtHome), Err(1));
        clock.advance(Duration::from_millis(500));
        assert_eq!(taken(&guesses, Guesser::AtHome, [1; 5]), 1);
        clock.advance(REFILLED);
        assert_eq!(taken(&guesses, Guesser::AtHome, [1; 15]), 10, "it is full again");
    }

    #[test]
    fn made_up_names_give_a_stranger_no_more_than_thirty_guesses() {
        let (guesses, clock) = guesses();
        assert_eq!(taken(&guesses, Guesser::Stranger, 0..200), 30);
        assert_eq!(taken(&guesses, Guesser::AtHome, 0..200), 200, "at home there is one name");
        clock.advance(REFILLED);
        assert_eq!(taken(&guesses, Guesser::Stranger, 0..200), 30, "it is full again");
    }

    #[test]
    fn another_address_has_its_own_limit() {
        let (guesses, _) = guesses();
        assert_eq!(taken(&guesses, Guesser::Stranger, 0..200), 30);
        assert_eq!(take(&guesses, "192.0.2.8", 201, Guesser::Stranger), Ok(()));
    }

    #[test]
    fn a_neighbourhood_is_an_ipv4_address_or_a_64_of_ipv6() {
        assert_eq!(at("2001:db8:0:1::7"), at("2001:db8:0:1:ffff::"));
        assert_ne!(at("2001:db8:0:1::7"), at("2001:db8:0:2::7"));
        assert_eq!(at("::ffff:192.0.2.7"), at("192.0.2.7"));
        assert_ne!(at("192.0.2.8"), at("192.0.2.7"));
        let all =
            [at("192.0.2.7"), at("2001:db8::"), Neighbourhood::of(None)].map(Neighbourhood::bytes);
        assert_eq!(all.iter().collect::<std::collections::HashSet<_>>().len(), 3);
    }
}
