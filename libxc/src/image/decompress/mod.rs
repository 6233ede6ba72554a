//! Decompression of kernels and ramdisks, always to a size known or capped beforehand.
//!
//! Linux appends the unpacked size to the payload of a bzImage as four little-endian bytes (gzip has that field
//! itself). Output that is longer or shorter is refused; memory is taken only as output arrives.

mod lz4;
mod lzma;
mod lzop;
mod range;
mod x86;
mod xz;

use super::{Fault, MAX_SIZE};
use std::io::{self, Read};

/// The bytes of the size that ends a payload.
const SIZE_FIELD: usize = 4;

/// A compression that Linux offers for its image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Gzip,
    Bzip2,
    Xz,
    Zstd,
    Lzma,
    Lzo,
    Lz4,
}

impl Format {
    /// The format that starts with these bytes.
    pub(super) fn of(data: &[u8]) -> Option<Format> {
        const MAGIC: [(&[u8], Format); 7] = [
            (b"\x1f\x8b", Format::Gzip),
            (b"BZh", Format::Bzip2),
            (b"\xfd7zXZ\0", Format::Xz),
            (b"\x28\xb5\x2f\xfd", Format::Zstd),
            (b"\x5d\0", Format::Lzma),
            (b"\x89LZO\0", Format::Lzo),
            (&lz4::MAGIC, Format::Lz4),
        ];
        MAGIC.iter().find(|(magic, _)| data.starts_with(magic)).map(|(_, format)| *format)
    }

    fn name(self) -> &'static str {
        match self {
            Format::Gzip => "gzip",
            Format::Bzip2 => "bzip2",
            Format::Xz => "xz",
            Format::Zstd => "zstd",
            Format::Lzma => "lzma",
            Format::Lzo => "lzo",
            Format::Lz4 => "lz4",
        }
    }
}

/// Unpacks a whole gzip file.
pub(super) fn gunzip(file: &[u8]) -> Result<Vec<u8>, Fault> {
    payload(Format::Gzip, file)
}

/// Unpacks a compressed payload that ends with its unpacked size.
pub(super) fn payload(format: Format, data: &[u8]) -> Result<Vec<u8>, Fault> {
    let packed = format!("{} data", format.name());
    let (stream, size) = data
        .split_last_chunk::<SIZE_FIELD>()
        .ok_or_else(|| Fault::malformed(&packed, format!("cut short: only {} bytes", data.len())))?;
    let size = u32::from_le_bytes(*size) as usize;
    if size > MAX_SIZE {
        let why = format!("{size} bytes unpacked are more than the limit of {MAX_SIZE}; is the file cut short?");
        return Err(Fault::malformed(format!("size at the end of the {packed}"), why));
    }
    let out = unpack(format, data, stream, size).map_err(|e| Fault::malformed(&packed, e))?;
    if out.len() != size {
        let long = if out.len() > size { "more" } else { "less" };
        return Err(Fault::malformed(&packed, format!("unpacks to {long} than the {size} bytes that its end tells")));
    }
    Ok(out)
}

/// Runs the decoder; `whole` still has the size field, which to gzip is part of its trailer.
fn unpack(format: Format, whole: &[u8], stream: &[u8], size: usize) -> io::Result<Vec<u8>> {
    match format {
        Format::Gzip => read(flate2::bufread::GzDecoder::new(whole), size),
        Format::Bzip2 => read(bzip2::bufread::BzDecoder::new(stream), size),
        Format::Xz => xz::unpack(stream, size).map_err(io::Error::other),
        Format::Lzma => lzma::unpack(stream, size).map_err(io::Error::other),
        Format::Zstd => read(ruzstd::decoding::StreamingDecoder::new(stream).map_err(io::Error::other)?, size),
        Format::Lzo => lzop::unpack(stream, size).map_err(io::Error::other),
        Format::Lz4 => lz4::unpack(stream, size).map_err(io::Error::other),
    }
}

/// Address space for the output: its pages come as they are written.
fn reserved(size: usize) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    out.try_reserve_exact(size).map_err(|e| e.to_string())?;
    Ok(out)
}

/// Reads everything, but no more than one byte past `size`: enough to tell that there is more.
fn read(decoder: impl Read, size: usize) -> io::Result<Vec<u8>> {
    let mut out = reserved(size).map_err(io::Error::other)?;
    decoder.take(size as u64 + 1).read_to_end(&mut out)?;
    Ok(out)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod xz_tests;
