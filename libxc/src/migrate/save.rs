//! Saving: the guest's state from Xen into a stream, while it runs or once it is suspended.

use super::memory_out::{GuestFrames, MemoryOut};
use super::policy::{Limits, Next, Round, Rounds};
use super::pv::save::PvGuest;
use super::{During, Error, Result, hvm};
use crate::domain::{DomainFlags, DomainInfo, ShutdownReason};
use crate::foreign_io::{Piece, write_pieces};
use crate::logdirty::DirtyBitmap;
use crate::stream::x86::TscInfo;
use crate::stream::{DomainHeader, GuestKind, ImageHeader, RecordType, record};
use crate::{DomId, Xc};
use nix::errno::Errno;
use std::os::fd::BorrowedFd;
use std::time::Instant;

/// What to save, and how.
#[derive(Clone, Copy, Debug)]
pub struct SaveOptions {
    /// The guest.
    pub domid: DomId,
    /// Copy while it runs, and suspend it only for what it wrote last.
    pub live: bool,
    /// Send all memory again at the end, for the receiver to compare.
    pub verify: bool,
    /// Go on from one checkpoint to the next once the live copy is complete (`XC_STREAM_REMUS`).
    pub checkpoints: bool,
    /// Send pages of zeros without their content. Only this library's restore makes zeros of them again: another may
    /// leave in them what was there before.
    pub omit_zeros: bool,
    /// What copying beside the running guest has to keep to.
    pub limits: Limits,
    /// So many pages may stay mapped from when the guest stands still ([`Xc::leave_mapped`]): for a process that ends
    /// with the save.
    pub leave_mapped: usize,
}

/// What a save needs from the rest of the toolstack.
pub trait SaveControl {
    /// Suspends the guest; returns once it has.
    fn suspend(&mut self) -> Result<()>;
    /// Makes the device model note what it writes, or stop noting.
    fn log_dirty_devices(&mut self, enable: bool) -> Result<()>;
    /// A checkpoint is written: lets the guest go on, and returns when the next one is due. There is no other end than an
    /// error.
    fn checkpoint(&mut self) -> Result<()>;
    /// How far things are: `done` of `total` pages; both 0 for a mere step.
    fn progress(&mut self, what: &str, done: u64, total: u64);
    /// Something is odd, but the save goes on.
    fn warn(&mut self, what: &str);
}

/// Saves a guest into the stream behind `out`. The guest is left suspended; whether it goes on is the caller's to decide.
pub fn save(xc: &Xc, out: BorrowedFd<'_>, options: SaveOptions, control: &mut dyn SaveControl) -> Result<()> {
    let domid = options.domid;
    let info = xc.domain(domid).during("finding the domain")?;
    let info = info.ok_or_else(|| Error::State(format!("domain {domid} does not exist")))?;
    let guest = if info.flags.contains(DomainFlags::HVM) {
        Guest::Hvm
    } else {
        Guest::Pv(Box::new(PvGuest::look_at(xc, &info)?))
    };
    let devices = matches!(guest, Guest::Hvm);
    if devices {
        control.log_dirty_devices(true)?;
    }
    let mut save = Save { xc, out, options, guest, control, logging: false };
    let result = save.whole_stream();
    // The guest must not go on paying for the noting, whatever happened.
    let memory_stopped = if save.logging { xc.disable_log_dirty(domid) } else { Ok(()) };
    let devices_stopped = if devices { save.control.log_dirty_devices(false) } else { Ok(()) };
    result?;
    memory_stopped.during("ending the log of written pages")?;
    devices_stopped
}

enum Guest<'a> {
    /// HVM and PVH: Xen knows its pages by the guest's own numbers.
    Hvm,
    Pv(Box<PvGuest<'a>>),
}

impl GuestFrames for Guest<'_> {
    fn frame(&self, pfn: u64) -> Option<u64> {
        match self {
            Guest::Hvm => Some(pfn),
            Guest::Pv(pv) => pv.frame(pfn),
        }
    }

    fn outgoing(&self, pfn: u64, level: u8, table: &mut [u8; crate::types::PAGE_SIZE]) -> Result<bool> {
        match self {
            Guest::Hvm => Ok(true),
            Guest::Pv(pv) => pv.outgoing(pfn, level, table),
        }
    }
}

struct Save<'a> {
    xc: &'a Xc,
    out: BorrowedFd<'a>,
    options: SaveOptions,
    guest: Guest<'a>,
    control: &'a mut dyn SaveControl,
    /// Xen logs the pages that the guest writes.
    logging: bool,
}

/// Memory that was copied while the guest ran, and what is needed to send what it has written since.
struct Copied<'a> {
    memory: MemoryOut<'a>,
    dirty: DirtyBitmap<'a>,
}

impl<'a> Save<'a> {
    fn whole_stream(&mut self) -> Result<()> {
        self.control.progress("Start of stream", 0, 0);
        self.headers()?;
        self.static_data()?;
        let pages = match &self.guest {
            Guest::Hvm => self.xc.max_gpfn(self.options.domid).during("measuring the guest's memory")?.0 + 1,
            Guest::Pv(pv) => pv.pages(),
        };
        if self.options.checkpoints {
            return self.checkpoints(pages);
        }
        if self.options.live && self.log_dirty_or_warn()? {
            self.memory_live(pages)?;
        } else {
            let suspended = self.suspend()?;
            self.memory_at_rest(pages, &suspended)?;
        }
        self.end_state()?;
        self.control.progress("End of stream", 0, 0);
        self.record(RecordType::End, &[])?;
        self.control.progress("Complete", 0, 0);
        Ok(())
    }

    /// The guest's state as of one checkpoint after the other: whoever reads can let it go on from the last.
    fn checkpoints(&mut self, pages: u64) -> Result<()> {
        if !self.log_dirty()? {
            let domid = self.options.domid;
            return Err(Error::State(format!(
                "domain {domid}: {NO_LOG}, so it can have no checkpoints; a PVH guest can"
            )));
        }
        let mut copied = self.memory_live(pages)?;
        loop {
            self.end_state()?;
            self.record(RecordType::Checkpoint, &[])?;
            self.control.checkpoint()?;
            let suspended = self.suspend()?;
            let unsent = self.find_p2m_again(&mut copied, &suspended)?;
            self.memory_written(&mut copied, unsent, "Checkpointed save")?;
        }
    }

    /// Follows the p2m of a PV guest that has run since the last checkpoint. Gives the pages that it has made room for.
    fn find_p2m_again(&mut self, copied: &mut Copied<'a>, info: &DomainInfo) -> Result<Vec<u64>> {
        let Guest::Pv(pv) = &mut self.guest else { return Ok(Vec::new()) };
        let before = pv.pages();
        let record = pv.find_p2m_again(info)?;
        let pages = pv.pages();
        if let Some(body) = record {
            self.record(RecordType::PvP2mFrames, &body)?;
        }
        if pages > before {
            copied.dirty = DirtyBitmap::full(self.xc, pages).during("making room for the log of written pages")?;
        }
        Ok((before..pages).collect())
    }

    fn headers(&mut self) -> Result<()> {
        let (xen_major, xen_minor) = self.xc.version_number().during("asking Xen for its version")?;
        let kind = match self.guest {
            Guest::Hvm => GuestKind::Hvm,
            Guest::Pv(_) => GuestKind::Pv,
        };
        let domain = DomainHeader { kind, xen_major, xen_minor };
        let pieces = [&ImageHeader::CURRENT.encode()[..], &domain.encode()];
        write_pieces(self.out, &pieces.map(Piece::Own)).during("writing the stream's headers")
    }

    /// What never changes while the guest runs.
    fn static_data(&mut self) -> Result<()> {
        let (info, p2m) = match &self.guest {
            Guest::Hvm => (None, None),
            Guest::Pv(pv) => (Some(pv.info_record()), Some(pv.p2m_record())),
        };
        if let Some(body) = info {
            self.record(RecordType::PvInfo, &body)?;
        }
        for (kind, body) in hvm::policy_records(self.xc, self.options.domid)? {
            self.record(kind, &body)?;
        }
        self.record(RecordType::StaticDataEnd, &[])?;
        match p2m {
            Some(body) => self.record(RecordType::PvP2mFrames, &body),
            None => Ok(()),
        }
    }

    /// Without the log of written pages the guest is suspended first.
    fn log_dirty_or_warn(&mut self) -> Result<bool> {
        let logging = self.log_dirty()?;
        if !logging {
            self.control.warn(&format!("{NO_LOG}: the guest stands still while all its memory is copied"));
        }
        Ok(logging)
    }

    /// Begins the log of written pages. A Xen without shadow paging has none for PV guests.
    fn log_dirty(&mut self) -> Result<bool> {
        match self.xc.enable_log_dirty(self.options.domid) {
            Err(e) if e.errno() == Some(Errno::EOPNOTSUPP) => {}
            begun => {
                begun.during("beginning the log of written pages")?;
                self.logging = true;
            }
        }
        Ok(self.logging)
    }

    /// All memory of the suspended guest.
    fn memory_at_rest(&mut self, pages: u64, info: &DomainInfo) -> Result<()> {
        let mut memory = MemoryOut::new(self.xc, self.options.domid, self.out, self.options.omit_zeros)?;
        let present = match &self.guest {
            Guest::Hvm => self.present_pages(info)?,
            Guest::Pv(_) => None,
        };
        match present {
            None => memory.send(&self.guest, 0..pages, pages, "Frames", self.control)?,
            Some(present) => {
                let order = likely_first(pages, present);
                memory.send_until(&self.guest, order, present, present, "Frames", self.control)?
            }
        };
        Ok(())
    }

    /// How many pages of a suspended HVM or PVH guest have content, if that is certain. Each of the guest's pages has one
    /// number in its physmap at most (Xen's p2m_add_page removes the older of two), and Xen types its own pages, which it does
    /// not count, as absent. Paging, sharing and populate-on-demand are what makes a number without a page be one with content.
    fn present_pages(&self, info: &DomainInfo) -> Result<Option<u64>> {
        let pod = self.xc.pod_target(info.domid).during("asking for the guest's populate-on-demand memory")?;
        let certain = pod.entries == 0 && info.shr_pages == 0 && info.paged_pages == 0;
        Ok(certain.then_some(info.tot_pages))
    }

    /// Round after round what the running guest wrote, until little is left; then that, with the guest suspended.
    fn memory_live(&mut self, pages: u64) -> Result<Copied<'a>> {
        let domid = self.options.domid;
        let mut dirty = DirtyBitmap::full(self.xc, pages).during("making room for the log of written pages")?;
        let mut memory = MemoryOut::new(self.xc, domid, self.out, self.options.omit_zeros)?;
        memory.set_bandwidth(self.options.limits.bandwidth);
        let mut rounds = Rounds::new(self.options.limits);
        let mut to_send = pages;
        let frames = |round| format!("Frames iteration {round}");
        loop {
            let (number, began) = (rounds.number(), Instant::now());
            let sent = memory.send(&self.guest, dirty.iter(), to_send, &frames(number), self.control)?;
            self.check_p2m()?;
            let written = self.xc.take_dirty(domid, &mut dirty, false).during("reading the log of written pages")?;
            memory.tell_absent(true);
            let sent = if number == 0 { sent } else { to_send };
            let round = Round { sent, took: began.elapsed(), dirty: written.into() };
            self.control.progress(&format!("Written during iteration {number}"), round.dirty, pages);
            to_send = round.dirty;
            match rounds.after(round) {
                Next::Round => {}
                Next::Suspend => break,
                Next::GiveUp(why) => return Err(Error::State(why)),
            }
        }
        // While the guest stands still nothing waits.
        memory.set_bandwidth(None);
        // What the last look told is not sent yet: it joins what is written until the guest stands still.
        let unsent = dirty.iter().collect();
        let mut copied = Copied { memory, dirty };
        self.suspend()?;
        self.memory_written(&mut copied, unsent, &frames(rounds.number()))?;
        if self.options.verify {
            self.record(RecordType::Verify, &[])?;
            copied.memory.tell_absent(false);
            copied.memory.send(&self.guest, 0..pages, pages, "Frames verify", self.control)?;
            copied.memory.tell_absent(true);
        }
        Ok(copied)
    }

    /// Sends what the guest, which stands still, has written since the last look, and what of before that is not sent yet.
    fn memory_written(&mut self, copied: &mut Copied<'_>, mut unsent: Vec<u64>, what: &str) -> Result<()> {
        let Copied { memory, dirty } = copied;
        unsent.extend(memory.take_deferred(&self.guest));
        let written = self.xc.take_dirty(self.options.domid, dirty, true).during("reading the log of written pages")?;
        unsent.iter().for_each(|&page| dirty.set(page));
        let total = unsent.len() as u64 + u64::from(written);
        memory.send(&self.guest, dirty.iter(), total, what, self.control)?;
        self.check_p2m()
    }

    fn check_p2m(&self) -> Result<()> {
        match &self.guest {
            Guest::Hvm => Ok(()),
            Guest::Pv(pv) => pv.check_p2m(),
        }
    }

    /// Suspends the guest and makes sure of it.
    fn suspend(&mut self) -> Result<DomainInfo> {
        self.control.suspend()?;
        let domid = self.options.domid;
        let wrong = |what: String| Error::State(format!("domain {domid} {what}"));
        let info = self.xc.domain(domid).during("looking at the suspended domain")?;
        let info = info.ok_or_else(|| wrong("went away while it was being suspended".into()))?;
        match info.shutdown_reason {
            Some(ShutdownReason::Suspend) => {}
            Some(other) => return Err(wrong(format!("has shut down instead of suspending ({other:?})"))),
            None => return Err(wrong("still runs: it has not been suspended".into())),
        }
        if let Guest::Pv(pv) = &mut self.guest {
            pv.set_suspended();
        }
        if !self.options.checkpoints {
            self.xc.leave_mapped(self.options.leave_mapped);
        }
        self.control.progress("Domain now suspended", 0, 0);
        Ok(info)
    }

    /// The processors and what else stands still once the guest does.
    fn end_state(&mut self) -> Result<()> {
        let domid = self.options.domid;
        let tsc = self.xc.tsc(domid).during("reading the time stamp counter")?;
        let tsc = TscInfo { mode: tsc.mode, khz: tsc.khz, nsec: tsc.elapsed_ns, incarnation: tsc.incarnation };
        self.record(RecordType::TscInfo, &tsc.encode())?;
        let records = match &self.guest {
            Guest::Hvm => hvm::end_records(self.xc, domid)?,
            Guest::Pv(pv) => pv.end_records()?,
        };
        records.iter().try_for_each(|(kind, body)| self.record(*kind, body))
    }

    fn record(&mut self, kind: RecordType, body: &[u8]) -> Result<()> {
        let bytes = record::encode(kind, body)?;
        write_pieces(self.out, &[Piece::Own(&bytes)]).during("writing the stream")
    }
}

/// Why written pages may have to be found otherwise.
const NO_LOG: &str = "this Xen cannot log what the guest writes (it has no shadow paging)";

/// Where the special pages, tables and firmware of HVM and PVH guests begin, which end at 4 GiB (page numbers).
const SPECIAL: u64 = 0xfc000;

/// All page numbers below `pages`, first those where a guest that has `present` pages most likely has them: from 0 up,
/// and from the special ones up. Last comes what is between, mostly a hole of a million numbers.
fn likely_first(pages: u64, present: u64) -> impl Iterator<Item = u64> {
    let special = SPECIAL.min(pages);
    let low = present.min(special);
    (0..low).chain(special..pages).chain(low..special)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_looked_at_once_however_large_the_guest() {
        for (pages, present) in
            [(0, 0), (5, 9), (0xff000, 512), (SPECIAL, SPECIAL), (SPECIAL + 1, 3), (0x100100, 0x100000)]
        {
            let mut all: Vec<u64> = likely_first(pages, present).collect();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..pages), "{pages:#x} {present:#x}");
        }
    }

    #[test]
    fn the_hole_comes_last() {
        let order: Vec<u64> = likely_first(0xff000, 512).collect();
        assert_eq!((order[511], order[512], order[512 + 0x3000]), (511, SPECIAL, 512));
    }
}
