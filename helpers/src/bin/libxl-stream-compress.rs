//! `libxl-stream-compress`: compresses a guest's stream on its way, or decompresses it, for libxl.
//!
//! It reads standard input and writes standard output; what it cannot do it tells on standard error.

use clap::{Parser, Subcommand};
use helpers::compressed::{self, Method};
use helpers::sandbox;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::process::ExitCode;

/// Compresses or decompresses a guest's stream; not for use by hand.
#[derive(Parser)]
#[command(name = "libxl-stream-compress", version)]
struct Options {
    #[command(subcommand)]
    work: Work,
}

#[derive(Subcommand)]
enum Work {
    /// With zstd, at this level
    Zstd {
        #[arg(value_parser = clap::value_parser!(i32).range(1..=22))]
        level: i32,
    },
    /// With LZ4
    Lz4,
    /// Whichever way it was compressed
    Decompress,
}

fn main() -> ExitCode {
    match run(&Options::parse().work) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("libxl-stream-compress: {}", libxc::reason(&e));
            ExitCode::FAILURE
        }
    }
}

fn run(work: &Work) -> io::Result<()> {
    // Not through std's buffers: nothing may be read ahead.
    let from = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let to = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    match work {
        Work::Zstd { level } => compressed::compress(Method::Zstd(*level), from, to),
        Work::Lz4 => compressed::compress(Method::Lz4, from, to),
        Work::Decompress => {
            // The stream may come from anywhere, and libzstd is C.
            sandbox::confine()?;
            compressed::decompress(from, to)
        }
    }
}
