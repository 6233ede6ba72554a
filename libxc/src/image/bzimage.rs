//! The Linux bzImage: real-mode setup, then a small decompressor with the compressed ELF kernel inside.
//!
//! Linux's Documentation/arch/x86/boot.rst gives the fields. From protocol 2.08 on `payload_offset` and
//! `payload_length` say where the compressed kernel is, so that a loader can unpack it without running any code.

use super::{Fault, decompress};

const SETUP_SECTS: usize = 0x1f1;
const HEADER: usize = 0x202;
const VERSION: usize = 0x206;
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24c;
const SETUP_HEADER_END: usize = 0x250;

/// Sectors of setup code when the header says 0, for the oldest boot loaders.
const DEFAULT_SETUP_SECTS: u64 = 4;
const SECTOR: u64 = 512;

/// Whether the file has the setup header's magic number.
pub(super) fn is_bzimage(file: &[u8]) -> bool {
    file.get(HEADER..).is_some_and(|rest| rest.starts_with(b"HdrS"))
}

/// The kernel inside, unpacked.
pub(super) fn unpack(file: &[u8]) -> Result<Vec<u8>, Fault> {
    let payload = payload(file)?;
    if payload.starts_with(&object::elf::ELFMAG) {
        return Ok(payload.to_vec());
    }
    let format = decompress::Format::of(payload).ok_or_else(|| {
        let magic = &payload[..payload.len().min(8)];
        Fault::malformed("bzImage payload", format!("no known compression starts with {magic:02x?}"))
    })?;
    decompress::payload(format, payload)
}

/// The compressed kernel with the size that follows it.
fn payload(file: &[u8]) -> Result<&[u8], Fault> {
    let header = file.get(..SETUP_HEADER_END).ok_or_else(|| {
        Fault::malformed("bzImage setup header", format!("cut short: the file has only {} bytes", file.len()))
    })?;
    let version = u16::from_le_bytes([header[VERSION], header[VERSION + 1]]);
    if version < 0x0208 {
        let (major, minor) = (version >> 8, version & 0xff);
        return Err(Fault::malformed(
            "bzImage version",
            format!("boot protocol {major}.{minor:02} is too old: 2.08 (Linux 2.6.24) or later is needed"),
        ));
    }
    let setup_sects = match header[SETUP_SECTS] {
        0 => DEFAULT_SETUP_SECTS,
        sectors => u64::from(sectors),
    };
    let offset = (setup_sects + 1) * SECTOR + u64::from(le32(header, PAYLOAD_OFFSET));
    let length = u64::from(le32(header, PAYLOAD_LENGTH));
    let size = file.len() as u64;
    if offset >= size {
        return Err(Fault::malformed(
            "bzImage payload_offset",
            format!("{offset:#x} is past the file's {size:#x} bytes"),
        ));
    }
    if length > size - offset {
        return Err(Fault::malformed(
            "bzImage payload_length",
            format!("{length:#x} bytes at {offset:#x} are more than the file's {size:#x}: is the file cut short?"),
        ));
    }
    Ok(&file[offset as usize..(offset + length) as usize])
}

fn le32(header: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A bzImage with one sector of setup and a payload.
    pub(crate) fn bzimage(payload: &[u8]) -> Vec<u8> {
        let mut file = vec![0; 1024 + 16];
        file[SETUP_SECTS] = 1;
        file[HEADER..HEADER + 4].copy_from_slice(b"HdrS");
        file[VERSION..VERSION + 2].copy_from_slice(&0x020f_u16.to_le_bytes());
        file[PAYLOAD_OFFSET..PAYLOAD_OFFSET + 4].copy_from_slice(&16_u32.to_le_bytes());
        file[PAYLOAD_LENGTH..PAYLOAD_LENGTH + 4].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        file.extend_from_slice(payload);
        file
    }

    fn fault(file: &[u8]) -> String {
        unpack(file).unwrap_err().to_string()
    }

    #[test]
    fn an_uncompressed_payload_is_taken_as_it_is() {
        assert_eq!(unpack(&bzimage(b"\x7fELF and so on")).unwrap(), b"\x7fELF and so on");
    }

    #[test]
    fn bounds_of_the_payload_are_checked() {
        let good = bzimage(b"\x7fELF....");
        assert!(fault(&good[..0x210]).starts_with("bzImage setup header: cut short"));
        assert!(fault(&good[..good.len() - 1]).starts_with("bzImage payload_length: 0x8 bytes at 0x410"));
        assert!(fault(&good[..0x410]).starts_with("bzImage payload_offset: 0x410 is past"));
        let mut huge = good.clone();
        huge[PAYLOAD_OFFSET..PAYLOAD_OFFSET + 8].fill(0xff);
        assert!(fault(&huge).starts_with("bzImage payload_offset: 0x1000003ff"));
    }

    #[test]
    fn an_old_protocol_and_an_unknown_compression_are_named() {
        let mut old = bzimage(b"");
        old[VERSION] = 7;
        assert!(fault(&old).contains("boot protocol 2.07 is too old"));
        assert!(fault(&bzimage(b"PK\x03\x04 zipped")).contains("no known compression starts with [50, 4b, 03, 04"));
    }
}
