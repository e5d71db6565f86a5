//! The ledger: every token and session of a run, what became of it, and what must hold.
//!
//! 1. **At most once**: no token is admitted twice; whatever failed, wherever it was presented.
//! 2. **Not in vain**: what is valid is admitted, if nothing failed since it was issued.
//! 3. **Taken back**: what was answered as revoked is admitted nowhere after that answer, a session
//!    that was ended stays so; and nothing that was not meant is hit.
//!
//! The ledger knows nothing of how a store works: it sees what clients see.

use std::collections::BTreeMap;

use oncegate::gate::{
    denial::Denial,
    id::{MemoryId, SessionId, TokenId},
    redeem::LEEWAY,
};

/// Milliseconds after the last fault in which everybody may still be coming round.
pub const GRACE: u64 = 2_000;

/// Seconds by which clocks may differ without anything being wrong.
pub const DRIFT: u64 = 5;

/// Gates that hear of the same, one of the other.
const MOST_GATES: u64 = 4;

/// What a link says, as far as it matters here.
#[derive(Debug, Clone)]
pub struct Link {
    /// Its id.
    pub id: TokenId,
    /// The memory that records its use.
    pub mem: MemoryId,
    /// The gate of that, where it is a gate's.
    pub gate: Option<String>,
    /// Whom it signs in.
    pub user: u64,
    /// When it was issued, by its gate's clock.
    pub issued: u64,
    /// When it expires, by the same.
    pub expires: u64,
}

/// A session that an admission began.
#[derive(Debug, Clone)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// The memory of its link.
    pub mem: MemoryId,
    /// Who is signed in.
    pub user: u64,
    /// When the link was issued.
    pub issued: u64,
    /// When it was used.
    pub begun: u64,
    /// When the session is over by itself.
    pub expires: u64,
}

/// What became of one presentation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The visitor is in.
    Admitted,
    /// The gate said no.
    Refused(Denial),
    /// No answer: whoever was asked died.
    Unanswered,
}

#[derive(Debug)]
struct Token {
    link: Link,
    /// Something failed since it was issued: it may be refused.
    excused: bool,
    under_way: usize,
    admitted: usize,
    /// Somebody asked for it to be taken back; and was told that it was.
    revoking: bool,
    revoked: Option<u64>,
    /// So it was with everything of its user, if it was out when that was asked for; it may be hit
    /// as well if it was issued before the answer.
    user_revoked: Option<u64>,
    user_revoking: bool,
}

#[derive(Debug)]
struct Begun {
    session: Session,
    /// The number of its token.
    token: usize,
    excused: bool,
    ending: bool,
    /// When somebody was told that it is over, in milliseconds of the run.
    ended: Option<u64>,
}

/// What is known of a run.
#[derive(Debug, Default)]
pub struct Ledger {
    tokens: Vec<Token>,
    sessions: Vec<Begun>,
    /// By user: up to when somebody asked for everything to be taken back.
    revoking: BTreeMap<u64, u64>,
    /// By user: how many of those that asked have no good answer yet.
    unanswered: BTreeMap<u64, usize>,
    last_fault: Option<u64>,
    /// There is too little room: whoever is refused for that has no claim.
    pub tight: bool,
    /// What two faults at a time may lose of that which was taken back.
    pub two_faults_lose: TwoFaults,
    costs: bool,
    /// Faults that go on.
    lasting: usize,
    /// A gate may have issued what bears a time to come.
    pub dated_ahead: bool,
    /// When there were two in charge last.
    split: Option<u64>,
    violation: Option<String>,
    totals: BTreeMap<String, u64>,
}

/// What was taken back, and told to be so, is known to several gates before long. Until then a
/// fault that keeps others from hearing, and a second one at whoever knows, may lose it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TwoFaults {
    /// One gate knows, or none.
    #[default]
    Nothing,
    /// The ends of sessions. Links name the memory that is lost.
    Ends,
    /// Of links too: they name one gate's memory, and are taken back at another.
    All,
}

/// What a presentation must be judged by: how things were when it began.
#[derive(Debug, Clone, Copy)]
pub struct Presented {
    number: usize,
    banned: bool,
}

/// Everything of a user that was out when somebody asked for it to be taken back.
#[derive(Debug, Clone, Copy)]
pub struct UpToNow {
    user: u64,
    at: u64,
    tokens: usize,
}

impl Ledger {
    /// An empty one. `costs`: nothing counts but an admission too many, since something is broken
    /// on purpose that may cost links.
    pub fn new(costs: bool) -> Self {
        Self { costs, ..Self::default() }
    }

    /// Takes in a link; gives it a number. `calm`: from now on it has a claim.
    pub fn issued(&mut self, link: Link, calm: bool) -> usize {
        self.count("issued");
        let user_revoking = self.unanswered.get(&link.user).is_some_and(|count| *count > 0);
        let token = Token {
            link,
            excused: !calm,
            under_way: 0,
            admitted: 0,
            revoking: false,
            revoked: None,
            user_revoked: None,
            user_revoking,
        };
        self.tokens.push(token);
        self.tokens.len() - 1
    }

    /// A gate could not issue; `calm`, although all was well.
    pub fn not_issued(&mut self, why: &Denial, calm: bool) {
        self.count(format!("not issued, {}", why.public().code));
        if calm {
            self.violate(format!("no link could be issued though nothing failed: {why}"));
        }
    }

    /// Someone presents a token, at a gate that promises to know of all that was answered at
    /// `knows` or before, in milliseconds of the run.
    pub fn presented(&mut self, number: usize, knows: u64) -> Presented {
        let token = &mut self.tokens[number];
        token.under_way += 1;
        let heard = |at: Option<u64>| at.is_some_and(|at| at <= knows);
        Presented { number, banned: heard(token.revoked) || heard(token.user_revoked) }
    }

    /// What became of it; `latest_clock` is the latest time that any clock shows, in seconds.
    pub fn answered(&mut self, presented: Presented, outcome: &Outcome, latest_clock: u64) {
        let Presented { number, banned } = presented;
        self.count(match outcome {
            Outcome::Admitted => "admitted".to_owned(),
            Outcome::Refused(denial) => format!("refused, {}", denial.public().code),
            Outcome::Unanswered => "unanswered".to_owned(),
        });
        let token = &mut self.tokens[number];
        token.under_way -= 1;
        let over = token.link.expires <= latest_clock + DRIFT;
        let asked_back = token.revoking
            || token.user_revoking
            || self.revoking.get(&token.link.user).is_some_and(|at| {
                // A gate that hears of it late takes back what it has issued since in those seconds
                // by which clocks may differ, and so does the next of that one; one that was ahead
                // takes back in all of them what bears such a time.
                let late = token.excused || self.dated_ahead;
                let again = if late { MOST_GATES * LEEWAY } else { 0 };
                token.link.issued <= *at + again
            });
        match outcome {
            Outcome::Admitted => token.admitted += 1,
            Outcome::Unanswered => token.excused = true,
            Outcome::Refused(_) => {}
        }
        let no_room = self.tight && *outcome == Outcome::Refused(Denial::StoreFull);
        let owed = !token.excused && !over && !asked_back && !no_room;
        let nobody_got_in = token.admitted == 0 && token.under_way == 0;
        let admitted = token.admitted;
        match outcome {
            Outcome::Admitted if admitted > 1 => {
                self.violation.get_or_insert(format!("t{number} was admitted {admitted} times"));
            }
            Outcome::Admitted if banned => {
                self.violate(format!("t{number} was admitted after it was taken back"));
            }
            Outcome::Refused(Denial::Revoked(why)) if !asked_back => {
                self.violate(format!("t{number} was refused as revoked, {why}, and nobody asked"));
            }
            Outcome::Refused(why) if owed && nobody_got_in => {
                self.violate(format!("t{number} was refused though nothing failed: {why}"));
            }
            _ => {}
        }
    }

    /// The admission of a presented token began a session.
    pub fn begun(&mut self, presented: Presented, session: Session, calm: bool, now: u64) {
        let (excused, gone) = (!calm, self.tokens[presented.number].user_revoked.is_some());
        let ended = gone.then_some(now);
        let token = presented.number;
        self.sessions.push(Begun { session, token, excused, ending: false, ended });
    }

    /// A gate was shown a session, and took it for alive or not. It promises to know of all that was
    /// answered at `knows` or before, in milliseconds of the run.
    pub fn shown(&mut self, number: usize, alive: bool, knows: u64, latest_clock: u64) {
        self.count(if alive { "session alive" } else { "session not alive" });
        let Begun { session, token, excused, ending, ended } = &self.sessions[number];
        let asked = self.revoking.get(&session.user);
        let may_be_gone = self.tokens[*token].user_revoking
            || ended.is_some()
            || *ending
            || asked.is_some_and(|at| session.issued.min(session.begun) <= *at);
        let over = session.expires <= latest_clock + DRIFT;
        if alive && ended.is_some_and(|at| at <= knows) {
            self.violate(format!("s{number} is alive after it was ended"));
        } else if !alive && !may_be_gone && !over && !excused {
            self.violate(format!("s{number} is not alive though nothing failed"));
        }
    }

    /// Someone asks to take one link back.
    pub fn revoking_link(&mut self, number: usize) {
        self.tokens[number].revoking = true;
    }

    /// That was answered with yes.
    pub fn revoked_link(&mut self, number: usize, now: u64) {
        self.count("link taken back");
        self.tokens[number].revoked.get_or_insert(now);
    }

    /// Someone asks to take back everything of a user that was issued at or before `at`; gives
    /// what to answer with.
    pub fn revoking_user(&mut self, user: u64, at: u64) -> UpToNow {
        let until = self.revoking.entry(user).or_default();
        *until = at.max(*until);
        *self.unanswered.entry(user).or_default() += 1;
        for token in self.tokens.iter_mut().filter(|token| token.link.user == user) {
            token.user_revoking = true;
        }
        UpToNow { user, at, tokens: self.tokens.len() }
    }

    /// That was answered with yes. What was issued since it was asked for may be hit or not.
    pub fn revoked_user(&mut self, UpToNow { user, at, tokens }: UpToNow, now: u64) {
        self.count("user taken back");
        *self.unanswered.entry(user).or_default() -= 1;
        for token in &mut self.tokens[..tokens] {
            if token.link.user == user && token.link.issued <= at {
                token.user_revoked.get_or_insert(now);
            }
        }
        for begun in &mut self.sessions {
            if self.tokens[begun.token].user_revoked.is_some() {
                begun.ended.get_or_insert(now);
            }
        }
    }

    /// Someone signs out.
    pub fn ending(&mut self, number: usize) {
        self.sessions[number].ending = true;
    }

    /// That was answered with yes.
    pub fn ended(&mut self, number: usize, now: u64) {
        self.count("session ended");
        self.sessions[number].ended.get_or_insert(now);
    }

    fn second_fault(&mut self) {
        if self.two_faults_lose != TwoFaults::Nothing {
            for begun in &mut self.sessions {
                begun.ending |= begun.ended.take().is_some();
            }
        }
        // Links of a memory that stays can be taken back in another: with one gate's memory each,
        // and while two servers are in charge, of which one is put aside with what it recorded.
        let all = (self.two_faults_lose == TwoFaults::All).then_some(0);
        if let Some(since) = all.or(self.split) {
            for token in &mut self.tokens {
                token.revoking |= token.revoked.take_if(|at| *at >= since).is_some();
                token.user_revoking |= token.user_revoked.take_if(|at| *at >= since).is_some();
            }
        }
    }

    /// A revocation that was refused; `calm`, although all was well while it was asked for.
    pub fn not_revoked(&mut self, why: &Denial, calm: bool) {
        self.count(format!("not revoked, {}", why.public().code));
        if calm {
            self.violate(format!("nothing could be taken back though nothing failed: {why}"));
        }
    }

    /// What may cost whatever is out.
    pub fn fault(&mut self, name: &'static str, now: u64) {
        self.count(name);
        if self.calm(now) {
            self.split = None;
        } else {
            self.second_fault();
        }
        self.last_fault = self.last_fault.max(Some(now));
        self.tokens.iter_mut().for_each(|token| token.excused = true);
        self.sessions.iter_mut().for_each(|begun| begun.excused = true);
    }

    /// A fault begins that lasts; or one ends.
    pub fn lasts(&mut self, begins: bool, now: u64) {
        self.lasting = if begins { self.lasting + 1 } else { self.lasting - 1 };
        self.last_fault = self.last_fault.max(Some(now));
    }

    /// All machines slept: nobody was known to listen, and what is issued before all do again has no
    /// claim.
    pub fn slept(&mut self, now: u64) {
        self.last_fault = self.last_fault.max(Some(now));
    }

    /// Two are in charge from now on, and neither hears of the other.
    pub fn splits(&mut self, now: u64) {
        self.split = Some(now);
    }

    /// When that began last, until all has come round.
    pub fn split(&self) -> Option<u64> {
        self.split
    }

    /// Whether nothing has failed for so long that everybody has come round.
    pub fn calm(&self, now: u64) -> bool {
        self.lasting == 0 && self.last_fault.is_none_or(|at| now > at + GRACE)
    }

    /// The link of a number.
    pub fn link(&self, number: usize) -> Link {
        self.tokens[number].link.clone()
    }

    /// The session of a number.
    pub fn session(&self, number: usize) -> Session {
        self.sessions[number].session.clone()
    }

    /// How many tokens, and sessions, there are.
    pub fn size(&self) -> (usize, usize) {
        (self.tokens.len(), self.sessions.len())
    }

    /// Counts something, for the totals.
    pub fn count(&mut self, what: impl Into<String>) {
        *self.totals.entry(what.into()).or_default() += 1;
    }

    /// Something else that must hold does not.
    pub fn violate(&mut self, what: String) {
        if !self.costs {
            self.violation.get_or_insert(what);
        }
    }

    /// The first thing that did not hold.
    pub fn violation(&self) -> Option<String> {
        self.violation.clone()
    }

    /// What was counted.
    pub fn totals(&self) -> &BTreeMap<String, u64> {
        &self.totals
    }
}
