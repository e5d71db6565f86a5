//! Telling a supervisor how far the gate is: `Type=notify` of systemd (`sd_notify(3)`).
//!
//! Nothing is said where nobody listens: without `NOTIFY_SOCKET`.

use sd_notify::{NotifyState, notify};
use tracing::warn;

/// Says that the gate answers.
pub fn ready() {
    say(NotifyState::Ready);
}

/// Says that the gate has begun to end.
pub fn stopping() {
    say(NotifyState::Stopping);
}

fn say(state: NotifyState<'_>) {
    if let Err(why) = notify(&[state]) {
        warn!(%why, "the service manager cannot be told");
    }
}
