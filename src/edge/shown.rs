//! The certificate that a client showed when its connection began.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::pki_types::CertificateDer;

use crate::store::certificates::Server;

/// A certificate with what it came with, verified when the connection began. That may be long ago:
/// it is verified anew, by what is in force, for each request.
#[derive(Debug)]
pub(super) struct Shown {
    chain: Vec<CertificateDer<'static>>,
    servers: Arc<ArcSwap<Server>>,
    judged: Mutex<Option<Judged>>,
}

/// What came of it. Within the same second, by the same authorities and lists, that is so again.
#[derive(Debug)]
struct Judged {
    server: Arc<Server>,
    second: u64,
    counts: bool,
}

impl Shown {
    pub(super) fn new(chain: Vec<CertificateDer<'static>>, servers: Arc<ArcSwap<Server>>) -> Self {
        Self { chain, servers, judged: Mutex::new(None) }
    }

    /// Whether a connection could begin with it now: it has not expired, nor was taken back, and
    /// who signed it is believed.
    pub(super) fn counts(&self) -> bool {
        let server = self.servers.load_full();
        let Some(now) = server.config.time_provider.current_time() else { return false };
        let second = now.as_secs();
        let mut judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(judged) = judged.as_ref()
            && judged.second == second
            && Arc::ptr_eq(&judged.server, &server)
        {
            return judged.counts;
        }
        let counts = match (&server.callers, self.chain.split_first()) {
            (Some(callers), Some((own, others))) => {
                callers.verify_client_cert(own, others, now).is_ok()
            }
            _ => false,
        };
        *judged = Some(Judged { server, second, counts });
        counts
    }
}
