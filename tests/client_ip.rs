//! The visitor's address is the peer's, or what trusted proxies say; never what a client says.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a broken vector is to fail the test"
)]

use std::net::IpAddr;

use oncegate::gate::client_ip::{ClientIp, ClientIpSource, Networks, resolve};
use proptest::prelude::*;

const TRUSTED_PEER: &str = "10.0.0.1";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn trusted() -> Networks {
    Networks::parse(&["10.0.0.0/8"]).unwrap()
}

/// What a trusted peer's header lines resolve to; none where they are unreadable.
fn resolved(source: ClientIpSource, lines: &[&[u8]]) -> Option<String> {
    resolve(source, ip(TRUSTED_PEER), lines, &trusted()).ok().map(|client| client.to_string())
}

/// Resolves `\\ \t \xNN` to bytes.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let (byte, length) = match after.as_bytes()[0] {
            b'x' => (u8::from_str_radix(&after[1..3], 16).unwrap(), 3),
            b't' => (b'\t', 1),
            b'\\' => (b'\\', 1),
            _ => panic!("{text:?}: no such escape"),
        };
        bytes.push(byte);
        rest = &after[length..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

#[test]
fn every_line_of_the_table_holds() {
    let table = include_str!("vectors/client_ip/table.txt");
    let (mut cases, mut wrong) = (0, Vec::new());
    for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let fields: Vec<&str> = line.split('|').map(|field| field.trim_matches(' ')).collect();
        let [source, peer, trusted, header, expected] = fields[..] else {
            panic!("{line:?} has not five fields");
        };
        let source = match source {
            "peer" => ClientIpSource::Peer,
            "xff" => ClientIpSource::XForwardedFor,
            "fwd" => ClientIpSource::Forwarded,
            _ => panic!("{line:?}"),
        };
        let trusted: Vec<&str> = trusted.split_whitespace().collect();
        let trusted = Networks::parse(&trusted).unwrap();
        let header: Vec<Vec<u8>> = match header {
            "-" => Vec::new(),
            lines => lines.split("++").map(|line| unescaped(line.trim_matches(' '))).collect(),
        };
        let header: Vec<&[u8]> = header.iter().map(Vec::as_slice).collect();
        let seen = resolve(source, ip(peer), &header, &trusted)
            .map_or_else(|_| "unreadable".to_owned(), |client| client.to_string());
        if seen != expected {
            wrong.push(format!("{line}: {seen}"));
        }
        cases += 1;
    }
    assert!(cases > 100, "{cases}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_other_header_is_ever_asked_for() {
    assert_eq!(ClientIpSource::Peer.header(), None);
    assert_eq!(ClientIpSource::XForwardedFor.header(), Some("x-forwarded-for"));
    assert_eq!(ClientIpSource::Forwarded.header(), Some("forwarded"));
}

#[test]
fn a_long_list_is_refused_only_where_the_walk_reaches_its_end() {
    let list = |trusted_entries: usize| {
        let mut entries = vec!["203.0.113.7"];
        entries.extend(std::iter::repeat_n("10.0.0.2", trusted_entries));
        entries.join(",")
    };
    let seen = |text: &str| resolved(ClientIpSource::XForwardedFor, &[text.as_bytes()]);
    assert_eq!(seen(&list(63)).as_deref(), Some("203.0.113.7"));
    assert_eq!(seen(&list(64)), None);
    let long_left = format!("{},203.0.113.7", "198.51.100.1,".repeat(500).trim_end_matches(','));
    assert_eq!(seen(&long_left).as_deref(), Some("203.0.113.7"));
}

#[test]
fn a_header_past_8_kib_is_refused() {
    let line = format!("{}203.0.113.7", " ".repeat(8 * 1024 - 11));
    let source = ClientIpSource::XForwardedFor;
    assert_eq!(resolved(source, &[line.as_bytes()]).as_deref(), Some("203.0.113.7"));
    assert_eq!(resolved(source, &[b" ", line.as_bytes()]), None);
    // From a peer that is not trusted nothing of it is read.
    let peer = ip("203.0.113.9");
    let lines = [line.as_bytes(), line.as_bytes()];
    assert_eq!(resolve(source, peer, &lines, &trusted()), Ok(ClientIp::new(peer)));
}

#[test]
fn an_address_alone_is_read_strictly() {
    for (text, expected) in [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:DB8::7", "2001:db8::7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::ffff:cb00:7107", "203.0.113.7"),
    ] {
        assert_eq!(text.parse::<ClientIp>().unwrap().to_string(), expected);
    }
    for text in [
        "",
        " 203.0.113.7",
        "203.0.113.7 ",
        "203.0.113.7:80",
        "[2001:db8::7]",
        "fe80::1%eth0",
        "203.0.113.7/32",
        "203.0.113.07",
        "3405803783",
        "localhost",
        "unknown",
        "203.0.113.7\n",
    ] {
        assert!(text.parse::<ClientIp>().is_err(), "{text:?}");
    }
}

#[test]
fn a_link_bound_to_a_network_is_good_for_its_addresses_alone() {
    let bound = Networks::bind(&["203.0.113.7", "2001:db8:1:2::7"], 32, 64).unwrap();
    for (address, within) in [
        ("203.0.113.7", true),
        ("::ffff:203.0.113.7", true),
        ("203.0.113.8", false),
        ("2001:db8:1:2:ffff::1", true),
        ("2001:db8:1:3::7", false),
        ("::203.0.113.7", false),
        ("64:ff9b::203.0.113.7", false),
    ] {
        assert_eq!(bound.contains(ClientIp::new(ip(address))), within, "{address}");
    }
}

/// What a client sends for its proxy to add to: without what would end the header line.
fn forged() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "for=",
        "\"",
        "\\",
        ",",
        ";",
        "=",
        " ",
        "\t",
        "198.51.100.1",
        "10.0.0.2",
        "[2001:db8::1]",
        "unknown",
        "_x",
        ":80",
        "by=",
        "x",
        "[",
        "]",
        "::1",
        "\u{e9}",
    ]);
    prop_oneof![
        prop::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..40),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_client_sends_the_proxys_word_or_a_refusal_comes_out(
        forged in forged(),
        address in prop_oneof![
            any::<u32>().prop_map(|bits| IpAddr::from(bits.to_be_bytes())),
            any::<u128>().prop_map(|bits| IpAddr::from(bits.to_be_bytes())),
        ],
        same_line in any::<bool>(),
        behind_another in any::<bool>(),
    ) {
        let client = ClientIp::new(address);
        prop_assume!(!trusted().contains(client));
        let node = if client.addr().is_ipv6() { format!("\"[{client}]\"") } else { client.to_string() };
        for (source, mut appended) in [
            (ClientIpSource::XForwardedFor, client.to_string()),
            (ClientIpSource::Forwarded, format!("for={node};by=\"[::1]:80\";proto=https")),
        ] {
            if behind_another {
                appended += if source == ClientIpSource::Forwarded { ", for=10.0.0.2" } else { ", 10.0.0.2" };
            }
            let joined = [forged.as_slice(), b", ", appended.as_bytes()].concat();
            let separate = [forged.as_slice(), appended.as_bytes()];
            let lines: &[&[u8]] = if same_line { &[&joined] } else { &separate };
            if let Ok(seen) = resolve(source, ip(TRUSTED_PEER), lines, &trusted()) {
                prop_assert_eq!(seen, client);
            } else {
                // Only a quote left open in the same line can reach into the proxy's entry.
                prop_assert!(same_line && source == ClientIpSource::Forwarded && forged.contains(&b'"'));
            }
        }
    }

    #[test]
    fn without_a_trusted_peer_the_header_is_never_read(peer in any::<u32>(), line in forged()) {
        let peer = IpAddr::from(peer.to_be_bytes());
        for source in [ClientIpSource::XForwardedFor, ClientIpSource::Forwarded] {
            prop_assert_eq!(resolve(source, peer, &[&line], &Networks::default()), Ok(ClientIp::new(peer)));
        }
    }
}
