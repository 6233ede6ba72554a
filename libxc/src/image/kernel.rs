//! A guest kernel: unpacked, its headers read, its layout in a PV or PVH guest worked out.

use super::elf::{self, Class, Machine, Segment};
use super::features::{Feature, FeatureSet};
use super::notes::{Notes, Pae};
use super::{Error, Fault, MAX_SIZE, bzimage, decompress, symtab};
use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

/// A kernel, ready for a domain builder.
#[derive(Clone)]
pub struct Kernel {
    /// The file that it came from, for messages.
    pub file: String,
    /// Word size of the ELF file.
    pub class: Class,
    /// Instruction set of the ELF file.
    pub machine: Machine,
    /// The ELF file's own entry point.
    pub entry: u64,
    /// The parts to load, in the file's order, without overlap.
    pub segments: Vec<Segment>,
    /// What the kernel tells Xen.
    pub notes: Notes,
    image: Vec<u8>,
    symbols: Option<SymbolTable>,
}

/// The symbol table of a BSD kernel and where it goes.
#[derive(Clone)]
struct SymbolTable {
    paddr: u64,
    bytes: Vec<u8>,
}

/// The kind of a PV guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Xen's own")]
pub enum PvAbi {
    X86_64,
    X86_32Pae,
    X86_32,
}

impl PvAbi {
    /// The name in Xen's list of capabilities (`xen_caps` of `xl info`).
    pub fn capability(self) -> &'static str {
        match self {
            PvAbi::X86_64 => "xen-3.0-x86_64",
            PvAbi::X86_32Pae => "xen-3.0-x86_32p",
            PvAbi::X86_32 => "xen-3.0-x86_32",
        }
    }
}

/// A kernel as a PV guest. Virtual addresses map the guest's memory from [`PvLayout::virt_base`] on, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PvLayout {
    /// What it needs of Xen.
    pub abi: PvAbi,
    /// The virtual address of the guest's first page.
    pub virt_base: u64,
    /// The kernel's virtual addresses, symbol table included; the start is not below `virt_base`.
    pub kernel: Range<u64>,
    /// Virtual address of the entry point, inside `kernel`.
    pub entry: u64,
    /// Virtual address of the page to fill with hypercall stubs.
    pub hypercall_page: Option<u64>,
    /// Virtual address that the p2m list goes to, outside `kernel`; none: after the kernel.
    pub init_p2m: Option<u64>,
    /// Whether the ramdisk stays out of the initial mapping.
    pub unmapped_initrd: bool,
    pub(crate) paddr_offset: u64,
}

impl PvLayout {
    /// The offset in the guest's memory of a physical address that the ELF file gives.
    pub fn memory_offset(&self, paddr: u64) -> u64 {
        // `Kernel::pv` has checked that no segment starts below.
        paddr.wrapping_sub(self.paddr_offset)
    }
}

/// A kernel as a PVH guest. All addresses are guest-physical.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PvhLayout {
    /// The kernel with its symbol table.
    pub kernel: Range<u64>,
    /// The 32-bit entry point, inside `kernel`.
    pub entry: u32,
}

impl Kernel {
    /// Reads a kernel file: ELF or bzImage, perhaps under gzip.
    pub fn read(path: &Path) -> Result<Kernel, Error> {
        let file = path.display().to_string();
        let bytes = read_file(path).map_err(|fault| fault.of(&file))?;
        Kernel::parse(&file, bytes)
    }

    /// Reads a kernel from the bytes of a file; `file` is its name, for messages.
    pub fn parse(file: &str, bytes: Vec<u8>) -> Result<Kernel, Error> {
        unpack(bytes).and_then(|image| from_elf(file, image)).map_err(|fault| fault.of(file))
    }

    /// What to copy into the guest's memory, zeroed before: physical addresses by the ELF file, and bytes.
    pub fn contents(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let segments = self.segments.iter().map(|s| (s.paddr, &self.image[s.file.clone()]));
        segments.chain(self.symbols.iter().map(|s| (s.paddr, s.bytes.as_slice())))
    }

    /// The physical addresses by the ELF file, from the first segment to the last or to the symbol table.
    pub fn physical(&self) -> Range<u64> {
        // `from_elf` has checked that there is a segment, and the end of the table.
        let start = self.segments.iter().map(|s| s.paddr).min().unwrap_or(0);
        let end = self.segments.iter().map(Segment::end).max().unwrap_or(0);
        start..self.symbols.as_ref().map_or(end, |s| s.paddr + s.bytes.len() as u64)
    }

    /// The kernel as a PV guest, with the features that the configuration asks for on top of its own.
    pub fn pv(&self, requested: FeatureSet) -> Result<PvLayout, Error> {
        self.pv_layout(requested).map_err(|fault| fault.of(&self.file))
    }

    /// The kernel as a PVH guest.
    pub fn pvh(&self) -> Result<PvhLayout, Error> {
        self.pvh_layout().map_err(|fault| fault.of(&self.file))
    }

    fn pv_layout(&self, requested: FeatureSet) -> Result<PvLayout, Fault> {
        let notes = &self.notes;
        self.check_pv_identity()?;
        self.check_features(requested)?;
        if notes.paddr_offset.is_some() && notes.virt_base.is_none() {
            return Err(Fault::malformed("Xen note PADDR_OFFSET", "set without VIRT_BASE"));
        }
        let (virt_base, paddr_offset) = (notes.virt_base.unwrap_or(0), notes.paddr_offset.unwrap_or(0));
        let physical = self.physical();
        let to_virtual = |paddr: u64| paddr.checked_sub(paddr_offset)?.checked_add(virt_base);
        let kernel = to_virtual(physical.start).zip(to_virtual(physical.end)).ok_or_else(|| {
            let (start, end) = (physical.start, physical.end);
            let why =
                format!("{start:#x}-{end:#x} less {paddr_offset:#x} plus {virt_base:#x} is no range of addresses");
            Fault::malformed("Xen notes PADDR_OFFSET, VIRT_BASE", why)
        })?;
        let kernel = kernel.0..kernel.1;
        let entry = notes.entry.unwrap_or(self.entry);
        check_entry("Xen note ENTRY", entry, &kernel)?;
        if let Some(p2m) = notes.init_p2m.filter(|p2m| kernel.contains(p2m)) {
            return Err(Fault::malformed("Xen note INIT_P2M", format!("{p2m:#x} is inside the kernel")));
        }
        Ok(PvLayout {
            abi: self.pv_abi(),
            virt_base,
            kernel,
            entry,
            hypercall_page: notes.hypercall_page,
            init_p2m: notes.init_p2m,
            unmapped_initrd: notes.unmapped_initrd,
            paddr_offset,
        })
    }

    fn pvh_layout(&self) -> Result<PvhLayout, Fault> {
        self.check_has_notes()?;
        let entry = self.notes.phys32_entry.ok_or_else(|| {
            Fault::Unsuitable(
                "no PVH kernel: it has no Xen note PHYS32_ENTRY; use type=\"pv\" or another kernel".into(),
            )
        })?;
        let kernel = self.physical();
        check_entry("Xen note PHYS32_ENTRY", entry.into(), &kernel)?;
        Ok(PvhLayout { kernel, entry })
    }

    fn pv_abi(&self) -> PvAbi {
        match (self.machine, self.notes.pae) {
            (Machine::X86_64, _) => PvAbi::X86_64,
            (Machine::I386, Pae::No) => PvAbi::X86_32,
            (Machine::I386, _) => PvAbi::X86_32Pae,
        }
    }

    fn check_has_notes(&self) -> Result<(), Fault> {
        match self.notes.source {
            Some(_) => Ok(()),
            None => Err(Fault::Unsuitable(
                "no kernel for Xen: it has neither Xen ELF notes nor a section __xen_guest".into(),
            )),
        }
    }

    /// The names by which libelf knows a kernel made for Xen's PV interface.
    fn check_pv_identity(&self) -> Result<(), Fault> {
        self.check_has_notes()?;
        let Notes { loader, guest_os, xen_version, .. } = &self.notes;
        if !loader.starts_with("generic") && !guest_os.starts_with("linux") {
            return Err(Fault::Unsuitable(format!(
                "no PV kernel: neither LOADER {loader:?} is \"generic\" nor GUEST_OS {guest_os:?} is \"linux\"{}",
                if self.notes.phys32_entry.is_some() { "; use type=\"pvh\"" } else { "" }
            )));
        }
        if !xen_version.starts_with("xen-3.0") {
            return Err(Fault::Unsuitable(format!("no PV kernel: XEN_VERSION is {xen_version:?}, not \"xen-3.0\"")));
        }
        Ok(())
    }

    fn check_features(&self, requested: FeatureSet) -> Result<(), Fault> {
        let features = self.notes.features;
        if features.required.contains(Feature::Dom0) {
            return Err(Fault::Unsuitable("the kernel runs only as dom0: it requires the feature dom0".into()));
        }
        let missing = requested.without(features.supported);
        if missing != FeatureSet::default() {
            let missing = missing.names().join(", ");
            return Err(Fault::Unsuitable(format!(
                "the kernel lacks features that the configuration asks for: {missing}"
            )));
        }
        Ok(())
    }
}

impl std::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Kernel { file, class, machine, entry, segments, notes, .. } = self;
        write!(f, "Kernel {{ {file:?}, {class:?}, {machine:?}, {entry:#x}, {segments:x?}, {notes:?} }}")
    }
}

fn check_entry(field: &str, entry: u64, kernel: &Range<u64>) -> Result<(), Fault> {
    if (kernel.start..=kernel.end).contains(&entry) {
        return Ok(());
    }
    let why = format!("{entry:#x} is outside the kernel, {:#x}-{:#x}", kernel.start, kernel.end);
    Err(Fault::malformed(field, why))
}

/// Removes the layers around the ELF file.
fn unpack(mut bytes: Vec<u8>) -> Result<Vec<u8>, Fault> {
    if decompress::Format::of(&bytes) == Some(decompress::Format::Gzip) {
        bytes = decompress::gunzip(&bytes)?;
    }
    if bzimage::is_bzimage(&bytes) {
        bytes = bzimage::unpack(&bytes)?;
    }
    if elf::is_elf(&bytes) {
        return Ok(bytes);
    }
    Err(Fault::Unsuitable("not a kernel: neither a Linux bzImage nor an ELF file".into()))
}

fn from_elf(file: &str, image: Vec<u8>) -> Result<Kernel, Fault> {
    let elf = elf::parse(&image)?;
    let Some(end) = elf.segments.iter().map(Segment::end).max() else {
        return Err(Fault::malformed("ELF program headers", "none is loadable"));
    };
    let notes = Notes::find(&image, &elf)?;
    let symbols = match &elf.symbols {
        Some(symbols) if notes.bsd_symtab => {
            let bytes = symbols.image(elf.class);
            let paddr = symtab::address(elf.class, end).filter(|at| at.checked_add(bytes.len() as u64).is_some());
            let paddr = paddr.ok_or_else(|| Fault::malformed("Xen note BSD_SYMTAB", "no room above the kernel"))?;
            Some(SymbolTable { paddr, bytes })
        }
        _ => None,
    };
    let elf::Elf { class, machine, entry, segments, .. } = elf;
    Ok(Kernel { file: file.to_owned(), class, machine, entry, segments, notes, image, symbols })
}

/// Reads a regular file of at most [`MAX_SIZE`] bytes.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, Fault> {
    let metadata = fs::metadata(path).map_err(Fault::Unreadable)?;
    if !metadata.is_file() {
        return Err(Fault::Unsuitable("not a regular file".into()));
    }
    if metadata.len() == 0 {
        return Err(Fault::Unsuitable("the file is empty".into()));
    }
    if metadata.len() > MAX_SIZE as u64 {
        return Err(Fault::Unsuitable(format!("{} bytes are more than the limit of {MAX_SIZE}", metadata.len())));
    }
    read_at_most(path, metadata.len() as usize).map_err(Fault::Unreadable)
}

/// Reads a file in one piece: a buffer that grows costs more than the reading. The file may grow meanwhile.
fn read_at_most(path: &Path, expected: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(expected);
    File::open(path)?.take(MAX_SIZE as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}
