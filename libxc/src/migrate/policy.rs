//! When a live save stops copying beside the running guest, and how fast it copies until then.

use crate::types::PAGE_SIZE;
use std::time::Duration;

/// Stock libxc's end of copying beside the running guest: after this many rounds.
const ROUNDS_MAX: u32 = 5;
/// Or when a round left fewer pages than this written.
const DIRTY_ENOUGH: u64 = 50;
/// How many rounds a guest gets until what remains fits into the time that it may stand still.
const ROUNDS_MAX_TIMED: u32 = 30;

/// What a live save has to keep to. By default nothing: it does as stock libxc.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The guest is suspended only once copying the rest takes no longer than this, by the speed so far. If that never
    /// comes, the save is given up.
    pub max_downtime: Option<Duration>,
    /// Bytes a second at which memory is copied while the guest runs.
    pub bandwidth: Option<u64>,
}

/// A pass over the pages that were to be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    /// Pages that it sent.
    pub(super) sent: u64,
    /// How long that took.
    pub(super) took: Duration,
    /// Pages that the guest has written meanwhile.
    pub(super) dirty: u64,
}

/// What comes after a round.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another one.
    Round,
    /// The guest is suspended for what remains.
    Suspend,
    /// It is left alone, for this reason.
    GiveUp(String),
}

/// The rounds so far.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    max_downtime: Option<Duration>,
    done: u32,
    sent: u64,
    took: Duration,
}

impl Rounds {
    pub(super) fn new(limits: Limits) -> Rounds {
        Rounds { max_downtime: limits.max_downtime, ..Rounds::default() }
    }

    /// The number of the round at hand; the first is 0.
    pub(super) fn number(&self) -> u32 {
        self.done
    }

    /// Decides what comes after a round.
    pub(super) fn after(&mut self, round: Round) -> Next {
        self.done += 1;
        self.sent += round.sent;
        self.took += round.took;
        let Some(max_downtime) = self.max_downtime else {
            let enough = self.done >= ROUNDS_MAX || round.dirty < DIRTY_ENOUGH;
            return if enough { Next::Suspend } else { Next::Round };
        };
        let downtime = self.time_for(round.dirty);
        if downtime <= max_downtime {
            Next::Suspend
        } else if self.done < ROUNDS_MAX_TIMED {
            Next::Round
        } else {
            Next::GiveUp(format!(
                "after {} rounds the guest would have to stand still for {} ms, and {} ms are allowed: it has written {} \
                 pages while {} were copied",
                self.done,
                downtime.as_millis(),
                max_downtime.as_millis(),
                round.dirty,
                round.sent
            ))
        }
    }

    /// How long so many pages take at the speed of all rounds.
    fn time_for(&self, pages: u64) -> Duration {
        let nanos = self.took.as_nanos().saturating_mul(pages.into()) / u128::from(self.sent.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// Keeps to a bandwidth.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    bytes_per_second: u64,
    sent: u64,
}

impl Pace {
    /// Pages that are sent at once: a MiB, so that there are many pauses and none is long.
    pub(super) const PAGES: usize = 256;

    pub(super) fn new(bytes_per_second: u64) -> Pace {
        Pace { bytes_per_second: bytes_per_second.max(1), sent: 0 }
    }

    /// How long to wait after so many more pages, when `elapsed` is the time since the first.
    pub(super) fn pause(&mut self, pages: usize, elapsed: Duration) -> Duration {
        self.sent = self.sent.saturating_add((pages * PAGE_SIZE) as u64);
        let nanos = u128::from(self.sent) * 1_000_000_000 / u128::from(self.bytes_per_second);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).saturating_sub(elapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn rounds(max_downtime: Option<Duration>) -> Rounds {
        Rounds::new(Limits { max_downtime, bandwidth: None })
    }

    /// A round at 1000 pages a second.
    fn round(sent: u64, dirty: u64) -> Round {
        Round { sent, took: Duration::from_millis(sent), dirty }
    }

    #[test]
    fn without_a_limit_it_does_as_stock() {
        let mut busy = rounds(None);
        let next: Vec<Next> = (0..5).map(|_| busy.after(round(1000, 1000))).collect();
        assert_eq!(next, [Next::Round, Next::Round, Next::Round, Next::Round, Next::Suspend]);
        assert_eq!(rounds(None).after(round(1000, 49)), Next::Suspend);
        assert_eq!(rounds(None).after(round(1000, 50)), Next::Round);
    }

    #[test]
    fn with_a_limit_the_guest_is_suspended_once_the_rest_fits_into_it() {
        let mut limited = rounds(Some(300 * MS));
        assert_eq!(limited.after(round(30_000, 3000)), Next::Round);
        assert_eq!(limited.after(round(3000, 301)), Next::Round);
        assert_eq!(limited.number(), 2);
        assert_eq!(limited.after(round(301, 300)), Next::Suspend);
        assert_eq!(rounds(Some(MS)).after(round(1000, 20)), Next::Round, "few pages are not few enough by themselves");
    }

    #[test]
    fn a_guest_that_writes_too_fast_is_left_alone() {
        let mut limited = rounds(Some(300 * MS));
        for _ in 1..ROUNDS_MAX_TIMED {
            assert_eq!(limited.after(round(2000, 2000)), Next::Round);
        }
        let Next::GiveUp(why) = limited.after(round(2000, 2000)) else { panic!("it goes on for ever") };
        assert!(why.contains("2000 ms, and 300 ms are allowed"), "{why}");
    }

    #[test]
    fn rounds_that_take_no_time_are_no_division_by_zero() {
        let nothing = Round { sent: 0, took: Duration::ZERO, dirty: u64::MAX };
        assert_eq!(rounds(Some(Duration::ZERO)).after(nothing), Next::Suspend);
        let slow = Round { sent: 0, took: Duration::MAX / 2, dirty: u64::MAX };
        assert_eq!(rounds(Some(MS)).after(slow), Next::Round);
    }

    #[test]
    fn pauses_make_up_for_what_was_too_fast() {
        let mut pace = Pace::new(4096 * 1000);
        assert_eq!(pace.pause(100, 20 * MS), 80 * MS);
        assert_eq!(pace.pause(100, 100 * MS), 100 * MS);
        assert_eq!(pace.pause(100, 500 * MS), Duration::ZERO);
        assert_eq!(pace.pause(400, 500 * MS), 200 * MS, "time that was not used is not lost");
    }
}
