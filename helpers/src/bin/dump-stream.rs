//! `dump-stream`: prints what is in a saved or migrated guest's stream, record by record, as text or as JSON.
//!
//! It needs no Xen. The exit status is 0 for a whole stream, 1 if it ends early or breaks its format (what came before is
//! printed), 2 for a wrong call.

use clap::Parser;
use helpers::describe::{Description, describe};
use helpers::inherited;
use helpers::walk::{Format, walk};
use std::fs::File;
use std::io::{self, BufWriter, Cursor, Read, Write};
use std::process::ExitCode;

/// Print the records of a guest's stream: of xl, libxl and libxc
#[derive(Parser)]
#[command(name = "dump-stream", version)]
struct Options {
    /// File of `xl save`, or part of one from libxl's or libxc's header on (a number: that descriptor)
    #[arg(value_name = "FILE")]
    input: String,
    /// One JSON object for each record, a line each
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match dump(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("dump-stream: {}: {e}", options.input);
            ExitCode::FAILURE
        }
    }
}

fn dump(options: &Options) -> Result<(), String> {
    let input = inherited::open(&options.input).map_err(|e| e.to_string())?;
    let (format, input) = recognise(input).map_err(|e| e.to_string())?;
    let mut out = BufWriter::new(io::stdout().lock());
    // Whoever reads has seen enough: `| head`, `| grep -q`.
    let mut enough = false;
    let mut written = |done: io::Result<()>| {
        enough |= matches!(&done, Err(e) if e.kind() == io::ErrorKind::BrokenPipe);
        done.map_err(|e| format!("standard output: {e}"))
    };
    let walked =
        walk(input, format, &mut |offset, part| written(print(&mut out, &describe(offset, &part), options.json)));
    let flushed = written(out.flush());
    if enough { Ok(()) } else { flushed.and(walked.map_err(|e| e.to_string())) }
}

/// Which layer a stream begins with, by its first bytes.
fn recognise(mut input: File) -> io::Result<(Format, impl Read)> {
    let mut head = Vec::new();
    Read::by_ref(&mut input).take(8).read_to_end(&mut head)?;
    let format = match &head[..] {
        b"LibxlFmt" => Format::Libxl,
        [0xff, ..] => Format::Libxc,
        _ => Format::Xl,
    };
    Ok((format, Cursor::new(head).chain(input)))
}

fn print(out: &mut impl Write, part: &Description, json: bool) -> io::Result<()> {
    match json {
        true => writeln!(out, "{}", serde_json::to_string(part)?),
        false => write!(out, "{part}"),
    }
}
