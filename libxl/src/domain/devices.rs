//! The devices that a domain is created with.

use crate::device::{self, Nodes};
use crate::error::{Error, Result, ResultExt};
use crate::types::{DeviceDisk, DeviceNic, DiskBackend, DomainConfig};
use crate::{Ctx, dm};
use libxc::DomId;
use std::fs;
use std::path::Path;

/// Where Linux shows the network interfaces of this host.
pub(crate) const INTERFACES: &str = "/sys/class/net";
/// The script that joins an interface to a bridge.
const BRIDGE_SCRIPT: &str = "vif-bridge";

/// Refuses devices that cannot come to be, before a domain exists.
pub(super) fn check(ctx: &Ctx, config: &DomainConfig) -> Result<()> {
    check_kinds(ctx, config)?;
    device::check_usb(ctx, config)?;
    for (i, nic) in config.nics.iter().enumerate() {
        check_nic(nic, Path::new(INTERFACES)).with_context(|| format!("vif {i} (vif=)"))?;
    }
    Ok(())
}

/// Refuses devices of kinds that this toolstack cannot make, and disks that cannot be served.
pub(super) fn check_kinds(ctx: &Ctx, config: &DomainConfig) -> Result<()> {
    plan(ctx, config, DomId(0))?;
    config.disks.iter().try_for_each(|disk| {
        let name = disk.vdev.as_deref().unwrap_or_default();
        check_disk(disk).with_context(|| format!("disk {name} (disk=)"))
    })
}

/// Gives the domain its devices, all at once, and starts the QEMU that serves some of them, which takes over from the one
/// whose state was `received`.
pub(super) fn add(ctx: &Ctx, config: &DomainConfig, domid: DomId, received: Option<dm::hvm::Received>) -> Result<()> {
    let devices = plan(ctx, config, domid)?;
    device::add(ctx, &devices)?;
    device::plug_all(ctx, config, domid)?;
    if dm::is_needed(ctx, config) {
        dm::start(ctx, config, domid, received)?;
        let served = devices.iter().map(|nodes| nodes.device);
        device::await_qemu(ctx, served).map_err(|error| dm::explain(ctx, config, error))?;
    }
    Ok(())
}

fn plan(ctx: &Ctx, config: &DomainConfig, domid: DomId) -> Result<Vec<Nodes>> {
    let (kind, scripts) = (config.c_info.type_, &ctx.paths.scripts);
    let mut nodes: Vec<Result<Nodes>> = Vec::new();
    nodes.extend(config.disks.iter().map(|disk| device::disk(domid, disk, kind, scripts)));
    nodes.extend(config.nics.iter().map(|nic| device::nic(domid, nic, scripts)));
    nodes.extend(config.channels.iter().map(|channel| device::channel(domid, channel)));
    nodes.extend(config.p9s.iter().map(|p9| device::p9(domid, p9)));
    nodes.extend(config.pvcallsifs.iter().map(|pvcalls| device::pvcalls(domid, pvcalls)));
    nodes.extend(config.vfbs.iter().map(|vfb| device::vfb(domid, vfb)));
    nodes.extend(config.vkbs.iter().map(|vkb| device::vkb(domid, vkb)));
    nodes.extend(config.vtpms.iter().map(|vtpm| device::vtpm(domid, vtpm)));
    nodes.extend(config.usbctrls.iter().map(|ctrl| device::usbctrl(domid, ctrl)));
    nodes.extend(config.vdispls.iter().map(|vdispl| device::vdispl(domid, vdispl)));
    nodes.extend(config.vsnds.iter().map(|vsnd| device::vsnd(domid, vsnd)));
    nodes.into_iter().collect()
}

/// Whether a disk whose backend has been chosen can be served.
pub(crate) fn check_disk(disk: &DeviceDisk) -> Result<()> {
    let path = disk.pdev_path.as_deref().unwrap_or_default();
    match disk.backend {
        DiskBackend::Phy | DiskBackend::Standalone => Ok(()),
        // Paths of another domain are its own business, and some formats name more than a file: "nbd:HOST:PORT".
        DiskBackend::Qdisk if disk.backend_domid != 0 || !path.starts_with('/') => Ok(()),
        DiskBackend::Qdisk => match fs::metadata(path) {
            Ok(found) if found.is_dir() => Err(Error::invalid(format!("{path} is a directory"))),
            Ok(_) => Ok(()),
            Err(e) => Err(Error::from(e).context(path.to_owned())),
        },
        backend => Err(Error::new(
            crate::ErrorKind::NotImplemented,
            format!("format {} needs backend {backend}, which is not supported yet", disk.format),
        )),
    }
}

/// Whether the bridge is there that an interface shall join. Other scripts know for themselves what they need.
pub(crate) fn check_nic(nic: &DeviceNic, interfaces: &Path) -> Result<()> {
    let is_bridged = nic.script.as_deref().is_some_and(|script| script.rsplit('/').next() == Some(BRIDGE_SCRIPT));
    let bridge = nic.bridge.as_deref().unwrap_or_default();
    // The script takes ethN for xenbrN.
    let alias = bridge.strip_prefix("xenbr").map(|number| format!("eth{number}/bridge"));
    let exists = interfaces.join(bridge).exists() || alias.is_some_and(|alias| interfaces.join(alias).exists());
    if !is_bridged || nic.backend_domid != 0 || bridge.is_empty() || exists {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "bridge \"{bridge}\" does not exist (bridge= of the vif, or xl.conf's vif.default.bridge; ip link shows those \
         there are)"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn nic(bridge: &str, script: &str) -> DeviceNic {
        DeviceNic { bridge: Some(bridge.into()), script: Some(script.into()), ..Default::default() }
    }

    #[test]
    fn a_missing_bridge_is_told() {
        let host = tempfile::tempdir().unwrap();
        fs::create_dir_all(host.path().join("br0/bridge")).unwrap();
        fs::create_dir_all(host.path().join("eth0/bridge")).unwrap();
        fs::create_dir_all(host.path().join("eth1")).unwrap();
        let script = "/etc/xen/scripts/vif-bridge";
        let ok = |nic: &DeviceNic| check_nic(nic, host.path()).is_ok();
        assert!(ok(&nic("br0", script)) && ok(&nic("xenbr0", script)));
        assert!(!ok(&nic("xenbr1", script)) && !ok(&nic("br1", "vif-bridge")));
        assert!(ok(&nic("br1", "vif-openvswitch")));
        assert!(ok(&DeviceNic { backend_domid: 3, ..nic("br1", script) }));
        let error = check_nic(&nic("br1", script), host.path()).unwrap_err().to_string();
        assert!(error.starts_with("bridge \"br1\" does not exist (bridge= of"), "{error}");
    }

    #[test]
    fn images_that_qemu_cannot_open_are_refused() {
        let disk = |backend, path: &str| DeviceDisk { backend, pdev_path: Some(path.into()), ..Default::default() };
        let error = |path| check_disk(&disk(DiskBackend::Qdisk, path)).unwrap_err().to_string();
        check_disk(&disk(DiskBackend::Phy, "/dev/vg/x")).unwrap();
        check_disk(&disk(DiskBackend::Qdisk, "nbd:host:10809")).unwrap();
        check_disk(&DeviceDisk { backend_domid: 3, ..disk(DiskBackend::Qdisk, "/there/x.qcow2") }).unwrap();
        assert_eq!(error("/tmp"), "/tmp is a directory");
        assert_eq!(error("/nonexistent/x.qcow2"), "/nonexistent/x.qcow2: No such file or directory");
        check_disk(&disk(DiskBackend::Standalone, "/x")).unwrap();
        assert!(check_disk(&disk(DiskBackend::Tap, "/x")).unwrap_err().to_string().contains("backend tap"));
    }
}
