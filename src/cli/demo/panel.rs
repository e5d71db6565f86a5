//! The demo's application behind the gate: a small hosting panel.
//!
//! It has no login of its own. Who is signed in, and by which caller, is what the gate's headers
//! say; a request without them did not come through the gate with somebody signed in.

use askama::Template;
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use tokio::net::TcpListener;

use super::page::{self, Answer, STYLE, answer};

/// Serves the panel for as long as it is polled.
pub async fn serve(listener: TcpListener) {
    page::serve(listener, panel).await;
}

/// Answers one request: `/`, `/clientarea/services`, `/clientarea/invoices/{number}`, and any other
/// page, which shows no more than its own address.
///
/// Links of other vendors' clients lead to many pages; this is a panel that has them all.
pub async fn panel<B>(request: Request<B>) -> Answer {
    let who = Visitor::of(request.headers());
    let (status, content) = match (&who, Content::at(request.uri())) {
        _ if !matches!(*request.method(), Method::GET | Method::HEAD) => {
            let mut refused = shown(StatusCode::METHOD_NOT_ALLOWED, who, Content::Missing);
            refused
                .headers_mut()
                .insert(header::ALLOW, http::HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        (None, _) => (StatusCode::FORBIDDEN, Content::Nobody),
        (_, Content::Missing) => (StatusCode::NOT_FOUND, Content::Missing),
        (_, content) => (StatusCode::OK, content),
    };
    shown(status, who, content)
}

fn shown(status: StatusCode, who: Option<Visitor>, content: Content) -> Answer {
    match (Panel { style: STYLE, who, content }).render() {
        Ok(page) => answer(status, page),
        Err(_) => answer(StatusCode::INTERNAL_SERVER_ERROR, "the page cannot be shown".to_owned()),
    }
}

/// Who the gate says is here.
struct Visitor {
    user: String,
    caller: String,
}

impl Visitor {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let user = decoded(headers, "x-oncegate-user")?;
        let caller = decoded(headers, "x-oncegate-caller").unwrap_or_else(|| "nobody".to_owned());
        Some(Self { user, caller })
    }
}

/// The gate percent-encodes what is beyond ASCII. A header that is there twice is not the gate's.
fn decoded(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut lines = headers.get_all(name).iter();
    let line = lines.next()?.to_str().ok()?;
    if lines.next().is_some() {
        return None;
    }
    let text = percent_encoding::percent_decode_str(line).decode_utf8().ok()?;
    (!text.is_empty()).then(|| text.into_owned())
}

enum Content {
    Home,
    Services,
    Invoice(Invoice),
    /// A page's path, with its query.
    Other(String),
    Missing,
    Nobody,
}

impl Content {
    fn at(uri: &Uri) -> Self {
        match uri.path() {
            // WISECP's and WHMCS's home pages, where their links lead that name no page.
            "/" | "/clientarea" => Self::Home,
            "/clientarea.php" if uri.query().is_none() => Self::Home,
            "/clientarea/services" => Self::Services,
            path => match path.strip_prefix("/clientarea/invoices/") {
                Some(number) => Invoice::numbered(number).map_or(Self::Missing, Self::Invoice),
                None => {
                    Self::Other(uri.path_and_query().map_or_else(String::new, ToString::to_string))
                }
            },
        }
    }

    fn title(&self) -> &'static str {
        match self {
            Self::Home => "Home",
            Self::Services => "Services",
            Self::Invoice(_) => "Invoice",
            Self::Other(_) => "Another page",
            Self::Missing => "No such page",
            Self::Nobody => "Nobody is signed in",
        }
    }
}

/// Made up from its number, so that every number has its invoice and always the same one.
struct Invoice {
    number: u64,
    hosting: u64,
    domains: u64,
}

impl Invoice {
    fn numbered(segment: &str) -> Option<Self> {
        let digits = !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_digit());
        let number: u64 = if digits { segment.parse().ok()? } else { return None };
        Some(Self { number, hosting: 6 + number % 7 * 3, domains: 1 + number % 4 })
    }

    fn total(&self) -> u64 {
        self.hosting + self.domains * 12
    }
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ content.title() }} · Marlin Hosting</title><style>{{ style|safe }}</style></head><body>
<header><div><span class="brand">Marlin Hosting</span>
{% if let Some(who) = who %}<nav aria-label="Pages">
<a href="/"{% if content.title() == "Home" %} aria-current="page"{% endif %}>Home</a>
<a href="/clientarea/services"{% if content.title() == "Services" %} aria-current="page"{% endif %}>Services</a>
<a href="/clientarea/invoices/1042"{% if content.title() == "Invoice" %} aria-current="page"{% endif %}>Invoice</a>
</nav>
<form method="post" action="/_once/logout"><button class="quiet" id="logout">Log out</button></form>{% endif %}
</div></header>
<main>
{% match content %}
{% when Content::Home %}<h1>Welcome back</h1>
<p class="soft">This is the application behind the gate. It has no login form of its own.</p>
{% when Content::Services %}<h1>Services</h1><p class="soft">What you have with us.</p>
<div class="card"><table><thead><tr><th>Service</th><th class="wide">Plan</th><th>Renews</th></tr></thead><tbody>
<tr><td>example.com</td><td class="wide">Domain</td><td>in 9 months</td></tr>
<tr><td>Web hosting</td><td class="wide">Harbour, 20 GB</td><td>in 12 days</td></tr>
<tr><td>Mail</td><td class="wide">5 mailboxes</td><td>in 12 days</td></tr></tbody></table></div>
{% when Content::Invoice with (invoice) %}<h1>Invoice {{ invoice.number }}</h1>
<p class="soft">Due in 14 days.</p>
<div class="card"><table><thead><tr><th>For</th><th class="sum">Amount</th></tr></thead><tbody>
<tr><td>Web hosting, one month</td><td class="sum">€ {{ invoice.hosting }}.00</td></tr>
<tr><td>Domains, {{ invoice.domains }} for one year</td><td class="sum">€ {{ invoice.domains * 12 }}.00</td></tr>
<tr><td><strong>Total</strong></td><td class="sum"><strong>€ {{ invoice.total() }}.00</strong></td></tr></tbody></table></div>
{% when Content::Other with (address) %}<h1>Another page</h1>
<p class="soft">This would be <code id="address">{{ address }}</code> of your own application.</p>
{% when Content::Missing %}<h1>There is no such page</h1>
<p>Try <a href="/">home</a>, <a href="/clientarea/services">services</a> or <a href="/clientarea/invoices/1042">an invoice</a>.</p>
{% when Content::Nobody %}<h1>Nobody is signed in</h1>
<p>This page is for somebody who came through the gate. Ask for a link on the demo's start page.</p>
{% endmatch %}
{% if let Some(who) = who %}<div class="card who"><h2>Signed in</h2><dl>
<dt>User</dt><dd id="user">{{ who.user }}</dd>
<dt>By the caller</dt><dd id="caller">{{ who.caller }}</dd></dl></div>{% endif %}
</main>
<footer>The demo's panel. The gate told it who you are, in the headers <code>X-Oncegate-User</code> and <code>X-Oncegate-Caller</code>.</footer>
</body></html>
"#
)]
struct Panel {
    style: &'static str,
    who: Option<Visitor>,
    content: Content,
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn get(path: &str, user: &[&str]) -> (StatusCode, String) {
        let mut request = Request::get(path).header("X-Oncegate-Caller", "billing");
        for user in user {
            request = request.header("X-Oncegate-User", *user);
        }
        let (head, body) = panel(request.body(()).unwrap()).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn every_page_shows_who_is_signed_in_and_by_whom() {
        for path in [
            "/",
            "/clientarea",
            "/clientarea.php",
            "/clientarea/services",
            "/clientarea/invoices/18?print=1",
            "/supporttickets.php",
        ] {
            let (status, page) = get(path, &["Zo%C3%AB"]).await;
            assert_eq!(status, StatusCode::OK, "{path}");
            assert!(page.contains(r#"<dd id="user">Zoë</dd>"#), "{path}: {page}");
            assert!(page.contains(r#"<dd id="caller">billing</dd>"#), "{path}: {page}");
            assert!(page.contains(r#"action="/_once/logout""#), "{path}: {page}");
        }
    }

    #[tokio::test]
    async fn markup_in_a_name_is_text() {
        let (_, page) = get("/", &["%3Cscript%3E'\"&"]).await;
        assert!(!page.contains("<script"), "{page}");
        assert!(page.contains("&#60;script&#62;"), "{page}");
    }

    #[tokio::test]
    async fn a_page_that_the_panel_does_not_know_shows_its_address() {
        let (_, page) = get("/clientarea.php?action=domains&x='", &["joe"]).await;
        let address = "/clientarea.php?action=domains&#38;x=&#39;";
        assert!(page.contains(&format!("<code id=\"address\">{address}</code>")), "{page}");
        let (_, page) = get("/clientarea.php", &["joe"]).await;
        assert!(page.contains("<h1>Welcome back</h1>"), "{page}");
    }

    #[tokio::test]
    async fn nobody_sees_anything_without_the_gates_word_or_with_two() {
        for users in [&[][..], &["joe", "eve"], &[""], &["%FF"]] {
            let (status, page) = get("/clientarea/invoices/18", users).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{users:?}");
            assert!(!page.contains("Invoice 18") && !page.contains("id=\"user\""), "{page}");
        }
    }

    #[tokio::test]
    async fn an_invoice_without_a_number_is_not_found() {
        for path in ["/clientarea/invoices/", "/clientarea/invoices/+1", "/clientarea/invoices/1/2"]
        {
            assert_eq!(get(path, &["joe"]).await.0, StatusCode::NOT_FOUND, "{path}");
        }
        let request = Request::post("/").header("X-Oncegate-User", "joe").body(()).unwrap();
        assert_eq!(panel(request).await.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}
