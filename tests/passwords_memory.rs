//! What verifying passwords leaves of memory with the process. In a program of its own: what other
//! tests allocate would be measured too.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

use oncegate::{
    gate::{
        client_ip::ClientIp,
        password::{Credential, Decoy},
        secret::Secret,
    },
    ops::{
        metrics::Metrics,
        passwords::{Guesser, Passwords},
    },
};

/// What one verification works in, as `oncegate password` makes hashes.
const BUFFER: u64 = 19 * 1024 * 1024;
/// What everything else may take meanwhile.
const SLACK: u64 = 16 * 1024 * 1024;

/// The bytes of memory that are resident.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_number_of_verifications_leaves_two_buffers_with_the_process() {
    let passwords = Passwords::new(Secret::new([7; 32]), Decoy::like([]), &Metrics::default());
    let before = resident();
    let mut most = 0;
    for round in 0..4 {
        let asked: Vec<_> = (0..10_u8)
            .map(|n| {
                let passwords = passwords.clone();
                tokio::spawn(async move {
                    let from = Some(ClientIp::new([192, 0, 2, n].into()));
                    let who = [Guesser::Stranger, Guesser::AtHome][usize::from(n) % 2];
                    let word = Credential::of(&format!("guess {round}"));
                    passwords.verify("nobody", from, who, &word, None).await
                })
            })
            .collect();
        for answer in asked {
            assert_eq!(answer.await.unwrap(), Ok(false));
            most = most.max(resident().saturating_sub(before));
        }
    }
    assert!(most <= 2 * BUFFER + SLACK, "{} KiB more are resident", most / 1024);
}
