//! The section `__xen_guest`: `KEY=VALUE,KEY=VALUE`, which kernels had before Xen's ELF notes (PV only).

use super::Fault;
use super::notes::{Notes, NotesSource, Pae, string};

/// Reads the string. Unknown keys are passed over.
pub(super) fn parse(section: &[u8]) -> Result<Notes, Fault> {
    let mut notes = Notes { source: Some(NotesSource::GuestString), ..Notes::default() };
    let mut hypercall_pfn = None;
    for item in string(section).split(',') {
        let (key, value) = item.split_once('=').unwrap_or((item, ""));
        match key {
            "LOADER" => notes.loader = value.to_owned(),
            "GUEST_OS" => notes.guest_os = value.to_owned(),
            "GUEST_VER" => notes.guest_version = value.to_owned(),
            "XEN_VER" => notes.xen_version = value.to_owned(),
            "PAE" => notes.pae = pae(value),
            "BSD_SYMTAB" => notes.bsd_symtab = true,
            "VIRT_BASE" => notes.virt_base = Some(number(key, value)?),
            "VIRT_ENTRY" => notes.entry = Some(number(key, value)?),
            "ELF_PADDR_OFFSET" => notes.paddr_offset = Some(number(key, value)?),
            "HYPERCALL_PAGE" => hypercall_pfn = Some(number(key, value)?),
            "FEATURES" => notes.features.add(value)?,
            _ => {}
        }
    }
    // Here it is a page number, counted from VIRT_BASE.
    if let Some(pfn) = hypercall_pfn {
        let address = pfn.checked_mul(4096).and_then(|a| a.checked_add(notes.virt_base.unwrap_or(0)));
        let wraps = || Fault::malformed("__xen_guest: HYPERCALL_PAGE", format!("page {pfn:#x} wraps around"));
        notes.hypercall_page = Some(address.ok_or_else(wraps)?);
    }
    // Kernels of that time gave virtual addresses in p_paddr.
    notes.paddr_offset = notes.paddr_offset.or(notes.virt_base);
    Ok(notes)
}

fn pae(value: &str) -> Pae {
    match value {
        "yes[extended-cr3]" => Pae::ExtendedCr3,
        _ if value.starts_with("yes") => Pae::Yes,
        _ => Pae::No,
    }
}

/// A number as C's `strtoull` reads it: 0x is hexadecimal, a leading 0 octal.
fn number(key: &str, value: &str) -> Result<u64, Fault> {
    let parsed = match value.strip_prefix("0x").or(value.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16),
        None if value.len() > 1 && value.starts_with('0') => u64::from_str_radix(value, 8),
        None => value.parse(),
    };
    parsed.map_err(|_| Fault::malformed(format!("__xen_guest: {key}"), format!("{value:?} is no number")))
}
