//! The ELF file of a kernel: program headers as segments to load, and where Xen's information is.

use super::Fault;
use super::symtab::Symbols;
use object::LittleEndian;
use object::elf::{self, FileHeader32, FileHeader64};
use object::read::StringTable;
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader, SectionTable};
use std::ops::Range;

/// Word size of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Class {
    Elf32,
    Elf64,
}

/// Instruction set of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Machine {
    I386,
    X86_64,
}

/// A part of the file to load (a `PT_LOAD` program header with any right).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The physical address, before a PV kernel's `PADDR_OFFSET` is taken off.
    pub paddr: u64,
    /// The virtual address, which Xen's builders do not use.
    pub vaddr: u64,
    /// Bytes in memory; what the file does not give is zero.
    pub mem_size: u64,
    /// Where its bytes are in the file.
    pub file: Range<usize>,
}

impl Segment {
    /// The first physical address after it.
    pub fn end(&self) -> u64 {
        // `segment()` has checked the sum.
        self.paddr + self.mem_size
    }
}

/// What is of use in the file.
#[derive(Debug)]
pub(super) struct Elf<'a> {
    pub(super) class: Class,
    pub(super) machine: Machine,
    pub(super) entry: u64,
    pub(super) segments: Vec<Segment>,
    /// Where the `PT_NOTE` program headers are in the file.
    pub(super) note_segments: Vec<Range<usize>>,
    /// Where the `SHT_NOTE` sections are in the file.
    pub(super) note_sections: Vec<Range<usize>>,
    /// Contents of the section `__xen_guest`.
    pub(super) guest_section: Option<&'a [u8]>,
    pub(super) symbols: Option<Symbols<'a>>,
}

/// Whether the file has ELF's magic number.
pub(super) fn is_elf(image: &[u8]) -> bool {
    image.starts_with(&elf::ELFMAG)
}

/// Reads the headers of an x86 ELF file.
pub(super) fn parse(image: &[u8]) -> Result<Elf<'_>, Fault> {
    match image.get(4).copied().map(elf::FileClass) {
        Some(elf::ELFCLASS32) => parse_class::<FileHeader32<LittleEndian>>(image, Class::Elf32),
        Some(elf::ELFCLASS64) => parse_class::<FileHeader64<LittleEndian>>(image, Class::Elf64),
        other => Err(Fault::malformed("ELF header: e_ident[EI_CLASS]", format!("{other:?} is neither 1 nor 2"))),
    }
}

fn parse_class<Header>(image: &[u8], class: Class) -> Result<Elf<'_>, Fault>
where
    Header: FileHeader<Endian = LittleEndian>,
{
    let header = Header::parse(image).map_err(|e| Fault::malformed("ELF header", e))?;
    let endian = header.endian().map_err(|_| Fault::malformed("ELF header: e_ident[EI_DATA]", "not little-endian"))?;
    let machine = match header.e_machine(endian) {
        elf::EM_386 => Machine::I386,
        elf::EM_X86_64 => Machine::X86_64,
        other => return Err(Fault::malformed("ELF header: e_machine", format!("{} is not an x86 kernel", other.0))),
    };
    let mut found = Elf {
        class,
        machine,
        entry: header.e_entry(endian).into(),
        segments: Vec::new(),
        note_segments: Vec::new(),
        note_sections: Vec::new(),
        guest_section: None,
        symbols: None,
    };

    let programs = header.program_headers(endian, image).map_err(|e| Fault::malformed("ELF header: e_phoff", e))?;
    for (index, program) in programs.iter().enumerate() {
        match program.p_type(endian) {
            elf::PT_LOAD if program.p_flags(endian).0 & (elf::PF_R | elf::PF_W | elf::PF_X).0 != 0 => {
                found.segments.push(segment::<Header>(program, image, index)?);
            }
            // Some versions of binutils leave p_offset at 0; SHT_NOTE then has the notes.
            elf::PT_NOTE if program.p_offset(endian).into() != 0 => {
                found.note_segments.push(file_range::<Header>(program, image, index)?);
            }
            _ => {}
        }
    }
    check_overlap(&found.segments)?;
    read_sections(header, image, &mut found)?;
    Ok(found)
}

fn segment<Header>(program: &Header::ProgramHeader, image: &[u8], index: usize) -> Result<Segment, Fault>
where
    Header: FileHeader<Endian = LittleEndian>,
{
    let endian = LittleEndian;
    let file = file_range::<Header>(program, image, index)?;
    let (paddr, mem_size) = (program.p_paddr(endian).into(), program.p_memsz(endian).into());
    let field = |name| format!("ELF program header {index}: {name}");
    if (file.len() as u64) > mem_size {
        let why = format!("{mem_size:#x} bytes cannot hold p_filesz {:#x}", file.len());
        return Err(Fault::malformed(field("p_memsz"), why));
    }
    if paddr.checked_add(mem_size).is_none() {
        return Err(Fault::malformed(field("p_memsz"), format!("{mem_size:#x} bytes at {paddr:#x} wrap around")));
    }
    Ok(Segment { paddr, vaddr: program.p_vaddr(endian).into(), mem_size, file })
}

fn file_range<Header>(program: &Header::ProgramHeader, image: &[u8], index: usize) -> Result<Range<usize>, Fault>
where
    Header: FileHeader<Endian = LittleEndian>,
{
    let (offset, size) = program.file_range(LittleEndian);
    match offset.checked_add(size) {
        Some(end) if end <= image.len() as u64 => Ok(offset as usize..end as usize),
        _ => Err(Fault::malformed(
            format!("ELF program header {index}: p_filesz"),
            format!("{size:#x} bytes at {offset:#x} are past the end of the image, {:#x}", image.len()),
        )),
    }
}

fn check_overlap(segments: &[Segment]) -> Result<(), Fault> {
    let mut order: Vec<&Segment> = segments.iter().filter(|s| s.mem_size != 0).collect();
    order.sort_by_key(|s| s.paddr);
    match order.windows(2).find(|pair| pair[0].end() > pair[1].paddr) {
        Some(pair) => Err(Fault::malformed(
            "ELF program headers: p_paddr",
            format!("the segment at {:#x} overlaps the one at {:#x}", pair[0].paddr, pair[1].paddr),
        )),
        None => Ok(()),
    }
}

fn read_sections<'a, Header>(header: &'a Header, image: &'a [u8], found: &mut Elf<'a>) -> Result<(), Fault>
where
    Header: FileHeader<Endian = LittleEndian>,
{
    let endian = LittleEndian;
    let sections = header.section_headers(endian, image).map_err(|e| Fault::malformed("ELF header: e_shoff", e))?;
    // A kernel may lack names, but not name a table that it lacks.
    let names = match header.e_shstrndx(endian) {
        elf::SHN_UNDEF => StringTable::default(),
        _ => header
            .section_strings(endian, image, sections)
            .map_err(|e| Fault::malformed("ELF header: e_shstrndx", e))?,
    };
    let sections = SectionTable::<Header>::new(sections, names);
    for (index, section) in sections.iter().enumerate() {
        let data =
            || section.data(endian, image).map_err(|e| Fault::malformed(format!("ELF section {index}: sh_offset"), e));
        if section.sh_type(endian) == elf::SHT_NOTE {
            let start = section.sh_offset(endian).into() as usize;
            found.note_sections.push(start..start + data()?.len());
        }
        if sections.section_name(endian, section) == Ok(b"__xen_guest") {
            found.guest_section = Some(data()?);
        }
        if section.sh_type(endian) == elf::SHT_SYMTAB && found.symbols.is_none() {
            found.symbols = Symbols::of::<Header>(header, image, &sections, section);
        }
    }
    Ok(())
}
