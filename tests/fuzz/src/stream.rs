//! Streams and contexts: what a guest's host, or anybody on the way, can put before a restore.

use helpers::compressed::Decoder;
use helpers::describe::describe;
use helpers::legacy::{Wanted, convert};
use helpers::walk::{Format, walk};
use libxc::context::{fields, hvm};
use libxc::migrate::protocol::{receive, send};
use libxc::stream::GuestKind;
use std::io::{self, Read, Write};

/// The most that a stream is unpacked to.
const UNPACKED_MAX: u64 = 16 << 20;

/// A stream; the first byte chooses its outermost layer. Every part can be put in words.
pub fn stream(data: &[u8]) {
    let Some((&layer, bytes)) = data.split_first() else { return };
    let layers = [Format::Libxc, Format::Libxl, Format::Xl];
    let mut end = 0;
    let walked = walk(bytes, layers[usize::from(layer) % layers.len()], &mut |offset, part| {
        assert!(offset >= end || offset == 0, "parts come in order");
        end = offset;
        let description = describe(offset, &part);
        serde_json::to_string(&description).expect("a description is JSON");
        description.to_string();
        Ok(())
    });
    if let Err(fault) = walked {
        fault.to_string();
    }
}

/// A compressed stream.
pub fn compressed(data: &[u8]) {
    if let Ok(stream) = Decoder::new(data) {
        let _ = io::copy(&mut stream.take(UNPACKED_MAX), &mut io::sink());
    }
}

/// A stream of before Xen 4.6; the first byte chooses what its reader is told. What becomes of it is a good stream.
pub fn legacy(data: &[u8]) {
    let Some((&choice, bytes)) = data.split_first() else { return };
    let bit = |bit: u8| choice & 1 << bit != 0;
    let wanted = Wanted {
        width: if bit(0) { 4 } else { 8 },
        guest: if bit(1) { GuestKind::Pv } else { GuestKind::Hvm },
        libxl: bit(2),
        save_file: bit(3),
        skip_qemu: bit(4),
    };
    let mut converted = Limited(Vec::new());
    let result = convert(bytes, &mut converted, wanted, &mut |_| {});
    if result.is_ok() {
        let format = match (wanted.save_file, wanted.libxl) {
            (true, _) => Format::Xl,
            (false, true) => Format::Libxl,
            (false, false) => Format::Libxc,
        };
        if let Err(fault) = walk(&converted.0[..], format, &mut |_, _| Ok(())) {
            panic!("{wanted:?} gives {} bytes that are no stream: {fault}", converted.0.len());
        }
    }
}

/// Takes so much and no more.
struct Limited(Vec<u8>);

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > UNPACKED_MAX as usize {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The state of the virtual hardware: what is read can be written and read again, and its fields are all of it.
pub fn hvm_context(data: &[u8]) {
    let Ok(records) = hvm::decode(data) else { return };
    assert_eq!(hvm::decode(&hvm::encode(&records)).expect("what was written can be read"), records);
    for record in &records {
        let length: usize = fields(record).iter().map(|field| field.bytes.len()).sum();
        assert_eq!(length, record.data.len(), "{record:?}");
    }
}

/// What a save helper says: what is read is written again the same, but for its texts.
pub fn save_helper(mut data: &[u8]) {
    while let Ok(Some(message)) = receive(&mut data) {
        let mut again = Vec::new();
        send(&mut again, &message).expect("what was read can be written");
        assert_eq!(receive(&mut &again[..]).expect("what was written can be read"), Some(message));
    }
}
