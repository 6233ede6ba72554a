//! The nodes of a device, and writing them: all of a guest's new devices in one transaction.

use super::{Device, DeviceKind, XenbusState};
use crate::ctx::Ctx;
use crate::error::{Error, ErrorKind, Result};
use crate::xenstore::{Batch, Perms, Store};
use nix::errno::Errno;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::io;

/// What a new device writes to xenstore: pure data, made by a function of each kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nodes {
    /// Which device.
    pub device: Device,
    backend: Vec<(String, String)>,
    frontend: Vec<(String, String)>,
    /// In the frontend's directory, but the guest may only read them.
    frontend_readonly: Vec<(String, String)>,
}

impl Nodes {
    /// A device that has the nodes that all have: each end's peer, and its first state.
    pub(super) fn new(device: Device) -> Nodes {
        let mut nodes = Nodes::bare(device);
        nodes.back("frontend-id", device.domid);
        nodes.back("online", 1);
        nodes.back("state", XenbusState::Initialising.digit());
        nodes.front("backend-id", device.backend_domid);
        nodes.front("state", XenbusState::Initialising.digit());
        nodes
    }

    /// A device without any nodes yet.
    pub(super) fn bare(device: Device) -> Nodes {
        Nodes { device, backend: Vec::new(), frontend: Vec::new(), frontend_readonly: Vec::new() }
    }

    /// A node for the backend; the guest may read it.
    pub(super) fn back(&mut self, name: &str, value: impl Display) {
        self.backend.push((name.into(), value.to_string()));
    }

    /// A node for the backend, if there is a value.
    pub(super) fn back_some(&mut self, name: &str, value: Option<impl Display>) {
        self.backend.extend(value.map(|v| (name.into(), v.to_string())));
    }

    /// A node for the frontend; the guest may write it.
    pub(super) fn front(&mut self, name: &str, value: impl Display) {
        self.frontend.push((name.into(), value.to_string()));
    }

    /// A node for the frontend, if there is a value.
    pub(super) fn front_some(&mut self, name: &str, value: Option<impl Display>) {
        self.frontend.extend(value.map(|v| (name.into(), v.to_string())));
    }

    /// A node in the frontend's directory that the guest may not write.
    pub(super) fn front_readonly(&mut self, name: &str, value: impl Display) {
        self.frontend_readonly.push((name.into(), value.to_string()));
    }

    /// What the backend's directory has under this name.
    #[cfg(test)]
    pub(super) fn backend_value(&self, name: &str) -> Option<&str> {
        self.backend.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The requests that make the device; what was left of an earlier one is removed first.
    fn requests(&self, batch: &mut Batch) {
        let device = &self.device;
        let (frontend, backend, libxl) = (device.frontend_path(), device.backend_path(), device.libxl_path());
        let guests = Perms::owned_by(device.domid).readable_by(device.backend_domid);
        let backends = Perms::owned_by(device.backend_domid).readable_by(device.domid);
        // The first console is none of the guest's making, nor is a virtual UART.
        let is_readonly = matches!((device.kind, device.devid), (DeviceKind::Console, 0) | (DeviceKind::Vuart, _));
        let frontend_dir = if is_readonly { &backends } else { &guests };

        batch.remove(&libxl);
        batch.write(&format!("{libxl}/frontend"), &frontend).write(&format!("{libxl}/backend"), &backend);
        batch.remove(&frontend).mkdir_with(&frontend, frontend_dir).write(&format!("{frontend}/backend"), &backend);
        // New nodes have the permissions of their directory.
        for (perms, nodes) in [(&guests, &self.frontend), (&backends, &self.frontend_readonly)] {
            for (name, value) in nodes {
                let path = format!("{frontend}/{name}");
                batch.write(&path, value);
                if perms != frontend_dir {
                    batch.set_perms(&path, perms);
                }
            }
        }
        batch.remove(&backend).mkdir_with(&backend, &backends).write(&format!("{backend}/frontend"), &frontend);
        for directory in [&backend, &libxl] {
            for (name, value) in &self.backend {
                batch.write(&format!("{directory}/{name}"), value);
            }
        }
    }
}

/// Writes new devices, all or none, in one transaction.
///
/// # Errors
/// `DeviceExists` if the guest has one of them already.
pub fn write_all(ctx: &Ctx, devices: &[Nodes]) -> Result<()> {
    if devices.is_empty() {
        return Ok(());
    }
    ctx.xs()?.transaction(|t| {
        // Asked for first, answered in the same wait: an error discards the transaction.
        let mut batch = Batch::new();
        for nodes in devices {
            batch.read(&nodes.device.libxl_path());
        }
        for nodes in devices {
            nodes.requests(&mut batch);
        }
        let mut answers = t.submit(batch)?.into_iter();
        for (nodes, existing) in devices.iter().zip(&mut answers) {
            if crate::xenstore::optional(existing)?.is_some() {
                let device = &nodes.device;
                return Err(Error::new(
                    ErrorKind::DeviceExists,
                    format!("domain {} already has {device}", device.domid),
                ));
            }
        }
        answers.try_for_each(|answer| Ok(answer.map(drop)?))
    })
}

/// Removes the nodes of devices, all or none, and the directories above them that held nothing else. What has
/// gone already counts as removed.
pub fn remove_all(ctx: &Ctx, devices: &[Device]) -> Result<()> {
    let ends = |d: &Device| [d.frontend_path(), d.libxl_path(), d.backend_path()];
    let paths: Vec<String> = devices.iter().flat_map(ends).collect();
    if paths.is_empty() {
        return Ok(());
    }
    ctx.xs()?.transaction(|t| {
        let parents = parents(&paths);
        let mut batch = Batch::new();
        paths.iter().for_each(|path| _ = batch.remove(path));
        parents.iter().for_each(|path| _ = batch.directory(path));
        let mut answers = t.submit(batch)?.into_iter();
        answers.by_ref().take(paths.len()).try_for_each(|answer| answer.map(drop))?;
        let listings = answers.map(children).collect::<Result<Vec<_>>>()?;
        let mut batch = Batch::new();
        emptied(&parents, &listings).iter().for_each(|path| _ = batch.remove(path));
        Ok(t.run(batch)?)
    })
}

/// The names in the answer to a listing; one too long for a single answer has more than enough of them.
fn children(answer: io::Result<Vec<u8>>) -> Result<Vec<String>> {
    match answer {
        Err(e) if crate::xenstore::errno(&e) == Some(Errno::E2BIG) => Ok(vec![String::new()]),
        answer => {
            let names = crate::xenstore::optional(answer)?.unwrap_or_default();
            Ok(String::from_utf8_lossy(&names).split_terminator('\0').map(str::to_owned).collect())
        }
    }
}

/// The directories above devices' that may be left empty, deepest first: `backend/KIND/D`, `backend/KIND`,
/// `backend` and, of the other ends, `device/KIND`, `device`.
fn parents(devices: &[String]) -> Vec<String> {
    /// Above are the domains' own directories.
    const TOP: usize = 4;
    let mut found = BTreeSet::new();
    for path in devices {
        let parts: Vec<&str> = path.split('/').collect();
        for depth in TOP..parts.len().saturating_sub(1) {
            found.insert((std::cmp::Reverse(depth), parts[..=depth].join("/")));
        }
    }
    found.into_iter().map(|(_, path)| path).collect()
}

/// Which of these directories, deepest first, hold nothing but what is removed with them.
fn emptied(parents: &[String], children: &[Vec<String>]) -> Vec<String> {
    let mut gone: Vec<String> = Vec::new();
    for (path, children) in parents.iter().zip(children) {
        if children.iter().all(|child| gone.contains(&format!("{path}/{child}"))) {
            gone.push(path.clone());
        }
    }
    gone
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::paths::Paths;
    use crate::xenstore::fake::Fake;
    use crate::xenstore::{Client, Xs};
    use libxc::DomId;
    use std::path::Path;

    /// A context whose xenstore has the directories of some guests, as creating a domain leaves them.
    pub(crate) fn host(guests: &[u16]) -> (Fake, Ctx) {
        let fake = Fake::new();
        let xs: Client = fake.connect();
        let mut batch = Batch::new();
        batch.write("/local/domain/0/domid", "0");
        for domid in guests {
            let readable = Perms::private().readable_by(DomId(*domid));
            batch.mkdir_with(&format!("/local/domain/{domid}"), &readable).mkdir(&format!("/libxl/{domid}"));
        }
        xs.run(batch).unwrap();
        (fake, Ctx::new(Paths::installed(Path::new("/usr"))).with_xs(xs))
    }

    /// Compares what is below some paths with the lines that `xenstore-ls -fp` prints of stock xl's, the
    /// directories in any order.
    #[track_caller]
    pub(crate) fn assert_written(fake: &Fake, below: &[&str], expected: &str) {
        let mut written: Vec<String> = below.iter().flat_map(|path| fake.dump(path)).collect();
        let mut expected: Vec<&str> = expected.lines().filter(|line| !line.is_empty()).collect();
        written.sort();
        expected.sort();
        assert_eq!(written.join("\n"), expected.join("\n"));
    }

    #[test]
    fn a_device_that_exists_is_left_alone() {
        let (fake, ctx) = host(&[1]);
        let device = Device {
            domid: DomId(1),
            kind: DeviceKind::Pvcalls,
            devid: 0,
            backend_domid: DomId(0),
            backend_kind: DeviceKind::Pvcalls,
        };
        let mut nodes = Nodes::new(device);
        write_all(&ctx, std::slice::from_ref(&nodes)).unwrap();
        let before = fake.dump("/");
        nodes.back("extra", 1);
        let error = write_all(&ctx, &[nodes]).unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (ErrorKind::DeviceExists, "domain 1 already has pvcalls 0")
        );
        assert_eq!(fake.dump("/"), before);
    }

    #[test]
    fn leftovers_of_an_earlier_device_go() {
        let (fake, ctx) = host(&[1]);
        let xs = ctx.xs().unwrap();
        xs.write("/local/domain/1/device/pvcalls/0/feature-old", "1").unwrap();
        let nodes =
            super::super::pvcalls(DomId(1), &crate::types::DevicePvcallsif { devid: Some(0), ..Default::default() });
        write_all(&ctx, &[nodes.unwrap()]).unwrap();
        assert_eq!(fake.get("/local/domain/1/device/pvcalls/0/feature-old"), None);
        assert_eq!(fake.get("/local/domain/1/device/pvcalls/0/state"), Some(b"1".to_vec()));
    }

    #[test]
    fn devices_of_a_guest_take_a_few_waits() {
        let (_fake, ctx) = host(&[1]);
        let nodes =
            |devid| super::super::pvcalls(DomId(1), &crate::types::DevicePvcallsif { devid, ..Default::default() });
        let devices: Vec<Nodes> = (0..4).map(|devid| nodes(Some(devid)).unwrap()).collect();
        let before = ctx.xs().unwrap().stats().waits;
        write_all(&ctx, &devices).unwrap();
        assert_eq!(ctx.xs().unwrap().stats().waits - before, 3);
    }

    #[test]
    fn directories_that_held_nothing_else_go_too() {
        let devices = ["/local/domain/0/backend/console/5/0", "/local/domain/0/backend/vbd/5/51712"];
        let parents = parents(&devices.map(str::to_owned));
        let root = "/local/domain/0/backend";
        assert_eq!(parents.last().map(String::as_str), Some(root));
        let children = |path: &String| -> Vec<String> {
            let names: &[&str] = match path.strip_prefix(root).unwrap_or_default() {
                "/console/5" | "/vbd/5" => &[],
                "/console" => &["5", "6"],
                "/vbd" => &["5"],
                _ => &["console", "vbd"],
            };
            names.iter().map(|n| (*n).to_owned()).collect()
        };
        let children: Vec<_> = parents.iter().map(children).collect();
        let gone = emptied(&parents, &children);
        assert_eq!(gone, [format!("{root}/console/5"), format!("{root}/vbd/5"), format!("{root}/vbd")]);
    }
}
