//! Clients: they ask for links, use them, use them again in another spelling, at another gate, at
//! the same time, and after an answer that never came; they sign out, and take back.

use std::sync::Arc;

use oncegate::gate::seen::CLOCK_SLACK;
use tokio::task::JoinSet;

use crate::{ledger::Outcome, process::Process, world::World};

/// Users there are: few, so that taking one back matters.
const USERS: u64 = 4;

/// Everybody outside.
pub struct Clients {
    world: Arc<World>,
    under_way: JoinSet<()>,
}

/// What a client does.
#[derive(Clone, Copy)]
enum Act {
    Ask,
    Present,
    PresentTwice,
    Inspect,
    RevokeLink,
    RevokeUser,
    Show,
    SignOut,
}

impl Clients {
    /// Clients of a world.
    pub fn new(world: &Arc<World>) -> Self {
        Self { world: Arc::clone(world), under_way: JoinSet::new() }
    }

    /// One of them does something, at some of these gates.
    pub fn act(&mut self, gates: &[Arc<Process>]) {
        let (Some(at), Some(other)) = (self.world.one_of(gates), self.world.one_of(gates)) else {
            return;
        };
        let act = self.world.roll(|dice| {
            dice.weighed(&[
                (30, Act::Ask),
                (36, Act::Present),
                (12, Act::PresentTwice),
                (4, Act::Inspect),
                (3, Act::RevokeLink),
                (3, Act::RevokeUser),
                (7, Act::Show),
                (5, Act::SignOut),
            ])
        });
        let world = Arc::clone(&self.world);
        match act {
            Act::Ask => drop(ask(&world, &at)),
            Act::Present => self.present(&at),
            Act::PresentTwice => {
                if let Some(token) = some_token(&world) {
                    self.under_way.spawn(present(Arc::clone(&world), at, token));
                    self.under_way.spawn(present(world, other, token));
                }
            }
            Act::Inspect => {
                if let Some(token) = some_token(&world) {
                    let link = world.ledger().link(token);
                    self.under_way.spawn(async move { drop(at.inspect(&link).await) });
                }
            }
            Act::RevokeLink => {
                if let Some(token) = some_token(&world) {
                    self.under_way.spawn(revoke_link(world, at, token));
                }
            }
            Act::RevokeUser => drop(self.under_way.spawn(revoke_user(world, at))),
            Act::Show => show_some(&world, &at),
            Act::SignOut => {
                if let Some(session) = some_session(&world) {
                    self.under_way.spawn(sign_out(world, at, session));
                }
            }
        }
    }

    fn present(&mut self, at: &Arc<Process>) {
        if let Some(token) = some_token(&self.world) {
            self.under_way.spawn(present(Arc::clone(&self.world), Arc::clone(at), token));
        }
    }

    /// Waits until everybody has an answer, or has none to wait for.
    pub async fn settle(&mut self) {
        while let Some(done) = self.under_way.join_next().await {
            // A panic in a client is one of the simulation.
            done.unwrap();
        }
    }

    /// Presents every token there is once more at every gate, and shows every session.
    pub async fn try_everything(&mut self, gates: &[Arc<Process>]) {
        let (tokens, sessions) = self.world.ledger().size();
        for at in gates {
            for token in 0..tokens {
                self.under_way.spawn(present(Arc::clone(&self.world), Arc::clone(at), token));
            }
            self.settle().await;
            (0..sessions).for_each(|session| show(&self.world, at, session));
        }
    }

    /// Everything works again: at each gate a link can be had that each other admits.
    pub async fn start_afresh(&mut self, gates: &[Arc<Process>]) {
        if gates.is_empty() {
            self.world.ledger().violate("no gate is up, though nothing fails any more".to_owned());
        }
        for at in gates {
            for other in gates {
                let Some(token) = ask(&self.world, at) else { continue };
                self.under_way.spawn(present(Arc::clone(&self.world), Arc::clone(other), token));
            }
        }
        self.settle().await;
    }
}

fn ask(world: &World, at: &Process) -> Option<usize> {
    let (user, ttl) = world.roll(|dice| (dice.below(USERS), dice.between(20, 300)));
    let calm = world.calm();
    match at.issue(user, ttl) {
        // Of a link that a dying process issued nobody ever heard.
        _ if at.is_dead() => None,
        Ok(link) => {
            let (mem, issued, expires) = (link.mem, link.issued, link.expires);
            let token = world.ledger().issued(link, calm);
            world.tell(format_args!(
                "{at:?} issues t{token} for u{user}, {mem}, {issued} to {expires}"
            ));
            Some(token)
        }
        Err(why) => {
            world.tell(format_args!("{at:?} issues nothing: {why}"));
            let calm = calm && world.calm();
            world.ledger().not_issued(&why, calm);
            None
        }
    }
}

/// Presents a token, in one of its spellings.
async fn present(world: Arc<World>, at: Arc<Process>, token: usize) {
    let spelling = world.roll(|dice| dice.below(3));
    // On the way to the gate.
    world.dawdle().await;
    if at.is_dead() {
        return;
    }
    let link = world.ledger().link(token);
    let calm = world.calm();
    let split = world.ledger().split();
    let knows = at.knows_links(world.time.so_far(), calm, split);
    let presented = world.ledger().presented(token, knows);
    world.tell(format_args!("t{token} at {at:?}, spelling {spelling}"));
    let redeemed = at.redeem(&world, &link, spelling).await;
    let outcome = match &redeemed {
        _ if at.is_dead() => Outcome::Unanswered,
        Ok(_) => Outcome::Admitted,
        Err(denial) => Outcome::Refused(denial.clone()),
    };
    world.tell(format_args!("t{token} at {at:?}: {outcome:?}"));
    let latest = world.latest_clock();
    let calm = world.calm();
    let mut ledger = world.ledger();
    ledger.answered(presented, &outcome, latest);
    if let (Outcome::Admitted, Ok(session)) = (outcome, redeemed) {
        ledger.begun(presented, session, calm, world.time.elapsed());
    }
}

async fn revoke_link(world: Arc<World>, at: Arc<Process>, token: usize) {
    let link = world.ledger().link(token);
    let calm = world.calm();
    world.ledger().revoking_link(token);
    let revoked = at.revoke_link(link.id).await;
    world.tell(format_args!("t{token} taken back at {at:?}: {revoked:?}"));
    match revoked {
        _ if at.is_dead() => {}
        Ok(()) => world.ledger().revoked_link(token, world.time.elapsed()),
        Err(why) => world.not_revoked(&why, calm),
    }
}

async fn revoke_user(world: Arc<World>, at: Arc<Process>) {
    let (user, calm, until) = (world.roll(|dice| dice.below(USERS)), world.calm(), at.up_to_now());
    let up_to_now = world.ledger().revoking_user(user, until);
    let ahead = until > at.clock.now() + CLOCK_SLACK;
    if ahead {
        // It reaches ahead of the clock, and the memory is replaced with all that reaches there.
        world.fault("a user taken back by a clock gone back");
    }
    let revoked = at.revoke_user(&world, user, until).await;
    world.tell(format_args!("u{user} taken back up to {until} at {at:?}: {revoked:?}"));
    match revoked {
        _ if at.is_dead() => {}
        // It went with the memory, before others may have heard of it.
        Ok(()) if ahead && !at.is_alone() => {}
        Ok(()) => world.ledger().revoked_user(up_to_now, world.time.elapsed()),
        Err(why) => world.not_revoked(&why, calm),
    }
}

async fn sign_out(world: Arc<World>, at: Arc<Process>, number: usize) {
    let session = world.ledger().session(number);
    let calm = world.calm();
    if !at.takes(&session) {
        return;
    }
    world.ledger().ending(number);
    let ended = at.end(&session).await;
    world.tell(format_args!("s{number} ended at {at:?}: {ended:?}"));
    match ended {
        _ if at.is_dead() => {}
        Ok(()) => world.ledger().ended(number, world.time.elapsed()),
        Err(why) => world.not_revoked(&why, calm),
    }
}

fn show_some(world: &World, at: &Process) {
    if let Some(session) = some_session(world) {
        show(world, at, session);
    }
}

fn show(world: &World, at: &Process, number: usize) {
    let session = world.ledger().session(number);
    let alive = at.takes(&session);
    world.tell(format_args!("s{number} at {at:?}: {}", if alive { "alive" } else { "not alive" }));
    let latest = world.latest_clock();
    let knows = at.knows(world.time.so_far(), world.calm());
    world.ledger().shown(number, alive, knows, latest);
}

/// One of the tokens, a late one more often.
fn some_token(world: &World) -> Option<usize> {
    some(world, world.ledger().size().0)
}

fn some_session(world: &World) -> Option<usize> {
    some(world, world.ledger().size().1)
}

fn some(world: &World, count: usize) -> Option<usize> {
    let back =
        world.roll(|dice| if dice.chance(60) { dice.below(3) } else { dice.below(count as u64) });
    count.checked_sub(1).map(|last| last.saturating_sub(back as usize))
}
