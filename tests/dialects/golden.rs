//! How a pair is written down:
//!
//! ```text
//! why: what the vendor's clients rely on here
//! config: base = "/hosting/api/"       any number; a line of the vendor's own [dialects.NAME]
//!
//! POST /path?query
//! Header: value
//!
//! the body; absent where there is none. \xNN is the byte NN
//!
//! => 200
//! Header: value that must be there
//!
//! the body, byte for byte, with {token} where the token stands, and {length} for how many bytes
//! it has
//!
//! token: sub=joe dst=/clientarea ttl=60 via=wisecp ips=127.0.0.1/32 ctx={"a":1}
//! ```
//! `Host` and `Content-Length` are not written. The last line is optional: what it names, the
//! token says, `-` meaning that it says nothing; `ips` and `ctx` are absent where not named.

use oncegate::gate::token::LinkClaims;
use serde_json::Value;

/// A request and the answer to it.
#[derive(Debug, Default)]
pub struct Golden {
    pub why: String,
    /// Lines for the vendor's table.
    pub config: Vec<String>,
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub status: u16,
    /// Header lines that the answer must have.
    pub answer_headers: Vec<(String, String)>,
    pub answer: String,
    /// What the token says.
    pub token: Option<String>,
}

impl Golden {
    /// Reads a file; an error says what is missing.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let (request, answer) = text.split_once("\n\n=> ").ok_or("there is no line \"=> …\"")?;
        let (about, request) = request.split_once("\n\n").ok_or("there is no request")?;
        let mut golden = Self::default();
        for line in about.lines() {
            match line.split_once(": ") {
                Some(("why", why)) => why.clone_into(&mut golden.why),
                Some(("config", line)) => golden.config.push(line.to_owned()),
                _ => return Err(format!("{line:?} is neither why: nor config:")),
            }
        }
        if golden.why.is_empty() {
            return Err("it does not say why".to_owned());
        }
        let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
        let (first, head) = head.split_once('\n').unwrap_or((head, ""));
        let (method, target) = first.split_once(' ').ok_or("there is no request line")?;
        (golden.method, golden.target) = (method.to_owned(), target.to_owned());
        golden.headers = headers(head)?;
        golden.body = bytes(body)?;
        let (answer, token) = match answer.rsplit_once("\n\ntoken: ") {
            Some((answer, token)) => (answer, Some(token.to_owned())),
            None => (answer, None),
        };
        let (head, body) = answer.split_once("\n\n").unwrap_or((answer, ""));
        let (status, head) = head.split_once('\n').unwrap_or((head, ""));
        golden.status = status.parse().map_err(|_| format!("{status:?} is not a status"))?;
        golden.answer_headers = headers(head)?;
        (golden.answer, golden.token) = (body.to_owned(), token);
        Ok(golden)
    }

    /// The configuration with this pair's lines in the table of its vendor.
    pub fn configured(&self, vendor: &str, text: &str) -> String {
        let table = format!("[dialects.{vendor}]\n");
        assert!(text.contains(&table), "the configuration lacks {table}");
        let lines: String = self.config.iter().flat_map(|line| [line, "\n"]).collect();
        text.replace(&table, &[&table, lines.as_str()].concat())
    }
}

fn headers(lines: &str) -> Result<Vec<(String, String)>, String> {
    let header = |line: &str| {
        let (name, value) = line.split_once(':').ok_or(format!("{line:?} is not a header"))?;
        Ok((name.to_owned(), value.trim().to_owned()))
    };
    lines.lines().map(header).collect()
}

/// The bytes of a body, `\xNN` being one; JSON and forms have no such escape of their own.
fn bytes(text: &str) -> Result<Vec<u8>, String> {
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).ok_or("\\x without two digits")?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|why| format!("\\x{digits}: {why}"))?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    Ok(bytes)
}

/// The first token in an answer: three parts of base64url, the first one's JSON beginning `{"`.
pub fn token_in(body: &str) -> Option<&str> {
    let start = body.find("eyJ")?;
    let rest = &body[start..];
    let token_char = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let end = rest.find(|c| !token_char(c)).unwrap_or(rest.len());
    Some(&rest[..end]).filter(|token| token.split('.').count() == 3)
}

/// Whether a token says what a `token:` line does.
pub fn says(line: &str, claims: &LinkClaims) -> Result<(), String> {
    let (line, ctx) = match line.split_once("ctx=") {
        Some((line, ctx)) => (line, serde_json::from_str(ctx).map_err(|why| why.to_string())?),
        None => (line, Value::Null),
    };
    let mut named: Vec<(&str, &str)> = line
        .split_whitespace()
        .map(|pair| pair.split_once('=').ok_or(format!("token: {pair:?} is not NAME=VALUE")))
        .collect::<Result<_, _>>()?;
    if !named.iter().any(|(name, _)| *name == "ips") {
        named.push(("ips", "-"));
    }
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let (mut expected, mut came) = (Vec::new(), Vec::new());
    for (name, value) in named {
        let says = match name {
            "sub" => claims.sub.clone(),
            "dst" => or_none(claims.dst.clone()),
            "ttl" => (claims.exp - claims.iat).to_string(),
            "via" => or_none(claims.via.clone()),
            // Several with commas alone between them: a space ends what is said of one claim.
            "ips" => or_none(claims.ips.as_ref().map(|ips| ips.to_string().replace(' ', ""))),
            _ => return Err(format!("token: {name:?} is not known")),
        };
        expected.push(format!("{name}={value}"));
        came.push(format!("{name}={says}"));
    }
    expected.push(format!("ctx={ctx}"));
    came.push(format!("ctx={}", serde_json::to_value(&claims.ctx).unwrap()));
    if expected == came { Ok(()) } else { Err(difference(&expected, &came)) }
}

/// Both texts, line by line, and where the first two lines that differ begin to.
pub fn difference(expected: &[String], came: &[String]) -> String {
    let mut shown = Vec::new();
    for index in 0..expected.len().max(came.len()) {
        let (expected, came) = (expected.get(index), came.get(index));
        if expected == came {
            shown.extend(expected.map(|line| format!("    {line}")));
            continue;
        }
        shown.extend(expected.map(|line| format!("  - {line}")));
        shown.extend(came.map(|line| format!("  + {line}")));
        if let (Some(expected), Some(came)) = (expected, came) {
            let same = expected.chars().zip(came.chars()).take_while(|(a, b)| a == b).count();
            shown.push(format!("    {}^", " ".repeat(same)));
        }
    }
    shown.join("\n")
}

#[test]
fn a_pair_is_read_as_it_is_written() {
    let text = "why: x\nconfig: base = \"/x/\"\n\nPOST /a?b\nApikey: k\n\n{\"a\":\"\\xff\"}\n\n\
                => 200\nContent-Type: a/b\n\n{\"t\":\"{token}\"}\n\ntoken: sub=joe\n";
    let golden = Golden::parse(text).unwrap();
    assert_eq!((golden.method.as_str(), golden.target.as_str()), ("POST", "/a?b"));
    assert_eq!(golden.headers, [("Apikey".to_owned(), "k".to_owned())]);
    assert_eq!(golden.body, b"{\"a\":\"\xff\"}");
    assert_eq!((golden.status, golden.answer.as_str()), (200, "{\"t\":\"{token}\"}"));
    assert_eq!(golden.token.as_deref(), Some("sub=joe"));
    let configured = golden.configured("x", "[dialects.x]\nsite = 1");
    assert_eq!(configured, "[dialects.x]\nbase = \"/x/\"\nsite = 1");
}

#[test]
fn a_pair_without_bodies_is_read_too() {
    let golden = Golden::parse("why: x\n\nGET /a\nApikey: k\n\n=> 204\n").unwrap();
    assert_eq!((golden.method.as_str(), golden.body.as_slice()), ("GET", b"".as_slice()));
    assert_eq!((golden.status, golden.answer.as_str(), golden.token), (204, "", None));
    assert!(Golden::parse("why: x\n\nGET /a\n").is_err());
}

#[test]
fn a_token_is_found_and_a_difference_points_to_its_place() {
    assert_eq!(token_in("{\"a\":\"eyJh.b_-.c\"}"), Some("eyJh.b_-.c"));
    assert_eq!(token_in("eyJh.b"), None);
    let lines = |text: &str| vec!["same".to_owned(), text.to_owned()];
    assert_eq!(difference(&lines("abc"), &lines("abd")), "    same\n  - abc\n  + abd\n      ^");
}
