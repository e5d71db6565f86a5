//! What a refusal says to a person: what happened, and what to do next.
//!
//! One exhaustive table. Nothing in it comes from the request, from a token or from inside the
//! gate: a page may be read by somebody the link was not meant for.

use crate::gate::denial::Denial;

/// Two sentences or so each, below the title of [`Denial::public`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Words {
    /// What happened.
    pub happened: &'static str,
    /// What to do next.
    pub next: &'static str,
}

const NEW_LINK: &str = "Go back to where you got it, and ask for a new one.";
const ASK_OPERATOR: &str = "If this happens again, tell the people who run this site; \
    the request number below helps them.";
const TRY_AGAIN: &str = "Wait a moment and load this page again.";
/// A link may have been spent on the way to an application that did not answer.
const APPLICATION_SILENT: &str = "Wait a moment and load this page again. If you came by a link \
    and it counts as used then, ask for a new one.";
const CHECK_REQUEST: &str = "Go back and try again. If this happens again, tell the people who \
    run this site.";

/// The words for a refusal.
#[expect(clippy::too_many_lines, reason = "one exhaustive table")]
pub(super) fn words(denial: &Denial) -> Words {
    let (happened, next) = match denial {
        Denial::Unreadable(_) => {
            ("Your browser sent something this site does not understand.", CHECK_REQUEST)
        }
        Denial::Invalid { .. } => {
            ("Something in what was sent is not as this site expects it.", CHECK_REQUEST)
        }
        Denial::Unauthorized => ("This address is for programs, and asks for a key.", ASK_OPERATOR),
        Denial::SignInRequired => (
            "This page is only shown to people who are signed in, and you are not.",
            "Get a new link from the service that sent you here, and open it in this browser.",
        ),
        Denial::Forbidden(_) => ("What was asked for is not allowed here.", ASK_OPERATOR),
        Denial::NotFound => (
            "There is no page at this address.",
            "Check the address for a missing or an extra character.",
        ),
        Denial::MethodNotAllowed(_) => ("This page cannot be used that way.", CHECK_REQUEST),
        Denial::PayloadTooLarge(_) => ("More was sent than is taken here.", "Send less at once."),
        Denial::UnsupportedMediaType(_) => {
            ("It was sent in a form that is not read here.", CHECK_REQUEST)
        }
        Denial::WrongSite(_) => (
            "The address in your browser belongs to no site that is served here.",
            "Check the address. If you followed a link, tell whoever gave it to you.",
        ),
        Denial::TooEarly => ("Your browser was quicker than the connection.", TRY_AGAIN),
        Denial::RateLimited(_) => {
            ("There were too many requests from you in a short time.", TRY_AGAIN)
        }
        Denial::Internal(_) => ("This is our fault, not yours.", ASK_OPERATOR),
        Denial::BadGateway(_) => (
            "You are at the right place, but the application behind it is not answering.",
            APPLICATION_SILENT,
        ),
        Denial::GatewayTimeout => (
            "You are at the right place, but the application behind it takes too long to answer.",
            APPLICATION_SILENT,
        ),
        Denial::UnknownDestination(_) => {
            ("The page this should lead to does not exist.", ASK_OPERATOR)
        }
        Denial::DestinationNotAllowed(_) => (
            "The page this link leads to is not one that links to this site may lead to.",
            "The link was not used. Ask for a new one where you got it.",
        ),
        Denial::UnknownUser(_) => {
            ("Nobody is known here under the name that was asked for.", ASK_OPERATOR)
        }
        Denial::DirectoryUnavailable(_) => {
            ("Links cannot be made right now: who may have one cannot be looked up.", TRY_AGAIN)
        }
        Denial::TtlTooLong(_) => (
            "It was made to last longer than this site accepts.",
            "The link was not used. Ask for a new one where you got it.",
        ),
        Denial::IpRequired => ("A link has to say for which network address it is.", ASK_OPERATOR),
        Denial::Malformed(_) => (
            "A part of it seems to be missing or changed. Mail programs sometimes break long links.",
            "Copy the whole link, from beginning to end, into the address bar. If that does not \
             help, ask for a new one.",
        ),
        Denial::BadSignature => (
            "It was changed after it was made, or was not made for this site at all.",
            "Do not use it. Ask for a new one at a place you know.",
        ),
        Denial::UnknownKey => ("It is very old, or was not made for this site at all.", NEW_LINK),
        Denial::WrongType(_) => {
            ("It serves another purpose, and cannot sign you in here.", NEW_LINK)
        }
        Denial::NotYetValid(_) => (
            "By this site's clock, the link comes from the future: a clock is wrong.",
            "Wait a minute, then open the link again. If that does not help, tell the people who \
             run this site.",
        ),
        Denial::WrongAudience(_) => (
            "It signs you in somewhere else, not here.",
            "Open it exactly as you got it, without changing the address.",
        ),
        Denial::WrongClient { .. } => (
            "It only works from the network it was asked for, and you seem to be on another: \
             perhaps a phone on mobile data, or a VPN that was switched on or off.",
            "The link was not used. Open it from the device and network where you asked for it, \
             or ask for a new one from here.",
        ),
        Denial::CrossSite(_) => (
            "A page elsewhere tried to do this in your name, so it was stopped. Nothing has changed.",
            "If you meant to sign in, open your link yourself.",
        ),
        Denial::Expired(_) => {
            ("Links work for a short time only, and this one's is over.", NEW_LINK)
        }
        Denial::AlreadyUsed => (
            "Every link works once, and this one has done its work. If that was not you, tell the \
             people who run this site.",
            NEW_LINK,
        ),
        Denial::Revoked(_) => ("It was taken back before it was used.", NEW_LINK),
        Denial::Fenced(_) => (
            "This site was restarted since the link was made, and to be safe it no longer accepts \
             links from before.",
            NEW_LINK,
        ),
        Denial::WrongGate(_) => {
            ("It has to be checked by another server than the one that answered you.", NEW_LINK)
        }
        Denial::StoreUnavailable { unspent: true, .. } => (
            "This site cannot check right now whether the link was used before, so it lets nobody \
             in. The link was not used.",
            "Wait a moment and open your link again.",
        ),
        Denial::StoreUnavailable { unspent: false, .. } => (
            "Something failed while your link was being used, and it may not work again.",
            "Ask for a new link where you got this one.",
        ),
        Denial::OwnerSilent(_) => (
            "The server that keeps count of your link does not answer right now, so nobody is let \
             in with it. The link was not used.",
            "Ask for a new link where you got this one; or wait a moment and open it again.",
        ),
        Denial::StoreFull => (
            "So many people are signing in that this site cannot keep count. The link was not used.",
            "Wait a minute and open your link again.",
        ),
    };
    Words { happened, next }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_may_be_spent_sends_for_a_new_one_and_an_unspent_one_does_not() {
        let store = |unspent| Denial::StoreUnavailable { unspent, why: "disk".to_owned() };
        assert!(words(&store(false)).next.contains("new link"));
        assert!(!words(&store(true)).next.contains("new link"));
        assert!(words(&store(true)).happened.contains("was not used"));
        // Another gate may make a new one while this one's is down.
        let silent = words(&Denial::OwnerSilent("gate-b".to_owned()));
        assert!(silent.next.contains("new link") && silent.happened.contains("was not used"));
    }
}
