//! The QEMU of an HVM guest while the guest stands still: it stops with the guest, and its state travels with it, to the QEMU
//! that takes over.

use super::qmp::Qmp;
use crate::ctx::Ctx;
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::stream::emulator::{EmulatorHeader, EmulatorId, decode_xenstore_data, encode_xenstore_data};
use crate::stream::{RecordHeader, RecordType, record};
use crate::types::{DeviceModelVersion, DomainConfig};
use crate::xenstore::{Batch, Store, schema};
use libxc::DomId;
use serde_json::{Value, json};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;

/// As much of EMULATOR_XENSTORE_DATA as is read, in bytes: it has some ranges of memory, of 100 bytes each.
const XENSTORE_DATA_MAX: u32 = 1 << 20;
/// Of each range of memory that QEMU has placed in the guest.
const PHYSMAP: [&str; 3] = ["start_addr", "size", "name"];
/// QEMU's records come from the only one of its kind.
const HEADER: EmulatorHeader = EmulatorHeader { id: EmulatorId::QemuUpstream, index: 0 };

/// Refuses a guest whose device model could not be stopped.
pub(crate) fn check(config: &DomainConfig) -> Result<()> {
    let unable = |what| Err(Error::new(ErrorKind::NotImplemented, format!("{what} is not supported")));
    if config.b_info.device_model_stubdomain.is_true() {
        return unable(
            "suspending a guest whose device model runs in a domain of its own (device_model_stubdomain_override=1)",
        );
    }
    match config.b_info.device_model_version {
        DeviceModelVersion::QemuXenTraditional => {
            unable("suspending a guest of device_model_version=\"qemu-xen-traditional\"")
        }
        _ => Ok(()),
    }
}

/// Whether a guest has the older device model, which is not spoken with by QMP and begins without being told.
pub(crate) fn is_traditional(ctx: &Ctx, domid: DomId) -> Result<bool> {
    let version = ctx.xs()?.read_optional(&format!("{}/dm-version", schema::libxl(domid)))?;
    Ok(version.as_deref() == Some(DeviceModelVersion::QemuXenTraditional.name()))
}

/// Stops QEMU's devices; what they had under way is in the guest's memory and on its disks then.
pub(crate) fn stop(ctx: &Ctx, domid: DomId) -> Result<()> {
    command(ctx, domid, "stop", Value::Null)
}

/// Lets QEMU's devices run again.
pub(crate) fn go_on(ctx: &Ctx, domid: DomId) -> Result<()> {
    command(ctx, domid, "cont", Value::Null)
}

/// Makes QEMU tell Xen what it writes to the guest's memory, or stop telling.
pub(crate) fn log_dirty(ctx: &Ctx, domid: DomId, enable: bool) -> Result<()> {
    command(ctx, domid, "xen-set-global-dirty-log", json!({ "enable": enable }))
}

fn command(ctx: &Ctx, domid: DomId, command: &str, arguments: Value) -> Result<()> {
    let done = Qmp::connect(ctx, domid).and_then(|mut qmp| qmp.execute(command, arguments));
    done.map(drop).context("device model")
}

/// What a stopped QEMU has to tell the one that takes over.
pub(crate) struct State {
    file: File,
    physmap: Vec<(String, Vec<u8>)>,
}

impl State {
    /// Has a stopped QEMU write its state down; `live`: it will not go on here.
    pub(crate) fn of(ctx: &Ctx, domid: DomId, live: bool) -> Result<State> {
        let (file, to) = nameless(ctx, &format!("qemu-save.{domid}"))?;
        Qmp::connect(ctx, domid).and_then(|mut qmp| save_devices(&mut qmp, &to, live)).context("device model")?;
        Ok(State { file, physmap: physmap(ctx, domid)? })
    }

    /// Writes it into a stream: one record or two.
    pub(crate) fn write(mut self, to: &mut impl Write) -> Result<()> {
        if !self.physmap.is_empty() {
            let pairs = self.physmap.iter().map(|(key, value)| (key.as_bytes(), value.as_slice()));
            let body = [&HEADER.encode()[..], &encode_xenstore_data(pairs)].concat();
            to.write_all(&record::encode(RecordType::EmulatorXenstoreData, &body)?)?;
        }
        let size = self.file.seek(io::SeekFrom::End(0))?;
        self.file.rewind()?;
        let header = RecordHeader::new(RecordType::EmulatorContext, EmulatorHeader::SIZE as u64 + size)?;
        to.write_all(&[&header.encode()[..], &HEADER.encode()].concat())?;
        let copied = io::copy(&mut self.file.take(size), to)?;
        if copied != size {
            return Err(Error::fail(format!("QEMU's state has shrunk from {size} to {copied} bytes")));
        }
        Ok(to.write_all(&[0; 8][..header.padded_length() - header.length as usize])?)
    }
}

/// A file beside the guests' others, to read and to write. It loses its name at once, so that nothing is left of it whatever
/// happens.
fn nameless(ctx: &Ctx, name: &str) -> Result<(File, File)> {
    let path = ctx.paths.lib.join(name);
    let step = || path.display().to_string();
    let to = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path).with_context(step)?;
    let from = File::open(&path).and_then(|file| fs::remove_file(&path).map(|()| file)).with_context(step)?;
    Ok((from, to))
}

/// What a stream has of the device model, for the QEMU that takes over.
#[derive(Debug, Default)]
pub(crate) struct Received {
    file: Option<File>,
    physmap: Vec<(String, Vec<u8>)>,
}

impl Received {
    /// Takes in the body of one of its records, with its padding.
    pub(crate) fn take(&mut self, ctx: &Ctx, domid: DomId, header: RecordHeader, from: &mut impl Read) -> Result<()> {
        let mut body = from.take(header.length.into());
        let mut emulator = [0; EmulatorHeader::SIZE];
        body.read_exact(&mut emulator)?;
        EmulatorHeader::decode(header.kind.name(), &emulator)?;
        match header.kind {
            RecordType::EmulatorXenstoreData => self.physmap = received_physmap(header, &mut body)?,
            _ => self.file = Some(received_state(ctx, domid, &mut body)?),
        }
        let padding = header.padded_length() - header.length as usize;
        match body.limit() {
            0 => Ok(from.read_exact(&mut [0; 8][..padding])?),
            _ => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        }
    }

    /// Tells xenstore what the older QEMU had told it, and gives its state, which the new one is to read.
    pub(super) fn hand_over(self, ctx: &Ctx, domid: DomId) -> Result<File> {
        let directory = schema::device_model(ctx.domid, domid);
        ctx.xs()?.run_atomic(|batch: &mut Batch| {
            self.physmap.iter().for_each(|(key, value)| _ = batch.write(&format!("{directory}/{key}"), value));
        })?;
        self.file.ok_or_else(|| Error::fail("the stream has no state of the guest's device model"))
    }
}

fn received_physmap(header: RecordHeader, body: &mut impl Read) -> Result<Vec<(String, Vec<u8>)>> {
    let mut data = Vec::new();
    if header.length > XENSTORE_DATA_MAX {
        let (name, length) = (header.kind.name(), header.length);
        return Err(Error::fail(format!("the stream: {name} of {length} bytes, at most {XENSTORE_DATA_MAX} are read")));
    }
    body.read_to_end(&mut data)?;
    let pairs = decode_xenstore_data(&data)?;
    let text = |key: &[u8]| String::from_utf8(key.to_vec()).map_err(|_| Error::fail("a key in xenstore is no text"));
    pairs.into_iter().map(|(key, value)| Ok((text(key)?, value.to_vec()))).collect()
}

fn received_state(ctx: &Ctx, domid: DomId, body: &mut impl Read) -> Result<File> {
    let (from, mut to) = nameless(ctx, &format!("qemu-resume.{domid}"))?;
    io::copy(body, &mut to)?;
    Ok(from)
}

/// Has QEMU write the state of its devices into a file, which it need not be able to open itself.
fn save_devices(qmp: &mut Qmp<'_>, to: &File, live: bool) -> Result<()> {
    let set = qmp.add_fd(to.as_fd())?;
    qmp.execute("xen-save-devices-state", json!({ "filename": format!("/dev/fdset/{set}"), "live": live })).map(drop)
}

/// What QEMU keeps in xenstore of the memory that it has placed in the guest: keys below its directory, and their values.
fn physmap(ctx: &Ctx, domid: DomId) -> Result<Vec<(String, Vec<u8>)>> {
    let (xs, directory) = (ctx.xs()?, schema::device_model(ctx.domid, domid));
    let ranges = xs.children(&format!("{directory}/physmap"))?;
    let keys = ranges.iter().flat_map(|range| PHYSMAP.map(|key| format!("physmap/{range}/{key}")));
    let keys: Vec<String> = keys.collect();
    let mut batch = Batch::new();
    keys.iter().for_each(|key| _ = batch.read(&format!("{directory}/{key}")));
    let values = xs.submit(batch)?.into_iter().collect::<io::Result<Vec<_>>>()?;
    Ok(keys.into_iter().zip(values).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::DefBool;
    use crate::xenstore::fake::Fake;
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
    use std::io::IoSliceMut;
    use std::os::fd::{AsRawFd, RawFd};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::Path;
    use std::thread;

    /// The next command and the descriptor that came with it.
    fn command(socket: &UnixStream) -> (Value, Option<RawFd>) {
        let (mut bytes, mut rights) = ([0; 512], nix::cmsg_space!(RawFd));
        let mut room = [IoSliceMut::new(&mut bytes)];
        let got = recvmsg::<()>(socket.as_raw_fd(), &mut room, Some(&mut rights), MsgFlags::empty()).unwrap();
        let fd = got.cmsgs().unwrap().find_map(|message| match message {
            ControlMessageOwned::ScmRights(fds) => fds.first().copied(),
            _ => None,
        });
        let length = got.bytes;
        (serde_json::from_slice(&bytes[..length]).unwrap(), fd)
    }

    /// A QEMU that takes a descriptor and, asked for its state, writes it there.
    fn qemu(path: &Path, state: &'static [u8]) -> thread::JoinHandle<Value> {
        let listener = UnixListener::bind(path).unwrap();
        thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            socket.write_all(b"{\"QMP\": {}}\r\n").unwrap();
            command(&socket);
            socket.write_all(b"{\"return\": {}}\r\n").unwrap();
            let (added, fd) = command(&socket);
            assert_eq!(added["execute"], "add-fd");
            socket.write_all(b"{\"return\": {\"fdset-id\": 3}}\r\n").unwrap();
            let (save, _) = command(&socket);
            fs::write(format!("/proc/self/fd/{}", fd.unwrap()), state).unwrap();
            socket.write_all(b"{\"return\": {}}\r\n").unwrap();
            save
        })
    }

    #[test]
    fn the_state_of_qemu_becomes_records() {
        let dir = tempfile::tempdir().unwrap();
        let (path, file) = (dir.path().join("qmp"), dir.path().join("state"));
        let qemu = qemu(&path, b"QEVM of eleven");
        let ctx = Fake::new().ctx();
        let to = File::create(&file).unwrap();
        save_devices(&mut Qmp::over(&ctx, &path, None).unwrap(), &to, true).unwrap();
        let asked = qemu.join().unwrap();
        assert_eq!(asked["execute"], "xen-save-devices-state");
        assert_eq!(asked["arguments"], json!({ "filename": "/dev/fdset/3", "live": true }));
        let physmap = vec![("physmap/0/name".to_owned(), b"vga".to_vec())];
        let mut stream = Vec::new();
        State { file: File::open(&file).unwrap(), physmap }.write(&mut stream).unwrap();
        let first = RecordHeader::decode(stream.first_chunk().unwrap()).unwrap();
        assert_eq!((first.kind, first.length), (RecordType::EmulatorXenstoreData, 8 + 15 + 4));
        let pairs = decode_xenstore_data(&stream[16..16 + 19]).unwrap();
        assert_eq!(pairs, [(&b"physmap/0/name"[..], &b"vga"[..])]);
        let second = &stream[8 + first.padded_length()..];
        let header = RecordHeader::decode(second.first_chunk().unwrap()).unwrap();
        assert_eq!((header.kind, header.length), (RecordType::EmulatorContext, 8 + 14));
        assert_eq!(&second[8..], [&HEADER.encode()[..], b"QEVM of eleven", &[0; 2]].concat());
    }

    /// The records of a device model, read back.
    fn received(ctx: &Ctx, mut stream: &[u8]) -> Result<Received> {
        let mut received = Received::default();
        while let Some(header) = stream.split_off(..RecordHeader::SIZE) {
            let header = RecordHeader::decode(header.first_chunk().unwrap()).unwrap();
            received.take(ctx, DomId(5), header, &mut stream)?;
        }
        Ok(received)
    }

    #[test]
    fn the_qemu_that_takes_over_finds_what_the_other_left() {
        let dir = tempfile::tempdir().unwrap();
        let fake = Fake::new();
        let mut ctx = fake.ctx();
        ctx.paths.lib = dir.path().into();
        let file = dir.path().join("state");
        fs::write(&file, b"QEVM of eleven").unwrap();
        let physmap =
            vec![("physmap/0/name".to_owned(), b"vga".to_vec()), ("physmap/0/size".to_owned(), b"8".to_vec())];
        let mut stream = Vec::new();
        State { file: File::open(&file).unwrap(), physmap }.write(&mut stream).unwrap();
        let state = received(&ctx, &stream).unwrap().hand_over(&ctx, DomId(5)).unwrap();
        assert_eq!(io::read_to_string(state).unwrap(), "QEVM of eleven");
        assert_eq!(fake.get("/local/domain/0/device-model/5/physmap/0/name").unwrap(), b"vga");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left but the test's own file");
        assert!(Received::default().hand_over(&ctx, DomId(5)).is_err());
    }

    #[test]
    fn damaged_records_of_a_device_model_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut ctx = Fake::new().ctx();
        ctx.paths.lib = dir.path().into();
        let refused = |kind: RecordType, length: u32, body: &[u8]| {
            let header = RecordHeader { kind, length }.encode();
            received(&ctx, &[&header, body].concat()).map(drop).unwrap_err().to_string()
        };
        let (data, state) = (RecordType::EmulatorXenstoreData, RecordType::EmulatorContext);
        assert_eq!(refused(state, 7, &[2, 0, 0, 0, 0, 0, 0, 0]), "it ends too early");
        assert_eq!(refused(state, 64, &HEADER.encode()), "it ends too early");
        assert_eq!(refused(state, 9, &[2, 0, 0, 0, 0, 0, 0, 0, 1]), "it ends too early");
        assert!(refused(state, 8, &[9, 0, 0, 0, 0, 0, 0, 0]).contains("emulator_id"));
        assert!(refused(data, 11, &[2, 0, 0, 0, 0, 0, 0, 0, b'/', 0, 0, 0, 0, 0, 0, 0]).contains("no relative path"));
        assert!(refused(data, XENSTORE_DATA_MAX + 1, &HEADER.encode()).contains("at most"));
    }

    #[test]
    fn what_qemu_placed_in_the_guest_is_found_in_xenstore() {
        let fake = Fake::new();
        let directory = "/local/domain/0/device-model/5/physmap/f0000000";
        for (key, value) in [("start_addr", "f1000000"), ("size", "800000"), ("name", "vga.vram")] {
            fake.set(&format!("{directory}/{key}"), value.as_bytes());
        }
        let found = physmap(&fake.ctx(), DomId(5)).unwrap();
        assert_eq!(found[2], ("physmap/f0000000/name".to_owned(), b"vga.vram".to_vec()));
        assert_eq!(found.len(), 3);
        assert!(physmap(&fake.ctx(), DomId(6)).unwrap().is_empty());
    }

    #[test]
    fn xenstore_says_which_device_model_a_guest_has() {
        let fake = Fake::new();
        fake.set("/libxl/5/dm-version", b"qemu_xen");
        fake.set("/libxl/6/dm-version", b"qemu_xen_traditional");
        let traditional = [5, 6, 7].map(|domid| is_traditional(&fake.ctx(), DomId(domid)).unwrap());
        assert_eq!(traditional, [false, true, false]);
    }

    #[test]
    fn device_models_that_cannot_be_stopped_are_refused() {
        let mut config = DomainConfig::default();
        check(&config).unwrap();
        config.b_info.device_model_stubdomain = DefBool::from(true);
        assert!(check(&config).unwrap_err().to_string().contains("device_model_stubdomain_override"));
    }
}
