//! Saving: the guest's state from Xen into a stream, while it runs or once it is suspended.

use super::hvm;
use super::memory_out::MemoryOut;
use super::{During, Error, Result};
use crate::domain::ShutdownReason;
use crate::foreign_io::{Piece, write_pieces};
use crate::logdirty::DirtyBitmap;
use crate::stream::x86::TscInfo;
use crate::stream::{DomainHeader, GuestKind, ImageHeader, RecordType, record};
use crate::{DomId, Xc};
use std::os::fd::BorrowedFd;

/// When a live save stops copying beside the running guest: after this many rounds.
const ROUNDS_MAX: u32 = 5;
/// Or when a round left fewer pages than this written.
const DIRTY_ENOUGH: u64 = 50;

/// What to save, and how.
#[derive(Clone, Copy, Debug)]
pub struct SaveOptions {
    /// The guest.
    pub domid: DomId,
    /// Copy while it runs, and suspend it only for what it wrote last.
    pub live: bool,
    /// Send all memory again at the end, for the receiver to compare.
    pub verify: bool,
}

/// What a save needs from the rest of the toolstack.
pub trait SaveControl {
    /// Suspends the guest; returns once it has.
    fn suspend(&mut self) -> Result<()>;
    /// Makes the device model note what it writes, or stop noting.
    fn log_dirty_devices(&mut self, enable: bool) -> Result<()>;
    /// How far things are: `done` of `total` pages; both 0 for a mere step.
    fn progress(&mut self, what: &str, done: u64, total: u64);
}

/// Saves a guest into the stream behind `out`. The guest is left suspended; whether it goes on is the caller's to decide.
pub fn save(xc: &Xc, out: BorrowedFd<'_>, options: SaveOptions, control: &mut dyn SaveControl) -> Result<()> {
    let info = xc.domain(options.domid).during("finding the domain")?;
    let info = info.ok_or_else(|| Error::State(format!("domain {} does not exist", options.domid)))?;
    if !info.flags.contains(crate::domain::DomainFlags::HVM) {
        return Err(Error::State(format!("domain {}: saving a PV guest is not built yet", options.domid)));
    }
    let mut save = Save { xc, out, options, control };
    save.control.log_dirty_devices(true)?;
    let result = save.whole_stream();
    // The guest must not go on paying for the noting, whatever happened.
    let stopped = if options.live { xc.disable_log_dirty(options.domid) } else { Ok(()) };
    let devices = save.control.log_dirty_devices(false);
    result?;
    stopped.during("ending the log of written pages")?;
    devices
}

struct Save<'a> {
    xc: &'a Xc,
    out: BorrowedFd<'a>,
    options: SaveOptions,
    control: &'a mut dyn SaveControl,
}

impl Save<'_> {
    fn whole_stream(&mut self) -> Result<()> {
        self.control.progress("Start of stream", 0, 0);
        self.headers()?;
        self.static_data()?;
        let pages = self.xc.max_gpfn(self.options.domid).during("measuring the guest's memory")?.0 + 1;
        if self.options.live {
            self.memory_live(pages)?;
        } else {
            self.suspend()?;
            self.control.progress("Frames", 0, pages);
            MemoryOut::new(self.xc, self.options.domid, self.out)?.send(0..pages, pages, "Frames", self.control)?;
        }
        self.end_state()?;
        self.control.progress("End of stream", 0, 0);
        self.record(RecordType::End, &[])?;
        self.control.progress("Complete", 0, 0);
        Ok(())
    }

    fn headers(&mut self) -> Result<()> {
        let (major, minor) = self.xc.version_number().during("asking Xen for its version")?;
        let domain = DomainHeader { kind: GuestKind::Hvm, xen_major: major, xen_minor: minor };
        let pieces = [&ImageHeader::CURRENT.encode()[..], &domain.encode()];
        write_pieces(self.out, &pieces.map(Piece::Own)).during("writing the stream's headers")
    }

    /// What never changes while the guest runs.
    fn static_data(&mut self) -> Result<()> {
        for (kind, body) in hvm::policy_records(self.xc, self.options.domid)? {
            self.record(kind, &body)?;
        }
        self.record(RecordType::StaticDataEnd, &[])
    }

    /// Round after round what the running guest wrote, until little is left; then that, with the guest suspended.
    fn memory_live(&mut self, pages: u64) -> Result<()> {
        let domid = self.options.domid;
        self.xc.enable_log_dirty(domid).during("beginning the log of written pages")?;
        let mut dirty = DirtyBitmap::full(self.xc, pages).during("making room for the log of written pages")?;
        let mut memory = MemoryOut::new(self.xc, domid, self.out)?;
        let mut to_send = pages;
        let mut round = 0;
        while round < ROUNDS_MAX && to_send >= DIRTY_ENOUGH {
            memory.send(dirty.iter(), to_send, &format!("Frames iteration {round}"), self.control)?;
            let stats = self.xc.take_dirty(domid, &mut dirty, false).during("reading the log of written pages")?;
            to_send = stats.dirty.into();
            round += 1;
        }
        // What the last look told is not sent yet: it joins what is written until the guest stands still.
        let mut unsent: Vec<u64> = dirty.iter().collect();
        self.suspend()?;
        let stats = self.xc.take_dirty(domid, &mut dirty, true).during("reading the log of written pages")?;
        unsent.drain(..).chain(memory.take_deferred()).for_each(|page| dirty.set(page));
        let total = to_send + u64::from(stats.dirty);
        memory.send(dirty.iter(), total, &format!("Frames iteration {round}"), self.control)?;
        if self.options.verify {
            self.record(RecordType::Verify, &[])?;
            memory.send(0..pages, pages, "Frames verify", self.control)?;
        }
        Ok(())
    }

    /// Suspends the guest and makes sure of it.
    fn suspend(&mut self) -> Result<()> {
        self.control.suspend()?;
        let domid = self.options.domid;
        let info = self.xc.domain(domid).during("looking at the suspended domain")?;
        match info.map(|i| i.shutdown_reason) {
            Some(Some(ShutdownReason::Suspend)) => {}
            Some(Some(other)) => {
                return Err(Error::State(format!("domain {domid} has shut down instead of suspending ({other:?})")));
            }
            Some(None) => return Err(Error::State(format!("domain {domid} still runs: it has not been suspended"))),
            None => return Err(Error::State(format!("domain {domid} went away while it was being suspended"))),
        }
        self.control.progress("Domain now suspended", 0, 0);
        Ok(())
    }

    /// The processors and what else stands still once the guest does.
    fn end_state(&mut self) -> Result<()> {
        let domid = self.options.domid;
        let tsc = self.xc.tsc(domid).during("reading the time stamp counter")?;
        let tsc = TscInfo { mode: tsc.mode, khz: tsc.khz, nsec: tsc.elapsed_ns, incarnation: tsc.incarnation };
        self.record(RecordType::TscInfo, &tsc.encode())?;
        let context = self.xc.hvm_context(domid).during("reading the state of the virtual hardware")?;
        self.record(RecordType::HvmContext, &context)?;
        if let Some(params) = hvm::params_record(self.xc, domid)? {
            self.record(RecordType::HvmParams, &params)?;
        }
        Ok(())
    }

    fn record(&mut self, kind: RecordType, body: &[u8]) -> Result<()> {
        let bytes = record::encode(kind, body)?;
        write_pieces(self.out, &[Piece::Own(&bytes)]).during("writing the stream")
    }
}
