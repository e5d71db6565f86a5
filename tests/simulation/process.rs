//! One process of a gate: issues, redeems, revokes, ends sessions, in the order in which the edge
//! does (`edge/issue.rs`, `edge/redeem.rs`, `edge/calls.rs`, `edge/sessions.rs`), without HTTP and
//! without signatures.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use oncegate::{
    config::{LONGEST_LINK, LONGEST_SESSION},
    gate::{
        denial::Denial,
        id::{SessionId, TokenId},
        reach::Reach,
        redeem::LEEWAY,
        revoked::Revocation,
        seen::CLOCK_SLACK,
    },
    store::{Store, Use},
};

use crate::{
    dice::bits,
    ledger::{Link, Session},
    once::Once,
    time::Clock,
    world::World,
};

/// The one site and the one caller there are.
const SITE: &str = "panel";
const CALLER: &str = "billing";

/// Seconds for which a session lasts, in this world.
const SESSION: u64 = 1_800;

/// A process of a gate.
pub struct Process {
    /// What it is called in the trace.
    pub name: String,
    /// Its machine's clock.
    pub clock: Clock,
    once: Arc<dyn Once>,
    reach: Reach,
    /// Nobody else takes anything back.
    alone: bool,
    dead: Arc<AtomicBool>,
    ready: AtomicBool,
    /// When it began to listen last, and what had been skipped then, where it listens.
    listened: Mutex<Option<(u64, u64)>>,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Process {
    /// A process around its store. Whoever sets `dead` kills it: what it does from then on has no
    /// effect, and nobody hears of it.
    pub fn new(
        name: String,
        clock: Clock,
        once: Arc<dyn Once>,
        reach: Reach,
        dead: Arc<AtomicBool>,
    ) -> Arc<Self> {
        let ready = AtomicBool::new(false);
        let alone = matches!(&reach, Reach::Pinned { peers, .. } if peers.is_empty());
        let listened = Mutex::new(None);
        Arc::new(Self { name, clock, once, reach, alone, dead, ready, listened })
    }

    /// It has heard what there is to hear, and may be asked.
    pub fn becomes_ready(&self) {
        self.ready.store(true, Ordering::SeqCst);
    }

    /// Whether it may be asked.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::SeqCst)
    }

    /// Whether nobody else takes anything back.
    pub fn is_alone(&self) -> bool {
        self.alone
    }

    /// Whether it was killed.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// It ended in good order; nobody asks it any more.
    pub fn gone(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    /// Its store.
    pub fn store(&self) -> &Store {
        self.once.store()
    }

    /// Issues a link that lives `ttl` seconds.
    pub fn issue(&self, user: u64, ttl: u64) -> Result<Link, Denial> {
        let (now, name) = (self.clock.now(), user_name(user));
        let mem = self.store().mem(now)?;
        let issued = self.store().issuing(now, SITE, &name)?;
        let (id, gate) = (TokenId::from_bytes(bits()), self.reach.home().map(str::to_owned));
        Ok(Link { id, mem, gate, user, issued, expires: issued + ttl })
    }

    /// Redeems it: judged, spent, judged once more.
    pub async fn redeem(
        &self,
        world: &World,
        link: &Link,
        spelling: u64,
    ) -> Result<Session, Denial> {
        self.judge(link)?;
        world.dawdle().await;
        let token = of(link);
        self.once.spend(&token, spelling, &self.clock).await?;
        if let Some(why) = self.revoked(link) {
            return Err(Denial::Revoked(why));
        }
        let Link { mem, user, issued, .. } = *link;
        let now = self.clock.now();
        let begun = self.store().beginning(now, SITE, &user_name(user));
        let (id, expires) = (SessionId::from_bytes(bits()), now + SESSION);
        Ok(Session { id, mem, user, issued, begun, expires })
    }

    /// Whether a session may go on, as `edge::sessions` judges.
    pub fn takes(&self, session: &Session) -> bool {
        let now = self.clock.now();
        let Session { id, mem, user, issued, begun, expires } = *session;
        now < expires
            && begun <= now + LEEWAY
            && self.store().knows_sessions_of(mem)
            && !self.store().forgotten(expires)
            && !self.store().session_ended(id)
            && !self.store().user_revoked(SITE, &user_name(user), issued.min(begun))
    }

    /// Says whether it could be redeemed.
    pub async fn inspect(&self, link: &Link) -> Result<(), Denial> {
        self.judge(link)?;
        self.store().look(&of(link), || self.clock.now()).await
    }

    /// As `gate::redeem` judges, of which a simulated token has no more.
    fn judge(&self, link: &Link) -> Result<(), Denial> {
        let now = self.clock.now();
        if link.issued > now.saturating_add(LEEWAY) {
            return Err(Denial::NotYetValid(link.issued));
        }
        if now >= link.expires {
            return Err(Denial::Expired(link.expires));
        }
        self.reach.judge(link.gate.as_deref())?;
        self.revoked(link).map_or(Ok(()), |why| Err(Denial::Revoked(why)))
    }

    fn revoked(&self, link: &Link) -> Option<&'static str> {
        if self.store().link_revoked_by(link.id, CALLER) {
            Some("this link")
        } else if self.store().user_revoked(SITE, &user_name(link.user), link.issued) {
            Some("all links of this user")
        } else {
            None
        }
    }

    /// Takes one link back.
    pub async fn revoke_link(&self, id: TokenId) -> Result<(), Denial> {
        let now = self.clock.now();
        let until = now + LONGEST_LINK + LEEWAY;
        self.store().revoke(Revocation::link(id, CALLER, until), now).await
    }

    /// Up to when a user would be taken back now.
    pub fn up_to_now(&self) -> u64 {
        self.store().issued_until().max(self.clock.now())
    }

    /// Takes back everything of a user issued at or before `at`.
    pub async fn revoke_user(&self, world: &World, user: u64, at: u64) -> Result<(), Denial> {
        let now = self.clock.now();
        let until = now + LONGEST_SESSION.max(LONGEST_LINK + LEEWAY);
        let revocation = Revocation::user(SITE, &user_name(user), at, until);
        self.store().revoke(revocation, now).await?;
        if at > now + CLOCK_SLACK {
            self.store().mem(now)?;
        }
        // As `Clock::past`, which gives up after two seconds.
        for _ in 0..20 {
            if self.clock.now() > now {
                break;
            }
            world.wait(100).await;
        }
        if at > now + CLOCK_SLACK { Ok(()) } else { self.store().still_holds(&revocation) }
    }

    /// It has listened, and began to when so much of the run was over and so much skipped.
    pub fn has_listened(&self, since: (u64, u64)) {
        *self.listened.lock().unwrap() = Some(since);
    }

    /// Up to when, in milliseconds of the run, this gate promises to know of all that was taken
    /// back; `calm`: nothing has failed for a while.
    pub fn knows(&self, now: (u64, u64), calm: bool) -> u64 {
        let (now, skipped) = now;
        // While its machine slept nobody waited for it: it hears when it listens again.
        let slept = |(_, before): &(u64, u64)| *before != skipped;
        if let Some((heard, _)) = self.listened.lock().unwrap().filter(slept) {
            return if calm { heard } else { 0 };
        }
        // With others, it may have been cut off; and who was not may have yet to put back what a
        // server lost.
        if self.alone || calm { now } else { 0 }
    }

    /// The same of links: where all share one memory, it refuses to spend before a gate has heard.
    /// `split`: when there were two in charge last, who each spent for the gates that knew of them.
    pub fn knows_links(&self, now: (u64, u64), calm: bool, split: Option<u64>) -> u64 {
        match (&self.reach, split) {
            (Reach::Shared, Some(split)) if !calm => split,
            (Reach::Shared, _) => now.0,
            (Reach::Pinned { .. }, _) => self.knows(now, calm),
        }
    }

    /// Ends a session.
    pub async fn end(&self, session: &Session) -> Result<(), Denial> {
        let revocation = Revocation::session(session.id, session.expires);
        self.store().revoke(revocation, self.clock.now()).await
    }
}

fn user_name(user: u64) -> String {
    format!("user-{user}")
}

/// The use of a link's token.
fn of(link: &Link) -> Use {
    Use { id: link.id, mem: link.mem, gate: link.gate.clone(), expires: link.expires }
}
