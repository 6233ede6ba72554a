//! The stream that carries a whole guest: libxl's records around libxc's, and the header of a save file.
//!
//! A codec only: values from bytes and bytes from values, no I/O. Version 2 is the only one; older streams are
//! converted first. The format is docs/specs/libxl-migration-stream of xen.git; the errors are libxc's.

pub mod emulator;
pub mod header;
pub mod record;
pub mod save_file;

pub use header::StreamHeader;
pub use libxc::stream::{Result, StreamError};
pub use record::{RecordHeader, RecordType};
pub use save_file::{Form, SaveFileHeader};
