//! The lzop file format that Linux uses for LZO: a header with flags, then blocks with their lengths and
//! checksums. All numbers are big-endian. Checksums are passed over, as Linux's own decompressor does.

const MAGIC: [u8; 9] = *b"\x89LZO\0\r\n\x1a\n";

/// The first lzop version with a level byte and a 64-bit time in its header.
const VERSION_0_940: u16 = 0x0940;
/// The most that a block unpacks to (lzop's `MAX_BLOCK_SIZE`).
const MAX_BLOCK: usize = 64 << 20;

/// Flags: checksums of the unpacked data (Adler-32, CRC-32), of the packed data, a filter.
const UNPACKED_CHECKSUMS: [u32; 2] = [0x0001, 0x0100];
const PACKED_CHECKSUMS: [u32; 2] = [0x0002, 0x0200];
const HAS_FILTER: u32 = 0x0800;

/// Unpacks at most `size` bytes.
pub(super) fn unpack(stream: &[u8], size: usize) -> Result<Vec<u8>, String> {
    let mut input = Input(stream);
    let flags = header(&mut input).ok_or("lzop header is cut short")?;
    let count = |kinds: [u32; 2]| kinds.iter().filter(|kind| flags & *kind != 0).count();
    let (unpacked_sums, packed_sums) = (count(UNPACKED_CHECKSUMS), count(PACKED_CHECKSUMS));

    let mut out = Vec::new();
    loop {
        let cut_short = || format!("block at {:#x} is cut short", stream.len() - input.0.len());
        let unpacked = input.be32().ok_or_else(cut_short)? as usize;
        if unpacked == 0 {
            return Ok(out);
        }
        let packed = input.be32().ok_or_else(cut_short)? as usize;
        if unpacked > MAX_BLOCK || packed == 0 || packed > unpacked {
            return Err(format!("block of {packed} bytes that unpack to {unpacked}"));
        }
        if unpacked > size - out.len() {
            return Err(format!("unpacks to more than {size} bytes"));
        }
        // A block that did not shrink is stored as it is, and has one kind of checksum only.
        let stored = packed == unpacked;
        let checksums = if stored { unpacked_sums } else { unpacked_sums + packed_sums };
        input.take(4 * checksums).ok_or_else(cut_short)?;
        let block = input.take(packed).ok_or_else(cut_short)?;
        if stored {
            out.extend_from_slice(block);
        } else {
            append(&mut out, block, unpacked)?;
        }
    }
}

/// Reads the header up to the first block and gives its flags.
fn header(input: &mut Input) -> Option<u32> {
    if input.take(MAGIC.len())? != MAGIC {
        return None;
    }
    let version = input.be16()?;
    // Versions of the library and of the oldest program that can unpack it; the method.
    input.take(2 + 2 + 1)?;
    if version >= VERSION_0_940 {
        input.take(1)?; // level
    }
    let flags = input.be32()?;
    if flags & HAS_FILTER != 0 {
        input.take(4)?;
    }
    // Mode and time of the file.
    input.take(if version >= VERSION_0_940 { 12 } else { 8 })?;
    let name = input.take(1)?[0];
    input.take(usize::from(name) + 4)?; // with the header's checksum
    Some(flags)
}

fn append(out: &mut Vec<u8>, block: &[u8], unpacked: usize) -> Result<(), String> {
    // No instruction of LZO gives more than 255 bytes for each of its own (a run's length, 255 a byte), so a
    // block that promises more takes no memory.
    if unpacked / 256 > block.len() {
        return Err(format!("block of {} bytes cannot unpack to {unpacked}", block.len()));
    }
    let start = out.len();
    out.resize(start + unpacked, 0);
    match lzokay::decompress::decompress(block, &mut out[start..]) {
        Ok(written) if written == unpacked => Ok(()),
        Ok(written) => Err(format!("block unpacks to {written} bytes, not {unpacked}")),
        Err(e) => Err(format!("block: {e}")),
    }
}

/// What is left of the stream.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn be16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn be32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }
}
