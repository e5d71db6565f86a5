//! Makes the vectors: every attack on a token that can be written down, each with its refusal.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer as _, pkcs8::DecodePrivateKey as _};
use oncegate::gate::{
    claims::Claims,
    client_ip::Networks,
    id::{MemoryId, TokenId},
    keyring::{Keyring, SigningKey},
    page::Page,
    token::{Actor, LinkClaims},
};
use sha2::{Digest as _, Sha256};

pub(crate) const NOW: u64 = 1_764_000_000;
const CLIENT: &str = "203.0.113.7";

/// One file of `tests/vectors/token/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vector {
    /// The public code of the refusal, or `ok`.
    pub(crate) expect: String,
    /// Which part of it is malformed.
    pub(crate) fault: Option<String>,
    pub(crate) why: String,
    /// Whether jsonwebtoken takes what we refuse; the `why` then says why that is right.
    pub(crate) jsonwebtoken_accepts: bool,
    pub(crate) token: String,
}

impl Vector {
    pub(crate) fn write(&self) -> String {
        let mut file = format!("expect: {}\n", self.expect);
        if let Some(fault) = &self.fault {
            writeln!(file, "fault: {fault}").unwrap();
        }
        write!(file, "why: {}\nnow: {NOW}\nclient: {CLIENT}\n", self.why).unwrap();
        if self.jsonwebtoken_accepts {
            file.push_str("jsonwebtoken: accepts\n");
        }
        write!(file, "\n{}\n", self.token).unwrap();
        file
    }

    pub(crate) fn read(file: &str) -> Self {
        // White space is part of some tokens: only the file's own last newline is not.
        let (head, token) = file.strip_suffix('\n').unwrap().split_once("\n\n").unwrap();
        let line =
            |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        assert_eq!(line("now").unwrap(), NOW.to_string());
        Self {
            expect: line("expect").unwrap().to_owned(),
            fault: line("fault").map(str::to_owned),
            why: line("why").unwrap().to_owned(),
            jsonwebtoken_accepts: line("jsonwebtoken") == Some("accepts"),
            token: token.to_owned(),
        }
    }
}

pub(crate) fn secret(number: u8) -> [u8; 32] {
    match number {
        1 => {
            let pem = include_str!("../vectors/token/key.pem");
            ed25519_dalek::SigningKey::from_pkcs8_pem(pem).unwrap().to_bytes()
        }
        other => Sha256::digest([other]).into(),
    }
}

/// Number 1 is `key.pem`, the one that signs.
pub(crate) fn key(number: u8) -> SigningKey {
    SigningKey::from_secret(&secret(number)).unwrap()
}

pub(crate) fn keyring() -> Keyring {
    Keyring::new(key(1), None, vec![key(2)])
}

pub(crate) fn claims() -> LinkClaims {
    LinkClaims {
        iss: "https://login.example.com".into(),
        aud: "panel".into(),
        sub: "joe".into(),
        iat: NOW,
        exp: NOW + 60,
        jti: TokenId::from_bytes([0x11; 16]),
        mem: MemoryId::from_bytes([0x22; 16]),
        gate: Some("gate-a".into()),
        dst: None,
        ips: None,
        act: Actor { sub: "billing".into() },
        via: None,
        page: None,
        ctx: None,
    }
}

/// The two texts under key 1, whatever they are.
pub(crate) fn signed(header: &[u8], payload: &[u8]) -> String {
    let [header, payload] = [header, payload].map(|part| URL_SAFE_NO_PAD.encode(part));
    signed_text(&format!("{header}.{payload}"))
}

pub(crate) fn signed_text(text: &str) -> String {
    let key = ed25519_dalek::SigningKey::from_bytes(&secret(1));
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(key.sign(text.as_bytes()).to_bytes()))
}

/// A link with these bytes as its claims.
pub(crate) fn link_of(payload: &[u8]) -> String {
    signed(header("EdDSA", "oncegate-link+jwt", key(1).kid()).as_bytes(), payload)
}

pub(crate) fn header(alg: &str, typ: &str, kid: &str) -> String {
    format!(r#"{{"alg":"{alg}","typ":"{typ}","kid":"{kid}"}}"#)
}

pub(crate) fn payload() -> String {
    serde_json::to_string(&claims()).unwrap()
}

/// The usual claims with `from` replaced.
pub(crate) fn with(from: &str, to: &str) -> String {
    let payload = payload();
    assert_eq!(payload.matches(from).count(), 1, "{from}");
    link_of(payload.replace(from, to).as_bytes())
}

/// The usual claims and these members.
pub(crate) fn and(members: &str) -> String {
    with(r#""act":"#, &format!(r#"{members},"act":"#))
}

/// The usual header with `from` replaced.
pub(crate) fn head(from: &str, to: &str) -> String {
    let header = header("EdDSA", "oncegate-link+jwt", key(1).kid());
    assert_eq!(header.matches(from).count(), 1, "{from}");
    signed(header.replace(from, to).as_bytes(), payload().as_bytes())
}

/// The usual header and these members.
pub(crate) fn head_and(members: &str) -> String {
    head("}", &format!(",{members}}}"))
}

pub(crate) struct List(Vec<(String, Vector)>);

impl List {
    pub(crate) fn add(&mut self, name: &str, expect: &str, why: &str, lax: bool, token: String) {
        let (expect, fault) = match expect.split_once(' ') {
            Some((expect, fault)) => (expect, Some(fault.to_owned())),
            None => (expect, None),
        };
        assert!(self.0.iter().all(|(other, _)| other != name), "{name} twice");
        assert!(!why.is_empty(), "{name} says why");
        let vector = Vector {
            expect: expect.to_owned(),
            fault,
            why: why.to_owned(),
            jsonwebtoken_accepts: lax,
            token,
        };
        self.0.push((name.to_owned(), vector));
    }
    fn good(&mut self, name: &str, why: &str, token: String) {
        self.add(name, "ok", why, false, token);
    }
    pub(crate) fn bad(&mut self, name: &str, expect: &str, why: &str, token: String) {
        self.add(name, expect, why, false, token);
    }
    /// Refused here, while a general JWT library rightly knows nothing of it.
    pub(crate) fn strict(&mut self, name: &str, expect: &str, why: &str, token: String) {
        self.add(name, expect, why, true, token);
    }
}

/// Every vector with its file's name.
pub(crate) fn vectors() -> Vec<(String, Vector)> {
    let mut list = List(Vec::new());
    good(&mut list);
    crate::envelope::add(&mut list);
    crate::payload::add(&mut list);
    list.0
}

fn good(list: &mut List) {
    let ring = keyring();
    list.good("good-least", "only what every link has", ring.sign(&claims()));
    let all = LinkClaims {
        dst: Some("ac-ps-products?next=%2F#top".into()),
        ips: Some(Networks::parse(&["203.0.113.7/32", "2001:db8::/64"]).unwrap()),
        via: Some("wisecp".into()),
        page: Some(Page::Confirm),
        ctx: Some(
            Claims::new(serde_json::from_str(r#"{"role":"owner","ids":[1,2]}"#).unwrap()).unwrap(),
        ),
        ..claims()
    };
    list.good("good-all", "every member there is", ring.sign(&all));
    let shared = LinkClaims { gate: None, ..claims() };
    list.good("good-no-gate", "absent where all gates share one memory", ring.sign(&shared));
    let user = LinkClaims { sub: "\u{1F600}".repeat(256), ..claims() };
    list.good("good-user-256", "256 characters, however many bytes", ring.sign(&user));
    let previous = Keyring::new(key(2), None, vec![]);
    list.good("good-previous-key", "a previous key still verifies", previous.sign(&claims()));
    list.good(
        "good-json-spaced",
        "white space inside the JSON is JSON; the bytes signed are the bytes received",
        signed(
            format!(
                "{{ \"kid\": \"{}\",\n\t\"typ\": \"oncegate-link+jwt\", \"alg\": \"EdDSA\" }}",
                key(1).kid()
            )
            .as_bytes(),
            payload().replace(',', " ,\n ").as_bytes(),
        ),
    );
    list.good(
        "good-escapes",
        "an escaped letter is that letter",
        with(r#""sub":"joe""#, r#""su\u0062":"j\u006fe""#),
    );
}

/// The same bytes, spelled with unused bits set.
pub(crate) fn trailing(part: &str) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (rest, last) = part.split_at(part.len() - 1);
    let value = alphabet.iter().position(|byte| *byte == last.as_bytes()[0]).unwrap();
    format!("{rest}{}", char::from(alphabet[value | 1]))
}
