//! What may wait for a disk, beside what answers requests.

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::block_in_place,
};

/// Does what waits for a disk while other threads take over what the executor has waiting, where it
/// has others.
pub(super) fn beside_the_executor<T>(work: impl FnOnce() -> T) -> T {
    let several = |runtime: Handle| runtime.runtime_flavor() == RuntimeFlavor::MultiThread;
    if Handle::try_current().is_ok_and(several) { block_in_place(work) } else { work() }
}
