//! A guest into a stream: libxl's records around what the save helper writes.

use super::suspend::Hold;
use super::{configuration, info};
use crate::error::{Error, Result, ResultExt};
use crate::event::{self, Deadline, Patient};
use crate::save_helper::{self, Checkpoint, Questions, no_checkpoints};
use crate::stream::{RecordHeader, RecordType, StreamHeader};
use crate::stream_filter::{Compression, Compressor};
use crate::types::DomainType;
use crate::{Ctx, dm};
use libxc::DomId;
use libxc::domain::DomainFlags;
use libxc::migrate::Limits;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// How to save.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Copy while the guest runs, and suspend it only for what it wrote last.
    pub live: bool,
    /// Send all memory twice, for the receiver to compare.
    pub verify: bool,
    /// Compress the stream ([`SaveFileHeader`](crate::stream::SaveFileHeader) has to say so), and leave zeros out of it.
    /// Stock's save helper cannot do that.
    pub compression: Option<Compression>,
    /// Give up if it is not done within this time.
    pub time_limit: Option<Duration>,
    /// What copying beside the running guest has to keep to. Stock's save helper knows no limits.
    pub limits: Limits,
}

/// Bits of the helper's `XCFLAGS` (xenguest.h).
const XCFLAGS_LIVE: u32 = 1 << 0;
const XCFLAGS_DEBUG: u32 = 1 << 1;
/// The questions that the save helper may ask, a bit for the number of each message, and those more in a stream with
/// checkpoints.
const CALLBACKS: u32 = 1 << 3 | 1 << 7;
const CHECKPOINT_CALLBACKS: u32 = 1 << 4 | 1 << 5;

/// Saves a guest into a stream and leaves it suspended (`libxl_domain_suspend`): whoever calls destroys it or lets it go
/// on ([`Hold::resume`]). `progress` is told how far it is.
///
/// # Errors
/// The guest runs on then, in the place that it never left; what kept it from that is told in the error's notes. One that
/// was suspended before stays so.
pub fn save(
    ctx: &Ctx,
    hold: &Hold,
    out: BorrowedFd<'_>,
    options: Options,
    progress: &mut dyn FnMut(&str, u64, u64),
) -> Result<()> {
    let step = || format!("saving domain {}", hold.domid());
    check(ctx, hold.domid()).with_context(step)?;
    let deadline = options.time_limit.map_or(Deadline::NEVER, Deadline::after);
    compressed(ctx, hold, out, options, deadline, progress)
        .and_then(|()| hold.check(ctx))
        .map_err(|e| hold.fail(ctx, e))
        .with_context(step)
}

/// Refuses what could only fail after the guest was suspended.
pub(super) fn check(ctx: &Ctx, domid: DomId) -> Result<()> {
    let config = configuration::current(ctx, domid)?;
    if !config.b_info.vnuma_nodes.is_empty() {
        return Err(Error::fail("it has virtual NUMA nodes (vnuma=), which no stream can hold"));
    }
    if is_hvm(ctx, domid)? { dm::hvm::check(&config) } else { Ok(()) }
}

fn is_hvm(ctx: &Ctx, domid: DomId) -> Result<bool> {
    Ok(info::kind(ctx, &info::get(ctx, domid)?)? == DomainType::Hvm)
}

fn compressed(
    ctx: &Ctx,
    hold: &Hold,
    out: BorrowedFd<'_>,
    options: Options,
    deadline: Deadline,
    progress: &mut dyn FnMut(&str, u64, u64),
) -> Result<()> {
    let Some(compression) = options.compression else {
        return stream(ctx, hold, out, options, None, deadline, progress);
    };
    let compressor = Compressor::start(ctx, compression, out)?;
    match stream(ctx, hold, compressor.as_fd(), options, None, deadline, progress) {
        Ok(()) => compressor.finish(ctx, deadline),
        Err(e) => Err(compressor.explain(ctx, e)),
    }
}

/// What a stream with checkpoints goes by, and how far it is.
pub(super) struct Checkpoints<'a> {
    /// How long the guest runs between two.
    pub interval: Duration,
    /// How many were written, or begun to be.
    pub written: u64,
    /// Told just before the first is whole.
    pub first: &'a mut dyn FnMut(),
}

/// Writes the stream. One with checkpoints has no other end than an error.
pub(super) fn stream(
    ctx: &Ctx,
    hold: &Hold,
    out: BorrowedFd<'_>,
    options: Options,
    checkpoints: Option<&mut Checkpoints<'_>>,
    deadline: Deadline,
    progress: &mut dyn FnMut(&str, u64, u64),
) -> Result<()> {
    let out_file = File::from(out.try_clone_to_owned().context("the stream")?);
    let mut to = Patient::new(ctx, &out_file, deadline);
    to.write_all(&StreamHeader::default().encode()).context(WRITING)?;
    to.write_all(&record(RecordType::LibxcContext)).context(WRITING)?;
    let domid = hold.domid();
    let hvm = is_hvm(ctx, domid)?;
    let leaves = options.live && checkpoints.is_none();
    let arguments = arguments(domid, options, checkpoints.is_some());
    let mut questions = Saving { ctx, hold, hvm, leaves, checkpoints, deadline, to, device_model: None, progress };
    save_helper::run(ctx, "--save-domain", out, &arguments, &mut questions, deadline)?;
    questions.libxls_records(RecordType::End)
}

/// The step in errors.
const WRITING: &str = "writing the stream";

/// What the helper is told: no back channel, the domain, flags, questions, whether the stream has checkpoints; then what
/// stock's helper does not know. Who reads a compressed stream makes zeros of what is left out.
fn arguments(domid: DomId, options: Options, checkpoints: bool) -> Vec<String> {
    let flag = |set: bool, flag: u32| if set { flag } else { 0 };
    let flags = flag(options.live, XCFLAGS_LIVE) | flag(options.verify, XCFLAGS_DEBUG);
    let extra = [
        options.compression.map(|_| "--omit-zeros".into()),
        options.limits.max_downtime.map(|limit| format!("--max-downtime={}", limit.as_millis())),
        options.limits.bandwidth.map(|limit| format!("--bandwidth={limit}")),
    ];
    let callbacks = if checkpoints { CALLBACKS | CHECKPOINT_CALLBACKS } else { CALLBACKS };
    let numbers = [domid.0.into(), flags, callbacks, checkpoints.into()].map(|number| number.to_string());
    let stocks = ["-1".into()].into_iter().chain(numbers);
    stocks.into_iter().chain(extra.into_iter().flatten()).collect()
}

/// A record without a body.
fn record(kind: RecordType) -> [u8; RecordHeader::SIZE] {
    RecordHeader { kind, length: 0 }.encode()
}

struct Saving<'a, 'b> {
    ctx: &'a Ctx,
    hold: &'a Hold,
    hvm: bool,
    /// Whether it will not go on here.
    leaves: bool,
    checkpoints: Option<&'a mut Checkpoints<'b>>,
    deadline: Deadline,
    /// The stream, for libxl's own records.
    to: Patient<'a>,
    /// The state of an HVM guest's device model, once the guest stands still.
    device_model: Option<dm::hvm::State>,
    progress: &'a mut dyn FnMut(&str, u64, u64),
}

impl Saving<'_, '_> {
    /// A guest that is paused has nothing new for another checkpoint: whoever paused it lets it go on, or is about to destroy it.
    fn wait_while_paused(&self) -> Result<()> {
        let Some(checkpoints) = &self.checkpoints else { return Ok(()) };
        while info::get(self.ctx, self.hold.domid())?.flags.contains(DomainFlags::PAUSED) {
            event::wait(self.ctx, &[], Deadline::after(checkpoints.interval))?;
        }
        Ok(())
    }

    /// What comes behind libxc's part of the stream, up to the record that ends it.
    fn libxls_records(&mut self, end: RecordType) -> Result<()> {
        if let Some(state) = self.device_model.take() {
            state.write(&mut self.to).context(WRITING)?;
        }
        self.to.write_all(&record(end)).context(WRITING)
    }
}

impl Questions for Saving<'_, '_> {
    fn suspend(&mut self) -> Result<()> {
        self.wait_while_paused()?;
        self.hold.suspend(self.ctx, self.deadline)?;
        if self.hvm {
            self.device_model = Some(dm::hvm::State::of(self.ctx, self.hold.domid(), self.leaves)?);
        }
        Ok(())
    }

    /// PV and PVH guests have no device model that writes to their memory unseen.
    fn log_dirty_devices(&mut self, enable: bool) -> Result<()> {
        if self.hvm { dm::hvm::log_dirty(self.ctx, self.hold.domid(), enable) } else { Ok(()) }
    }

    fn static_data_done(&mut self, _missing: u32) -> Result<()> {
        Err(Error::fail("the save helper asks what only a restore asks"))
    }

    fn go_on(&mut self) -> Result<()> {
        match self.checkpoints {
            Some(_) => self.hold.resume(self.ctx),
            None => Err(no_checkpoints()),
        }
    }

    fn checkpoint(&mut self) -> Result<Checkpoint> {
        let checkpoints = self.checkpoints.as_mut().ok_or_else(no_checkpoints)?;
        if checkpoints.written == 0 {
            (checkpoints.first)();
        }
        checkpoints.written += 1;
        let interval = checkpoints.interval;
        self.libxls_records(RecordType::CheckpointEnd)?;
        event::wait(self.ctx, &[], Deadline::after(interval))?;
        Ok(Checkpoint::Whole)
    }

    fn progress(&mut self, what: &str, done: u64, total: u64) {
        (self.progress)(what, done, total);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_helpers_arguments_are_those_of_stock_libxl() {
        // --save-domain 14 11 1 0 136 0, seen with stock; the back channel is used by COLO only.
        assert_eq!(arguments(DomId(1), Options::default(), false), ["-1", "1", "0", "136", "0"]);
        let limits = Limits { max_downtime: Some(Duration::from_millis(300)), bandwidth: Some(9) };
        let limited = arguments(DomId(7), Options { limits, ..Options::default() }, false);
        assert_eq!(limited[5..], ["--max-downtime=300", "--bandwidth=9"]);
        let compressed =
            arguments(DomId(7), Options { compression: Some(Compression::Lz4), ..Options::default() }, false);
        assert_eq!(compressed[5..], ["--omit-zeros"]);
        assert_eq!(arguments(DomId(7), Options { live: true, verify: true, ..Options::default() }, false)[2], "3");
        let remus = arguments(DomId(7), Options { live: true, ..Options::default() }, true);
        assert_eq!(remus, ["-1", "7", "1", "184", "1"]);
    }
}
