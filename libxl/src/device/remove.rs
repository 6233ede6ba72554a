//! Removing devices: the backend is asked to let go, its script disconnects it, the nodes go.

use super::hotplug::{Action, Scripts};
use super::operation::{self, Operation, Progress};
use super::{Device, DeviceKind, TOOLSTACK, XenbusState, remove_all, usb};
use crate::ctx::Ctx;
use crate::dm;
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::event::{Deadline, Source};
use crate::xenstore::{Batch, Store, Watch};
use libxc::DomId;
use libxc::domain::DomainFlags;
use std::time::Duration;

/// How long a guest and its backend may take to part (`LIBXL_DESTROY_TIMEOUT`).
const TIMEOUT: Duration = Duration::from_secs(10);
/// The same where QEMU waits for a guest that cannot answer (`LIBXL_QEMU_BODGE_TIMEOUT`).
const TIMEOUT_OF_STILL: Duration = Duration::from_secs(2);

/// Whether a device is taken from a guest that does not let go of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// The guest decides (`libxl_device_disk_safe_remove`).
    Never,
    /// The guest is asked first (`libxl_device_*_remove`).
    AfterTimeout,
    /// The guest is not asked (`libxl_device_*_destroy`).
    Always,
}

/// Removes devices with all that belongs to them; one that is partly gone already is no error.
///
/// # Errors
/// `TimedOut` if a guest does not let go of its device, or a driver domain does not disconnect it; the nodes
/// stay then, as where a USB controller keeps what is plugged in. With force there is no such error.
pub fn remove(ctx: &Ctx, devices: &[Device], force: Force) -> Result<()> {
    for ctrl in devices.iter().filter(|device| device.kind == DeviceKind::Vusb && device.backend_domid == TOOLSTACK) {
        match usb::unplug_all(ctx, ctrl) {
            Err(e) if force == Force::Always => tracing::warn!("{ctrl} of domain {}: {e}", ctrl.domid),
            done => done.with_context(|| ctrl.to_string())?,
        }
    }
    let removing: Result<Vec<_>> = devices.iter().map(|device| Remove::start(ctx, *device, force)).collect();
    operation::run(ctx, removing?)
}

/// One device on its way out.
pub(super) struct Remove {
    device: Device,
    force: Force,
    /// Whether QEMU serves it to a guest that stands still, and so cannot let go of it.
    is_still: bool,
    stage: Stage,
}

enum Stage {
    /// The two ends are parting.
    Closing(Watch, Deadline),
    /// This host's script disconnects it.
    Scripts(Scripts),
    /// The driver domain disconnects it, and removes the backend's nodes when that is done.
    Elsewhere(Watch, Deadline),
    /// Only the nodes are left.
    Nodes,
}

impl Remove {
    fn start(ctx: &Ctx, device: Device, force: Force) -> Result<Remove> {
        // With force the guest is not asked.
        let is_asked = force != Force::Always && device.backend_kind.is_served_by_qemu();
        let is_still = is_asked && stands_still(ctx, device.domid)?;
        let mut remove = Remove { device, force, is_still, stage: Stage::Nodes };
        remove.close(ctx).with_context(|| device.to_string())?;
        Ok(remove)
    }

    /// A device of this domain's whose ends have parted already.
    pub(super) fn parted(ctx: &Ctx, device: Device) -> Result<Remove> {
        let mut remove = Remove { device, force: Force::Never, is_still: false, stage: Stage::Nodes };
        remove.stage = remove.disconnect(ctx).with_context(|| device.to_string())?;
        Ok(remove)
    }

    /// Whether a script of it runs, which had better end.
    pub(super) fn runs_script(&self) -> bool {
        matches!(self.stage, Stage::Scripts(_))
    }

    /// Asks the backend to let go. With force the guest's end is taken away, which the backend takes for its
    /// consent.
    fn close(&mut self, ctx: &Ctx) -> Result<()> {
        if self.force == Force::Always && self.is_left_by_qemu(ctx)? {
            return Ok(());
        }
        let device = &self.device;
        let backend = device.backend_path();
        let is_served = ctx.xs()?.transaction(|t| {
            if self.force == Force::Always {
                t.remove(&device.frontend_path())?;
            }
            let Some(state) = t.read_optional(&format!("{backend}/state"))? else { return Ok(false) };
            let state = XenbusState::parse(&state);
            let mut batch = Batch::new();
            batch.write(&format!("{backend}/online"), "0");
            if state != XenbusState::Closed {
                batch.write(&format!("{backend}/state"), XenbusState::Closing.digit());
            }
            t.run(batch)?;
            // Where no driver has looked at it there is nobody to wait for.
            let is_unseen = state == XenbusState::Initialising && device.backend_domid != ctx.domid;
            Ok(!(is_unseen && self.force == Force::Always))
        })?;
        if is_served {
            let watch = ctx.xs()?.watch(&format!("{backend}/state"))?;
            let timeout = if self.is_still { TIMEOUT_OF_STILL } else { TIMEOUT };
            self.stage = Stage::Closing(watch, Deadline::after(timeout));
        }
        Ok(())
    }

    /// Whether QEMU would not answer. That which served a domain ends with it. One that runs lets go of a disk when the
    /// guest's end is taken away, and of other devices only when their nodes are.
    fn is_left_by_qemu(&self, ctx: &Ctx) -> Result<bool> {
        let Device { domid, backend_domid, backend_kind, .. } = self.device;
        if !backend_kind.is_served_by_qemu() || backend_domid != TOOLSTACK {
            return Ok(false);
        }
        Ok(backend_kind != DeviceKind::Qdisk || dm::process(ctx, domid)?.is_none())
    }

    fn progress(&mut self, ctx: &Ctx) -> Result<Progress> {
        loop {
            let next = match &mut self.stage {
                Stage::Closing(watch, deadline) => {
                    watch.take();
                    let state = ctx.xs()?.read_optional(watch.path())?;
                    match (state.as_deref().map(XenbusState::parse), deadline.passed()) {
                        (None | Some(XenbusState::Closed), _) => self.disconnect(ctx)?,
                        (_, false) => return Ok(Progress::Waiting),
                        (_, true) => self.does_not_close(ctx)?,
                    }
                }
                Stage::Scripts(scripts) => match scripts.step(ctx) {
                    Ok(false) => return Ok(Progress::Waiting),
                    Ok(true) => Stage::Nodes,
                    Err(error) => self.disconnected_badly(&error),
                },
                Stage::Elsewhere(watch, deadline) => {
                    watch.take();
                    match (ctx.xs()?.exists(watch.path())?, deadline.passed()) {
                        (false, _) => Stage::Nodes,
                        (true, false) => return Ok(Progress::Waiting),
                        (true, true) => self.is_not_disconnected()?,
                    }
                }
                Stage::Nodes => {
                    self.remove_nodes(ctx)?;
                    return Ok(Progress::Done);
                }
            };
            self.stage = next;
        }
    }

    /// A driver domain removes what is its own; the toolstack waits for that and removes the rest.
    fn remove_nodes(&self, ctx: &Ctx) -> Result<()> {
        match ctx.domid {
            TOOLSTACK => remove_all(ctx, std::slice::from_ref(&self.device)),
            _ => remove_disconnected(ctx, &self.device.backend_path()),
        }
    }

    /// The ends have parted: disconnects the backend from its file or network.
    fn disconnect(&self, ctx: &Ctx) -> Result<Stage> {
        if self.device.backend_domid == ctx.domid {
            return Ok(match Scripts::of(ctx, &self.device, Action::Remove) {
                Ok(scripts) => Stage::Scripts(scripts),
                Err(error) => self.disconnected_badly(&error),
            });
        }
        let watch = ctx.xs()?.watch(&self.device.backend_path())?;
        Ok(Stage::Elsewhere(watch, Deadline::after(TIMEOUT)))
    }

    /// The device has to go all the same.
    fn disconnected_badly(&self, error: &Error) -> Stage {
        tracing::warn!("disconnecting {} of domain {}: {error}", self.device, self.device.domid);
        Stage::Nodes
    }

    fn does_not_close(&mut self, ctx: &Ctx) -> Result<Stage> {
        match self.force {
            _ if self.is_still => {
                self.close_for_guest(ctx)?;
                self.disconnect(ctx)
            }
            Force::Never => Err(Error::new(
                ErrorKind::TimedOut,
                format!(
                    "the guest did not let go of it within {} seconds: is it in use there, or has the guest no \
                     driver for it?",
                    TIMEOUT.as_secs()
                ),
            )),
            Force::AfterTimeout => {
                self.force = Force::Always;
                self.stage = Stage::Nodes;
                self.close(ctx)?;
                Ok(std::mem::replace(&mut self.stage, Stage::Nodes))
            }
            Force::Always => {
                tracing::warn!("the backend of {} of domain {} did not let go of it", self.device, self.device.domid);
                self.disconnect(ctx)
            }
        }
    }

    /// Closes the backend in the guest's stead. QEMU lets go of its file then.
    fn close_for_guest(&self, ctx: &Ctx) -> Result<()> {
        let state = format!("{}/state", self.device.backend_path());
        ctx.xs()?.transaction(|t| {
            // One that is gone must not come back as a directory of this node only.
            if t.exists(&state)? {
                t.write_bytes(&state, XenbusState::Closed.digit().as_bytes())?;
            }
            Ok(())
        })
    }

    fn is_not_disconnected(&self) -> Result<Stage> {
        let (domid, seconds) = (self.device.backend_domid, TIMEOUT.as_secs());
        let said = format!("domain {domid}, which serves it, did not disconnect it within {seconds} seconds");
        if self.force == Force::Always {
            tracing::warn!("{} of domain {}: {said}", self.device, self.device.domid);
            return Ok(Stage::Nodes);
        }
        Err(Error::new(ErrorKind::TimedOut, format!("{said}: does xl devd run there?")))
    }
}

/// Removes a driver domain's own nodes of a device, unless the toolstack has put another in its place meanwhile.
fn remove_disconnected(ctx: &Ctx, backend: &str) -> Result<()> {
    ctx.xs()?.transaction(|t| match t.read_optional(&format!("{backend}/online"))?.as_deref() {
        Some("1") => Ok(()),
        _ => Ok(t.remove(backend)?),
    })
}

/// Whether a guest does not run: it is paused, has shut down or is being destroyed.
fn stands_still(ctx: &Ctx, domid: DomId) -> Result<bool> {
    let still = DomainFlags::PAUSED | DomainFlags::SHUTDOWN | DomainFlags::DYING;
    Ok(ctx.xc()?.domain(domid)?.is_none_or(|info| info.flags.intersects(still)))
}

impl Operation for Remove {
    fn step(&mut self, ctx: &Ctx) -> Result<Progress> {
        self.progress(ctx).with_context(|| self.device.to_string())
    }

    fn waits_for(&self) -> Option<(Source<'_>, Deadline)> {
        match &self.stage {
            Stage::Closing(watch, deadline) | Stage::Elsewhere(watch, deadline) => {
                Some((Source::Watch(watch), *deadline))
            }
            Stage::Scripts(scripts) => scripts.waits_for(),
            Stage::Nodes => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::nodes::tests::host;
    use super::super::{Nodes, write_all};
    use super::*;
    use crate::exec::Program;
    use crate::xenstore::fake::Fake;
    use std::path::Path;
    use std::thread;

    /// A device that is connected, and the host's nodes without it.
    fn connected(kind: DeviceKind, backend: DomId) -> (Fake, Ctx, Device, Vec<String>) {
        let (fake, ctx) = host(&[1, 2]);
        // As in a real domain, there is always something else in these directories.
        fake.set("/local/domain/1/device/suspend/event-channel", b"");
        fake.set("/libxl/1/device/console/0/backend", b"");
        let before = fake.dump("/");
        let device = Device { domid: DomId(1), kind, devid: 0, backend_domid: backend, backend_kind: kind };
        write_all(&ctx, &[Nodes::new(device)]).unwrap();
        fake.set(&format!("{}/state", device.backend_path()), b"4");
        (fake, ctx, device, before)
    }

    /// Sets a node when another has a value.
    fn when(fake: &Fake, path: String, value: &'static [u8], then: impl FnOnce(&Fake) + Send + 'static) {
        let fake = fake.clone();
        thread::spawn(move || {
            while fake.get(&path).as_deref() != Some(value) {
                thread::yield_now();
            }
            then(&fake);
        });
    }

    #[test]
    fn a_backend_that_lets_go_leaves_nothing() {
        let (fake, ctx, device, before) = connected(DeviceKind::Vif, TOOLSTACK);
        let backend = device.backend_path();
        when(&fake, format!("{backend}/state"), b"5", move |fake| {
            assert_eq!(fake.get(&format!("{backend}/online")).as_deref(), Some(&b"0"[..]));
            fake.set(&format!("{backend}/state"), b"6");
        });
        remove(&ctx, &[device], Force::Never).unwrap();
        assert_eq!(fake.dump("/"), before);
        remove(&ctx, &[device], Force::Never).unwrap();
    }

    #[test]
    fn a_driver_domain_removes_its_own_nodes() {
        let (fake, ctx, device, before) = connected(DeviceKind::Vbd, DomId(2));
        let backend = device.backend_path();
        when(&fake, format!("{backend}/state"), b"5", move |fake| {
            let xs = fake.connect();
            fake.set(&format!("{backend}/state"), b"6");
            xs.remove(&backend).unwrap();
        });
        remove(&ctx, &[device], Force::AfterTimeout).unwrap();
        assert_eq!(fake.dump("/"), before);
    }

    #[test]
    fn a_dead_domains_qemu_is_not_waited_for() {
        for kind in [DeviceKind::Vkbd, DeviceKind::Qdisk] {
            let (fake, ctx, device, before) = connected(kind, TOOLSTACK);
            remove(&ctx, &[device], Force::Always).unwrap();
            assert_eq!(fake.dump("/"), before);
        }
    }

    #[test]
    fn a_qemu_that_runs_is_asked_to_let_go_of_its_disk() {
        let (fake, ctx, device, _) = connected(DeviceKind::Qdisk, TOOLSTACK);
        let qemu = Program::new(Path::new("/bin/sh")).args(["-c", "sleep 1000; :", "sh", "-xen-domid", "1"]);
        let qemu = qemu.spawn().unwrap();
        fake.set(&dm::pid_node(device.domid), qemu.pid().to_string().as_bytes());
        let (backend, frontend) = (device.backend_path(), device.frontend_path());
        let (asked, was_asked) = std::sync::mpsc::channel();
        when(&fake, format!("{backend}/state"), b"5", move |fake| {
            asked.send(fake.get(&frontend).is_none()).unwrap();
            fake.set(&format!("{backend}/state"), b"6");
        });
        remove(&ctx, &[device], Force::Always).unwrap();
        assert!(was_asked.recv().unwrap(), "the guest's end goes first");
        assert_eq!(fake.get(&device.backend_path()), None);
    }

    #[test]
    fn qemu_is_answered_in_the_stead_of_a_guest_that_stands_still() {
        let (fake, ctx, device, before) = connected(DeviceKind::Qdisk, TOOLSTACK);
        let mut remove = Remove { device, force: Force::Never, is_still: true, stage: Stage::Nodes };
        remove.close(&ctx).unwrap();
        let state = || fake.get(&format!("{}/state", device.backend_path()));
        assert_eq!(state().as_deref(), Some(&b"5"[..]));
        remove.stage = remove.does_not_close(&ctx).unwrap();
        assert_eq!(state().as_deref(), Some(&b"6"[..]));
        operation::run(&ctx, vec![remove]).unwrap();
        assert_eq!(fake.dump("/"), before);
    }

    #[test]
    fn a_driver_domain_that_never_looked_is_not_waited_for() {
        let (fake, ctx, device, before) = connected(DeviceKind::Vbd, DomId(2));
        fake.set(&format!("{}/state", device.backend_path()), b"1");
        remove(&ctx, &[device], Force::Always).unwrap();
        assert_eq!(fake.dump("/"), before);
    }

    /// Such a backend waits for its guest to come back, and is nobody's to close.
    #[test]
    fn what_its_guest_has_closed_goes_at_once() {
        let (fake, ctx, device, before) = connected(DeviceKind::Vbd, TOOLSTACK);
        fake.set(&format!("{}/state", device.backend_path()), b"6");
        remove(&ctx, &[device], Force::Never).unwrap();
        assert_eq!(fake.dump("/"), before);
    }

    #[test]
    fn with_force_the_guests_end_goes_first() {
        let (fake, ctx, device, before) = connected(DeviceKind::Vbd, TOOLSTACK);
        let (backend, frontend) = (device.backend_path(), device.frontend_path());
        when(&fake, format!("{backend}/state"), b"5", move |fake| {
            assert_eq!(fake.get(&frontend), None);
            fake.set(&format!("{backend}/state"), b"6");
        });
        remove(&ctx, &[device], Force::Always).unwrap();
        assert_eq!(fake.dump("/"), before);
    }
}
