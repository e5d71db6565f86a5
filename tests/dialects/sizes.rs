//! Requests that are too large to be read: refused in the vendor's own shape.

use super::support::{http::Client, vendors};

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_in_the_vendors_words() {
    let gate = vendors::start().await;
    let api = Client::new(gate.api_at());
    let large = "x".repeat(64 * 1024);
    let key = [("Apikey", vendors::WISECP)];
    let body = format!("{{\"user_id\":18,\"x\":\"{large}\"}}");
    let path = "/api/Clients/CreateClientSsoToken";
    let wisecp = api.request("POST", path, &key, body.as_bytes()).await;
    assert_eq!((wisecp.status, &wisecp.json()["status"]), (200, &"error".into()));
    let fields = [
        ("identifier", "whmcs"),
        ("secret", vendors::WHMCS),
        ("action", "CreateSsoToken"),
        ("client_id", "18"),
        ("x", large.as_str()),
    ];
    let whmcs = api.post_form("/includes/api.php", &fields, &[]).await;
    assert_eq!((whmcs.status, &whmcs.json()["result"]), (200, &"error".into()));
    let said = "the body is larger than 65536 bytes";
    assert_eq!([&wisecp.json()["message"], &whmcs.json()["message"]], [said, said]);
    assert_eq!(super::issued(&gate).await, 0);
    gate.stop().await;
}
