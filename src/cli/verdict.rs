//! What a gate would say of a token now: each step of the contract's order, and where it ends.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::{
    cli::{failure::Failure, given::Given, inspect::said},
    config::Config,
    gate::{
        carried::NAMES_ANOTHER,
        client_ip::ClientIp,
        denial::Denial,
        keyring::Keyring,
        redeem::Place,
        token::{LinkClaims, Presented},
    },
    ops::clock::rfc3339,
};

/// The steps, in the order in which a gate takes them; the spending comes last.
const STEPS: [&str; 11] = [
    "form",
    "header",
    "key",
    "signature",
    "type",
    "claims",
    "time",
    "audience",
    "address",
    "destination",
    "caller",
];

/// What was found out about one token.
#[derive(Debug)]
pub struct Verdict {
    /// Header and claims as they stand there; nothing of it is proven by itself.
    written: Option<(Value, Value)>,
    /// What a genuine token says.
    genuine: Option<LinkClaims>,
    refused: Option<Denial>,
}

impl Verdict {
    /// On a link whose token could not be read, for this reason.
    pub fn of_unreadable(denial: Denial) -> Self {
        Self { written: None, genuine: None, refused: Some(denial) }
    }

    /// Judges a token at its own site, at `now` in seconds since the Unix epoch; one that came in
    /// a link also in the form of that.
    pub fn of(
        given: &Given,
        config: &Config,
        keyring: &Keyring,
        client: Option<ClientIp>,
        now: u64,
    ) -> Self {
        let mut verdict = Self { written: None, genuine: None, refused: None };
        verdict.refused = verdict.judge(given, config, keyring, client, now).err();
        verdict
    }

    fn judge(
        &mut self,
        given: &Given,
        config: &Config,
        keyring: &Keyring,
        client: Option<ClientIp>,
        now: u64,
    ) -> Result<(), Denial> {
        let presented = Presented::new(given.token())?;
        self.written = presented.unproven();
        let verified = keyring.verify(&presented)?;
        let claims = verified.claims().clone();
        let site = config.sites.iter().find(|site| site.name == claims.aud).cloned();
        // A site that is not there cannot be asked; what a gate judges before is judged at any.
        let Some(at) = site.as_ref().or(config.sites.first()) else {
            return Err(Denial::WrongAudience(claims.aud));
        };
        let claims = self.genuine.insert(claims);
        if let Some(link) = given.link() {
            link.fits(claims)?;
        }
        let place = Place {
            issuer: &config.gate.issuer,
            reach: &config.reach,
            site: at,
            rules: &config.links,
            callers: &config.callers,
            client,
            now,
            // That the running gate alone knows.
            revoked: None,
            next: given.link().and_then(|link| link.next.as_deref()),
        };
        verified.judge(&place).map(drop).map_err(|refusal| refusal.denial)
    }

    /// Whether it would pass.
    ///
    /// # Errors
    /// [`Failure::Failed`] with the reason.
    pub fn passed(&self) -> Result<(), Failure> {
        let Some(denial) = &self.refused else { return Ok(()) };
        let public = denial.public();
        let mut what =
            format!("this token would be refused now: {}: {}", public.code, public.title);
        if matches!(denial, Denial::WrongClient { .. }) {
            what.push_str("\n  do: give the visitor's address with --ip");
        }
        Err(Failure::Failed(what))
    }

    /// Each step and its outcome.
    fn steps(&self) -> impl Iterator<Item = (&'static str, String)> {
        let ended = self.refused.as_ref().map(|denial| (step_of(denial), inside(denial)));
        let mut over = false;
        STEPS.into_iter().map(move |step| match &ended {
            Some((at, why)) if *at == step => {
                over = true;
                (step, format!("refused: {why}"))
            }
            _ if over => (step, "not reached".to_owned()),
            _ => (step, "good".to_owned()),
        })
    }

    /// For a program; `gate` is what the running gate says, if it was asked.
    pub fn json(&self, gate: Option<&Value>) -> Value {
        let public = self.refused.as_ref().map(Denial::public);
        let steps: Vec<Value> = self
            .steps()
            .map(|(step, outcome)| json!({ "step": step, "outcome": outcome }))
            .collect();
        let gate_agrees = gate.is_none_or(|gate| gate.get("valid") == Some(&Value::Bool(true)));
        json!({
            "valid": public.is_none() && gate_agrees,
            "code": public.map(|public| public.code),
            "title": public.map(|public| public.title),
            "genuine": self.genuine.is_some(),
            "dialect": self.genuine.as_ref().and_then(|claims| claims.via.as_deref()),
            "header": self.written.as_ref().map(|(header, _)| header),
            "claims": self.written.as_ref().map(|(_, claims)| claims),
            "steps": steps,
            "gate": gate,
        })
    }

    /// For a person.
    ///
    /// # Errors
    /// What writing to `out` says.
    pub fn write(&self, out: &mut impl Write, gate: Option<&Value>) -> io::Result<()> {
        if let Some((header, claims)) = &self.written {
            let proven = if self.genuine.is_some() { "" } else { " (nothing of it is proven)" };
            writeln!(out, "header: {header}")?;
            writeln!(out, "claims{proven}: {claims:#}")?;
        }
        if let Some(claims) = &self.genuine {
            write!(out, "issued {}", rfc3339(claims.iat))?;
            if let Some(dialect) = &claims.via {
                write!(out, " through {dialect}")?;
            }
            writeln!(out, ", expires {}", rfc3339(claims.exp))?;
        }
        writeln!(out)?;
        for (step, outcome) in self.steps() {
            writeln!(out, "{step:<12} {outcome}")?;
        }
        match gate {
            Some(gate) => writeln!(out, "{:<12} {}", "the gate", said(gate)),
            None => writeln!(
                out,
                "{:<12} whether it was used or withdrawn the running gate alone knows: ask it with --api",
                "unused"
            ),
        }
    }
}

/// The step at which this ends it.
fn step_of(denial: &Denial) -> &'static str {
    match denial {
        Denial::Malformed("header" | "alg") => "header",
        Denial::Malformed("signature") | Denial::BadSignature => "signature",
        Denial::Malformed("claims" | "sub" | "exp" | NAMES_ANOTHER) => "claims",
        Denial::UnknownKey => "key",
        Denial::WrongType(_) => "type",
        Denial::NotYetValid(_) | Denial::Expired(_) => "time",
        Denial::WrongAudience(_) | Denial::WrongGate(_) => "audience",
        Denial::WrongClient { .. } => "address",
        Denial::DestinationNotAllowed(_) => "destination",
        Denial::Revoked(_) => "caller",
        _ => "form",
    }
}

/// The reason for whoever runs the gate, with times that a person reads.
fn inside(denial: &Denial) -> String {
    match denial {
        Denial::Expired(at) => format!("expired at {}", rfc3339(*at)),
        Denial::NotYetValid(from) => format!("not valid before {}", rfc3339(*from)),
        other => other.to_string(),
    }
}
