//! Streams of Xen before 4.6, made here: the layout is that of `tools/python/scripts/convert-legacy-stream`, which reads it.

use crate::stream::{File, Part};
use fastrand::Rng;

/// A guest, who wrote its stream, and what is wanted of it.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// A PV guest, else an HVM one.
    pub pv: bool,
    /// Bytes of a word of the toolstack that wrote the stream: 4 or 8.
    pub width: usize,
    /// libxl's records are wanted around libxc's.
    pub libxl: bool,
    /// QEMU's state is to be left out (libxc's records only).
    pub skip_qemu: bool,
}

impl Kind {
    /// One of each 16 numbers for each of the kinds.
    pub fn number(number: usize) -> Kind {
        let bit = |bit: u32| number >> bit & 1 == 1;
        Kind { pv: bit(0), width: if bit(1) { 4 } else { 8 }, libxl: bit(2), skip_qemu: bit(3) && !bit(2) }
    }

    /// The options by which a converter is told.
    pub fn options(self) -> [&'static str; 6] {
        let guest = if self.pv { "pv" } else { "hvm" };
        let form = if self.libxl { "libxl" } else { "libxc" };
        ["--width", if self.width == 4 { "32" } else { "64" }, "--guest", guest, "--format", form]
    }
}

const PAGE: usize = 4096;
/// Types of pages in bits 28 to 31: ordinary ones, page tables, pinned ones, without content.
const TYPES: [u64; 6] = [0, 1, 4, 0xc, 0xd, 0xf];
/// The numbers of the chunks that hold a parameter of an HVM guest.
const PARAMS: [i32; 11] = [-3, -4, -8, -10, -11, -14, -15, -16, -17, -19, -20];

/// A stream of a guest with few pages.
pub fn sample(kind: Kind, rng: &mut Rng) -> File {
    let mut writer = Writer { kind, rng, parts: Vec::new() };
    if kind.pv {
        writer.pv_guest()
    } else {
        writer.hvm_guest()
    }
    File { parts: writer.parts }
}

struct Writer<'r> {
    kind: Kind,
    rng: &'r mut Rng,
    parts: Vec<Part>,
}

/// What a PV stream announces of its vCPUs.
struct Vcpus {
    basic: usize,
    extended: bool,
    xsave: Option<u32>,
}

impl Writer<'_> {
    fn pv_guest(&mut self) {
        let guest_width = if self.rng.bool() { 8 } else { 4 };
        let vcpus = Vcpus {
            basic: if guest_width == 8 { 0x1430 } else { 0xaf0 },
            extended: self.rng.bool(),
            xsave: self.rng.bool().then(|| 16 + 8 * self.rng.u32(1..100)),
        };
        let p2m_size = self.rng.usize(1..3000);
        self.ulongs(&[p2m_size as u64]);
        self.extended_info(&vcpus);
        let frames: Vec<u64> = (0..p2m_size.div_ceil(PAGE / guest_width)).map(|_| self.word()).collect();
        self.ulongs(&frames);
        let online = self.pv_chunks();
        let unmapped: Vec<u64> = (0..self.rng.usize(..4)).map(|_| self.word()).collect();
        self.u32s(&[unmapped.len() as u32]);
        self.ulongs(&unmapped);
        for _ in 0..online {
            self.vcpu(&vcpus);
        }
        self.random(PAGE);
    }

    fn extended_info(&mut self, vcpus: &Vcpus) {
        let mut blocks = [&b"vcpu"[..], &(vcpus.basic as u32).to_le_bytes(), &self.bytes(vcpus.basic)].concat();
        if vcpus.extended {
            blocks.extend(b"extv\0\0\0\0");
        }
        if let Some(size) = vcpus.xsave {
            blocks.extend([&b"xcnt"[..], &4_u32.to_le_bytes(), &size.to_le_bytes()].concat());
        }
        self.ulongs(&[u64::MAX]);
        self.u32s(&[blocks.len() as u32]);
        self.parts.push(blocks);
    }

    /// How many vCPUs are online.
    fn pv_chunks(&mut self) -> u32 {
        self.page_batches(&TYPES);
        let max_id = self.rng.u32(..130);
        let words: Vec<u64> = (0..=max_id / 64).map(|_| 1 << self.rng.u32(..64) | 1 << self.rng.u32(..64)).collect();
        self.chunk(-2, &max_id.to_le_bytes());
        self.u64s(&words);
        if self.rng.bool() {
            self.tsc();
        }
        self.chunk(0, &[]);
        words.iter().map(|word| word.count_ones()).sum()
    }

    fn vcpu(&mut self, vcpus: &Vcpus) {
        self.random(vcpus.basic);
        if vcpus.extended {
            self.random(128);
        }
        if let Some(size) = vcpus.xsave {
            self.u64s(&[3, u64::from(size) - 16]);
            self.random(size as usize - 16);
        }
    }

    fn hvm_guest(&mut self) {
        self.ulongs(&[0x10_0000]);
        self.page_batches(&TYPES[..1]);
        for chunk in PARAMS {
            if self.rng.bool() {
                let value = self.bytes(8);
                self.chunk(chunk, &[&[0; 4], &value[..]].concat());
            }
        }
        self.tsc();
        if self.rng.bool() {
            self.toolstack();
        }
        self.chunk(0, &[]);
        self.random(24);
        let context = self.rng.usize(1..500);
        self.u32s(&[context as u32]);
        self.random(context);
        self.parts.push(b"DeviceModelRecord0002".to_vec());
        let state = self.rng.usize(..500);
        self.u32s(&[state as u32]);
        self.random(state);
    }

    /// Batches of pages, some of which could not be mapped; between them what says nothing about the guest.
    fn page_batches(&mut self, types: &[u64]) {
        for batch in 0..self.rng.u64(1..5) {
            let mut words: Vec<u64> = (1..self.rng.u64(2..7)).map(|page| batch << 8 | page).collect();
            words.iter_mut().for_each(|word| *word |= types[self.rng.usize(..types.len())] << 28);
            let pages = words.iter().filter(|word| **word >> 28 < 0xd).count();
            if self.rng.bool() {
                words.resize(words.len() + 3, 0xf000_0000);
            }
            self.chunk(words.len() as i32, &[]);
            self.ulongs(&words);
            self.random(pages * PAGE);
            if self.rng.u8(..) < 32 {
                let silent = if self.rng.bool() { -1 } else { -9 };
                self.chunk(silent, &[]);
            }
        }
    }

    fn tsc(&mut self) {
        let info = self.bytes(20);
        self.chunk(-7, &info);
    }

    /// Where the device model has video memory. Toolstacks of 64 bits left four bytes of padding after a name.
    fn toolstack(&mut self) {
        let names = [&b"vga.vram\0"[..], b"\0"];
        let mut data = [1, names.len() as u32].map(u32::to_le_bytes).concat();
        for name in names {
            data.extend([&self.bytes(24)[..], &(name.len() as u32).to_le_bytes(), name].concat());
            data.resize(data.len() + if self.kind.width == 8 { 4 } else { 0 }, 0);
        }
        self.chunk(-18, &(data.len() as u32).to_le_bytes());
        self.parts.push(data);
    }

    fn chunk(&mut self, number: i32, content: &[u8]) {
        self.parts.push([&number.to_le_bytes(), content].concat());
    }

    fn u32s(&mut self, words: &[u32]) {
        self.parts.push(words.iter().flat_map(|word| word.to_le_bytes()).collect());
    }

    fn u64s(&mut self, words: &[u64]) {
        self.parts.push(words.iter().flat_map(|word| word.to_le_bytes()).collect());
    }

    /// Words of the toolstack.
    fn ulongs(&mut self, words: &[u64]) {
        let width = self.kind.width;
        self.parts.push(words.iter().flat_map(|word| word.to_le_bytes().into_iter().take(width)).collect());
    }

    fn word(&mut self) -> u64 {
        if self.kind.width == 4 { self.rng.u32(..).into() } else { self.rng.u64(..) }
    }

    fn random(&mut self, count: usize) {
        let bytes = self.bytes(count);
        self.parts.push(bytes);
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.rng.u8(..)).collect()
    }
}
