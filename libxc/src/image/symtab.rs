//! The symbol table that BSD kernels ask for (`BSD_SYMTAB`), placed right after the kernel.
//!
//! It is a length, then a small ELF file with three section headers: the undefined one, the symbols, their
//! strings. Addresses and layout are those of Xen's libelf, on which the BSDs rely.

use super::elf::Class;
use object::elf::{FileHeader64, SHT_STRTAB};
use object::read::elf::{FileHeader, SectionHeader, SectionTable};
use object::{LittleEndian, pod};

const LENGTH: usize = 4;
/// Where section headers start, from the ELF header on, whatever the class.
const SECTIONS: usize = size_of::<FileHeader64<LittleEndian>>();
/// Room for the header and three section headers of the larger class.
const HEADERS: usize = SECTIONS + 3 * 64;

/// A symbol table and its strings, as the kernel's file has them.
#[derive(Clone, Debug)]
pub(super) struct Symbols<'a> {
    header: &'a [u8],
    symtab_header: &'a [u8],
    strtab_header: &'a [u8],
    symtab: &'a [u8],
    strtab: &'a [u8],
}

impl<'a> Symbols<'a> {
    /// The symbols of a section, if its link leads to a string table.
    pub(super) fn of<Header>(
        header: &'a Header,
        image: &'a [u8],
        sections: &SectionTable<'a, Header>,
        section: &'a Header::SectionHeader,
    ) -> Option<Symbols<'a>>
    where
        Header: FileHeader<Endian = LittleEndian>,
    {
        let strings = sections.section(section.link(LittleEndian)).ok()?;
        if strings.sh_type(LittleEndian) != SHT_STRTAB {
            return None;
        }
        Some(Symbols {
            header: pod::bytes_of(header),
            symtab_header: pod::bytes_of(section),
            strtab_header: pod::bytes_of(strings),
            symtab: section.data(LittleEndian, image).ok()?,
            strtab: strings.data(LittleEndian, image).ok()?,
        })
    }

    /// The bytes to place after the kernel's end, rounded up to the class's word.
    pub(super) fn image(&self, class: Class) -> Vec<u8> {
        let word = word(class);
        let symtab = (LENGTH + HEADERS).next_multiple_of(word);
        let strtab = (symtab + self.symtab.len()).next_multiple_of(word);
        let end = (strtab + self.strtab.len()).next_multiple_of(word);

        let mut out = vec![0; end];
        out[..LENGTH].copy_from_slice(&((strtab + self.strtab.len() - LENGTH) as u32).to_le_bytes());
        let file = &mut out[LENGTH..];
        let section = self.symtab_header.len();
        put(file, 0, self.header);
        put(file, SECTIONS + section, self.symtab_header);
        put(file, SECTIONS + 2 * section, self.strtab_header);
        put(file, symtab - LENGTH, self.symtab);
        put(file, strtab - LENGTH, self.strtab);

        let fields = Fields { class, file };
        fields.fix(symtab - LENGTH, strtab - LENGTH);
        out
    }
}

/// Where the table goes after a kernel that ends at `end`; none if addresses run out.
pub(super) fn address(class: Class, end: u64) -> Option<u64> {
    end.checked_next_multiple_of(word(class) as u64)
}

fn word(class: Class) -> usize {
    match class {
        Class::Elf32 => 4,
        Class::Elf64 => 8,
    }
}

fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

/// The header fields of the small file that differ from the kernel's own.
struct Fields<'a> {
    class: Class,
    file: &'a mut [u8],
}

impl Fields<'_> {
    fn fix(mut self, symtab: usize, strtab: usize) {
        // Offsets of the fields in Elf32_Ehdr or Elf64_Ehdr, in Elf32_Shdr or Elf64_Shdr.
        let [phoff, shoff, ehsize, phentsize, phnum, shentsize, shnum, shstrndx] = match self.class {
            Class::Elf32 => [28, 32, 40, 42, 44, 46, 48, 50],
            Class::Elf64 => [32, 40, 52, 54, 56, 58, 60, 62],
        };
        let (header_size, section_size, sh_offset, sh_link) = match self.class {
            Class::Elf32 => (52, 40, 16, 24),
            Class::Elf64 => (64, 64, 24, 40),
        };
        const E_VERSION: usize = 20;
        put(self.file, E_VERSION, &1_u32.to_le_bytes());
        self.word(phoff, 0);
        self.word(shoff, SECTIONS);
        for (field, value) in
            [(ehsize, header_size), (phentsize, 0), (phnum, 0), (shentsize, section_size), (shnum, 3), (shstrndx, 0)]
        {
            put(self.file, field, &(value as u16).to_le_bytes());
        }
        let (first, second) = (SECTIONS + section_size, SECTIONS + 2 * section_size);
        self.word(first + sh_offset, symtab);
        put(self.file, first + sh_link, &2_u32.to_le_bytes());
        self.word(second + sh_offset, strtab);
    }

    fn word(&mut self, at: usize, value: usize) {
        match self.class {
            Class::Elf32 => put(self.file, at, &(value as u32).to_le_bytes()),
            Class::Elf64 => put(self.file, at, &(value as u64).to_le_bytes()),
        }
    }
}
