//! Where a link may lead: nothing hostile, however spelled; everything good, byte for byte.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a broken vector is to fail the test")]

use oncegate::gate::{
    denial::Denial,
    destination::{AllowedUrl, Template},
    glob::Globs,
    origin::Origin,
    path,
    site::{Anonymous, Handoff, Site},
    token,
};
use proptest::prelude::*;
use url::Url;

const ALLOWED: [&str; 2] = ["https://docs.example.com/manual", "https://shop.example.net"];

fn site() -> Site {
    let template = |(name, text): (&str, &str)| (name.to_owned(), Template::parse(text).unwrap());
    Site {
        name: "panel".to_owned(),
        hosts: Vec::new(),
        origin: Origin::parse("https://panel.example.com").unwrap(),
        upstream: None,
        home: "/".to_owned(),
        anonymous: Anonymous::Refuse,
        public: Globs::paths::<&str>(&[]).unwrap(),
        handoff: Handoff::Session,
        allow_urls: ALLOWED.iter().map(|text| AllowedUrl::parse(text).unwrap()).collect(),
        headers: Vec::new(),
        forms: Vec::new(),
        destinations: [
            ("home", "/"),
            ("ac-ps-products", "/clientarea/services"),
            ("invoice", "/clientarea/invoices/{0}"),
            ("pair", "/a/{1}/b/{0}/c?x={0}#{1}"),
            ("search", "/search?q={0}&next={1}"),
        ]
        .into_iter()
        .map(template)
        .collect(),
    }
}

/// The lines of a vector file that are no comments.
fn lines(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with("# ")).collect()
}

/// Resolves `\\ \t \n \r \xNN \u{N}`.
fn unescaped(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('\\') {
        text.push_str(before);
        let code = |digits: &str| char::from_u32(u32::from_str_radix(digits, 16).unwrap()).unwrap();
        let (character, length) = match after.chars().next().unwrap() {
            '\\' => ('\\', 1),
            't' => ('\t', 1),
            'n' => ('\n', 1),
            'r' => ('\r', 1),
            'x' => (code(&after[1..3]), 3),
            'u' => {
                let end = after.find('}').unwrap();
                (code(&after[2..end]), end + 1)
            }
            other => panic!("{line:?}: \\{other} is no escape"),
        };
        text.push(character);
        rest = &after[length..];
    }
    text + rest
}

/// Whether an absolute URL is one of the site's or of what it allows, by the browsers' rules.
fn leads_home(url: &Url) -> bool {
    match url.origin().ascii_serialization().as_str() {
        "https://panel.example.com" | "https://shop.example.net" => true,
        "https://docs.example.com" => url.path() == "/manual" || url.path().starts_with("/manual/"),
        _ => false,
    }
}

fn base() -> Url {
    Url::parse("https://panel.example.com/some/page?x=1").unwrap()
}

#[test]
fn every_hostile_redirect_is_refused() {
    let site = site();
    let hostile: Vec<String> =
        lines(include_str!("vectors/redirects/hostile.txt")).into_iter().map(unescaped).collect();
    assert!(hostile.len() >= 300, "{}", hostile.len());
    let distinct: std::collections::BTreeSet<_> = hostile.iter().collect();
    assert_eq!(distinct.len(), hostile.len());
    let mut let_in = Vec::new();
    for line in &hostile {
        let judged = site.judge_destination(line).map_err(|denial| denial.public().code);
        let asked = site.destination(line, &[], None).map_err(|denial| denial.public().code);
        if judged != Err("destination_not_allowed")
            || !matches!(
                asked,
                Err("destination_not_allowed" | "unknown_destination" | "invalid_request")
            )
        {
            let_in.push((line, judged, asked));
        }
    }
    assert!(let_in.is_empty(), "{let_in:#?}");
}

#[test]
fn every_good_destination_is_kept_byte_for_byte() {
    let site = site();
    let good = lines(include_str!("vectors/redirects/good.txt"));
    assert!(good.len() >= 60, "{}", good.len());
    for line in good {
        let asked =
            site.destination(line, &[], None).unwrap_or_else(|denial| panic!("{line}: {denial}"));
        assert_eq!(site.judge_destination(line).as_ref(), Ok(&asked), "{line}");
        assert_eq!(asked.as_str(), line);
        let location = asked.url(&site.origin);
        assert!(location.ends_with(line), "{location}");
        let url = Url::parse(&location).unwrap();
        assert!(leads_home(&url), "{location}");
        assert!(leads_home(&base().join(line).unwrap()), "{line}");
        let own = url.host_str() == Some("panel.example.com");
        let path = asked.path_within(&site);
        assert_eq!(path.is_some(), own, "{line}");
        if let Some(path) = path {
            assert_eq!(base().join(path).unwrap(), url, "{line}");
        }
    }
}

#[test]
fn a_destination_too_long_for_any_link_is_refused() {
    let path = format!("/{}", "x".repeat(8191));
    assert!(site().judge_destination(&path).is_ok());
    assert!(site().judge_destination(&(path + "x")).is_err());
}

#[test]
fn a_name_is_filled_with_its_values_in_order() {
    let site = site();
    for (name, values, expected) in [
        ("home", &[][..], "/"),
        ("ac-ps-products", &[], "/clientarea/services"),
        ("invoice", &["17"], "/clientarea/invoices/17"),
        ("pair", &["1", "2"], "/a/2/b/1/c?x=1#2"),
        ("invoice", &["a b&c=d?e#f+g"], "/clientarea/invoices/a%20b%26c%3Dd%3Fe%23f%2Bg"),
        ("invoice", &["2025/17"], "/clientarea/invoices/2025%2F17"),
        ("invoice", &["DOMAIN\\joe"], "/clientarea/invoices/DOMAIN%5Cjoe"),
        ("invoice", &["100%"], "/clientarea/invoices/100%25"),
        ("invoice", &["%41"], "/clientarea/invoices/%2541"),
        ("invoice", &["Müller"], "/clientarea/invoices/M%C3%BCller"),
        ("invoice", &["{0}"], "/clientarea/invoices/%7B0%7D"),
        ("invoice", &["-._~"], "/clientarea/invoices/-._~"),
        ("invoice", &["..."], "/clientarea/invoices/..."),
        (
            "search",
            &["../x", "https://evil.example/"],
            "/search?q=..%2Fx&next=https%3A%2F%2Fevil.example%2F",
        ),
    ] {
        let values: Vec<String> = values.iter().map(ToString::to_string).collect();
        let destination = site.destination(name, &values, None).unwrap();
        assert_eq!(destination.as_str(), expected);
        // What was issued is still good at redemption.
        assert_eq!(site.judge_destination(expected), Ok(destination));
    }
}

#[test]
fn values_that_would_leave_their_place_are_refused() {
    let long = "x".repeat(257);
    for value in [
        "",
        ".",
        "..",
        "../x",
        "..\\x",
        "x/../../y",
        "/etc/passwd",
        "//evil.example",
        "\\x",
        "x//y",
        "a\nb",
        "a\r\nb",
        "a\0b",
        "a\u{7f}",
        "a\u{85}b",
        "%2e%2e",
        "%2e",
        "%2f..",
        "..;x",
        ".;",
        ";",
        "%252e%252e",
        ".. ",
        " ",
        "\u{ff0e}\u{ff0e}",
        &long,
    ] {
        let denial = site().destination("invoice", &[value.to_owned()], None).unwrap_err();
        assert!(
            matches!(&denial, Denial::Invalid { field, .. } if field == "destination_values"),
            "{value:?}: {denial:?}"
        );
    }
}

#[test]
fn what_no_value_may_be_is_refused_in_a_query_too() {
    for value in ["", ".", "..", "a\nb", "a\0b"] {
        let values = [value.to_owned(), "x".to_owned()];
        assert!(site().destination("search", &values, None).is_err(), "{value:?}");
    }
}

#[test]
fn a_wrong_number_of_values_is_refused() {
    for (asked, values) in [
        ("invoice", &[][..]),
        ("invoice", &["1", "2"]),
        ("home", &["1"]),
        ("/home", &["1"]),
        ("https://panel.example.com/", &["1"]),
    ] {
        let values: Vec<String> = values.iter().map(ToString::to_string).collect();
        let denial = site().destination(asked, &values, None).unwrap_err();
        assert_eq!(denial.public().code, "invalid_request", "{asked}");
    }
}

#[test]
fn an_unknown_name_is_named_in_the_refusal() {
    let denial = site().destination("invoces", &["1".to_owned()], None).unwrap_err();
    assert_eq!(denial, Denial::UnknownDestination("\"invoces\"".to_owned()));
    assert!(site().judge_destination("invoice").is_err());
}

#[test]
fn a_template_says_what_is_wrong_with_it() {
    for (text, why) in [
        ("/x/{1}", "{1} is used but {0} is not"),
        ("/x/{0}/{2}", "{2} is used but {1} is not"),
        ("/x/{", "not closed"),
        ("/x/{0", "not closed"),
        ("/x/0}", "closes nothing"),
        ("/x/{}", "not a place"),
        ("/x/{00}", "not a place"),
        ("/x/{-1}", "not a place"),
        ("/x/{16}", "not a place"),
        ("/x/{id}", "not a place"),
        ("x", "begin with /"),
        ("", "begin with /"),
        ("{0}", "begin with /"),
        ("https://panel.example.com/", "begin with /"),
        ("//evil.example/{0}", "empty segment"),
        ("/x//{0}", "empty segment"),
        ("/x/../{0}", "dot segment"),
        ("/x/%zz", "hexadecimal"),
        ("/x\\{0}", "backslash"),
        ("/x {0}", "percent-encoded"),
    ] {
        let error = Template::parse(text).unwrap_err().to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
    assert_eq!(Template::parse("/x/{0}/{1}/{0}").unwrap().places(), 2);
}

#[test]
fn what_may_be_allowed_is_an_origin_or_a_plain_prefix() {
    for good in [
        "https://docs.example.com",
        "https://docs.example.com/",
        "https://docs.example.com/manual",
        "https://docs.example.com:8443/manual/",
        "http://localhost:3000",
        "http://127.0.0.1:3000/x",
    ] {
        assert!(AllowedUrl::parse(good).is_ok(), "{good}");
    }
    for bad in [
        "",
        "docs.example.com",
        "/manual",
        "//docs.example.com",
        "http://docs.example.com",
        "https://",
        "https:///x",
        "https://docs.example.com?x",
        "https://docs.example.com/#x",
        "https://docs.example.com/x?y",
        "https://u@docs.example.com/",
        "https://docs.example.com./",
        "https://docs.example.com//",
        "https://docs.example.com/x/../y",
        "https://docs.example.com/%2e%2e/",
        "https://docs.example.com/x%2fy",
        "https://docs.example.com\\x",
        "https://docs.example.com/x y",
        "javascript:alert(1)",
        "ftp://docs.example.com/",
        "https://*.example.com/*?",
    ] {
        assert!(AllowedUrl::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_prefix_with_a_slash_covers_what_lies_below_it() {
    let mut site = site();
    site.allow_urls = vec![AllowedUrl::parse("https://docs.example.com/manual/").unwrap()];
    assert!(site.judge_destination("https://docs.example.com/manual/x").is_ok());
    assert!(site.judge_destination("https://docs.example.com/manual/").is_ok());
    assert!(site.judge_destination("https://docs.example.com/manual").is_err());
    assert!(site.judge_destination("https://docs.example.com/manuals").is_err());
}

#[test]
fn an_address_as_origin_is_matched_in_its_one_spelling() {
    let mut site = site();
    site.origin = Origin::parse("http://127.0.0.1:8080").unwrap();
    assert!(site.judge_destination("http://127.0.0.1:8080/x").is_ok());
    for other in ["2130706433", "0x7f.1", "127.1", "0177.0.0.1", "127.0.0.1.", "[::ffff:127.0.0.1]"]
    {
        assert!(site.judge_destination(&format!("http://{other}:8080/x")).is_err(), "{other}");
    }
    // As long as the one spelling, and the same address: 8 in octal.
    site.origin = Origin::parse("http://127.0.0.8").unwrap();
    assert!(site.judge_destination("http://127.0.0.8/x").is_ok());
    assert!(site.judge_destination("http://127.0.010/x").is_err());
    site.origin = Origin::parse("http://[::1]:8080").unwrap();
    assert!(site.judge_destination("http://[::1]:8080/x").is_ok());
    for other in ["[0::1]", "[::0001]", "[0:0:0:0:0:0:0:1]", "[::0.0.0.1]"] {
        assert!(site.judge_destination(&format!("http://{other}:8080/x")).is_err(), "{other}");
    }
}

#[test]
fn a_canonical_path_has_one_reading() {
    for good in [
        "/",
        "/a",
        "/a/",
        "/a/b.c",
        "/%41",
        "/caf%C3%A9",
        "/a%20b",
        "/100%25",
        "/a|b",
        "/.well-known/x",
        "/...",
        "/_once/auth/nginx",
    ] {
        assert!(path::canonical_path(good), "{good}");
    }
    for other in [
        "",
        "*",
        "a",
        "http://h/",
        "//",
        "//a",
        "/a//b",
        "/./a",
        "/a/..",
        "/a/%2e%2e/b",
        "/a/..;x/b",
        "/a;v=1",
        "/a%3bv",
        "/a%3fv",
        "/a%23v",
        "/a%2fb",
        "/a%2Fb",
        "/a%5cb",
        "/a\\b",
        "/a%00",
        "/a%0d",
        "/a%252fb",
        "/a%255cb",
        "/%c0%ae",
        "/a/%252e%252e/b",
        "/%zz",
        "/%",
        "/a b",
        "/\u{e9}",
        "/;/a",
        "/a/;x",
        "/a%ef%bc%8fb",
        "/a\tb",
    ] {
        assert!(!path::canonical_path(other), "{other}");
    }
}

#[test]
fn a_path_in_any_spelling_is_recognised() {
    let target = "/sso/open";
    for path in [
        "/sso/open",
        "/sso/open/",
        "//sso/open",
        "/sso//open",
        "/./sso/open",
        "/x/../sso/open",
        "/%73so/open",
        "/sso%2fopen",
        "/sso%2Fopen",
        "/sso\\open",
        "/sso%5copen",
        "/%2573so/open",
        "/sso;x=y/open",
        "/sso/open;jsessionid=1",
        "/x/%2e%2e/sso/open",
        "/x/..;/sso/open",
        "/SSO/Open",
        "/sso/o%70en",
        "/a%252fb/../sso/open",
        "/a%2fb/../sso/open",
        "/sso%c0%afopen",
        "sso/open",
        "/sso/open%20",
        "/sso/./open/.",
        "/sso/open/x/..",
        "/sso%ef%bc%8fopen",
    ] {
        assert!(path::may_reach(path, target), "{path}");
    }
    for path in
        ["/", "/sso", "/open", "/sso/opening", "/x/sso/open", "/sso/open/x", "/sso/%2e%2e/x"]
    {
        assert!(!path::may_reach(path, target), "{path}");
    }
    assert_eq!(path::decoded_path("/a/../%2fb%5c.//c;x/%2541"), "/b/c/A");
    assert_eq!(path::decoded_path("/../.."), "/");
}

#[test]
fn no_destination_holds_a_links_token() {
    let begins = token::LINK_BEGINS;
    for destination in [
        format!("/page?x={begins}abc.def.ghi"),
        format!("/{begins}abc"),
        format!("/page#{}", begins.replace("eyJ", "%65yJ")),
        format!("https://docs.example.com/manual/{begins}abc"),
    ] {
        let denial = site().destination(&destination, &[], None).unwrap_err();
        assert_eq!(denial.public().code, "destination_not_allowed", "{destination}");
    }
    assert!(site().destination("/page?x=eyJhbGciOiJFZERTQSJ9", &[], None).is_ok());
}

/// What open redirects are built of, and what good destinations are built of.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/",
        "/",
        "/",
        "//",
        "\\",
        "%2f",
        "%5c",
        "%252f",
        "%09",
        "%00",
        "%0a",
        "\t",
        "\n",
        " ",
        ".",
        "..",
        "%2e",
        ";",
        "?",
        "#",
        "@",
        ":",
        "&",
        "=",
        "x",
        "home",
        "https:",
        "http:",
        "https://",
        "panel.example.com",
        "docs.example.com",
        "shop.example.net",
        "evil.example",
        ":443",
        "/manual",
        "_once",
        "[",
        "]",
        "{",
        "|",
        "%41",
        "%c3%a9",
        "%c0%af",
        "\u{e9}",
        "\u{ff0f}",
        "javascript:",
        "localhost",
        "127.0.0.1",
    ]);
    prop::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
}

fn stays_home(text: &str) {
    let site = site();
    if let Ok(destination) = site.judge_destination(text) {
        assert_eq!(destination.as_str(), text);
        assert!(leads_home(&Url::parse(&destination.url(&site.origin)).unwrap()), "{text:?}");
        let joined = base().join(text).unwrap();
        assert!(leads_home(&joined), "{text:?}");
        assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text:?}");
        // Whoever decodes the path once more, and again, still stays there.
        let mut path = text.split(['?', '#']).next().unwrap().to_owned();
        for _ in 0..4 {
            path = percent_encoding::percent_decode_str(&path).decode_utf8().unwrap().into_owned();
            assert!(leads_home(&base().join(&path).unwrap()), "{text:?} as {path:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_let_in_resolves_to_the_site_or_what_it_allows(
        text in prop_oneof![pieces(), ".*", "/[!-~]{0,12}", "https?://[!-~]{0,24}",
            "https://(panel\\.example\\.com|shop\\.example\\.net)[!-~]{0,8}", "/[a-z%2efc./;]{0,12}"],
    ) {
        stays_home(&text);
    }

    #[test]
    fn no_value_leaves_its_place(first in prop_oneof![pieces(), ".*"], second in prop_oneof![pieces(), ".*"]) {
        let site = site();
        if let Ok(destination) = site.destination("invoice", std::slice::from_ref(&first), None) {
            let rest = destination.as_str().strip_prefix("/clientarea/invoices/").unwrap();
            prop_assert!(!rest.contains(['/', '?', '#', '\\', '&', '=']));
            let url = Url::parse(&destination.url(&site.origin)).unwrap();
            prop_assert!(url.path().starts_with("/clientarea/invoices/"));
            prop_assert!(path::decoded_path(url.path()).starts_with("/clientarea/invoices/"));
            prop_assert_eq!(site.judge_destination(destination.as_str()), Ok(destination));
        }
        let values = [first, second];
        if let Ok(destination) = site.destination("search", &values, None) {
            let url = Url::parse(&destination.url(&site.origin)).unwrap();
            let pairs: Vec<String> = url.query_pairs().map(|(_, value)| value.into_owned()).collect();
            prop_assert_eq!(pairs, values);
            prop_assert_eq!(url.path(), "/search");
            prop_assert_eq!(url.fragment(), None);
        }
    }

    #[test]
    fn a_canonical_path_is_its_own_only_reading(path in prop_oneof![pieces(), "/[a-z%2efc./;]{0,12}", "/[!-~]{0,12}"]) {
        if path::canonical_path(&path) {
            let once = percent_encoding::percent_decode_str(&path).decode_utf8().unwrap();
            let segments = |text: &str| text.split('/').filter(|segment| !segment.is_empty()).count();
            prop_assert_eq!(segments(&once), segments(&path));
            prop_assert_eq!(segments(&path::decoded_path(&path)), segments(&path));
        }
    }
}

#[test]
fn a_path_that_holds_the_callbacks_name_within_a_word_is_another() {
    for other in ["/lessons/a;v=1", "/lessons/a%3fb", "/lessons/a%2fb", "/lessons/a"] {
        assert!(!path::may_reach(other, "/sso"), "{other}");
    }
    for same in ["/a%2fsso", "/sso;v=1", "/x;/sso", "/sso%3fa"] {
        assert!(path::may_reach(same, "/sso"), "{same}");
    }
}
