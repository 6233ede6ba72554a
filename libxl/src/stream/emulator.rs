//! The records of the device model.

use super::{Result, StreamError};
use libxc::stream::bytes::Fields;

/// Which program emulates the guest's devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmulatorId {
    /// Not told: converted streams.
    Unknown,
    /// The QEMU of Xen before 4.3.
    QemuTraditional,
    /// QEMU as its project ships it.
    QemuUpstream,
}

/// The first eight bytes of both records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmulatorHeader {
    /// Which program.
    pub id: EmulatorId,
    /// Which of several; always 0 so far.
    pub index: u32,
}

impl EmulatorHeader {
    /// Its bytes at the front of a body.
    pub const SIZE: usize = 8;

    /// The header as it stands in a body.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        out[..4].copy_from_slice(&(self.id as u32).to_le_bytes());
        out[4..].copy_from_slice(&self.index.to_le_bytes());
        out
    }

    /// Reads the header from the front of a body; gives the rest too.
    pub fn decode<'a>(place: &'static str, body: &'a [u8]) -> Result<(EmulatorHeader, &'a [u8])> {
        let mut f = Fields::new(place, body);
        let id = match f.u32("emulator_id")? {
            0 => EmulatorId::Unknown,
            1 => EmulatorId::QemuTraditional,
            2 => EmulatorId::QemuUpstream,
            other => return Err(f.error(format!("emulator_id: 0, 1 or 2 expected, found {other:#x}"))),
        };
        Ok((EmulatorHeader { id, index: f.u32("index")? }, f.rest()))
    }
}

const XENSTORE_DATA: &str = "EMULATOR_XENSTORE_DATA";

/// Packs keys, relative to the device model's node, and their values.
pub fn encode_xenstore_data<'a>(pairs: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in pairs {
        out.extend_from_slice(key);
        out.push(0);
        out.extend_from_slice(value);
        out.push(0);
    }
    out
}

/// Unpacks what [`encode_xenstore_data`] packed. A key names a node below the device model's own, so it may
/// neither be empty nor lead out of there.
pub fn decode_xenstore_data(data: &[u8]) -> Result<Vec<(&[u8], &[u8])>> {
    let Some((last, strings)) = data.split_last() else { return Ok(Vec::new()) };
    let error = |problem: String| StreamError::new(XENSTORE_DATA, problem);
    if *last != 0 {
        return Err(error("the last string does not end with a NUL".into()));
    }
    let strings: Vec<&[u8]> = strings.split(|&b| b == 0).collect();
    let (pairs, odd) = strings.as_chunks::<2>();
    if !odd.is_empty() {
        return Err(error(format!("a key without a value: {} strings", strings.len())));
    }
    for [key, _] in pairs {
        let name = String::from_utf8_lossy(key);
        if key.is_empty()
            || key.starts_with(b"/")
            || key.split(|&b| b == b'/').any(|part| part.is_empty() || part == b"..")
        {
            return Err(error(format!("key {name:?} is no relative path")));
        }
    }
    Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_survive_the_round_trip() {
        let pairs: [(&[u8], &[u8]); 2] =
            [(b"physmap/7f800000/start_addr", b"f0000000"), (b"physmap/7f800000/name", b"")];
        let packed = encode_xenstore_data(pairs);
        assert_eq!(decode_xenstore_data(&packed).unwrap(), pairs);
        assert_eq!(decode_xenstore_data(b"").unwrap(), []);
    }

    #[test]
    fn hostile_data_is_refused() {
        for bad in [&b"a"[..], b"a\0", b"a\0b\0c\0", b"\0v\0", b"/abs\0v\0", b"a/../b\0v\0", b"a//b\0v\0"] {
            assert!(decode_xenstore_data(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_header_is_read_back() {
        let header = EmulatorHeader { id: EmulatorId::QemuUpstream, index: 0 };
        let body = [&header.encode()[..], b"QEVM"].concat();
        assert_eq!(EmulatorHeader::decode("EMULATOR_CONTEXT", &body), Ok((header, &b"QEVM"[..])));
        assert!(EmulatorHeader::decode("EMULATOR_CONTEXT", &[3, 0, 0, 0, 0, 0, 0, 0]).is_err());
        assert!(EmulatorHeader::decode("EMULATOR_CONTEXT", &[2, 0, 0]).is_err());
    }
}
