//! The `admin` listener: alive, ready, counted, and a page for people.

use std::sync::{Arc, atomic::Ordering};

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde::Serialize;

use crate::{
    edge::{
        Gate,
        answer::problem,
        body::Body,
        page_headers::Referrer,
        pages::{self, StatusKey, StatusPage, StatusPeer, StatusSite},
        respond,
    },
    gate::denial::Denial,
    ops::{
        clock::rfc3339,
        metrics::{self, PeerGate, Reason},
    },
    store::PeerStatus,
};

#[derive(Debug, Serialize)]
struct Health {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// Answers one request to the admin listener; without a gate, its state is still being read.
pub fn answer(gate: Option<&Arc<Gate>>, request: &Request<Incoming>) -> Response<Body> {
    let readable = matches!(*request.method(), Method::GET | Method::HEAD);
    match (request.uri().path(), gate) {
        _ if !readable => problem(&Denial::MethodNotAllowed("GET, HEAD")),
        ("/live", _) => respond::json(StatusCode::OK, &Health { status: "live", reason: None }),
        (_, None) => respond::json(
            StatusCode::SERVICE_UNAVAILABLE,
            &Health {
                status: "starting",
                reason: Some("its state is being read, or the lock on it waited for"),
            },
        ),
        ("/ready", Some(gate)) => ready(gate),
        ("/metrics", Some(gate)) => {
            let text = rendered(gate);
            respond::typed(StatusCode::OK, metrics::CONTENT_TYPE, text.into_bytes())
        }
        ("/", Some(gate)) => page(gate),
        _ => problem(&Denial::NotFound),
    }
}

/// 503 while draining; a store that is down leaves the gate ready but degraded: sessions and
/// pages still work, and taking every gate out of rotation would end those too.
fn ready(gate: &Gate) -> Response<Body> {
    if gate.shutdown.is_triggered() {
        let draining = Health { status: "draining", reason: None };
        return respond::json(StatusCode::SERVICE_UNAVAILABLE, &draining);
    }
    let store = gate.store.status();
    if !store.started {
        // It knows of no session, and must not be asked about any.
        let reason = Some("nothing was heard of the shared store yet");
        let starting = Health { status: "starting", reason };
        return respond::json(StatusCode::SERVICE_UNAVAILABLE, &starting);
    }
    if store.healthy {
        return respond::json(StatusCode::OK, &Health { status: "ready", reason: None });
    }
    let status = if gate.config.once.ready_needs_store {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    };
    respond::json(status, &Health { status: "degraded", reason: Some("the store is down") })
}

/// The metrics, with what the store counts itself brought up to date.
fn rendered(gate: &Gate) -> String {
    let status = gate.store.status();
    let metrics = &gate.metrics;
    let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    metrics.entries.set(gauge(status.entries as u64));
    metrics.max_entries.set(gauge(status.max_entries as u64));
    metrics.nearly_full.set(i64::from(status.nearly_full));
    metrics.revocations.set(gauge(status.revocations as u64));
    metrics.max_revocations.set(gauge(status.max_revocations as u64));
    metrics.journal_segments.set(gauge(status.segments as u64));
    metrics.journal_bytes.set(gauge(status.journal_bytes));
    if let Some(written) = status.journal_written {
        metrics.journal_records.inner().store(written.records, Ordering::Relaxed);
        metrics.journal_writes.inner().store(written.writes, Ordering::Relaxed);
        metrics.journal_syncs.inner().store(written.syncs, Ordering::Relaxed);
    }
    metrics.horizon.set(gauge(status.horizon));
    metrics.refused_full.inner().store(status.refused_full, Ordering::Relaxed);
    metrics.store_up.set(i64::from(status.healthy));
    if let Some(questions) = status.questions {
        for (counter, count) in [
            (&metrics.store_connections, questions.connections),
            (&metrics.store_questions, questions.asked),
            (&metrics.store_unanswered, questions.unanswered),
            (&metrics.store_resent, questions.resent),
        ] {
            counter.inner().store(count, Ordering::Relaxed);
        }
    }
    for (reason, count) in status.new_memories {
        let counter = metrics.mem_changes.get_or_create(&Reason { reason }).clone();
        counter.inner().store(count, Ordering::Relaxed);
    }
    for PeerStatus { name, silence } in status.peers {
        metrics.peer_up.get_or_create(&PeerGate { peer: name }).set(i64::from(silence.is_none()));
    }
    metrics.render()
}

fn page(gate: &Gate) -> Response<Body> {
    let status = gate.store.status();
    let keys = gate.keys.load();
    let keys: Vec<StatusKey<'_>> =
        keys.ring.roles().map(|(kid, role)| StatusKey { kid, role }).collect();
    let sites: Vec<StatusSite<'_>> = gate
        .config
        .sites
        .iter()
        .map(|site| StatusSite {
            name: &site.name,
            origin: site.origin.as_str(),
            upstream: site.upstream.as_ref().map(|upstream| upstream.authority.as_str()),
        })
        .collect();
    let callers: Vec<&str> =
        gate.config.callers.iter().map(|caller| caller.name.as_str()).collect();
    let peers: Vec<StatusPeer<'_>> = status
        .peers
        .iter()
        .map(|peer| StatusPeer { name: &peer.name, silence: peer.silence.as_deref() })
        .collect();
    let horizon = match status.horizon {
        0 => "none yet".to_owned(),
        horizon => rfc3339(horizon),
    };
    let mem = status.mem.to_string();
    let state = status.why.as_deref().unwrap_or("ready");
    let now = rfc3339(gate.clock.now());
    respond::page(StatusCode::OK, &[], Referrer::Nothing, |nonce| {
        pages::status_page(&StatusPage {
            gate: &gate.config.gate.name,
            version: env!("CARGO_PKG_VERSION"),
            now: &now,
            store_state: state,
            mem: &mem,
            entries: status.entries as u64,
            max_entries: status.max_entries as u64,
            horizon: &horizon,
            sites: &sites,
            callers: &callers,
            keys: &keys,
            peers: &peers,
            nonce,
        })
    })
}
