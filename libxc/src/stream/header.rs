//! The two headers at the start of a libxc stream.

use super::bytes::Fields;
use super::{Result, StreamError};
use crate::types::PAGE_SHIFT;

const MARKER: u64 = u64::MAX;
/// "XENF".
const ID: u32 = 0x5845_4e46;
const OPTION_BIG_ENDIAN: u16 = 1;

/// The image header: the one part in network byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageHeader {
    /// The format's version: 2 or 3.
    pub version: u32,
}

impl ImageHeader {
    /// Its bytes in a stream.
    pub const SIZE: usize = 24;
    /// The version that this program writes.
    pub const CURRENT: ImageHeader = ImageHeader { version: 3 };
    const PLACE: &'static str = "libxc image header";

    /// The header as it stands in a stream.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        out[..8].copy_from_slice(&MARKER.to_be_bytes());
        out[8..12].copy_from_slice(&ID.to_be_bytes());
        out[12..16].copy_from_slice(&self.version.to_be_bytes());
        out
    }

    /// Reads the header; refuses other versions and big-endian streams.
    pub fn decode(bytes: &[u8; Self::SIZE]) -> Result<ImageHeader> {
        let mut f = Fields::new(Self::PLACE, bytes);
        let marker = f.u64_be("marker")?;
        if marker != MARKER {
            return Err(f.error(format!("marker: {MARKER:#x} expected, found {marker:#x}")));
        }
        let id = f.u32_be("id")?;
        if id != ID {
            return Err(f.error(format!("id: {ID:#x} (XENF) expected, found {id:#x}")));
        }
        let version = f.u32_be("version")?;
        if !(2..=3).contains(&version) {
            return Err(f.error(format!("version: 2 or 3 expected, found {version}")));
        }
        let options = f.u16_be("options")?;
        if options & OPTION_BIG_ENDIAN != 0 {
            return Err(f.error("options: a big-endian stream; x86 hosts read little-endian ones only"));
        }
        f.reserved("options", options)?;
        let (res1, res2) = (f.u16_be("reserved")?, f.u32_be("reserved")?);
        f.reserved("reserved", res1)?;
        f.reserved("reserved", res2)?;
        Ok(ImageHeader { version })
    }
}

/// What kind of guest a stream holds. PVH guests travel as HVM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestKind {
    /// x86 PV.
    Pv,
    /// x86 HVM or PVH.
    Hvm,
}

/// The domain header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DomainHeader {
    /// The kind of guest.
    pub kind: GuestKind,
    /// Major version of the Xen that saved it; 0 in a converted legacy stream.
    pub xen_major: u32,
    /// Minor version of the Xen that saved it.
    pub xen_minor: u32,
}

impl DomainHeader {
    /// Its bytes in a stream.
    pub const SIZE: usize = 16;
    const PLACE: &'static str = "libxc domain header";

    /// The header as it stands in a stream.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let kind: u32 = match self.kind {
            GuestKind::Pv => 1,
            GuestKind::Hvm => 2,
        };
        let mut out = [0; Self::SIZE];
        out[..4].copy_from_slice(&kind.to_le_bytes());
        out[4..6].copy_from_slice(&(PAGE_SHIFT as u16).to_le_bytes());
        out[8..12].copy_from_slice(&self.xen_major.to_le_bytes());
        out[12..16].copy_from_slice(&self.xen_minor.to_le_bytes());
        out
    }

    /// Reads the header.
    pub fn decode(bytes: &[u8; Self::SIZE]) -> Result<DomainHeader> {
        let mut f = Fields::new(Self::PLACE, bytes);
        let kind = match f.u32("type")? {
            1 => GuestKind::Pv,
            2 => GuestKind::Hvm,
            other => return Err(f.error(format!("type: 1 (x86 PV) or 2 (x86 HVM) expected, found {other:#x}"))),
        };
        let page_shift = f.u16("page_shift")?;
        let reserved = f.u16("reserved")?;
        f.reserved("reserved", reserved)?;
        if u32::from(page_shift) != PAGE_SHIFT {
            return Err(StreamError::new(Self::PLACE, format!("page_shift: 12 expected, found {page_shift}")));
        }
        Ok(DomainHeader { kind, xen_major: f.u32("xen_major")?, xen_minor: f.u32("xen_minor")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first 40 bytes that stock libxc 4.17 wrote for a PVH guest.
    const STOCK: [u8; 40] = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x58, 0x45, 0x4e, 0x46, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 2,
        0, 0, 0, 12, 0, 0, 0, 4, 0, 0, 0, 17, 0, 0, 0,
    ];

    #[test]
    fn headers_of_stock_are_read_and_written_alike() {
        let image = ImageHeader::decode(STOCK[..24].try_into().unwrap()).unwrap();
        let domain = DomainHeader::decode(STOCK[24..].try_into().unwrap()).unwrap();
        assert_eq!(domain, DomainHeader { kind: GuestKind::Hvm, xen_major: 4, xen_minor: 17 });
        assert_eq!([&image.encode()[..], &domain.encode()[..]].concat(), STOCK);
    }

    #[test]
    fn every_wrong_byte_that_matters_is_refused() {
        for at in 0..24 {
            let mut bytes: [u8; 24] = STOCK[..24].try_into().unwrap();
            bytes[at] ^= 0x10;
            assert!(ImageHeader::decode(&bytes).is_err(), "byte {at}");
        }
        for at in 0..8 {
            let mut bytes: [u8; 16] = STOCK[24..].try_into().unwrap();
            bytes[at] ^= 0x10;
            assert!(DomainHeader::decode(&bytes).is_err(), "byte {at}");
        }
    }
}
