//! Disks: a block device as it is, an image file through a loop device.

use super::super::hotplug::Action;
use super::super::{Device, TOOLSTACK, lock_on_host};
use crate::ctx::Ctx;
use crate::error::{Error, Result, ResultExt};
use crate::host::loop_device::{self, LoopDevice};
use crate::lock::LockFile;
use crate::xenstore::{Batch, Store, schema};
use libxc::DomId;
use nix::sys::stat::{major, minor};
use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

const MOUNTS: &str = "/proc/self/mountinfo";

pub(super) fn connect(ctx: &Ctx, device: &Device, action: Action) -> Result<()> {
    match action {
        Action::Add => add(ctx, device),
        Action::Remove => remove(ctx, device),
    }
}

fn add(ctx: &Ctx, device: &Device) -> Result<()> {
    let backend = device.backend_path();
    let nodes = ["params", "mode", "physical-device"].map(|node| format!("{backend}/{node}"));
    let [path, mode, connected] = <[_; 3]>::try_from(ctx.xs()?.read_many(nodes)?).unwrap_or_default();
    if connected.is_some() {
        return Ok(());
    }
    let path = Path::new("/dev").join(path.unwrap_or_default());
    let shown = path.display().to_string();
    let path = fs::canonicalize(&path).with_context(|| shown.clone())?;
    let found = fs::metadata(&path).with_context(|| shown.clone())?;
    let mode = Mode::of(mode.as_deref().unwrap_or_default());
    let _lock = lock(ctx, &found)?;
    let others = match found.file_type() {
        kind if kind.is_block_device() => vec![found.rdev()],
        kind if kind.is_file() => loop_device::of_file(&found).context("loop devices")?,
        _ => return Err(Error::fail(format!("{shown} is neither a block device nor a file"))),
    };
    check_sharing(ctx, device, mode, &others).with_context(|| shown.clone())?;
    if found.is_file() {
        add_file(ctx, &backend, &path, &found, mode).context(shown)
    } else {
        write_nodes(ctx, &backend, &path, found.rdev(), false)
    }
}

fn add_file(ctx: &Ctx, backend: &str, path: &Path, found: &Metadata, mode: Mode) -> Result<()> {
    if mode != Mode::Read && found.permissions().mode() & 0o222 == 0 {
        return Err(Error::fail("it is read-only, so a guest cannot write to it"));
    }
    let device =
        LoopDevice::attach(path, mode != Mode::Read).context("making it a loop device (is the module loop loaded?)")?;
    let number = device.number().context("loop device")?;
    write_nodes(ctx, backend, device.path(), number, true)?;
    // Only now does xenstore say whose it is, so that it can be given back.
    device.keep().context("loop device")
}

fn write_nodes(ctx: &Ctx, backend: &str, path: &Path, numbers: u64, is_loop: bool) -> Result<()> {
    let shown = path.display().to_string();
    ctx.xs()?.run_atomic(|batch: &mut Batch| {
        // A backend that has been removed meanwhile must not come back as a directory of these nodes only.
        batch.read(&format!("{backend}/frontend"));
        if is_loop {
            batch.write(&format!("{backend}/node"), &shown);
        }
        batch.write(&format!("{backend}/physical-device"), hexadecimal(numbers));
        batch.write(&format!("{backend}/physical-device-path"), &shown);
        batch.write(&format!("{backend}/hotplug-status"), "connected");
    })
}

fn remove(ctx: &Ctx, device: &Device) -> Result<()> {
    match ctx.xs()?.read_optional(&format!("{}/node", device.backend_path()))? {
        Some(node) if node.starts_with("/dev/loop") => loop_device::detach(Path::new(&node)).context(node),
        _ => Ok(()),
    }
}

/// How a guest uses a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Read,
    Write,
    /// Together with others, who know of each other.
    WriteShared,
}

impl Mode {
    fn of(text: &str) -> Mode {
        match (text.contains('w'), text.contains('!')) {
            (false, _) => Mode::Read,
            (true, false) => Mode::Write,
            (true, true) => Mode::WriteShared,
        }
    }
}

/// A device's numbers as blkback reads them.
fn hexadecimal(numbers: u64) -> String {
    format!("{:x}:{:x}", major(numbers), minor(numbers))
}

/// Keeps others from connecting the same image at the same time.
fn lock(ctx: &Ctx, found: &Metadata) -> Result<LockFile> {
    let name = if found.file_type().is_block_device() {
        hexadecimal(found.rdev())
    } else {
        format!("{:x}.{}", found.dev(), found.ino())
    };
    lock_on_host(ctx, &format!("block-{name}"))
}

/// A writer shares with nobody, a reader with readers.
fn check_sharing(ctx: &Ctx, device: &Device, mode: Mode, numbers: &[u64]) -> Result<()> {
    if mode == Mode::WriteShared || numbers.is_empty() {
        return Ok(());
    }
    let mounts = fs::read_to_string(MOUNTS).context(MOUNTS)?;
    if numbers.iter().any(|numbers| is_mounted(&mounts, *numbers, mode)) {
        return Err(Error::fail("it is mounted in this domain, so a guest cannot have it too"));
    }
    let wanted: Vec<String> = numbers.iter().map(|numbers| hexadecimal(*numbers)).collect();
    for user in users(ctx, device.backend_domid)? {
        let is_conflict = mode == Mode::Write || user.mode != Mode::Read;
        if wanted.contains(&user.physical_device) && is_conflict && !same_vm(ctx, device.domid, user.domid)? {
            return Err(Error::fail(format!(
                "it is in use by domain {}; only readers can share a disk (mode r)",
                user.domid
            )));
        }
    }
    Ok(())
}

/// Whether a line of mountinfo tells of a mount of the device that this mode cannot share.
fn is_mounted(mountinfo: &str, numbers: u64, mode: Mode) -> bool {
    let decimal = format!("{}:{}", major(numbers), minor(numbers));
    mountinfo.lines().any(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        let is_it = fields.get(2) == Some(&decimal.as_str()) || source(&fields) == Some(numbers);
        let is_readonly = fields.get(5).is_some_and(|options| options.split(',').any(|option| option == "ro"));
        is_it && (mode == Mode::Write || !is_readonly)
    })
}

/// The device behind a mount whose file system has numbers of its own, as one over several devices has.
fn source(fields: &[&str]) -> Option<u64> {
    let separator = fields.iter().position(|field| *field == "-")?;
    let path = fields.get(separator + 2).filter(|path| path.starts_with("/dev/"))?;
    fs::metadata(path).ok().filter(|m| m.file_type().is_block_device()).map(|m| m.rdev())
}

/// A guest's use of a block device.
struct User {
    domid: DomId,
    physical_device: String,
    mode: Mode,
}

/// Every disk that this domain serves through a block device.
fn users(ctx: &Ctx, backend: DomId) -> Result<Vec<User>> {
    let (xs, root) = (ctx.xs()?, format!("{}/vbd", schema::backends(backend)));
    let mut disks = Vec::new();
    for domid in xs.children(&root)? {
        for devid in xs.children(&format!("{root}/{domid}"))? {
            disks.push((domid.clone(), format!("{root}/{domid}/{devid}")));
        }
    }
    let numbers = xs.read_many(disks.iter().map(|(_, path)| format!("{path}/physical-device")))?;
    let modes = xs.read_many(disks.iter().map(|(_, path)| format!("{path}/mode")))?;
    let users = disks.iter().zip(numbers).zip(modes).filter_map(|(((domid, _), numbers), mode)| {
        let domid = DomId(domid.parse().ok()?);
        Some(User { domid, physical_device: numbers?, mode: Mode::of(mode.as_deref().unwrap_or_default()) })
    });
    Ok(users.collect())
}

/// Whether two domains are the same guest, as while it migrates within this host, or one is the other's stub domain.
/// One whose nodes are gone is in nobody's way.
fn same_vm(ctx: &Ctx, ours: DomId, other: DomId) -> Result<bool> {
    let theirs = vm(ctx, other)?;
    Ok(theirs.is_none() || theirs == vm(ctx, ours)?)
}

fn vm(ctx: &Ctx, domid: DomId) -> Result<Option<String>> {
    let xs = ctx.xs()?;
    if ctx.domid != TOOLSTACK {
        // A driver domain may not read of others: each guest is another.
        return Ok(Some(domid.to_string()));
    }
    let target = xs.read_optional(&format!("{}/target", schema::domain(domid)))?;
    let domid = target.and_then(|t| t.parse().ok()).unwrap_or(domid.0);
    Ok(xs.read_optional(&format!("{}/vm", schema::domain(DomId(domid))))?)
}

#[cfg(test)]
mod tests {
    use super::super::super::DeviceKind;
    use super::super::super::nodes::tests::host;
    use super::*;
    use crate::xenstore::fake::Fake;
    use nix::sys::stat::makedev;

    fn disk(domid: u16) -> Device {
        let kind = DeviceKind::Vbd;
        Device { domid: DomId(domid), kind, devid: 51712, backend_domid: TOOLSTACK, backend_kind: kind }
    }

    fn uses(fake: &Fake, domid: u16, numbers: &str, mode: &str) {
        let backend = disk(domid).backend_path();
        fake.set(&format!("{backend}/physical-device"), numbers.as_bytes());
        fake.set(&format!("{backend}/mode"), mode.as_bytes());
        fake.set(&format!("/local/domain/{domid}/vm"), format!("/vm/{domid}").as_bytes());
    }

    #[test]
    fn a_writer_shares_with_nobody_and_a_reader_with_readers() {
        let (fake, ctx) = host(&[1, 2, 3]);
        fake.set("/local/domain/1/vm", b"/vm/1");
        uses(&fake, 2, "7:1a", "w");
        uses(&fake, 3, "7:1b", "r");
        let check = |mode, minor| check_sharing(&ctx, &disk(1), mode, &[makedev(7, minor)]);
        for mode in [Mode::Read, Mode::Write] {
            let error = check(mode, 0x1a).unwrap_err().to_string();
            assert!(error.starts_with("it is in use by domain 2;"), "{error}");
        }
        check(Mode::WriteShared, 0x1a).unwrap();
        check(Mode::Read, 0x1b).unwrap();
        assert!(check(Mode::Write, 0x1b).is_err());
        check(Mode::Write, 0x1c).unwrap();
        // The same guest under another number, as while it migrates within the host.
        fake.set("/local/domain/2/vm", b"/vm/1");
        check(Mode::Write, 0x1a).unwrap();
    }

    #[test]
    fn mounts_are_seen() {
        let mounts = "22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/root rw\n\
                      23 22 7:3 / /mnt/cd ro,relatime - iso9660 /dev/none3 ro\n";
        let is = |major, minor, mode| is_mounted(mounts, makedev(major, minor), mode);
        assert!(is(254, 1, Mode::Write) && is(254, 1, Mode::Read));
        assert!(is(7, 3, Mode::Write) && !is(7, 3, Mode::Read));
        assert!(!is(7, 4, Mode::Write));
    }

    #[test]
    fn what_cannot_be_connected() {
        let (fake, ctx) = host(&[1]);
        let dir = tempfile::tempdir().unwrap();
        let backend = disk(1).backend_path();
        let failure = |path: &Path| {
            fake.set(&format!("{backend}/params"), path.as_os_str().as_encoded_bytes());
            fake.set(&format!("{backend}/mode"), b"w");
            add(&ctx, &disk(1)).unwrap_err().to_string()
        };
        assert!(failure(&dir.path().join("none")).ends_with("none: No such file or directory"));
        let error = failure(Path::new("none-such"));
        assert!(error.starts_with("/dev/none-such: "), "{error}");
    }

    #[test]
    fn numbers_are_hexadecimal() {
        assert_eq!(hexadecimal(makedev(7, 26)), "7:1a");
        assert_eq!((Mode::of("w!"), Mode::of("w"), Mode::of("r")), (Mode::WriteShared, Mode::Write, Mode::Read));
    }
}
