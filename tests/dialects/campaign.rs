//! ActiveCampaign's answers to what only the gate's own configuration brings about.

use std::net::TcpListener;

use super::support::{
    gate::Gate,
    http::{Answer, Client},
    vendors,
};

/// What `[dialects.activecampaign]`'s caller has last.
const CALLER: &str = "rate = \"1000/s\"\ndialects = [\"activecampaign\"]\n";

#[tokio::test]
async fn a_gate_that_binds_no_link_says_so() {
    let gate = changed("[links]\n", "[links]\nbind_ip = \"off\"\n").await;
    refused(&sign_on(&gate, "joe").await, "ip: this gate does not bind links to addresses");
    gate.stop().await;
}

#[tokio::test]
async fn a_caller_past_its_rate_is_told_when_to_come_back() {
    let gate = changed(CALLER, &CALLER.replace("1000/s", "1/h")).await;
    assert_eq!(sign_on(&gate, "joe").await.json()["result_code"], 1);
    let answer = sign_on(&gate, "joe").await;
    refused(&answer, "Too many requests");
    assert_eq!(answer.header("retry-after"), Some("3600"));
    gate.stop().await;
}

#[tokio::test]
async fn a_user_beyond_the_callers_is_forbidden_whether_there_is_one_or_not() {
    let gate = changed(CALLER, &["users = [\"zo*\"]\n", CALLER].concat()).await;
    assert_eq!(sign_on(&gate, "zo%C3%AB").await.json()["result_code"], 1);
    for user in ["joe", "jane"] {
        refused(&sign_on(&gate, user).await, "You are not authorized to access this file");
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_caller_that_must_name_destinations_gets_no_link_to_any_page() {
    let gate = changed(CALLER, &["destinations = [\"/help/*\"]\n", CALLER].concat()).await;
    refused(
        &sign_on(&gate, "joe").await,
        "A link may not lead there: this caller has to name one of its destinations",
    );
    gate.stop().await;
}

#[tokio::test]
async fn a_directory_that_does_not_answer_is_no_unknown_user() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("url = \"http://{nobody}/\"\n");
    let gate = changed("file = \"directory.toml\"\n", &url).await;
    refused(&sign_on(&gate, "joe").await, "who may have a link could not be looked up; ask again");
    gate.stop().await;
}

/// A gate with another line in its configuration.
async fn changed(from: &str, to: &str) -> Gate {
    vendors::with(|text| {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text.replace(from, to)
    })
    .await
}

async fn sign_on(gate: &Gate, user: &str) -> Answer {
    let key = vendors::CAMPAIGN;
    let target = format!(
        "/api.php?api_action=singlesignon&api_key={key}&api_output=json\
         &sso_addr=203.0.113.7&sso_user={user}"
    );
    Client::new(gate.api_at()).get(&target).await
}

/// The three fields of a refusal, and no other.
fn refused(answer: &Answer, message: &str) {
    assert_eq!(answer.status, 200);
    let expected = format!(
        "{{\"result_code\":0,\"result_message\":\"{message}\",\"result_output\":\"json\"}}"
    );
    assert_eq!(answer.text(), expected);
}
