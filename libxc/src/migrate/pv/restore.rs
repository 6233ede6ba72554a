//! A PV guest on its way in.

use super::table::{self, BadEntry, Table};
use super::vcpu::VcpuContext;
use super::{During, Error, Result, require_64_bit};
use crate::domain::DomainInfo;
use crate::foreign::Protection;
use crate::memory::MemFlags;
use crate::migrate::hvm_memory::{SUPERPAGE_ORDER, Wanted};
use crate::migrate::restore::{RestoreOptions, Restored};
use crate::pv::{shared_info, start_info};
use crate::stream::pv::{P2mFrames, PvInfo, VcpuState};
use crate::stream::{PageType, RecordType, StreamError};
use crate::types::PAGE_SIZE;
use crate::{DomId, Gfn, Mfn, Xc};
use std::collections::{BTreeMap, HashMap};

/// Entries of a p2m frame.
const PER_FRAME: u64 = 512;
/// What a p2m has for a page that is not there.
const ABSENT: u64 = u64::MAX;

/// A page that the guest has.
#[derive(Clone, Copy)]
struct Page {
    mfn: u64,
    kind: PageType,
}

/// What is known of the guest so far. The sizes of the tables follow what really arrived.
pub(in crate::migrate) struct PvGuest<'a> {
    xc: &'a Xc,
    domid: DomId,
    /// Where Xen keeps the page it shares with the guest.
    shared_info_frame: u64,
    /// vCPUs that the domain has.
    vcpus: u32,
    info: Option<PvInfo>,
    /// The highest page that the guest's p2m has room for.
    max_pfn: Option<u64>,
    /// The pages that hold the guest's p2m, by what part of it they hold.
    p2m_frames: BTreeMap<u64, u64>,
    pages: HashMap<u64, Page>,
    /// The parts of each vCPU, as they came.
    states: BTreeMap<(u32, u32), Vec<u8>>,
}

impl<'a> PvGuest<'a> {
    pub(in crate::migrate) fn empty(xc: &'a Xc, info: &DomainInfo) -> Result<PvGuest<'a>> {
        require_64_bit(xc, info.domid)?;
        Ok(PvGuest {
            xc,
            domid: info.domid,
            shared_info_frame: info.shared_info_frame.0,
            vcpus: info.max_vcpu_id.map_or(0, |max| max + 1),
            info: None,
            max_pfn: None,
            p2m_frames: BTreeMap::new(),
            pages: HashMap::new(),
            states: BTreeMap::new(),
        })
    }

    /// Takes a record that only PV guests have.
    pub(in crate::migrate) fn process(&mut self, kind: RecordType, body: &[u8]) -> Result<()> {
        match (kind, self.info) {
            (RecordType::PvInfo, None) => match PvInfo::decode(body)? {
                PvInfo::Bits64 => self.info = Some(PvInfo::Bits64),
                PvInfo::Bits32 => return Err(Error::State("restoring a 32-bit PV guest is not built yet".into())),
            },
            (RecordType::PvInfo, Some(_)) => return Err(StreamError::new(kind.name(), "comes twice").into()),
            (_, None) => return Err(StreamError::new(kind.name(), "comes before X86_PV_INFO").into()),
            (RecordType::PvP2mFrames, Some(info)) => self.p2m_frames(P2mFrames::decode(body)?, info)?,
            (RecordType::SharedInfo, _) => self.shared_info(body)?,
            (_, Some(info)) => {
                let state = VcpuState::decode(kind, body)?;
                state.check(kind, info)?;
                if state.vcpu >= self.vcpus {
                    let problem = format!("vcpu_id: {} of a domain with {} vCPUs", state.vcpu, self.vcpus);
                    return Err(StreamError::new(kind.name(), problem).into());
                }
                // Xen 4.6 to 4.8 wrote empty ones by mistake.
                if !state.state.is_empty() {
                    self.states.insert((state.vcpu, kind.number()), state.state.to_vec());
                }
            }
        }
        Ok(())
    }

    /// A checkpoint is about to be taken in. It has all vCPUs that are up: what an earlier one had of others is no longer so.
    pub(in crate::migrate) fn forget_vcpus(&mut self) {
        self.states.clear();
    }

    /// Takes a part of the p2m; a later record stands for what an earlier one had of the same part.
    fn p2m_frames(&mut self, frames: P2mFrames, info: PvInfo) -> Result<()> {
        frames.check(info)?;
        self.max_pfn = self.max_pfn.max(Some(frames.end_pfn.into()));
        let first = u64::from(frames.start_pfn) / PER_FRAME;
        self.p2m_frames.extend((first..).zip(frames.frames));
        Ok(())
    }

    /// What the guest knows of its vCPUs and of its p2m stays; events that were under way are gone.
    fn shared_info(&mut self, old: &[u8]) -> Result<()> {
        let kind = RecordType::SharedInfo;
        let old: &[u8; PAGE_SIZE] =
            old.try_into().map_err(|_| StreamError::new(kind.name(), format!("length: {}", old.len())))?;
        let page = self.xc.map_foreign(self.domid, Protection::ReadWrite, &[self.shared_info_frame]);
        let page = page.during("mapping the shared info page")?;
        let new = shared_info_for(old);
        page.write(0, &new).during("writing the shared info page")
    }

    /// Gives the guest these pages, unless it has them; refuses those that its p2m has no room for.
    pub(in crate::migrate) fn populate(&mut self, pfns: impl Iterator<Item = u64>) -> Result<()> {
        let max_pfn = self.max_pfn.ok_or_else(|| Error::State("pages come before the guest's p2m".into()))?;
        let missing: Vec<u64> = pfns.filter(|pfn| !self.pages.contains_key(pfn)).collect();
        if let Some(pfn) = missing.iter().find(|&&pfn| pfn > max_pfn) {
            return Err(Error::State(format!("page {pfn:#x} is beyond the guest's last, {max_pfn:#x}")));
        }
        let wanted = Wanted::of(missing);
        for (pfns, order) in [(wanted.superpages, SUPERPAGE_ORDER), (wanted.pages, 0)] {
            self.populate_extents(&pfns, order)?;
        }
        Ok(())
    }

    fn populate_extents(&mut self, pfns: &[u64], order: u32) -> Result<()> {
        let mut mfns = pfns.to_vec();
        let given = match pfns {
            [] => 0,
            _ => self
                .xc
                .populate_physmap(self.domid, order, MemFlags::NONE, &mut mfns)
                .during("giving the guest memory")?,
        };
        for (&pfn, &mfn) in pfns.iter().zip(&mfns).take(given) {
            let extent = (0..1u64 << order).map(|i| (pfn + i, Page { mfn: mfn + i, kind: PageType::Normal }));
            self.pages.extend(extent);
        }
        match (given < pfns.len(), order) {
            (false, _) => Ok(()),
            (true, 0) => Err(Error::State(format!("domain {}: the host has no memory left for it", self.domid))),
            // Xen has no such extents left: what it did not give comes in single pages.
            (true, _) => {
                let rest: Vec<u64> = pfns[given..].iter().flat_map(|&first| first..first + (1 << order)).collect();
                self.populate_extents(&rest, 0)
            }
        }
    }

    /// The machine frame of a page that the guest has.
    pub(in crate::migrate) fn mfn(&self, pfn: u64) -> Option<u64> {
        self.pages.get(&pfn).map(|page| page.mfn)
    }

    pub(in crate::migrate) fn set_kind(&mut self, pfn: u64, kind: PageType) {
        if let Some(page) = self.pages.get_mut(&pfn) {
            page.kind = kind;
        }
    }

    /// Gives a page table the frames of this host. A page that it names and that has not come yet is made room for.
    pub(in crate::migrate) fn incoming(&mut self, pfn: u64, level: u8, table: &mut Table) -> Result<()> {
        let named: Vec<u64> = table::frames(table).collect();
        self.populate(named.into_iter())?;
        self.localise(pfn, level, table)
    }

    /// Gives a page table the frames of this host; refuses one that names a page which the guest does not have.
    pub(in crate::migrate) fn localise(&self, pfn: u64, level: u8, table: &mut Table) -> Result<()> {
        table::translate(table, level, false, |pfn| self.mfn(pfn)).map_err(|bad| {
            Error::State(match bad {
                BadEntry::Superpage(index) => {
                    format!("page table {pfn:#x} of level {level}: entry {index} maps a superpage")
                }
                BadEntry::Frame(index, to) => {
                    format!("page table {pfn:#x} of level {level}: entry {index} maps {to:#x}")
                }
            })
        })
    }

    /// The last steps: vCPUs, page tables, the p2m.
    pub(in crate::migrate) fn complete(&mut self, options: &RestoreOptions) -> Result<Restored> {
        let restored = self.start_info(options)?;
        self.vcpu_states()?;
        let pinned = self.pages.values().filter_map(|page| match page.kind {
            PageType::Table { level, pinned: true } => Some((level, Mfn(page.mfn))),
            _ => None,
        });
        let pinned: Vec<_> = pinned.collect();
        self.xc.pin_tables(self.domid, &pinned).during("pinning the guest's page tables")?;
        self.write_p2m()?;
        Ok(restored)
    }

    /// Tells the guest where its rings are and which ports they have.
    fn start_info(&self, options: &RestoreOptions) -> Result<Restored> {
        let context = self.states.get(&(0, RecordType::PvVcpuBasic.number()));
        let context = context.ok_or_else(|| Error::State("the stream has no registers of vcpu0".into()))?;
        let frame = self.ordinary("the start info page", VcpuContext(context.clone()).start_info())?;
        let page =
            self.xc.map_foreign(self.domid, Protection::ReadWrite, &[frame]).during("mapping the start info page")?;
        let ring = |offset, what| {
            let mut bytes = [0; 8];
            page.read(offset, &mut bytes).during("reading the start info page")?;
            self.mfn(u64::from_le_bytes(bytes)).ok_or_else(|| Error::State(format!("{what} is no page of the guest")))
        };
        let store = ring(start_info::STORE_MFN, "the ring to xenstored")?;
        let console = ring(start_info::CONSOLE_MFN, "the console's ring")?;
        let pages = self.max_pfn.map_or(0, |max| max + 1);
        let fields: [(usize, &[u8]); 7] = [
            (start_info::STORE_MFN, &store.to_le_bytes()),
            (start_info::STORE_PORT, &options.store_port.0.to_le_bytes()),
            (start_info::CONSOLE_MFN, &console.to_le_bytes()),
            (start_info::CONSOLE_PORT, &options.console_port.0.to_le_bytes()),
            (start_info::NR_PAGES, &pages.to_le_bytes()),
            (start_info::SHARED_INFO, &(self.shared_info_frame << 12).to_le_bytes()),
            (start_info::FLAGS, &[0; 4]),
        ];
        for (offset, bytes) in fields {
            page.write(offset, bytes).during("writing the start info page")?;
        }
        Ok(Restored { store: Gfn(store), console: Gfn(console) })
    }

    fn vcpu_states(&self) -> Result<()> {
        let (xc, domid) = (self.xc, self.domid);
        for (&(vcpu, kind), state) in &self.states {
            match RecordType::from_number(kind) {
                Some(RecordType::PvVcpuBasic) => {
                    let context = self.local_context(vcpu, state)?;
                    xc.set_pv_context_bytes(domid, vcpu, &context.0).during("setting a vCPU's registers")?;
                }
                Some(RecordType::PvVcpuExtended) => {
                    xc.set_extended_state(domid, vcpu, state).during("setting a vCPU's extended state")?;
                }
                Some(RecordType::PvVcpuXsave) => {
                    xc.set_xsave_state(domid, vcpu, state).during("setting a vCPU's XSAVE area")?;
                }
                _ => xc.set_vcpu_msrs(domid, vcpu, state).during("setting a vCPU's MSRs")?,
            }
        }
        Ok(())
    }

    /// A vCPU's registers with the frames of this host.
    fn local_context(&self, vcpu: u32, state: &[u8]) -> Result<VcpuContext> {
        let mut context = VcpuContext(state.to_vec());
        if vcpu == 0 {
            context.set_start_info(self.ordinary("the start info page", context.start_info())?);
        }
        context.set_online();
        context.translate(vcpu, |pfn| self.ordinary("the GDT", pfn).ok(), |pfn| self.table_root(pfn))?;
        if context.user_root() & 1 != 0 {
            let pfn = context.user_root() >> 12;
            let root = self.table_root(pfn);
            let root =
                root.ok_or_else(|| Error::State(format!("vcpu{vcpu}: page {pfn:#x} is no root of page tables")))?;
            context.set_user_root(root << 12);
        }
        Ok(context)
    }

    /// The frame of a page that is not a page table: anything else would let the stream change tables unseen.
    fn ordinary(&self, what: &str, pfn: u64) -> Result<u64> {
        match self.pages.get(&pfn) {
            Some(page) if matches!(page.kind, PageType::Normal | PageType::AllocateOnly) => Ok(page.mfn),
            Some(_) => Err(Error::State(format!("{what}: page {pfn:#x} is a page table"))),
            None => Err(Error::State(format!("{what}: page {pfn:#x} is not there"))),
        }
    }

    fn table_root(&self, pfn: u64) -> Option<u64> {
        self.pages.get(&pfn).filter(|page| matches!(page.kind, PageType::Table { level: 4, .. })).map(|page| page.mfn)
    }

    /// Writes the guest's p2m: which frame each of its pages now has.
    fn write_p2m(&self) -> Result<()> {
        let needed = self.max_pfn.map_or(0, |max| max / PER_FRAME + 1);
        if self.p2m_frames.len() as u64 != needed {
            return Err(Error::State(format!("the guest's p2m has {} of {needed} frames", self.p2m_frames.len())));
        }
        let frames: Vec<u64> =
            self.p2m_frames.values().map(|&pfn| self.ordinary("the p2m", pfn)).collect::<Result<_>>()?;
        let map = self.xc.map_foreign(self.domid, Protection::ReadWrite, &frames).during("mapping the guest's p2m")?;
        for (index, &part) in self.p2m_frames.keys().enumerate() {
            let entries = (part * PER_FRAME..(part + 1) * PER_FRAME).map(|pfn| self.mfn(pfn).unwrap_or(ABSENT));
            let bytes: Vec<u8> = entries.flat_map(u64::to_le_bytes).collect();
            map.write(index * PAGE_SIZE, &bytes).during("writing the guest's p2m")?;
        }
        Ok(())
    }
}

/// The shared info page of the restored guest, from that of the saved one.
fn shared_info_for(old: &[u8; PAGE_SIZE]) -> Vec<u8> {
    use shared_info::*;
    let mut new = vec![0; PAGE_SIZE];
    for (start, size) in [(VCPU_INFO, VCPU_INFO_SIZE * VCPU_INFO_COUNT), (ARCH, ARCH_SIZE)] {
        new[start..start + size].copy_from_slice(&old[start..start + size]);
    }
    for vcpu in 0..VCPU_INFO_COUNT {
        new[VCPU_INFO + vcpu * VCPU_INFO_SIZE + PENDING_SELECTOR..][..8].fill(0);
    }
    new[FRAME_LIST_LIST..][..8].fill(0);
    new[EVENTS_MASKED..][..EVENTS_SIZE].fill(0xff);
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restored_shared_info_page_has_no_events_and_no_old_frames() {
        let new = shared_info_for(&[0xa5; PAGE_SIZE]);
        let word = |at: usize| u64::from_le_bytes(new[at..at + 8].try_into().unwrap());
        assert_eq!(word(shared_info::EVENTS_PENDING), 0);
        assert_eq!(word(shared_info::EVENTS_MASKED), u64::MAX);
        assert_eq!(word(shared_info::FRAME_LIST_LIST), 0);
        assert_eq!(word(shared_info::MAX_PFN), 0xa5a5_a5a5_a5a5_a5a5);
        assert_eq!(word(shared_info::VCPU_INFO + shared_info::PENDING_SELECTOR), 0);
    }
}
