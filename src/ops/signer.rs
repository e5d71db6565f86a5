//! Signs links: one at once, a crowd together.

use crate::{
    gate::{
        denial::Denial,
        token::{self, Unsigned},
    },
    ops::metrics::{Metrics, Sizes},
    sync::crowd::{Crowd, Work},
};

/// The most links that are signed together: half a millisecond, for which they hold their thread.
pub const MOST: usize = 32;

/// Where links are signed.
#[derive(Debug)]
pub struct Signer {
    crowd: Crowd<Unsigned, String>,
    signs: Signs,
}

/// How they are.
#[derive(Debug)]
struct Signs {
    sizes: Sizes,
}

impl Signer {
    /// One for all threads.
    pub fn new(metrics: &Metrics) -> Self {
        Self { crowd: Crowd::default(), signs: Signs { sizes: metrics.signed.clone() } }
    }

    /// The token, signed.
    ///
    /// # Errors
    /// [`Denial::Internal`] if the crowd it was in came to nothing.
    pub async fn sign(&self, link: Unsigned) -> Result<String, Denial> {
        let signed = self.crowd.join(link, &self.signs).await;
        signed.map_err(|_| Denial::Internal("links were not signed to the end".into()))
    }
}

impl Work for Signs {
    type Brought = Unsigned;
    type Done = String;

    fn most(&self) -> usize {
        MOST
    }

    fn alone(&self, link: Unsigned) -> String {
        self.sizes.observe(1);
        link.sign()
    }

    fn together(&self, links: Vec<Unsigned>) -> Vec<String> {
        self.sizes.observe(links.len());
        token::sign(links)
    }
}
