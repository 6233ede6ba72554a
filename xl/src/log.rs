//! Messages of the toolstack on standard error.
//!
//! A whole logging framework would cost more instructions than `xl list` itself, so this is the smallest
//! subscriber that prints events: one line each, `xl: warning: ...`.

use crate::cli::Globals;
use nix::time::{ClockId, clock_gettime};
use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Starts printing the messages that `-v` asks for, with a time in front for `-T`.
pub(crate) fn init(globals: &Globals) {
    let level = match globals.verbose {
        0 => LevelFilter::INFO,
        1 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let printer = Printer { level, timestamps: globals.timestamps };
    tracing::subscriber::set_global_default(printer).expect("only main starts the log");
}

struct Printer {
    level: LevelFilter,
    timestamps: bool,
}

impl Subscriber for Printer {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = String::new();
        if self.timestamps {
            line.push_str(&stamp());
        }
        line.push_str(prefix(*event.metadata().level()));
        event.record(&mut Words(&mut line));
        line.push('\n');
        // A message that cannot be shown must not stop the work it tells of.
        let _ = io::stderr().write_all(line.as_bytes());
    }

    // Spans only group events; nothing here prints them.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn prefix(level: Level) -> &'static str {
    match level {
        Level::ERROR => "xl: ",
        Level::WARN => "xl: warning: ",
        Level::INFO => "",
        Level::DEBUG => "xl: debug: ",
        Level::TRACE => "xl: trace: ",
    }
}

/// Seconds since boot and the process id: what puts the lines of several processes in order.
fn stamp() -> String {
    let seconds = clock_gettime(ClockId::CLOCK_REALTIME).map(|t| (t.tv_sec(), t.tv_nsec() / 1_000_000));
    let (seconds, millis) = seconds.unwrap_or_default();
    format!("{seconds}.{millis:03} [{}] ", std::process::id())
}

/// Puts an event's message and fields in a line.
struct Words<'a>(&'a mut String);

impl Visit for Words<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}
