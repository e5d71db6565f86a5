//! Attacks on the claims, each under a good signature: whoever holds the key, or a later bug of
//! the issuer, gets no further than this.

use oncegate::gate::token::LinkClaims;

use crate::generator::{List, NOW, and, claims, keyring, link_of, payload, trailing, with};

pub(crate) fn add(list: &mut List) {
    json(list);
    times(list);
    members(list);
    extra_claims(list);
}

fn json(list: &mut List) {
    let usual = payload();
    let shown = format!("{usual} {{}}");
    for (name, why, json) in [
        ("json-trailing", "more than one JSON text", shown.as_str()),
        ("json-comma", "a comma too many", &usual.replace("}}", "},}")),
        ("json-comment", "JSON has no comments", &usual.replacen('{', "{/* */", 1)),
        ("json-single-quotes", "JSON quotes with double quotes", &usual.replace('"', "'")),
        ("json-nan", "JSON has no NaN", &usual.replace("1764000060", "NaN")),
        ("json-bom", "no byte order mark (RFC 8259, 8.1)", &format!("\u{feff}{usual}")),
        ("json-hex", "JSON has no hexadecimal", &usual.replace("1764000060", "0x69249A3C")),
        ("json-leading-zero", "JSON has none", &usual.replace("1764000060", "01764000060")),
        ("json-surrogate", "half a character", &usual.replace("joe", "\\ud800")),
        ("json-control", "a bare control character", &usual.replace("joe", "j\no")),
        ("json-cut", "the last brace is missing", &usual[..usual.len() - 1]),
        ("json-no-text", "white space alone", " "),
    ] {
        list.bad(name, "malformed claims", why, link_of(json.as_bytes()));
    }
    let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
    list.bad("json-deep", "malformed claims", "1,000 arrays", link_of(deep.as_bytes()));
    let bytes = usual.replace("joe", "j?e").replace('?', "\u{1}");
    let bytes: Vec<u8> = bytes.bytes().map(|byte| if byte == 1 { 0xff } else { byte }).collect();
    list.bad("json-not-utf8", "malformed claims", "JSON is UTF-8", link_of(&bytes));
    let array = r#"["https://login.example.com","panel","joe",1764000000,1764000060]"#;
    let why = "an object is expected";
    list.strict("json-array", "malformed claims", why, link_of(array.as_bytes()));
    for (name, json) in [("json-text", "\"joe\""), ("json-null", "null"), ("json-number", "1")] {
        list.bad(name, "malformed claims", why, link_of(json.as_bytes()));
    }
    for (name, from, to) in [
        ("duplicate-sub", r#""sub":"joe""#, r#""sub":"joe","sub":"admin""#),
        ("duplicate-exp", r#""exp":1764000060"#, r#""exp":1764000060,"exp":1864000060"#),
        ("duplicate-same", r#""aud":"panel""#, r#""aud":"panel","aud":"panel""#),
        ("duplicate-escaped", r#""sub":"joe""#, r#""sub":"joe","su\u0062":"admin""#),
        ("duplicate-in-act", r#"{"sub":"billing"}"#, r#"{"sub":"billing","sub":"root"}"#),
    ] {
        let why = "a member twice: two readers could take different ones";
        // jsonwebtoken notices those of its own claims alone.
        let lax = name == "duplicate-in-act";
        list.add(name, "malformed claims", why, lax, with(from, to));
    }
}

fn times(list: &mut List) {
    for claim in ["iat", "exp"] {
        let usual = if claim == "iat" { NOW } else { NOW + 60 };
        let from = format!(r#""{claim}":{usual}"#);
        for (kind, value) in [
            ("string", format!(r#""{usual}""#)),
            ("float", format!("{usual}.0")),
            ("fraction", format!("{usual}.5")),
            ("exponent", "1764e6".to_owned()),
            ("negative", "-1".to_owned()),
            ("minus-zero", "-0".to_owned()),
            ("null", "null".to_owned()),
            ("true", "true".to_owned()),
            ("array", format!("[{usual}]")),
            ("object", format!("{{\"$numberLong\":\"{usual}\"}}")),
            ("too-large", "18446744073709551616".to_owned()),
        ] {
            let why = "seconds as a whole number; a claim of another type is not a claim left out (CVE-2026-25537)";
            let token = with(&from, &format!(r#""{claim}":{value}"#));
            let lax = claim != "exp" || !matches!(kind, "array" | "object");
            list.add(&format!("{claim}-{kind}"), "malformed claims", why, lax, token);
        }
        let token = with(&format!("{from},"), "");
        list.strict(&format!("{claim}-missing"), "malformed claims", "never left out", token);
    }
    let infinite = with(r#""exp":1764000060"#, r#""exp":1e400"#);
    list.bad("exp-infinite", "malformed claims", "no number at all", infinite);
    for (name, why, exp) in [
        ("exp-equals-iat", "a link of no lifetime", NOW),
        ("exp-before-iat", "over before it began", NOW - 1),
        ("exp-zero", "zero is a time like any other, not \"never\"", 0),
        ("exp-year-10000", "past what RFC 3339 writes", 253_402_300_800),
        ("exp-largest", "past what RFC 3339 writes", u64::MAX),
    ] {
        let token = keyring().sign(&LinkClaims { exp, ..claims() });
        list.strict(name, "malformed exp", why, token);
    }
    for (name, value) in [
        ("nbf", "1764000000"),
        ("nbf-string", r#""1764000000""#),
        ("nbf-float", "1764000000.5"),
        ("nbf-negative", "-1"),
    ] {
        let why = "no claim of a link: iat says from when";
        let token = and(&format!(r#""nbf":{value}"#));
        list.strict(name, "malformed claims", why, token);
    }
}

fn members(list: &mut List) {
    let (jti, mem) = (claims().jti.to_string(), claims().mem.to_string());
    for (name, from, to) in [
        ("aud-array", r#""panel""#, r#"["panel"]"#.to_owned()),
        ("aud-number", r#""panel""#, "1".to_owned()),
        ("iss-null", r#""https://login.example.com""#, "null".to_owned()),
        ("sub-number", r#""joe""#, "18".to_owned()),
        ("sub-null", r#""joe""#, "null".to_owned()),
        ("jti-trailing-bits", jti.as_str(), trailing(&jti)),
        ("jti-padded", &jti, format!("{jti}==")),
        ("jti-short", &jti, jti[..21].to_owned()),
        ("jti-long", &jti, format!("{jti}AA")),
        ("jti-empty", &jti, String::new()),
        ("mem-trailing-bits", &mem, trailing(&mem)),
        ("act-array", r#"{"sub":"billing"}"#, r#"["billing"]"#.to_owned()),
        ("act-text", r#"{"sub":"billing"}"#, r#""billing""#.to_owned()),
        ("act-null", r#"{"sub":"billing"}"#, "null".to_owned()),
        ("act-more", r#"{"sub":"billing"}"#, r#"{"sub":"billing","act":{"sub":"x"}}"#.to_owned()),
        ("gate-null", r#""gate-a""#, "null".to_owned()),
        ("member-case", r#""aud""#, r#""Aud""#.to_owned()),
    ] {
        let why = "exactly these members, of exactly these types";
        list.strict(name, "malformed claims", why, with(from, &to));
    }
    for (name, member) in [
        ("member-unknown", r#""admin":true"#),
        ("member-scope", r#""scope":"all""#),
        ("dst-null", r#""dst":null"#),
        ("dst-number", r#""dst":1"#),
        ("ips-text", r#""ips":"203.0.113.7""#),
        ("ips-null", r#""ips":null"#),
        ("ips-garbage", r#""ips":["everywhere"]"#),
        ("via-null", r#""via":null"#),
        ("page-unknown", r#""page":"never""#),
        ("page-case", r#""page":"None""#),
        ("page-object", r#""page":{"none":null}"#),
        ("page-null", r#""page":null"#),
    ] {
        let why = "exactly these members, of exactly these types";
        list.strict(name, "malformed claims", why, and(member));
    }
    for name in ["iss", "aud", "sub", "jti", "mem", "act"] {
        let mut without: serde_json::Value = serde_json::from_str(&payload()).unwrap();
        without.as_object_mut().unwrap().remove(name).unwrap();
        let token = link_of(without.to_string().as_bytes());
        list.strict(&format!("{name}-missing"), "malformed claims", "never left out", token);
    }
    for (name, sub) in [
        ("sub-empty", String::new()),
        ("sub-257", "x".repeat(257)),
        ("sub-newline", "joe\nX-Admin: 1".to_owned()),
        ("sub-nul", "joe\0".to_owned()),
        ("sub-delete", "joe\u{7f}".to_owned()),
        ("sub-c1", "joe\u{85}".to_owned()),
    ] {
        let token = keyring().sign(&LinkClaims { sub, ..claims() });
        let why = "1 to 256 characters, none a control character";
        list.strict(name, "malformed sub", why, token);
    }
}

fn extra_claims(list: &mut List) {
    let deep = format!(r#""ctx":{{"a":{}1{}}}"#, "[".repeat(40), "]".repeat(40));
    let large = format!(r#""ctx":{{"a":"{}"}}"#, "x".repeat(600));
    for (name, why, member) in [
        ("ctx-duplicate", "a member twice", r#""ctx":{"a":1,"a":2}"#),
        (
            "ctx-duplicate-deep",
            "a member twice, deep inside",
            r#""ctx":{"a":[{"b":{"c":1,"c":1}}]}"#,
        ),
        ("ctx-duplicate-escaped", "a member twice", r#""ctx":{"a":{"b":1,"\u0062":2}}"#),
        ("ctx-array", "an object is expected", r#""ctx":[]"#),
        ("ctx-null", "absent, or an object", r#""ctx":null"#),
        ("ctx-text", "an object is expected", r#""ctx":"{}""#),
        ("ctx-deep", "nested deeper than 32", deep.as_str()),
        ("ctx-large", "more than 512 bytes", large.as_str()),
    ] {
        list.strict(name, "malformed claims", why, and(member));
    }
}
