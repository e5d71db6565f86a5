//! Where a visitor comes from, whatever the visitor says. ATTACKS.md, 3.

use serde_json::json;

use crate::stand::Stand;

const HERE: [u8; 4] = [127, 0, 0, 2];
const ELSEWHERE: [u8; 4] = [127, 0, 0, 3];

/// What somebody sends who would like to come from 127.0.0.2.
const FORGED: [(&str, &str); 9] = [
    ("X-Forwarded-For", "127.0.0.2"),
    ("X-Forwarded-For", "127.0.0.2, 127.0.0.2"),
    ("x_forwarded_for", "127.0.0.2"),
    ("Forwarded", "for=127.0.0.2"),
    ("X-Real-IP", "127.0.0.2"),
    ("True-Client-IP", "127.0.0.2"),
    ("X-Client-IP", "127.0.0.2"),
    ("X-Envoy-External-Address", "127.0.0.2"),
    ("CF-Connecting-IP", "127.0.0.2"),
];

pub(crate) async fn the_application_is_told_the_visitors_own(stand: &mut Stand) {
    let cookies = stand.signed_in().await.cookies();
    for (number, forged) in FORGED.iter().enumerate() {
        let visitor = stand.visitor().from(ELSEWHERE).header("Cookie", &cookies);
        let target = format!("/orders/{number}");
        let answer = visitor.request("GET", &target, &[*forged], b"").await;
        assert_eq!(answer.status, 200, "{forged:?}: {}", answer.text());
        let asked = stand.application.asked_for(&target);
        assert_eq!(asked.header("x-forwarded-for"), ["127.0.0.3"], "{forged:?}: {asked:?}");
        assert_eq!(asked.header("x-forwarded-proto"), ["https"], "{asked:?}");
        assert_eq!(asked.header("x-forwarded-host"), ["panel.example.com"], "{asked:?}");
        assert_eq!(asked.header("host"), ["panel.example.com"], "{asked:?}");
        for name in ["forwarded", "x_forwarded_for"] {
            assert!(asked.header(name).is_empty(), "{name} in {asked:?}");
        }
        for name in ["x-real-ip", "true-client-ip", "x-client-ip"] {
            for said in asked.header(name) {
                assert_eq!(said, "127.0.0.3", "{name} in {asked:?}");
            }
        }
    }
}

pub(crate) async fn a_bound_link_works_from_there_alone(stand: &mut Stand) {
    let link = stand.link(json!({ "ip": "127.0.0.2" })).await;
    for forged in FORGED {
        let thief = stand.browser().from(ELSEWHERE).header("Sec-Fetch-User", "?1");
        let headers = [forged, ("Origin", "https://panel.example.com")];
        let answer = thief.request("POST", &link.path, &headers, b"").await;
        assert_eq!(answer.status, 403, "{forged:?}: {}", answer.text());
        assert!(answer.text().contains("wrong_client"), "{forged:?}: {}", answer.text());
    }
    let opened = stand.browser().from(HERE).open(&link.path).await;
    assert_eq!(opened.status, 303, "{}", opened.text());
}
