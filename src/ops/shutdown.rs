//! The signals that end the gate, and how the rest of it hears of them.

use tokio::sync::watch;

/// Ends the gate when triggered or dropped.
#[derive(Debug)]
pub struct Trigger(watch::Sender<bool>);

/// Hears that the gate is to end.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<bool>);

/// A trigger and what hears it.
pub fn channel() -> (Trigger, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (Trigger(sender), Shutdown(receiver))
}

impl Trigger {
    /// Says that the gate is to end.
    pub fn trigger(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// Waits until the gate is to end.
    pub async fn wait(&mut self) {
        // A dropped trigger means the same as a pulled one.
        let _ = self.0.wait_for(|ended| *ended).await;
    }

    /// Whether the gate is to end.
    pub fn is_triggered(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}

/// Waits for SIGTERM or SIGINT.
///
/// # Errors
/// If the signals cannot be listened to.
pub async fn signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
