//! How far a long piece of work is: one line on a terminal, JSON events where they were asked for, nothing elsewhere.

use super::Format;
use crate::cli::Globals;
use serde::Serialize;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often a step is told that goes on.
const EVERY: Duration = Duration::from_millis(250);

/// Tells how far the work is. The line on the terminal is wiped when this is dropped.
pub(crate) struct Progress {
    form: Form,
    meter: Meter,
    shown: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Terminal,
    Json,
    Log,
}

impl Progress {
    /// Nothing to show yet. With `xl -t` standard error is taken for a terminal.
    pub(crate) fn new(globals: &Globals) -> Progress {
        let terminal = globals.progress_by_cr || io::stderr().is_terminal();
        Progress::of(if terminal { Form::Terminal } else { Form::Log })
    }

    /// As events on standard output, if this is the format asked for.
    pub(crate) fn in_format(format: &Format, globals: &Globals) -> Progress {
        match format.is_json() {
            true => Progress::of(Form::Json),
            false => Progress::new(globals),
        }
    }

    fn of(form: Form) -> Progress {
        Progress { form, meter: Meter::default(), shown: false }
    }

    /// Shows a step: `done` of `total` pages; both 0 for a step without a measure.
    pub(crate) fn show(&mut self, what: &str, done: u64, total: u64) {
        tracing::debug!("{what}: {done}/{total}");
        if self.form == Form::Log {
            return;
        }
        let Some(event) = self.meter.look(Instant::now(), what, done, total) else { return };
        // Progress that cannot be shown must not stop the work.
        let _ = match self.form {
            Form::Json => tell(&event),
            _ => {
                self.shown = true;
                write!(io::stderr(), "\r\x1b[K{}", line(&event))
            }
        };
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn tell(event: &Event<'_>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(event)?)?;
    out.flush()
}

/// What is told of a step (docs/json-output.md).
#[derive(Debug, PartialEq, Serialize)]
struct Event<'a> {
    step: &'a str,
    /// Of a live migration: which pass over the guest's memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    round: Option<u32>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    measure: Option<Measure>,
    /// After such a pass: what the guest has written meanwhile.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    dirty: Option<Dirty>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Dirty {
    dirty_pages: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dirty_pages_per_second: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Measure {
    done_pages: u64,
    total_pages: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pages_per_second: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining_seconds: Option<u64>,
}

/// How fast a step goes, and when it was last told.
#[derive(Default)]
struct Meter {
    step: String,
    began: Option<(Instant, u64)>,
    told: Option<Instant>,
}

impl Meter {
    /// What to tell now, if anything: steps that begin or end, and others from time to time.
    fn look<'a>(&mut self, now: Instant, step: &'a str, done: u64, total: u64) -> Option<Event<'a>> {
        if let Some(round) = number_after(step, "Written during iteration ") {
            let rate = self.began.and_then(|(began, _)| rate(done, now.duration_since(began)));
            let dirty = Dirty { dirty_pages: done, dirty_pages_per_second: rate };
            return Some(Event { step, round: Some(round), measure: None, dirty: Some(dirty) });
        }
        if self.step != step {
            *self = Meter { step: step.to_owned(), began: Some((now, done)), told: None };
        }
        let due = self.told.is_none_or(|told| now.duration_since(told) >= EVERY) || done == total;
        due.then(|| {
            self.told = Some(now);
            let round = number_after(step, "Frames iteration ");
            Event { step, round, measure: (total > 0).then(|| self.measure(now, done, total)), dirty: None }
        })
    }

    fn measure(&self, now: Instant, done: u64, total: u64) -> Measure {
        let rate = self.began.and_then(|(began, from)| rate(done.saturating_sub(from), now.duration_since(began)));
        let left = total.saturating_sub(done);
        Measure {
            done_pages: done,
            total_pages: total,
            pages_per_second: rate,
            remaining_seconds: rate.map(|rate| left.div_ceil(rate)),
        }
    }
}

/// So many pages in this time, a second; none where that cannot be told.
fn rate(pages: u64, time: Duration) -> Option<u64> {
    let rate = (u128::from(pages) * 1000).checked_div(time.as_millis())?;
    u64::try_from(rate).ok().filter(|rate| *rate > 0)
}

fn number_after(step: &str, words: &str) -> Option<u32> {
    step.strip_prefix(words)?.parse().ok()
}

fn line(event: &Event<'_>) -> String {
    if let Some(Dirty { dirty_pages, dirty_pages_per_second: rate }) = event.dirty {
        return format!("{}: {dirty_pages} pages, {} pages/s", event.step, rate.unwrap_or_default());
    }
    let Some(measure) = &event.measure else { return event.step.to_owned() };
    let Measure { done_pages: done, total_pages: total, .. } = *measure;
    let percent = u128::from(done) * 100 / u128::from(total);
    let mut line = format!("{}: {done}/{total} {percent:3}%", event.step);
    if let (Some(rate), Some(left)) = (measure.pages_per_second, measure.remaining_seconds) {
        line += &format!(", {rate} pages/s, {left} s left");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    #[test]
    fn a_step_tells_its_rate_and_what_remains() {
        let (mut meter, start) = (Meter::default(), Instant::now());
        let first = meter.look(start, "Frames iteration 2", 1000, 5000).unwrap();
        assert_eq!(line(&first), "Frames iteration 2: 1000/5000  20%");
        assert!(meter.look(at(start, 100), "Frames iteration 2", 1500, 5000).is_none(), "too soon");
        let second = meter.look(at(start, 2000), "Frames iteration 2", 2000, 5000).unwrap();
        assert_eq!(line(&second), "Frames iteration 2: 2000/5000  40%, 500 pages/s, 6 s left");
        assert_eq!(
            serde_json::to_string(&second).unwrap(),
            "{\"step\":\"Frames iteration 2\",\"round\":2,\"done_pages\":2000,\"total_pages\":5000,\
             \"pages_per_second\":500,\"remaining_seconds\":6}"
        );
        assert!(meter.look(at(start, 2001), "Frames iteration 2", 5000, 5000).is_some(), "the end is told");
        let dirty = meter.look(at(start, 4000), "Written during iteration 2", 800, 5000).unwrap();
        assert_eq!(line(&dirty), "Written during iteration 2: 800 pages, 200 pages/s");
        assert_eq!(
            serde_json::to_string(&dirty).unwrap(),
            "{\"step\":\"Written during iteration 2\",\"round\":2,\"dirty_pages\":800,\"dirty_pages_per_second\":200}"
        );
    }

    #[test]
    fn one_line_is_drawn_where_xl_t_asks_for_it() {
        let mut by_cr = Globals::default();
        by_cr.progress_by_cr = true;
        assert!(Progress::new(&by_cr).form == Form::Terminal);
    }

    #[test]
    fn steps_without_a_measure_are_told_by_name() {
        let mut meter = Meter::default();
        let event = meter.look(Instant::now(), "Domain now suspended", 0, 0).unwrap();
        assert_eq!(line(&event), "Domain now suspended");
        assert_eq!(serde_json::to_string(&event).unwrap(), "{\"step\":\"Domain now suspended\"}");
    }

    #[test]
    fn numbers_at_their_limits_are_told_too() {
        let mut meter = Meter::default();
        let event = meter.look(Instant::now(), "Frames", u64::MAX, u64::MAX).unwrap();
        assert_eq!(line(&event), format!("Frames: {0}/{0} 100%", u64::MAX));
    }
}
