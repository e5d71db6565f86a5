//! All the server code: from an accepted connection to an answer.
//!
//! | file | what it does |
//! |---|---|
//! | `listen`, `places` | connections accepted, their number, letting go |
//! | `arrival`, `stream`, `connection`, `shown` | PROXY header, TLS, which HTTP; what is known then |
//! | `converse`, `answering`, `seldom` | HTTP/1.1 or HTTP/2, to the end |
//! | `intake` | what a request is: authority, target, client, id |
//! | `route` | the public listener: which site, which gate path |
//! | `peer` | other gates' questions |
//! | `forward_auth` | load balancers' questions: may this pass, and who is it? |
//! | `source` | where a browser's request comes from |
//! | `links` | the link page, and the requests that spend |
//! | `redeem` | verified, judged, spent, admitted; what follows |
//! | `sessions`, `opened` | the cookie: read, remembered, set, ended |
//! | `visit` | a visitor's request to a site, and its way to the upstream |
//! | `upstream`, `pools`, `headers`, `gate_names`, `trailers`, `cookies`, `body`, `upgrade`, `assertions` | proxying |
//! | `api`, `credentials`, `call`, `limiter` | the api listener: who calls, how often |
//! | `fields`, `calls` | the native API: what is asked, and all calls but those for links |
//! | `vendors` | the dialects: a vendor's request in, its answer out |
//! | `subject`, `issue` | both: who is to be signed in; the link |
//! | `answer`, `respond`, `pages`, `page_headers`, `words` | what goes back |
//! | `admin` | health, metrics, status |

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use tokio_util::task::TaskTracker;

use crate::{
    config::Config,
    edge::{
        assertions::Assertions, limiter::Limiter, opened::Opened, redeem::FirstUses,
        upstream::Upstreams,
    },
    gate::{
        keyring::Keyring,
        session::SessionKeys,
        site::{Site, Visited},
    },
    ops::{
        clock::Clock, metrics::Metrics, passwords::Passwords, shutdown::Shutdown, signer::Signer,
        verifier::Verifier,
    },
    store::{Store, directory::Directory},
};

pub mod admin;
mod answer;
mod answering;
pub mod api;
mod arrival;
pub mod assertions;
pub mod body;
mod call;
mod calls;
pub mod connection;
mod converse;
mod cookies;
mod credentials;
mod fields;
mod forward_auth;
mod gate_names;
pub mod headers;
pub mod intake;
mod issue;
pub mod limiter;
mod links;
pub mod listen;
mod opened;
mod page_headers;
mod pages;
mod peer;
mod places;
mod pools;
pub mod redeem;
mod respond;
pub mod route;
mod seldom;
mod sessions;
mod shown;
mod source;
mod stream;
mod subject;
pub mod trailers;
pub mod upgrade;
pub mod upstream;
mod vendors;
mod visit;
mod words;
mod written;

/// One running gate: what every request may need.
#[derive(Debug)]
pub struct Gate {
    /// The configuration, checked.
    pub config: Config,
    /// The keys, replaced when their files change.
    pub keys: ArcSwap<Keys>,
    /// What must be remembered.
    pub store: Store,
    /// The wall clock.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Metrics,
    /// Connections to the upstreams.
    pub upstreams: Upstreams,
    /// Assertions signed a moment ago.
    pub assertions: Assertions,
    /// Where links were used first, as far as remembered.
    pub first_uses: FirstUses,
    /// Where issuing looks users up.
    pub directory: Directory,
    /// Verifies passwords.
    pub passwords: Passwords,
    /// Checks signatures of tokens.
    pub verifier: Verifier,
    /// Signs links.
    pub signer: Signer,
    /// How fast each caller may ask, by its name.
    pub limiters: HashMap<String, Limiter>,
    /// Redemptions under way, whoever hung up, and whatever may yet ask the store for something:
    /// the store is closed after them.
    pub spending: TaskTracker,
    /// Says that the end is near.
    pub shutdown: Shutdown,
}

/// All keys, as they stood together in their directory.
#[derive(Debug)]
pub struct Keys {
    /// Signs and verifies tokens.
    pub ring: Keyring,
    /// Seals sessions.
    pub sessions: SessionKeys,
    /// What they opened a moment ago: other keys begin with nothing.
    opened: Opened,
}

impl Keys {
    /// Keys that stood together.
    pub fn new(ring: Keyring, sessions: SessionKeys) -> Self {
        Self { ring, sessions, opened: Opened::default() }
    }
}

impl Gate {
    /// The site that this authority names, visited there.
    pub fn site_at(&self, authority: &str) -> Option<Visited> {
        Visited::find(&self.config.sites, authority)
    }

    /// The site of this name.
    pub fn site_named(&self, name: &str) -> Option<&Arc<Site>> {
        self.config.sites.iter().find(|site| site.name == name)
    }
}
