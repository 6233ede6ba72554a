//! Running `libxl-stream-compress` between a guest's stream and where that goes to or comes from: compressing is work for
//! processors that copying leaves idle, and a process of its own can be stopped at any moment.

use crate::Ctx;
use crate::error::{Error, Result, ResultExt};
use crate::event::Deadline;
use crate::exec::{Child, Program};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::str::FromStr;
use std::time::Duration;

/// How long it may take to end once it has all of the stream: it has megabytes in work, and its output may be slow.
const PATIENCE: Duration = Duration::from_secs(60);
/// The most of its last words that is read.
const WORDS_MAX: u64 = 4096;

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
    worker: Worker,
    pipe: PipeWriter,
}

impl Compressor {
    pub(crate) fn start(ctx: &Ctx, compression: Compression, to: BorrowedFd<'_>) -> Result<Compressor> {
        let (their_end, pipe) = io::pipe().context("a pipe to the compressor")?;
        let to = to.try_clone_to_owned().context("the compressed stream")?;
        let worker = Worker::start(ctx, "compressing", &compression.arguments(), their_end.into(), to)?;
        Ok(Compressor { worker, pipe })
    }

    /// Ends the stream; returns when all of it is written.
    pub(crate) fn finish(self, ctx: &Ctx) -> Result<()> {
        drop(self.pipe);
        self.worker.end(ctx)
    }

    /// Why writing to it failed: if it is gone, its reason in place of the broken pipe.
    pub(crate) fn explain(self, ctx: &Ctx, error: Error) -> Error {
        match is_other_end_gone(self.pipe.as_fd(), PollFlags::POLLERR) {
            true => self.worker.end(ctx).err().unwrap_or(error),
            false => error,
        }
    }
}

impl AsFd for Compressor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

/// Gives what was compressed, to be read.
pub(crate) struct Decompressor {
    worker: Worker,
    pipe: PipeReader,
}

impl Decompressor {
    pub(crate) fn start(ctx: &Ctx, from: BorrowedFd<'_>) -> Result<Decompressor> {
        let (pipe, their_end) = io::pipe().context("a pipe from the decompressor")?;
        let from = from.try_clone_to_owned().context("the compressed stream")?;
        let worker = Worker::start(ctx, "decompressing", &["decompress".into()], from, their_end.into())?;
        Ok(Decompressor { worker, pipe })
    }

    /// Waits until it has found the stream's end, in order. Nothing after that is read.
    pub(crate) fn finish(self, ctx: &Ctx) -> Result<()> {
        drop(self.pipe);
        self.worker.end(ctx)
    }

    /// Why reading from it failed: if it is gone, its reason in place of the stream's early end.
    pub(crate) fn explain(self, ctx: &Ctx, error: Error) -> Error {
        match is_other_end_gone(self.pipe.as_fd(), PollFlags::POLLHUP) {
            true => self.worker.end(ctx).err().unwrap_or(error),
            false => error,
        }
    }
}

impl AsFd for Decompressor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

/// The process that does the work.
struct Worker {
    child: Child,
    /// What it says on its standard error: why it cannot go on.
    words: PipeReader,
    /// What it does, for errors.
    what: &'static str,
}

impl Worker {
    fn start(ctx: &Ctx, what: &'static str, arguments: &[String], from: OwnedFd, to: OwnedFd) -> Result<Worker> {
        let (words, their_words) = io::pipe().context("a pipe for the compressor's errors")?;
        let path = ctx.paths.libexec_bin.join("libxl-stream-compress");
        let child = Program::new(&path).args(arguments).stdin(from).stdout(to).stderr(their_words).spawn()?;
        Ok(Worker { child, words, what })
    }

    /// Waits for its end; if that is a failure, says why in its words, or else how it ended.
    fn end(self, ctx: &Ctx) -> Result<()> {
        let name = self.child.name().to_owned();
        let status = self.child.wait(ctx, Deadline::after(PATIENCE))?;
        if status.success() {
            return Ok(());
        }
        let mut words = Vec::new();
        self.words.take(WORDS_MAX).read_to_end(&mut words).context("reading the compressor's error")?;
        let words = String::from_utf8_lossy(&words);
        let reason = match words.lines().last() {
            Some(line) => line.strip_prefix("libxl-stream-compress: ").unwrap_or(line).to_owned(),
            None => format!("{name} failed ({status})"),
        };
        Err(Error::fail(reason).context(format!("{} the stream", self.what)))
    }
}

/// Whether nobody has the other end of a pipe any more; `sign` is how poll(2) tells that of this end.
fn is_other_end_gone(pipe: BorrowedFd<'_>, sign: PollFlags) -> bool {
    let mut fds = [PollFd::new(pipe, PollFlags::empty())];
    poll(&mut fds, PollTimeout::ZERO).is_ok() && fds[0].revents().is_some_and(|found| found.intersects(sign))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Paths;
    use std::fs::{self, File, Permissions};
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

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

    /// A context whose compressor is this shell script.
    fn ctx(dir: &tempfile::TempDir, script: &str) -> Ctx {
        let program = dir.path().join("libxl-stream-compress");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        Ctx::new(Paths { libexec_bin: dir.path().into(), ..Paths::installed("/usr".as_ref()) })
    }

    fn compressor(script: &str) -> (tempfile::TempDir, Ctx, Compressor) {
        let dir = tempfile::tempdir().unwrap();
        let ctx = ctx(&dir, script);
        let null = File::create("/dev/null").unwrap();
        let compressor = Compressor::start(&ctx, Compression::Lz4, null.as_fd()).unwrap();
        (dir, ctx, compressor)
    }

    /// Writes until that fails.
    fn fill(compressor: &Compressor) -> Error {
        let mut to = File::from(compressor.as_fd().try_clone_to_owned().unwrap());
        loop {
            if let Err(e) = to.write_all(&[0; 4096]) {
                return e.into();
            }
        }
    }

    #[test]
    fn a_compressor_that_cannot_go_on_says_why() {
        let (_dir, ctx, compressor) =
            compressor("head -c 10 > /dev/null; echo 'libxl-stream-compress: disk full' >&2; exit 1");
        let broken = fill(&compressor);
        assert_eq!(broken.to_string(), "Broken pipe");
        assert_eq!(compressor.explain(&ctx, broken).to_string(), "compressing the stream: disk full");
    }

    #[test]
    fn a_compressor_that_was_killed_is_named() {
        let (_dir, ctx, compressor) = compressor("kill -9 $$");
        let broken = fill(&compressor);
        let error = compressor.explain(&ctx, broken).to_string();
        assert!(error.starts_with("compressing the stream: /") && error.contains("SIGKILL"), "{error}");
    }

    #[test]
    fn what_failed_elsewhere_stays_the_cause() {
        let (_dir, ctx, compressor) = compressor("cat > /dev/null; exit 1");
        assert_eq!(compressor.explain(&ctx, Error::fail("no answer")).to_string(), "no answer");
    }

    #[test]
    fn a_decompressor_that_cannot_go_on_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let ctx = ctx(&dir, "echo 'libxl-stream-compress: damaged' >&2; exit 1");
        let null = File::open("/dev/null").unwrap();
        let decompressor = Decompressor::start(&ctx, null.as_fd()).unwrap();
        let mut from = File::from(decompressor.as_fd().try_clone_to_owned().unwrap());
        assert_eq!(from.read(&mut [0; 8]).unwrap(), 0);
        let error = decompressor.explain(&ctx, Error::fail("the stream ends too early"));
        assert_eq!(error.to_string(), "decompressing the stream: damaged");
    }
}
