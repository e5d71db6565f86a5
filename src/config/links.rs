//! `[links]`: the rules every link follows.

use crate::{
    config::{
        reader::{Section, one_of},
        units,
    },
    gate::{
        link::{BindIp, LinkRules},
        page::Page,
    },
};

const BINDING: [(&str, BindIp); 3] =
    [("off", BindIp::Off), ("optional", BindIp::Optional), ("required", BindIp::Required)];
/// No link lives longer than this, in seconds: the seen-set remembers each use until then.
pub const LONGEST: u64 = 24 * 3600;

/// Reads `[links]`.
pub(super) fn read(mut section: Section<'_>) -> LinkRules {
    let rules = LinkRules {
        ttl: section.read_or("ttl", units::seconds, 60),
        max_ttl: section.read_or("max_ttl", units::seconds, 15 * 60),
        page: section.read_or("page", one_of(&Page::ALL), Page::Auto),
        bind_ip: section.read_or("bind_ip", one_of(&BINDING), BindIp::Optional),
        ipv4_prefix: section.read_or("ipv4_prefix", units::number(16, 32), 32),
        ipv6_prefix: section.read_or("ipv6_prefix", units::number(32, 128), 64),
    };
    if rules.max_ttl > LONGEST {
        section.fault("max_ttl", "is longer than a day; write \"24h\" or less");
    } else if rules.ttl > rules.max_ttl {
        // The one that was written is the one to change.
        let (key, what) = if section.has("ttl") {
            ("ttl", format!("is longer than links.max_ttl; write \"{}s\" or less", rules.max_ttl))
        } else {
            ("max_ttl", format!("is shorter than links.ttl; write \"{}s\" or more", rules.ttl))
        };
        section.fault(key, what);
    }
    section.done();
    rules
}
