//! Which pages a guest has, for whoever wants to look at all of them.

use super::memory_out::GuestFrames;
use super::pv::save::PvGuest;
use super::{During, Error, Result};
use crate::domain::DomainFlags;
use crate::stream::page::BATCH_MAX;
use crate::types::Pfn;
use crate::{DomId, Xc};

/// A page of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Present {
    /// The guest's number for it.
    pub pfn: Pfn,
    /// The frame by which Xen knows it: a machine frame of a PV guest, of others the guest's own number.
    pub frame: u64,
}

/// The pages that a guest has now, in the order of their numbers. A PV guest's own table is asked: of one whose kernel
/// has not started nothing is known.
pub fn present_pages(xc: &Xc, domid: DomId) -> Result<Vec<Present>> {
    let info = xc.domain(domid).during("finding the domain")?;
    let info = info.ok_or_else(|| Error::State(format!("domain {domid} does not exist")))?;
    let candidates: Vec<Present> = if info.flags.contains(DomainFlags::HVM) {
        let last = xc.max_gpfn(domid).during("measuring the guest's memory")?.0;
        (0..=last).map(|pfn| Present { pfn: Pfn(pfn), frame: pfn }).collect()
    } else {
        let guest = PvGuest::look_at(xc, &info)?;
        let present = |pfn| guest.frame(pfn).map(|frame| Present { pfn: Pfn(pfn), frame });
        (0..guest.pages()).filter_map(present).collect()
    };
    let mut buffer = xc.page_type_buffer().during("making room for page types")?;
    let (mut types, mut pages) = (Vec::new(), Vec::new());
    for batch in candidates.chunks(BATCH_MAX) {
        let frames: Vec<u64> = batch.iter().map(|page| page.frame).collect();
        let asked = xc.page_types(domid, &frames, &mut buffer, &mut types);
        asked.during("asking Xen what the guest's pages are")?;
        pages.extend(batch.iter().zip(&types).filter(|(_, kind)| kind.has_data()).map(|(page, _)| *page));
    }
    Ok(pages)
}
