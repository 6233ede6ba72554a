//! When a live save stops copying beside the running guest, and how fast it copies until then.

use crate::types::PAGE_SIZE;
use std::time::Duration;

/// A round that left fewer pages than this written is the last one, as in stock libxc.
const DIRTY_ENOUGH: u64 = 50;
/// After so many rounds stock libxc suspends the guest, however much is left.
const ROUNDS: u32 = 5;
/// Many guests write in bursts: so many rounds more are there to meet a moment at which as little is left as in the best
/// of those rounds.
const ROUNDS_MORE: u32 = 5;
/// How many rounds a guest gets until what remains fits into the time that it may stand still.
const ROUNDS_MAX_TIMED: u32 = 30;

/// What a live save has to keep to; by default nothing.
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
    /// Pages that it sent; of the first, which looks at all numbers, those with content.
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
    /// The fewest pages that a round has left written.
    least: Option<u64>,
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
        if self.done == 1 {
            // The first round asked of all the numbers that have no page, too: another tells better what a page takes.
            (self.sent, self.took) = (0, Duration::ZERO);
        }
        self.done += 1;
        self.sent += round.sent;
        self.took += round.took;
        let Some(max_downtime) = self.max_downtime else { return self.after_unlimited(round.dirty) };
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

    fn after_unlimited(&mut self, dirty: u64) -> Next {
        let least = self.least.unwrap_or(u64::MAX);
        self.least = Some(least.min(dirty));
        let enough =
            dirty < DIRTY_ENOUGH || (self.done >= ROUNDS && dirty <= least) || self.done >= ROUNDS + ROUNDS_MORE;
        if enough { Next::Suspend } else { Next::Round }
    }

    /// How long so many pages take at the speed of the rounds so far.
    fn time_for(&self, pages: u64) -> Duration {
        let nanos = self.took.as_nanos().saturating_mul(pages.into()) / u128::from(self.sent.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// Keeps to a bandwidth.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    bytes_per_second: u64,
    /// When what was sent so far may all be sent, from the beginning.
    due: Duration,
}

impl Pace {
    /// Pages that are sent at once: a MiB, so that there are many pauses and none is long.
    pub(super) const PAGES: usize = 256;

    pub(super) fn new(bytes_per_second: u64) -> Pace {
        Pace { bytes_per_second: bytes_per_second.max(1), due: Duration::ZERO }
    }

    /// How long to wait after so many more pages, when `elapsed` is the time since the beginning. What time sending them
    /// took counts; but not what was left of the time before: that would make a burst.
    pub(super) fn pause(&mut self, pages: usize, elapsed: Duration) -> Duration {
        let nanos = (pages * PAGE_SIZE) as u128 * 1_000_000_000 / u128::from(self.bytes_per_second);
        let takes = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.due = self.due.max(elapsed.saturating_sub(takes)).saturating_add(takes);
        self.due.saturating_sub(elapsed)
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

    /// After how many rounds a guest is suspended that leaves so many pages written in each.
    fn rounds_until_suspended(dirty: [u64; 10]) -> usize {
        let mut busy = rounds(None);
        1 + dirty.into_iter().position(|dirty| busy.after(round(1000, dirty)) == Next::Suspend).unwrap()
    }

    #[test]
    fn a_guest_that_writes_evenly_is_suspended_when_stock_does_it() {
        assert_eq!(rounds_until_suspended([1000; 10]), 5);
        assert_eq!(rounds_until_suspended([900, 800, 700, 600, 500, 400, 300, 200, 100, 50]), 5);
        assert_eq!(rounds(None).after(round(1000, 49)), Next::Suspend);
        assert_eq!(rounds(None).after(round(1000, 50)), Next::Round);
    }

    #[test]
    fn a_guest_that_writes_in_bursts_is_suspended_between_two_but_not_waited_for_for_ever() {
        assert_eq!(rounds_until_suspended([2000, 1200, 300, 1300, 1250, 1300, 290, 1200, 1200, 1200]), 7);
        assert_eq!(rounds_until_suspended([2000, 50, 1200, 1200, 1200, 1200, 1200, 1200, 1200, 1200]), 10);
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
    fn what_the_first_round_took_counts_until_there_is_another() {
        let mut limited = rounds(Some(300 * MS));
        let first = Round { sent: 1000, took: Duration::from_secs(10), dirty: 31 };
        assert_eq!(limited.after(first), Next::Round, "310 ms");
        assert_eq!(limited.after(round(31, 300)), Next::Suspend);
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
        assert_eq!(pace.pause(400, 500 * MS), 400 * MS, "time that was not used makes no burst");
        assert_eq!(pace.pause(100, 950 * MS), 50 * MS);
    }
}
