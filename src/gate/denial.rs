//! Why a request was refused.
//!
//! A closed list: a new reason does not compile until [`Denial::public`] gives it a face. Each
//! has two messages: [`Public`] for the stranger, `Display` for the log.

/// Why a request was refused. `Display` is for the log: it holds no secret and no whole token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The request could not be read at all.
    #[error("unreadable request: {0}")]
    Unreadable(String),
    /// The request could be read, and this field of it is wrong.
    #[error("{field}: {why}")]
    Invalid {
        /// The field, as the client names it.
        field: String,
        /// What is wrong with it, and what is expected.
        why: String,
    },
    /// No caller has these credentials.
    #[error("no caller has these credentials")]
    Unauthorized,
    /// A visitor without a session.
    #[error("nobody is signed in")]
    SignInRequired,
    /// The caller may not do this.
    #[error("forbidden: {0}")]
    Forbidden(String),
    /// Nothing is here.
    #[error("nothing is here")]
    NotFound,
    /// The resource exists, with other methods.
    #[error("method not allowed; allowed: {0}")]
    MethodNotAllowed(&'static str),
    /// The body is larger than this many bytes.
    #[error("the body is larger than {0} bytes")]
    PayloadTooLarge(u64),
    /// The body is not of a type that is read here.
    #[error("the body is not {0}")]
    UnsupportedMediaType(&'static str),
    /// The authority is no site's.
    #[error("no site has the authority {0:?}")]
    WrongSite(String),
    /// `Early-Data: 1` on a request that spends (RFC 8470).
    #[error("sent as early data")]
    TooEarly,
    /// Too many requests; seconds until another may pass.
    #[error("rate limited for {0} s")]
    RateLimited(u64),
    /// A fault of the gate.
    #[error("internal: {0}")]
    Internal(String),
    /// The upstream did not answer, or not in HTTP.
    #[error("bad gateway: {0}")]
    BadGateway(String),
    /// The upstream did not answer in time.
    #[error("the upstream did not answer in time")]
    GatewayTimeout,

    /// No destination has this name, or it was given the wrong values.
    #[error("unknown destination: {0}")]
    UnknownDestination(String),
    /// The destination leads elsewhere, or this caller may not name it.
    #[error("destination not allowed: {0}")]
    DestinationNotAllowed(String),
    /// The directory has no such user, or one that may not be signed in.
    #[error("unknown user: {0}")]
    UnknownUser(&'static str),
    /// The directory did not answer, or not in a way that can be read.
    #[error("the directory: {0}")]
    DirectoryUnavailable(String),
    /// The lifetime asked for is longer than this many seconds.
    #[error("ttl: at most {0} s")]
    TtlTooLong(u64),
    /// Links of this gate are bound to an address, and none was given.
    #[error("ip: this gate binds every link to the visitor's address")]
    IpRequired,

    /// Not a token of this format.
    #[error("malformed token: {0}")]
    Malformed(&'static str),
    /// The signature is not the key's.
    #[error("bad signature")]
    BadSignature,
    /// No key here has the token's `kid`.
    #[error("unknown key")]
    UnknownKey,
    /// A good token of ours, but not a link; or a link of another dialect.
    #[error("wrong type: {0}")]
    WrongType(&'static str),
    /// Issued after now, by more than the leeway.
    #[error("not valid before {0}")]
    NotYetValid(u64),
    /// Issued for another site, or by another issuer.
    #[error("for {0:?}, not for this site")]
    WrongAudience(String),
    /// Presented from an address the token is not bound to.
    #[error("bound to {bound}, presented from {seen}")]
    WrongClient {
        /// The networks it is bound to.
        bound: String,
        /// The client's address, or why there is none.
        seen: String,
    },
    /// Posted by a page that is not the gate's.
    #[error("sent by another site's page: {0}")]
    CrossSite(String),
    /// Its time is over.
    #[error("expired at {0}")]
    Expired(u64),
    /// It was used before.
    #[error("already used")]
    AlreadyUsed,
    /// It was taken back: by name, with its user, or with its caller.
    #[error("revoked: {0}")]
    Revoked(&'static str),
    /// The memory that would know of an earlier use is gone.
    #[error("fenced: its memory {0} is gone")]
    Fenced(String),
    /// Another gate remembers this token's use.
    #[error("belongs to gate {0:?}")]
    WrongGate(String),
    /// The use could not be recorded.
    #[error("store unavailable (the token is {}): {why}", if *.unspent { "unspent" } else { "perhaps spent" })]
    StoreUnavailable {
        /// Whether the token is certainly unspent.
        unspent: bool,
        /// What the store said.
        why: String,
    },
    /// The gate that would record the use does not answer, and was not asked.
    #[error("its gate does not answer (the token is unspent): {0}")]
    OwnerSilent(String),
    /// There is no room for another use.
    #[error("store full")]
    StoreFull,
}

/// What a stranger may learn of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Public {
    /// The HTTP status.
    pub status: u16,
    /// The code, stable for programs.
    pub code: &'static str,
    /// One sentence for people.
    pub title: &'static str,
}

impl Denial {
    /// The refusal of a field, as the client names it.
    pub fn invalid(field: &str, why: impl Into<String>) -> Self {
        Self::Invalid { field: field.to_owned(), why: why.into() }
    }

    /// The public face: status, code, title.
    pub fn public(&self) -> Public {
        let (status, code, title) = match self {
            Self::Unreadable(_) => (400, "invalid_request", "The request could not be read"),
            Self::Invalid { .. } => (422, "invalid_request", "A field of the request is wrong"),
            Self::Unauthorized => (401, "unauthorized", "The credentials are missing or wrong"),
            Self::SignInRequired => (401, "sign_in_required", "Sign in to see this page"),
            Self::Forbidden(_) => (403, "forbidden", "This caller may not do that"),
            Self::NotFound => (404, "not_found", "There is nothing here"),
            Self::MethodNotAllowed(_) => {
                (405, "method_not_allowed", "This cannot be done with that method")
            }
            Self::PayloadTooLarge(_) => (413, "payload_too_large", "The request is too large"),
            Self::UnsupportedMediaType(_) => {
                (415, "unsupported_media_type", "The body is of a type that is not read here")
            }
            Self::WrongSite(_) => (421, "wrong_site", "No such site is served here"),
            Self::TooEarly => (425, "too_early", "Send this again once the connection is set up"),
            Self::RateLimited(_) => (429, "rate_limited", "Too many requests"),
            Self::Internal(_) => (500, "internal", "Something went wrong here"),
            Self::BadGateway(_) => (502, "bad_gateway", "The application did not answer"),
            Self::GatewayTimeout => {
                (504, "gateway_timeout", "The application did not answer in time")
            }
            Self::UnknownDestination(_) => {
                (422, "unknown_destination", "There is no such destination")
            }
            Self::DestinationNotAllowed(_) => {
                (403, "destination_not_allowed", "A link may not lead there")
            }
            Self::UnknownUser(_) => (422, "unknown_user", "There is no such user"),
            Self::DirectoryUnavailable(_) => {
                (502, "bad_gateway", "The directory of users did not answer")
            }
            Self::TtlTooLong(_) => (422, "ttl_too_long", "A link may not live that long"),
            Self::IpRequired => (422, "ip_required", "A link needs the visitor's address here"),
            Self::Malformed(_) => (400, "malformed", "This link is not complete"),
            Self::BadSignature => (403, "bad_signature", "This link is not genuine"),
            Self::UnknownKey => (403, "unknown_key", "This link was signed with an unknown key"),
            Self::WrongType(_) => (403, "wrong_type", "This is not a link for signing in here"),
            Self::NotYetValid(_) => (403, "not_yet_valid", "This link is not valid yet"),
            Self::WrongAudience(_) => (403, "wrong_audience", "This link is for another site"),
            Self::WrongClient { .. } => {
                (403, "wrong_client", "This link was made for another network address")
            }
            Self::CrossSite(_) => (403, "cross_site", "Another site sent this"),
            Self::Expired(_) => (410, "expired", "This link has expired"),
            Self::AlreadyUsed => (410, "already_used", "This link was already used"),
            Self::Revoked(_) => (410, "revoked", "This link was withdrawn"),
            Self::Fenced(_) => (410, "fenced", "This link is no longer valid"),
            Self::WrongGate(_) => (421, "wrong_gate", "This link belongs to another gate"),
            Self::StoreUnavailable { .. } | Self::OwnerSilent(_) => {
                (503, "store_unavailable", "Links cannot be checked right now")
            }
            Self::StoreFull => (503, "store_full", "Too many links are in use right now"),
        };
        Public { status, code, title }
    }

    /// What the one concerned may learn beyond the title: the field, the bound, what to do.
    ///
    /// Nothing of the gate's inside, and nothing that helps to guess a token.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Unreadable(why)
            | Self::Forbidden(why)
            | Self::UnknownDestination(why)
            | Self::DestinationNotAllowed(why) => Some(why.clone()),
            Self::Invalid { .. }
            | Self::MethodNotAllowed(_)
            | Self::PayloadTooLarge(_)
            | Self::UnsupportedMediaType(_)
            | Self::TtlTooLong(_)
            | Self::IpRequired => Some(self.to_string()),
            Self::DirectoryUnavailable(_) => {
                Some("who may have a link could not be looked up; ask again".to_owned())
            }
            Self::StoreUnavailable { unspent: false, .. } => {
                Some("the token may have been spent; ask for a new link".to_owned())
            }
            _ => None,
        }
    }

    /// Seconds after which the same request may succeed, where that is known.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::RateLimited(seconds) => Some(*seconds),
            Self::DirectoryUnavailable(_)
            | Self::OwnerSilent(_)
            | Self::StoreUnavailable { unspent: true, .. } => Some(1),
            _ => None,
        }
    }
}
