//! What is counted, in the text format that Prometheus reads.

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// The content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything that is counted. Labels come from the configuration and from closed lists, never
/// from a request: their number is bounded.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Links issued.
    pub issued: Family<IssuedBy, Counter>,
    /// Links used.
    pub redeemed: Family<At, Counter>,
    /// Requests refused, by code.
    pub refused: Family<Code, Counter>,
    /// `already_used` from another address than the first use.
    pub interceptions: Counter,
    /// Requests passed on to upstreams.
    pub proxied: Family<At, Counter>,
    /// Load balancers' questions answered, by what came of them.
    pub checks: Family<Checked, Counter>,
    /// Questions to what is kept because it may be lost, by whether it was there.
    pub caches: Caches,
    /// Passwords verified, by what gave the answer.
    pub passwords: Family<How, Counter>,
    /// Passwords refused, by reason.
    pub passwords_refused: Family<Why, Counter>,
    /// Signatures of tokens, and how many were checked at a time.
    pub verifications: Verifications,
    /// How many links asked for one by one were signed at a time.
    pub signed: Sizes,
    /// Open connections.
    pub connections: Family<Listener, Gauge>,
    /// Connections that came to nothing before their first request, by reason.
    pub unserved: Family<UnservedWhy, Counter>,
    /// When certificates of the gate's own listeners expire, in seconds since the Unix epoch.
    pub certificate_expires: Family<Certificate, Gauge>,
    /// Used tokens remembered.
    pub entries: Gauge,
    /// The most that may be remembered.
    pub max_entries: Gauge,
    /// 1 while less than a tenth of that is left.
    pub nearly_full: Gauge,
    /// The most revocations that may be remembered.
    pub max_revocations: Gauge,
    /// Segments of the journal.
    pub journal_segments: Gauge,
    /// Bytes of the journal.
    pub journal_bytes: Gauge,
    /// Records written to it.
    pub journal_records: Counter,
    /// Writes that put them there.
    pub journal_writes: Counter,
    /// Syncs of those.
    pub journal_syncs: Counter,
    /// The horizon, in seconds since the Unix epoch.
    pub horizon: Gauge,
    /// Redemptions refused because the seen-set was full.
    pub refused_full: Counter,
    /// Times the memory was replaced, by reason.
    pub mem_changes: Family<Reason, Counter>,
    /// 1 while the store works.
    pub store_up: Gauge,
    /// Revocations remembered.
    pub revocations: Gauge,
    /// Connections made to a shared store.
    pub store_connections: Counter,
    /// Questions asked of it.
    pub store_questions: Counter,
    /// Questions that it did not answer.
    pub store_unanswered: Counter,
    /// Questions asked again, over another connection.
    pub store_resent: Counter,
    /// 1 while another gate answers.
    pub peer_up: Family<PeerGate, Gauge>,
}

/// How the signatures of tokens were checked.
#[derive(Debug, Clone, Default)]
pub struct Verifications {
    /// How many at a time.
    pub sizes: Sizes,
    /// Times that many were not all good, and were checked again in smaller numbers.
    pub splits: Counter,
    /// The most that may be checked at a time now.
    pub limit: Gauge,
}

/// Counts numbers of things, 1 to 64.
#[derive(Debug, Clone)]
pub struct Sizes(Histogram);

impl Default for Sizes {
    fn default() -> Self {
        Self(Histogram::new([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]))
    }
}

impl Sizes {
    /// Counts this many.
    pub fn observe(&self, number: usize) {
        self.0.observe(f64::from(u32::try_from(number).unwrap_or(u32::MAX)));
    }
}

/// Who issued, and for which site.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct IssuedBy {
    /// The caller's name.
    pub caller: String,
    /// The site's name.
    pub site: String,
}

/// At which site.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct At {
    /// The site's name.
    pub site: String,
}

/// What a load balancer was told.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Checked {
    /// The site's name.
    pub site: String,
    /// `signed_in` and `nobody` (may pass), `redirected` (to sign in, to a link's page) or
    /// `refused`.
    pub outcome: &'static str,
}

/// With which code.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Code {
    /// The public code.
    pub code: &'static str,
}

/// In which cache, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CacheOutcome {
    /// `sessions` (cookies opened a moment ago) or `assertions` (signed a moment ago).
    pub cache: &'static str,
    /// `hit` or `miss`.
    pub outcome: &'static str,
}

/// What is counted of caches. Each has its counters at hand: it is asked at every request.
#[derive(Debug, Clone)]
pub struct Caches {
    all: Family<CacheOutcome, Counter>,
    /// Cookies opened a moment ago.
    pub sessions: CacheCounts,
    /// Assertions signed a moment ago.
    pub assertions: CacheCounts,
}

/// Counts the questions to one cache.
#[derive(Debug, Clone)]
pub struct CacheCounts {
    /// What was there.
    pub hits: Counter,
    /// What was not.
    pub misses: Counter,
}

impl Default for Caches {
    fn default() -> Self {
        let all = Family::<CacheOutcome, Counter>::default();
        let counts = |cache| {
            let counter = |outcome| all.get_or_create(&CacheOutcome { cache, outcome }).clone();
            CacheCounts { hits: counter("hit"), misses: counter("miss") }
        };
        let (sessions, assertions) = (counts("sessions"), counts("assertions"));
        Self { all, sessions, assertions }
    }
}

/// On which listener.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Listener {
    /// `public`, `api` or `admin`.
    pub listener: &'static str,
}

/// Why a connection was not served.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct UnservedWhy {
    /// `public`, `api` or `admin`.
    pub listener: &'static str,
    /// `proxy_header` (missing, unreadable, or from somebody who may not send one), `tls` or
    /// `too_slow`.
    pub why: &'static str,
}

/// Counts the connections of one listener that came to nothing.
#[derive(Debug, Clone, Default)]
pub struct Unserved {
    listener: &'static str,
    counted: Family<UnservedWhy, Counter>,
}

impl Unserved {
    /// Counts one; `why` as in [`UnservedWhy`].
    pub fn count(&self, why: &'static str) {
        self.counted.get_or_create(&UnservedWhy { listener: self.listener, why }).inc();
    }
}

/// Which certificate.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Certificate {
    /// `cert` (the gate's own), `client_ca` or `client_crl` (the first of those to expire).
    pub certificate: &'static str,
}

/// What told whether a password is right.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct How {
    /// `memory` (of an answer, or waiting for the same one) or `argon2`.
    pub how: &'static str,
}

/// Why a password was refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Why {
    /// `wrong`, `limited` (too many guesses) or `busy` (too many waiting).
    pub why: &'static str,
}

/// Which other gate.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PeerGate {
    /// Its name.
    pub peer: String,
}

/// For which reason.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Reason {
    /// One of the store's own list.
    pub reason: &'static str,
}

impl Metrics {
    /// What counts the connections of a listener that come to nothing.
    pub fn unserved_by(&self, listener: &'static str) -> Unserved {
        Unserved { listener, counted: self.unserved.clone() }
    }

    /// All of it as text (`OpenMetrics` 1.0).
    pub fn render(&self) -> String {
        let mut all = Registry::with_prefix("oncegate");
        all.register("links_issued", "Links issued", self.issued.clone());
        all.register("links_redeemed", "Links used", self.redeemed.clone());
        all.register("refused", "Requests refused, by code", self.refused.clone());
        all.register(
            "possible_interceptions",
            "Used links that came again from another address",
            self.interceptions.clone(),
        );
        all.register("proxied", "Requests passed on to upstreams", self.proxied.clone());
        all.register("checks", "Load balancers' questions, by outcome", self.checks.clone());
        all.register("cache_requests", "Looked up in memory, by outcome", self.caches.all.clone());
        all.register("passwords", "Passwords verified, by what told", self.passwords.clone());
        all.register(
            "passwords_refused",
            "Passwords refused, by reason",
            self.passwords_refused.clone(),
        );
        let Verifications { sizes, splits, limit } = &self.verifications;
        all.register("verify_batch_size", "Signatures checked at a time", sizes.0.clone());
        all.register("verify_batches_split", "Batches not all good, checked again", splits.clone());
        all.register("verify_batch_limit", "Most checked at a time, for now", limit.clone());
        all.register("sign_batch_size", "Links signed at a time", self.signed.0.clone());
        all.register("connections", "Open connections", self.connections.clone());
        all.register(
            "connections_unserved",
            "Connections that came to nothing, by reason",
            self.unserved.clone(),
        );
        all.register(
            "certificate_expires",
            "When it expires, in seconds since the Unix epoch",
            self.certificate_expires.clone(),
        );
        all.register("seen_entries", "Used tokens remembered", self.entries.clone());
        all.register("seen_max_entries", "Most that may be remembered", self.max_entries.clone());
        all.register("seen_nearly_full", "1: under a tenth is left", self.nearly_full.clone());
        all.register("revocations", "Revocations remembered", self.revocations.clone());
        all.register(
            "max_revocations",
            "Most revocations that may be remembered",
            self.max_revocations.clone(),
        );
        all.register("journal_segments", "Segments of the journal", self.journal_segments.clone());
        all.register("journal_bytes", "Bytes of the journal", self.journal_bytes.clone());
        all.register("seen_horizon", "Nothing at or before is admitted", self.horizon.clone());
        all.register("seen_refused_full", "Refused for want of room", self.refused_full.clone());
        all.register("mem_changes", "Memories replaced, by reason", self.mem_changes.clone());
        all.register("store_up", "1 while the store works", self.store_up.clone());
        for (name, help, counter) in [
            ("store_connections", "Connections to a shared store", &self.store_connections),
            ("store_questions", "Questions to a shared store", &self.store_questions),
            ("store_unanswered", "Questions without an answer", &self.store_unanswered),
            ("store_resent", "Questions asked again", &self.store_resent),
            ("journal_records", "Records written to the journal", &self.journal_records),
            ("journal_writes", "Writes that put them there", &self.journal_writes),
            ("journal_syncs", "Syncs of those", &self.journal_syncs),
        ] {
            all.register(name, help, counter.clone());
        }
        all.register("peer_up", "1 while another gate answers", self.peer_up.clone());
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &all);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_rendered() {
        let metrics = Metrics::default();
        metrics.refused.get_or_create(&Code { code: "expired" }).inc();
        let text = metrics.render();
        assert!(text.contains("oncegate_refused_total{code=\"expired\"} 1"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }
}
