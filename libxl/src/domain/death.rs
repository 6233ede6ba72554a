//! What to do with a domain that has shut down: the table behind `on_poweroff=` and its kin.

use crate::types::{ActionOnShutdown, DomainConfig, ShutdownReason};

/// What follows a shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Write a core file first.
    pub dump_core: bool,
    /// Then do this.
    pub next: Next,
}

/// What becomes of the domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It stays as it is, for somebody to look at.
    Preserve,
    /// It goes.
    Destroy,
    /// It goes, and a new one takes its place.
    Restart,
    /// It stays under another name, and a new one takes its place.
    RenameRestart,
    /// It is emptied and built anew under the same domid.
    SoftReset,
}

/// What the configuration says for this shutdown reason, if it says anything: a suspended domain is
/// somebody else's business.
///
/// A reason that Xen invented after this program was written gets its domain destroyed.
pub fn action(config: &DomainConfig, reason: Option<ShutdownReason>) -> Option<ActionOnShutdown> {
    Some(match reason {
        Some(ShutdownReason::Poweroff) => config.on_poweroff,
        Some(ShutdownReason::Reboot) => config.on_reboot,
        Some(ShutdownReason::Crash) => config.on_crash,
        Some(ShutdownReason::Watchdog) => config.on_watchdog,
        Some(ShutdownReason::SoftReset) => config.on_soft_reset,
        Some(ShutdownReason::Suspend) => return None,
        _ => ActionOnShutdown::Destroy,
    })
}

impl From<ActionOnShutdown> for Verdict {
    fn from(action: ActionOnShutdown) -> Verdict {
        let plain = |next| Verdict { dump_core: false, next };
        match action {
            ActionOnShutdown::Destroy => plain(Next::Destroy),
            ActionOnShutdown::Restart => plain(Next::Restart),
            ActionOnShutdown::RestartRename => plain(Next::RenameRestart),
            ActionOnShutdown::Preserve => plain(Next::Preserve),
            ActionOnShutdown::SoftReset => plain(Next::SoftReset),
            ActionOnShutdown::CoredumpDestroy => Verdict { dump_core: true, next: Next::Destroy },
            ActionOnShutdown::CoredumpRestart => Verdict { dump_core: true, next: Next::Restart },
        }
    }
}

/// The action as configuration files spell it.
pub fn configuration_word(action: ActionOnShutdown) -> &'static str {
    match action {
        ActionOnShutdown::Destroy => "destroy",
        ActionOnShutdown::Restart => "restart",
        ActionOnShutdown::RestartRename => "rename-restart",
        ActionOnShutdown::Preserve => "preserve",
        ActionOnShutdown::CoredumpDestroy => "coredump-destroy",
        ActionOnShutdown::CoredumpRestart => "coredump-restart",
        ActionOnShutdown::SoftReset => "soft-reset",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> DomainConfig {
        DomainConfig {
            on_poweroff: ActionOnShutdown::Destroy,
            on_reboot: ActionOnShutdown::Restart,
            on_crash: ActionOnShutdown::CoredumpRestart,
            on_watchdog: ActionOnShutdown::Preserve,
            on_soft_reset: ActionOnShutdown::SoftReset,
            ..DomainConfig::default()
        }
    }

    #[test]
    fn every_reason_has_its_own_setting() {
        let table = [
            (ShutdownReason::Poweroff, Some(ActionOnShutdown::Destroy)),
            (ShutdownReason::Reboot, Some(ActionOnShutdown::Restart)),
            (ShutdownReason::Suspend, None),
            (ShutdownReason::Crash, Some(ActionOnShutdown::CoredumpRestart)),
            (ShutdownReason::Watchdog, Some(ActionOnShutdown::Preserve)),
            (ShutdownReason::SoftReset, Some(ActionOnShutdown::SoftReset)),
        ];
        for (reason, expected) in table {
            assert_eq!(action(&config(), Some(reason)), expected, "{reason:?}");
        }
    }

    #[test]
    fn an_unheard_of_reason_destroys() {
        assert_eq!(action(&config(), None), Some(ActionOnShutdown::Destroy));
    }

    #[test]
    fn a_core_comes_before_the_end() {
        let verdict = Verdict::from(ActionOnShutdown::CoredumpRestart);
        assert_eq!(verdict, Verdict { dump_core: true, next: Next::Restart });
        assert!(!Verdict::from(ActionOnShutdown::Restart).dump_core);
    }
}
