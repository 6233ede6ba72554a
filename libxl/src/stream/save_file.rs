//! The header that `xl save` and `xl migrate` put before the libxl stream: the guest's configuration.

use super::{Result, StreamError};
use libxc::stream::bytes::Fields;

const MAGIC: &[u8; 32] = b"Xen saved domain, xl format\n \0 \r";
/// Read back as another number on a host of the other byte order.
const BYTE_ORDER: u32 = 0x0102_0304;
/// The configuration is JSON, not xl.cfg's language.
const FLAG_JSON: u32 = 1 << 0;
/// What follows is a libxl stream of version 2.
const FLAG_STREAM_V2: u32 = 1 << 1;
/// The libxl stream is compressed (docs/migration.md). Stock xl does not know this flag and says so.
const FLAG_COMPRESSED: u32 = 1 << 2;
/// The most optional data that a reader accepts: configurations are a few KiB.
const OPTIONAL_DATA_MAX: u32 = 64 << 20;

/// What follows the header and its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A libxl stream.
    Libxl,
    /// A libxl stream, compressed.
    Compressed,
    /// What Xen before 4.6 wrote.
    Legacy,
}

/// The fixed part of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaveFileHeader {
    /// Whether the configuration is libxl's JSON. Files of before Xen 4.5 hold xl.cfg text.
    pub json: bool,
    /// Whether a libxl stream follows. Files of before Xen 4.6 hold a legacy one.
    pub stream_v2: bool,
    /// Whether what follows is compressed.
    pub compressed: bool,
    /// Flags that a reader need not know.
    pub optional_flags: u32,
    /// Bytes of optional data after the fixed part.
    pub optional_data_len: u32,
}

impl SaveFileHeader {
    /// Bytes of the fixed part.
    pub const SIZE: usize = 48;
    const PLACE: &'static str = "save file header";

    /// A header of today with the configuration in JSON, and the optional data that follows it.
    pub fn with_config(json: &str, compressed: bool) -> Result<(SaveFileHeader, Vec<u8>)> {
        let too_long = || StreamError::new(Self::PLACE, format!("a configuration of {} bytes", json.len()));
        let config_len = u32::try_from(json.len() + 1).map_err(|_| too_long())?;
        let optional_data_len = config_len.checked_add(4).filter(|&l| l <= OPTIONAL_DATA_MAX).ok_or_else(too_long)?;
        let mut data = Vec::with_capacity(optional_data_len as usize);
        data.extend_from_slice(&config_len.to_ne_bytes());
        data.extend_from_slice(json.as_bytes());
        data.push(0);
        let header = SaveFileHeader { json: true, stream_v2: true, compressed, optional_flags: 0, optional_data_len };
        Ok((header, data))
    }

    /// The mandatory flags, as messages print them.
    pub fn mandatory_flags(&self) -> u32 {
        let flags = [(self.json, FLAG_JSON), (self.stream_v2, FLAG_STREAM_V2), (self.compressed, FLAG_COMPRESSED)];
        flags.into_iter().filter(|(set, _)| *set).fold(0, |all, (_, flag)| all | flag)
    }

    /// What follows.
    pub fn form(&self) -> Form {
        match (self.stream_v2, self.compressed) {
            (false, _) => Form::Legacy,
            (true, false) => Form::Libxl,
            (true, true) => Form::Compressed,
        }
    }

    /// The fixed part as it stands in a file.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        out[..32].copy_from_slice(MAGIC);
        let words = [BYTE_ORDER, self.mandatory_flags(), self.optional_flags, self.optional_data_len];
        for (to, word) in out[32..].chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        out
    }

    /// Reads the fixed part.
    pub fn decode(bytes: &[u8; Self::SIZE]) -> Result<SaveFileHeader> {
        let mut f = Fields::new(Self::PLACE, bytes);
        if f.take("magic", MAGIC.len())? != MAGIC {
            return Err(f.error("magic: this is no file of `xl save`"));
        }
        let byte_order = f.u32("byteorder")?;
        if byte_order != BYTE_ORDER {
            return Err(f.error(format!("byteorder: {BYTE_ORDER:#x} expected, found {byte_order:#x}")));
        }
        let flags = f.u32("mandatory_flags")?;
        let unknown = flags & !(FLAG_JSON | FLAG_STREAM_V2 | FLAG_COMPRESSED);
        if unknown != 0 {
            return Err(f.error(format!("mandatory_flags: {unknown:#x} are not supported; need newer xl")));
        }
        if flags & FLAG_COMPRESSED != 0 && flags & FLAG_STREAM_V2 == 0 {
            return Err(f.error(format!("mandatory_flags: {flags:#x}: only streams of today are compressed")));
        }
        let header = SaveFileHeader {
            json: flags & FLAG_JSON != 0,
            stream_v2: flags & FLAG_STREAM_V2 != 0,
            compressed: flags & FLAG_COMPRESSED != 0,
            optional_flags: f.u32("optional_flags")?,
            optional_data_len: f.u32("optional_data_len")?,
        };
        if header.optional_data_len > OPTIONAL_DATA_MAX {
            return Err(f.error(format!("optional_data_len: {} is over {OPTIONAL_DATA_MAX}", header.optional_data_len)));
        }
        Ok(header)
    }

    /// The configuration out of the optional data; `None` where the file has none. More data may follow it.
    pub fn config<'a>(&self, optional_data: &'a [u8]) -> Result<Option<&'a [u8]>> {
        if optional_data.is_empty() {
            return Ok(None);
        }
        let mut f = Fields::new(Self::PLACE, optional_data);
        let length = f.u32("config_len")? as usize;
        let config = f.take("config", length)?;
        Ok(Some(config.strip_suffix(b"\0").unwrap_or(config)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_with_a_configuration_is_read_back() {
        let (header, data) = SaveFileHeader::with_config("{\n}", false).unwrap();
        assert_eq!(header.mandatory_flags(), 3);
        assert_eq!(SaveFileHeader::decode(&header.encode()), Ok(header));
        let (compressed, _) = SaveFileHeader::with_config("{\n}", true).unwrap();
        assert_eq!(compressed.mandatory_flags(), 7);
        assert_eq!(SaveFileHeader::decode(&compressed.encode()), Ok(compressed));
        assert_eq!(data, [4, 0, 0, 0, b'{', b'\n', b'}', 0]);
        assert_eq!(header.config(&data).unwrap(), Some(&b"{\n}"[..]));
        assert_eq!(header.config(&[]).unwrap(), None);
    }

    #[test]
    fn the_flags_tell_what_follows() {
        let form = |flags: u8| {
            let mut bytes = SaveFileHeader::with_config("{}", false).unwrap().0.encode();
            bytes[36] = flags;
            SaveFileHeader::decode(&bytes).unwrap().form()
        };
        let expected = [Form::Legacy, Form::Legacy, Form::Libxl, Form::Libxl, Form::Compressed];
        assert_eq!([0, 1, 2, 3, 7].map(form), expected);
    }

    #[test]
    fn damaged_headers_are_refused() {
        let good = SaveFileHeader::with_config("{}", false).unwrap().0.encode();
        for at in (0..36).chain([37]) {
            let mut bytes = good;
            bytes[at] ^= 0x40;
            assert!(SaveFileHeader::decode(&bytes).is_err(), "byte {at}");
        }
        let mut future = good;
        future[36] |= 8;
        let error = SaveFileHeader::decode(&future).unwrap_err().to_string();
        assert!(error.contains("0x8") && error.contains("newer xl"), "{error}");
        let mut neither = good;
        neither[36] = 5;
        let error = SaveFileHeader::decode(&neither).unwrap_err().to_string();
        assert!(error.contains("0x5"), "{error}");
    }

    #[test]
    fn a_configuration_longer_than_its_data_is_refused() {
        let header = SaveFileHeader::with_config("{}", false).unwrap().0;
        assert!(header.config(&[255, 0, 0, 0, 1]).is_err());
        assert!(header.config(&[1, 0]).is_err());
    }
}
