//! Forward auth: a load balancer asks about each of its visitors' requests before it passes it on.
//!
//! Every question goes the same way: whose it is (`convention`), the request it is about
//! (`Original`), what becomes of that (`judge`), and the answer as its load balancer understands
//! it (`answer`). A question changes nothing, however often it is asked: no token is spent on
//! one, no cookie renewed.

use http::{Request, Response};
use hyper::body::Incoming;
use tracing::warn;

use crate::{
    edge::{
        Gate,
        body::Body,
        connection::Connection,
        forward_auth::{
            answer::{Reader, Verdict},
            convention::{Convention, Style},
        },
        intake::Intake,
        redeem, source,
    },
    gate::{denial::Denial, original::Original},
    ops::metrics::Checked,
};

mod answer;
mod convention;
mod judge;

/// Where load balancers ask.
const PATH: &str = "/_once/auth/";

/// Whether load balancers ask there: byte for byte, whatever a path may be decoded to.
pub(super) fn is_asked(path: &str) -> bool {
    path.starts_with(PATH)
}

/// Answers a load balancer's question.
///
/// # Errors
/// [`Denial::NotFound`] where nobody asks, and for whoever is not in `listen.trusted_proxies`, as
/// at any path where there is nothing.
pub(super) fn answer(
    gate: &Gate,
    connection: &Connection,
    intake: &Intake,
    request: &Request<Incoming>,
) -> Result<Response<Body>, Denial> {
    let convention = Convention::at(&intake.path).ok_or(Denial::NotFound)?;
    if !connection.is_from(&gate.config.listen.trusted_proxies) {
        let (peer, path) = (intake.audit().shown(), convention.path);
        warn!(%peer, path, "asked as load balancers ask, by a peer not in listen.trusted_proxies");
        return Err(Denial::NotFound);
    }
    let headers = request.headers();
    let style = convention.style(request.method());
    let reader = Reader {
        request: &intake.id,
        navigates: intake.wants_page && source::is_navigation(headers),
    };
    let original = convention.original(&gate.config.sites, intake, request);
    let answered = original.as_ref().map_err(Denial::clone).and_then(|original| {
        let verdict = judge::of(gate, original, headers, reader.navigates);
        count(gate, style, original, &verdict);
        answer::given(style, original, verdict?)
    });
    Ok(answered.unwrap_or_else(|denial| {
        let at = original.as_ref().ok().map(|original| &original.at);
        // What is shown of a refusal is not another one.
        if style != Style::Shown {
            redeem::refused(gate, intake, &denial.clone().into(), None);
        }
        answer::refused(style, &reader, at, &denial)
    }))
}

/// Counts a question; what is shown of its answer afterwards is not another one.
fn count(gate: &Gate, style: Style, original: &Original<'_>, verdict: &Result<Verdict, Denial>) {
    if style == Style::Shown {
        return;
    }
    let outcome = match verdict {
        Ok(Verdict::Pass(Some(_))) => "signed_in",
        Ok(Verdict::Pass(None)) => "nobody",
        Ok(Verdict::Elsewhere(_)) => "redirected",
        Err(_) => "refused",
    };
    let site = original.at.site.name.clone();
    gate.metrics.checks.get_or_create(&Checked { site, outcome }).inc();
}
