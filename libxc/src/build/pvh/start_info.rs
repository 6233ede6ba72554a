//! What a PVH kernel is told about itself (xen/arch-x86/hvm/start_info.h, version 1).
//!
//! All of it is in one piece: the structure, its modules, the memory map, the command line.

use crate::memory::E820Entry;

/// "xEn3", with a high bit set.
const MAGIC: u32 = 0x336e_c578;
const VERSION: u32 = 1;
const INFO_SIZE: u64 = 56;
const MODULE_SIZE: u64 = 32;
const MEMMAP_ENTRY_SIZE: u64 = 24;

/// The contents.
#[derive(Clone, Debug)]
pub(super) struct StartInfo<'a> {
    /// Address and size of the ramdisk.
    pub(super) ramdisk: Option<(u64, u64)>,
    pub(super) cmdline: &'a [u8],
    pub(super) rsdp: u64,
    pub(super) memory_map: &'a [E820Entry],
}

impl StartInfo<'_> {
    /// How long it will be with a map of so many entries.
    pub(super) fn size(ramdisk: bool, cmdline: &[u8], map_entries: usize) -> usize {
        let fixed = INFO_SIZE + if ramdisk { MODULE_SIZE } else { 0 };
        fixed as usize + map_entries * MEMMAP_ENTRY_SIZE as usize + cmdline.len() + 1
    }

    /// The bytes for address `at`.
    pub(super) fn encode(&self, at: u64) -> Vec<u8> {
        let modules = at + INFO_SIZE;
        let module_count = u64::from(self.ramdisk.is_some());
        let map = modules + module_count * MODULE_SIZE;
        let cmdline = map + self.memory_map.len() as u64 * MEMMAP_ENTRY_SIZE;

        let mut bytes = Vec::new();
        [MAGIC, VERSION, 0, module_count as u32].iter().for_each(|n| bytes.extend(n.to_le_bytes()));
        let modules = if module_count == 0 { 0 } else { modules };
        let map_count = self.memory_map.len() as u64;
        let mut words = vec![modules, cmdline, self.rsdp, map, map_count];
        words.extend(self.ramdisk.iter().flat_map(|&(start, size)| [start, size, 0, 0]));
        words.extend(self.memory_map.iter().flat_map(|e| [e.start, e.size, e.kind as u64]));
        words.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
        bytes.extend(self.cmdline);
        bytes.push(0);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::E820Kind;

    fn word(bytes: &[u8], at: u64) -> u64 {
        u64::from_le_bytes(bytes[at as usize..at as usize + 8].try_into().unwrap())
    }

    #[test]
    fn every_address_points_at_what_it_says() {
        let map = [
            E820Entry { start: 0, size: 0x1000, kind: E820Kind::Ram },
            E820Entry { start: 0x1000, size: 0x2000, kind: E820Kind::Acpi },
        ];
        let info = StartInfo { ramdisk: Some((0x5000, 77)), cmdline: b"quiet", rsdp: 0xe_0000, memory_map: &map };
        let bytes = info.encode(0x1_0000);
        let at = |offset| word(&bytes, offset);
        assert_eq!(bytes.len(), StartInfo::size(true, b"quiet", 2));
        assert_eq!(bytes[..16], [0x78, 0xc5, 0x6e, 0x33, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
        let (modules, cmdline, memory_map) = (at(16) - 0x1_0000, at(24) - 0x1_0000, at(40) - 0x1_0000);
        assert_eq!((at(modules), at(modules + 8), at(modules + 16)), (0x5000, 77, 0));
        assert_eq!(&bytes[cmdline as usize..], b"quiet\0");
        assert_eq!(at(32), 0xe_0000);
        assert_eq!(at(48), 2);
        assert_eq!((at(memory_map + 24), at(memory_map + 32), at(memory_map + 40)), (0x1000, 0x2000, 3));
    }

    #[test]
    fn without_a_ramdisk_there_is_no_module() {
        let info = StartInfo { ramdisk: None, cmdline: b"", rsdp: 0, memory_map: &[] };
        let bytes = info.encode(0x1000);
        assert_eq!((bytes[12], word(&bytes, 16)), (0, 0));
        assert_eq!(bytes.len(), StartInfo::size(false, b"", 0));
    }
}
