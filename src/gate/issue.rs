//! From a permitted request to the claims of a token.

use crate::gate::{
    id::{MemoryId, TokenId},
    policy::Permitted,
    token::{Actor, LinkClaims},
};

/// Who issues, and where the use will be remembered.
#[derive(Debug, Clone, Copy)]
pub struct Issuer<'a> {
    /// The `iss` of everything this gate signs.
    pub iss: &'a str,
    /// The gate where the use is recorded; none where all share one memory.
    pub gate: Option<&'a str>,
    /// The memory in which the token's use will be recorded.
    pub mem: MemoryId,
}

impl Permitted {
    /// The claims of the link's token.
    ///
    /// `jti` is random and never used before; `now` is in seconds since the Unix epoch.
    pub fn claims(self, issuer: Issuer<'_>, jti: TokenId, now: u64) -> LinkClaims {
        LinkClaims {
            iss: issuer.iss.to_owned(),
            aud: self.site.name.clone(),
            sub: self.user,
            iat: now,
            exp: now.saturating_add(self.ttl),
            jti,
            mem: issuer.mem,
            gate: issuer.gate.map(str::to_owned),
            dst: self.destination.map(|destination| destination.as_str().to_owned()),
            ips: self.ips,
            act: Actor { sub: self.caller },
            via: self.via.map(|dialect| dialect.name().to_owned()),
            page: Some(self.page),
            ctx: self.claims,
        }
    }
}
