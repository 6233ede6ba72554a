//! The frame of a libxl record: type and length, padded to eight bytes.

use super::{Result, StreamError};
use libxc::stream::bytes::Fields;

/// The longest body that a reader accepts. The format names no limit; a QEMU state of a guest with
/// large video memory is a few dozen MiB.
pub const LENGTH_MAX: u32 = 1 << 30;

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordType {
    /// The last record.
    End,
    /// The libxc stream follows.
    LibxcContext,
    /// What the device model keeps in xenstore.
    EmulatorXenstoreData,
    /// The state of the device model.
    EmulatorContext,
    /// The end of a checkpoint (Remus and COLO).
    CheckpointEnd,
    /// How far the secondary is (COLO).
    CheckpointState,
}

impl RecordType {
    /// Every type, in the order of their numbers.
    pub const ALL: [RecordType; 6] = [
        RecordType::End,
        RecordType::LibxcContext,
        RecordType::EmulatorXenstoreData,
        RecordType::EmulatorContext,
        RecordType::CheckpointEnd,
        RecordType::CheckpointState,
    ];

    /// Its number in a stream.
    pub fn number(self) -> u32 {
        self as u32
    }

    /// Its name in the specification.
    pub fn name(self) -> &'static str {
        match self {
            RecordType::End => "END",
            RecordType::LibxcContext => "LIBXC_CONTEXT",
            RecordType::EmulatorXenstoreData => "EMULATOR_XENSTORE_DATA",
            RecordType::EmulatorContext => "EMULATOR_CONTEXT",
            RecordType::CheckpointEnd => "CHECKPOINT_END",
            RecordType::CheckpointState => "CHECKPOINT_STATE",
        }
    }
}

/// The eight bytes before a record's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// What it holds.
    pub kind: RecordType,
    /// Bytes of the body, without padding.
    pub length: u32,
}

impl RecordHeader {
    /// Its bytes in a stream.
    pub const SIZE: usize = 8;
    const PLACE: &'static str = "libxl record header";

    /// The header of a body of `length` bytes. A longer body than a reader accepts is an error.
    pub fn new(kind: RecordType, length: u64) -> Result<RecordHeader> {
        let accepted = u32::try_from(length).ok().filter(|&l| l <= LENGTH_MAX);
        let length =
            accepted.ok_or_else(|| StreamError::new(kind.name(), format!("length: {length} is over {LENGTH_MAX}")))?;
        Ok(RecordHeader { kind, length })
    }

    /// The header as it stands in a stream.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        out[..4].copy_from_slice(&self.kind.number().to_le_bytes());
        out[4..].copy_from_slice(&self.length.to_le_bytes());
        out
    }

    /// Reads the header. No reader skips records that it does not know, optional or not: as stock libxl.
    pub fn decode(bytes: &[u8; Self::SIZE]) -> Result<RecordHeader> {
        let mut f = Fields::new(Self::PLACE, bytes);
        let (number, length) = (f.u32("type")?, f.u32("length")?);
        let kind = RecordType::ALL
            .get(number as usize)
            .copied()
            .ok_or_else(|| f.error(format!("type: {number:#010x} is unknown; a newer Xen wrote this stream")))?;
        let fixed_empty = matches!(kind, RecordType::End | RecordType::LibxcContext | RecordType::CheckpointEnd);
        if fixed_empty && length != 0 {
            return Err(StreamError::new(kind.name(), format!("length: 0 expected, found {length}")));
        }
        if length > LENGTH_MAX {
            return Err(StreamError::new(kind.name(), format!("length: {length} is over {LENGTH_MAX}")));
        }
        Ok(RecordHeader { kind, length })
    }

    /// Bytes of the body with its padding.
    pub fn padded_length(&self) -> usize {
        (self.length as usize).next_multiple_of(8)
    }
}

/// A whole record: header, body, padding.
pub fn encode(kind: RecordType, body: &[u8]) -> Result<Vec<u8>> {
    let header = RecordHeader::new(kind, body.len() as u64)?;
    let mut out = Vec::with_capacity(RecordHeader::SIZE + header.padded_length());
    out.extend_from_slice(&header.encode());
    out.extend_from_slice(body);
    out.resize(RecordHeader::SIZE + header.padded_length(), 0);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_types_map_one_to_one() {
        for (i, kind) in RecordType::ALL.into_iter().enumerate() {
            assert_eq!(kind.number(), i as u32);
            let header = RecordHeader { kind, length: 0 };
            assert_eq!(RecordHeader::decode(&header.encode()), Ok(header));
        }
    }

    #[test]
    fn unknown_types_and_wrong_lengths_are_refused() {
        let header = |number: u32, length: u32| {
            let mut h = [0; 8];
            h[..4].copy_from_slice(&number.to_le_bytes());
            h[4..].copy_from_slice(&length.to_le_bytes());
            RecordHeader::decode(&h)
        };
        assert!(header(6, 0).is_err());
        assert!(header(0x8000_0001, 0).is_err());
        assert!(header(0, 8).is_err());
        assert!(header(3, LENGTH_MAX + 1).is_err());
        assert!(header(3, 17).is_ok_and(|h| h.padded_length() == 24));
    }
}
