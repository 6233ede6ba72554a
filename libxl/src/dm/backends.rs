//! The QEMUs of a driver domain: one for each guest whose images it opens (`libxl__spawn_qdisk_backend`).

use super::starting::{Launch, Starting};
use super::{arguments, running};
use crate::ctx::Ctx;
use crate::error::{Result, ResultExt};
use crate::event::{Deadline, Source};
use crate::exec::{self, Child};
use crate::xenstore::{Batch, Store, optional, schema};
use libxc::DomId;
use nix::unistd::Pid;
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// The QEMUs that this process has started. They live on when it ends, and the next finds them in xenstore.
#[derive(Default)]
pub(crate) struct Backends {
    starting: HashMap<DomId, Starting>,
    running: HashMap<DomId, Child>,
    ending: HashMap<DomId, Ending>,
}

/// How long a QEMU that was told to end may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A QEMU that was told to end. Until it has, another would meet it at the guest's devices.
struct Ending {
    process: OwnedFd,
    /// When it is killed: QEMU 7.2 never ends if another image comes while it does. It has none open.
    patience: Deadline,
    /// Whether the guest has images again, for the next one.
    is_followed: bool,
}

impl Backends {
    /// Starts the QEMU of a guest, unless it has one; when that has ended, if it was told to. That it gets ready is seen
    /// in [`Backends::step`].
    pub(crate) fn start(&mut self, ctx: &Ctx, guest: DomId) -> Result<()> {
        if let Some(ending) = self.ending.get_mut(&guest) {
            ending.is_followed = true;
            return Ok(());
        }
        if self.starting.contains_key(&guest) || self.running.contains_key(&guest) || process(ctx, guest)?.is_some() {
            return Ok(());
        }
        let launch = Launch {
            program: ctx.paths.qemu.clone(),
            arguments: arguments::of_backends(guest),
            environment: Vec::new(),
            log: format!("qdisk-{guest}"),
            directory: schema::device_model(ctx.domid, guest),
            pid_node: pid_node(ctx, guest),
            state: None,
        };
        self.starting.insert(guest, Starting::new(ctx, &launch).context("QEMU")?);
        Ok(())
    }

    /// Goes on with those that start, reaps those that have ended, and starts those that follow them. Gives how each
    /// start came out.
    pub(crate) fn step(&mut self, ctx: &Ctx) -> Vec<(DomId, Result<()>)> {
        let mut settled = Vec::new();
        for (guest, qemu) in &mut self.starting {
            match qemu.is_ready(ctx) {
                Ok(false) => {}
                Ok(true) => settled.push((*guest, Ok(()))),
                Err(e) => settled.push((*guest, Err(e.context("QEMU")))),
            }
        }
        for (guest, result) in &settled {
            if let (Some(qemu), Ok(())) = (self.starting.remove(guest), result) {
                self.running.insert(*guest, qemu.into_child());
            }
        }
        for qemu in self.ending.values_mut().filter(|qemu| qemu.patience.passed()) {
            qemu.patience = Deadline::NEVER;
            exec::kill(&qemu.process);
        }
        let ended: HashMap<_, _> = self.ending.extract_if(|_, qemu| exec::has_ended(&qemu.process)).collect();
        self.running.retain(|guest, child| match child.status() {
            Ok(None) => true,
            Ok(Some(status)) => {
                if !ended.contains_key(guest) {
                    tracing::warn!("domain {guest}: its QEMU ended ({status})");
                }
                false
            }
            Err(error) => {
                tracing::warn!("domain {guest}: {error}");
                true
            }
        });
        for (guest, _) in ended.into_iter().filter(|(_, qemu)| qemu.is_followed) {
            settled.extend(self.start(ctx, guest).err().map(|error| (guest, Err(error))));
        }
        settled
    }

    /// Ends the QEMU of a guest that has no more disks here, whoever started it.
    pub(crate) fn end(&mut self, ctx: &Ctx, guest: DomId) -> Result<()> {
        self.starting.remove(&guest); // dropped, it is killed
        if let Some(ending) = self.ending.get_mut(&guest) {
            ending.is_followed = false;
        } else if let Some(pid) = process(ctx, guest)? {
            let told = exec::hang_up(pid).context("QEMU")?;
            let patience = Deadline::after(PATIENCE);
            self.ending.extend(told.map(|process| (guest, Ending { process, patience, is_followed: false })));
        }
        let mut batch = Batch::new();
        batch.rm(&directory(ctx, guest)).rm(&schema::device_model(ctx.domid, guest));
        for answer in ctx.xs()?.submit(batch)? {
            optional(answer)?;
        }
        Ok(())
    }

    /// What can let [`Backends::step`] go on, and until when to wait for it.
    pub(crate) fn waits_for(&self) -> (Vec<Source<'_>>, Deadline) {
        let starting = self.starting.values().flat_map(|qemu| qemu.sources());
        let running = self.running.values().map(|child| Source::Readable(child.as_fd()));
        let ending = self.ending.values().map(|qemu| Source::Readable(qemu.process.as_fd()));
        let starts = self.starting.values().map(Starting::deadline);
        let deadline = starts.chain(self.ending.values().map(|qemu| qemu.patience));
        let deadline = deadline.fold(Deadline::NEVER, Deadline::earlier);
        (starting.chain(running).chain(ending).collect(), deadline)
    }

    /// Lets those that run live on: guests use their disks.
    pub(crate) fn release(self) {
        self.running.into_values().for_each(Child::release);
        self.starting.into_values().for_each(|qemu| qemu.into_child().release());
    }
}

/// What is known here of a guest: its QEMU, and nothing else. Below the driver domain's own directory, for that is all
/// it may write to.
fn directory(ctx: &Ctx, guest: DomId) -> String {
    format!("{}/libxl/{guest}", schema::domain(ctx.domid))
}

fn pid_node(ctx: &Ctx, guest: DomId) -> String {
    format!("{}/qdisk-backend-pid", directory(ctx, guest))
}

/// The QEMU of a guest that is written down, if it runs.
fn process(ctx: &Ctx, guest: DomId) -> Result<Option<Pid>> {
    let written = ctx.xs()?.read_optional(&pid_node(ctx, guest))?;
    Ok(written.and_then(|pid| running::find(&pid, guest)))
}

#[cfg(test)]
mod tests {
    use super::super::starting::tests::{host, install};
    use super::*;
    use crate::event;
    use crate::xenstore::fake::Fake;
    use std::path::Path;

    const GUEST: DomId = DomId(3);
    /// Where its QEMU says that it is ready.
    const STATE: &str = "/local/domain/2/device-model/3/state";

    /// Goes on until the QEMU that starts is ready or has failed.
    fn settle(ctx: &Ctx, backends: &mut Backends) -> Result<()> {
        loop {
            if let Some((_, result)) = backends.step(ctx).pop() {
                return result;
            }
            let (sources, deadline) = backends.waits_for();
            event::wait(ctx, &sources, deadline).unwrap();
        }
    }

    /// A driver domain whose QEMU, this script, runs for the guest.
    fn running(dir: &Path, script: &str) -> (Fake, Ctx, Backends) {
        let (fake, mut ctx) = host(dir);
        ctx.domid = DomId(2);
        ctx.paths.qemu = install(dir, script);
        let mut backends = Backends::default();
        backends.start(&ctx, GUEST).unwrap();
        fake.set(STATE, b"running");
        settle(&ctx, &mut backends).unwrap();
        (fake, ctx, backends)
    }

    #[test]
    fn one_for_each_guest_and_the_next_process_knows_it() {
        let dir = tempfile::tempdir().unwrap();
        let (fake, mut ctx) = host(dir.path());
        ctx.domid = DomId(2);
        ctx.paths.qemu = install(dir.path(), "trap 'kill $!' HUP; sleep 1000 & wait");
        let mut backends = Backends::default();
        backends.start(&ctx, GUEST).unwrap();
        backends.start(&ctx, GUEST).unwrap();
        fake.set(STATE, b"running");
        settle(&ctx, &mut backends).unwrap();
        let pid = process(&ctx, GUEST).unwrap().unwrap();
        backends.release();

        let mut next = Backends::default();
        next.start(&ctx, GUEST).unwrap();
        assert_eq!(process(&ctx, GUEST).unwrap(), Some(pid));
        next.end(&ctx, GUEST).unwrap();
        assert_eq!(fake.get("/local/domain/2/libxl/3"), None);
        assert_eq!(nix::sys::wait::waitpid(pid, None).unwrap().pid(), Some(pid));
    }

    #[test]
    fn the_next_one_starts_when_the_last_has_ended() {
        let dir = tempfile::tempdir().unwrap();
        let script = "trap 'sleep 0.2; exit' HUP; echo; while :; do sleep 0.01; done";
        let (fake, ctx, mut backends) = running(dir.path(), script);
        let first = process(&ctx, GUEST).unwrap().unwrap();
        backends.end(&ctx, GUEST).unwrap();
        backends.start(&ctx, GUEST).unwrap();
        assert_eq!(process(&ctx, GUEST).unwrap(), None);
        let second = loop {
            assert!(backends.step(&ctx).is_empty());
            if let Some(pid) = process(&ctx, GUEST).unwrap() {
                break pid;
            }
            let (sources, deadline) = backends.waits_for();
            event::wait(&ctx, &sources, deadline).unwrap();
        };
        assert_ne!(second, first);
        assert!(!Path::new(&format!("/proc/{first}")).exists());
        fake.set(STATE, b"running");
        settle(&ctx, &mut backends).unwrap();
        backends.start(&ctx, GUEST).unwrap();
        assert_eq!(process(&ctx, GUEST).unwrap(), Some(second));
    }

    #[test]
    fn one_that_does_not_end_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let (_fake, ctx, mut backends) = running(dir.path(), "trap '' HUP; echo; while :; do sleep 0.01; done");
        backends.end(&ctx, GUEST).unwrap();
        backends.ending.get_mut(&GUEST).unwrap().patience = Deadline::after(Duration::from_millis(50));
        while !backends.ending.is_empty() {
            let (sources, deadline) = backends.waits_for();
            event::wait(&ctx, &sources, deadline).unwrap();
            assert!(backends.step(&ctx).is_empty());
        }
    }

    #[test]
    fn one_that_ends_at_once_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let (_fake, mut ctx) = host(dir.path());
        ctx.domid = DomId(2);
        ctx.paths.qemu = install(dir.path(), "echo no grants >&2; exit 1");
        let mut backends = Backends::default();
        backends.start(&ctx, GUEST).unwrap();
        let error = settle(&ctx, &mut backends).unwrap_err().to_string();
        assert!(error.starts_with("QEMU: ") && error.contains("no grants"), "{error}");
        backends.end(&ctx, GUEST).unwrap();
        assert_eq!(backends.waits_for().1, Deadline::NEVER);
    }
}
