//! A PV guest on its way out.

use super::table::{self, BadEntry, Table};
use super::vcpu::VcpuContext;
use super::{During, Error, MachineToPhys, Result, require_64_bit};
use crate::domain::DomainInfo;
use crate::foreign::{ForeignMap, Protection};
use crate::migrate::memory_out::GuestFrames;
use crate::p2m::P2m;
use crate::pv::shared_info;
use crate::stream::RecordType;
use crate::stream::pv::{P2mFrames, PvInfo, VcpuState};
use crate::types::PAGE_SIZE;
use crate::{DomId, Xc};

/// What a save has to know of a PV guest. All of it but Xen's own table is written by the guest: every number is checked.
pub(in crate::migrate) struct PvGuest<'a> {
    xc: &'a Xc,
    domid: DomId,
    info: PvInfo,
    machine: MachineToPhys<'a>,
    shared: ForeignMap<'a>,
    p2m: P2m<'a>,
    p2m_frames: P2mFrames,
    /// How often the guest had changed its p2m's place.
    generation: u64,
    /// The highest vCPU.
    max_vcpu: u32,
    /// Whether the guest stands still when its pages are looked at: from then on a page table that cannot be translated is
    /// an error.
    suspended: bool,
}

impl<'a> PvGuest<'a> {
    pub(in crate::migrate) fn look_at(xc: &'a Xc, info: &DomainInfo) -> Result<PvGuest<'a>> {
        let domid = info.domid;
        let width = require_64_bit(xc, domid)?;
        let machine = MachineToPhys::map(xc)?;
        let shared = xc.map_foreign(domid, Protection::Read, &[info.shared_info_frame.0]);
        let shared = shared.during("mapping the shared info page")?;
        let p2m = P2m::find(xc, info, &shared, machine.max_mfn).during("finding the guest's p2m")?;
        let mut guest = PvGuest {
            xc,
            domid,
            info: width,
            generation: word(&shared, shared_info::P2M_GENERATION)?,
            machine,
            shared,
            p2m_frames: P2mFrames { start_pfn: 0, end_pfn: 0, frames: Vec::new() },
            p2m,
            max_vcpu: info.max_vcpu_id.unwrap_or(0),
            suspended: false,
        };
        guest.p2m_frames = guest.current_p2m_frames()?;
        Ok(guest)
    }

    /// The frames of the p2m by the guest's own numbers.
    fn current_p2m_frames(&self) -> Result<P2mFrames> {
        let pfns = self.p2m.frames().iter().map(|&mfn| self.pfn(mfn).ok_or_else(|| bad_frame("the p2m", mfn)));
        Ok(P2mFrames { start_pfn: 0, end_pfn: self.p2m.last_pfn(), frames: pfns.collect::<Result<_>>()? })
    }

    /// Looks where the p2m is now that the guest, which has run since the last checkpoint, stands still again. A guest that is
    /// let go on tells Xen anew where it is and counts its changes from 0: what it counted before says nothing any more.
    /// Gives the record's new content if there is any.
    pub(in crate::migrate) fn find_p2m_again(&mut self, info: &DomainInfo) -> Result<Option<Vec<u8>>> {
        self.generation = word(&self.shared, shared_info::P2M_GENERATION)?;
        self.p2m.find_again(self.xc, info, &self.shared).during("finding the guest's p2m again")?;
        let now = self.current_p2m_frames()?;
        let is_new = replaces(&self.p2m_frames, &now, self.domid)?;
        self.p2m_frames = now;
        Ok(is_new.then(|| self.p2m_record()))
    }

    /// How many pages there can be.
    pub(in crate::migrate) fn pages(&self) -> u64 {
        u64::from(self.p2m_frames.end_pfn) + 1
    }

    pub(in crate::migrate) fn set_suspended(&mut self) {
        self.suspended = true;
    }

    pub(in crate::migrate) fn info_record(&self) -> [u8; 8] {
        self.info.encode()
    }

    pub(in crate::migrate) fn p2m_record(&self) -> Vec<u8> {
        self.p2m_frames.encode()
    }

    /// A guest that moved its p2m while it was being copied cannot be told where its memory is.
    pub(in crate::migrate) fn check_p2m(&self) -> Result<()> {
        match word(&self.shared, shared_info::P2M_GENERATION)? {
            now if now == self.generation => Ok(()),
            _ => Err(Error::State(format!("domain {} changed its p2m while it was copied; try again", self.domid))),
        }
    }

    /// The records at the end: the shared info page and every vCPU that is up.
    pub(in crate::migrate) fn end_records(&self) -> Result<Vec<(RecordType, Vec<u8>)>> {
        let mut page = vec![0; PAGE_SIZE];
        self.shared.read(0, &mut page).during("reading the shared info page")?;
        let mut records = vec![(RecordType::SharedInfo, page)];
        for vcpu in 0..=self.max_vcpu {
            let online = self.xc.vcpu(self.domid, vcpu).during("looking at a vCPU")?.online;
            if online {
                self.vcpu_records(vcpu, &mut records)?;
            }
        }
        Ok(records)
    }

    fn vcpu_records(&self, vcpu: u32, records: &mut Vec<(RecordType, Vec<u8>)>) -> Result<()> {
        let (xc, domid) = (self.xc, self.domid);
        let mut context = VcpuContext(xc.pv_context_bytes(domid, vcpu).during("reading a vCPU's registers")?);
        if vcpu == 0 {
            let mfn = context.start_info();
            context.set_start_info(self.pfn(mfn).ok_or_else(|| bad_frame("the start info page", mfn))?);
        }
        context.translate(vcpu, |mfn| self.pfn(mfn), |mfn| self.pfn(mfn))?;
        if context.user_root() != 0 {
            let mfn = context.user_root() >> 12;
            let pfn = self.pfn(mfn).ok_or_else(|| bad_frame("the programs' page tables", mfn))?;
            context.set_user_root(pfn << 12 | 1);
        }
        let states = [
            (RecordType::PvVcpuBasic, context.0),
            (RecordType::PvVcpuExtended, xc.extended_state(domid, vcpu).during("reading a vCPU's extended state")?),
            (RecordType::PvVcpuXsave, xc.xsave_state(domid, vcpu).during("reading a vCPU's XSAVE area")?),
            (RecordType::PvVcpuMsrs, xc.vcpu_msrs(domid, vcpu).during("reading a vCPU's MSRs")?),
        ];
        let states = states.into_iter().filter(|(_, state)| !state.is_empty());
        records.extend(states.map(|(kind, state)| (kind, VcpuState { vcpu, state: &state }.encode())));
        Ok(())
    }

    /// The guest's number for a machine frame that is its own: both tables must agree.
    fn pfn(&self, mfn: u64) -> Option<u64> {
        let pfn = self.machine.pfn(mfn)?;
        (self.p2m.mfn(pfn)? == mfn).then_some(pfn)
    }
}

impl GuestFrames for PvGuest<'_> {
    fn frame(&self, pfn: u64) -> Option<u64> {
        self.p2m.mfn(pfn)
    }

    fn outgoing(&self, pfn: u64, level: u8, table: &mut Table) -> Result<bool> {
        match table::translate(table, level, true, |mfn| self.pfn(mfn)) {
            Ok(()) => Ok(true),
            Err(BadEntry::Superpage(index)) => {
                Err(Error::State(format!("page table {pfn:#x} of level {level}: entry {index} maps a superpage")))
            }
            // While the guest runs, a table may be halfway through a change.
            Err(BadEntry::Frame(..)) if !self.suspended => Ok(false),
            Err(BadEntry::Frame(index, mfn)) => Err(Error::State(format!(
                "page table {pfn:#x} of level {level}: entry {index} maps the foreign frame {mfn:#x}"
            ))),
        }
    }
}

/// Whether the p2m is another than before. One that covers less cannot be told: a reader goes on to write all that it knows of.
fn replaces(before: &P2mFrames, now: &P2mFrames, domid: DomId) -> Result<bool> {
    if now.end_pfn < before.end_pfn {
        let (from, to) = (before.end_pfn, now.end_pfn);
        return Err(Error::State(format!("domain {domid} has cut its p2m from {from:#x} to {to:#x}; begin anew")));
    }
    Ok(now != before)
}

fn bad_frame(what: &str, mfn: u64) -> Error {
    Error::State(format!("{what}: the guest names frame {mfn:#x}, which is not its own"))
}

/// A word of the guest's memory.
fn word(map: &ForeignMap<'_>, offset: usize) -> Result<u64> {
    let mut bytes = [0; 8];
    map.read(offset, &mut bytes).during("reading the guest's memory")?;
    Ok(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_p2m_that_moved_or_grew_is_told_again_and_one_that_shrank_refused() {
        let before = P2mFrames { start_pfn: 0, end_pfn: 1023, frames: vec![7, 8] };
        let with = |end_pfn, frames| P2mFrames { start_pfn: 0, end_pfn, frames };
        let is_new = |now| replaces(&before, &now, DomId(3));
        assert!(!is_new(before.clone()).unwrap());
        assert!(is_new(with(1023, vec![7, 9])).unwrap());
        assert!(is_new(with(1535, vec![7, 8, 9])).unwrap());
        assert!(is_new(with(511, vec![7])).unwrap_err().to_string().contains("domain 3"));
    }
}
