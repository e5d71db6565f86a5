//! What the demo's two small applications share: the look, the answer, the accept loop.
//!
//! Both are pages without script and without anything from outside.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

/// Light and dark, wide and narrow. Every template puts it into its own `<style>`.
pub const STYLE: &str = "
:root { color-scheme: light dark; --ground: #f3f5f8; --card: #fff; --ink: #17202e; --soft: #5a6779;
  --line: #dbe1ea; --lead: #1553c7; --on-lead: #fff; --good: #116b3f; --tint: #e8effc; }
@media (prefers-color-scheme: dark) { :root { --ground: #0e131b; --card: #171e29; --ink: #e7ecf4;
  --soft: #9aa8bc; --line: #2b3646; --lead: #7aa7ff; --on-lead: #0c1626; --good: #62d09b;
  --tint: #1c2a44; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif; }
header { background: var(--card); border-bottom: 1px solid var(--line); }
header > div, main, footer { max-width: 60rem; margin: 0 auto; padding: 0 1.25rem; }
header > div { display: flex; flex-wrap: wrap; align-items: center; gap: .25rem 1.5rem;
  padding-top: .8rem; padding-bottom: .8rem; }
.brand { font-weight: 700; letter-spacing: -.01em; }
nav { display: flex; gap: .25rem; flex: 1; }
nav a { padding: .3rem .7rem; border-radius: .5rem; color: var(--soft); text-decoration: none; }
nav a[aria-current], nav a:hover { background: var(--tint); color: var(--ink); }
main { padding-top: 2rem; padding-bottom: 2rem; }
h1 { margin: 0 0 .35rem; font-size: 1.7rem; line-height: 1.2; letter-spacing: -.02em; }
h2 { margin: 0 0 .75rem; font-size: 1.05rem; }
p { margin: 0 0 1rem; }
a { color: var(--lead); }
.soft, footer { color: var(--soft); }
footer { padding-bottom: 2.5rem; font-size: .9rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .9rem;
  padding: 1.25rem; margin: 1.25rem 0; }
.who { border-left: 4px solid var(--good); }
.card > :last-child { margin-bottom: 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .35rem 1.25rem; margin: 0; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
table { width: 100%; border-collapse: collapse; }
th, td { text-align: left; padding: .55rem .5rem .55rem 0; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 500; font-size: .9rem; }
tr:last-child td { border-bottom: 0; }
.sum { text-align: right; padding-right: 0; font-variant-numeric: tabular-nums; }
label { display: block; margin-bottom: 1rem; font-weight: 600; }
select { display: block; width: 100%; margin-top: .3rem; padding: .6rem; font: inherit;
  font-weight: 400; color: inherit; background: var(--ground); border: 1px solid var(--line); border-radius: .5rem; }
button, .button { display: inline-block; padding: .6rem 1.1rem; font: inherit; font-weight: 600;
  color: var(--on-lead); background: var(--lead); border: 0; border-radius: .5rem;
  text-decoration: none; cursor: pointer; }
button.quiet { color: var(--ink); background: none; border: 1px solid var(--line);
  padding: .3rem .8rem; font-weight: 500; }
:focus-visible { outline: 3px solid var(--lead); outline-offset: 2px; }
pre, code { font: .87rem/1.5 ui-monospace, 'Cascadia Mono', 'DejaVu Sans Mono', monospace; }
pre { margin: 0; padding: .9rem; background: var(--ground); border-radius: .5rem;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.alarm { border-left: 4px solid #c4372c; }
@media (max-width: 34rem) { nav { order: 3; flex-basis: 100%; margin-left: -.7rem; }
  header form { margin-left: auto; } dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .6rem; } .wide { display: none; } }
";

/// What both applications answer with.
pub type Answer = Response<Full<Bytes>>;

/// A page, never stored, that may load nothing and may post to its own origin alone.
pub fn answer(status: StatusCode, page: String) -> Answer {
    const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; \
                          base-uri 'none'; frame-ancestors 'none'";
    let mut answer = Response::new(Full::new(Bytes::from(page)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// Answers every connection by `respond`, for as long as it is polled; dropping it closes the
/// listener.
pub async fn serve<R, A>(listener: TcpListener, respond: R)
where
    R: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Answer> + Send + 'static,
{
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: a moment later there may be some.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let respond = respond.clone();
        let service = service_fn(move |request| {
            let answer = respond(request);
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let served = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(30))
            .serve_connection(TokioIo::new(stream), service);
        // A visitor who goes away in the middle of an answer is no fault of this server.
        tokio::spawn(async move { drop(served.await) });
    }
}
