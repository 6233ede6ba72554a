//! Builders: they put a kernel and what it finds around itself into a new domain, up to the first vCPU's
//! registers.
//!
//! What goes where is planned by pure modules (`layout`, `page_tables`, `start_info`, `e820`, `acpi`,
//! `context`); `pv` and `pvh` carry the plans out.

mod fill;
mod populate;
pub mod pv;
pub mod pvh;

use crate::{DomId, EvtchnPort};

/// A ring between the guest and a daemon: its console, or its way to xenstored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ring {
    /// The guest's event channel port.
    pub port: EvtchnPort,
    /// The domain where the daemon runs.
    pub domid: DomId,
}

/// What the daemons must know of a built domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Built {
    /// The frame of the console's ring: a machine frame of a PV domain, a guest frame of another.
    pub console_frame: u64,
    /// The frame of the ring to xenstored, likewise.
    pub store_frame: u64,
}
