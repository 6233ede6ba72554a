//! Core files of domains: all of a guest's memory and registers, for a debugger (`libxl_domain_core_dump`).

pub mod layout;

use super::info;
use crate::Ctx;
use crate::error::{Error, Result, ResultExt};
use layout::{INVALID_PFN, Shape, XenVersion};
use libxc::domain::{DomainFlags, DomainInfo};
use libxc::foreign::Protection;
use libxc::host::Version;
use libxc::migrate::present::{Present, present_pages};
use libxc::types::PAGE_SIZE;
use libxc::vcpu::PvContext;
use libxc::{DomId, Xc};
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Pages that are mapped at once.
const MAPPED_AT_ONCE: usize = 1024;

/// Writes a domain's core file. The domain may run meanwhile: the file then holds its pages from different moments.
///
/// # Errors
/// No file is left then.
pub fn write(ctx: &Ctx, domid: DomId, file: &Path) -> Result<()> {
    let step = || format!("core of domain {domid} in {}", file.display());
    let info = info::get(ctx, domid).with_context(step)?;
    let out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file).with_context(step)?;
    content(ctx.xc()?, &info, out).inspect_err(|_| _ = fs::remove_file(file)).with_context(step)
}

fn content(xc: &Xc, info: &DomainInfo, out: File) -> Result<()> {
    let domid = info.domid;
    let contexts = contexts(xc, info)?;
    let pages = present_pages(xc, domid).map_err(|e| Error::fail(e.to_string()))?;
    let shared = shared_info(xc, info)?;
    let shape = Shape {
        translated: info.flags.contains(DomainFlags::HVM),
        vcpus: contexts.len() as u64,
        context_size: size_of::<PvContext>() as u64,
        shared_info: shared.is_some(),
        pages: pages.len() as u64,
    };
    let mut out = BufWriter::with_capacity(1 << 20, out);
    out.write_all(&shape.head(&xen_version(&xc.version()?)))?;
    contexts.iter().try_for_each(|context| out.write_all(context))?;
    shared.iter().try_for_each(|page| out.write_all(page))?;
    out.write_all(&vec![0; shape.padding() as usize])?;
    let pages = memory(xc, domid, pages, &mut out)?;
    out.write_all(&table(&pages, shape.translated))?;
    out.write_all(&shape.tail())?;
    Ok(out.flush()?)
}

/// The registers of each vCPU that has any.
fn contexts(xc: &Xc, info: &DomainInfo) -> Result<Vec<Vec<u8>>> {
    let last = info.max_vcpu_id.ok_or_else(|| Error::fail("it has no vCPUs yet"))?;
    let contexts: Vec<_> = (0..=last).filter_map(|vcpu| xc.pv_context_bytes(info.domid, vcpu).ok()).collect();
    if contexts.is_empty() {
        return Err(Error::fail("none of its vCPUs has registers yet"));
    }
    Ok(contexts)
}

/// The page that Xen shares with the guest; only PV guests always have one.
fn shared_info(xc: &Xc, info: &DomainInfo) -> Result<Option<Vec<u8>>> {
    let map = match xc.map_foreign(info.domid, Protection::Read, &[info.shared_info_frame.0]) {
        Err(_) if info.flags.contains(DomainFlags::HVM) => return Ok(None),
        map => map.context("the shared info page")?,
    };
    let mut page = vec![0; PAGE_SIZE];
    map.read(0, &mut page)?;
    Ok(Some(page))
}

/// Writes the pages. One that went away meanwhile is written as zeros: it is `None` in what is returned.
fn memory(xc: &Xc, domid: DomId, pages: Vec<Present>, out: &mut impl Write) -> Result<Vec<Option<Present>>> {
    let mut written = Vec::with_capacity(pages.len());
    let mut bytes = vec![0; PAGE_SIZE];
    for batch in pages.chunks(MAPPED_AT_ONCE) {
        let frames: Vec<u64> = batch.iter().map(|page| page.frame).collect();
        let whole = xc.map_foreign(domid, Protection::Read, &frames).ok();
        for (index, page) in batch.iter().enumerate() {
            let read = match &whole {
                Some(map) => map.read(index * PAGE_SIZE, &mut bytes),
                None => xc.map_foreign(domid, Protection::Read, &[page.frame]).and_then(|map| map.read(0, &mut bytes)),
            };
            if read.is_err() {
                bytes.fill(0);
            }
            out.write_all(&bytes)?;
            written.push(read.is_ok().then_some(*page));
        }
    }
    Ok(written)
}

/// What the pages are: a PV guest's by number and frame, others' by number.
fn table(pages: &[Option<Present>], translated: bool) -> Vec<u8> {
    let entry = |page: &Option<Present>| match page {
        Some(page) => [page.pfn.0, page.frame],
        None => [INVALID_PFN; 2],
    };
    let words = pages.iter().map(entry).flat_map(|entry| entry.into_iter().take(if translated { 1 } else { 2 }));
    words.flat_map(u64::to_le_bytes).collect()
}

/// The hypervisor's answers, each in the room that it has in the file.
fn xen_version(version: &Version) -> XenVersion {
    let mut compile_info = [0; 144];
    let parts = [
        (0..64, &version.compiler),
        (64..80, &version.compile_by),
        (80..112, &version.compile_domain),
        (112..144, &version.compile_date),
    ];
    for (place, text) in parts {
        put(&mut compile_info[place], text);
    }
    XenVersion {
        version: (version.major.into(), version.minor.into()),
        extra: room(&version.extra),
        compile_info,
        capabilities: room(&version.capabilities),
        changeset: room(&version.changeset),
        platform_parameters: version.virt_start,
        page_size: version.pagesize.into(),
    }
}

fn room<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    put(&mut bytes, text);
    bytes
}

/// As much of a text as there is room for.
fn put(place: &mut [u8], text: &str) {
    place.iter_mut().zip(text.bytes()).for_each(|(to, byte)| *to = byte);
}

#[cfg(test)]
mod tests {
    use super::*;
    use libxc::Pfn;

    #[test]
    fn the_table_names_each_page_as_its_kind_of_guest_does() {
        let page = Present { pfn: Pfn(3), frame: 0x77 };
        let words = |bytes: Vec<u8>| -> Vec<u64> {
            bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect()
        };
        assert_eq!(words(table(&[Some(page), None], false)), [3, 0x77, INVALID_PFN, INVALID_PFN]);
        assert_eq!(words(table(&[Some(page), None], true)), [3, INVALID_PFN]);
    }

    #[test]
    fn texts_fill_their_rooms_and_no_more() {
        let version = Version { compiler: "g".repeat(100), compile_by: "me".into(), ..Version::default() };
        let compile_info = xen_version(&version).compile_info;
        assert_eq!((compile_info[63], &compile_info[64..67]), (b'g', &b"me\0"[..]));
    }
}
