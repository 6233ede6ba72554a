//! What a kernel tells Xen about itself: the ELF notes of elfnote.h, owner `Xen`.

use super::elf::Elf;
use super::features::Features;
use super::{Fault, guest_string};
use std::ops::Range;

/// The most notes that a file may have (libelf's `ELF_MAX_TOTAL_NOTE_COUNT`): program headers may name one area
/// many times.
const MAX_NOTES: usize = 65536;

/// Where a kernel's information was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotesSource {
    /// A `PT_NOTE` program header.
    Segment,
    /// A `SHT_NOTE` section.
    Section,
    /// The section `__xen_guest` of kernels before Xen 3.0.4.
    GuestString,
}

/// Page tables of a 32-bit PV kernel (`PAE_MODE`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pae {
    /// Two levels, which no Xen supports any more.
    #[default]
    No,
    /// Three levels.
    Yes,
    /// Three levels, the top one also above 4 GiB.
    ExtendedCr3,
    /// Either.
    Bimodal,
}

/// The information itself. Fields are named after the notes; an absent note is `None`, empty or false.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Where it was found; none for a file that says nothing to Xen.
    pub source: Option<NotesSource>,
    /// Virtual address of a PV kernel's entry point.
    pub entry: Option<u64>,
    /// Virtual address of the page for Xen to fill with hypercall stubs.
    pub hypercall_page: Option<u64>,
    /// Virtual address that a PV kernel's physical address 0 is mapped to.
    pub virt_base: Option<u64>,
    /// What to take off the ELF file's physical addresses.
    pub paddr_offset: Option<u64>,
    /// Lowest address that the hypervisor's hole may start at (32-bit PV).
    pub hv_start_low: Option<u64>,
    /// Virtual address for the p2m list, outside the initial mapping.
    pub init_p2m: Option<u64>,
    /// Entry point for PVH: 32-bit, paging off.
    pub phys32_entry: Option<u32>,
    /// Xen interface, `xen-3.0`.
    pub xen_version: String,
    /// Operating system.
    pub guest_os: String,
    /// Its version.
    pub guest_version: String,
    /// Kind of loader, `generic`.
    pub loader: String,
    /// Page tables of a 32-bit kernel.
    pub pae: Pae,
    /// Features supported and required.
    pub features: Features,
    /// Whether the symbol table must be loaded.
    pub bsd_symtab: bool,
    /// Whether the ramdisk may lie outside the initial mapping (`MOD_START_PFN`).
    pub unmapped_initrd: bool,
    /// Whether a suspend may be cancelled.
    pub suspend_cancel: bool,
    /// Masks and values by which non-present page table entries with valid frames are known.
    pub l1_mfn_valid: Vec<(u64, u64)>,
}

impl Notes {
    /// Finds the information: in note segments, else in note sections, else in `__xen_guest`.
    pub(super) fn find(image: &[u8], elf: &Elf) -> Result<Notes, Fault> {
        let mut notes = Notes::default();
        let mut count = 0;
        for area in &elf.note_segments {
            notes.add_area(image, area, NotesSource::Segment, &mut count)?;
        }
        if notes.source.is_none() {
            for area in &elf.note_sections {
                notes.add_area(image, area, NotesSource::Section, &mut count)?;
            }
        }
        match elf.guest_section {
            Some(text) if notes.source.is_none() => guest_string::parse(text),
            _ => Ok(notes),
        }
    }

    fn add_area(
        &mut self,
        image: &[u8],
        area: &Range<usize>,
        source: NotesSource,
        count: &mut usize,
    ) -> Result<(), Fault> {
        let mut at = area.start;
        while at < area.end {
            let fault = |why| Fault::malformed(format!("ELF note {count} at {at:#x}"), why);
            if *count >= MAX_NOTES {
                return Err(fault("too many notes"));
            }
            let note = Note::at(image, at).ok_or_else(|| fault("its header or name is past the end of the image"))?;
            if note.owner == b"Xen\0" {
                self.source = Some(source);
                self.add(note.kind, note.desc)?;
            }
            at = note.end;
            *count += 1;
        }
        Ok(())
    }

    fn add(&mut self, kind: u32, desc: &[u8]) -> Result<(), Fault> {
        match kind {
            1 => self.entry = Some(number("ENTRY", desc)?),
            2 => self.hypercall_page = Some(number("HYPERCALL_PAGE", desc)?),
            3 => self.virt_base = Some(number("VIRT_BASE", desc)?),
            4 => self.paddr_offset = Some(number("PADDR_OFFSET", desc)?),
            5 => self.xen_version = string(desc),
            6 => self.guest_os = string(desc),
            7 => self.guest_version = string(desc),
            8 => self.loader = string(desc),
            9 => self.add_pae(&string(desc)),
            10 => self.features.add(&string(desc))?,
            11 => self.bsd_symtab |= string(desc) == "yes",
            12 => self.hv_start_low = Some(number("HV_START_LOW", desc)?),
            13 => self.l1_mfn_valid = pairs(desc),
            14 => self.suspend_cancel = number("SUSPEND_CANCEL", desc)? != 0,
            15 => self.init_p2m = Some(number("INIT_P2M", desc)?),
            16 => self.unmapped_initrd = number("MOD_START_PFN", desc)? != 0,
            17 => self.features.supported.0 |= first_submap(desc),
            18 => self.phys32_entry = Some(address32(number("PHYS32_ENTRY", desc)?)?),
            // Newer than this program, or only for people to read.
            _ => {}
        }
        Ok(())
    }

    fn add_pae(&mut self, text: &str) {
        if text == "yes" {
            self.pae = Pae::ExtendedCr3;
        } else if text.contains("bimodal") {
            self.pae = Pae::Bimodal;
        }
    }
}

/// A note: owner, kind and contents, each padded to four bytes in either class.
struct Note<'a> {
    owner: &'a [u8],
    kind: u32,
    desc: &'a [u8],
    end: usize,
}

impl<'a> Note<'a> {
    /// The note at an offset. Its contents may reach past its program header and are cut off at the image's end:
    /// so it is in GRUB's images for 32-bit PV, which libelf takes.
    fn at(image: &'a [u8], at: usize) -> Option<Note<'a>> {
        let field = |index: usize| {
            let start = at.checked_add(4 * index)?;
            Some(u32::from_le_bytes(*image.get(start..)?.first_chunk()?))
        };
        let (owner_size, desc_size, kind) = (field(0)? as usize, field(1)? as usize, field(2)?);
        let owner = at.checked_add(12)?;
        let desc = owner.checked_add(owner_size.checked_next_multiple_of(4)?)?;
        Some(Note {
            owner: image.get(owner..owner.checked_add(owner_size)?)?,
            kind,
            desc: image.get(desc..)?.get(..desc_size).unwrap_or(&image[desc..]),
            end: desc.checked_add(desc_size.checked_next_multiple_of(4)?)?,
        })
    }
}

/// A little-endian number of 1, 2, 4 or 8 bytes.
fn number(name: &str, desc: &[u8]) -> Result<u64, Fault> {
    if !matches!(desc.len(), 1 | 2 | 4 | 8) {
        return Err(Fault::malformed(format!("Xen note {name}"), format!("{} bytes are no number", desc.len())));
    }
    let mut bytes = [0; 8];
    bytes[..desc.len()].copy_from_slice(desc);
    Ok(u64::from_le_bytes(bytes))
}

fn address32(address: u64) -> Result<u32, Fault> {
    let outside = |_| Fault::malformed("Xen note PHYS32_ENTRY", format!("{address:#x} is not below 4 GiB"));
    u32::try_from(address).map_err(outside)
}

/// Text up to the first NUL.
pub(super) fn string(desc: &[u8]) -> String {
    let end = desc.iter().position(|byte| *byte == 0).unwrap_or(desc.len());
    String::from_utf8_lossy(&desc[..end]).into_owned()
}

/// The first 32 bits of a feature bitmap, the only ones that Xen defines.
fn first_submap(desc: &[u8]) -> u32 {
    match desc.first_chunk() {
        Some(bytes) if desc.len().is_multiple_of(4) => u32::from_le_bytes(*bytes),
        _ => 0,
    }
}

fn pairs(desc: &[u8]) -> Vec<(u64, u64)> {
    let (pairs, _) = desc.as_chunks::<16>();
    let split = |pair: &[u8; 16]| {
        let both = u128::from_le_bytes(*pair);
        (both as u64, (both >> 64) as u64)
    };
    pairs.iter().map(split).collect()
}
