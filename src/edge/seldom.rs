//! A future that seldom has anything to do, beside one that does something all the time.
//!
//! Whoever waits for several things in one task looks at all of them whenever one of them stirs:
//! for each request, at the signals and timers of its connection. This one is looked at again
//! only when it was woken itself.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures_util::task::AtomicWaker;

/// A future that is polled only when it was woken.
pub(super) struct Seldom<F> {
    future: F,
    knock: Arc<Knock>,
    waker: Waker,
}

/// Whether it was woken since it was last polled, and the task that it is a part of.
struct Knock {
    knocked: AtomicBool,
    task: AtomicWaker,
}

impl<F> Seldom<F> {
    /// Of a future that has not been polled.
    pub(super) fn new(future: F) -> Self {
        let knock = Arc::new(Knock { knocked: AtomicBool::new(true), task: AtomicWaker::new() });
        let waker = knock.clone().into();
        Self { future, knock, waker }
    }
}

impl<F: Future + Unpin> Future for Seldom<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self { future, knock, waker } = &mut *self;
        // First: whoever knocks from here on wakes this task.
        knock.task.register(cx.waker());
        if knock.knocked.swap(false, Ordering::AcqRel) {
            Pin::new(future).poll(&mut Context::from_waker(waker))
        } else {
            Poll::Pending
        }
    }
}

impl Wake for Knock {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.knocked.store(true, Ordering::Release);
        self.task.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::pin};

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn it_is_polled_when_it_was_woken_and_not_else() {
        let (tell, told) = oneshot::channel();
        let mut polls = 0;
        let mut told = pin!(told);
        let counted = poll_fn(|cx| {
            polls += 1;
            told.as_mut().poll(cx)
        });
        let mut seldom = pin!(Seldom::new(counted));
        for _ in 0..5 {
            let looked = poll_fn(|cx| Poll::Ready(seldom.as_mut().poll(cx).is_pending())).await;
            assert!(looked);
        }
        tell.send(7).unwrap();
        assert_eq!(seldom.await, Ok(7));
        assert_eq!(polls, 2);
    }
}
