//! Core files of domains: the memory and the vCPUs' registers of one, for debuggers (`libxl_domain_core_dump`).

mod file;
pub mod layout;

use crate::Ctx;
use crate::domain::info;
use crate::error::{Error, Result, ResultExt};
use file::CoreFile;
use layout::{INVALID_PFN, Shape, XenVersion};
use libxc::domain::{DomainFlags, DomainInfo};
use libxc::foreign::Protection;
use libxc::p2m::P2m;
use libxc::types::PAGE_SIZE;
use libxc::{DomId, ForeignMap, Xc};
use std::path::Path;

/// Pages that are mapped and copied at once.
const BATCH: usize = 1024;

/// Writes a core file of a domain, which may run meanwhile: pages then differ in age.
///
/// # Errors
/// If the guest's memory cannot be found, before the file is touched; or if the file cannot be written: it is removed.
pub fn write(ctx: &Ctx, domid: DomId, path: &Path) -> Result<()> {
    let dump = || {
        let core = Core::of(ctx.xc()?, &info::get(ctx, domid)?)?;
        let mut file = CoreFile::create(path)?;
        core.write(&mut file).and_then(|()| file.finish()).inspect_err(|_| file::remove(path))
    };
    dump().with_context(|| format!("dumping the core of domain {domid} to {}", path.display()))
}

/// What a core file needs of a domain but its pages.
struct Core<'xc> {
    xc: &'xc Xc,
    domid: DomId,
    xen: XenVersion,
    shape: Shape,
    /// The registers of each vCPU that has been started.
    contexts: Vec<Vec<u8>>,
    shared_info: Option<ForeignMap<'xc>>,
    memory: Memory<'xc>,
}

/// How a guest's pages are found.
enum Memory<'xc> {
    /// By its own table of machine frames.
    Pv(P2m<'xc>),
    /// By their numbers, up to the highest.
    Translated(u64),
}

impl<'xc> Core<'xc> {
    fn of(xc: &'xc Xc, info: &DomainInfo) -> Result<Core<'xc>> {
        let domid = info.domid;
        let translated = info.flags.contains(DomainFlags::HVM);
        if !translated && xc.address_size(domid)? != 64 {
            return Err(Error::fail("only 64-bit PV guests can be dumped"));
        }
        let shared_info = xc.map_foreign(domid, Protection::Read, &[info.shared_info_frame.0]);
        let (shared_info, memory) = if translated {
            // Such a guest decides itself where it sees the page, and whether.
            (shared_info.ok(), Memory::Translated(xc.max_gpfn(domid)?.0))
        } else {
            let shared = shared_info.context("mapping the shared info page")?;
            let max_mfn = xc.max_ram_page()?.0.saturating_sub(1);
            let p2m = P2m::find(xc, info, &shared, max_mfn)?;
            (Some(shared), Memory::Pv(p2m))
        };
        let vcpus = 0..=info.max_vcpu_id.unwrap_or(0);
        let contexts: Vec<_> = vcpus.filter_map(|vcpu| xc.pv_context_bytes(domid, vcpu).ok()).collect();
        let Some(first) = contexts.first() else {
            return Err(Error::fail("none of its vCPUs has been set up yet"));
        };
        let shape = Shape {
            translated,
            vcpus: contexts.len() as u64,
            context_size: first.len() as u64,
            shared_info: shared_info.is_some(),
            pages: info.tot_pages,
        };
        Ok(Core { xc, domid, xen: XenVersion::from(&xc.version()?), shape, contexts, shared_info, memory })
    }

    fn write(&self, file: &mut CoreFile) -> Result<()> {
        file.bytes(&self.shape.head(&self.xen))?;
        self.contexts.iter().try_for_each(|context| file.bytes(context))?;
        if let Some(shared) = &self.shared_info {
            let mut page = [0; PAGE_SIZE];
            shared.read(0, &mut page)?;
            file.bytes(&page)?;
        }
        file.hole(self.shape.padding())?;
        let table = self.write_pages(file)?;
        file.bytes(&table)?;
        file.bytes(&self.shape.tail())
    }

    /// Writes as many pages as the file's headers say, and gives the table that tells which they are. The guest may have
    /// grown or shrunk since: pages too many are left out, pages too few are empty and without a number.
    fn write_pages(&self, file: &mut CoreFile) -> Result<Vec<u8>> {
        let mut pages = Pages { file, buffer: vec![0; BATCH * PAGE_SIZE], table: Vec::new(), left: self.shape.pages };
        match &self.memory {
            Memory::Pv(p2m) => {
                let found = (0..=u64::from(p2m.last_pfn())).filter_map(|pfn| Some((pfn, p2m.mfn(pfn)?)));
                pages.write(self.xc, self.domid, found, |table, pfn, mfn| table.extend([pfn, mfn]))?;
            }
            Memory::Translated(last) => {
                let found = (0..=*last).filter(|&gfn| layout::may_be_memory(gfn)).map(|gfn| (gfn, gfn));
                pages.write(self.xc, self.domid, found, |table, gfn, _| table.push(gfn))?;
            }
        }
        let Pages { mut table, left, .. } = pages;
        file.hole(left * PAGE_SIZE as u64)?;
        table.resize((self.shape.pages * self.shape.words_per_page()) as usize, INVALID_PFN);
        Ok(table.iter().flat_map(|word| word.to_le_bytes()).collect())
    }
}

/// Pages on their way from the guest to the file.
struct Pages<'a> {
    file: &'a mut CoreFile,
    /// Room for a batch of them.
    buffer: Vec<u8>,
    /// Which pages are in the file.
    table: Vec<u64>,
    /// How many the file still has room for.
    left: u64,
}

impl Pages<'_> {
    /// Writes those of these pages, told by their number and the frame by which Xen knows them, that there are, and notes
    /// each in the table.
    fn write(
        &mut self,
        xc: &Xc,
        domid: DomId,
        mut pages: impl Iterator<Item = (u64, u64)>,
        note: impl Fn(&mut Vec<u64>, u64, u64),
    ) -> Result<()> {
        while self.left > 0 {
            let batch: Vec<(u64, u64)> = pages.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                break;
            }
            let mut frames: Vec<u64> = batch.iter().map(|&(_, frame)| frame).collect();
            let Some(map) = xc.map_foreign_present(domid, &mut frames)? else { continue };
            let mut present = frames.iter().peekable();
            let mapped = batch.iter().filter(|(_, frame)| present.next_if_eq(&frame).is_some());
            let count = (frames.len() as u64).min(self.left);
            mapped.take(count as usize).for_each(|&(pfn, frame)| note(&mut self.table, pfn, frame));
            let bytes = self.buffer.get_mut(..count as usize * PAGE_SIZE).unwrap_or_default();
            map.read(0, bytes)?;
            self.file.pages(bytes)?;
            self.left -= count;
        }
        Ok(())
    }
}
