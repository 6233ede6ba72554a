//! The frame of a record: type and length, padded to eight bytes.

use super::bytes::Fields;
use super::{Result, StreamError};
use crate::types::PAGE_SIZE;

/// The longest body that a reader accepts: 128 MiB, as stock libxc.
pub const LENGTH_MAX: u32 = 128 << 20;

/// In a type: readers that do not know the record may skip it.
const OPTIONAL: u32 = 0x8000_0000;

macro_rules! types {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $text:literal;)*) => {
        /// What a record holds.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum RecordType {
            $($(#[$doc])* $name,)*
        }

        impl RecordType {
            /// Every type, in the order of their numbers.
            pub const ALL: &[RecordType] = &[$(RecordType::$name),*];

            /// The type with this number.
            pub fn from_number(number: u32) -> Option<RecordType> {
                match number {
                    $($value => Some(RecordType::$name),)*
                    _ => None,
                }
            }

            /// Its number in a stream.
            pub fn number(self) -> u32 {
                match self {
                    $(RecordType::$name => $value,)*
                }
            }

            /// Its name in the specification.
            pub fn name(self) -> &'static str {
                match self {
                    $(RecordType::$name => $text,)*
                }
            }
        }
    };
}

types! {
    /// The last record.
    End = 0x00, "END";
    /// Pages of memory and their types.
    PageData = 0x01, "PAGE_DATA";
    /// Word size and page table levels of a PV guest.
    PvInfo = 0x02, "X86_PV_INFO";
    /// The frames that hold a PV guest's p2m.
    PvP2mFrames = 0x03, "X86_PV_P2M_FRAMES";
    /// Registers of a PV vCPU.
    PvVcpuBasic = 0x04, "X86_PV_VCPU_BASIC";
    /// More registers of a PV vCPU.
    PvVcpuExtended = 0x05, "X86_PV_VCPU_EXTENDED";
    /// The XSAVE area of a PV vCPU.
    PvVcpuXsave = 0x06, "X86_PV_VCPU_XSAVE";
    /// A PV guest's shared info page.
    SharedInfo = 0x07, "SHARED_INFO";
    /// How the time stamp counter goes on.
    TscInfo = 0x08, "X86_TSC_INFO";
    /// The state of an HVM guest's processors and platform devices.
    HvmContext = 0x09, "HVM_CONTEXT";
    /// The HVM parameters.
    HvmParams = 0x0a, "HVM_PARAMS";
    /// Data of a toolstack before 4.6; never written any more.
    Toolstack = 0x0b, "TOOLSTACK";
    /// Model-specific registers of a PV vCPU.
    PvVcpuMsrs = 0x0c, "X86_PV_VCPU_MSRS";
    /// From here on pages are compared with what was restored, not stored.
    Verify = 0x0d, "VERIFY";
    /// The guest's state is whole here.
    Checkpoint = 0x0e, "CHECKPOINT";
    /// The secondary's dirty pages, on the way back (COLO).
    CheckpointDirtyPfnList = 0x0f, "CHECKPOINT_DIRTY_PFN_LIST";
    /// The end of what never changes while the guest runs (version 3).
    StaticDataEnd = 0x10, "STATIC_DATA_END";
    /// The CPUID leaves that the guest sees (version 3).
    CpuidPolicy = 0x11, "X86_CPUID_POLICY";
    /// The model-specific registers that the guest sees (version 3).
    MsrPolicy = 0x12, "X86_MSR_POLICY";
}

impl RecordType {
    /// Checks what every reader asks of a record before it looks into its body: that the stream's version has it, and
    /// its length where there is but one.
    pub fn check(self, version: u32, length: usize) -> Result<()> {
        let wrong = |problem: String| Err(StreamError::new(self.name(), problem));
        match (self, length) {
            (RecordType::StaticDataEnd | RecordType::CpuidPolicy | RecordType::MsrPolicy, _) if version < 3 => {
                wrong(format!("belongs to version 3, this stream is of version {version}"))
            }
            (RecordType::End | RecordType::Verify | RecordType::Checkpoint | RecordType::StaticDataEnd, 1..) => {
                wrong(format!("length: 0 expected, found {length}"))
            }
            (RecordType::SharedInfo, _) if length != PAGE_SIZE => {
                wrong(format!("length: {PAGE_SIZE} expected, found {length}"))
            }
            (RecordType::HvmContext, 0) => wrong("length: found 0".into()),
            _ => Ok(()),
        }
    }
}

/// The eight bytes before a record's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// The type's number, as it stands in the stream.
    pub number: u32,
    /// Bytes of the body, without padding; at most [`LENGTH_MAX`].
    pub length: u32,
}

impl RecordHeader {
    /// Its bytes in a stream.
    pub const SIZE: usize = 8;
    const PLACE: &'static str = "libxc record header";

    /// The header of a body of `length` bytes. A longer body than the format allows is an error.
    pub fn new(kind: RecordType, length: usize) -> Result<RecordHeader> {
        match u32::try_from(length) {
            Ok(length) if length <= LENGTH_MAX => Ok(RecordHeader { number: kind.number(), length }),
            _ => Err(StreamError::new(kind.name(), format!("length: {length} is more than {LENGTH_MAX}"))),
        }
    }

    /// The header as it stands in a stream.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        out[..4].copy_from_slice(&self.number.to_le_bytes());
        out[4..].copy_from_slice(&self.length.to_le_bytes());
        out
    }

    /// Reads the header; a length over the limit is refused before anything is allocated.
    pub fn decode(bytes: &[u8; Self::SIZE]) -> Result<RecordHeader> {
        let mut f = Fields::new(Self::PLACE, bytes);
        let header = RecordHeader { number: f.u32("type")?, length: f.u32("length")? };
        if header.length > LENGTH_MAX {
            return Err(
                f.error(format!("length: {} of record {:#x} is over {LENGTH_MAX}", header.length, header.number))
            );
        }
        Ok(header)
    }

    /// The record's type. `None` is an unknown record that may be skipped; an unknown one that may not is an error.
    pub fn kind(&self) -> Result<Option<RecordType>> {
        match RecordType::from_number(self.number) {
            Some(kind) => Ok(Some(kind)),
            None if self.number & OPTIONAL != 0 => Ok(None),
            None => Err(StreamError::new(
                Self::PLACE,
                format!("type: {:#010x} is unknown and mandatory; a newer Xen wrote this stream", self.number),
            )),
        }
    }

    /// Bytes of the body with its padding.
    pub fn padded_length(&self) -> usize {
        (self.length as usize).next_multiple_of(8)
    }

    /// The body without its padding, out of [`Self::padded_length`] bytes; padding must be zero.
    pub fn body<'a>(&self, padded: &'a [u8]) -> Result<&'a [u8]> {
        match padded.split_at_checked(self.length as usize) {
            Some((body, padding)) if padding.iter().all(|&b| b == 0) => Ok(body),
            Some(_) => Err(StreamError::new(Self::PLACE, format!("padding of record {:#x} is not zero", self.number))),
            None => Err(StreamError::new(Self::PLACE, format!("record {:#x} is cut short", self.number))),
        }
    }
}

/// A whole small record: header, body, padding.
pub fn encode(kind: RecordType, body: &[u8]) -> Result<Vec<u8>> {
    let header = RecordHeader::new(kind, body.len())?;
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
        for (i, &kind) in RecordType::ALL.iter().enumerate() {
            assert_eq!(kind.number(), i as u32, "{}", kind.name());
            assert_eq!(RecordType::from_number(kind.number()), Some(kind));
        }
        assert_eq!(RecordType::from_number(0x13), None);
    }

    #[test]
    fn unknown_records_are_skipped_only_when_optional() {
        assert_eq!(RecordHeader { number: 0x8000_0055, length: 0 }.kind(), Ok(None));
        assert!(RecordHeader { number: 0x55, length: 0 }.kind().is_err());
    }

    #[test]
    fn markers_have_no_body_and_version_2_has_no_static_data() {
        assert!(RecordType::End.check(3, 0).is_ok() && RecordType::End.check(3, 8).is_err());
        assert!(RecordType::StaticDataEnd.check(3, 0).is_ok() && RecordType::StaticDataEnd.check(2, 0).is_err());
        assert!(RecordType::SharedInfo.check(2, 4096).is_ok() && RecordType::SharedInfo.check(2, 4088).is_err());
        assert!(RecordType::HvmContext.check(2, 1).is_ok() && RecordType::HvmContext.check(2, 0).is_err());
    }

    #[test]
    fn bodies_are_padded_and_padding_is_checked() {
        let record = encode(RecordType::HvmContext, &[1, 2, 3]).unwrap();
        assert_eq!(record, [9, 0, 0, 0, 3, 0, 0, 0, 1, 2, 3, 0, 0, 0, 0, 0]);
        let header = RecordHeader::decode(record[..8].try_into().unwrap()).unwrap();
        assert_eq!(header.body(&record[8..]).unwrap(), [1, 2, 3]);
        assert!(header.body(&[1, 2, 3, 0, 0, 0, 0, 1]).is_err());
        assert!(header.body(&[1, 2]).is_err());
    }

    #[test]
    fn a_length_over_the_limit_is_refused() {
        let bytes = RecordHeader { number: 1, length: LENGTH_MAX + 1 }.encode();
        assert!(RecordHeader::decode(&bytes).is_err());
        assert!(RecordHeader::new(RecordType::PageData, LENGTH_MAX as usize + 1).is_err());
    }
}
