//! Whole kernels, put together by hand.

use super::bzimage::tests::bzimage;
use super::*;

const VIRT_BASE: u64 = 0xffff_ffff_8000_0000;

/// An ELF file with one loadable segment per entry of `segments` and one note segment.
#[derive(Clone)]
struct TestElf {
    class: Class,
    machine: u16,
    entry: u64,
    /// Physical address, bytes in the file, size in memory.
    segments: Vec<(u64, Vec<u8>, u64)>,
    notes: Vec<u8>,
    sections: Vec<TestSection>,
}

#[derive(Clone)]
struct TestSection {
    name: &'static str,
    kind: u32,
    link: u32,
    data: Vec<u8>,
}

impl TestElf {
    fn new() -> TestElf {
        let segments = vec![(0x100_0000, b"text".to_vec(), 0x1000), (0x100_1000, b"data".to_vec(), 0x3000)];
        TestElf { class: Class::Elf64, machine: 62, entry: 0x100_0000, segments, notes: vec![], sections: vec![] }
    }

    /// The notes of a Linux kernel that can be PV and PVH.
    fn linux() -> TestElf {
        TestElf::new()
            .string(5, "xen-3.0")
            .string(6, "linux")
            .string(8, "generic")
            .string(10, "!writable_page_tables|pae_pgdir_above_4gb")
            .note(1, &(VIRT_BASE + 0x100_2000).to_le_bytes())
            .note(2, &(VIRT_BASE + 0x100_1000).to_le_bytes())
            .note(3, &VIRT_BASE.to_le_bytes())
            .note(15, &0x8000_0000_u64.to_le_bytes())
            .note(16, &1_u32.to_le_bytes())
            .note(17, &0x8801_u32.to_le_bytes())
            .note(18, &0x100_0370_u64.to_le_bytes())
    }

    fn note(mut self, kind: u32, desc: &[u8]) -> TestElf {
        self.notes.extend(note("Xen", kind, desc));
        self
    }

    fn string(self, kind: u32, text: &str) -> TestElf {
        self.note(kind, format!("{text}\0").as_bytes())
    }

    fn section(mut self, name: &'static str, kind: u32, link: u32, data: Vec<u8>) -> TestElf {
        self.sections.push(TestSection { name, kind, link, data });
        self
    }

    /// A number of the class's word size.
    fn word(&self, value: u64) -> Vec<u8> {
        match self.class {
            Class::Elf32 => (value as u32).to_le_bytes().to_vec(),
            Class::Elf64 => value.to_le_bytes().to_vec(),
        }
    }

    fn build(&self) -> Vec<u8> {
        let (header, program, section) = match self.class {
            Class::Elf32 => (52, 32, 40),
            Class::Elf64 => (64, 56, 64),
        };
        let programs = self.segments.len() + usize::from(!self.notes.is_empty());
        let mut data = vec![];
        let mut place = |bytes: &[u8]| {
            data.resize(data.len().next_multiple_of(8), 0);
            data.extend_from_slice(bytes);
            (header + program * programs + data.len() - bytes.len()) as u64
        };
        let mut headers = vec![];
        for (paddr, bytes, mem_size) in &self.segments {
            headers.extend(self.program(1, place(bytes), *paddr, bytes.len() as u64, *mem_size));
        }
        if !self.notes.is_empty() {
            headers.extend(self.program(4, place(&self.notes), 0, self.notes.len() as u64, 0));
        }
        let mut names = vec![0];
        let mut sections = self.section_header(0, 0, 0, 0, 0);
        for TestSection { name, kind, link, data } in &self.sections {
            sections.extend(self.section_header(names.len(), *kind, place(data), data.len(), *link));
            names.extend_from_slice(name.as_bytes());
            names.push(0);
        }
        let name = names.len();
        names.extend_from_slice(b".shstrtab\0");
        sections.extend(self.section_header(name, 3, place(&names), names.len(), 0));
        let shoff = place(&sections);

        let class = if self.class == Class::Elf64 { 2 } else { 1 };
        let mut file = vec![0x7f, b'E', b'L', b'F', class, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        file.extend_from_slice(&2_u16.to_le_bytes());
        file.extend_from_slice(&self.machine.to_le_bytes());
        file.extend_from_slice(&1_u32.to_le_bytes());
        for word in [self.entry, header as u64, shoff] {
            file.extend(self.word(word));
        }
        file.extend_from_slice(&0_u32.to_le_bytes());
        let count = self.sections.len() + 2;
        for half in [header, program, programs, section, count, count - 1] {
            file.extend_from_slice(&(half as u16).to_le_bytes());
        }
        file.extend(headers);
        file.extend(data);
        file
    }

    fn program(&self, kind: u32, offset: u64, paddr: u64, file_size: u64, mem_size: u64) -> Vec<u8> {
        let (kind, flags) = (kind.to_le_bytes().to_vec(), 7_u32.to_le_bytes().to_vec());
        let [offset, paddr, file_size, mem_size, align] =
            [offset, paddr, file_size, mem_size, 4].map(|value| self.word(value));
        match self.class {
            Class::Elf32 => [kind, offset, paddr.clone(), paddr, file_size, mem_size, flags, align].concat(),
            Class::Elf64 => [kind, flags, offset, paddr.clone(), paddr, file_size, mem_size, align].concat(),
        }
    }

    fn section_header(&self, name: usize, kind: u32, offset: u64, size: usize, link: u32) -> Vec<u8> {
        let half = |value: u32| value.to_le_bytes().to_vec();
        let word = |value: u64| self.word(value);
        let [flags, addr, align, entry_size] = [0, 0, 4, 0].map(word);
        let place = [flags, addr, word(offset), word(size as u64)].concat();
        [half(name as u32), half(kind), place, half(link), half(0), align, entry_size].concat()
    }
}

fn note(owner: &str, kind: u32, desc: &[u8]) -> Vec<u8> {
    let mut out = vec![];
    for field in [owner.len() as u32 + 1, desc.len() as u32, kind] {
        out.extend_from_slice(&field.to_le_bytes());
    }
    for part in [format!("{owner}\0").as_bytes(), desc] {
        out.extend_from_slice(part);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out
}

fn parse(file: Vec<u8>) -> Result<Kernel, Error> {
    Kernel::parse("/boot/vmlinuz", file)
}

fn fault(file: Vec<u8>) -> String {
    parse(file).unwrap_err().to_string()
}

#[test]
fn a_linux_kernel_is_pv_and_pvh() {
    let kernel = parse(TestElf::linux().build()).unwrap();
    assert_eq!((kernel.class, kernel.machine), (Class::Elf64, Machine::X86_64));
    assert_eq!(kernel.notes.source, Some(NotesSource::Segment));
    assert_eq!(kernel.notes.features.supported, FeatureSet(0x8811));

    let pv = kernel.pv(FeatureSet(0x10)).unwrap();
    assert_eq!(pv.abi.capability(), "xen-3.0-x86_64");
    assert_eq!(pv.kernel, VIRT_BASE + 0x100_0000..VIRT_BASE + 0x100_4000);
    assert_eq!(pv.entry, VIRT_BASE + 0x100_2000);
    assert_eq!((pv.init_p2m, pv.unmapped_initrd), (Some(0x8000_0000), true));
    assert_eq!(pv.memory_offset(0x100_0000), 0x100_0000);

    assert_eq!(kernel.pvh().unwrap(), PvhLayout { kernel: 0x100_0000..0x100_4000, entry: 0x100_0370 });
    let contents: Vec<_> = kernel.contents().collect();
    assert_eq!(contents, [(0x100_0000, &b"text"[..]), (0x100_1000, b"data")]);
}

#[test]
fn layers_around_the_elf_are_removed() {
    let elf = TestElf::linux().build();
    let gzip = |data: &[u8]| {
        use std::io::Read;
        let mut out = vec![];
        flate2::read::GzEncoder::new(data, flate2::Compression::fast()).read_to_end(&mut out).unwrap();
        out
    };
    for file in [gzip(&elf), bzimage(&elf), bzimage(&gzip(&elf)), gzip(&bzimage(&gzip(&elf)))] {
        let kernel = parse(file).unwrap();
        assert!(kernel.pv(FeatureSet::default()).is_ok());
    }
    assert!(Ramdisk::parse(gzip(b"cpio")).bytes == b"cpio");
    let mut broken = gzip(b"cpio");
    broken.truncate(14);
    assert!(Ramdisk::parse(broken.clone()).bytes == broken);
}

#[test]
fn notes_in_a_section_are_found_when_no_segment_has_any() {
    let mut elf = TestElf::linux();
    let notes = std::mem::take(&mut elf.notes);
    let kernel = parse(elf.section(".notes", 7, 0, notes).build()).unwrap();
    assert_eq!(kernel.notes.source, Some(NotesSource::Section));
    assert!(kernel.pv(FeatureSet::default()).is_ok());
}

#[test]
fn the_guest_string_is_the_last_resort() {
    let text =
        "LOADER=generic,XEN_VER=xen-3.0,VIRT_BASE=0xC0000000,HYPERCALL_PAGE=0x2,PAE=yes,BSD_SYMTAB,FEATURES=dom0";
    let mut elf = TestElf::new();
    elf.class = Class::Elf32;
    elf.machine = 3;
    elf.entry = 0xc010_0000;
    elf.segments = vec![(0xc010_0000, b"text".to_vec(), 0x1000)];
    let elf = elf.section("__xen_guest", 1, 0, format!("{text}\0junk").into_bytes());
    let kernel = parse(elf.build()).unwrap();
    assert_eq!(kernel.notes.source, Some(NotesSource::GuestString));
    assert!(kernel.notes.bsd_symtab);
    let pv = kernel.pv(FeatureSet::default()).unwrap();
    assert_eq!((pv.abi, pv.kernel.clone()), (PvAbi::X86_32Pae, 0xc010_0000..0xc010_1000));
    assert_eq!((pv.hypercall_page, pv.memory_offset(0xc010_0000)), (Some(0xc000_2000), 0x10_0000));
    assert!(kernel.pvh().unwrap_err().to_string().contains("no Xen note PHYS32_ENTRY"));

    let bad = TestElf::new().section("__xen_guest", 1, 0, b"VIRT_BASE=here\0".to_vec());
    assert_eq!(fault(bad.build()), "/boot/vmlinuz: __xen_guest: VIRT_BASE: \"here\" is no number");
}

#[test]
fn a_bsd_symbol_table_follows_the_kernel() {
    for (class, header, section) in [(Class::Elf64, 64, 64), (Class::Elf32, 52, 40)] {
        let mut elf = TestElf::linux().string(11, "yes");
        elf.class = class;
        elf.machine = if class == Class::Elf64 { 62 } else { 3 };
        elf.segments[1].2 = 0x3001;
        let elf = elf.section(".symtab", 2, 2, vec![0xaa; 50]).section(".strtab", 3, 0, b"\0main\0".to_vec());
        let kernel = parse(elf.build()).unwrap();
        let (paddr, table) = kernel.contents().last().unwrap();
        let word = if class == Class::Elf64 { 8 } else { 4 };
        assert_eq!(paddr, 0x100_4001_u64.next_multiple_of(word));
        assert_eq!(kernel.physical().end, paddr + table.len() as u64);

        let length = u32::from_le_bytes(table[..4].try_into().unwrap()) as usize;
        let file = &table[4..4 + length];
        let read = elf::parse(file).unwrap();
        assert!(read.segments.is_empty() && read.symbols.is_some());
        assert!(file.ends_with(b"\0main\0"));
        let symtab = (4 + 64 + 3 * 64_usize).next_multiple_of(word as usize) - 4;
        assert_eq!(file[symtab..symtab + 50], [0xaa; 50]);
        assert_eq!(u16::from_le_bytes(file[header - 4..header - 2].try_into().unwrap()), 3, "section headers");
        assert!(file[64..64 + section].iter().all(|byte| *byte == 0), "the undefined section");
    }
}

#[test]
fn hostile_program_headers_are_named() {
    let with = |segments: Vec<(u64, Vec<u8>, u64)>| TestElf { segments, ..TestElf::linux() }.build();
    let text = |mem_size| (0x1000, b"text".to_vec(), mem_size);
    assert!(fault(with(vec![])).ends_with("ELF program headers: none is loadable"));
    assert!(fault(with(vec![text(3)])).ends_with("ELF program header 0: p_memsz: 0x3 bytes cannot hold p_filesz 0x4"));
    assert!(fault(with(vec![text(u64::MAX)])).ends_with("p_memsz: 0xffffffffffffffff bytes at 0x1000 wrap around"));
    let overlap = vec![(0x2000, vec![], 0x1000), text(0x1001)];
    assert!(fault(with(overlap)).ends_with("p_paddr: the segment at 0x1000 overlaps the one at 0x2000"));

    let whole = TestElf::linux().build();
    assert!(fault(whole[..40].to_vec()).contains("ELF header: "));
    assert!(fault(whole[..100].to_vec()).contains("ELF header: e_phoff: "));
    assert!(fault(whole[..234].to_vec()).contains("ELF program header 0: p_filesz: 0x4 bytes at 0x"));
}

#[test]
fn kernels_for_something_else_are_named() {
    assert!(fault(b"#!/bin/sh\n".to_vec()).ends_with("not a kernel: neither a Linux bzImage nor an ELF file"));
    let arm = TestElf { machine: 183, ..TestElf::linux() };
    assert!(fault(arm.build()).ends_with("ELF header: e_machine: 183 is not an x86 kernel"));

    let refused = |elf: TestElf| {
        let kernel = parse(elf.build()).unwrap();
        let why = |error: Option<Error>| error.map(|e| e.to_string()).unwrap_or_default();
        (why(kernel.pv(FeatureSet::default()).err()), why(kernel.pvh().err()))
    };
    let (pv, pvh) = refused(TestElf::new());
    assert!(pv.ends_with("neither Xen ELF notes nor a section __xen_guest") && pv == pvh);
    let (pv, pvh) = refused(TestElf::new().note(18, &0x100_0000_u32.to_le_bytes()));
    assert!(pv.ends_with("use type=\"pvh\"") && pvh.is_empty(), "{pv} {pvh}");
    assert!(refused(TestElf::linux().string(5, "xen-2.0")).0.ends_with("XEN_VERSION is \"xen-2.0\", not \"xen-3.0\""));
    assert!(refused(TestElf::linux().string(10, "!dom0")).0.ends_with("it requires the feature dom0"));
    assert!(refused(TestElf::linux().note(1, &[0])).0.contains("Xen note ENTRY: 0x0 is outside the kernel"));
    assert!(refused(TestElf::linux().note(18, &[1])).1.contains("Xen note PHYS32_ENTRY: 0x1 is outside the kernel"));
    let inside = (VIRT_BASE + 0x100_0000).to_le_bytes();
    assert!(refused(TestElf::linux().note(15, &inside)).0.ends_with("is inside the kernel"));
    let offset = TestElf::linux().note(4, &u64::MAX.to_le_bytes());
    assert!(refused(offset).0.contains("Xen notes PADDR_OFFSET, VIRT_BASE: "));
    let kernel = parse(TestElf::linux().build()).unwrap();
    let error = kernel.pv(FeatureSet(0x2)).unwrap_err().to_string();
    assert!(error.ends_with("lacks features that the configuration asks for: writable_descriptor_tables"));
}

#[test]
fn hostile_notes_are_named() {
    assert!(fault(TestElf::linux().note(1, b"abc").build()).ends_with("Xen note ENTRY: 3 bytes are no number"));
    let high = (1_u64 << 32).to_le_bytes();
    assert!(fault(TestElf::linux().note(18, &high).build()).ends_with("0x100000000 is not below 4 GiB"));
    let mut long_name = TestElf::linux();
    long_name.notes[3] = 0xff;
    assert!(fault(long_name.build()).ends_with("its header or name is past the end of the image"));
    let mut many = TestElf::linux();
    many.notes = vec![0; 12 * 65537];
    assert!(fault(many.build()).contains("ELF note 65536 at 0xc0"));
}

#[test]
fn a_note_may_reach_past_its_program_header() {
    let whole = TestElf::linux().string(9, "yes,bimodal");
    let mut elf = whole.build();
    let size_field = 64 + 2 * 56 + 32;
    let size = elf[size_field..].first_chunk().map(|b| u64::from_le_bytes(*b)).unwrap();
    assert_eq!(size, whole.notes.len() as u64);
    elf[size_field..size_field + 8].copy_from_slice(&(size - 8).to_le_bytes());
    assert_eq!(parse(elf).unwrap().notes.pae, Pae::Bimodal);
}

/// A file with any byte changed, or cut anywhere, is read or refused; it never panics.
#[test]
fn mutations_never_panic() {
    let elf = TestElf::linux().string(11, "yes");
    let elf = elf.section(".symtab", 2, 2, vec![1; 24]).section(".strtab", 3, 0, b"\0main\0".to_vec()).build();
    let survive = |file: Vec<u8>| {
        if let Ok(kernel) = parse(file) {
            let _ = kernel.pv(FeatureSet::default());
            let _ = kernel.pvh();
            assert!(kernel.contents().all(|(paddr, bytes)| paddr.checked_add(bytes.len() as u64).is_some()));
        }
    };
    for at in 0..elf.len() {
        survive(elf[..at].to_vec());
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut changed = elf.clone();
            changed[at] = value;
            survive(changed);
        }
        for length in [4, 8] {
            let mut changed = elf.clone();
            changed.iter_mut().skip(at).take(length).for_each(|byte| *byte = 0xff);
            survive(changed);
        }
    }
}
