//! How far a long piece of work is: one line on a terminal, nothing elsewhere.

use std::io::{self, IsTerminal, Write};

/// The line. It is wiped when dropped.
pub(crate) struct Progress {
    terminal: bool,
    shown: bool,
}

impl Progress {
    /// Nothing to show yet.
    pub(crate) fn new() -> Progress {
        Progress { terminal: io::stderr().is_terminal(), shown: false }
    }

    /// Shows a step: `done` of `total`; both 0 for a step without a measure.
    pub(crate) fn show(&mut self, what: &str, done: u64, total: u64) {
        tracing::debug!("{}", line(what, done, total));
        if self.terminal {
            self.shown = true;
            // Progress that cannot be shown must not stop the work.
            let _ = write!(io::stderr(), "\r\x1b[K{}", line(what, done, total));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn line(what: &str, done: u64, total: u64) -> String {
    match total {
        0 => what.to_owned(),
        _ => format!("{what}: {done}/{total} {:3}%", u128::from(done) * 100 / u128::from(total)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_a_measure_where_there_is_one() {
        assert_eq!(line("Start of stream", 0, 0), "Start of stream");
        assert_eq!(line("Frames", 16_384, 1_044_480), "Frames: 16384/1044480   1%");
        assert_eq!(line("Frames", u64::MAX, u64::MAX), format!("Frames: {0}/{0} 100%", u64::MAX));
    }
}
