//! By which ways visitors come, other than HTTP/1.1 over TLS to the site's own name.

use std::process::Command;

use serde_json::{Value, json};

use crate::{
    stand::{Form, Stand},
    support::{gate::PANEL, http::Client, installed},
};

pub(crate) async fn over_http2_nothing_is_different(stand: &mut Stand) {
    if !installed::programs(&["curl"]) {
        return;
    }
    let cookies = stand.signed_in().await.cookies();
    let curl = |cookies: &str, target: &str, more: &[&str]| {
        let asked = Command::new("curl")
            .args(["-sS", "--http2", "--max-time", "30", "-w", "\n%{http_version} %{http_code}"])
            .args(["--connect-to", &format!("{PANEL}:443:{}", stand.place.https)])
            // In crumbs, as browsers send them: RFC 9113, 8.2.3.
            .args(["-H", "Cookie: theme=dark", "-H", &format!("Cookie: {cookies}")])
            .args(["-H", "Cookie: tour=done", "-H", "x-oncegate-user: forged"])
            .args(["-H", "x_oncegate_user: forged", "-H", "x.oncegate.assertion: forged"])
            .args(["-H", "remote-user: forged", "-H", "x-forwarded-for: 127.0.0.2"])
            .arg("--cacert")
            .arg(stand.place.certificate.authority())
            .args(more)
            .arg(format!("https://{PANEL}{target}"))
            .output()
            .unwrap();
        assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
        let said = String::from_utf8(asked.stdout).unwrap();
        let (body, how) = said.rsplit_once('\n').unwrap();
        (body.to_owned(), how.to_owned())
    };
    let (body, how) = curl(&cookies, "/orders", &["-d", "posted"]);
    assert_eq!(how, "2 200", "{body}");
    let told: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&told["user"], &told["length"]), (&json!("joe"), &json!(6)), "{told}");
    assert!(!body.contains("forged") && !body.contains("127.0.0.2"), "{body}");
    // Nor for nobody, at a check's own path, or with a link.
    let (body, how) = curl("", "/orders", &[]);
    match stand.form {
        Form::Links => assert!(body.contains("nobody") && how == "2 200", "{how}: {body}"),
        _ => assert!(body.contains("sign_in_required") && how == "2 401", "{how}: {body}"),
    }
    assert!(!body.contains("forged"), "{body}");
    let (body, how) = curl(&cookies, "/_once/auth/nginx", &[]);
    assert_eq!(how, "2 404", "{body}");
    let link = stand.link(json!({})).await;
    for status in ["2 303", "2 410"] {
        let (body, how) = curl("", &link.path, &["-X", "POST"]);
        assert_eq!(how, status, "{body}");
    }
}

pub(crate) async fn plain_http_leads_to_https(stand: &mut Stand) {
    let link = stand.link(json!({})).await;
    let target = format!("{}?a=b&_once={}", link.path, link.token);
    let answer = Client::new(stand.place.http).host(PANEL).get(&target).await;
    assert!(matches!(answer.status, 301 | 302 | 307 | 308), "{answer:?}");
    // Where https has another port than its own, some say so.
    let port = format!("{PANEL}:{}", stand.place.https.port());
    let location = answer.header("location").unwrap().replace(&port, PANEL);
    assert_eq!(location, format!("https://{PANEL}{target}"));
    assert!(answer.header("set-cookie").is_none(), "{answer:?}");
    assert_eq!(stand.browser().open(&link.path).await.status, 303, "it was not spent by that");
}

pub(crate) async fn another_host_leads_nowhere(stand: &mut Stand) {
    let cookies = stand.signed_in().await.cookies();
    let before = stand.application.asked().len();
    for host in ["other.example.com", "panel.example.com.evil.example", "127.0.0.1", "PANEL"] {
        let ask = format!(
            "GET /orders HTTP/1.1\r\nHost: {host}\r\nCookie: {cookies}\r\n\
             X-Forwarded-Host: {PANEL}\r\nConnection: close\r\n\r\n"
        );
        let answer = stand.visitor().raw(ask).await;
        assert!(!answer.text().contains("joe"), "{host}: {answer:?}");
    }
    assert_eq!(stand.application.asked().len(), before, "{:?}", stand.application.asked());
}

/// Nor are other vendors' tokens and keys: what is logged is judged where every test ends.
pub(crate) async fn parameters_are_not_logged(stand: &mut Stand) {
    let names = [
        "_once",
        "_ssot",
        "sso_token",
        "user_token",
        "hash",
        "access_token",
        "api_key",
        "api_password",
    ];
    let cookies = stand.signed_in().await.cookies();
    for (number, name) in names.into_iter().enumerate() {
        let secret = format!("the-secret-of-parameter-{number}");
        stand.keep_secret(&secret);
        for path in ["/", "/en/sign-in", "/Login.aspx", "/oauth/singlesignon.php", "/_once/session"]
        {
            let target = format!("{path}?a=b&{name}={secret}");
            let somebody = stand.visitor().header("Cookie", &cookies);
            for answer in [somebody.get(&target).await, stand.browser().get(&target).await] {
                assert!(answer.status < 500, "{target}: {answer:?}");
            }
        }
    }
}

/// With which applications verify what the gate says; nobody need sign in for them.
pub(crate) async fn the_keys_are_where_applications_look(stand: &mut Stand) {
    let before = stand.application.asked().len();
    let answer = stand.visitor().get("/.well-known/jwks.json").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["keys"][0]["kty"], "OKP");
    assert_eq!(stand.application.asked().len(), before);
}
