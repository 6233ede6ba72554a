//! Programs between a guest's stream and where it goes to or comes from: `libxl-stream-compress`, because compressing is
//! work for processors that copying leaves idle, and `convert-legacy-stream` for what Xen before 4.6 wrote. A process of
//! its own can be stopped at any moment, and has no rights that what it reads could abuse.

use crate::Ctx;
use crate::error::{Error, Result, ResultExt};
use crate::event::Deadline;
use crate::exec::{Child, Program};
use crate::types::DomainType;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::ffi::OsStr;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// How long a decoder may take to end once it has said all of the stream, and one that failed to say why.
const PATIENCE: Duration = Duration::from_secs(60);
/// The most of its last words that is read.
const WORDS_MAX: u64 = 4096;

/// How a stream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// zstd, at a level from 1 to 19.
    Zstd(u8),
    /// LZ4: less work, larger.
    Lz4,
}

impl Compression {
    /// zstd's own default.
    const LEVEL: u8 = 3;
    /// Those above need a gigabyte of memory for each processor (zstd(1), `--ultra`).
    const LEVEL_MAX: u8 = 19;

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
        let program = Program::new(&compress_helper(ctx)).args(compression.arguments()).stdin(their_end).stdout(to);
        Ok(Compressor { worker: Worker::start("compressing", program)?, pipe })
    }

    /// Ends the stream; returns when all of it is written. It has megabytes in work, and its output may be slow.
    pub(crate) fn finish(self, ctx: &Ctx, deadline: Deadline) -> Result<()> {
        drop(self.pipe);
        self.worker.end(ctx, deadline)
    }

    /// Why writing to it failed: if it is gone, its reason in place of the broken pipe.
    pub(crate) fn explain(self, ctx: &Ctx, error: Error) -> Error {
        match is_other_end_gone(self.pipe.as_fd(), PollFlags::POLLERR) {
            true => self.worker.end(ctx, Deadline::after(PATIENCE)).err().unwrap_or(error),
            false => error,
        }
    }
}

impl AsFd for Compressor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

/// Gives libxl's stream, to be read, out of one that stands in another form.
pub(crate) struct Decoder {
    worker: Worker,
    pipe: PipeReader,
}

impl Decoder {
    /// Out of a compressed one. Nothing after its end is read.
    pub(crate) fn decompress(ctx: &Ctx, from: BorrowedFd<'_>) -> Result<Decoder> {
        let program = Program::new(&compress_helper(ctx)).arg("decompress");
        Decoder::start("decompressing", program, from)
    }

    /// Out of a legacy one, which says neither what kind of guest is in it nor the word size of the toolstack that wrote
    /// it: that is taken to be this one's, as stock libxl does. What follows its end may be read, too.
    pub(crate) fn convert(ctx: &Ctx, from: BorrowedFd<'_>, guest: DomainType) -> Result<Decoder> {
        let guest = if guest == DomainType::Hvm { "hvm" } else { "pv" };
        let width = usize::BITS.to_string();
        let options = ["--in", "0", "--out", "1", "--width", &width, "--guest", guest, "--format", "libxl"];
        Decoder::start("converting", Program::new(&ctx.paths.convert_helper).args(options), from)
    }

    fn start(what: &'static str, program: Program, from: BorrowedFd<'_>) -> Result<Decoder> {
        let (pipe, their_end) = io::pipe().with_context(|| format!("a pipe for {what} the stream"))?;
        let from = from.try_clone_to_owned().context("the stream")?;
        Ok(Decoder { worker: Worker::start(what, program.stdin(from).stdout(their_end))?, pipe })
    }

    /// Waits until it has found the stream's end, in order.
    pub(crate) fn finish(self, ctx: &Ctx) -> Result<()> {
        drop(self.pipe);
        self.worker.end(ctx, Deadline::after(PATIENCE))
    }

    /// Why reading from it failed: if it is gone, its reason in place of the stream's early end.
    pub(crate) fn explain(self, ctx: &Ctx, error: Error) -> Error {
        match is_other_end_gone(self.pipe.as_fd(), PollFlags::POLLHUP) {
            true => self.worker.end(ctx, Deadline::after(PATIENCE)).err().unwrap_or(error),
            false => error,
        }
    }
}

impl AsFd for Decoder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

fn compress_helper(ctx: &Ctx) -> PathBuf {
    ctx.paths.libexec_bin.join("libxl-stream-compress")
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
    fn start(what: &'static str, program: Program) -> Result<Worker> {
        let (words, their_words) = io::pipe().with_context(|| format!("a pipe for {what} the stream"))?;
        Ok(Worker { child: program.stderr(their_words).spawn()?, words, what })
    }

    /// Waits for its end; if that is a failure, says why in its words, or else how it ended.
    fn end(self, ctx: &Ctx, deadline: Deadline) -> Result<()> {
        let name = self.child.name().to_owned();
        let status = self.child.wait(ctx, deadline)?;
        if status.success() {
            return Ok(());
        }
        let mut words = Vec::new();
        self.words.take(WORDS_MAX).read_to_end(&mut words).with_context(|| format!("reading the error of {name}"))?;
        let words = String::from_utf8_lossy(&words);
        let reason = match words.lines().last() {
            Some(line) => without_name(line, &name).to_owned(),
            None => format!("{name} failed ({status})"),
        };
        Err(Error::fail(reason).context(format!("{} the stream", self.what)))
    }
}

/// A program's line without the program's name at its beginning.
fn without_name<'a>(line: &'a str, program: &str) -> &'a str {
    let name = Path::new(program).file_name().and_then(OsStr::to_str);
    name.and_then(|name| line.strip_prefix(name)).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(line)
}

/// Whether nobody has the other end of a pipe any more; `sign` is how poll(2) tells that of this end.
pub(crate) fn is_other_end_gone(pipe: BorrowedFd<'_>, sign: PollFlags) -> bool {
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
        for wrong in ["", "gzip", "zstd:0", "zstd:20", "zstd:", "zstd:-1", "lz4:1", "ZSTD"] {
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

    /// Hears what a decoder says of itself when its stream ends at once.
    fn ends_early(ctx: &Ctx, decoder: Decoder) -> String {
        let mut from = File::from(decoder.as_fd().try_clone_to_owned().unwrap());
        assert_eq!(from.read(&mut [0; 8]).unwrap(), 0);
        decoder.explain(ctx, Error::fail("the stream ends too early")).to_string()
    }

    #[test]
    fn a_decompressor_that_cannot_go_on_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let ctx = ctx(&dir, "echo 'libxl-stream-compress: damaged' >&2; exit 1");
        let decoder = Decoder::decompress(&ctx, File::open("/dev/null").unwrap().as_fd()).unwrap();
        assert_eq!(ends_early(&ctx, decoder), "decompressing the stream: damaged");
    }

    #[test]
    fn a_converter_is_told_the_guests_kind_and_says_why_it_cannot_go_on() {
        let dir = tempfile::tempdir().unwrap();
        let mut ctx = ctx(&dir, "echo Traceback >&2; echo \"$*\" >&2; exit 1");
        ctx.paths.convert_helper = dir.path().join("libxl-stream-compress");
        let null = File::open("/dev/null").unwrap();
        for (kind, guest) in [(DomainType::Pv, "pv"), (DomainType::Hvm, "hvm")] {
            let decoder = Decoder::convert(&ctx, null.as_fd(), kind).unwrap();
            let expected =
                format!("converting the stream: --in 0 --out 1 --width {} --guest {guest} --format libxl", usize::BITS);
            assert_eq!(ends_early(&ctx, decoder), expected);
        }
    }
}
