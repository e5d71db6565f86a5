//! Sockets that a supervisor hands over, as systemd does: taken by name, refused by name.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

mod support;

use std::{
    fs::File,
    net::{TcpListener, UdpSocket},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::{UnixDatagram, UnixListener},
    },
    time::Duration,
};

use support::{
    http::Client,
    installed,
    process::{At, Home, Sockets},
};

fn names(names: &str) -> Vec<(&str, &str)> {
    vec![("LISTEN_FDNAMES", names)]
}

async fn home() -> Home {
    Home::new(|text| text).await
}

/// A link asked for, opened, and refused the second time.
async fn works(at: At) {
    let link = at.link().await;
    assert_eq!(at.open(&link).await.status, 303);
    assert_eq!(at.redeem(&link).await.code(), "already_used");
    assert_eq!(Client::new(at.admin).get("/ready").await.status, 200);
}

#[tokio::test]
async fn sockets_are_taken_by_name_in_any_order() {
    let (home, sockets) = (home().await, Sockets::bind());
    let [public, api, admin] = &sockets.0;
    let mut process = home.spawn_on(&[admin, public, api], &names("admin:public:api"));
    let (at, expected) = (process.ready().await, sockets.at());
    // What it says is where the sockets are, not what is configured.
    let all = |at: At| [at.public, at.api, at.admin];
    assert_eq!(all(at), all(expected));
    works(at).await;
    process.kill();
}

#[tokio::test]
async fn sockets_without_a_name_are_taken_in_order() {
    // systemd gives those that nobody named the name of their unit.
    for names in [vec![], names("oncegate.socket:oncegate.socket:oncegate.socket")] {
        let (home, sockets) = (home().await, Sockets::bind());
        let mut process = home.spawn_on(&sockets.0, &names);
        process.ready().await;
        works(sockets.at()).await;
        process.kill();
    }
}

#[tokio::test]
async fn what_is_not_handed_over_is_bound_as_configured() {
    let (home, sockets) = (home().await, Sockets::bind());
    let mut process = home.spawn_on(&sockets.0[..1], &names("public"));
    let at = process.ready().await;
    let handed = sockets.at();
    assert_eq!(at.public, handed.public);
    assert!(at.api != handed.api && at.admin != handed.admin);
    works(at).await;
    process.kill();
}

#[tokio::test]
async fn sockets_of_another_process_are_left_alone_and_told_of() {
    let home = home().await;
    let mut process = home.spawn_with(&[("LISTEN_FDS", "3"), ("LISTEN_PID", "1")]);
    works(process.ready().await).await;
    assert!(process.said.iter().any(|line| line.contains("to another process")));
    process.kill();
}

#[tokio::test]
async fn an_address_other_than_the_configured_one_is_told() {
    let home =
        Home::new(|text| text.replace("public = \"127.0.0.1:0\"", "public = \"127.0.0.1:9\""))
            .await;
    let sockets = Sockets::bind();
    let mut process = home.spawn_on(&sockets.0, &names("public:api:admin"));
    process.ready().await;
    let told = process.said.iter().filter(|line| line.contains("is not where listen.")).count();
    assert_eq!(told, 1, "{:?}", process.said);
    assert!(process.said.iter().any(|line| line.contains("is not where listen.public says")));
    process.kill();
}

#[tokio::test]
async fn what_cannot_be_a_listener_is_refused_by_name() {
    let home = home().await;
    let dir = tempfile::tempdir().unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
        None,
    )
    .unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let unix = UnixListener::bind(dir.path().join("socket")).unwrap();
    let file = File::open("Cargo.toml").unwrap();
    let one = |fd: BorrowedFd<'_>| vec![fd.try_clone_to_owned().unwrap()];
    let many = |count| -> Vec<_> {
        (0..count).map(|_| tcp.as_fd().try_clone_to_owned().unwrap()).collect()
    };
    let cases = [
        (one(silent.as_fd()), names("public"), "file descriptor 3 (public) is not a TCP socket"),
        (one(udp.as_fd()), names("api"), "file descriptor 3 (api) is not a TCP socket"),
        (one(unix.as_fd()), names("admin"), "file descriptor 3 (admin) is not a TCP socket"),
        (one(file.as_fd()), vec![], "file descriptor 3 (public) is not a TCP socket"),
        (one(tcp.as_fd()), names("web"), "a socket named \"web\" is handed over"),
        (many(2), names("api:api"), "two sockets are handed over as api"),
        (many(2), names("api"), "LISTEN_FDNAMES has 1 names for 2 sockets"),
        (many(2), names("api:web.socket"), "some sockets are handed over with a name"),
        (many(4), vec![], "4 sockets are handed over"),
        (many(1), vec![("LISTEN_FDS", "2")], "file descriptor 4 (api) is not a TCP socket"),
        (many(1), vec![("LISTEN_FDS", "one")], "LISTEN_FDS is \"one\""),
    ];
    for (sockets, env, expected) in cases {
        let (code, said) = home.spawn_on(&sockets, &env).ended().await;
        assert_eq!(code, Some(64), "{said}");
        assert!(said.contains(expected) && said.contains("\n  do: "), "{expected}: {said}");
    }
}

#[tokio::test]
async fn an_api_socket_off_loopback_needs_what_the_configuration_would_need() {
    let everywhere = || [TcpListener::bind("0.0.0.0:0").unwrap()];
    let (code, said) = home().await.spawn_on(&everywhere(), &names("api")).ended().await;
    assert_eq!(code, Some(64), "{said}");
    assert!(said.contains("API keys would cross a network in the clear"), "{said}");
    // A proxy that ends TLS is trusted: then each call has to have come through it.
    let trusting = "[listen]\ntrusted_proxies = [\"192.0.2.0/24\"]";
    let home = Home::new(|text| text.replace("[listen]", trusting)).await;
    let mut process = home.spawn_on(&everywhere(), &names("api"));
    let mut at = process.ready().await;
    at.api.set_ip([127, 0, 0, 1].into());
    let answer = at.client().post_json("/v1/links", &serde_json::json!({ "user": "joe" })).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    process.kill();
}

#[tokio::test]
async fn a_service_manager_is_told_of_the_start_and_of_the_end() {
    let home = home().await;
    let path = home.dir.path().join("notify");
    let told = UnixDatagram::bind(&path).unwrap();
    told.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let next = || {
        let mut buffer = [0; 200];
        let read = told.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..read].to_vec()).unwrap().trim().to_owned()
    };
    let mut process = home.spawn_with(&[("NOTIFY_SOCKET", path.to_str().unwrap())]);
    let at = process.ready().await;
    assert_eq!(next(), "READY=1");
    works(at).await;
    process.terminate();
    assert_eq!(next(), "STOPPING=1");
    assert_eq!(process.ended().await.0, Some(0));
}

#[tokio::test]
async fn systemds_own_tool_hands_them_over() {
    const TOOL: &str = "systemd-socket-activate";
    if !installed::programs(&[TOOL]) {
        return;
    }
    let (home, sockets) = (home().await, Sockets::bind());
    // It passes on what it was given, in its own words, when somebody connects.
    let tool = [TOOL, "--fdname=public:api:admin"];
    let mut process = home.spawn_through(&tool, &sockets.0, &[]);
    works(sockets.at()).await;
    let at = process.ready().await;
    assert_eq!(at.public, sockets.at().public);
    process.terminate();
    assert_eq!(process.ended().await.0, Some(0));
}
