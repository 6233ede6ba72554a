//! Pages of a guest, mapped into this process.

#![allow(unsafe_code)]

use crate::types::PAGE_SIZE;
use crate::{DomId, Error, Result, Xc};
use nix::errno::Errno;
use std::ffi::c_void;
use std::ptr::{self, NonNull};
use xenctrl_sys as sys;
use xenforeignmemory_sys as fm;

/// What may be done with mapped pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Reading.
    Read,
    /// Reading and writing.
    ReadWrite,
}

impl Protection {
    fn bits(self) -> i32 {
        match self {
            Protection::Read => libc::PROT_READ,
            Protection::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
        }
    }
}

/// Pages of a guest, one after the other in this process' memory; `Drop` unmaps them, or leaves that to the end of the
/// process ([`Xc::leave_mapped`]).
///
/// The guest may change them at any moment, so there is no reference to them: only copies in and out.
pub struct ForeignMap<'xc> {
    xc: &'xc Xc,
    start: NonNull<u8>,
    pages: usize,
    protection: Protection,
}

impl Xc {
    /// Maps these frames of a domain: machine frames of a PV domain, guest frames of another.
    ///
    /// # Errors
    /// If any of them cannot be mapped; the message tells which.
    pub fn map_foreign(&self, domid: DomId, protection: Protection, frames: &[u64]) -> Result<ForeignMap<'_>> {
        let (map, errors) = self.map_each(domid, protection, frames)?;
        match errors.iter().zip(frames).find(|(error, _)| **error != 0) {
            None => Ok(map),
            Some((error, frame)) => Err(Error::Invalid(format!(
                "mapping frame {frame:#x} of domain {domid}: {}",
                Errno::from_raw(error.abs()).desc()
            ))),
        }
    }

    /// Maps those of these frames that there are, for reading: the map has them one after the other, and `frames` keeps
    /// only them. No map if there is none.
    pub fn map_foreign_present(&self, domid: DomId, frames: &mut Vec<u64>) -> Result<Option<ForeignMap<'_>>> {
        while !frames.is_empty() {
            let (map, errors) = self.map_each(domid, Protection::Read, frames)?;
            if errors.iter().all(|&error| error == 0) {
                return Ok(Some(map));
            }
            // A page that is not there must not be in a map that is read: once more without it.
            let mut errors = errors.iter();
            frames.retain(|_| errors.next() == Some(&0));
        }
        Ok(None)
    }

    /// From here on, mappings of up to so many pages in all stay until this process ends: for one that ends soon.
    ///
    /// In a PV dom0 each page that is unmapped goes through Xen, which takes as long as mapping it. A process that ends
    /// gives its page tables back first, and then Xen takes all pages at once. Each page costs eight bytes of page table.
    /// A page table of a PV guest cannot be pinned while it is mapped for writing.
    pub fn leave_mapped(&self, pages: usize) {
        self.left_mapped.set(pages);
    }

    /// Maps these frames as far as they can be mapped, with each one's error.
    fn map_each(&self, domid: DomId, protection: Protection, frames: &[u64]) -> Result<(ForeignMap<'_>, Vec<i32>)> {
        let pages = frames.len();
        if pages == 0 || pages > i32::MAX as usize / PAGE_SIZE * 1024 {
            return Err(Error::Invalid(format!("mapping {pages} pages of domain {domid}")));
        }
        let mut errors = vec![0; pages];
        // SAFETY: the handle is open; `frames` and `errors` have `pages` entries.
        let start = unsafe {
            fm::xenforeignmemory_map(
                self.memory()?,
                domid.0.into(),
                protection.bits(),
                pages,
                frames.as_ptr(),
                errors.as_mut_ptr(),
            )
        };
        let start = NonNull::new(start.cast()).ok_or_else(|| Error::last("xenforeignmemory_map", Some(domid)))?;
        Ok((ForeignMap { xc: self, start, pages, protection }, errors))
    }

    /// Grants the control domains access to a new domain's console and xenstore pages, so that the
    /// guest need not (entries `GNTTAB_RESERVED_CONSOLE` and `GNTTAB_RESERVED_XENSTORE`, xen/grant_table.h).
    pub fn seed_grants(&self, domid: DomId, pages: SeededPages) -> Result<()> {
        let entries = [
            (sys::GNTTAB_RESERVED_CONSOLE, grant(domid, pages.console, pages.console_domain)?),
            (sys::GNTTAB_RESERVED_XENSTORE, grant(domid, pages.store, pages.store_domain)?),
        ];
        let memory = self.memory()?;
        let mut start: *mut c_void = ptr::null_mut();
        // SAFETY: the handle is open; one frame of version 1 entries is mapped, its address stored in `start`.
        let resource = unsafe {
            fm::xenforeignmemory_map_resource(
                memory,
                domid.0,
                sys::XENMEM_resource_grant_table,
                sys::XENMEM_resource_grant_table_id_shared,
                0,
                1,
                &raw mut start,
                libc::PROT_READ | libc::PROT_WRITE,
                0,
            )
        };
        let resource = NonNull::new(resource).ok_or_else(|| Error::last("XENMEM_acquire_resource", Some(domid)))?;
        let table: *mut sys::grant_entry_v1 = start.cast();
        for (index, entry) in entries {
            // SAFETY: both reserved entries are in the first of the mapped frame's 512.
            unsafe { table.add(index as usize).write_volatile(entry) };
        }
        // SAFETY: mapped above, unmapped once.
        unsafe { fm::xenforeignmemory_unmap_resource(memory, resource.as_ptr()) };
        Ok(())
    }
}

/// An entry of version 1 of the grant table; an empty one where the daemon runs in the domain itself.
fn grant(domid: DomId, frame: u64, to: DomId) -> Result<sys::grant_entry_v1> {
    if to == domid {
        return Ok(sys::grant_entry_v1::default());
    }
    let frame = u32::try_from(frame)
        .map_err(|_| Error::Invalid(format!("page {frame:#x} is too high for a grant of version 1")))?;
    Ok(sys::grant_entry_v1 { flags: sys::GTF_permit_access as u16, domid: to.0, frame })
}

/// The pages that [`Xc::seed_grants`] gives access to: guest frames, or machine frames of a PV domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeededPages {
    /// The console's ring.
    pub console: u64,
    /// The domain where xenconsoled runs.
    pub console_domain: DomId,
    /// The ring to xenstored.
    pub store: u64,
    /// The domain where xenstored runs.
    pub store_domain: DomId,
}

impl ForeignMap<'_> {
    /// Bytes that are mapped.
    pub fn size(&self) -> usize {
        self.pages * PAGE_SIZE
    }

    /// Copies bytes of the guest out.
    ///
    /// # Errors
    /// If they are not all mapped.
    pub fn read(&self, offset: usize, into: &mut [u8]) -> Result<()> {
        let from = self.at(offset, into.len())?;
        // SAFETY: `at` checked that so many bytes are mapped there; `into` is this process' own memory.
        unsafe { ptr::copy_nonoverlapping(from, into.as_mut_ptr(), into.len()) };
        Ok(())
    }

    /// Copies bytes into the guest.
    ///
    /// # Errors
    /// If they are not all mapped, and for writing.
    pub fn write(&self, offset: usize, bytes: &[u8]) -> Result<()> {
        let to = self.at_for_writing(offset, bytes.len())?;
        // SAFETY: as in `read`, the other way; the pages are mapped for writing.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        Ok(())
    }

    /// Copies 64-bit words into the guest.
    ///
    /// # Errors
    /// If they are not all mapped, and for writing.
    pub fn write_words(&self, offset: usize, words: &[u64]) -> Result<()> {
        let to = self.at_for_writing(offset, size_of_val(words))?;
        // SAFETY: as in `write`; bytes are copied, so alignment does not matter.
        unsafe { ptr::copy_nonoverlapping(words.as_ptr().cast(), to, size_of_val(words)) };
        Ok(())
    }

    /// Fills bytes of the guest with zeros.
    ///
    /// # Errors
    /// If they are not all mapped, and for writing.
    pub fn zero(&self, offset: usize, len: usize) -> Result<()> {
        let to = self.at_for_writing(offset, len)?;
        // SAFETY: as in `write`.
        unsafe { ptr::write_bytes(to, 0, len) };
        Ok(())
    }

    pub(crate) fn at_for_writing(&self, offset: usize, len: usize) -> Result<*mut u8> {
        match self.protection {
            Protection::ReadWrite => self.at(offset, len),
            Protection::Read => Err(Error::Invalid("writing to guest pages that are mapped for reading".into())),
        }
    }

    /// The address of `len` bytes at `offset`, which are all mapped.
    pub(crate) fn at(&self, offset: usize, len: usize) -> Result<*mut u8> {
        match offset.checked_add(len) {
            Some(end) if end <= self.size() => Ok(self.start.as_ptr().wrapping_add(offset)),
            _ => Err(Error::Invalid(format!(
                "{len} bytes at {offset:#x} are not within the {:#x} mapped bytes of the guest",
                self.size()
            ))),
        }
    }
}

impl Drop for ForeignMap<'_> {
    fn drop(&mut self) {
        // A small mapping costs as much as a page table: the kernel has a limit for the number of mappings, too.
        let costs = self.pages.max(PAGE_SIZE / size_of::<u64>());
        if let Some(rest) = self.xc.left_mapped.get().checked_sub(costs) {
            self.xc.left_mapped.set(rest);
            return;
        }
        if let Ok(memory) = self.xc.memory() {
            // SAFETY: mapped by this handle with so many pages, unmapped once.
            unsafe { fm::xenforeignmemory_unmap(memory, self.start.as_ptr().cast(), self.pages) };
        }
    }
}
