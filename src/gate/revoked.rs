//! What was taken back: links, everything of a user, sessions.
//!
//! Bounded like the seen-set, and as unforgetful: when full it refuses. A revocation is dropped
//! an hour after the last thing it forbids has expired, and the horizon remembers the latest of
//! those: should the clock go back before it, something forgotten may be valid again, and the
//! memory this belongs to is replaced together with all it knew ([`Revoked::misled_by`]).

use std::{
    collections::{BTreeMap, HashMap},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use sha2::{Digest as _, Sha256};

use super::{
    denial::Denial,
    id::{SessionId, TokenId},
    redeem::LEEWAY,
    seen::CLOCK_SLACK,
};

/// How many revocations are remembered at most, unless told otherwise.
pub const MAX_REVOCATIONS: usize = 1_000_000;

/// Seconds of `until` that are dropped together.
const BUCKET: u64 = 600;

/// Seconds a revocation outlives its `until`: a clock corrected by less costs nobody a session.
const KEEP: u64 = 3_600;

/// What is taken back, and until when that matters (seconds since the Unix epoch).
///
/// `until` must not be before the last moment at which what is revoked could be valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Revocation {
    /// What is taken back.
    pub what: Revoke,
    /// Of a user: everything issued at or before this moment. Otherwise without meaning.
    pub at: u64,
    /// When everything that this forbids has expired by itself.
    pub until: u64,
}

/// What can be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Revoke {
    /// One link, as the caller of this tag asked.
    Link(TokenId, CallerTag),
    /// Everything of one user on one site.
    User(UserKey),
    /// One session.
    Session(SessionId),
}

/// 40 bits that stand for a caller's name: an id says nothing of its link's site and user, so
/// whether this caller may take it back is judged when the link comes, and one caller's asking
/// must not stand for another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallerTag(pub [u8; 5]);

/// 128 bits that stand for one user on one site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UserKey(pub [u8; 16]);

impl Revocation {
    /// Takes back the link `id`, as `caller` asked: it counts where the link turns out to be one
    /// of that caller's sites and users.
    pub fn link(id: TokenId, caller: &str, until: u64) -> Self {
        Self { what: Revoke::Link(id, CallerTag::of(caller)), at: 0, until }
    }

    /// Takes back everything of `user` on `site` that was issued at or before `at`.
    pub fn user(site: &str, user: &str, at: u64, until: u64) -> Self {
        Self { what: Revoke::User(UserKey::of(site, user)), at, until }
    }

    /// Ends one session.
    pub fn session(id: SessionId, until: u64) -> Self {
        Self { what: Revoke::Session(id), at: 0, until }
    }

    /// The end of the bucket of time in which it is dropped: not before `until`.
    pub fn end(&self) -> u64 {
        bucket_end(self.until)
    }
}

impl Revocation {
    /// The same, of a user's things no later than `now`.
    #[must_use]
    pub fn up_to(self, now: u64) -> Self {
        Self { at: self.at.min(now), ..self }
    }
}

impl CallerTag {
    /// The tag of a caller's name.
    pub fn of(caller: &str) -> Self {
        let mut tag = [0; 5];
        tag.iter_mut().zip(Sha256::digest(caller)).for_each(|(to, from)| *to = from);
        Self(tag)
    }
}

impl UserKey {
    /// The key of `user` on `site`.
    pub fn of(site: &str, user: &str) -> Self {
        // The length first: ("ab", "c") and ("a", "bc") are two users.
        let digest = Sha256::new()
            .chain_update((site.len() as u64).to_le_bytes())
            .chain_update(site)
            .chain_update(user)
            .finalize();
        let mut key = [0; 16];
        key.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        Self(key)
    }
}

/// All revocations that still matter.
#[derive(Debug)]
pub struct Revoked {
    inner: RwLock<Inner>,
    max_entries: usize,
}

#[derive(Debug, Default)]
struct Inner {
    entries: HashMap<Revoke, Times>,
    /// By the end of the bucket of `until`. A key whose `until` moved on stands in several.
    buckets: BTreeMap<u64, Vec<Revoke>>,
    /// By the number of the last change, for whoever has heard of the earlier ones.
    changes: BTreeMap<u64, Revoke>,
    /// The number of the latest change.
    latest: u64,
    /// The latest `until` that may have been dropped.
    horizon: u64,
    /// The latest `at` of a user's revocation by this gate: one ahead of the clock shows that it
    /// went back.
    latest_at: u64,
}

#[derive(Debug, Clone, Copy)]
struct Times {
    at: u64,
    until: u64,
    change: u64,
}

impl Revoked {
    /// An empty set that holds `max_entries` at most.
    pub fn new(max_entries: usize) -> Self {
        Self { inner: RwLock::default(), max_entries }
    }

    /// Takes a revocation in; tells whether that was news. Of a repeated one the later `at` and the
    /// later `until` hold.
    ///
    /// # Errors
    /// [`Denial::StoreFull`].
    pub fn insert(&self, revocation: Revocation) -> Result<bool, Denial> {
        let mut inner = self.write();
        // Anybody who may revoke can name links and users that never were; that must not keep
        // others from signing out, or a user's links from being taken back.
        let room = match revocation.what {
            Revoke::Link(..) => self.max_entries / 2,
            Revoke::User(_) => self.max_entries - self.max_entries / 4,
            Revoke::Session(_) => self.max_entries,
        };
        if inner.entries.len() >= room && !inner.entries.contains_key(&revocation.what) {
            return Err(Denial::StoreFull);
        }
        inner.latest_at = inner.latest_at.max(revocation.at);
        Ok(inner.insert(revocation))
    }

    /// Takes in what was recorded here before, room or not; tells whether that was news.
    pub fn restore(&self, revocation: Revocation) -> bool {
        let mut inner = self.write();
        inner.latest_at = inner.latest_at.max(revocation.at);
        inner.insert(revocation)
    }

    /// Takes in what was taken back elsewhere, room or not; tells whether that was news. Nothing
    /// that is over here is; and a moment ahead of this clock shows only that the other one differs.
    pub fn hear(&self, revocation: Revocation) -> bool {
        let mut inner = self.write();
        bucket_end(revocation.until) > inner.horizon && inner.insert(revocation)
    }

    /// What changed after the change numbered `heard`, in that order, `limit` at most; and the
    /// number to ask with next. Numbers count from 1 and live with this set alone.
    pub fn since(&self, heard: u64, limit: usize) -> (Vec<Revocation>, u64) {
        let inner = self.read();
        let mut next = heard;
        let mut changed = Vec::new();
        for (number, what) in inner.changes.range(heard.saturating_add(1)..).take(limit) {
            next = *number;
            changed.extend(inner.revocation(what));
        }
        (changed, next)
    }

    /// The number of the latest change; 0 before the first.
    pub fn latest(&self) -> u64 {
        self.read().latest
    }

    /// What is to be taken back besides `revocation`, which another gate told of and this one did
    /// not know: a clock that is ahead of the other's has dated what was issued here before by up
    /// to `issued_until`, later than it reaches.
    ///
    /// To be asked before it is taken in. Once for each time that somebody asked, which `until`
    /// tells apart: it was counted from then, and another gate that reaches further keeps it. Else
    /// gates would go on extending each other's.
    pub fn beyond(&self, revocation: &Revocation, issued_until: u64) -> Option<Revocation> {
        let Revocation { what: Revoke::User(_), at, .. } = *revocation else { return None };
        // Further ahead, its links are good nowhere else yet; what went on being issued since is
        // reached for that long, too, rather than what was issued before be missed.
        let until = issued_until.min(at.saturating_add(LEEWAY));
        let inner = self.read();
        let known = inner.entries.get(&revocation.what);
        let repeated = known.is_some_and(|times| times.until >= revocation.until);
        (until > at && !repeated).then_some(Revocation { at: until, ..*revocation })
    }

    /// The latest moment up to which `user` was taken back on `site`; 0 where that never was.
    pub fn user_until(&self, site: &str, user: &str) -> u64 {
        let inner = self.read();
        if inner.entries.is_empty() {
            return 0;
        }
        inner.entries.get(&Revoke::User(UserKey::of(site, user))).map_or(0, |times| times.at)
    }

    /// Whether `caller` has taken back the link `id`.
    pub fn link(&self, id: TokenId, caller: &str) -> bool {
        let inner = self.read();
        !inner.entries.is_empty()
            && inner.entries.contains_key(&Revoke::Link(id, CallerTag::of(caller)))
    }

    /// Whether what was issued to `user` on `site` at `issued_at` has been taken back.
    pub fn user(&self, site: &str, user: &str, issued_at: u64) -> bool {
        let inner = self.read();
        !inner.entries.is_empty()
            && inner
                .entries
                .get(&Revoke::User(UserKey::of(site, user)))
                .is_some_and(|times| issued_at <= times.at)
    }

    /// Whether the session was ended.
    pub fn session(&self, id: SessionId) -> bool {
        self.read().entries.contains_key(&Revoke::Session(id))
    }

    /// The horizon that [`Revoked::forget`] should be given at `now`, if there is anything to drop.
    pub fn due(&self, now: u64) -> Option<u64> {
        let over = now.checked_sub(KEEP)?;
        self.read().buckets.range(..=over).next_back().map(|(end, _)| *end)
    }

    /// Drops every revocation whose `until` is at or before `horizon`, and remembers that.
    pub fn forget(&self, horizon: u64) {
        let mut inner = self.write();
        inner.horizon = inner.horizon.max(horizon);
        while let Some(first) = inner.buckets.first_entry()
            && *first.key() <= horizon
        {
            for key in first.remove() {
                let times = inner.entries.get(&key).copied();
                if let Some(times) = times.filter(|times| bucket_end(times.until) <= horizon) {
                    inner.entries.remove(&key);
                    inner.changes.remove(&times.change);
                }
            }
        }
    }

    /// The latest `until` whose revocations may have been dropped: what expires at or before it
    /// may have been taken back.
    pub fn horizon(&self) -> u64 {
        self.read().horizon
    }

    /// Whether the clock went back so far that this set misleads: something it has dropped may be
    /// valid again, or a user was taken back at a moment still to come.
    pub fn misled_by(&self, now: u64) -> bool {
        let inner = self.read();
        inner.horizon > now || inner.latest_at > now.saturating_add(CLOCK_SLACK)
    }

    /// How many revocations are remembered.
    pub fn entries(&self) -> usize {
        self.read().entries.len()
    }

    /// Every revocation that is remembered, in the order of their last changes, for another record
    /// of them.
    pub fn all(&self) -> Vec<Revocation> {
        let inner = self.read();
        inner.changes.values().filter_map(|what| inner.revocation(what)).collect()
    }

    /// Whether all that it takes back is taken back here.
    pub fn holds(&self, Revocation { what, at, until }: &Revocation) -> bool {
        let inner = self.read();
        inner.entries.get(what).is_some_and(|times| *at <= times.at && *until <= times.until)
    }

    /// Whether less would be remembered without this record of it.
    pub fn rests_on(&self, Revocation { what, at, until }: &Revocation) -> bool {
        // Of several records the later moment may be in one, the later end in another.
        self.read()
            .entries
            .get(what)
            .is_some_and(|times| *until == times.until || (*at == times.at && *at > 0))
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Tells whether that changed anything.
    fn insert(&mut self, Revocation { what, at, until }: Revocation) -> bool {
        let end = bucket_end(until);
        let known = self.entries.get(&what).copied();
        if known.is_none_or(|times| bucket_end(times.until) < end) {
            self.buckets.entry(end).or_default().push(what);
        }
        let (at, until) = known.map_or((at, until), |t| (at.max(t.at), until.max(t.until)));
        if known.is_some_and(|times| (times.at, times.until) == (at, until)) {
            return false;
        }
        self.latest += 1;
        if let Some(known) = known {
            self.changes.remove(&known.change);
        }
        self.changes.insert(self.latest, what);
        self.entries.insert(what, Times { at, until, change: self.latest });
        true
    }

    fn revocation(&self, what: &Revoke) -> Option<Revocation> {
        let Times { at, until, .. } = *self.entries.get(what)?;
        Some(Revocation { what: *what, at, until })
    }
}

fn bucket_end(until: u64) -> u64 {
    until.div_ceil(BUCKET).saturating_mul(BUCKET)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_764_000_000;
    const HOUR: u64 = 3_600;

    fn link(n: u8) -> TokenId {
        TokenId::from_bytes([n; 16])
    }

    #[test]
    fn what_one_caller_took_back_another_did_not() {
        let revoked = Revoked::new(10);
        revoked.insert(Revocation::link(link(1), "mail", NOW + 60)).unwrap();
        assert!(revoked.link(link(1), "mail"));
        assert!(!revoked.link(link(1), "billing") && !revoked.link(link(2), "mail"));
        revoked.insert(Revocation::link(link(1), "billing", NOW + 60)).unwrap();
        assert!(revoked.link(link(1), "billing") && revoked.link(link(1), "mail"));
    }

    #[test]
    fn links_leave_room_for_sessions_and_users() {
        let revoked = Revoked::new(8);
        let link = |n: u8| Revocation::link(link(n), "mail", NOW + 60);
        let user = |n: u8| Revocation::user("panel", &n.to_string(), NOW, NOW + 60);
        let session = |n: u8| Revocation::session(SessionId::from_bytes([n; 16]), NOW + 60);
        let taken = |of: &dyn Fn(u8) -> Revocation| {
            (0..8).filter(|n| revoked.insert(of(*n)).is_ok()).count()
        };
        assert_eq!([taken(&link), taken(&user), taken(&session)], [4, 2, 2]);
        assert_eq!(revoked.insert(session(9)), Err(Denial::StoreFull));
    }

    #[test]
    fn a_user_is_refused_up_to_the_latest_revocation() {
        let revoked = Revoked::new(10);
        revoked.insert(Revocation::user("panel", "joe", NOW + 5, NOW + HOUR)).unwrap();
        revoked.insert(Revocation::user("panel", "joe", NOW, NOW + HOUR)).unwrap();
        assert!(revoked.user("panel", "joe", NOW + 5));
        assert!(!revoked.user("panel", "joe", NOW + 6));
        assert!(!revoked.user("other", "joe", NOW) && !revoked.user("pane", "ljoe", NOW));
        assert_eq!(revoked.entries(), 1);
    }

    #[test]
    fn it_refuses_when_full_and_forgets_what_is_over() {
        let revoked = Revoked::new(2);
        let session = |n| SessionId::from_bytes([n; 16]);
        revoked.insert(Revocation::session(session(1), NOW)).unwrap();
        revoked.insert(Revocation::session(session(2), NOW)).unwrap();
        assert_eq!(revoked.insert(Revocation::session(session(3), NOW)), Err(Denial::StoreFull));
        // A longer `until` for one that is known needs no room, and holds.
        revoked.insert(Revocation::session(session(2), NOW + 2 * HOUR)).unwrap();
        assert_eq!(revoked.due(NOW + HOUR - 1), None);
        let horizon = revoked.due(NOW + HOUR + BUCKET).unwrap();
        revoked.forget(horizon);
        assert!(!revoked.session(session(1)) && revoked.session(session(2)));
        assert_eq!((revoked.entries(), revoked.horizon()), (1, bucket_end(NOW)));
        assert!(!revoked.misled_by(NOW + HOUR) && revoked.misled_by(NOW - 1));
        assert!(!revoked.rests_on(&Revocation::session(session(1), NOW)));
    }

    #[test]
    fn what_is_remembered_rests_on_the_records_with_its_latest_times() {
        let revoked = Revoked::new(10);
        let joe = |at, until| Revocation::user("panel", "joe", at, until);
        for record in [joe(NOW, NOW + 60), joe(NOW + 5, NOW + 90), joe(NOW + 7, NOW + 80)] {
            revoked.insert(record).unwrap();
        }
        assert!(
            revoked.rests_on(&joe(NOW + 7, NOW + 80)) && revoked.rests_on(&joe(NOW + 5, NOW + 90))
        );
        assert!(!revoked.rests_on(&joe(NOW, NOW + 60)));
        let session = |until| Revocation::session(SessionId::from_bytes([1; 16]), until);
        revoked.insert(session(NOW)).unwrap();
        revoked.insert(session(NOW + 60)).unwrap();
        assert!(revoked.rests_on(&session(NOW + 60)) && !revoked.rests_on(&session(NOW)));
    }

    #[test]
    fn what_a_clock_that_is_ahead_dated_later_is_reached_once() {
        let revoked = Revoked::new(10);
        let of = |at| Revocation::user("panel", "joe", at, NOW + HOUR);
        assert_eq!(revoked.beyond(&of(NOW), NOW), None);
        assert_eq!(revoked.beyond(&of(NOW), NOW + 3), Some(of(NOW + 3)));
        // By more no clock is ahead whose tokens are taken; but it went on issuing.
        assert_eq!(revoked.beyond(&of(NOW), NOW + 60), Some(of(NOW + LEEWAY)));
        revoked.restore(of(NOW));
        // Others do the same, and it comes back later than it went.
        assert_eq!(revoked.beyond(&of(NOW + 3), NOW + 60), None);
        assert_eq!(revoked.beyond(&of(NOW + 60), NOW + 61), None);
        // Somebody asks again.
        let again = |at| Revocation { until: NOW + HOUR + 1, ..of(at) };
        assert_eq!(revoked.beyond(&again(NOW + 1), NOW + 3), Some(again(NOW + 3)));
        let session = Revocation::session(SessionId::from_bytes([1; 16]), NOW + HOUR);
        assert_eq!(revoked.beyond(&session, NOW), None);
    }

    #[test]
    fn what_is_taken_back_further_is_held_and_what_is_less_is_not() {
        let revoked = Revoked::new(10);
        let joe = |at, until| Revocation::user("panel", "joe", at, until);
        assert!(!revoked.holds(&joe(NOW, NOW + 60)));
        revoked.restore(joe(NOW, NOW + 60));
        for (at, until, held) in [
            (NOW, NOW + 60, true),
            (NOW - 1, NOW + 59, true),
            (NOW + 1, NOW + 60, false),
            (NOW, NOW + 61, false),
        ] {
            assert_eq!(revoked.holds(&joe(at, until)), held, "{at} {until}");
        }
    }

    #[test]
    fn whoever_heard_of_some_is_told_the_rest_once() {
        let revoked = Revoked::new(10);
        let of = |n: u8, until| Revocation::session(SessionId::from_bytes([n; 16]), until);
        assert_eq!((revoked.since(0, 10), revoked.latest()), ((vec![], 0), 0));
        for n in 1..=3 {
            assert!(revoked.restore(of(n, NOW)));
        }
        assert!(!revoked.restore(of(1, NOW)) && !revoked.restore(of(1, NOW - 1)));
        assert_eq!(revoked.since(0, 2), (vec![of(1, NOW), of(2, NOW)], 2));
        assert_eq!(revoked.since(2, 10), (vec![of(3, NOW)], 3));
        // What changed stands at its new place alone, and what is over at none.
        assert!(revoked.restore(of(1, NOW + 2 * HOUR)));
        assert_eq!(revoked.since(3, 10), (vec![of(1, NOW + 2 * HOUR)], 4));
        assert_eq!(revoked.since(0, 1), (vec![of(2, NOW)], 2));
        revoked.forget(bucket_end(NOW));
        assert_eq!(revoked.since(0, 10), (vec![of(1, NOW + 2 * HOUR)], 4));
        assert_eq!(revoked.latest(), 4);
    }

    #[test]
    fn what_another_gate_took_back_says_nothing_of_this_clock() {
        let revoked = Revoked::new(0);
        let joe = Revocation::user("panel", "joe", NOW + HOUR, NOW + 2 * HOUR);
        assert!(revoked.hear(joe) && !revoked.hear(joe) && !revoked.misled_by(NOW));
        assert!(revoked.user("panel", "joe", NOW + HOUR));
        let over = bucket_end(NOW + 2 * HOUR);
        revoked.forget(over);
        assert!(!revoked.hear(joe), "forgotten here: else it came back at each asking");
    }

    #[test]
    fn a_revocation_from_the_future_shows_a_clock_gone_back() {
        let revoked = Revoked::new(2);
        revoked.insert(Revocation::user("panel", "joe", NOW, NOW + HOUR)).unwrap();
        assert!(!revoked.misled_by(NOW) && !revoked.misled_by(NOW - CLOCK_SLACK));
        assert!(revoked.misled_by(NOW - CLOCK_SLACK - 1));
    }
}
