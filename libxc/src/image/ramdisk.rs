//! The initial ramdisk.

use super::{Error, decompress, kernel};
use std::path::Path;

/// A ramdisk as it goes into the guest's memory.
///
/// A gzip'd one is unpacked by the toolstack, so that kernels without gzip can use it; one that does not unpack,
/// or to more than [`MAX_SIZE`](super::MAX_SIZE), goes in as it is (as stock's `xc_dom_build_module` does). Other compressions are the kernel's
/// own business.
#[derive(Clone, PartialEq, Eq)]
pub struct Ramdisk {
    /// What the guest finds.
    pub bytes: Vec<u8>,
}

impl Ramdisk {
    /// Reads and unpacks a file.
    pub fn read(path: &Path) -> Result<Ramdisk, Error> {
        let bytes = kernel::read_file(path).map_err(|fault| fault.of(&path.display().to_string()))?;
        Ok(Ramdisk::parse(bytes))
    }

    /// Unpacks the bytes of a file.
    pub fn parse(bytes: Vec<u8>) -> Ramdisk {
        if decompress::Format::of(&bytes) != Some(decompress::Format::Gzip) {
            return Ramdisk { bytes };
        }
        match decompress::gunzip(&bytes) {
            Ok(unpacked) => Ramdisk { bytes: unpacked },
            Err(why) => {
                tracing::debug!(%why, "ramdisk is given to the guest as it is");
                Ramdisk { bytes }
            }
        }
    }
}
