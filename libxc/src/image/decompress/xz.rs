//! The xz format, as far as Linux's own decompressor takes it: one stream of blocks, each LZMA2, perhaps under the
//! x86 filter. (The .xz File Format, version 1.2.)
//!
//! Unpacking a distribution's kernel is most of the time that creating a domain takes. That is why this decoder is
//! not a crate's: writing each byte once, to its final place, it needs three quarters of the instructions of
//! liblzma 5.4, where the crates need more than liblzma.

use super::lzma::{Model, Properties};
use super::range::RangeDecoder;
use super::x86;

const STREAM_HEADER: usize = 12;
const STREAM_FOOTER: usize = 12;
const CHECK_CRC32: u8 = 1;
const FILTER_X86: u64 = 0x04;
const FILTER_LZMA2: u64 = 0x21;
/// The most literal context and position bits of LZMA2, together.
const MAX_LITERAL_BITS: u32 = 4;

/// Unpacks at most `size` bytes.
pub(super) fn unpack(stream: &[u8], size: usize) -> Result<Vec<u8>, String> {
    let mut input = Input { all: stream, next: 0 };
    let header = input.take(STREAM_HEADER)?;
    let check = match *header {
        [0xfd, b'7', b'z', b'X', b'Z', 0, 0, check, ref crc @ ..] if check < 16 => {
            verify(&header[6..8], crc, "stream header")?;
            check
        }
        _ => return Err("stream header: not valid".into()),
    };
    let mut out = super::reserved(size)?;
    // A header size of 0 is the mark of the index.
    while input.peek()? != 0 {
        block(&mut input, check, &mut out, size)?;
    }
    index(&mut input, &header[6..8])?;
    Ok(out)
}

fn block(input: &mut Input<'_>, check: u8, out: &mut Vec<u8>, size: usize) -> Result<(), String> {
    let start = input.next;
    let x86_filter = block_header(input)?;
    let unpacked = out.len();
    lzma2(input, out, size)?;
    if x86_filter {
        x86::decode(&mut out[unpacked..]);
    }
    while !(input.next - start).is_multiple_of(4) {
        if input.take(1)? != [0] {
            return Err("block padding: not zero".into());
        }
    }
    // Linux takes no check but CRC32; others are left unchecked.
    let sum = input.take(check_size(check))?;
    if check == CHECK_CRC32 {
        verify(&out[unpacked..], sum, "block")?;
    }
    Ok(())
}

/// The bytes of a check by its number.
fn check_size(check: u8) -> usize {
    match check {
        0 => 0,
        1..=3 => 4,
        4..=6 => 8,
        7..=9 => 16,
        10..=12 => 32,
        _ => 64,
    }
}

/// Reads a block header; tells whether there is the x86 filter before LZMA2.
fn block_header(input: &mut Input<'_>) -> Result<bool, String> {
    let size = (usize::from(input.peek()?) + 1) * 4;
    let header = input.take(size)?;
    let (fields, crc) = header.split_at(size - 4);
    verify(fields, crc, "block header")?;
    let mut fields = Input { all: fields, next: 1 };
    let flags = fields.take(1)?[0];
    for present in [0x40, 0x80] {
        // The packed and the unpacked size, which the data tells itself.
        if flags & present != 0 {
            fields.number()?;
        }
    }
    let filters = (0..=flags & 3).map(|_| filter(&mut fields)).collect::<Result<Vec<_>, _>>()?;
    match *filters {
        [FILTER_LZMA2] => Ok(false),
        [FILTER_X86, FILTER_LZMA2] => Ok(true),
        _ => Err(format!("block header: filters {filters:#x?} are not LZMA2, or x86 and LZMA2")),
    }
}

/// Reads the number of a filter. Of the properties only the x86 filter's start matters, which must be 0.
fn filter(fields: &mut Input<'_>) -> Result<u64, String> {
    let (number, size) = (fields.number()?, fields.number()?);
    let properties = fields.take(usize::try_from(size).unwrap_or(usize::MAX))?;
    if number == FILTER_X86 && properties.iter().any(|byte| *byte != 0) {
        return Err("block header: x86 filter with a start offset".into());
    }
    Ok(number)
}

/// Unpacks the chunks of a block.
fn lzma2(input: &mut Input<'_>, out: &mut Vec<u8>, size: usize) -> Result<(), String> {
    // Where the dictionary starts, once a chunk has started one.
    let mut dictionary = None;
    let mut model: Option<Model> = None;
    loop {
        let control = input.take(1)?[0];
        if control == 0 {
            return Ok(());
        }
        if control == 1 || control >= 0xe0 {
            dictionary = Some(out.len());
            model = None;
        }
        let dictionary = dictionary.ok_or("chunk: no dictionary yet")?;
        match control {
            1 | 2 => {
                let count = input.be16()? + 1;
                let bytes = input.take(count)?;
                room(out, size, count)?;
                out.extend_from_slice(bytes);
            }
            0x80.. => {
                let unpacked = (usize::from(control & 0x1f) << 16) + input.be16()? + 1;
                let packed = input.be16()? + 1;
                match control >> 5 & 3 {
                    0 => {}
                    1 => model.as_mut().ok_or("chunk: no properties yet")?.reset(),
                    _ => model = Some(Model::new(properties(input.take(1)?[0])?)),
                }
                let model = model.as_mut().ok_or("chunk: no properties yet")?;
                let data = input.take(packed)?;
                room(out, size, unpacked)?;
                let start = out.len();
                out.resize(start + unpacked, 0);
                chunk(model, data, &mut out[dictionary..], start - dictionary)?;
            }
            _ => return Err(format!("chunk: control byte {control:#x}")),
        }
    }
}

fn properties(byte: u8) -> Result<Properties, String> {
    Properties::new(byte)
        .filter(|p| p.literal_context_bits + p.literal_position_bits <= MAX_LITERAL_BITS)
        .ok_or_else(|| format!("chunk: properties {byte:#x} are not valid"))
}

fn room(out: &[u8], size: usize, count: usize) -> Result<(), String> {
    if count > size - out.len() {
        return Err(format!("unpacks to more than {size} bytes"));
    }
    Ok(())
}

/// Unpacks one chunk, which ends with its last copy and its last byte.
fn chunk(model: &mut Model, data: &[u8], out: &mut [u8], start: usize) -> Result<(), String> {
    let mut rc = RangeDecoder::new(data).ok_or("chunk: no LZMA data")?;
    let end = model.decode(&mut rc, out, start).map_err(|e| format!("chunk: {e}"))?;
    if end < out.len() || model.has_pending() || !rc.finished() {
        return Err("chunk: its sizes are wrong".into());
    }
    Ok(())
}

/// Checks the index and the footer as a whole: their sums, and that nothing is left over. What they tell of the
/// blocks is known by now.
fn index(input: &mut Input<'_>, flags: &[u8]) -> Result<(), String> {
    let rest = input.take(input.all.len() - input.next)?;
    let (index, footer) = rest.split_at_checked(rest.len().saturating_sub(STREAM_FOOTER)).ok_or("index: cut short")?;
    let (index, crc) = index.split_last_chunk::<4>().ok_or("index: cut short")?;
    verify(index, crc, "index")?;
    let told = footer.get(4..8).and_then(|f| f.first_chunk()).map_or(0, |f| u64::from(u32::from_le_bytes(*f)));
    match footer {
        [crc @ .., _, _, _, _, _, _, b'Y', b'Z']
            if footer[8..10] == *flags && (told + 1) * 4 == index.len() as u64 + 4 =>
        {
            verify(&footer[4..10], crc, "stream footer")
        }
        _ => Err("stream footer: not valid".into()),
    }
}

fn verify(data: &[u8], crc: &[u8], what: &str) -> Result<(), String> {
    if crc32fast::hash(data).to_le_bytes() == *crc { Ok(()) } else { Err(format!("{what}: wrong CRC32")) }
}

/// What is being read.
struct Input<'a> {
    all: &'a [u8],
    next: usize,
}

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let bytes = self.all[self.next..].get(..count).ok_or("cut short")?;
        self.next += count;
        Ok(bytes)
    }

    fn peek(&self) -> Result<u8, String> {
        Ok(*self.all.get(self.next).ok_or("cut short")?)
    }

    fn be16(&mut self) -> Result<usize, String> {
        let bytes = self.take(2)?;
        Ok(usize::from(bytes[0]) << 8 | usize::from(bytes[1]))
    }

    /// A number of up to nine bytes of seven bits, the lowest first.
    fn number(&mut self) -> Result<u64, String> {
        let mut value = 0;
        for shift in (0..63).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("block header: number too long".into())
    }
}
