//! Doing one thing for many before the next is done for any.
//!
//! A thread that takes each request through all its steps has the code of every step, and whoever
//! is at the other end, woken anew for each. Where requests wait for each other between two
//! steps, what is ready takes the one together and then the other: one signature check for all,
//! one write to the log, one burst of answers.

use std::{future::poll_fn, task::Poll};

/// Lets all others come as far who are ready to; for the network and for timers it waits no
/// longer than they do, unlike `tokio::task::yield_now`.
pub async fn yield_to_the_ready() {
    let mut is_back = false;
    poll_fn(|context| {
        if is_back {
            return Poll::Ready(());
        }
        is_back = true;
        // Behind all that are ready.
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use tokio::task::LocalSet;

    use super::*;

    #[tokio::test]
    async fn all_who_are_ready_come_as_far_before_the_first_goes_on() {
        let (steps, tasks) = (Rc::new(RefCell::new(Vec::new())), LocalSet::new());
        for _ in 0..3 {
            let steps = steps.clone();
            tasks.spawn_local(async move {
                for step in ["first", "second", "third"] {
                    steps.borrow_mut().push(step);
                    yield_to_the_ready().await;
                }
            });
        }
        tasks.await;
        assert_eq!(*steps.borrow(), ["first", "second", "third"].map(|step| [step; 3]).concat());
    }
}
