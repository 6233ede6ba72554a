//! `convert-legacy-stream`: turns the stream of a Xen before 4.6 into one of today.
//!
//! The command line is that of stock Xen's tool, which libxl starts for such a file. Exit status 0 on success, 1 where
//! the stream is at fault or the options are incomplete.

use clap::{Parser, ValueEnum};
use helpers::input::Fault;
use helpers::legacy::{Wanted, convert};
use helpers::{inherited, log::Log, sandbox};
use libxc::stream::GuestKind;
use std::fs::File;
use std::io::{self, BufWriter};
use std::os::fd::RawFd;
use std::process::ExitCode;

/// Convert a legacy stream to a v2 (or later) stream
#[derive(Parser)]
#[command(name = "convert-legacy-stream", version)]
struct Options {
    /// Legacy input to convert
    #[arg(short, long = "in", value_name = "FD or FILE")]
    input: String,
    /// v2 (or later) format output
    #[arg(short, long = "out", value_name = "FD or FILE")]
    output: String,
    /// Legacy toolstack bitness
    #[arg(short, long, value_name = "32/64", value_parser = ["32", "64"])]
    width: String,
    /// Type of guest in stream
    #[arg(short, long, visible_alias = "guest", value_name = "pv/hvm")]
    guest_type: Guest,
    /// Desired format of the outgoing stream
    #[arg(short, long, default_value = "libxc")]
    format: Output,
    /// Summarise stream contents
    #[arg(short, long)]
    verbose: bool,
    /// An `xl` header is present in the stream
    #[arg(short, long)]
    xl: bool,
    /// Skip processing of the qemu tail
    #[arg(long)]
    skip_qemu: bool,
    /// Log to syslog instead of stdout
    #[arg(long)]
    syslog: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Guest {
    Pv,
    Hvm,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Output {
    Libxc,
    Libxl,
}

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(e) => {
            let incomplete = e.kind() == clap::error::ErrorKind::MissingRequiredArgument;
            let status = if incomplete { 1 } else { e.exit_code() as u8 };
            e.print().ok();
            return ExitCode::from(status);
        }
    };
    let log = Log::new("convert-legacy-stream", options.syslog);
    match run(&options, &log) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            log.error(&described(&options.input, &e));
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options, log: &Log) -> Result<(), Fault> {
    let input = inherited::open(&options.input)?;
    let output = BufWriter::with_capacity(1 << 20, open_output(&options.output)?);
    sandbox::confine()?; // The stream may come from anywhere.
    let wanted = Wanted {
        width: if options.width == "32" { 4 } else { 8 },
        guest: match options.guest_type {
            Guest::Pv => GuestKind::Pv,
            Guest::Hvm => GuestKind::Hvm,
        },
        libxl: options.format == Output::Libxl,
        save_file: options.xl,
        skip_qemu: options.skip_qemu,
    };
    convert(input, output, wanted, &mut |line| {
        if options.verbose {
            log.info(&line);
        }
    })
}

/// A fault with the name of the file, if the input has one.
fn described(input: &str, fault: &Fault) -> String {
    match input.parse::<RawFd>() {
        Ok(_) => fault.to_string(),
        Err(_) => format!("{input}: {fault}"),
    }
}

fn open_output(name: &str) -> io::Result<File> {
    match name.parse::<RawFd>() {
        Ok(number) => inherited::take(number).map(File::from),
        Err(_) => File::create(name),
    }
}
