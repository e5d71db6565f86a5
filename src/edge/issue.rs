//! Asking for links.

use futures_util::future::join_all;
use http::{Response, StatusCode};
use serde::Serialize;
use serde_json::Value;

use crate::{
    edge::{
        answer, body::Body, call::Call, fields::Fields, limiter::MAX_BATCH, redeem, respond,
        subject,
    },
    gate::{
        denial::Denial,
        id::TokenId,
        issue::Issuer,
        link,
        policy::{self, Ask},
        token::LinkClaims,
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
pub(super) async fn link(call: &Call<'_>, value: Value) -> Result<Response<Body>, Denial> {
    // Judged again with each link; here before the limiter, which counts only who may issue.
    policy::may_issue_natively(call.caller)?;
    let ask = ask(value)?;
    call.limiter()?.take_one()?;
    let ask = Ask { user: subject::of_native(call, &ask.user).await?, ..ask };
    Ok(respond::json(StatusCode::CREATED, &Link::of(issue(call, ask)?)))
}

/// `POST /v1/links/batch`: each is judged for itself, one's refusal costs the others nothing.
pub(super) async fn batch(call: &Call<'_>, value: Value) -> Result<Response<Body>, Denial> {
    policy::may_issue_natively(call.caller)?;
    let Value::Array(asked) = value else {
        return Err(Denial::Unreadable("a JSON array of requests is expected".to_owned()));
    };
    let count = u32::try_from(asked.len()).unwrap_or(u32::MAX);
    if !(1..=MAX_BATCH).contains(&count) {
        return Err(Denial::invalid("batch", "1 to 1,000 requests are expected"));
    }
    call.limiter()?.take_batch(count)?;
    let looked_up = async |value| {
        let ask = ask(value)?;
        Ok(Ask { user: subject::of_batch(call, &ask.user).await?, ..ask })
    };
    let asks: Vec<Result<Ask, Denial>> = join_all(asked.into_iter().map(looked_up)).await;
    let items: Vec<Item> = asks
        .into_iter()
        .map(|ask| match ask.and_then(|ask| issue(call, ask)) {
            Ok(issued) => Item::Link(Link::of(issued)),
            Err(denial) => {
                let caller = Some(call.caller.name.as_str());
                redeem::refused(call.gate, call.intake, &denial.clone().into(), caller);
                Item::Problem(answer::Problem::of(&denial))
            }
        })
        .collect();
    Ok(respond::json(StatusCode::OK, &items))
}

/// A signed link.
#[derive(Debug)]
pub(super) struct Issued {
    /// What its token says.
    pub claims: LinkClaims,
    /// The token.
    pub token: String,
    /// The URL that carries it.
    pub url: String,
}

/// From what is asked, in whichever dialect, to the signed link.
pub(super) fn issue(call: &Call<'_>, ask: Ask) -> Result<Issued, Denial> {
    let gate = call.gate;
    let dialect = ask.via.as_ref().map(|via| via.dialect);
    let permitted = policy::permit(ask, call.caller, &gate.config.sites, &gate.config.links)?;
    let site = permitted.site().clone();
    let now = gate.clock.now();
    let issuer = Issuer {
        iss: &gate.config.gate.issuer,
        gate: gate.config.reach.home(),
        mem: gate.store.mem(now)?,
    };
    let at = gate.store.issuing(now, &site.name, permitted.user())?;
    let claims = permitted.claims(issuer, TokenId::from_bytes(entropy::random()), at);
    let token = gate.keys.load().ring.sign(&claims);
    let form = dialect.and_then(|dialect| site.forms.iter().find(|form| form.dialect == dialect));
    let origin = site.origin_for(claims.dst.as_deref());
    let url = match form {
        Some(form) => form.url(&origin, &token, &claims)?,
        None => link::url(&origin, &token)?,
    };
    audit::issued(call.intake.audit(), &claims);
    let label = IssuedBy { caller: call.caller.name.clone(), site: site.name.clone() };
    gate.metrics.issued.get_or_create(&label).inc();
    Ok(Issued { claims, token, url })
}

impl Link {
    fn of(issued: Issued) -> Self {
        let Issued { claims, token, url } = issued;
        Self {
            id: claims.jti,
            token,
            url,
            expires_at: rfc3339(claims.exp),
            expires_in: claims.exp.saturating_sub(claims.iat),
        }
    }
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
