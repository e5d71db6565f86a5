//! Asking for links.

use std::sync::Arc;

use futures_util::future::join_all;
use http::{Response, StatusCode};
use serde_json::Value;
use tokio::task::yield_now;

use crate::{
    edge::{
        answer, body::Body, call::Call, fields::Fields, limiter::MAX_BATCH, redeem, respond,
        subject, written::Written,
    },
    gate::{
        denial::Denial,
        dialect::Dialect,
        id::TokenId,
        issue::Issuer,
        link,
        policy::{self, Ask},
        site::Site,
        token::{self, LinkClaims},
    },
    ops::{audit, clock::rfc3339, entropy, metrics::IssuedBy, signer},
};

/// About how many bytes a link has in an answer, rather too many: an answer that outgrew its room
/// would be copied, a megabyte at a time.
const LINK: usize = 1_280;

/// `POST /v1/links`
pub(super) async fn link(call: &Call<'_>, value: Value) -> Result<Response<Body>, Denial> {
    // Judged again with each link; here before the limiter, which counts only who may issue.
    policy::may_issue_natively(call.caller)?;
    let ask = ask(value)?;
    call.limiter()?.take_one()?;
    let ask = Ask { user: subject::of_native(call, &ask.user).await?, ..ask };
    let issued = issue(call, ask, TokenId::from_bytes(entropy::id())).await?;
    let mut body = Written::with_capacity(LINK);
    write(&mut body, &issued);
    Ok(respond::typed(StatusCode::CREATED, "application/json", body.into_bytes()))
}

/// `POST /v1/links/batch`: each is judged for itself, one's refusal costs the others nothing.
///
/// Others' requests get their turn in between. Where the caller hangs up meanwhile, the rest is not
/// issued; what was is in the audit log, and nobody has it.
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
    let mut body = Written::with_capacity(asked.len() * LINK);
    let mut asks = looked_up(call, asked).await.into_iter();
    while asks.len() > 0 {
        sign(call, asks.by_ref().take(signer::MOST), &mut body);
        yield_now().await;
    }
    body.raw("]");
    Ok(respond::typed(StatusCode::OK, "application/json", body.into_bytes()))
}

/// What each of a batch asks for, with the user's name in the directory.
async fn looked_up(call: &Call<'_>, asked: Vec<Value>) -> Vec<Result<Ask, Denial>> {
    if !call.gate.directory.is_there() {
        return asked.into_iter().map(ask).collect();
    }
    let look_up = async |value| {
        let ask = ask(value)?;
        Ok(Ask { user: subject::of_batch(call, &ask.user).await?, ..ask })
    };
    join_all(asked.into_iter().map(look_up)).await
}

/// Issues some of a batch together, each with its answer behind those that are there.
fn sign(call: &Call<'_>, asks: impl Iterator<Item = Result<Ask, Denial>>, body: &mut Written) {
    let id = || TokenId::from_bytes(entropy::id());
    let drafts: Vec<_> = asks.map(|ask| ask.and_then(|ask| Draft::of(call, ask, id()))).collect();
    let keys = call.gate.keys.load();
    let links =
        drafts.iter().filter_map(|draft| Some(keys.ring.link(&draft.as_ref().ok()?.claims)));
    let mut tokens = token::sign(links.collect()).into_iter();
    for draft in drafts {
        body.raw(if body.is_empty() { "[" } else { "," });
        let issued = draft.and_then(|draft| {
            let token = tokens.next().ok_or_else(|| Denial::Internal("a link is unsigned".into()));
            draft.with(call, token?)
        });
        match issued {
            Ok(issued) => write(body, &issued),
            Err(denial) => {
                let caller = Some(call.caller.name.as_str());
                redeem::refused(call.gate, call.intake, &denial.clone().into(), caller);
                body.value(&answer::Problem::of(&denial));
            }
        }
    }
}

/// A link, as the caller gets it.
fn write(body: &mut Written, Issued { claims, token, url }: &Issued) {
    body.raw("{\"id\":").value(&claims.jti);
    body.raw(",\"token\":").text(token);
    body.raw(",\"url\":").text(url);
    body.raw(",\"expires_at\":").text(&rfc3339(claims.exp));
    body.raw(",\"expires_in\":").value(&claims.exp.saturating_sub(claims.iat));
    body.raw("}");
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

/// A link that is permitted, and not signed yet.
#[derive(Debug)]
struct Draft {
    claims: LinkClaims,
    site: Arc<Site>,
    dialect: Option<Dialect>,
}

/// From what is asked, in whichever dialect, to the signed link. `id` is random, and of this link
/// alone.
pub(super) async fn issue(call: &Call<'_>, ask: Ask, id: TokenId) -> Result<Issued, Denial> {
    let draft = Draft::of(call, ask, id)?;
    let link = call.gate.keys.load().ring.link(&draft.claims);
    let token = call.gate.signer.sign(link).await?;
    draft.with(call, token)
}

impl Draft {
    /// What is asked for, if it may be.
    fn of(call: &Call<'_>, ask: Ask, id: TokenId) -> Result<Self, Denial> {
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
        Ok(Self { claims: permitted.claims(issuer, id, at), site, dialect })
    }

    /// The link that carries its token; told to the audit log.
    fn with(self, call: &Call<'_>, token: String) -> Result<Issued, Denial> {
        let Self { claims, site, dialect } = self;
        let form =
            dialect.and_then(|dialect| site.forms.iter().find(|form| form.dialect == dialect));
        let origin = site.origin_for(claims.dst.as_deref());
        let url = match form {
            Some(form) => form.url(&origin, &token, &claims)?,
            None => link::url(&origin, &token)?,
        };
        audit::issued(call.intake.audit(), &claims);
        let label = IssuedBy { caller: call.caller.name.clone(), site: site.name.clone() };
        call.gate.metrics.issued.get_or_create(&label).inc();
        Ok(Issued { claims, token, url })
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
