//! Answers that get lost on the way, and lines that go dead.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use oncegate::gate::denial::Denial;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::{Member, RedisServer, SHORT, at, spend, token};

const PASSES: u8 = 0;
/// The next answer is lost, and its connection with it; then it passes again.
const CUTS_ONE: u8 = 1;
/// Nothing passes in either direction, and nothing ends: a cable is pulled.
const DEAD: u8 = 2;
/// The next answer does not arrive, and its connection stays; then it passes again.
const SWALLOWS_ONE: u8 = 3;

/// Stands between a gate and its server.
struct Between {
    port: u16,
    mood: Arc<AtomicU8>,
    task: JoinHandle<()>,
}

impl Drop for Between {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Between {
    async fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mood = Arc::new(AtomicU8::new(PASSES));
        let shared = mood.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, to, shared.clone()));
            }
        });
        Self { port, mood, task }
    }

    fn is(&self, mood: u8) {
        self.mood.store(mood, Ordering::SeqCst);
    }
}

async fn pass(mut client: TcpStream, to: u16, mood: Arc<AtomicU8>) {
    let mut server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
    let (mut up, mut down) = ([0; 16_384], [0; 16_384]);
    let mut swallowed = false;
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let Ok(length @ 1..) = read else { return };
                if mood.load(Ordering::SeqCst) == DEAD {
                    std::future::pending::<()>().await;
                }
                if server.write_all(&up[..length]).await.is_err() { return }
            }
            read = server.read(&mut down) => {
                let Ok(length @ 1..) = read else { return };
                if swallowed { continue }
                match mood.load(Ordering::SeqCst) {
                    CUTS_ONE => {
                        mood.store(PASSES, Ordering::SeqCst);
                        return;
                    }
                    SWALLOWS_ONE => {
                        mood.store(PASSES, Ordering::SeqCst);
                        swallowed = true;
                        continue;
                    }
                    DEAD => std::future::pending::<()>().await,
                    _ => {}
                }
                if client.write_all(&down[..length]).await.is_err() { return }
            }
        }
    }
}

#[tokio::test]
async fn a_resend_after_a_lost_answer_recognises_itself() {
    let server = RedisServer::start();
    for (mood, rounds) in [(CUTS_ONE, 20), (SWALLOWS_ONE, 5)] {
        let between = Between::start(server.port).await;
        let gate = Member::with(at(between.port, SHORT), "gate-a").await;
        let mem = gate.ready().await;
        // Nobody else's answer is the one that gets lost.
        gate.listening.abort();
        for n in 0..rounds {
            let token = token(mem);
            between.is(mood);
            assert_eq!(spend(&gate, &token).await, Ok(()), "{n}");
            assert_eq!(spend(&gate, &token).await, Err(Denial::AlreadyUsed), "{n}");
        }
        let questions = gate.status().questions.unwrap();
        assert!(questions.resent >= rounds && questions.unanswered >= rounds, "{questions:?}");
    }
}

#[tokio::test]
async fn a_line_that_goes_dead_is_replaced() {
    let server = RedisServer::start();
    let between = Between::start(server.port).await;
    let gate = Member::with(at(between.port, SHORT), "gate-a").await;
    let lost = token(gate.ready().await);
    between.is(DEAD);
    let refused = spend(&gate, &lost).await;
    assert!(matches!(refused, Err(Denial::StoreUnavailable { unspent: false, .. })), "{refused:?}");
    between.is(PASSES);
    let back = tokio::time::Instant::now();
    gate.recovers().await;
    println!("recovered within {:?}", back.elapsed());
    assert_eq!(spend(&gate, &lost).await, Ok(()));
}

#[tokio::test]
async fn a_token_may_be_spent_where_an_answer_was_lost_and_the_next_is_that_there_is_no_room() {
    let server = RedisServer::start();
    let between = Between::start(server.port).await;
    let gate = Member::limited(at(between.port, SHORT), "gate-a", 1).await;
    let mem = gate.ready().await;
    gate.listening.abort();
    assert_eq!(spend(&gate, &token(mem)).await, Ok(()));
    assert_eq!(spend(&gate, &token(mem)).await, Err(Denial::StoreFull));
    between.is(CUTS_ONE);
    let refused = spend(&gate, &token(mem)).await;
    assert!(matches!(refused, Err(Denial::StoreUnavailable { unspent: false, .. })), "{refused:?}");
}
