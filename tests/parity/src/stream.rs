//! Files of `xl save` made from the format's description, and ways to damage them.

use fastrand::Rng;

/// A part of a file: a header, a configuration or a record.
pub type Part = Vec<u8>;

/// A file in its parts.
#[derive(Clone)]
pub struct File {
    /// What stands in it, in order.
    pub parts: Vec<Part>,
}

impl File {
    /// All of its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        self.parts.concat()
    }
}

/// The kinds of guests whose files differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Page tables, p2m, vCPUs.
    Pv,
    /// Virtual hardware and parameters.
    Pvh,
    /// As PVH, with a device model beside it.
    Hvm,
}

const PAGE: usize = 4096;
/// Types of pages: ordinary ones, page tables of level 1, pinned ones of level 4, without content.
const TYPES: [u64; 5] = [0, 1, 0xc, 0xe, 0xf];

/// A file of a guest with few pages.
pub fn sample(kind: Kind, rng: &mut Rng) -> File {
    let config = b"{\"c_info\": {\"name\": \"sample\"}}\n\0";
    let optional = [&(config.len() as u32).to_le_bytes()[..], config].concat();
    let magic = b"Xen saved domain, xl format\n \0 \r";
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let mut parts = vec![
        [&magic[..], &words(&[0x0102_0304, 3, 0, optional.len() as u32])].concat(),
        optional,
        [&b"LibxlFmt"[..], &[0, 0, 0, 2], &[0; 4]].concat(),
        record(1, &[]),
        [&[0xff; 8][..], b"XENF", &[0, 0, 0, 3], &[0; 8]].concat(),
        words(&[if kind == Kind::Pv { 1 } else { 2 }, 12, 4, 17]),
    ];
    parts.extend(libxc_records(kind, rng));
    if kind == Kind::Hvm {
        parts.push(record(3, &[&words(&[2, 0])[..], b"QEVM state of the device model"].concat()));
    }
    parts.push(record(0, &[]));
    File { parts }
}

fn libxc_records(kind: Kind, rng: &mut Rng) -> Vec<Part> {
    let mut bytes = |count: usize| (0..count).map(|_| rng.u8(..)).collect::<Vec<u8>>();
    let vcpu = |state: Vec<u8>| [vec![0; 8], state].concat();
    let policies = [record(0x11, &bytes(24 * 3)), record(0x12, &[&bytes(8)[..], &[0; 8]].concat())];
    let tsc = record(8, &[bytes(20), vec![0; 4]].concat());
    let end = match kind {
        Kind::Pv => vec![
            record(4, &vcpu(bytes(0x1430))),
            record(5, &vcpu(bytes(64))),
            record(6, &vcpu(bytes(592))),
            record(0xc, &vcpu([bytes(4), vec![0; 4], bytes(8)].concat())),
            record(7, &bytes(PAGE)),
        ],
        Kind::Pvh | Kind::Hvm => {
            vec![record(9, &bytes(1003)), record(0xa, &[&[2, 0, 0, 0, 0, 0, 0, 0][..], &bytes(32)].concat())]
        }
    };
    let p2m = [0_u32, 600].map(u32::to_le_bytes).concat();
    let (info, frames) = match kind {
        Kind::Pv => (vec![record(2, &[8, 4, 0, 0, 0, 0, 0, 0])], vec![record(3, &[p2m, bytes(16)].concat())]),
        Kind::Pvh | Kind::Hvm => (vec![], vec![]),
    };
    let types = if kind == Kind::Pv { &TYPES[..] } else { &TYPES[..1] };
    let pages = (0..3).map(|_| page_data(types, rng)).collect();
    let verify = vec![record(0xd, &[]), page_data(types, rng)];
    [info, policies.into(), vec![record(0x10, &[])], frames, pages, verify, vec![tsc], end, vec![record(0, &[])]]
        .concat()
}

fn page_data(types: &[u64], rng: &mut Rng) -> Part {
    let kinds: Vec<u64> = (0..rng.usize(1..5)).map(|_| types[rng.usize(..types.len())]).collect();
    let mut body = (kinds.len() as u64).to_le_bytes().to_vec();
    for kind in &kinds {
        body.extend((kind << 60 | rng.u64(..1 << 20)).to_le_bytes());
    }
    let pages = kinds.iter().filter(|kind| **kind < 0xd).count();
    body.extend((0..pages * PAGE).map(|_| rng.u8(..)));
    record(1, &body)
}

fn record(kind: u32, body: &[u8]) -> Part {
    let mut out = [kind.to_le_bytes(), (body.len() as u32).to_le_bytes()].concat();
    out.extend(body);
    out.resize(out.len().next_multiple_of(8), 0);
    out
}

/// Values that are likely at a format's limits.
const EDGES: [u32; 12] = [0, 1, 2, 3, 7, 8, 0x7f, 0xff, 0x1000, 0x7fff_ffff, 0x8000_0000, u32::MAX];

/// Damages a file in one to three ways; most of them in the first bytes of its parts, which say the most.
pub fn damage(mut file: File, rng: &mut Rng) -> Vec<u8> {
    for _ in 0..rng.usize(1..4) {
        damage_once(&mut file, rng);
    }
    let mut bytes = file.bytes();
    if rng.u8(..) < 24 {
        bytes.truncate(rng.usize(..=bytes.len()));
    }
    bytes
}

fn damage_once(file: &mut File, rng: &mut Rng) {
    let [at, other] = [(); 2].map(|()| rng.usize(..file.parts.len()));
    match rng.u8(..12) {
        0 => drop(file.parts.remove(at)),
        1 => file.parts.insert(at, file.parts[at].clone()),
        2 => file.parts.swap(at, other),
        3 => file.parts.insert(at, record(rng.u32(..0x16), &vec![0; rng.usize(..40)])),
        4 => file.parts.insert(at, record(rng.u32(..), &[1; 3])),
        5 => {
            let part = &mut file.parts[at];
            part.truncate(rng.usize(..=part.len()));
        }
        6 => file.parts[at].extend([0; 8]),
        kind => damage_bytes(&mut file.parts[at], kind, rng),
    }
}

fn damage_bytes(part: &mut [u8], kind: u8, rng: &mut Rng) {
    let among = if rng.bool() { part.len().min(32) } else { part.len() };
    if among < 4 {
        return;
    }
    let word = rng.usize(..among / 4) * 4;
    match kind {
        7 | 8 => part[rng.usize(..among)] ^= 1 << rng.u8(..8),
        9 => part[word..word + 4].copy_from_slice(&EDGES[rng.usize(..EDGES.len())].to_le_bytes()),
        10 => part[part.len() - rng.usize(1..4)] ^= 1 << rng.u8(..8),
        _ => part[word..word + 4].fill(rng.u8(..)),
    }
}
