//! The demo's start page: a person plays the billing system that asks the gate for links.
//!
//! It listens on loopback, under its own port. The caller's API key stays on this side: the page
//! posts whom to sign in and where, and the server asks the gate.

use std::sync::Arc;

use askama::Template;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Body;
use tokio::net::TcpListener;

use super::page::{self, Answer, STYLE, answer};

/// A whole form, generously.
const MOST_BYTES: usize = 16 * 1024;

/// What the page offers and tells.
pub struct Stage {
    /// Whom one may play.
    pub users: Vec<String>,
    /// Where one may send them.
    pub choices: Vec<Choice>,
    /// A command that asks for a link by hand, ready to paste.
    pub curl: String,
    /// What listens where: a word for it, and its URL.
    pub addresses: Vec<(String, String)>,
}

/// One destination to pick.
pub struct Choice {
    /// What the person reads.
    pub label: String,
    /// The destination's name or path.
    pub destination: String,
    /// What fills the name's places.
    pub values: Vec<String>,
}

/// What the gate answered.
pub struct LinkAnswer {
    /// The link.
    pub url: String,
    /// Seconds for which it works.
    pub expires_in: u64,
}

/// Serves the start page for as long as it is polled.
///
/// `issue` asks the gate for a link, given the user, the destination and its values; its error is
/// shown to the person.
pub async fn serve<I, L>(listener: TcpListener, stage: Stage, issue: I)
where
    I: Fn(String, String, Vec<String>) -> L + Clone + Send + Sync + 'static,
    L: Future<Output = Result<LinkAnswer, String>> + Send + 'static,
{
    let stage = Arc::new(stage);
    page::serve(listener, move |request| {
        let (stage, issue) = (Arc::clone(&stage), issue.clone());
        async move { start(&stage, request, issue).await }
    })
    .await;
}

/// Answers one request: `GET /` the form, `POST /` a link.
pub async fn start<B, I, L>(stage: &Stage, request: Request<B>, issue: I) -> Answer
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: FnOnce(String, String, Vec<String>) -> L,
    L: Future<Output = Result<LinkAnswer, String>>,
{
    let refused = |status, why: &str| shown(stage, status, Outcome::Refused(why.to_owned()), "", 0);
    if !is_ours(request.headers()) {
        return refused(StatusCode::FORBIDDEN, "This page answers only itself.");
    }
    if request.uri().path() != "/" {
        return refused(StatusCode::NOT_FOUND, "There is no such page.");
    }
    match *request.method() {
        Method::GET | Method::HEAD => return shown(stage, StatusCode::OK, Outcome::None, "", 0),
        Method::POST => {}
        _ => return refused(StatusCode::METHOD_NOT_ALLOWED, "GET or POST."),
    }
    let Ok(body) = Limited::new(request.into_body(), MOST_BYTES).collect().await else {
        return refused(StatusCode::BAD_REQUEST, "The form could not be read.");
    };
    let (mut user, mut to) = (String::new(), None);
    for (name, value) in url::form_urlencoded::parse(&body.to_bytes()) {
        match &*name {
            "user" => user = value.into_owned(),
            "to" => to = value.parse::<usize>().ok(),
            _ => {}
        }
    }
    let Some((at, choice)) = to.and_then(|at| Some((at, stage.choices.get(at)?))) else {
        return refused(StatusCode::BAD_REQUEST, "Pick a destination from the list.");
    };
    match issue(user.clone(), choice.destination.clone(), choice.values.clone()).await {
        Ok(link) => shown(stage, StatusCode::OK, Outcome::Link(link), &user, at),
        Err(why) => shown(stage, StatusCode::BAD_GATEWAY, Outcome::Refused(why), &user, at),
    }
}

/// Whether the request comes from this page, or from the person directly: a page elsewhere must
/// neither post here nor read what is here under a name of its own (DNS rebinding).
fn is_ours(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let loopback = matches!(name, "localhost" | "127.0.0.1" | "[::1]");
    // A link to this page may stand anywhere; a form may not.
    let elsewhere = headers.get("sec-fetch-site").is_some_and(|site| {
        let site = site.as_bytes();
        site != b"same-origin" && site != b"none"
    });
    let navigates = headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate");
    loopback && (!elsewhere || (navigates && !headers.contains_key(header::ORIGIN)))
}

fn shown(stage: &Stage, status: StatusCode, outcome: Outcome, user: &str, at: usize) -> Answer {
    match (Start { style: STYLE, stage, outcome, user, at }).render() {
        Ok(page) => answer(status, page),
        Err(_) => answer(StatusCode::INTERNAL_SERVER_ERROR, "the page cannot be shown".to_owned()),
    }
}

enum Outcome {
    None,
    Link(LinkAnswer),
    Refused(String),
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Oncegate demo</title><style>{{ style|safe }}</style></head><body>
<header><div><span class="brand">Oncegate demo</span><span class="soft">you are the billing system</span></div></header>
<main>
<h1>Let this user in, there, once</h1>
<p class="soft">Pick who is to be signed in and where they are to land. The gate makes a link that works one time.</p>
{% match outcome %}
{% when Outcome::Link with (link) %}<div class="card who" id="answer"><h2>A link for {{ user }}</h2>
<p><a class="button" id="link" href="{{ link.url }}" target="_blank" rel="noopener">Open the link</a></p>
<p>It works once, and for {{ link.expires_in }} seconds. Then open it in a private window: it is refused. (This browser is signed in by then, so here it only leads on.)</p>
<pre id="url">{{ link.url }}</pre></div>
{% when Outcome::Refused with (why) %}<div class="card alarm" id="refused" role="alert"><h2>No link</h2><p>{{ why }}</p></div>
{% when Outcome::None %}
{% endmatch %}
<form class="card" method="post" action="/">
<label>User<select name="user">{% for name in stage.users %}
<option{% if name == user %} selected{% endif %}>{{ name }}</option>{% endfor %}</select></label>
<label>Destination<select name="to">{% for choice in stage.choices %}
<option value="{{ loop.index0 }}"{% if loop.index0 == at %} selected{% endif %}>{{ choice.label }}</option>{% endfor %}</select></label>
<button id="issue">Ask for a link</button>
</form>
<div class="card"><h2>The same by hand</h2><pre id="curl">{{ stage.curl }}</pre>
<p class="soft">The gate also speaks other vendors' APIs: the terminal shows a call of WISECP's.</p></div>
<div class="card"><h2>Addresses</h2><dl>{% for (word, url) in stage.addresses %}
<dt>{{ word }}</dt><dd><a href="{{ url }}">{{ url }}</a></dd>{% endfor %}</dl></div>
</main>
<footer>Everything here lives in one process and is gone when it ends.</footer>
</body></html>
"#
)]
struct Start<'a> {
    style: &'static str,
    stage: &'a Stage,
    outcome: Outcome,
    user: &'a str,
    at: usize,
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    fn stage() -> Stage {
        Stage {
            users: vec!["joe".to_owned(), "<b>".to_owned()],
            choices: vec![
                Choice { label: "Home".into(), destination: "home".into(), values: vec![] },
                Choice {
                    label: "Invoice".into(),
                    destination: "inv".into(),
                    values: vec!["7".into()],
                },
            ],
            curl: "curl -d '{\"user\":\"joe\"}' http://127.0.0.1:1".to_owned(),
            addresses: vec![("Site".to_owned(), "http://localhost:2/".to_owned())],
        }
    }

    async fn asked(request: http::request::Builder, form: &str) -> (StatusCode, String) {
        let request = request.body(Full::new(bytes::Bytes::from(form.to_owned()))).unwrap();
        let issue = |user: String, destination: String, values: Vec<String>| async move {
            if user == "nobody" {
                return Err("unknown <user>".to_owned());
            }
            let url = format!("http://localhost:2/l/{user}/{destination}/{}", values.join("/"));
            Ok(LinkAnswer { url, expires_in: 60 })
        };
        let (head, body) = start(&stage(), request, issue).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status, String::from_utf8(body.to_vec()).unwrap())
    }

    fn post() -> http::request::Builder {
        Request::post("/").header("Host", "127.0.0.1:9")
    }

    #[tokio::test]
    async fn the_page_offers_users_destinations_curl_and_addresses() {
        let (status, page) = asked(Request::get("/").header("Host", "localhost:9"), "").await;
        assert_eq!(status, StatusCode::OK);
        for part in ["<option>joe<", "&#60;b&#62;", ">Invoice<", "curl -d", "http://localhost:2/"] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(!page.contains("<b>") && !page.contains("id=\"answer\""), "{page}");
    }

    #[tokio::test]
    async fn a_press_of_the_button_shows_a_link_that_opens_in_a_new_tab() {
        let (status, page) = asked(post(), "user=joe&to=1").await;
        assert_eq!(status, StatusCode::OK);
        let link = r#"href="http://localhost:2/l/joe/inv/7" target="_blank""#;
        assert!(page.contains(link), "{page}");
        assert!(page.contains("Then open it in a private window: it is refused"), "{page}");
    }

    #[tokio::test]
    async fn what_the_gate_refuses_is_told() {
        let (status, page) = asked(post(), "user=nobody&to=0").await;
        assert_eq!(status, StatusCode::BAD_GATEWAY);
        assert!(page.contains("unknown &#60;user&#62;"), "{page}");
        assert_eq!(asked(post(), "user=joe&to=2").await.0, StatusCode::BAD_REQUEST);
    }

    #[tokio::test]
    async fn a_page_elsewhere_gets_no_link() {
        let rebound = Request::get("/").header("Host", "evil.example:9");
        assert_eq!(asked(rebound, "").await.0, StatusCode::FORBIDDEN);
        for site in ["cross-site", "same-site"] {
            let posted = post()
                .header("Sec-Fetch-Site", site)
                .header("Sec-Fetch-Mode", "navigate")
                .header("Origin", "http://evil.example");
            assert_eq!(asked(posted, "user=joe&to=0").await.0, StatusCode::FORBIDDEN, "{site}");
        }
        let own = post().header("Sec-Fetch-Site", "same-origin").header("Origin", "http://x");
        assert_eq!(asked(own, "user=joe&to=0").await.0, StatusCode::OK);
    }
}
