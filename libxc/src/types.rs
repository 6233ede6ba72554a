//! Xen's numbers as types, so that a guest frame is never taken for a machine frame.

use std::fmt;

/// Bytes of a page on x86 (`XC_PAGE_SIZE`).
pub const PAGE_SIZE: usize = 4096;
/// Base-2 logarithm of [`PAGE_SIZE`].
pub const PAGE_SHIFT: u32 = 12;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
        impl fmt::LowerHex for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::LowerHex::fmt(&self.0, f)
            }
        }
    };
}

number! {
    /// A domain's number (`domid_t`, xen.h). Ordinary domains are below [`DomId::FIRST_RESERVED`].
    DomId(u16)
}
number! {
    /// A guest frame number: a page of the guest-physical address space.
    Gfn(u64)
}
number! {
    /// A machine frame number: a page of the host's memory.
    Mfn(u64)
}
number! {
    /// A pseudo-physical frame number: a PV guest's own page number, mapped to an [`Mfn`] by its p2m.
    Pfn(u64)
}
number! {
    /// An amount of memory in KiB, libxl's unit.
    Kib(u64)
}
number! {
    /// A port of the event channel table of one domain (`evtchn_port_t`).
    EvtchnPort(u32)
}
number! {
    /// An entry of a domain's grant table (`grant_ref_t`).
    GrantRef(u32)
}

impl DomId {
    /// The first number that no ordinary domain has (`DOMID_FIRST_RESERVED`).
    pub const FIRST_RESERVED: DomId = DomId(0x7ff0);
    /// The caller's own domain (`DOMID_SELF`).
    pub const SELF: DomId = DomId(0x7ff0);
    /// The owner of I/O memory (`DOMID_IO`).
    pub const IO: DomId = DomId(0x7ff1);
    /// Host memory of no domain (`DOMID_XEN`).
    pub const XEN: DomId = DomId(0x7ff2);
    /// No domain (`DOMID_INVALID`).
    pub const INVALID: DomId = DomId(0x7ff4);

    /// Whether an ordinary domain can have this number.
    pub fn is_ordinary(self) -> bool {
        self < Self::FIRST_RESERVED
    }
}

impl Kib {
    /// The whole pages in this amount.
    pub fn pages(self) -> u64 {
        self.0 >> (PAGE_SHIFT - 10)
    }

    /// The KiB of so many pages; saturates.
    pub fn from_pages(pages: u64) -> Kib {
        Kib(pages.saturating_mul(PAGE_SIZE as u64 / 1024))
    }
}
