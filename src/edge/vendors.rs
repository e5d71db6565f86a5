//! The dialects: a vendor's request in, the vendor's answer out, and between them the same
//! caller, policy, issuing and audit as for anybody.
//!
//! ```text
//! answer      the vendor reads the request; whatever is refused below, it writes the answer
//! authorised  who calls: `credentials`
//! granted     may it: `policy`, its rate; for whom: `subject`; the link: `issue`
//! ```

use std::sync::Arc;

use http::{
    HeaderValue, Response, StatusCode,
    header::{ALLOW, RETRY_AFTER},
    request::Parts,
};
use hyper::body::Incoming;

use crate::{
    dialects::{self, Answer, Format, Granted, Outcome, Request, Vendor, What, Wish},
    edge::{
        Gate,
        body::Body,
        call::Call,
        credentials::{self, Arrived},
        intake::{self, Intake},
        issue, redeem, respond, subject,
    },
    gate::{denial::Denial, id::TokenId, policy, spoken::DialectRules},
    ops::entropy,
};

/// A dialect that is spoken at the path of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spoken<'g> {
    vendor: &'static dyn Vendor,
    rules: &'g DialectRules,
}

/// The dialect that is spoken at this path, if any: the first of [`Dialect::ALL`] that takes it.
///
/// [`Dialect::ALL`]: crate::gate::dialect::Dialect::ALL
pub(super) fn at<'g>(gate: &'g Gate, path: &str) -> Option<Spoken<'g>> {
    let dialects = gate.config.dialects.iter();
    dialects
        .map(|rules| Spoken { vendor: dialects::vendor(rules.dialect), rules })
        .find(|spoken| spoken.vendor.takes(spoken.rules, path))
}

/// Answers a vendor's request. Whatever happens, the answer is in the vendor's own shape.
pub(super) async fn answer(
    gate: &Arc<Gate>,
    intake: &Arc<Intake>,
    spoken: Spoken<'_>,
    arrived: &Arrived<'_>,
    parts: &Parts,
    body: Incoming,
) -> Response<Body> {
    let body = intake::read_body(gate, body, gate.config.limits.max_body).await;
    let request = Request {
        method: &parts.method,
        path: &intake.path,
        query: intake.query.as_deref().unwrap_or_default(),
        headers: &parts.headers,
        body: body.as_deref().unwrap_or_default(),
        client: intake.client.as_ref().ok().copied(),
        secure: arrived.is_secure(gate),
        rules: spoken.rules,
    };
    let (format, wish) = spoken.vendor.read(&request);
    let asked = async {
        credentials::encrypted(gate, arrived)?;
        // What could not be read had no body to be judged by.
        body.as_ref().map_err(Clone::clone)?;
        wish
    };
    let answered = match asked.await {
        Ok(wish) => authorised(gate, intake, spoken, format, wish).await,
        Err(denial) => Err((denial, None)),
    };
    answered.unwrap_or_else(|(denial, caller)| {
        redeem::refused(gate, intake, &denial.clone().into(), caller.as_deref());
        let mut answer = said(spoken.vendor.write(format, &Outcome::Refused(&denial)));
        if answer.status() == StatusCode::METHOD_NOT_ALLOWED
            && let Denial::MethodNotAllowed(methods) = denial
        {
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
        }
        if let Some(seconds) = denial.retry_after() {
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        answer
    })
}

/// A refusal, and the caller it was given to.
type Refused = (Denial, Option<String>);

async fn authorised(
    gate: &Arc<Gate>,
    intake: &Arc<Intake>,
    spoken: Spoken<'_>,
    format: Format,
    wish: Wish,
) -> Result<Response<Body>, Refused> {
    let caller = credentials::caller(gate, intake, &wish.credentials)
        .await
        .map_err(|denial| (denial, None))?;
    let call = Call { gate, intake, caller };
    granted(&call, spoken, format, wish.what)
        .await
        .map_err(|denial| (denial, Some(caller.name.clone())))
}

async fn granted(
    call: &Call<'_>,
    spoken: Spoken<'_>,
    format: Format,
    what: Result<What, Denial>,
) -> Result<Response<Body>, Denial> {
    let Spoken { vendor, rules } = spoken;
    if !call.caller.dialects.contains(&rules.dialect) {
        return Err(Denial::Forbidden(format!("this caller may not speak {}", rules.dialect)));
    }
    // Judged again with the link; here before the limiter, which counts only who may issue.
    policy::may_issue(call.caller)?;
    let site = policy::site(call.caller, Some(&rules.site), &call.gate.config.sites)?;
    call.limiter()?.take_one()?;
    let answer = match what? {
        What::Test(action) => {
            let (caller, site) = (call.caller.name.as_str(), site.origin.authority());
            vendor.write(format, &Outcome::Tested { action, caller, site })
        }
        What::Link { who, ask } => {
            let subject = subject::of(call, &who).await?;
            let mut ask = *ask;
            ask.user.clone_from(&subject.user);
            ask.site = Some(rules.site.clone());
            let id = TokenId::from_bytes(entropy::id());
            let issued = issue::issue(call, ask, id).await?;
            vendor.write(
                format,
                &Outcome::Link(Granted {
                    token: &issued.token,
                    url: &issued.url,
                    who: &who,
                    user: &subject.user,
                    record: subject.record.as_deref(),
                }),
            )
        }
    };
    Ok(said(answer))
}

fn said(answer: Answer) -> Response<Body> {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    respond::typed(status, answer.content_type, answer.body.into_bytes())
}
