//! The header of a libxl stream.

use super::Result;
use libxc::stream::bytes::Fields;

/// "LibxlFmt".
const IDENT: u64 = 0x4c69_6278_6c46_6d74;
const VERSION: u32 = 2;
const OPTION_BIG_ENDIAN: u32 = 1 << 0;
const OPTION_CONVERTED: u32 = 1 << 1;

/// The first sixteen bytes of a libxl stream, in network byte order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamHeader {
    /// Whether a converter made the stream from one of before Xen 4.6.
    pub converted: bool,
}

impl StreamHeader {
    /// Its bytes in a stream.
    pub const SIZE: usize = 16;
    const PLACE: &'static str = "libxl stream header";

    /// The header as it stands in a stream.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let options = if self.converted { OPTION_CONVERTED } else { 0 };
        let mut out = [0; Self::SIZE];
        out[..8].copy_from_slice(&IDENT.to_be_bytes());
        out[8..12].copy_from_slice(&VERSION.to_be_bytes());
        out[12..].copy_from_slice(&options.to_be_bytes());
        out
    }

    /// Reads the header; refuses other versions and big-endian streams.
    pub fn decode(bytes: &[u8; Self::SIZE]) -> Result<StreamHeader> {
        let mut f = Fields::new(Self::PLACE, bytes);
        let ident = f.u64_be("ident")?;
        if ident != IDENT {
            return Err(f.error(format!("ident: {IDENT:#x} (LibxlFmt) expected, found {ident:#x}")));
        }
        let version = f.u32_be("version")?;
        if version != VERSION {
            return Err(f.error(format!("version: {VERSION} expected, found {version}")));
        }
        let options = f.u32_be("options")?;
        if options & OPTION_BIG_ENDIAN != 0 {
            return Err(f.error("options: a big-endian stream; x86 hosts read little-endian ones only"));
        }
        f.reserved("options", options & !OPTION_CONVERTED)?;
        Ok(StreamHeader { converted: options & OPTION_CONVERTED != 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stocks_header_is_read_and_written_alike() {
        let stock = *b"LibxlFmt\0\0\0\x02\0\0\0\0";
        assert_eq!(StreamHeader::decode(&stock), Ok(StreamHeader::default()));
        assert_eq!(StreamHeader::default().encode(), stock);
        let converted = StreamHeader { converted: true };
        assert_eq!(StreamHeader::decode(&converted.encode()), Ok(converted));
    }

    #[test]
    fn other_streams_are_refused() {
        for bad in [b"LibxcFmt\0\0\0\x02\0\0\0\0", b"LibxlFmt\0\0\0\x01\0\0\0\0", b"LibxlFmt\0\0\0\x02\0\0\0\x01"] {
            assert!(StreamHeader::decode(bad).is_err());
        }
        assert!(StreamHeader::decode(b"LibxlFmt\0\0\0\x02\0\0\0\x04").is_err());
    }
}
