//! A PV guest on its way out.

use super::table::{self, BadEntry, Table};
use super::vcpu::VcpuContext;
use super::{During, Error, MachineToPhys, Result, require_64_bit};
use crate::domain::DomainInfo;
use crate::foreign::{ForeignMap, Protection};
use crate::migrate::memory_out::GuestFrames;
use crate::pv::shared_info;
use crate::stream::RecordType;
use crate::stream::pv::{P2mFrames, PvInfo, VcpuState};
use crate::types::PAGE_SIZE;
use crate::{DomId, Xc};

/// Entries of a p2m frame, and of a page table.
const PER_FRAME: u64 = 512;
/// Where Xen's own addresses are: a p2m cannot be seen there (`HYPERVISOR_VIRT_START`, `_END`).
const XEN_ADDRESSES: std::ops::RangeInclusive<u64> = 0xffff_8000_0000_0000..=0xffff_87ff_ffff_ffff;

/// What a save has to know of a PV guest. All of it but Xen's own table is written by the guest: every number is checked.
pub(in crate::migrate) struct PvGuest<'a> {
    xc: &'a Xc,
    domid: DomId,
    info: PvInfo,
    machine: MachineToPhys<'a>,
    shared: ForeignMap<'a>,
    /// The guest's p2m, mapped where it lies.
    p2m: ForeignMap<'a>,
    p2m_frames: P2mFrames,
    /// How often the guest had changed its p2m's place.
    generation: u64,
    /// The highest vCPU.
    max_vcpu: u32,
    /// Whether the guest stands still: from then on a page table that cannot be translated is an error.
    suspended: bool,
}

impl<'a> PvGuest<'a> {
    pub(in crate::migrate) fn look_at(xc: &'a Xc, info: &DomainInfo) -> Result<PvGuest<'a>> {
        let domid = info.domid;
        let width = require_64_bit(xc, domid)?;
        let machine = MachineToPhys::map(xc)?;
        let shared = xc.map_foreign(domid, Protection::Read, &[info.shared_info_frame.0]);
        let shared = shared.during("mapping the shared info page")?;
        let max_pfn = match word(&shared, shared_info::MAX_PFN)? {
            0 => {
                return Err(Error::State(format!(
                    "domain {domid} has not set up its memory yet: its kernel has not started"
                )));
            }
            // The record has 32 bits for it.
            pages => u32::try_from(pages - 1).map_err(|_| Error::State(format!("domain {domid}: {pages:#x} pages")))?,
        };
        let (frames, max_pfn) = p2m_frames(xc, info, &shared, max_pfn, machine.max_mfn)?;
        let p2m = xc.map_foreign(domid, Protection::Read, &frames).during("mapping the guest's p2m")?;
        let mut guest = PvGuest {
            xc,
            domid,
            info: width,
            generation: word(&shared, shared_info::P2M_GENERATION)?,
            machine,
            shared,
            p2m,
            p2m_frames: P2mFrames { start_pfn: 0, end_pfn: max_pfn, frames: Vec::new() },
            max_vcpu: info.max_vcpu_id.unwrap_or(0),
            suspended: false,
        };
        let pfns = frames.iter().map(|&mfn| guest.pfn(mfn).ok_or_else(|| bad_frame("the p2m", mfn)));
        guest.p2m_frames.frames = pfns.collect::<Result<_>>()?;
        Ok(guest)
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
        (self.mfn(pfn)? == mfn).then_some(pfn)
    }

    /// The machine frame that the guest's p2m has for a page.
    fn mfn(&self, pfn: u64) -> Option<u64> {
        if pfn >= self.pages() {
            return None;
        }
        word(&self.p2m, pfn as usize * 8).ok().filter(|&mfn| mfn <= self.machine.max_mfn)
    }
}

impl GuestFrames for PvGuest<'_> {
    fn frame(&self, pfn: u64) -> Option<u64> {
        self.mfn(pfn)
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

/// The frames of the guest's p2m, found through page tables (a list) or a tree of frames, and the highest page in them.
fn p2m_frames(
    xc: &Xc,
    info: &DomainInfo,
    shared: &ForeignMap<'_>,
    max_pfn: u32,
    max_mfn: u64,
) -> Result<(Vec<u64>, u32)> {
    let domid = info.domid;
    let count = u64::from(max_pfn) / PER_FRAME + 1;
    let mut frames = match word(shared, shared_info::P2M_CR3)? {
        0 => frames_in_tree(xc, domid, word(shared, shared_info::FRAME_LIST_LIST)?, count, max_mfn)?,
        cr3 => frames_in_list(xc, domid, cr3 >> 12, word(shared, shared_info::P2M_VADDR)?, count, max_mfn)?,
    };
    check_frames("the p2m", &frames, max_mfn)?;
    // A guest that left room to grow has one frame of absent pages at the end of its p2m again and again.
    while let [.., a, b] = frames[..]
        && a == b
    {
        frames.pop();
    }
    if frames.len() as u64 > info.tot_pages {
        return Err(Error::State(format!(
            "domain {domid}: a p2m of {} frames in {} pages",
            frames.len(),
            info.tot_pages
        )));
    }
    let highest = max_pfn.min((frames.len() as u32).saturating_mul(PER_FRAME as u32).saturating_sub(1));
    Ok((frames, highest))
}

/// Walks the guest's page tables from their root to the pages of the list at `vaddr`.
fn frames_in_list(xc: &Xc, domid: DomId, root: u64, vaddr: u64, count: u64, max_mfn: u64) -> Result<Vec<u64>> {
    let end = vaddr.checked_add(count * PAGE_SIZE as u64 - 1).filter(|&end| {
        let canonical = |address: u64| (address as i64) << 16 >> 16 == address as i64;
        let over_xen = vaddr <= *XEN_ADDRESSES.end() && end >= *XEN_ADDRESSES.start();
        canonical(vaddr) && canonical(end) && !over_xen && vaddr.is_multiple_of(PAGE_SIZE as u64)
    });
    let end = end.ok_or_else(|| Error::State(format!("domain {domid}: its p2m list cannot be at {vaddr:#x}")))?;
    let mut tables = vec![root];
    for level in (1..=4).rev() {
        check_frames("the page tables of the p2m", &tables, max_mfn)?;
        let map = xc.map_foreign(domid, Protection::Read, &tables).during("mapping the page tables of the p2m")?;
        // Which entries of this level's tables, counted from the first entry of the first table.
        let shift = 12 + 9 * (level - 1);
        let first = (vaddr >> shift) & (PER_FRAME - 1);
        let entries = (end >> shift) - (vaddr >> shift) + 1;
        let mut next = Vec::with_capacity(entries as usize);
        for entry in first..first + entries {
            let mut page = [0; PAGE_SIZE];
            map.read((entry / PER_FRAME) as usize * PAGE_SIZE, &mut page)
                .during("reading the page tables of the p2m")?;
            next.push(table::frame_at(&page, (entry % PER_FRAME) as usize));
        }
        tables = next;
    }
    Ok(tables)
}

/// Walks the guest's tree: a list of lists of frames.
fn frames_in_tree(xc: &Xc, domid: DomId, root: u64, count: u64, max_mfn: u64) -> Result<Vec<u64>> {
    let lists = count.div_ceil(PER_FRAME);
    if lists > PER_FRAME {
        return Err(Error::State(format!("domain {domid}: {count} p2m frames do not fit into its tree")));
    }
    let mut frames = vec![root];
    for entries in [lists, count] {
        check_frames("the tree of the p2m", &frames, max_mfn)?;
        let map = xc.map_foreign(domid, Protection::Read, &frames).during("mapping the tree of the p2m")?;
        frames = (0..entries).map(|entry| word(&map, entry as usize * 8)).collect::<Result<_>>()?;
    }
    Ok(frames)
}

fn check_frames(what: &str, frames: &[u64], max_mfn: u64) -> Result<()> {
    match frames.iter().find(|&&mfn| mfn == 0 || mfn > max_mfn) {
        Some(&mfn) => Err(bad_frame(what, mfn)),
        None => Ok(()),
    }
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
