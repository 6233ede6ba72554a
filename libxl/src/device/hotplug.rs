//! Hotplug scripts: what connects a backend to a file, a block device or a bridge of its host.
//!
//! A script is called as stock libxl calls it, so that operators' own scripts work unchanged: the environment
//! names the backend's directory, the arguments say what to do (`docs/misc/block-scripts.txt`).

use super::{Device, DeviceKind, connect};
use crate::ctx::Ctx;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Deadline, Source};
use crate::exec::{Child, Program};
use crate::types::NicType;
use crate::xenstore::Store;
use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long one script may take (`LIBXL_HOTPLUG_TIMEOUT`).
const TIMEOUT: Duration = Duration::from_secs(40);
/// As much of a script's message as is shown.
const MESSAGE_MAX: usize = 1000;

/// What a script is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Connect the device.
    Add,
    /// Disconnect it.
    Remove,
}

/// One call of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Call {
    script: PathBuf,
    arguments: Vec<&'static str>,
    environment: Vec<(&'static str, String)>,
}

/// What a backend's directory says about its script. Only the backend's domain can write it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Settings {
    script: Option<String>,
    nic_type: Option<NicType>,
    gateway: Option<String>,
}

impl Settings {
    fn read(ctx: &Ctx, device: &Device) -> Result<Settings> {
        let backend = device.backend_path();
        let nodes = ["script", "type", "gatewaydev"].map(|node| format!("{backend}/{node}"));
        let [script, kind, gateway] = <[_; 3]>::try_from(ctx.xs()?.read_many(nodes)?).unwrap_or_default();
        let nic_type = kind.and_then(|kind| kind.parse().ok());
        Ok(Settings { script, nic_type, gateway })
    }
}

/// The calls that a device needs, in order: none for a kind without scripts, two for an interface that is
/// emulated as well.
fn calls(device: &Device, settings: &Settings, action: Action) -> Vec<Call> {
    let Some(script) = &settings.script else { return Vec::new() };
    let kind = device.backend_kind.name();
    let mut environment = vec![
        ("script", script.clone()),
        ("XENBUS_TYPE", kind.into()),
        ("XENBUS_PATH", format!("backend/{kind}/{}/{}", device.domid, device.devid)),
        ("XENBUS_BASE_PATH", "backend".into()),
    ];
    let call = |arguments, environment| Call { script: script.into(), arguments, environment };
    match device.backend_kind {
        DeviceKind::Vbd => vec![call(vec![if action == Action::Add { "add" } else { "remove" }], environment)],
        DeviceKind::Vif => {
            let (pv, emulated) = match action {
                Action::Add => ("online", "add"),
                Action::Remove => ("offline", "remove"),
            };
            let is_emulated = settings.nic_type == Some(NicType::VifIoemu);
            let vif = format!("vif{}.{}", device.domid, device.devid);
            environment.push(("netdev", settings.gateway.clone().unwrap_or_default()));
            environment.extend(is_emulated.then(|| ("INTERFACE", format!("{vif}-emu"))));
            environment.push(("vif", vif));
            let mut calls = vec![call(vec![pv, "type_if=vif"], environment.clone())];
            calls.extend(is_emulated.then(|| call(vec![emulated, "type_if=tap"], environment)));
            calls
        }
        _ => Vec::new(),
    }
}

/// The scripts of one device, run one after another.
#[derive(Debug)]
pub(super) struct Scripts {
    device: Device,
    waiting: VecDeque<Call>,
    running: Option<(Child, Deadline)>,
}

impl Scripts {
    /// Those that the device needs for this. None are left where the work is done already, without them.
    pub(super) fn of(ctx: &Ctx, device: &Device, action: Action) -> Result<Scripts> {
        let settings = Settings::read(ctx, device)?;
        let waiting = match &settings.script {
            Some(script) if connect::without_script(ctx, device, Path::new(script), action)? => VecDeque::new(),
            _ => calls(device, &settings, action).into(),
        };
        Ok(Scripts { device: *device, waiting, running: None })
    }

    /// Goes on without waiting; whether all have ended.
    ///
    /// # Errors
    /// That a script failed, with its own words (`hotplug-error`), or took too long and was killed.
    pub(super) fn step(&mut self, ctx: &Ctx) -> Result<bool> {
        loop {
            if let Some((child, deadline)) = &mut self.running {
                match child.status()? {
                    Some(status) if status.success() => {}
                    Some(status) => return Err(self.failure(ctx, &status.to_string())),
                    None if deadline.passed() => return Err(self.timed_out()),
                    None => return Ok(false),
                }
                self.running = None;
            }
            match self.waiting.pop_front() {
                Some(call) => self.running = Some((start(&call)?, Deadline::after(TIMEOUT))),
                None => return Ok(true),
            }
        }
    }

    /// What the script that runs is waited for with.
    pub(super) fn waits_for(&self) -> Option<(Source<'_>, Deadline)> {
        self.running.as_ref().map(|(child, deadline)| (Source::Readable(child.as_fd()), *deadline))
    }

    fn failure(&mut self, ctx: &Ctx, status: &str) -> Error {
        let name = self.end_running();
        let said = ctx
            .xs()
            .ok()
            .and_then(|xs| xs.read_optional(&format!("{}/hotplug-error", self.device.backend_path())).ok().flatten());
        let why = said
            .filter(|s| !s.is_empty())
            .map(|said| printable(&said))
            .unwrap_or_else(|| format!("it failed ({status}); it may have said why in /var/log/xen/xen-hotplug.log"));
        Error::fail(why).context(name)
    }

    fn timed_out(&mut self) -> Error {
        let name = self.end_running();
        Error::new(ErrorKind::TimedOut, format!("{name} did not end within {} seconds", TIMEOUT.as_secs()))
    }

    /// Gives up the script that runs, which kills it, and all that would follow.
    fn end_running(&mut self) -> String {
        self.waiting.clear();
        self.running.take().map(|(child, _)| child.name().to_owned()).unwrap_or_default()
    }
}

fn start(call: &Call) -> Result<Child> {
    // What a script prints is for the person who runs the command, as with stock libxl.
    let mut program = Program::new(&call.script).args(&call.arguments).stdout(io::stderr()).stderr(io::stderr());
    for (name, value) in &call.environment {
        program = program.env(name, value);
    }
    program.spawn()
}

/// A script's message on one line.
fn printable(text: &str) -> String {
    let words = text.split(|c: char| c.is_control() || c == ' ').filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").chars().take(MESSAGE_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use libxc::DomId;

    fn device(kind: DeviceKind, devid: u32) -> Device {
        Device { domid: DomId(3), kind, devid, backend_domid: DomId(0), backend_kind: kind }
    }

    fn settings(script: &str, nic_type: Option<NicType>) -> Settings {
        Settings { script: Some(script.into()), nic_type, gateway: None }
    }

    fn variable<'a>(call: &'a Call, name: &str) -> Option<&'a str> {
        call.environment.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str())
    }

    #[test]
    fn a_disks_script_is_told_its_backend() {
        let disk = device(DeviceKind::Vbd, 51712);
        let [call] = &calls(&disk, &settings("/etc/xen/scripts/block", None), Action::Add)[..] else { panic!() };
        assert_eq!(call.arguments, ["add"]);
        for (name, value) in [
            ("script", "/etc/xen/scripts/block"),
            ("XENBUS_TYPE", "vbd"),
            ("XENBUS_PATH", "backend/vbd/3/51712"),
            ("XENBUS_BASE_PATH", "backend"),
        ] {
            assert_eq!(variable(call, name), Some(value));
        }
        assert_eq!(calls(&disk, &settings("/s", None), Action::Remove)[0].arguments, ["remove"]);
        assert!(calls(&disk, &Settings::default(), Action::Add).is_empty());
    }

    #[test]
    fn an_emulated_interface_is_connected_twice() {
        let nic = device(DeviceKind::Vif, 1);
        let pv = calls(&nic, &settings("/s/vif-bridge", Some(NicType::Vif)), Action::Add);
        assert_eq!(pv.len(), 1);
        assert_eq!(pv[0].arguments, ["online", "type_if=vif"]);
        assert_eq!((variable(&pv[0], "vif"), variable(&pv[0], "INTERFACE")), (Some("vif3.1"), None));
        assert_eq!(variable(&pv[0], "netdev"), Some(""));
        let both = calls(&nic, &settings("/s/vif-bridge", Some(NicType::VifIoemu)), Action::Remove);
        assert_eq!(both[0].arguments, ["offline", "type_if=vif"]);
        assert_eq!(both[1].arguments, ["remove", "type_if=tap"]);
        assert_eq!(variable(&both[1], "INTERFACE"), Some("vif3.1-emu"));
    }

    #[test]
    fn kinds_without_scripts() {
        for kind in [DeviceKind::Vfb, DeviceKind::Qdisk, DeviceKind::Console] {
            assert!(calls(&device(kind, 0), &settings("/s", None), Action::Add).is_empty());
        }
    }

    #[test]
    fn a_message_is_one_line() {
        assert_eq!(printable("losetup:\n  no \x1b[31mfile\n"), "losetup: no [31mfile");
    }
}
