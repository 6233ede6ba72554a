//! The file that a core goes to: empty pages take no room in it.

use crate::error::Result;
use libxc::types::PAGE_SIZE;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A core file being written from front to back.
pub(super) struct CoreFile {
    file: File,
    /// Whether what is skipped reads as zeros: not in a pipe or on a device.
    regular: bool,
}

impl CoreFile {
    /// Opens the file, readable by root alone; what is in it goes.
    pub(super) fn create(path: &Path) -> Result<CoreFile> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        let regular = file.metadata()?.is_file();
        Ok(CoreFile { file, regular })
    }

    /// Writes bytes.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.file.write_all(bytes)?)
    }

    /// Leaves so many zero bytes.
    pub(super) fn hole(&mut self, len: u64) -> Result<()> {
        if self.regular {
            self.file.seek(SeekFrom::Current(len as i64))?;
        } else {
            io::copy(&mut io::Read::take(io::repeat(0), len), &mut self.file)?;
        }
        Ok(())
    }

    /// Writes whole pages, those of zeros as holes.
    pub(super) fn pages(&mut self, bytes: &[u8]) -> Result<()> {
        let is_empty = |page: &[u8]| page.iter().all(|&byte| byte == 0);
        let (pages, _) = bytes.as_chunks::<PAGE_SIZE>();
        for run in pages.chunk_by(|a, b| is_empty(a) == is_empty(b)) {
            match run.first().is_some_and(|page| is_empty(page)) {
                true => self.hole(run.as_flattened().len() as u64)?,
                false => self.bytes(run.as_flattened())?,
            }
        }
        Ok(())
    }

    /// Makes sure that the disk had room for it all.
    pub(super) fn finish(&self) -> Result<()> {
        match self.regular {
            true => Ok(self.file.sync_data()?),
            false => Ok(()),
        }
    }
}

/// Removes a core file that is not whole, unless it is a pipe or a device.
pub(super) fn remove(path: &Path) {
    if fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file())
        && let Err(e) = fs::remove_file(path)
    {
        tracing::warn!("removing the unfinished core file {}: {e}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    #[test]
    fn empty_pages_read_as_zeros_and_take_no_room() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("core");
        let mut core = CoreFile::create(&path).unwrap();
        let mut pages = vec![0; 1000 * PAGE_SIZE];
        pages[PAGE_SIZE + 5] = 7;
        core.pages(&pages).unwrap();
        core.hole(3).unwrap();
        core.bytes(b"end").unwrap();
        core.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), [&pages[..], b"\0\0\0end"].concat());
        let meta = fs::metadata(&path).unwrap();
        assert!(meta.blocks() * 512 < 100 * PAGE_SIZE as u64, "{} blocks", meta.blocks());
        assert_eq!(meta.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn an_unfinished_file_is_removed_and_a_device_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("core");
        drop(CoreFile::create(&path).unwrap());
        remove(&path);
        assert!(!path.exists());
        let mut full = CoreFile::create("/dev/full".as_ref()).unwrap();
        assert!(full.hole(1).unwrap_err().to_string().contains("No space left"));
        remove("/dev/full".as_ref());
        assert!(Path::new("/dev/full").exists());
    }
}
