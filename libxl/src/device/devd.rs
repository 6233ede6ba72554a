//! Serving devices to other domains (`xl devd`, `libxl_device_events_handler`).
//!
//! The toolstack in domain 0 writes a device's nodes and asks for its end. Connecting its backend to a file or a
//! bridge, and disconnecting it, is done where the backend is: here, in a driver domain, by the same steps as in
//! domain 0. What is to be done is always read from xenstore, so devices that were made before this runs, or while it
//! did not, are served all the same.

use super::add::Add;
use super::operation::{self, Operation, Progress};
use super::remove::Remove;
use super::{Device, DeviceKind, TOOLSTACK, XenbusState};
use crate::ctx::Ctx;
use crate::dm;
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::event::{self, Deadline, Source};
use crate::xenstore::{Batch, Store, Watch, schema};
use libxc::DomId;
use std::collections::HashMap;

/// The domain that this runs in, as xenstore tells it.
pub fn own_domid(ctx: &Ctx) -> Result<DomId> {
    let domid = ctx.xs()?.read_optional("domid")?.unwrap_or_default();
    let number = domid.parse().map_err(|_| Error::fail(format!("domid in xenstore is \"{domid}\", not a number")));
    Ok(DomId(number.context("which domain this is")?))
}

/// Serves the devices whose backends are in the context's domain.
pub struct Devd<'a> {
    ctx: &'a Ctx,
    backends: Watch,
    devices: HashMap<Device, Work>,
    qemus: dm::Backends,
}

/// What is being done for a device.
enum Work {
    /// Nothing: it is connected, or cannot be.
    Settled,
    Connecting(Add),
    Disconnecting(Remove),
}

impl<'a> Devd<'a> {
    /// Begins to watch this domain's backends.
    pub fn new(ctx: &'a Ctx) -> Result<Devd<'a>> {
        let backends = ctx.xs()?.watch(&schema::backends(ctx.domid)).context("watching the backends")?;
        Ok(Devd { ctx, backends, devices: HashMap::new(), qemus: dm::Backends::default() })
    }

    /// Serves devices until the context is cancelled; scripts that run then are waited for.
    ///
    /// # Errors
    /// That xenstore cannot be reached any more. Whatever fails for one device is logged, and told to the toolstack in
    /// `hotplug-error`.
    pub fn run(mut self) -> Result<()> {
        if self.ctx.domid == TOOLSTACK {
            tracing::warn!("this is domain 0, where xl itself connects devices: there is nothing to do");
            self.wait_for_the_end()
        } else {
            self.serve()
        }
        .or_else(|e| match e.kind() {
            ErrorKind::Aborted => self.finish(),
            _ => Err(e),
        })
    }

    fn wait_for_the_end(&self) -> Result<()> {
        loop {
            event::wait(self.ctx, &[], Deadline::NEVER)?;
        }
    }

    fn serve(&mut self) -> Result<()> {
        loop {
            self.look_at_changes()?;
            self.step()?;
            if !self.backends.is_pending() {
                self.wait()?;
            }
        }
    }

    fn wait(&self) -> Result<()> {
        let (mut sources, mut deadline) = self.qemus.waits_for();
        sources.push(Source::Watch(&self.backends));
        for work in self.devices.values() {
            match work.waits_for() {
                Some(Some((source, until))) => {
                    sources.push(source);
                    deadline = deadline.earlier(until);
                }
                // It can go on at once.
                Some(None) => return Ok(()),
                None => {}
            }
        }
        event::wait(self.ctx, &sources, deadline).map(drop)
    }

    /// Lets scripts that run come to their end: what they have begun would be left half done.
    fn finish(self) -> Result<()> {
        self.qemus.release();
        let (mut adding, mut removing) = (Vec::new(), Vec::new());
        for work in self.devices.into_values() {
            match work {
                Work::Connecting(add) if add.runs_script() => adding.push(add),
                Work::Disconnecting(remove) if remove.runs_script() => removing.push(remove),
                _ => {}
            }
        }
        operation::run(self.ctx, adding).and(operation::run(self.ctx, removing))
    }

    fn look_at_changes(&mut self) -> Result<()> {
        let root = self.backends.path().to_owned();
        let mut changed = Vec::new();
        for path in self.backends.take() {
            match Change::of(&path, &root) {
                Change::One(device) => changed.push(device),
                Change::Any => changed.extend(self.all(&root)?),
                Change::Nothing => {}
            }
        }
        changed.into_iter().try_for_each(|device| self.look(device))
    }

    /// Every device that there is, and those known that there may have been.
    fn all(&self, root: &str) -> Result<Vec<Device>> {
        let xs = self.ctx.xs()?;
        let mut devices: Vec<Device> = self.devices.keys().copied().collect();
        for kind in xs.children(root)? {
            for domid in xs.children(&format!("{root}/{kind}"))? {
                let guest = format!("{root}/{kind}/{domid}");
                let found = xs.children(&guest)?.into_iter();
                devices.extend(found.filter_map(|devid| Device::from_backend_path(&format!("{guest}/{devid}"), |k| k)));
            }
        }
        Ok(devices)
    }

    /// Begins what a device needs. One at which work goes on is looked at again when that has ended; only the work for
    /// one that is gone ends at once, with its script, for another of its name may come.
    fn look(&mut self, device: Device) -> Result<()> {
        let known = self.devices.get(&device);
        let need = Seen::read(self.ctx, &device)?.need(known.is_some());
        match (known, &need) {
            (None | Some(Work::Settled), _) | (Some(Work::Connecting(_)), Need::Forgetting) => {}
            _ => return Ok(()),
        }
        let begun = match need {
            Need::Nothing => return Ok(()),
            Need::Forgetting => return self.forget(device),
            Need::Keeping => Ok(Work::Settled),
            Need::Connecting => self.connect(device),
            Need::Disconnecting => Remove::parted(self.ctx, device).map(Work::Disconnecting),
        };
        let work = begun.unwrap_or_else(|error| {
            self.failed(&device, &error);
            Work::Settled
        });
        self.devices.insert(device, work);
        Ok(())
    }

    fn connect(&mut self, device: Device) -> Result<Work> {
        match device.backend_kind {
            DeviceKind::Vbd | DeviceKind::Vif => Add::start(self.ctx, device).map(Work::Connecting),
            DeviceKind::Qdisk => {
                self.qemus.start(self.ctx, device.domid).with_context(|| device.to_string())?;
                Ok(Work::Settled)
            }
            kind if kind.is_served_by_qemu() => Err(Error::new(
                ErrorKind::NotImplemented,
                format!("{device}: xl devd starts QEMU for disks only, not for devices of kind {kind}"),
            )),
            // Nothing but its driver has to do with it.
            _ => Ok(Work::Settled),
        }
    }

    /// A device that is gone. The QEMU of a guest goes with the last of its disks.
    fn forget(&mut self, device: Device) -> Result<()> {
        let is_qdisk_of = |other: &Device| other.backend_kind == DeviceKind::Qdisk && other.domid == device.domid;
        self.devices.remove(&device);
        if !is_qdisk_of(&device) || self.devices.keys().any(is_qdisk_of) {
            return Ok(());
        }
        tracing::info!("domain {}: its last image is closed", device.domid);
        self.qemus.end(self.ctx, device.domid).or_else(|error| {
            tracing::error!("domain {}: {error}", device.domid);
            Ok(())
        })
    }

    /// Goes on with all work that can go on.
    fn step(&mut self) -> Result<()> {
        for (guest, result) in self.qemus.step(self.ctx) {
            let disks = self.devices.keys().filter(|d| d.domid == guest && d.backend_kind == DeviceKind::Qdisk);
            match result {
                Ok(()) => tracing::info!("domain {guest}: QEMU opens its images"),
                Err(error) => disks.for_each(|disk| self.failed(disk, &error)),
            }
        }
        let mut ended = Vec::new();
        for (device, work) in &mut self.devices {
            match work.step(self.ctx) {
                Ok(Progress::Waiting) => {}
                Ok(Progress::Done) => ended.push((*device, Ok(()))),
                Err(e) if e.kind() == ErrorKind::Aborted => return Err(e),
                Err(e) => ended.push((*device, Err(e))),
            }
        }
        ended.into_iter().try_for_each(|(device, result)| self.ended(device, result))
    }

    fn ended(&mut self, device: Device, result: Result<()>) -> Result<()> {
        let work = self.devices.insert(device, Work::Settled);
        let is_disconnected = matches!(work, Some(Work::Disconnecting(_)));
        match result {
            Ok(()) => {
                let done = if is_disconnected { "disconnected" } else { "connected" };
                tracing::info!("domain {}: {device} {done}", device.domid);
                if is_disconnected {
                    // What is there by now is another device.
                    self.devices.remove(&device);
                }
            }
            Err(error) => {
                self.failed(&device, &error);
                if is_disconnected {
                    // Not again at once: it would fail again.
                    return Ok(());
                }
            }
        }
        // It may have changed meanwhile.
        self.look(device)
    }

    /// Logs a failure and tells it to the toolstack, as a script does.
    fn failed(&self, device: &Device, error: &Error) {
        tracing::error!("domain {}: {error}", device.domid);
        let backend = device.backend_path();
        let told = self.ctx.xs().and_then(|xs| {
            xs.run_atomic(|batch: &mut Batch| {
                // Not if it is gone: it must not come back as a directory of these nodes only.
                batch.read(&format!("{backend}/frontend"));
                batch.write(&format!("{backend}/hotplug-error"), error.to_string());
                batch.write(&format!("{backend}/hotplug-status"), "error");
            })
        });
        if let Err(e) = told {
            tracing::debug!("{backend}/hotplug-error: {e}");
        }
    }
}

impl Work {
    fn step(&mut self, ctx: &Ctx) -> Result<Progress> {
        match self {
            // Nothing ends here.
            Work::Settled => Ok(Progress::Waiting),
            Work::Connecting(add) => add.step(ctx),
            Work::Disconnecting(remove) => remove.step(ctx),
        }
    }

    /// What it waits for, if it is work at all.
    fn waits_for(&self) -> Option<Option<(Source<'_>, Deadline)>> {
        match self {
            Work::Settled => None,
            Work::Connecting(add) => Some(add.waits_for()),
            Work::Disconnecting(remove) => Some(remove.waits_for()),
        }
    }
}

/// What a changed path means.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    /// This device may need something.
    One(Device),
    /// Any device may.
    Any,
    Nothing,
}

impl Change {
    fn of(path: &str, root: &str) -> Change {
        let directory = path.strip_suffix("/state").or_else(|| path.strip_suffix("/online")).unwrap_or(path);
        match Device::from_backend_path(directory, |kind| kind) {
            Some(device) => Change::One(device),
            // A directory above devices that was removed, or events that were merged.
            None if path.split('/').count() <= root.split('/').count() + 2 => Change::Any,
            None => Change::Nothing,
        }
    }
}

/// How a device stands, as its backend's directory tells.
#[derive(Debug)]
struct Seen {
    state: Option<XenbusState>,
    is_online: bool,
    is_connected: bool,
}

/// What a device needs.
#[derive(Debug, PartialEq, Eq)]
enum Need {
    Nothing,
    Connecting,
    Disconnecting,
    /// It is connected already, by an earlier run.
    Keeping,
    /// It is gone.
    Forgetting,
}

impl Seen {
    fn read(ctx: &Ctx, device: &Device) -> Result<Seen> {
        let backend = device.backend_path();
        let nodes = ["state", "online", "hotplug-status"].map(|node| format!("{backend}/{node}"));
        let [state, online, status] = <[_; 3]>::try_from(ctx.xs()?.read_many(nodes)?).unwrap_or_default();
        Ok(Seen {
            state: state.as_deref().map(XenbusState::parse),
            is_online: online.as_deref() != Some("0"),
            is_connected: status.as_deref() == Some("connected"),
        })
    }

    /// A backend that is closed while it is online waits for its guest to come back, as after the guest's kexec.
    fn need(&self, known: bool) -> Need {
        match self.state {
            None => Need::Forgetting,
            Some(XenbusState::Closed) if !self.is_online => Need::Disconnecting,
            _ if known => Need::Nothing,
            _ if self.is_connected => Need::Keeping,
            Some(XenbusState::Closing | XenbusState::Closed) => Need::Nothing,
            Some(_) => Need::Connecting,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::nodes::tests::host;
    use super::super::{Nodes, write_all};
    use super::*;
    use crate::event::Cancel;
    use crate::xenstore::fake::Fake;
    use nix::sys::signal::{Signal, raise};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    const HERE: DomId = DomId(2);

    fn disk(devid: u32, kind: DeviceKind) -> Device {
        Device { domid: DomId(1), kind: DeviceKind::Vbd, devid, backend_domid: HERE, backend_kind: kind }
    }

    /// A script that keeps a list of its calls.
    fn script(dir: &Path) -> PathBuf {
        let path = dir.join("block");
        let body = format!("#!/bin/sh\necho \"$1 $XENBUS_PATH\" >> {}\n", dir.join("calls").display());
        fs::write(&path, body).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// The toolstack's part of a new disk, whose backend's driver has found it.
    fn new_disk(fake: &Fake, toolstack: &Ctx, device: Device, script: &Path) {
        let mut nodes = Nodes::new(device);
        nodes.back("script", script.display());
        write_all(toolstack, &[nodes]).unwrap();
        fake.set(&format!("{}/state", device.backend_path()), b"2");
    }

    /// Goes on until `done`.
    fn serve_until(devd: &mut Devd<'_>, done: impl Fn() -> bool) {
        while !done() {
            devd.look_at_changes().unwrap();
            devd.step().unwrap();
            if !devd.backends.is_pending() && !done() {
                devd.wait().unwrap();
            }
        }
    }

    /// Goes on until `done`, which no event tells of.
    fn serve_for_a_moment(devd: &mut Devd<'_>, done: impl Fn() -> bool) {
        while !done() {
            devd.look_at_changes().unwrap();
            devd.step().unwrap();
            let soon = Deadline::after(Duration::from_millis(5));
            event::wait(devd.ctx, &[Source::Watch(&devd.backends)], soon).unwrap();
        }
    }

    #[test]
    fn what_a_device_needs() {
        use XenbusState::{Closed, Closing, Connected, InitWait};
        let need = |state, is_online, is_connected, known| Seen { state, is_online, is_connected }.need(known);
        assert_eq!(need(Some(InitWait), true, false, false), Need::Connecting);
        assert_eq!(need(Some(InitWait), true, false, true), Need::Nothing, "once only");
        assert_eq!(need(Some(Connected), true, true, false), Need::Keeping, "an earlier run connected it");
        assert_eq!(need(Some(Closed), true, true, true), Need::Nothing, "its guest may come back");
        assert_eq!(need(Some(Closing), false, true, true), Need::Nothing);
        for known in [true, false] {
            assert_eq!(need(Some(Closed), false, true, known), Need::Disconnecting);
            assert_eq!(need(None, true, false, known), Need::Forgetting);
        }
    }

    #[test]
    fn what_a_change_means() {
        let root = "/local/domain/2/backend";
        let device = disk(51712, DeviceKind::Vbd);
        let one = |kind| Change::One(Device { kind, ..device });
        let path = device.backend_path();
        assert_eq!(Change::of(&format!("{path}/state"), root), one(DeviceKind::Vbd));
        assert_eq!(Change::of(&format!("{path}/online"), root), one(DeviceKind::Vbd));
        assert_eq!(Change::of(&path, root), one(DeviceKind::Vbd));
        assert_eq!(Change::of(&format!("{path}/params"), root), Change::Nothing);
        assert_eq!(Change::of(&format!("{root}/vbd/1/state"), root), Change::Nothing);
        for above in [root, "/local/domain/2/backend/vbd", "/local/domain/2/backend/vbd/1"] {
            assert_eq!(Change::of(above, root), Change::Any, "{above}");
        }
    }

    #[test]
    fn disks_made_before_and_after_are_connected_and_disconnected() {
        let (fake, toolstack) = host(&[1, 2]);
        let dir = tempfile::tempdir().unwrap();
        let script = script(dir.path());
        let calls = || fs::read_to_string(dir.path().join("calls")).unwrap_or_default();
        let (before, after) = (disk(51712, DeviceKind::Vbd), disk(51728, DeviceKind::Vbd));
        new_disk(&fake, &toolstack, before, &script);

        let mut ctx = fake.ctx();
        ctx.domid = HERE;
        let mut devd = Devd::new(&ctx).unwrap();
        let connected = "add backend/vbd/1/51712\n";
        serve_until(&mut devd, || calls() == connected);
        new_disk(&fake, &toolstack, after, &script);
        serve_until(&mut devd, || calls() == format!("{connected}add backend/vbd/1/51728\n"));

        let backend = after.backend_path();
        fake.set(&format!("{backend}/online"), b"0");
        fake.set(&format!("{backend}/state"), b"6");
        serve_until(&mut devd, || fake.get(&backend).is_none());
        assert!(calls().ends_with("remove backend/vbd/1/51728\n"), "{}", calls());
        assert!(fake.get(&after.libxl_path()).is_some(), "the toolstack's nodes are the toolstack's to remove");
        assert!(fake.get(&before.backend_path()).is_some());
    }

    #[test]
    fn a_device_that_takes_the_place_of_one_that_is_being_connected_is_connected() {
        let (fake, toolstack) = host(&[1, 2]);
        let dir = tempfile::tempdir().unwrap();
        let slow = dir.path().join("slow");
        fs::write(&slow, format!("#!/bin/sh\necho $$ > {}\nsleep 1000; :\n", dir.path().join("pid").display()))
            .unwrap();
        fs::set_permissions(&slow, fs::Permissions::from_mode(0o755)).unwrap();
        let pid = || fs::read_to_string(dir.path().join("pid")).unwrap_or_default();
        let device = disk(51712, DeviceKind::Vbd);
        new_disk(&fake, &toolstack, device, &slow);
        let mut ctx = fake.ctx();
        ctx.domid = HERE;
        let mut devd = Devd::new(&ctx).unwrap();
        serve_for_a_moment(&mut devd, || pid().ends_with('\n'));

        fake.connect().remove(&device.backend_path()).unwrap();
        fake.connect().remove(&device.libxl_path()).unwrap();
        fake.connect().remove(&device.frontend_path()).unwrap();
        serve_for_a_moment(&mut devd, || !Path::new("/proc").join(pid().trim()).exists());
        new_disk(&fake, &toolstack, device, &script(dir.path()));
        let calls = || fs::read_to_string(dir.path().join("calls")).unwrap_or_default();
        serve_until(&mut devd, || calls() == "add backend/vbd/1/51712\n");
    }

    #[test]
    fn a_failure_is_told_to_the_toolstack() {
        let (fake, toolstack) = host(&[1, 2]);
        let mut ctx = fake.ctx();
        ctx.domid = HERE;
        ctx.paths.qemu = "/nonexistent/qemu".into();
        ctx.paths.log = "/nonexistent/log".into();
        let mut devd = Devd::new(&ctx).unwrap();
        for (devid, kind, why) in [(0, DeviceKind::P9, "for disks only"), (51712, DeviceKind::Qdisk, "QEMU: ")] {
            let device = disk(devid, kind);
            write_all(&toolstack, &[Nodes::new(device)]).unwrap();
            let status = format!("{}/hotplug-status", device.backend_path());
            serve_until(&mut devd, || fake.get(&status).is_some());
            let said = fake.get(&format!("{}/hotplug-error", device.backend_path())).unwrap();
            let said = String::from_utf8(said).unwrap();
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn a_signal_ends_it() {
        let (fake, _) = host(&[2]);
        for domid in [TOOLSTACK, HERE] {
            let mut ctx = fake.ctx();
            ctx.domid = domid;
            ctx.cancel = Some(Cancel::on(&[Signal::SIGUSR2]).unwrap());
            let devd = Devd::new(&ctx).unwrap();
            raise(Signal::SIGUSR2).unwrap();
            devd.run().unwrap();
        }
    }

    #[test]
    fn which_domain_this_is() {
        let fake = Fake::new();
        let ctx = fake.ctx();
        assert!(own_domid(&ctx).is_err());
        fake.set("/local/domain/0/domid", b"7");
        assert_eq!(own_domid(&ctx).unwrap(), DomId(7));
    }
}
