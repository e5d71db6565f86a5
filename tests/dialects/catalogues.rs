//! The vendors' named destinations beside what a site and a caller are configured to have.

use oncegate::gate::token::Presented;

use super::support::{
    gate::Gate,
    http::{Answer, Client},
    vendors,
};

/// A gate whose site has its own paths under names of both vendors, and whose callers may name
/// these alone.
async fn narrowed() -> Gate {
    let own = "[sites.destinations]\nac-ps-products = \"/mine\"\nac-ps-product = \"/mine/{0}\"\n\
               clientarea-services = \"/ours\"\nclientarea-product_details = \"/ours/{0}\"\n";
    let callers = ["[\"wisecp\"]", "[\"whmcs\"]"].map(|name| format!("dialects = {name}\n"));
    let names = "destinations = [\"ac-ps-product*\", \"clientarea-*\"]\n";
    vendors::with(|mut text| {
        for line in ["[sites.destinations]\n"].into_iter().chain(callers.iter().map(|s| &**s)) {
            assert_eq!(text.matches(line).count(), 1, "{line}");
        }
        text = text.replace("[sites.destinations]\n", own);
        callers.iter().fold(text, |text, line| text.replace(line, &[line, names].concat()))
    })
    .await
}

async fn wisecp(gate: &Gate, destination: &str, values: &str) -> Answer {
    let body = format!(
        "{{\"user_id\":18,\"destination\":\"{destination}\",\"destination_values\":[{values}]}}"
    );
    Client::new(gate.api_at())
        .request(
            "POST",
            "/api/Clients/CreateClientSsoToken",
            &[("Apikey", vendors::WISECP)],
            body.as_bytes(),
        )
        .await
}

async fn whmcs(gate: &Gate, destination: &str, more: &[(&str, &str)]) -> Answer {
    let mut fields = vec![
        ("identifier", "whmcs"),
        ("secret", vendors::WHMCS),
        ("action", "CreateSsoToken"),
        ("client_id", "18"),
        ("destination", destination),
    ];
    fields.extend_from_slice(more);
    Client::new(gate.api_at()).post_form("/includes/api.php", &fields, &[]).await
}

/// Where the link of an answer leads.
fn leads(gate: &Gate, answer: &Answer) -> String {
    let json = answer.json();
    let token = json["data"]["token"].as_str().or(json["access_token"].as_str());
    let token = Presented::new(token.unwrap_or_else(|| panic!("{json}"))).unwrap();
    gate.keyring().verify(&token).unwrap().into_claims().dst.unwrap()
}

#[tokio::test]
async fn a_sites_own_path_stands_before_the_vendors() {
    let gate = narrowed().await;
    assert_eq!(leads(&gate, &wisecp(&gate, "ac-ps-products", "").await), "/mine");
    assert_eq!(leads(&gate, &wisecp(&gate, "ac-ps-product", "7").await), "/mine/7");
    assert_eq!(leads(&gate, &whmcs(&gate, "clientarea:services", &[]).await), "/ours");
    let details = whmcs(&gate, "clientarea:product_details", &[("service_id", "7")]).await;
    assert_eq!(leads(&gate, &details), "/ours/7");
    // What the site does not name, the vendor's catalogue still does.
    let group = wisecp(&gate, "ac-ps-products-t", "\"hosting\"").await;
    assert_eq!(leads(&gate, &group), "/clientarea/services/group/hosting");
    gate.stop().await;
}

#[tokio::test]
async fn a_caller_names_only_the_destinations_it_may() {
    let gate = narrowed().await;
    let denied = "A link may not lead there: not one of this caller's destinations";
    for destination in ["basket", "", "/mine", "https://docs.example.com/manual"] {
        let answer = wisecp(&gate, destination, "").await;
        assert_eq!(answer.json()["message"], denied, "{destination}");
    }
    let path = [("sso_redirect_path", "cart.php")];
    for (destination, more) in [("home", &[][..]), ("sso:custom_redirect", &path)] {
        let answer = whmcs(&gate, destination, more).await;
        assert_eq!(answer.json()["message"], denied, "{destination}");
    }
    gate.stop().await;
}
