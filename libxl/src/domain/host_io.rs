//! What a domain gets of the host's I/O: `ioports=`, `irqs=`, `iomem=`.

use crate::Ctx;
use crate::error::{Result, ResultExt};
use crate::types::DomainBuildInfo;
use libxc::{DomId, Gfn, Mfn};

/// Lets the domain use them. Xen refuses what it uses itself, and what domain 0 may not use.
pub(super) fn grant(ctx: &Ctx, b_info: &DomainBuildInfo, domid: DomId) -> Result<()> {
    let xc = ctx.xc()?;
    for ports in &b_info.ioports {
        let last = u64::from(ports.first) + u64::from(ports.number.saturating_sub(1));
        let step = || format!("I/O ports {:x} to {last:x} (ioports=)", ports.first);
        xc.permit_ioports(domid, ports.first, ports.number).with_context(step)?;
    }
    for &irq in &b_info.irqs {
        let granted = xc.map_gsi(domid, irq).and_then(|pirq| xc.permit_irq(domid, pirq));
        granted.with_context(|| format!("interrupt {irq} (irqs=)"))?;
    }
    for range in &b_info.iomem {
        let (first, pages) = (Mfn(range.start), range.number);
        let at = Gfn(range.gfn.unwrap_or(range.start));
        let step = || format!("I/O memory, {pages:x} frames from {:x} at {:x} (iomem=)", first.0, at.0);
        xc.permit_iomem(domid, first, pages).with_context(step)?;
        // A PV domain maps it itself.
        if b_info.pv().is_none() {
            xc.map_iomem(domid, at, first, pages).with_context(step)?;
        }
    }
    Ok(())
}
