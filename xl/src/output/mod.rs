//! What commands print: tables as stock xl prints them, and JSON.

pub(crate) mod bitmap;
pub(crate) mod devices;
pub(crate) mod domains;
pub(crate) mod host;
pub(crate) mod manual;
pub(crate) mod media;
pub(crate) mod pools;
pub(crate) mod progress;
pub(crate) mod small_devices;
pub(crate) mod usb;

use crate::failure::Failure;
use serde::Serialize;
use std::fmt;
use std::io::{self, Write};

/// Writes a command's whole output at once. A reader that has gone away is no failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    print_bytes(text.as_bytes())
}

/// As [`print`], for text that need not be UTF-8.
pub(crate) fn print_bytes(text: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(1, format!("writing the output: {}", libxc::reason(&e))))
        }
        _ => Ok(()),
    }
}

/// Writes a value as JSON (docs/json-output.md).
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Failure::new(1, format!("making JSON: {e}")))?;
    print(&(text + "\n"))
}

/// Writes a line to standard error, at once. With that gone there is nobody left to tell, and the work goes on.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Says on standard error why the command failed.
pub(crate) fn complain(failure: &Failure) {
    let text = failure.to_string();
    if !text.is_empty() {
        // With standard error gone too there is nobody left to tell.
        let _ = writeln!(io::stderr(), "{text}");
    }
}

/// The choice between a table and JSON.
#[derive(clap::Args)]
pub(crate) struct Format {
    /// Form of the output
    #[arg(short = 'o', long = "format", value_enum, default_value = "table", value_name = "FORM")]
    form: Form,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// As stock xl prints it
    Table,
    /// As docs/json-output.md describes
    Json,
}

impl Format {
    /// Whether JSON is asked for.
    pub(crate) fn is_json(&self) -> bool {
        self.form == Form::Json
    }
}
