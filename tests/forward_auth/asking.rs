//! Load balancers, as far as their questions tell: what each says of the request it asks about,
//! and what of its visitor's headers it passes along.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
};

use super::support::{
    gate::{Gate, PANEL},
    http::{Answer, raw},
};

/// The load balancers whose questions the gate knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proxy {
    /// nginx 1.22, `auth_request`.
    Nginx,
    /// `HAProxy` 2.6, the script of `deploy/`.
    Haproxy,
    /// Caddy 2.11, `forward_auth`.
    Caddy,
    /// Traefik 3, `ForwardAuth`.
    Traefik,
    /// Envoy 1.40, `ext_authz` over HTTP.
    Envoy,
}

pub(super) const ALL: [Proxy; 5] =
    [Proxy::Nginx, Proxy::Haproxy, Proxy::Caddy, Proxy::Traefik, Proxy::Envoy];

/// A visitor's request, as it reaches the load balancer.
#[derive(Debug, Clone)]
pub(super) struct Visit {
    pub(super) method: String,
    pub(super) scheme: String,
    pub(super) host: String,
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
}

/// A load balancer's question.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) lines: Vec<(String, String)>,
}

impl Visit {
    /// A GET of a page of the site `panel`, by a program.
    pub(super) fn to(target: &str) -> Self {
        Self {
            method: "GET".to_owned(),
            scheme: "https".to_owned(),
            host: PANEL.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
        }
    }

    #[must_use]
    pub(super) fn by(mut self, method: &str) -> Self {
        method.clone_into(&mut self.method);
        self
    }

    #[must_use]
    pub(super) fn at(mut self, scheme: &str, host: &str) -> Self {
        scheme.clone_into(&mut self.scheme);
        host.clone_into(&mut self.host);
        self
    }

    #[must_use]
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub(super) fn cookie(self, cookie: &str) -> Self {
        self.with("Cookie", cookie)
    }

    /// By a person, who opens it in a tab.
    #[must_use]
    pub(super) fn in_a_tab(self) -> Self {
        self.with("Accept", "text/html,application/xhtml+xml")
            .with("Sec-Fetch-Site", "same-origin")
            .with("Sec-Fetch-Mode", "navigate")
            .with("Sec-Fetch-Dest", "document")
    }
}

impl Proxy {
    /// The path where it asks.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Nginx => "/_once/auth/nginx",
            Self::Haproxy => "/_once/auth/haproxy",
            Self::Caddy => "/_once/auth/caddy",
            Self::Traefik => "/_once/auth/traefik",
            Self::Envoy => "/_once/auth/envoy",
        }
    }

    /// What it must say of the request.
    pub(super) fn must_say(self) -> &'static [&'static str] {
        match self {
            Self::Nginx => &["X-Original-URL", "X-Original-Method"],
            Self::Haproxy | Self::Caddy | Self::Traefik => {
                &["X-Forwarded-Method", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Uri"]
            }
            Self::Envoy => &["X-Forwarded-Proto"],
        }
    }

    /// What it asks about `visit`.
    pub(super) fn question(self, visit: &Visit) -> Question {
        let line = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut lines = match self {
            Self::Nginx => vec![
                line("Host", &visit.host),
                line(
                    "X-Original-URL",
                    &format!("{}://{}{}", visit.scheme, visit.host, visit.target),
                ),
                line("X-Original-Method", &visit.method),
                line("X-Forwarded-For", "203.0.113.7"),
            ],
            Self::Haproxy | Self::Caddy | Self::Traefik => vec![
                // Traefik asks at the address of its configuration.
                line("Host", if self == Self::Traefik { "127.0.0.1:8080" } else { &visit.host }),
                line("X-Forwarded-Method", &visit.method),
                line("X-Forwarded-Proto", &visit.scheme),
                line("X-Forwarded-Host", &visit.host),
                line("X-Forwarded-Uri", &visit.target),
                line("X-Forwarded-For", "203.0.113.7"),
            ],
            Self::Envoy => vec![
                line("host", &visit.host),
                line("content-length", "0"),
                line("x-forwarded-proto", &visit.scheme),
                line("x-forwarded-for", "203.0.113.7,127.0.0.1"),
                line("x-envoy-internal", "true"),
                line("x-envoy-expected-rq-timeout-ms", "5000"),
            ],
        };
        let passed = visit.headers.iter().filter(|(name, _)| self.passes(name)).cloned();
        lines.extend(passed);
        let (method, target) = match self {
            Self::Envoy => (visit.method.clone(), [self.path(), &visit.target].concat()),
            _ => ("GET".to_owned(), self.path().to_owned()),
        };
        Question { method, target, lines }
    }

    /// Whether a visitor's header of this name goes along.
    fn passes(self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let listed = matches!(
            name.as_str(),
            "cookie"
                | "accept"
                | "user-agent"
                | "origin"
                | "sec-websocket-key"
                | "x-requested-with"
                | "sec-fetch-mode"
                | "sec-fetch-dest"
                | "sec-fetch-site"
        );
        match self {
            Self::Nginx => !matches!(name.as_str(), "upgrade" | "connection"),
            Self::Caddy | Self::Traefik => true,
            Self::Haproxy | Self::Envoy => listed,
        }
    }

    /// Asks this gate about a visit.
    pub(super) async fn asks(self, gate: &Gate, visit: &Visit) -> Answer {
        self.question(visit).to(gate.public_at()).await
    }
}

impl Question {
    /// The same with a further header line.
    #[must_use]
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.lines.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same without any line of this header.
    #[must_use]
    pub(super) fn without(mut self, name: &str) -> Self {
        self.lines.retain(|(found, _)| !found.eq_ignore_ascii_case(name));
        self
    }

    #[must_use]
    pub(super) fn by(mut self, method: &str) -> Self {
        method.clone_into(&mut self.method);
        self
    }

    #[must_use]
    pub(super) fn at(mut self, target: &str) -> Self {
        target.clone_into(&mut self.target);
        self
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        for (name, value) in &self.lines {
            text.extend([name, ": ", value, "\r\n"]);
        }
        text.push_str("Connection: close\r\n\r\n");
        text.into_bytes()
    }

    pub(super) async fn to(&self, gate: SocketAddr) -> Answer {
        raw(gate, self.bytes()).await
    }

    /// Asks from another address of this machine; gives all that comes back.
    pub(super) async fn from(&self, peer: Ipv4Addr, gate: SocketAddr) -> String {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((peer, 0).into()).unwrap();
        let mut stream = socket.connect(gate).await.unwrap();
        stream.write_all(&self.bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

/// A gate that believes the load balancer of these tests, whose configuration `change` makes of
/// the usual one.
pub(super) async fn gate_with(change: impl FnOnce(String) -> String) -> Gate {
    Gate::with(|text| change(trusting(&text))).await
}

pub(super) async fn gate() -> Gate {
    gate_with(|text| text).await
}

/// The configuration in which this machine's own address is a load balancer's.
pub(super) fn trusting(text: &str) -> String {
    assert!(text.contains("[listen]\n"));
    text.replace("[listen]\n", "[listen]\ntrusted_proxies = [\"127.0.0.1\"]\n")
}

/// The configuration with further lines for the site `panel`.
pub(super) fn panel(text: &str, lines: &str) -> String {
    let public = "public = [\"/assets/**\"]";
    assert!(text.contains(public));
    text.replace(public, &format!("{public}\n{lines}"))
}

/// Every identity header of the site `panel`.
pub(super) const IDENTITY: [&str; 5] =
    ["x-oncegate-user", "x-oncegate-caller", "x-oncegate-assertion", "remote-user", "x-plan"];

/// What an answer says of who is there: the one line of each identity header.
pub(super) fn identity(answer: &Answer) -> Vec<&str> {
    let line = |name| answer.header(name).unwrap_or_else(|| panic!("no {name} in {answer:?}"));
    IDENTITY.into_iter().map(line).collect()
}

/// Asserts that a question was answered by the refusal `code`, as this load balancer understands
/// one, and that nobody is named.
pub(super) fn refused(proxy: Proxy, answer: &Answer, status: u16, code: &str, why: &str) {
    if proxy == Proxy::Nginx {
        terse(answer, why);
    } else {
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{proxy:?} {why}");
        assert_eq!(answer.header("location"), None, "{proxy:?} {why}");
    }
    says_nothing(answer);
}

/// Asserts that an answer is 403, and nothing else.
pub(super) fn terse(answer: &Answer, why: &str) {
    assert_eq!((answer.status, answer.text()), (403, ""), "{why}");
    assert_eq!(answer.header("location"), None, "{why}");
}

/// Asserts that an answer names nobody, sets no cookie, and is kept by nobody.
pub(super) fn says_nothing(answer: &Answer) {
    for name in IDENTITY {
        assert!(answer.header_lines(name).is_empty(), "{name} in {answer:?}");
    }
    unchanging(answer);
}

/// Asserts that an answer sets no cookie, and is kept by nobody.
pub(super) fn unchanging(answer: &Answer) {
    assert!(answer.header_lines("set-cookie").is_empty(), "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}
