//! Attacks on what is around the claims: size, parts, encoding, header, signature, type.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signature, Verifier as _};
use oncegate::gate::{
    id::TokenId,
    token::{Actor, AssertionClaims, LinkClaims, LoginAssertionClaims},
};
use sha2::{Digest as _, Sha256, Sha512};

use crate::generator::{
    List, NOW, claims, head, head_and, header, key, keyring, payload, secret, signed, signed_text,
    trailing,
};

pub(crate) fn add(list: &mut List) {
    size_and_parts(list);
    encoding(list);
    algorithm(list);
    key_id(list);
    header_members(list);
    signature(list);
    types(list);
}

fn size_and_parts(list: &mut List) {
    let token = keyring().sign(&claims());
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (head, body) = signed.split_once('.').unwrap();
    let long = LinkClaims { dst: Some(format!("/{}", "a".repeat(3_000))), ..claims() };
    let long = keyring().sign(&long);
    assert!(long.len() > 4096);
    list.strict("size", "malformed size", "more than 4,096 bytes, well signed", long);
    list.bad("empty", "malformed parts", "nothing", String::new());
    list.bad("dots", "malformed parts", "three empty parts", "..".to_owned());
    list.bad("part-one", "malformed parts", "no dot", head.to_owned());
    list.bad("part-two", "malformed parts", "no signature at all", signed.to_owned());
    list.bad("part-four", "malformed parts", "a fourth part", format!("{token}.AAAA"));
    list.bad("part-five", "malformed parts", "a JWE has five", format!("{token}.AAAA.AAAA"));
    list.bad("part-empty-header", "malformed parts", "no header", format!(".{body}.{signature}"));
    list.bad("part-empty-claims", "malformed parts", "no claims", format!("{head}..{signature}"));
    list.bad("part-empty-signature", "malformed parts", "stripped", format!("{signed}."));
    list.bad(
        "part-trailing-dot",
        "malformed parts",
        "four parts, the last empty",
        format!("{token}."),
    );
    list.bad(
        "part-leading-dot",
        "malformed parts",
        "four parts, the first empty",
        format!(".{token}"),
    );
}

fn encoding(list: &mut List) {
    let token = keyring().sign(&claims());
    let (text, signature) = token.rsplit_once('.').unwrap();
    for (name, why, changed) in [
        ("space-before", "white space is no part of a token", format!(" {token}")),
        ("space-after", "white space is no part of a token", format!("{token} ")),
        ("newline-after", "white space is no part of a token", format!("{token}\n")),
        ("newline-inside", "a lax decoder skips it", format!("{text}.\n{signature}")),
        ("tab-inside", "a lax decoder skips it", format!("{text}\t.{signature}")),
        ("nul-after", "a C string would end there", format!("{token}\0")),
        ("padding-one", "RFC 7515, 2: no padding", format!("{token}=")),
        ("padding-two", "RFC 7515, 2: no padding", format!("{token}==")),
        ("padding-header", "RFC 7515, 2: no padding", token.replacen('.', "=.", 1)),
        ("percent-encoded", "a dot in another spelling", token.replace('.', "%2E")),
        ("percent-letter", "a letter in another spelling", token.replacen("eyJ", "%65yJ", 1)),
        ("not-ascii", "a dot that looks like one", token.replace('.', "\u{ff0e}")),
    ] {
        list.bad(name, "malformed alphabet", why, changed);
    }
    // With 64 bytes 86 characters stand, and the last has four bits that say nothing.
    let changed = format!("{text}.{}", trailing(signature));
    let why = "the last character's unused bits are set: a second spelling of one signature";
    list.bad("trailing-bits-signature", "malformed signature", why, changed);
    let lax = signature_standard_alphabet();
    let why = "base64's other alphabet: + and / for - and _";
    list.bad("standard-alphabet", "malformed alphabet", why, lax);

    // Under a good signature of exactly these characters; only the key's holder could.
    let why = "unused bits set";
    for (name, expect, at) in [
        ("trailing-bits-header", "malformed header", 0),
        ("trailing-bits-claims", "malformed claims", 1),
    ] {
        let mut parts =
            [header("EdDSA", "oncegate-link+jwt", key(1).kid()), payload()].map(|mut json| {
                while json.len() % 3 != 1 {
                    json.push(' ');
                }
                URL_SAFE_NO_PAD.encode(json)
            });
        parts[at] = trailing(&parts[at]);
        list.bad(name, expect, why, signed_text(&parts.join(".")));
    }
    list.bad(
        "one-character",
        "malformed signature",
        "six bits are no byte",
        format!("{text}.{}", &signature[..85]),
    );
}

fn signature_standard_alphabet() -> String {
    // A claim is varied until the signature has a character in which the alphabets differ.
    (0..1_000)
        .map(|iat| keyring().sign(&LinkClaims { iat: NOW - iat, ..claims() }))
        .find(|token| token.rsplit('.').next().unwrap().contains(['-', '_']))
        .map(|token| token.replace('-', "+").replace('_', "/"))
        .unwrap()
}

fn algorithm(list: &mut List) {
    for (name, alg) in [
        ("alg-none", "none"),
        ("alg-none-upper", "NONE"),
        ("alg-none-mixed", "nOnE"),
        ("alg-lower", "eddsa"),
        ("alg-upper", "EDDSA"),
        ("alg-ed25519", "Ed25519"),
        ("alg-es256", "ES256"),
        ("alg-rs256", "RS256"),
        ("alg-empty", ""),
        ("alg-space", "EdDSA "),
    ] {
        let header = header(alg, "oncegate-link+jwt", key(1).kid());
        let why = "the algorithm is ours to choose; the name is EdDSA, exactly (RFC 8725, 3.1)";
        list.bad(name, "malformed alg", why, signed(header.as_bytes(), payload().as_bytes()));
    }
    let none = header("none", "oncegate-link+jwt", key(1).kid());
    let [none, body] = [none, payload()].map(|part| URL_SAFE_NO_PAD.encode(part));
    let why = "unsigned, with an empty signature (RFC 8725, 2.1)";
    list.bad("alg-none-unsigned", "malformed parts", why, format!("{none}.{body}."));

    let hs256 = header("HS256", "oncegate-link+jwt", key(1).kid());
    let text = [hs256, payload()].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
    let mac = hmac_sha256(key(1).public().as_bytes(), text.as_bytes());
    let why = "HMAC with the public key, which everybody has, as its secret (CVE-2015-9256)";
    let token = format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac));
    list.bad("alg-hs256-public-key", "malformed alg", why, token);
}

/// RFC 2104.
fn hmac_sha256(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let pad = |byte: u8| {
        let mut block = [byte; 64];
        block.iter_mut().zip(key).for_each(|(pad, key)| *pad ^= key);
        block
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().into()
}

fn key_id(list: &mut List) {
    let kid = key(1).kid().to_owned();
    for (name, changed) in [
        ("kid-path", "../../../../dev/null".to_owned()),
        ("kid-file", "file:///dev/zero".to_owned()),
        ("kid-sql", "' UNION SELECT 'AAAA' -- ".to_owned()),
        ("kid-command", "|/usr/bin/id".to_owned()),
        ("kid-empty", String::new()),
        ("kid-prefix", kid[..16].to_owned()),
        ("kid-space", format!("{kid} ")),
        ("kid-nul", format!("{kid}\\u0000")),
        ("kid-padded", format!("{kid}=")),
        ("kid-case", kid.to_ascii_lowercase()),
        ("kid-unknown", key(9).kid().to_owned()),
    ] {
        let why = "the kid is looked up as it is, and means nothing else";
        let header = header("EdDSA", "oncegate-link+jwt", &changed);
        list.bad(name, "unknown_key", why, signed(header.as_bytes(), payload().as_bytes()));
    }
    let header = header("EdDSA", "oncegate-link+jwt", key(2).kid());
    list.bad(
        "kid-of-another-key",
        "bad_signature",
        "a known key, but not the one that signed",
        signed(header.as_bytes(), payload().as_bytes()),
    );
    let kid = format!(r#""{kid}""#);
    let why = "kid must be a text";
    list.bad("kid-number", "malformed header", why, head(&kid, "1"));
    list.bad("kid-null", "malformed header", why, head(&kid, "null"));
    list.bad("kid-array", "malformed header", why, head(&kid, &format!("[{kid}]")));
    list.bad("kid-missing", "malformed header", why, head(&format!(r#","kid":{kid}"#), ""));
}

fn header_members(list: &mut List) {
    let x = URL_SAFE_NO_PAD.encode(key(9).public().as_bytes());
    let jwk = format!(r#""jwk":{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#);
    for (name, member) in [
        ("header-jwk", jwk.as_str()),
        ("header-jku", r#""jku":"https://evil.example/jwks.json""#),
        ("header-x5u", r#""x5u":"https://evil.example/cert.pem""#),
        ("header-x5c", r#""x5c":["MIIB"]"#),
        ("header-x5t", r#""x5t":"AAAA""#),
        ("header-cty", r#""cty":"JWT""#),
        ("header-unknown", r#""admin":"true""#),
    ] {
        let why = "a header has alg, typ, kid and nothing else: a token brings no key of its own";
        list.strict(name, "malformed header", why, head_and(member));
    }
    for (name, member, lax) in [
        ("header-crit", r#""crit":["exp"]"#, true),
        ("header-crit-unknown", r#""crit":["oncegate"],"oncegate":"1""#, true),
        ("header-b64", r#""b64":false,"crit":["b64"]"#, true),
        ("header-zip", r#""zip":"DEF""#, true),
        ("header-duplicate-alg", r#""alg":"none""#, false),
        ("header-duplicate-escaped", r#""al\u0067":"none""#, false),
        ("header-duplicate-kid", r#""kid":"x""#, false),
        ("header-duplicate-typ", r#""typ":"oncegate-link+jwt""#, false),
    ] {
        let why = "alg, typ, kid, each once, and nothing else";
        list.add(name, "malformed header", why, lax, head_and(member));
    }
    let kid = key(1).kid().to_owned();
    let array = format!(r#"["EdDSA","oncegate-link+jwt","{kid}"]"#);
    let spoilt = header("EdDSA", "oncegate-link+jwt", &kid) + "{}";
    for (name, why, header) in [
        ("header-array", "an object is expected", array),
        ("header-trailing", "more than one JSON text", spoilt),
        ("header-text", "an object is expected", "\"EdDSA\"".to_owned()),
        ("header-not-json", "an object is expected", "EdDSA".to_owned()),
    ] {
        let token = signed(header.as_bytes(), payload().as_bytes());
        list.bad(name, "malformed header", why, token);
    }
    let why = "alg must be there, a text";
    list.bad("alg-missing", "malformed header", why, head(r#""alg":"EdDSA","#, ""));
    list.bad("alg-null", "malformed header", why, head(r#""EdDSA""#, "null"));
    list.bad("alg-array", "malformed header", why, head(r#""EdDSA""#, r#"["EdDSA"]"#));
    let why = "RFC 8725, 3.11: an explicit type";
    let missing = head(r#""typ":"oncegate-link+jwt","#, "");
    list.strict("typ-missing", "malformed header", why, missing);
    let null = head(r#""oncegate-link+jwt""#, "null");
    list.strict("typ-null", "malformed header", why, null);
    let bytes = [header("EdDSA", "oncegate-link+jwt", &kid).as_bytes(), b"\xff"].concat();
    let token = signed(&bytes, payload().as_bytes());
    list.bad("header-not-utf8", "malformed header", "JSON is UTF-8", token);
}

fn signature(list: &mut List) {
    let token = keyring().sign(&claims());
    let (text, signature) = token.rsplit_once('.').unwrap();
    let signature: [u8; 64] = URL_SAFE_NO_PAD.decode(signature).unwrap().try_into().unwrap();
    let with = |bytes: &[u8]| format!("{text}.{}", URL_SAFE_NO_PAD.encode(bytes));

    let mut larger = signature;
    let s = sum_of(&signature[32..].try_into().unwrap(), &ORDER);
    larger[32..].copy_from_slice(&s);
    let why = "S + L passes a lax verifier (RFC 8032, 5.1.7)";
    list.bad("signature-s-plus-l", "bad_signature", why, with(&larger));

    // R is the neutral point and S = k·a: the equation holds, whoever checks no orders.
    let mut small = [0; 64];
    small[0] = 1;
    let k = Sha512::new()
        .chain_update(&small[..32])
        .chain_update(key(1).public().as_bytes())
        .chain_update(text)
        .finalize();
    let mut a: [u8; 32] = Sha512::digest(secret(1))[..32].try_into().unwrap();
    a[0] &= 0xf8;
    a[31] = (a[31] & 0x7f) | 0x40;
    let (k, a) = (times_mod_order(&k, &ONE), times_mod_order(&a, &ONE));
    small[32..].copy_from_slice(&times_mod_order(&k, &a));
    {
        let key = ed25519_dalek::SigningKey::from_bytes(&secret(1)).verifying_key();
        let signature = Signature::from_bytes(&small);
        key.verify(text.as_bytes(), &signature).expect("a lax verifier is content");
    }
    let why = "R of small order passes a lax verifier";
    list.bad("signature-small-order-r", "bad_signature", why, with(&small));

    list.bad("signature-zero", "bad_signature", "R = S = 0", with(&[0; 64]));
    let mut first = signature;
    first[0] ^= 1;
    list.bad("signature-flipped-first", "bad_signature", "one bit of R", with(&first));
    let mut flipped = signature;
    flipped[63] ^= 1;
    list.bad("signature-flipped-last", "bad_signature", "one bit of S", with(&flipped));
    let mut high = signature;
    high[63] |= 0x80;
    let why = "S with its highest bit set";
    list.bad("signature-high-bit", "bad_signature", why, with(&high));
    let why = "64 bytes are expected";
    list.bad("signature-short", "malformed signature", why, with(&signature[..63]));
    list.bad("signature-long", "malformed signature", why, with(&[&signature[..], &[0]].concat()));
    list.bad("signature-r-alone", "malformed signature", why, with(&signature[..32]));

    let other = LinkClaims { sub: "admin".into(), ..claims() };
    let other = keyring().sign(&other);
    let mixed = format!("{}.{}", other.rsplit_once('.').unwrap().0, &token[text.len() + 1..]);
    list.bad(
        "signature-of-another",
        "bad_signature",
        "the claims of one, signed as another",
        mixed,
    );
    let swapped = head_swapped(text, &token[text.len() + 1..]);
    let why = "the header respelled, its meaning the same: the bytes received are what is signed";
    list.bad("signature-respelled-header", "bad_signature", why, swapped);
}

fn head_swapped(text: &str, signature: &str) -> String {
    let body = text.split_once('.').unwrap().1;
    let header = header("EdDSA", "oncegate-link+jwt", key(1).kid()).replace(',', ", ");
    format!("{}.{body}.{signature}", URL_SAFE_NO_PAD.encode(header))
}

const ONE: [u8; 32] = {
    let mut one = [0; 32];
    one[0] = 1;
    one
};
/// L = 2²⁵² + 27742317777372353535851937790883648493, little-endian (RFC 8032, 5.1).
const ORDER: [u8; 32] = *b"\xed\xd3\xf5\x5c\x1a\x63\x12\x58\xd6\x9c\xf7\xa2\xde\xf9\xde\x14\
    \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x10";

fn sum_of(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let (mut sum, mut carry) = ([0; 32], 0);
    for at in 0..32 {
        let digit = u16::from(left[at]) + u16::from(right[at]) + carry;
        (sum[at], carry) = ((digit & 0xff) as u8, digit >> 8);
    }
    sum
}

/// `number` (little-endian, any length) times `factor`, modulo L, bit by bit.
fn times_mod_order(number: &[u8], factor: &[u8; 32]) -> [u8; 32] {
    let less = |left: &[u8; 32], right: &[u8; 32]| left.iter().rev().lt(right.iter().rev());
    let negative = {
        // 2²⁵⁶ − L: adding it subtracts L.
        let inverted = ORDER.map(|byte| !byte);
        sum_of(&inverted, &ONE)
    };
    let reduce = |sum: [u8; 32]| if less(&sum, &ORDER) { sum } else { sum_of(&sum, &negative) };
    let mut product = [0; 32];
    for bit in (0..number.len() * 8).rev() {
        product = reduce(sum_of(&product, &product));
        if number[bit / 8] >> (bit % 8) & 1 == 1 {
            product = reduce(sum_of(&product, factor));
        }
    }
    product
}

fn types(list: &mut List) {
    let assertion = AssertionClaims {
        iss: "https://login.example.com".into(),
        aud: "https://panel.example.com".into(),
        sub: "joe".into(),
        act: Actor { sub: "billing".into() },
        ctx: None,
        iat: NOW,
        exp: NOW + 60,
    };
    let why = "an assertion sent as a link";
    list.strict("type-assertion", "wrong_type", why, keyring().sign_assertion(&assertion));
    let login = LoginAssertionClaims {
        assertion,
        jti: TokenId::from_bytes([0x11; 16]),
        dst: "/".to_owned(),
    };
    let why = "a login assertion sent as a link";
    list.strict("type-login", "wrong_type", why, keyring().sign_login_assertion(&login));
    for (name, typ) in [
        ("type-jwt", "JWT"),
        ("type-empty", ""),
        ("type-media-type", "application/oncegate-link+jwt"),
        ("type-upper", "ONCEGATE-LINK+JWT"),
        ("type-later", "oncegate-link2+jwt"),
        ("type-link-as-assertion", "oncegate-assertion+jwt"),
    ] {
        let why = "exactly oncegate-link+jwt; a later format gets another name";
        let header = header("EdDSA", typ, key(1).kid());
        list.strict(name, "wrong_type", why, signed(header.as_bytes(), payload().as_bytes()));
    }
    let header = header("EdDSA", "oncegate-assertion+jwt", key(2).kid());
    let forged = signed(header.as_bytes(), payload().as_bytes());
    let why = "the signature is judged before the type";
    list.bad("type-assertion-forged", "bad_signature", why, forged);
}
