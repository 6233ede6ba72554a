//! The middle of a legacy stream: batches of pages, and settings between them.

use super::Conversion;
use crate::input::Result;
use libxc::stream::page::BATCH_MAX;
use libxc::stream::x86::{HvmParam, TscInfo, encode_hvm_params};
use libxc::stream::{GuestKind, PageData, PageType, PfnEntry, RecordHeader, RecordType};
use libxc::types::{PAGE_SIZE, Pfn};
use libxl::stream::emulator::{decode_xenstore_data, encode_xenstore_data};
use std::collections::HashSet;
use std::io::{Read, Write};

const PLACE: &str = "legacy chunk";
/// The most vCPUs that any legacy stream holds.
const VCPU_ID_MAX: i32 = 4095;
/// A page that is not there, at no place: the writer leaves runs of these.
const ABSENT: u64 = 0xf000_0000;

/// The HVM parameter that a chunk of this number carries (`HVM_PARAM_*`, hvm/params.h).
fn hvm_param(chunk: i32) -> Option<u64> {
    Some(match chunk {
        -3 => 12,  // IDENT_PT
        -4 => 15,  // VM86_TSS
        -8 => 17,  // CONSOLE_PFN
        -10 => 19, // ACPI_IOPORTS_LOCATION
        -11 => 9,  // VIRIDIAN
        -14 => 34, // VM_GENERATION_ID_ADDR
        -15 => 27, // PAGING_RING_PFN
        -16 => 28, // MONITOR_RING_PFN
        -17 => 29, // SHARING_RING_PFN
        -19 => 32, // IOREQ_SERVER_PFN
        -20 => 33, // NR_IOREQ_SERVER_PAGES
        _ => return None,
    })
}

impl<R: Read, W: Write> Conversion<'_, R, W> {
    /// Every chunk up to the end marker. The HVM parameters become one record.
    pub(super) fn chunks(&mut self) -> Result<()> {
        let mut params = Vec::new();
        loop {
            let chunk = i32::from_le_bytes(self.input.array(PLACE)?);
            if chunk <= 0 {
                (self.tell)(format!("Chunk: {chunk}"));
            }
            if let Some(index) = hvm_param(chunk) {
                params.push(self.param(index)?);
                continue;
            }
            match chunk {
                1.. => self.page_batch(chunk as usize)?,
                0 => break,
                -1 | -9 => {} // Verify mode and the last checkpoint say nothing about the guest.
                -2 => self.vcpu_info()?,
                -7 => self.tsc_info()?,
                -18 => self.toolstack()?,
                -5 | -6 => return Err(self.input.wrong(PLACE, "transcendent memory, which no Xen of today has")),
                -12 | -13 => {
                    return Err(self.input.wrong(PLACE, "compressed pages, which only Remus of Xen before 4.6 wrote"));
                }
                _ => return Err(self.input.wrong(PLACE, format!("type: {chunk} is unknown"))),
            }
        }
        if params.is_empty() {
            return Ok(());
        }
        self.hvm_params(&params)
    }

    pub(super) fn hvm_params(&mut self, params: &[HvmParam]) -> Result<()> {
        if self.wanted.guest == GuestKind::Pv {
            return Err(self.input.wrong(PLACE, "an HVM parameter in the stream of a PV guest"));
        }
        self.record(RecordType::HvmParams, &encode_hvm_params(params))
    }

    fn param(&mut self, index: u64) -> Result<HvmParam> {
        self.u32(PLACE)?; // padding
        Ok(HvmParam { index, value: self.u64(PLACE)? })
    }

    /// Frame numbers with a type in bits 28 to 31, then the pages that have content. A batch that is left
    /// without pages becomes no record: readers refuse an empty one.
    fn page_batch(&mut self, count: usize) -> Result<()> {
        if count > BATCH_MAX {
            return Err(self.input.wrong(PLACE, format!("a batch of {count} pages; at most {BATCH_MAX} expected")));
        }
        let words = self.ulongs(PLACE, count)?;
        let mut entries = Vec::with_capacity(count);
        for &word in words.iter().filter(|&&w| w != ABSENT) {
            let kind = u8::try_from(word >> 28).ok().and_then(PageType::from_number);
            let kind = kind.ok_or_else(|| self.input.wrong(PLACE, format!("page {word:#x} has no known type")))?;
            entries.push(PfnEntry { pfn: Pfn(word & 0x0fff_ffff), kind });
        }
        let mut seen = HashSet::with_capacity(entries.len());
        if let Some(twice) = entries.iter().find(|e| !seen.insert((e.pfn, e.kind.number()))) {
            return Err(self.input.wrong(PLACE, format!("page {:#x} stands twice in a batch", twice.pfn)));
        }
        if entries.is_empty() {
            return Ok(());
        }
        let data = PageData { entries };
        let pages = self.input.bytes(PLACE, data.pages_with_data() * PAGE_SIZE)?;
        let header =
            RecordHeader::new(RecordType::PageData, data.length()).map_err(|e| self.input.wrong(e.place, e.problem))?;
        self.output.write_all(&header.encode())?;
        self.output.write_all(&data.encode_prefix())?;
        Ok(self.output.write_all(&pages)?)
    }

    /// Which vCPUs are online: the highest number and a bit for each.
    fn vcpu_info(&mut self) -> Result<()> {
        let max = i32::from_le_bytes(self.input.array(PLACE)?);
        if !(0..=VCPU_ID_MAX).contains(&max) {
            return Err(self.input.wrong(PLACE, format!("highest vCPU: 0 to {VCPU_ID_MAX} expected, found {max}")));
        }
        for word in 0..max as u32 / 64 + 1 {
            let bits = self.u64(PLACE)?;
            self.online_vcpus.extend((0..64).filter(|b| bits & 1 << b != 0).map(|b| word * 64 + b));
        }
        (self.tell)(format!("  Vcpu info: max_id {max}, online map {:?}", self.online_vcpus));
        Ok(())
    }

    fn tsc_info(&mut self) -> Result<()> {
        let (mode, nsec) = (self.u32(PLACE)?, self.u64(PLACE)?);
        let (khz, incarnation) = (self.u32(PLACE)?, self.u32(PLACE)?);
        self.record(RecordType::TscInfo, &TscInfo { mode, khz, nsec, incarnation }.encode())
    }

    /// Where the device model keeps video memory; libxl's first version of it is the only one.
    fn toolstack(&mut self) -> Result<()> {
        let blob = self.blob("legacy toolstack chunk")?;
        if !self.wanted.libxl || blob.is_empty() {
            return Ok(());
        }
        let packed = physmap(&blob, self.wanted.width).map_err(|e| self.input.wrong("legacy toolstack chunk", e))?;
        self.physmap.extend(packed);
        Ok(())
    }
}

/// libxl's physmap entries as keys and values. A writer of 64 bits left four bytes of padding after each name.
fn physmap(blob: &[u8], width: usize) -> std::result::Result<Vec<u8>, String> {
    fn split<'a>(rest: &mut &'a [u8], count: usize) -> std::result::Result<&'a [u8], String> {
        let (head, tail) = rest.split_at_checked(count).ok_or("an entry is cut short")?;
        *rest = tail;
        Ok(head)
    }
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |n, &b| n << 8 | u64::from(b));
    let mut rest = blob;
    let version = number(split(&mut rest, 4)?);
    if version != 1 {
        return Err(format!("version: 1 expected, found {version}"));
    }
    let count = number(split(&mut rest, 4)?);
    let mut packed = Vec::new();
    for _ in 0..count {
        let (offset, start, size) = (split(&mut rest, 8)?, split(&mut rest, 8)?, split(&mut rest, 8)?);
        let length = number(split(&mut rest, 4)?) as usize;
        let name = split(&mut rest, length)?.strip_suffix(b"\0").ok_or("a name does not end with a NUL")?;
        if width == 8 {
            split(&mut rest, 4)?;
        }
        let root = format!("physmap/{:x}", number(offset));
        let values = [("start_addr", format!("{:x}", number(start))), ("size", format!("{:x}", number(size)))];
        for (key, value) in &values {
            packed.extend(encode_xenstore_data([(format!("{root}/{key}").as_bytes(), value.as_bytes())]));
        }
        packed.extend(encode_xenstore_data([(format!("{root}/name").as_bytes(), name)]));
    }
    decode_xenstore_data(&packed).map_err(|e| e.problem)?;
    Ok(packed)
}
