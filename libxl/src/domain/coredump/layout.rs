//! The layout of a core file, docs/misc/dump-core-format.txt: an ELF64 file of sections.
//!
//! ```text
//! ELF header, section headers, .note.Xen, .xen_prstatus, .xen_shared_info, padding to a page,
//! .xen_pages, .xen_p2m (PV) or .xen_pfn, .shstrtab
//! ```

use libxc::host::Version;
use libxc::types::PAGE_SIZE;

const EHDR_SIZE: u64 = 64;
const SHDR_SIZE: u64 = 64;
const PHDR_SIZE: u16 = 56;
const ET_CORE: u16 = 4;
const EM_X86_64: u16 = 62;
const SHT_PROGBITS: u32 = 1;
const SHT_STRTAB: u32 = 3;
const SHT_NOTE: u32 = 7;

/// Note types, public/elfnote.h (`XEN_ELFNOTE_DUMPCORE_*`).
const NOTE_NONE: u32 = 0x200_0000;
const NOTE_HEADER: u32 = 0x200_0001;
const NOTE_XEN_VERSION: u32 = 0x200_0002;
const NOTE_FORMAT_VERSION: u32 = 0x200_0003;
/// Size of a note's own header with the name `Xen`.
const NOTE_HEADER_SIZE: u64 = 16;

/// Marks of the guest's kind in the header note (`XC_CORE_MAGIC`, `XC_CORE_MAGIC_HVM`).
const MAGIC_PV: u64 = 0xF00F_EBED;
const MAGIC_HVM: u64 = 0xF00F_EBEE;
/// Format 0.1.
const FORMAT_VERSION: u64 = 1;

/// What a page table entry of the core that has no page holds (`XC_CORE_INVALID_PFN`).
pub const INVALID_PFN: u64 = u64::MAX;

/// Whether a page of a translated guest can be memory: neither VGA's hole below 1 MiB nor that of devices below 4 GiB
/// (`HVM_BELOW_4G_MMIO_START`, hvm/e820.h).
pub fn may_be_memory(gfn: u64) -> bool {
    !(0xa0..0xc0).contains(&gfn) && !(0xf_0000..0x10_0000).contains(&gfn)
}

/// What the file describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Whether Xen translates the guest's frames (PVH, HVM): pages are then listed by pfn alone.
    pub translated: bool,
    /// vCPUs whose registers are in the file.
    pub vcpus: u64,
    /// Bytes of one vCPU's registers (`struct vcpu_guest_context`).
    pub context_size: u64,
    /// Whether the page that the guest shares with Xen is in the file.
    pub shared_info: bool,
    /// Pages in the file.
    pub pages: u64,
}

/// What `.note.Xen` says of the hypervisor: the answers of `xc_version`, each of a fixed size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XenVersion {
    /// Major and minor version.
    pub version: (u64, u64),
    /// `xen_extraversion_t`.
    pub extra: [u8; 16],
    /// `xen_compile_info_t`: compiler, by, domain, date.
    pub compile_info: [u8; 144],
    /// `xen_capabilities_info_t`.
    pub capabilities: [u8; 1024],
    /// `xen_changeset_info_t`.
    pub changeset: [u8; 64],
    /// `xen_platform_parameters_t`.
    pub platform_parameters: u64,
    /// Bytes of a page.
    pub page_size: u64,
}

const XEN_VERSION_SIZE: u64 = 8 + 8 + 16 + 144 + 1024 + 64 + 8 + 8;

impl From<&Version> for XenVersion {
    fn from(xen: &Version) -> XenVersion {
        let mut compile_info = [0; 144];
        let (compiler, rest) = compile_info.split_at_mut(64);
        let (by, rest) = rest.split_at_mut(16);
        let (domain, date) = rest.split_at_mut(32);
        fill(compiler, &xen.compiler);
        fill(by, &xen.compile_by);
        fill(domain, &xen.compile_domain);
        fill(date, &xen.compile_date);
        XenVersion {
            version: (xen.major.into(), xen.minor.into()),
            extra: fixed(&xen.extra),
            compile_info,
            capabilities: fixed(&xen.capabilities),
            changeset: fixed(&xen.changeset),
            platform_parameters: xen.virt_start,
            page_size: xen.pagesize.into(),
        }
    }
}

/// Text as Xen has it: of fixed length, the rest zeros.
fn fixed<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes, text);
    bytes
}

fn fill(field: &mut [u8], text: &str) {
    field.iter_mut().zip(text.bytes()).for_each(|(to, byte)| *to = byte);
}

struct Section {
    name: &'static str,
    kind: u32,
    size: u64,
    align: u64,
    entry_size: u64,
}

impl Shape {
    /// The sections in the order of their headers, which is that of the file but for the string table,
    /// whose header is first and whose content is last.
    fn sections(&self) -> Vec<Section> {
        let page = PAGE_SIZE as u64;
        let progbits = |name, size, align, entry_size| Section { name, kind: SHT_PROGBITS, size, align, entry_size };
        let notes = 4 * NOTE_HEADER_SIZE + 32 + XEN_VERSION_SIZE + 8;
        let mut sections = vec![
            Section { name: ".note.Xen", kind: SHT_NOTE, size: notes, align: 0, entry_size: 0 },
            progbits(".xen_prstatus", self.vcpus * self.context_size, 8, self.context_size),
        ];
        if self.shared_info {
            sections.push(progbits(".xen_shared_info", page, 8, page));
        }
        sections.push(progbits(".xen_pages", self.pages * page, page, page));
        let table = if self.translated { ".xen_pfn" } else { ".xen_p2m" };
        let entry_size = self.words_per_page() * 8;
        sections.push(progbits(table, self.pages * entry_size, 8, entry_size));
        sections
    }

    /// The bytes from the start of the file to the first vCPU's registers.
    pub fn head(&self, xen: &XenVersion) -> Vec<u8> {
        let sections = self.sections();
        let count = sections.len() as u64 + 2;
        let names = names(&sections);
        let mut out = Vec::with_capacity(2048);
        elf_header(&mut out, count as u16);
        out.resize(out.len() + SHDR_SIZE as usize, 0);

        let name_at = |name: &str| {
            let wanted = [name.as_bytes(), b"\0"].concat();
            names.windows(wanted.len()).position(|w| w == wanted).unwrap_or(0) as u32
        };
        let mut offset = EHDR_SIZE + count * SHDR_SIZE;
        let mut headers = Vec::new();
        for s in &sections {
            if s.name == ".xen_pages" {
                offset = offset.next_multiple_of(PAGE_SIZE as u64);
            }
            section_header(&mut headers, name_at(s.name), s, offset);
            offset += s.size;
        }
        let strtab = Section { name: ".shstrtab", kind: SHT_STRTAB, size: names.len() as u64, align: 0, entry_size: 0 };
        section_header(&mut out, name_at(strtab.name), &strtab, offset);
        out.extend(headers);
        self.notes(&mut out, xen);
        out
    }

    /// 64-bit words that tell of a page which it is: the guest's number, and the machine's where they differ.
    pub fn words_per_page(&self) -> u64 {
        if self.translated { 1 } else { 2 }
    }

    /// Zero bytes between the shared info page (or the registers) and the first page.
    pub fn padding(&self) -> u64 {
        let sections = self.sections();
        let before: u64 = sections.iter().take_while(|s| s.name != ".xen_pages").map(|s| s.size).sum();
        let offset = EHDR_SIZE + (sections.len() as u64 + 2) * SHDR_SIZE + before;
        offset.next_multiple_of(PAGE_SIZE as u64) - offset
    }

    /// The last bytes of the file: the names of the sections.
    pub fn tail(&self) -> Vec<u8> {
        names(&self.sections())
    }

    fn notes(&self, out: &mut Vec<u8>, xen: &XenVersion) {
        note(out, NOTE_NONE, &[]);
        let magic = if self.translated { MAGIC_HVM } else { MAGIC_PV };
        note(out, NOTE_HEADER, &words(&[magic, self.vcpus, self.pages, PAGE_SIZE as u64]));
        let mut version = words(&[xen.version.0, xen.version.1]);
        for part in [&xen.extra[..], &xen.compile_info, &xen.capabilities, &xen.changeset] {
            version.extend(part);
        }
        version.extend(words(&[xen.platform_parameters, xen.page_size]));
        note(out, NOTE_XEN_VERSION, &version);
        note(out, NOTE_FORMAT_VERSION, &words(&[FORMAT_VERSION]));
    }
}

fn names(sections: &[Section]) -> Vec<u8> {
    let mut names = b"\0.shstrtab\0".to_vec();
    for s in sections {
        names.extend(s.name.bytes());
        names.push(0);
    }
    names
}

fn elf_header(out: &mut Vec<u8>, sections: u16) {
    const CLASS64: u8 = 2;
    const LITTLE_ENDIAN: u8 = 1;
    const CURRENT: u8 = 1;
    out.extend(b"\x7fELF");
    out.extend([CLASS64, LITTLE_ENDIAN, CURRENT, 0, CURRENT, 0, 0, 0, 0, 0, 0, 0]);
    out.extend(ET_CORE.to_le_bytes());
    out.extend(EM_X86_64.to_le_bytes());
    out.extend(u32::from(CURRENT).to_le_bytes());
    out.extend(words(&[0, 0, EHDR_SIZE]));
    out.extend(0u32.to_le_bytes());
    for half in [EHDR_SIZE as u16, PHDR_SIZE, 0, SHDR_SIZE as u16, sections, 1] {
        out.extend(half.to_le_bytes());
    }
}

fn section_header(out: &mut Vec<u8>, name: u32, s: &Section, offset: u64) {
    out.extend(name.to_le_bytes());
    out.extend(s.kind.to_le_bytes());
    out.extend(words(&[0, 0, offset, s.size, 0, s.align, s.entry_size]));
}

fn note(out: &mut Vec<u8>, kind: u32, content: &[u8]) {
    out.extend(4u32.to_le_bytes());
    out.extend((content.len() as u32).to_le_bytes());
    out.extend(kind.to_le_bytes());
    out.extend(b"Xen\0");
    out.extend(content);
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The beginning of a core file that stock xl wrote of a PV guest of 120 MiB.
    const STOCK: &[u8] = include_bytes!("../../../../tests/fixtures/pv.core.head");

    fn pv() -> Shape {
        Shape { translated: false, vcpus: 1, context_size: 0x1430, shared_info: true, pages: 0x7800 }
    }

    /// The hypervisor that wrote [`STOCK`], read back from its note.
    fn xen() -> XenVersion {
        let desc = &STOCK[0x250..0x750];
        let part = |from: usize, len: usize| &desc[from..from + len];
        let word = |from| u64::from_le_bytes(part(from, 8).try_into().expect("8 bytes"));
        XenVersion {
            version: (word(0), word(8)),
            extra: part(16, 16).try_into().expect("16 bytes"),
            compile_info: part(32, 144).try_into().expect("144 bytes"),
            capabilities: part(176, 1024).try_into().expect("1024 bytes"),
            changeset: part(1200, 64).try_into().expect("64 bytes"),
            platform_parameters: word(1264),
            page_size: word(1272),
        }
    }

    #[test]
    fn the_head_is_stock_xls() {
        let head = pv().head(&xen());
        let differs = head.iter().zip(STOCK).position(|(a, b)| a != b);
        assert_eq!((differs, head.len()), (None, STOCK.len()));
    }

    #[test]
    fn the_pages_start_on_a_page() {
        let pv = pv();
        let before = pv.head(&xen()).len() as u64 + pv.vcpus * pv.context_size + 4096;
        assert_eq!(before + pv.padding(), 0x3000);
    }

    #[test]
    fn devices_holes_are_not_memory() {
        let holes: Vec<u64> = (0..0x10_0001).filter(|&gfn| !may_be_memory(gfn)).collect();
        assert_eq!(holes.len(), 0x20 + 0x1_0000);
        assert_eq!((holes.first(), holes.last()), (Some(&0xa0), Some(&0xf_ffff)));
    }

    #[test]
    fn texts_of_xen_fill_their_fields_and_no_more() {
        assert_eq!(fixed::<4>("ab"), *b"ab\0\0");
        assert_eq!(fixed::<4>("abcdef"), *b"abcd");
    }

    #[test]
    fn a_translated_guest_lists_pfns_and_may_lack_a_shared_page() {
        let pvh = Shape { translated: true, shared_info: false, ..pv() };
        let tail = pvh.tail();
        assert!(tail.ends_with(b".xen_pfn\0") && !tail.windows(5).any(|w| w == b"share"));
        let sections = pvh.head(&xen())[60];
        assert_eq!(sections, 6);
    }
}
