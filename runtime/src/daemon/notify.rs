//! What systemd is told: that we are ready, what state we are in, that frames advance, that we end. Without systemd nobody
//! listens, and nothing is sent.

use sd_notify::NotifyState;

/// Devices and models are open.
pub fn ready() {
    tell(&NotifyState::Ready);
}

/// The state, for `systemctl status`.
pub fn status(text: &str) {
    // A line break would begin another variable.
    tell(&NotifyState::Status(&text.replace('\n', " ")));
}

/// Frames have advanced since the last call. Never called otherwise: a loop that lives and decides nothing is to be
/// restarted.
pub fn alive() {
    tell(&NotifyState::Watchdog);
}

/// The process ends.
pub fn stopping() {
    tell(&NotifyState::Stopping);
}

/// A message that systemd does not take is not worth stopping for.
fn tell(state: &NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(std::slice::from_ref(state)) {
        tracing::debug!("systemd was not told: {error}");
    }
}
