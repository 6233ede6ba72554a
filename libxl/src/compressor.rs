//! Running `libxl-stream-compress` between a guest's stream and where that goes to or comes from: compressing is work for
//! processors that copying leaves idle, and a process of its own can be stopped at any moment.

use crate::Ctx;
use crate::error::{Result, ResultExt};
use crate::event::Deadline;
use crate::exec::{Child, Program};
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::Stdio;
use std::str::FromStr;
use std::time::Duration;

/// How long it may take to end once it has all of the stream: it has megabytes in work, and its output may be slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a stream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// zstd, at a level from 1 to 22.
    Zstd(u8),
    /// LZ4: less work, larger.
    Lz4,
}

impl Compression {
    /// zstd's own default.
    const LEVEL: u8 = 3;
    const LEVEL_MAX: u8 = 22;

    fn arguments(self) -> Vec<String> {
        match self {
            Compression::Zstd(level) => vec!["zstd".into(), level.to_string()],
            Compression::Lz4 => vec!["lz4".into()],
        }
    }
}

impl FromStr for Compression {
    type Err = String;

    /// `zstd`, `zstd:LEVEL` or `lz4`.
    fn from_str(text: &str) -> std::result::Result<Compression, String> {
        match text.split_once(':') {
            None if text == "zstd" => Ok(Compression::Zstd(Self::LEVEL)),
            None if text == "lz4" => Ok(Compression::Lz4),
            Some(("zstd", level)) => match level.parse() {
                Ok(level @ 1..=Self::LEVEL_MAX) => Ok(Compression::Zstd(level)),
                _ => Err(format!("zstd has the levels 1 to {}", Self::LEVEL_MAX)),
            },
            Some(("lz4", _)) => Err("lz4 has no levels".into()),
            _ => Err("zstd, zstd:LEVEL or lz4".into()),
        }
    }
}

/// Compresses what is written to it.
pub(crate) struct Compressor {
    child: Child,
    pipe: PipeWriter,
}

impl Compressor {
    pub(crate) fn start(ctx: &Ctx, compression: Compression, to: BorrowedFd<'_>) -> Result<Compressor> {
        let (their_end, pipe) = io::pipe().context("a pipe to the compressor")?;
        let to = to.try_clone_to_owned().context("the compressed stream")?;
        let child = program(ctx, &compression.arguments()).stdin(their_end).stdout(to).spawn()?;
        Ok(Compressor { child, pipe })
    }

    /// Ends the stream; returns when all of it is written.
    pub(crate) fn finish(self, ctx: &Ctx) -> Result<()> {
        drop(self.pipe);
        self.child.wait_success(ctx, Deadline::after(PATIENCE))
    }
}

impl AsFd for Compressor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

/// Gives what was compressed, to be read.
pub(crate) struct Decompressor {
    child: Child,
    pipe: PipeReader,
}

impl Decompressor {
    pub(crate) fn start(ctx: &Ctx, from: BorrowedFd<'_>) -> Result<Decompressor> {
        let (pipe, their_end) = io::pipe().context("a pipe from the decompressor")?;
        let from = from.try_clone_to_owned().context("the compressed stream")?;
        let child = program(ctx, &["decompress".into()]).stdin(from).stdout(their_end).spawn()?;
        Ok(Decompressor { child, pipe })
    }

    /// Waits until it has found the stream's end, in order. Nothing after that is read.
    pub(crate) fn finish(self, ctx: &Ctx) -> Result<()> {
        drop(self.pipe);
        self.child.wait_success(ctx, Deadline::after(PATIENCE))
    }
}

impl AsFd for Decompressor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

fn program(ctx: &Ctx, arguments: &[String]) -> Program {
    let path = ctx.paths.libexec_bin.join("libxl-stream-compress");
    Program::new(&path).args(arguments).stderr(Stdio::inherit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_chosen_in_words() {
        let parse = |text: &str| text.parse::<Compression>();
        assert_eq!(parse("zstd"), Ok(Compression::Zstd(3)));
        assert_eq!(parse("zstd:19"), Ok(Compression::Zstd(19)));
        assert_eq!(parse("lz4"), Ok(Compression::Lz4));
        for wrong in ["", "gzip", "zstd:0", "zstd:23", "zstd:", "zstd:-1", "lz4:1", "ZSTD"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
