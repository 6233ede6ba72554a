//! Guest kernels and ramdisks: from the bytes of a file to what a domain builder places in memory.
//!
//! A kernel file passes through up to three layers, each in its own file here:
//!
//! 1. [`mod@decompress`]: a whole file under gzip;
//! 2. [`bzimage`]: a Linux bzImage around a compressed ELF (boot protocol 2.08 and later);
//! 3. [`elf`]: the ELF itself, with Xen's [`notes`] or the older [`guest_string`].
//!
//! All of it is untrusted: the files may come from inside a guest, through a bootloader. Nothing here
//! panics, loops or allocates beyond [`MAX_SIZE`] on any input, and every refusal names the file and the field.

mod bzimage;
mod decompress;
mod elf;
mod error;
mod features;
mod guest_string;
mod kernel;
mod notes;
mod ramdisk;
mod symtab;

pub use elf::{Class, Machine, Segment};
pub use error::{Error, Fault};
pub use features::{Feature, FeatureSet, Features};
pub use kernel::{Kernel, PvAbi, PvLayout, PvhLayout};
pub use notes::{Notes, NotesSource, Pae};
pub use ramdisk::Ramdisk;

/// The largest kernel or ramdisk, packed or unpacked, in bytes: 1 GiB, as `XC_DOM_DECOMPRESS_MAX` in xenguest.h.
pub const MAX_SIZE: usize = 1 << 30;

#[cfg(test)]
mod tests;
