//! Progress lines on stderr: what is being done, and how long it has taken since the start.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Prints one line with the time since the first one.
pub(crate) fn say(line: &str) {
    eprintln!("[{:>6}] {line}", clock(START.elapsed()));
}

/// A duration as minutes and seconds: `1:05`.
pub(crate) fn clock(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_pads_seconds() {
        assert_eq!(clock(Duration::from_secs(65)), "1:05");
    }
}
