//! Many at once.

use tokio::task::JoinSet;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_tasks_and_exactly_one_spends_the_token() {
    for durability in [Durability::Process, Durability::Power] {
        let dir = state();
        let store = open(options(dir.path(), durability));
        let mem = store.mem(NOW).unwrap();
        for round in 0..10 {
            let mut tasks = JoinSet::new();
            for _ in 0..1_000 {
                let store = store.clone();
                tasks.spawn(async move { spend(&store, id(round), mem).await });
            }
            let outcomes = tasks.join_all().await;
            assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
            let used = outcomes.iter().filter(|o| **o == Err(Denial::AlreadyUsed)).count();
            assert_eq!(used, 999);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_of_tokens_is_all_there_after_a_loss_of_power() {
    let dir = state();
    let store = open(options(dir.path(), Durability::Power));
    let mem = store.mem(NOW).unwrap();
    let mut tasks = JoinSet::new();
    for n in 0..5_000 {
        let store = store.clone();
        tasks.spawn(async move { spend(&store, id(n), mem).await });
    }
    assert!(tasks.join_all().await.iter().all(Result::is_ok));
    drop(store);
    let store = open(after_a_restart(options(dir.path(), Durability::Power)));
    assert_all_used(&store, 5_000, mem).await;
}

#[tokio::test]
async fn a_hundred_thousand_come_back() {
    let dir = state();
    let mut options = options(dir.path(), Durability::Process);
    options.journal.as_mut().unwrap().segment_size = 1 << 18;
    options.max_entries = 100_001;
    let store = open(options.clone());
    let mem = spend_all(&store, 100_000).await;
    drop(store);
    let store = open(options);
    assert_eq!(store.status().entries, 100_000);
    assert_all_used(&store, 100_000, mem).await;
    assert_eq!(spend(&store, id(100_001), mem).await, Err(Denial::StoreFull));
    assert_eq!(store.status().refused_full, 1);
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_its_token_spent() {
    let dir = state();
    let store = open(options(dir.path(), Durability::Power));
    let mem = store.mem(NOW).unwrap();
    {
        let spending = spend(&store, id(1), mem);
        let mut spending = std::pin::pin!(spending);
        // Once is enough to send it on its way.
        let polled = std::future::poll_fn(|context| {
            std::task::Poll::Ready(spending.as_mut().poll(context).is_ready())
        });
        let _ = polled.await;
    }
    assert_eq!(spend(&store, id(1), mem).await, Err(Denial::AlreadyUsed));
    drop(store);
    let store = open(after_a_restart(options(dir.path(), Durability::Power)));
    assert_eq!(spend(&store, id(1), mem).await, Err(Denial::AlreadyUsed));
}
