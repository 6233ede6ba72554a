//! Adding devices: the nodes are written, each backend gets ready, its script connects it.

use super::hotplug::{Action, Scripts};
use super::operation::{self, Operation, Progress};
use super::{Device, DeviceKind, Nodes, XenbusState, write_all};
use crate::ctx::Ctx;
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::event::{Deadline, Source};
use crate::xenstore::{Store, Watch};
use std::time::Duration;

/// How long a backend may take until it waits for its script (`LIBXL_INIT_TIMEOUT`).
const TIMEOUT: Duration = Duration::from_secs(10);

/// Writes the nodes of new devices, and returns when their backends are connected and wait for the guest.
///
/// # Errors
/// As [`write_all`]; a backend that does not get ready, a script that fails. The devices that were written stay
/// until they are removed.
pub fn add(ctx: &Ctx, devices: &[Nodes]) -> Result<()> {
    write_all(ctx, devices)?;
    connect(ctx, devices.iter().map(|nodes| nodes.device))
}

/// The part of [`add`] that comes after writing the nodes.
pub(super) fn connect(ctx: &Ctx, devices: impl Iterator<Item = Device>) -> Result<()> {
    let connecting: Result<Vec<_>> = devices.filter(is_waited_for).map(|device| Add::start(ctx, device)).collect();
    operation::run(ctx, connecting?)
}

/// Returns when the QEMU that serves these devices, which runs, has opened the images of disks and made the USB
/// controllers.
///
/// # Errors
/// That it refuses one, or does not answer.
pub fn await_qemu(ctx: &Ctx, devices: impl Iterator<Item = Device>) -> Result<()> {
    let is_awaited = |device: &Device| matches!(device.backend_kind, DeviceKind::Qdisk | DeviceKind::Qusb);
    let is_here = |device: &Device| is_awaited(device) && device.backend_domid == ctx.domid;
    let opening: Result<Vec<_>> = devices.filter(is_here).map(|device| Add::start(ctx, device)).collect();
    operation::run(ctx, opening?)
}

/// Only of these kinds does a backend answer before its guest runs: QEMU connects to its devices when it starts, and
/// the others are made as they are (`libxl__device_add`).
fn is_waited_for(device: &Device) -> bool {
    use DeviceKind::{Vbd, Vdispl, Vif, VirtioDisk, Vsnd, Vtpm, Vusb};
    matches!(device.backend_kind, Vbd | Vdispl | Vif | VirtioDisk | Vsnd | Vtpm | Vusb)
}

/// One device on its way to being connected.
pub(super) struct Add {
    device: Device,
    stage: Stage,
}

enum Stage {
    /// The backend's driver has to find it.
    Backend(Watch, Deadline),
    Scripts(Scripts),
}

impl Add {
    /// Waits for the backend of a device whose nodes are written.
    pub(super) fn start(ctx: &Ctx, device: Device) -> Result<Add> {
        let watch = ctx.xs()?.watch(&format!("{}/state", device.backend_path()))?;
        Ok(Add { device, stage: Stage::Backend(watch, Deadline::after(TIMEOUT)) })
    }

    fn progress(&mut self, ctx: &Ctx) -> Result<Progress> {
        if let Stage::Backend(watch, deadline) = &self.stage {
            watch.take();
            let state = ctx.xs()?.read_optional(watch.path())?;
            if !is_ready(state.as_deref().map(XenbusState::parse)).map_err(|e| self.refused(ctx, e))? {
                return if deadline.passed() { Err(self.no_backend(ctx)) } else { Ok(Progress::Waiting) };
            }
            if self.device.backend_domid != ctx.domid {
                // Scripts are run where the backend is, by `xl devd`.
                return Ok(Progress::Done);
            }
            self.stage = Stage::Scripts(Scripts::of(ctx, &self.device, Action::Add)?);
        }
        let is_done = match &mut self.stage {
            Stage::Scripts(scripts) => scripts.step(ctx)?,
            Stage::Backend(..) => false,
        };
        Ok(if is_done { Progress::Done } else { Progress::Waiting })
    }

    /// Whether a script of it runs, which had better end.
    pub(super) fn runs_script(&self) -> bool {
        matches!(self.stage, Stage::Scripts(_))
    }

    /// QEMU takes away what it cannot open.
    fn refused(&self, ctx: &Ctx, error: Error) -> Error {
        if self.device.backend_kind != DeviceKind::Qdisk {
            return error;
        }
        let logs = ctx.paths.log.display();
        Error::fail(format!(
            "QEMU cannot open its image as it should (format=, access=); {logs}/qemu-dm-*.log says why"
        ))
    }

    fn no_backend(&self, ctx: &Ctx) -> Error {
        let (domid, kind) = (self.device.backend_domid, self.device.backend_kind.name());
        let driver = match kind {
            _ if domid != ctx.domid => format!("does domain {domid} run, with its backend driver loaded?"),
            "vbd" => "is its driver loaded (modprobe xen-blkback)?".into(),
            "vif" => "is its driver loaded (modprobe xen-netback)?".into(),
            "vusb" => "is its driver loaded (modprobe xen-usbback)?".into(),
            "qusb" => format!("has QEMU been built with libusb? Its logs are in {}", ctx.paths.log.display()),
            "qdisk" => format!("does QEMU run? Its logs are in {}", ctx.paths.log.display()),
            "virtio_disk" => "does a program run here that serves virtio disks (backendtype=standalone)?".into(),
            kind => format!("nothing here serves devices of kind {kind}"),
        };
        let seconds = TIMEOUT.as_secs();
        Error::new(ErrorKind::TimedOut, format!("its backend did not get ready within {seconds} seconds: {driver}"))
    }
}

impl Operation for Add {
    fn step(&mut self, ctx: &Ctx) -> Result<Progress> {
        self.progress(ctx).with_context(|| self.device.to_string())
    }

    fn waits_for(&self) -> Option<(Source<'_>, Deadline)> {
        match &self.stage {
            Stage::Backend(watch, deadline) => Some((Source::Watch(watch), *deadline)),
            Stage::Scripts(scripts) => scripts.waits_for(),
        }
    }
}

/// Whether a backend in this state (`None`: its nodes have gone) has got as far as to need its script.
fn is_ready(state: Option<XenbusState>) -> Result<bool> {
    match state {
        None => Err(Error::fail("its nodes have been removed from xenstore meanwhile")),
        Some(XenbusState::Closing | XenbusState::Closed) => {
            Err(Error::fail("its backend refused it (dmesg may say why)"))
        }
        Some(XenbusState::Unknown | XenbusState::Initialising) => Ok(false),
        Some(_) => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use super::super::TOOLSTACK;
    use super::super::nodes::tests::host;
    use super::*;
    use libxc::DomId;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    /// A disk with this script.
    fn disk(devid: u32, script: &Path) -> Nodes {
        let kind = DeviceKind::Vbd;
        let mut nodes =
            Nodes::new(Device { domid: DomId(1), kind, devid, backend_domid: TOOLSTACK, backend_kind: kind });
        nodes.back("script", script.display());
        nodes
    }

    fn script(dir: &Path, body: &str) -> std::path::PathBuf {
        let path = dir.join("block");
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn the_script_runs_when_the_backend_is_ready() {
        let (fake, ctx) = host(&[1]);
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let script = script(dir.path(), &format!("echo \"$1 $XENBUS_PATH\" >> {}", log.display()));
        let backend = {
            let fake = fake.clone();
            std::thread::spawn(move || {
                for devid in [51712, 51728] {
                    let state = format!("/local/domain/0/backend/vbd/1/{devid}/state");
                    while fake.get(&state).is_none() {
                        std::thread::yield_now();
                    }
                    fake.set(&state, b"2");
                }
            })
        };
        add(&ctx, &[disk(51712, &script), disk(51728, &script)]).unwrap();
        backend.join().unwrap();
        let mut lines: Vec<_> = fs::read_to_string(log).unwrap().lines().map(str::to_owned).collect();
        lines.sort();
        assert_eq!(lines, ["add backend/vbd/1/51712", "add backend/vbd/1/51728"]);
    }

    #[test]
    fn a_failed_script_is_told_in_its_own_words() {
        let (fake, ctx) = host(&[1]);
        let dir = tempfile::tempdir().unwrap();
        let nodes = disk(51712, &script(dir.path(), "exit 1"));
        write_all(&ctx, std::slice::from_ref(&nodes)).unwrap();
        let backend = nodes.device.backend_path();
        fake.set(&format!("{backend}/state"), b"2");
        fake.set(&format!("{backend}/hotplug-error"), b"/tmp/x does not exist\n");
        let failed = operation::run(&ctx, vec![Add::start(&ctx, nodes.device).unwrap()]).unwrap_err();
        let expected = format!("disk xvda: {}: /tmp/x does not exist", dir.path().join("block").display());
        assert_eq!(failed.to_string(), expected);
    }

    #[test]
    fn a_disk_that_qemu_took_away_is_told() {
        let (_fake, ctx) = host(&[1]);
        let (kind, backend_kind) = (DeviceKind::Vbd, DeviceKind::Qdisk);
        let disk = Device { domid: DomId(1), kind, devid: 51712, backend_domid: TOOLSTACK, backend_kind };
        let error = await_qemu(&ctx, [disk].into_iter()).unwrap_err().to_string();
        assert!(error.starts_with("disk xvda: QEMU cannot open its image"), "{error}");
        await_qemu(&ctx, [Device { backend_domid: DomId(2), ..disk }].into_iter()).unwrap();
    }

    #[test]
    fn what_a_backends_state_means() {
        for (state, ready) in [("", false), ("1", false), ("2", true), ("4", true)] {
            assert_eq!(is_ready(Some(XenbusState::parse(state))).unwrap(), ready, "{state}");
        }
        for state in [None, Some(XenbusState::Closing), Some(XenbusState::Closed)] {
            assert!(is_ready(state).is_err(), "{state:?}");
        }
    }
}
