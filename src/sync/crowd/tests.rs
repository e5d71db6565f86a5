//! Who leads, who goes away, and what each gets.

use std::{future::Future, pin::Pin, task::Context};

use super::*;

/// Names those who came together: each gets the number that it brought, and theirs.
#[derive(Debug)]
struct Names {
    most: usize,
    /// How many were done at a time.
    sizes: Mutex<Vec<usize>>,
}

impl Work for Names {
    type Brought = usize;
    type Done = (usize, Vec<usize>);

    fn most(&self) -> usize {
        self.most
    }

    fn alone(&self, one: usize) -> Self::Done {
        self.sizes.lock().unwrap().push(1);
        (one, vec![one])
    }

    fn together(&self, some: Vec<usize>) -> Vec<Self::Done> {
        self.sizes.lock().unwrap().push(some.len());
        some.iter().map(|one| (*one, some.clone())).collect()
    }
}

/// A crowd with its work.
#[derive(Debug)]
struct Named {
    crowd: Crowd<usize, (usize, Vec<usize>)>,
    names: Names,
}

fn crowd(most: usize) -> Named {
    Named { crowd: Crowd::default(), names: Names { most, sizes: Mutex::default() } }
}

impl Named {
    async fn join(&self, number: usize) -> Result<(usize, Vec<usize>), Abandoned> {
        self.crowd.join(number, &self.names).await
    }

    fn sizes(&self) -> Vec<usize> {
        self.names.sizes.lock().unwrap().clone()
    }
}

type Comes<'a> = Pin<Box<dyn Future<Output = Result<(usize, Vec<usize>), Abandoned>> + 'a>>;

fn comes(crowd: &Named, number: usize) -> Comes<'_> {
    Box::pin(crowd.join(number))
}

/// Polls once, which must not be enough.
fn comes_in(one: &mut Comes<'_>) {
    let mut context = Context::from_waker(std::task::Waker::noop());
    assert!(one.as_mut().poll(&mut context).is_pending());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn who_is_alone_is_done_at_once() {
    let crowd = crowd(64);
    let begun = tokio::time::Instant::now();
    assert_eq!(crowd.join(1).await, Ok((1, vec![1])));
    assert_eq!(crowd.join(2).await, Ok((2, vec![2])));
    // Time stands still until everybody waits for it.
    assert_eq!(begun.elapsed(), std::time::Duration::ZERO);
}

#[tokio::test(flavor = "current_thread")]
async fn who_is_ready_is_done_together_and_no_more_than_may_be() {
    let crowd = Arc::new(crowd(64));
    let each = (0..200).map(|number| {
        let crowd = crowd.clone();
        tokio::spawn(async move { crowd.join(number).await.unwrap() })
    });
    let mut sum = 0;
    for (number, one) in each.collect::<Vec<_>>().into_iter().enumerate() {
        let (own, with) = one.await.unwrap();
        assert!(own == number && with.contains(&number));
        sum += own;
    }
    assert_eq!((crowd.sizes(), sum), (vec![64, 64, 64, 8], 199 * 100));
}

#[tokio::test(flavor = "current_thread")]
async fn where_each_is_done_alone_nobody_waits() {
    use futures_util::FutureExt as _;
    let crowd = crowd(1);
    let each = (0..3).map(|number| crowd.join(number).now_or_never().unwrap());
    assert!(each.collect::<Vec<_>>().iter().all(Result::is_ok));
    assert_eq!(crowd.sizes(), [1, 1, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_two_threads_each_gets_its_own_too() {
    let crowd = Arc::new(crowd(8));
    for _ in 0..20 {
        let each = (0..200).map(|number| {
            let crowd = crowd.clone();
            tokio::spawn(async move { (number, crowd.join(number).await.unwrap().0) })
        });
        for one in each.collect::<Vec<_>>() {
            let (brought, got) = one.await.unwrap();
            assert_eq!(brought, got);
        }
    }
    assert_eq!(crowd.sizes().iter().sum::<usize>(), 20 * 200);
}

#[test]
fn nobody_waits_for_a_leader_whose_thread_does_something_else() {
    let crowd =
        Named { crowd: Crowd::in_lines(2), names: Names { most: 64, sizes: Mutex::default() } };
    let mut leads = comes(&crowd, 1);
    comes_in(&mut leads);
    let here = crowd.crowd.line();
    let elsewhere = || {
        // One thread in two has the same line as this one, and would wait.
        if Arc::ptr_eq(here, crowd.crowd.line()) {
            return None;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Some(runtime.block_on(crowd.join(2)))
    };
    let another = || std::thread::scope(|scope| scope.spawn(elsewhere).join().unwrap());
    assert_eq!(std::iter::repeat_with(another).find_map(|done| done), Some(Ok((2, vec![2]))));
    drop(leads);
    assert_eq!(crowd.sizes(), [1]);
}

#[tokio::test(flavor = "current_thread")]
async fn who_goes_away_takes_nobody_along_whatever_it_was_doing() {
    let crowd = crowd(64);
    let (mut first, mut second, mut third, mut last) =
        (comes(&crowd, 1), comes(&crowd, 2), comes(&crowd, 3), comes(&crowd, 4));
    for one in [&mut first, &mut second, &mut third, &mut last] {
        comes_in(one);
    }
    // It leads; then the lead is passed to the second, which goes before it learns of that; the
    // third leads then.
    drop(first);
    drop(second);
    let (third, last) = tokio::join!(third, last);
    assert_eq!((third, last), (Ok((3, vec![3, 4])), Ok((4, vec![3, 4]))));
    assert_eq!(comes(&crowd, 5).await, Ok((5, vec![5])));
    assert_eq!(crowd.sizes(), [2, 1], "who went away cost nothing");
}

#[tokio::test(flavor = "current_thread")]
async fn ten_thousand_may_go_away_at_once() {
    let crowd = crowd(64);
    let mut all: Vec<_> = (0..10_000).map(|number| comes(&crowd, number)).collect();
    all.iter_mut().for_each(comes_in);
    let leader = all.remove(0);
    drop(all);
    drop(leader);
    assert!(crowd.crowd.line().places().waiting.is_empty());
    assert_eq!(comes(&crowd, 7).await, Ok((7, vec![7])));
}

#[tokio::test(flavor = "current_thread")]
async fn a_crowd_that_comes_to_nothing_is_told_and_the_next_is_done() {
    let crowd = crowd(64);
    let (mut leader, mut waits) = (comes(&crowd, 1), comes(&crowd, 2));
    comes_in(&mut leader);
    comes_in(&mut waits);
    // As if the work had panicked, with those in hand who wait.
    drop(crowd.crowd.line().company(64));
    assert_eq!(waits.await, Err(Abandoned));
    assert_eq!(leader.await, Ok((1, vec![1])));
    assert_eq!(comes(&crowd, 3).await, Ok((3, vec![3])));
}
