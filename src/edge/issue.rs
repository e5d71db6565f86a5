//! Asking for links.

use http::{Response, StatusCode};
use serde::Serialize;
use serde_json::Value;

use crate::{
    edge::{answer, body::Body, call::Call, fields::Fields, limiter::MAX_BATCH, redeem, respond},
    gate::{
        denial::Denial,
        id::TokenId,
        issue::Issuer,
        link,
        policy::{self, Ask},
    },
    ops::{audit, clock::rfc3339, entropy, metrics::IssuedBy},
};

/// A link, as the caller gets it.
#[derive(Debug, Serialize)]
struct Link {
    id: TokenId,
    token: String,
    url: String,
    expires_at: String,
    expires_in: u64,
}

/// One of a batch's answers.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Item {
    Link(Link),
    Problem(answer::Problem),
}

/// `POST /v1/links`
pub(super) fn link(call: &Call<'_>, value: Value) -> Result<Response<Body>, Denial> {
    // Judged again with each link; here before the limiter, which counts only who may issue.
    policy::may_issue(call.caller)?;
    let ask = ask(value)?;
    call.limiter()?.take_one()?;
    Ok(respond::json(StatusCode::CREATED, &one(call, ask)?))
}

/// `POST /v1/links/batch`: each is judged for itself, one's refusal costs the others nothing.
pub(super) fn batch(call: &Call<'_>, value: Value) -> Result<Response<Body>, Denial> {
    policy::may_issue(call.caller)?;
    let Value::Array(asked) = value else {
        return Err(Denial::Unreadable("a JSON array of requests is expected".to_owned()));
    };
    let count = u32::try_from(asked.len()).unwrap_or(u32::MAX);
    if !(1..=MAX_BATCH).contains(&count) {
        return Err(Denial::invalid("batch", "1 to 1,000 requests are expected"));
    }
    call.limiter()?.take_batch(count)?;
    let items: Vec<Item> = asked
        .into_iter()
        .map(|value| match ask(value).and_then(|ask| one(call, ask)) {
            Ok(link) => Item::Link(link),
            Err(denial) => {
                let caller = Some(call.caller.name.as_str());
                redeem::refused(call.gate, call.intake, &denial.clone().into(), caller);
                Item::Problem(answer::Problem::of(&denial))
            }
        })
        .collect();
    Ok(respond::json(StatusCode::OK, &items))
}

/// From what is asked to the signed link.
fn one(call: &Call<'_>, ask: Ask) -> Result<Link, Denial> {
    let gate = call.gate;
    let permitted = policy::permit(ask, call.caller, &gate.config.sites, &gate.config.links)?;
    let site = permitted.site().clone();
    let now = gate.issuing_now();
    let issuer = Issuer {
        iss: &gate.config.gate.issuer,
        gate: &gate.config.gate.name,
        mem: gate.store.mem(now)?,
    };
    let claims = permitted.claims(issuer, TokenId::from_bytes(entropy::random()), now);
    let token = gate.keys.load().ring.sign(&claims);
    let url = link::url(&site.origin, &token)?;
    audit::issued(call.intake.audit(), &claims);
    let label = IssuedBy { caller: call.caller.name.clone(), site: site.name.clone() };
    gate.metrics.issued.get_or_create(&label).inc();
    Ok(Link {
        id: claims.jti,
        token,
        url,
        expires_at: rfc3339(claims.exp),
        expires_in: claims.exp.saturating_sub(now),
    })
}

fn ask(value: Value) -> Result<Ask, Denial> {
    let mut fields = Fields::of(value)?;
    let ask = Ask {
        user: fields.required("user")?,
        site: fields.text("site")?,
        destination: fields.text("destination")?,
        destination_values: fields.values("destination_values")?,
        ip: fields.texts("ip")?,
        ttl: fields.seconds("ttl")?,
        claims: fields.claims("claims")?,
        page: fields.page("page")?,
        via: None,
    };
    fields.end()?;
    Ok(ask)
}
