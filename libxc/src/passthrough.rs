//! What a domain may use of the host's I/O: ports, memory, interrupts (xen/domctl.h, xen/physdev.h).

#![allow(unsafe_code)]

use crate::buffer::plain;
use crate::hypercall::op;
use crate::{DomId, Error, Gfn, Mfn, Result, Xc};
use xenctrl_sys as sys;

plain!(sys::physdev_map_pirq);

impl Xc {
    /// Lets a domain use I/O ports of the host.
    pub fn permit_ioports(&self, domid: DomId, first: u32, count: u32) -> Result<()> {
        let args = sys::xen_domctl_ioport_permission { first_port: first, nr_ports: count, allow_access: 1 };
        self.domctl(op!(XEN_DOMCTL_ioport_permission), domid, args).map(drop)
    }

    /// Lets a domain map I/O memory of the host.
    pub fn permit_iomem(&self, domid: DomId, first: Mfn, pages: u64) -> Result<()> {
        let args = sys::xen_domctl_iomem_permission { first_mfn: first.0, nr_mfns: pages, allow_access: 1 };
        self.domctl(op!(XEN_DOMCTL_iomem_permission), domid, args).map(drop)
    }

    /// Shows an HVM or PVH domain I/O memory of the host that it may map, from a guest frame on.
    pub fn map_iomem(&self, domid: DomId, at: Gfn, first: Mfn, pages: u64) -> Result<()> {
        let mut done = 0;
        while done < pages {
            let args = sys::xen_domctl_memory_mapping {
                first_gfn: at.0.saturating_add(done),
                first_mfn: first.0.saturating_add(done),
                nr_mfns: pages - done,
                add_mapping: sys::DPCI_ADD_MAPPING,
                padding: 0,
            };
            // Of many pages Xen maps some, and tells how many; 0 is all.
            match self.domctl_answer(op!(XEN_DOMCTL_memory_mapping), domid, args)? {
                0 => break,
                some => done = done.saturating_add(some),
            }
        }
        Ok(())
    }

    /// Gives a domain an interrupt line of the host, by a number of its own that is returned: the same where it is free.
    pub fn map_gsi(&self, domid: DomId, gsi: u32) -> Result<u32> {
        let line = i32::try_from(gsi).map_err(|_| Error::Invalid(format!("there is no interrupt {gsi}")))?;
        let mut args = sys::physdev_map_pirq {
            domid: domid.0,
            type_: sys::MAP_PIRQ_TYPE_GSI as i32,
            index: line,
            pirq: line,
            ..Default::default()
        };
        let op = op!(PHYSDEVOP_map_pirq);
        // SAFETY: `physdev_map_pirq` is the structure of this operation; no address of this process in it.
        unsafe { self.structure_op(sys::__HYPERVISOR_physdev_op, op, Some(domid), &mut args) }?;
        u32::try_from(args.pirq).map_err(|_| Error::Invalid(format!("interrupt {gsi} is {} to the domain", args.pirq)))
    }

    /// Lets a domain bind an interrupt of the host.
    pub fn permit_irq(&self, domid: DomId, pirq: u32) -> Result<()> {
        let args = sys::xen_domctl_irq_permission { pirq, allow_access: 1, pad: [0; 3] };
        self.domctl(op!(XEN_DOMCTL_irq_permission), domid, args).map(drop)
    }
}
