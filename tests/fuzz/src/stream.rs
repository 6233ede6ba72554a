//! Streams and contexts: what a guest's host, or anybody on the way, can put before a restore.

use crate::fake_xen;
use helpers::compressed::Decoder;
use helpers::describe::describe;
use helpers::legacy::{Wanted, convert};
use helpers::walk::{Format, walk};
use libxc::context::domain::{self as context, Record, Type, Writer};
use libxc::context::{fields, hvm};
use libxc::migrate::protocol::{receive, send};
use libxc::migrate::{self, Limits, RestoreControl, RestoreOptions, SaveControl, SaveOptions, restore, save};
use libxc::stream::{GuestKind, RecordHeader};
use libxc::types::PAGE_SIZE;
use libxc::{DomId, EvtchnPort, Xc};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;

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

/// A domain's context in the form proposed for all kinds; the first byte is the number of vCPUs. What is read is written and
/// read again the same.
pub fn domain_context(data: &[u8]) {
    let Some((&vcpus, bytes)) = data.split_first() else { return };
    let vcpus = u16::from(vcpus);
    let Ok(loaded) = load_context(vcpus, bytes) else { return };
    let save = |number: u16| {
        let loaded = &loaded;
        move |vcpu: u16, writer: &mut Writer| match loaded.get(&(number, vcpu)) {
            Some(data) => writer.begin(data.len() as u64).and_then(|()| writer.data(data)),
            None => Ok(()),
        }
    };
    let (whole, growing, each) = (save(WHOLE), save(GROWING), save(EACH));
    let types = [
        Type { number: EACH, per_vcpu: true, save: Some(&each), load: None },
        Type { number: WHOLE, per_vcpu: false, save: Some(&whole), load: None },
        Type { number: GROWING, per_vcpu: false, save: Some(&growing), load: None },
    ];
    let saved = context::save(&types, vcpus).expect("what was read can be written");
    assert_eq!(context::size(&types, vcpus), Ok(saved.len() as u64));
    assert_eq!(load_context(vcpus, &saved).expect("what was written can be read"), loaded);
}

/// Types of a domain with exactly and with at most eight bytes, of each vCPU with one byte, and one that is only written.
const WHOLE: u16 = 2;
const GROWING: u16 = 3;
const EACH: u16 = 4;
const WRITTEN: u16 = 5;

/// What a context has last of each type and vCPU.
fn load_context(vcpus: u16, bytes: &[u8]) -> context::Result<BTreeMap<(u16, u16), Vec<u8>>> {
    let loaded = RefCell::new(BTreeMap::new());
    let load = |number: u16, length: usize, exact: bool| {
        let loaded = &loaded;
        move |record: &mut Record<'_>| {
            let mut data = vec![0; length];
            record.begin(length as u64, exact)?;
            let (first, rest) = data.split_at_mut(1);
            record.data(first)?;
            record.data(rest)?;
            loaded.borrow_mut().insert((number, record.vcpu), data);
            Ok(())
        }
    };
    let (whole, growing, each) = (load(WHOLE, 8, true), load(GROWING, 8, false), load(EACH, 1, true));
    let types = [
        Type { number: WHOLE, per_vcpu: false, save: None, load: Some(&whole) },
        Type { number: GROWING, per_vcpu: false, save: None, load: Some(&growing) },
        Type { number: EACH, per_vcpu: true, save: None, load: Some(&each) },
        Type { number: WRITTEN, per_vcpu: false, save: None, load: None },
    ];
    context::load(&types, vcpus, bytes)?;
    Ok(loaded.take())
}

/// What a save helper says: what is read is written again the same, but for its texts.
pub fn save_helper(mut data: &[u8]) {
    while let Ok(Some(message)) = receive(&mut data) {
        let mut again = Vec::new();
        send(&mut again, &message).expect("what was read can be written");
        assert_eq!(receive(&mut &again[..]).expect("what was written can be read"), Some(message));
    }
}

/// Where streams are restored to.
const RESTORE: RestoreOptions = RestoreOptions {
    domid: DomId(fake_xen::DOMID),
    store_port: EvtchnPort(1),
    store_domain: DomId(0),
    console_port: EvtchnPort(2),
    console_domain: DomId(0),
    checkpoints: false,
};

/// A libxc stream into a domain of a Xen that is not there; the first byte chooses the domain's type, how much memory the host
/// has, and whether there may be checkpoints.
pub fn restore_into_memory(data: &[u8]) {
    let Some((&choice, bytes)) = data.split_first() else { return };
    let (hvm, checkpoints) = (choice & 1 != 0, choice & 4 != 0);
    fake_xen::create(hvm, if choice & 2 != 0 { 12 } else { 4096 });
    let mut stream = fake_xen::memory_file();
    stream.write_all(bytes).and_then(|()| stream.rewind()).expect("a file in memory");
    let options = RestoreOptions { checkpoints, ..RESTORE };
    let restored = restore(&Xc::open().expect("a Xen"), stream.as_fd(), options, &mut Listener::default());
    fake_xen::check(restored.is_ok());
    match restored {
        // It may break off behind the first.
        Ok(_) if checkpoints => {}
        Ok(_) => {
            let end = stream.stream_position().expect("a file in memory") as usize;
            assert!(bytes[..end].ends_with(&[0; RecordHeader::SIZE]), "the last that is read is END");
            let walked = walk(&bytes[..end], Format::Libxc, &mut |_, _| Ok(()));
            // Only a restore passes over records that it does not know and need not know.
            assert!(walked.as_ref().err().is_none_or(|e| e.to_string().contains("is unknown")), "{walked:?}");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A domain that is saved: the first byte chooses its type, whether Xen can log what it writes, and whether there are
/// checkpoints; then come the types of its first 32 pages, the registers of its vCPUs, and its pages, of which a guest writes
/// whatever it likes. With checkpoints the last page is what a PV guest shares with Xen from the second one on. What of an
/// HVM guest can be restored is what it was.
pub fn save_from_memory(data: &[u8]) {
    let Some((&choice, data)) = data.split_first() else { return };
    let Some((types, data)) = data.split_at_checked(32) else { return };
    let Some((context, pages)) = data.split_at_checked(size_of::<xenctrl_sys::vcpu_guest_context>()) else { return };
    let (hvm, live, checkpoints) = (choice & 1 != 0, choice & 2 != 0, choice & 32 != 0);
    let (pages, shared_info) = match pages.len().checked_sub(PAGE_SIZE) {
        Some(rest) if checkpoints => pages.split_at(rest),
        _ => (pages, &[][..]),
    };
    let dirty = (choice & 4 != 0).then_some(choice);
    let state = fake_xen::State { types: types.to_vec(), context: context.to_vec(), dirty };
    fake_xen::create_with(hvm, pages, state);
    let options = SaveOptions {
        domid: DomId(fake_xen::DOMID),
        live,
        verify: choice & 8 != 0,
        checkpoints,
        omit_zeros: choice & 16 != 0,
        limits: Limits { max_downtime: None, bandwidth: None },
        leave_mapped: 0,
    };
    let mut stream = fake_xen::memory_file();
    let mut listener = Listener { checkpoints: 2, shared_info: shared_info.to_vec() };
    let saved = match save(&Xc::open().expect("a Xen"), stream.as_fd(), options, &mut listener) {
        // There is no other end to checkpoints.
        Err(migrate::Error::Refused(LAST)) => {
            stream.write_all(&[0; RecordHeader::SIZE]).expect("a file in memory");
            Ok(())
        }
        saved => saved,
    };
    fake_xen::check(saved.is_ok());
    match saved {
        Ok(()) => {
            stream.rewind().expect("a file in memory");
            walk(io::BufReader::new(&stream), Format::Libxc, &mut |_, _| Ok(()))
                .expect("what is saved is a good stream");
            stream.rewind().expect("a file in memory");
            let before = fake_xen::ordinary_pages();
            fake_xen::create(hvm, fake_xen::PAGES_MAX);
            let options = RestoreOptions { checkpoints, ..RESTORE };
            let restored = restore(&Xc::open().expect("a Xen"), stream.as_fd(), options, &mut Listener::default());
            fake_xen::check(restored.is_ok());
            if hvm && restored.is_ok() {
                let after = fake_xen::ordinary_pages();
                assert!(before.iter().all(|(frame, page)| after.get(frame) == Some(page)), "a page has changed");
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Why there is no checkpoint after the last.
const LAST: &str = "another checkpoint";

/// A toolstack that has nothing to add.
#[derive(Default)]
struct Listener {
    /// How many checkpoints are to come after the first.
    checkpoints: usize,
    /// What a PV guest shares with Xen from then on.
    shared_info: Vec<u8>,
}

impl SaveControl for Listener {
    fn suspend(&mut self) -> migrate::Result<()> {
        fake_xen::suspend();
        Ok(())
    }

    fn log_dirty_devices(&mut self, _enable: bool) -> migrate::Result<()> {
        Ok(())
    }

    fn checkpoint(&mut self) -> migrate::Result<()> {
        self.checkpoints = self.checkpoints.checked_sub(1).ok_or(migrate::Error::Refused(LAST))?;
        fake_xen::resume(&self.shared_info);
        Ok(())
    }

    fn progress(&mut self, _what: &str, _done: u64, _total: u64) {}

    fn warn(&mut self, _what: &str) {}
}

impl RestoreControl for Listener {
    fn static_data_done(&mut self, _cpuid_missing: bool, _msrs_missing: bool) -> migrate::Result<()> {
        Ok(())
    }

    fn checkpoint(&mut self) -> migrate::Result<bool> {
        Ok(true)
    }

    fn progress(&mut self, _what: &str) {}

    fn warn(&mut self, _what: &str) {}
}
