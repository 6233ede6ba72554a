//! What only PV guests have in a stream: a 64-bit guest sees machine frames in its page tables and its p2m, so both are
//! translated to the guest's own numbers on the way out and back on the way in.

pub(super) mod restore;
pub(super) mod save;
mod table;
mod vcpu;

use super::{During, Error, Result};
use crate::foreign::{ForeignMap, Protection};
use crate::stream::pv::PvInfo;
use crate::{DomId, Xc};

/// Xen's own table of which pfn each machine frame is to its owner, mapped.
pub(super) struct MachineToPhys<'a> {
    map: ForeignMap<'a>,
    /// The highest machine frame.
    max_mfn: u64,
}

impl<'a> MachineToPhys<'a> {
    pub(super) fn map(xc: &'a Xc) -> Result<MachineToPhys<'a>> {
        let end = xc.max_ram_page().during("measuring the host's memory")?;
        let frames = xc.machphys_frames(end).during("finding the table of machine frames")?;
        let map =
            xc.map_foreign(DomId::XEN, Protection::Read, &frames).during("mapping the table of machine frames")?;
        Ok(MachineToPhys { map, max_mfn: end.0.saturating_sub(1) })
    }

    /// What a machine frame is to its owner.
    pub(super) fn pfn(&self, mfn: u64) -> Option<u64> {
        if mfn > self.max_mfn {
            return None;
        }
        let mut bytes = [0; 8];
        self.map.read(usize::try_from(mfn).ok()?.checked_mul(8)?, &mut bytes).ok()?;
        Some(u64::from_le_bytes(bytes))
    }
}

/// Only 64-bit guests are moved: the hypervisors of today rarely run others.
pub(super) fn require_64_bit(xc: &Xc, domid: DomId) -> Result<PvInfo> {
    match xc.address_size(domid).during("asking for the guest's word size")? {
        64 => Ok(PvInfo::Bits64),
        bits => Err(Error::State(format!("domain {domid}: moving a {bits}-bit PV guest is not built yet"))),
    }
}
