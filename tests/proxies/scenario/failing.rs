//! What is closed when something is down.

use serde_json::json;

use crate::{
    scenario::traffic::HANDSHAKE,
    stand::{Form, Stand},
    support::http::Answer,
};

pub(crate) async fn without_the_gate_all_is_closed(stand: &mut Stand) {
    let signed_in = stand.signed_in().await;
    let link = stand.link(json!({})).await;
    let on_page = format!("/orders?_once={}", link.token);
    stand.stop_gate();
    let before = stand.application.asked().len();
    let mut targets = vec![link.path.as_str(), on_page.as_str(), "/_once/session"];
    // Where the application has its own sessions, it needs no gate.
    if stand.form != Form::Links {
        targets.extend(["/orders", "/"]);
    }
    for target in targets {
        for answer in [signed_in.get(target).await, stand.visitor().get(target).await] {
            assert!((500..505).contains(&answer.status), "{target}: {answer:?}");
        }
    }
    if stand.form != Form::Links {
        let answer = signed_in.request("GET", "/socket", &HANDSHAKE, b"").await;
        assert!((500..505).contains(&answer.status), "{answer:?}");
    }
    assert_eq!(stand.application.asked().len(), before, "{:?}", stand.application.asked());
    if stand.form == Form::Links {
        assert!(signed_in.get("/orders").await.text().contains("<p id=user>joe</p>"));
    }
}

pub(crate) async fn a_gate_that_hangs_lets_nobody_in(stand: &mut Stand) {
    let signed_in = stand.signed_in().await;
    let before = stand.application.asked().len();
    stand.freeze_gate();
    let answer = signed_in.get("/orders").await;
    stand.thaw_gate();
    assert!((500..505).contains(&answer.status), "{answer:?}");
    assert_eq!(stand.application.asked().len(), before, "{:?}", stand.application.asked());
}

pub(crate) async fn without_the_application_somebody_says_so(stand: &mut Stand) {
    let signed_in = stand.signed_in().await;
    stand.application.stop();
    // Until its connections are closed as well.
    let stopped = async {
        loop {
            let answer = signed_in.get("/orders").await;
            if answer.status != 200 {
                return answer;
            }
        }
    };
    let answer: Answer =
        tokio::time::timeout(crate::support::process::PATIENCE, stopped).await.expect("it stops");
    assert!(matches!(answer.status, 502..=504), "{answer:?}");
    if stand.form == Form::Through {
        assert!(answer.text().contains("bad_gateway"), "{}", answer.text());
    }
}
