//! Servers that are not trusted with uses, and those that want to know who asks.

use std::process::Command;

use oncegate::{
    gate::secret::Secret,
    store::redis::{Login, RedisOptions, Tls, Whereabouts},
};
use tempfile::TempDir;

use crate::{
    LONG, Member, RedisServer, at, connected, failover::Watched, local, server::free_port, single,
};

fn login(username: Option<&str>, password: &str) -> Login {
    Login {
        username: username.map(str::to_owned),
        password: Some(Secret::new(password.to_owned())),
    }
}

#[tokio::test]
async fn a_server_that_is_not_trusted_is_refused_by_name() {
    let primary = RedisServer::start();
    let port = primary.port.to_string();
    for (options, why) in [
        (vec!["--cluster-enabled", "yes"], "is a cluster, which is not supported"),
        (vec!["--maxmemory-policy", "allkeys-lru"], "maxmemory-policy is allkeys-lru"),
        (vec!["--maxmemory-policy", "volatile-ttl"], "set it to noeviction"),
        (vec!["--replicaof", "127.0.0.1", &port], "is a replica"),
    ] {
        let server = RedisServer::with(&options);
        let refused = connected(single(&server, LONG)).await.unwrap_err();
        assert!(refused.contains(why), "{refused}");
        let gate = Member::of(&server, "gate-a").await;
        assert!(!gate.status().healthy);
    }
    let nobody = connected(at(free_port(), LONG)).await.unwrap_err();
    assert!(nobody.contains("Connection refused"), "{nobody}");
}

#[tokio::test]
async fn a_password_is_asked_for_and_never_told() {
    let server = RedisServer::with_password("hunter2-of-redis", &[]);
    let with = |login| RedisOptions { login, ..single(&server, LONG) };
    let refused = connected(single(&server, LONG)).await.unwrap_err();
    assert!(refused.contains("NOAUTH") && refused.contains("password_file"), "{refused}");
    let wrong = login(None, "hunter3-of-redis");
    let refused = connected(with(wrong.clone())).await.unwrap_err();
    assert!(refused.contains("WRONGPASS"), "{refused}");
    let gate = Member::with(with(wrong), "gate-a").await;
    assert!(!gate.status().healthy);
    let told = format!(
        "{refused} {:?} {:?} {gate:?}",
        gate.status(),
        gate.take_notices(),
        gate = gate.store
    );
    assert!(!told.contains("hunter"), "{told}");
    let gate = Member::with(with(login(None, "hunter2-of-redis")), "gate-a").await;
    assert_eq!(gate.spends().await, Ok(()));
}

#[tokio::test]
async fn a_user_needs_no_more_than_its_own_keys() {
    let server = RedisServer::start();
    let rules = "ACL SETUSER gate on >secret ~oncegate:* -@all +@scripting +@hash +@sortedset \
                 +unlink +del +expireat +time +info";
    server.tell(&rules.split_whitespace().collect::<Vec<_>>());
    let options = RedisOptions { login: login(Some("gate"), "secret"), ..single(&server, LONG) };
    let gate = Member::with(options.clone(), "gate-a").await;
    assert_eq!(gate.spends().await, Ok(()));
    server.tell(&["ACL", "SETUSER", "gate", "-info"]);
    let refused = connected(options).await.unwrap_err();
    assert!(refused.contains("INFO"), "{refused}");
}

#[tokio::test]
async fn tls_is_spoken_with_those_whose_certificate_is_trusted() {
    let made = certificates();
    let file = |name: &str| made.path().join(name).display().to_string();
    let tls_port = free_port();
    let server = RedisServer::with(&[
        "--tls-port",
        &tls_port.to_string(),
        "--tls-cert-file",
        &file("server.crt"),
        "--tls-key-file",
        &file("server.key"),
        "--tls-ca-cert-file",
        &file("ca.crt"),
        "--tls-auth-clients",
        "no",
    ]);
    let with = |ca: Option<Vec<u8>>| RedisOptions {
        at: Whereabouts::Single { address: local(tls_port), db: 3 },
        tls: Some(Tls { ca }),
        ..single(&server, LONG)
    };
    let trusted = std::fs::read(file("ca.crt")).unwrap();
    let gate = Member::with(with(Some(trusted)), "gate-a").await;
    assert_eq!(gate.spends().await, Ok(()));
    let keys: String = server.info("db3");
    assert!(keys.starts_with("keys="), "not in the database that was named: {keys}");
    // The system does not know who made it.
    let refused = connected(with(None)).await.unwrap_err();
    assert!(refused.contains("TLS"), "{refused}");
    assert!(oncegate::store::redis::Redis::new(with(Some(b"no PEM".to_vec()))).is_err());
}

#[tokio::test]
async fn a_sentinel_is_no_server_and_must_know_the_name() {
    let watched = Watched::start();
    let refused = connected(at(watched.sentinel.port, LONG)).await.unwrap_err();
    assert!(refused.contains("this is a Sentinel"), "{refused}");
    let mut options = watched.options(LONG);
    if let Whereabouts::Sentinel { master, .. } = &mut options.at {
        "other".clone_into(master);
    }
    let refused = connected(options).await.unwrap_err();
    assert!(refused.contains("knows no primary \"other\""), "{refused}");
    connected(watched.options(LONG)).await.unwrap();
}

/// An authority, and a server's certificate for 127.0.0.1 that it signed.
fn certificates() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let openssl = |words: &str| {
        let made = Command::new("openssl").args(words.split(' ')).current_dir(dir.path()).output();
        let made = made.unwrap_or_else(|error| panic!("openssl cannot be run: {error}"));
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.crt -days 2 -subj /CN=tests"));
    openssl(&format!("req {key} -keyout server.key -out server.csr -subj /CN=redis"));
    std::fs::write(dir.path().join("san"), "subjectAltName=IP:127.0.0.1").unwrap();
    openssl(
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile san \
         -out server.crt"
            .replace("  ", " ")
            .as_str(),
    );
    dir
}
