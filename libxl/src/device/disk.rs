//! Disks: vbd (`xen/include/public/io/blkif.h`).

use super::{Device, DeviceKind, Nodes, XenbusState, backend_domid, vdev};
use crate::error::{Error, Result};
use crate::types::{DeviceDisk, DiskBackend, DiskFormat, DiskSpecification, DomainType};
use libxc::DomId;
use std::path::Path;

/// The nodes of a disk of which everything has been decided. `guest` is the kind of its domain,
/// `scripts` where hotplug scripts are.
pub fn disk(domid: DomId, disk: &DeviceDisk, guest: DomainType, scripts: &Path) -> Result<Nodes> {
    let vdev = disk.vdev.as_deref().unwrap_or_default();
    let device = device(domid, disk)?;
    let mut nodes = Nodes::bare(device);
    let device_type = if disk.is_cdrom != 0 { "cdrom" } else { "disk" };

    nodes.back_some("params", params(disk));
    if disk.backend == DiskBackend::Phy {
        nodes.back("script", scripts.join(disk.script.as_deref().unwrap_or("block")).display());
    }
    nodes.back("frontend-id", domid);
    nodes.back("online", 1);
    nodes.back("removable", i32::from(disk.removable != 0));
    nodes.back("bootable", 1);
    nodes.back("state", XenbusState::Initialising.digit());
    nodes.back("dev", vdev);
    nodes.back("type", if disk.backend == DiskBackend::Tap { "phy" } else { disk.backend.name() });
    nodes.back("mode", if disk.readwrite != 0 { "w" } else { "r" });
    nodes.back("device-type", device_type);
    nodes.back_some("direct-io-safe", disk.direct_io_safe.then_some(1));
    nodes.back("discard-enable", i32::from(disk.discard_enable.is_true()));
    nodes.back("specification", disk.specification.name());
    if disk.specification == DiskSpecification::Virtio {
        nodes.back("transport", disk.transport.name());
        nodes.back("base", disk.base);
        nodes.back("irq", disk.irq);
    }

    nodes.front("backend-id", device.backend_domid);
    nodes.front("state", XenbusState::Initialising.digit());
    nodes.front("virtual-device", device.devid);
    nodes.front("device-type", device_type);
    nodes.front("trusted", i32::from(disk.trusted.is_true()));
    // Frontends older than Linux 2.6.26 do not write it themselves.
    nodes.front_some("protocol", (guest == DomainType::Pv).then_some("x86_64-abi"));
    Ok(nodes)
}

/// Which device a disk's configuration means.
///
/// # Errors
/// A `vdev` that is no disk's name, and a backend that has not been decided.
fn device(domid: DomId, disk: &DeviceDisk) -> Result<Device> {
    let vdev = disk.vdev.as_deref().unwrap_or_default();
    let devid = vdev::number(vdev).ok_or_else(|| Error::invalid(format!("vdev={vdev:?} is no virtual disk")))?;
    let (kind, backend_kind) = match disk.backend {
        DiskBackend::Phy => (DeviceKind::Vbd, DeviceKind::Vbd),
        DiskBackend::Qdisk => (DeviceKind::Vbd, DeviceKind::Qdisk),
        DiskBackend::Standalone => (DeviceKind::VirtioDisk, DeviceKind::VirtioDisk),
        DiskBackend::Tap => return Err(Error::invalid(format!("disk {vdev}: blktap is gone: use qdisk or phy"))),
        DiskBackend::Unknown => return Err(Error::invalid(format!("disk {vdev}: no backend was chosen"))),
    };
    Ok(Device { domid, kind, devid, backend_domid: backend_domid(disk.backend_domid)?, backend_kind })
}

/// What the backend opens: for QEMU with the format in front.
fn params(disk: &DeviceDisk) -> Option<String> {
    let path = disk.pdev_path.as_deref();
    if disk.backend != DiskBackend::Qdisk {
        return path.map(str::to_owned);
    }
    let format = match disk.format {
        DiskFormat::Raw | DiskFormat::Empty => "aio",
        format => format.name(),
    };
    Some(format!("{format}:{}", path.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::super::nodes::tests::{assert_written, host};
    use super::super::write_all;
    use super::*;
    use crate::types::DefBool;

    fn base(backend: DiskBackend, path: &str, vdev: &str) -> DeviceDisk {
        DeviceDisk {
            backend,
            format: DiskFormat::Raw,
            pdev_path: Some(path.into()),
            vdev: Some(vdev.into()),
            readwrite: 1,
            specification: DiskSpecification::Xen,
            discard_enable: DefBool::from(true),
            trusted: DefBool::from(true),
            ..Default::default()
        }
    }

    #[test]
    fn as_stock_xl_writes_them() {
        let disks =
            [base(DiskBackend::Phy, "/tmp/w/d1.img", "xvda"), base(DiskBackend::Qdisk, "/tmp/w/d2.img", "xvdb")];
        let nodes = disks.iter().map(|d| disk(DomId(1), d, DomainType::Pv, Path::new("/etc/xen/scripts")));
        let (fake, ctx) = host(&[1]);
        write_all(&ctx, &nodes.collect::<Result<Vec<_>>>().unwrap()).unwrap();
        assert_written(
            &fake,
            &["/local/domain/1/device/vbd", "/local/domain/0/backend", "/libxl/1/device/vbd"],
            r#"
/libxl/1/device/vbd = ""   (n0)
/libxl/1/device/vbd/51712 = ""   (n0)
/libxl/1/device/vbd/51712/frontend = "/local/domain/1/device/vbd/51712"   (n0)
/libxl/1/device/vbd/51712/backend = "/local/domain/0/backend/vbd/1/51712"   (n0)
/libxl/1/device/vbd/51712/params = "/tmp/w/d1.img"   (n0)
/libxl/1/device/vbd/51712/script = "/etc/xen/scripts/block"   (n0)
/libxl/1/device/vbd/51712/frontend-id = "1"   (n0)
/libxl/1/device/vbd/51712/online = "1"   (n0)
/libxl/1/device/vbd/51712/removable = "0"   (n0)
/libxl/1/device/vbd/51712/bootable = "1"   (n0)
/libxl/1/device/vbd/51712/state = "1"   (n0)
/libxl/1/device/vbd/51712/dev = "xvda"   (n0)
/libxl/1/device/vbd/51712/type = "phy"   (n0)
/libxl/1/device/vbd/51712/mode = "w"   (n0)
/libxl/1/device/vbd/51712/device-type = "disk"   (n0)
/libxl/1/device/vbd/51712/discard-enable = "1"   (n0)
/libxl/1/device/vbd/51712/specification = "xen"   (n0)
/libxl/1/device/vbd/51728 = ""   (n0)
/libxl/1/device/vbd/51728/frontend = "/local/domain/1/device/vbd/51728"   (n0)
/libxl/1/device/vbd/51728/backend = "/local/domain/0/backend/qdisk/1/51728"   (n0)
/libxl/1/device/vbd/51728/params = "aio:/tmp/w/d2.img"   (n0)
/libxl/1/device/vbd/51728/frontend-id = "1"   (n0)
/libxl/1/device/vbd/51728/online = "1"   (n0)
/libxl/1/device/vbd/51728/removable = "0"   (n0)
/libxl/1/device/vbd/51728/bootable = "1"   (n0)
/libxl/1/device/vbd/51728/state = "1"   (n0)
/libxl/1/device/vbd/51728/dev = "xvdb"   (n0)
/libxl/1/device/vbd/51728/type = "qdisk"   (n0)
/libxl/1/device/vbd/51728/mode = "w"   (n0)
/libxl/1/device/vbd/51728/device-type = "disk"   (n0)
/libxl/1/device/vbd/51728/discard-enable = "1"   (n0)
/libxl/1/device/vbd/51728/specification = "xen"   (n0)
/local/domain/0/backend = ""   (n0)
/local/domain/0/backend/qdisk = ""   (n0)
/local/domain/0/backend/qdisk/1 = ""   (n0)
/local/domain/0/backend/qdisk/1/51728 = ""   (n0,r1)
/local/domain/0/backend/qdisk/1/51728/frontend = "/local/domain/1/device/vbd/51728"   (n0,r1)
/local/domain/0/backend/qdisk/1/51728/params = "aio:/tmp/w/d2.img"   (n0,r1)
/local/domain/0/backend/qdisk/1/51728/frontend-id = "1"   (n0,r1)
/local/domain/0/backend/qdisk/1/51728/online = "1"   (n0,r1)
/local/domain/0/backend/qdisk/1/51728/removable = "0"   (n0,r1)
/local/domain/0/backend/qdisk/1/51728/bootable = "1"   (n0,r1)
/local/domain/0/backend/qdisk/1/51728/state = "1"   (n0,r1)
/local/domain/0/backend/qdisk/1/51728/dev = "xvdb"   (n0,r1)
/local/domain/0/backend/qdisk/1/51728/type = "qdisk"   (n0,r1)
/local/domain/0/backend/qdisk/1/51728/mode = "w"   (n0,r1)
/local/domain/0/backend/qdisk/1/51728/device-type = "disk"   (n0,r1)
/local/domain/0/backend/qdisk/1/51728/discard-enable = "1"   (n0,r1)
/local/domain/0/backend/qdisk/1/51728/specification = "xen"   (n0,r1)
/local/domain/0/backend/vbd = ""   (n0)
/local/domain/0/backend/vbd/1 = ""   (n0)
/local/domain/0/backend/vbd/1/51712 = ""   (n0,r1)
/local/domain/0/backend/vbd/1/51712/frontend = "/local/domain/1/device/vbd/51712"   (n0,r1)
/local/domain/0/backend/vbd/1/51712/params = "/tmp/w/d1.img"   (n0,r1)
/local/domain/0/backend/vbd/1/51712/script = "/etc/xen/scripts/block"   (n0,r1)
/local/domain/0/backend/vbd/1/51712/frontend-id = "1"   (n0,r1)
/local/domain/0/backend/vbd/1/51712/online = "1"   (n0,r1)
/local/domain/0/backend/vbd/1/51712/removable = "0"   (n0,r1)
/local/domain/0/backend/vbd/1/51712/bootable = "1"   (n0,r1)
/local/domain/0/backend/vbd/1/51712/state = "1"   (n0,r1)
/local/domain/0/backend/vbd/1/51712/dev = "xvda"   (n0,r1)
/local/domain/0/backend/vbd/1/51712/type = "phy"   (n0,r1)
/local/domain/0/backend/vbd/1/51712/mode = "w"   (n0,r1)
/local/domain/0/backend/vbd/1/51712/device-type = "disk"   (n0,r1)
/local/domain/0/backend/vbd/1/51712/discard-enable = "1"   (n0,r1)
/local/domain/0/backend/vbd/1/51712/specification = "xen"   (n0,r1)
/local/domain/1/device/vbd = ""   (n0,r1)
/local/domain/1/device/vbd/51712 = ""   (n1,r0)
/local/domain/1/device/vbd/51712/backend = "/local/domain/0/backend/vbd/1/51712"   (n1,r0)
/local/domain/1/device/vbd/51712/backend-id = "0"   (n1,r0)
/local/domain/1/device/vbd/51712/state = "1"   (n1,r0)
/local/domain/1/device/vbd/51712/virtual-device = "51712"   (n1,r0)
/local/domain/1/device/vbd/51712/device-type = "disk"   (n1,r0)
/local/domain/1/device/vbd/51712/trusted = "1"   (n1,r0)
/local/domain/1/device/vbd/51712/protocol = "x86_64-abi"   (n1,r0)
/local/domain/1/device/vbd/51728 = ""   (n1,r0)
/local/domain/1/device/vbd/51728/backend = "/local/domain/0/backend/qdisk/1/51728"   (n1,r0)
/local/domain/1/device/vbd/51728/backend-id = "0"   (n1,r0)
/local/domain/1/device/vbd/51728/state = "1"   (n1,r0)
/local/domain/1/device/vbd/51728/virtual-device = "51728"   (n1,r0)
/local/domain/1/device/vbd/51728/device-type = "disk"   (n1,r0)
/local/domain/1/device/vbd/51728/trusted = "1"   (n1,r0)
/local/domain/1/device/vbd/51728/protocol = "x86_64-abi"   (n1,r0)
"#,
        );
    }

    #[test]
    fn what_is_optional() {
        let scripts = Path::new("/etc/xen/scripts");
        let mut cdrom = base(DiskBackend::Qdisk, "", "hdc");
        (cdrom.is_cdrom, cdrom.removable, cdrom.readwrite, cdrom.format) = (1, 1, 0, DiskFormat::Empty);
        cdrom.pdev_path = None;
        cdrom.direct_io_safe = true;
        let nodes = disk(DomId(2), &cdrom, DomainType::Hvm, scripts).unwrap();
        for (name, value) in
            [("params", "aio:"), ("mode", "r"), ("removable", "1"), ("device-type", "cdrom"), ("direct-io-safe", "1")]
        {
            assert_eq!(nodes.backend_value(name), Some(value), "{name}");
        }
        let mut own = base(DiskBackend::Phy, "/dev/vg/x", "xvda");
        own.script = Some("/opt/block-own".into());
        let nodes = disk(DomId(2), &own, DomainType::Pvh, scripts).unwrap();
        assert_eq!(nodes.backend_value("script"), Some("/opt/block-own"));
        own.script = Some("block-iscsi".into());
        let nodes = disk(DomId(2), &own, DomainType::Pvh, scripts).unwrap();
        assert_eq!(nodes.backend_value("script"), Some("/etc/xen/scripts/block-iscsi"));
    }

    #[test]
    fn what_is_no_disk() {
        let of = |d: &DeviceDisk| disk(DomId(1), d, DomainType::Pv, Path::new("/s")).unwrap_err().to_string();
        assert_eq!(of(&base(DiskBackend::Phy, "/x", "foo")), "vdev=\"foo\" is no virtual disk");
        assert!(of(&base(DiskBackend::Unknown, "/x", "xvda")).contains("no backend"));
        let mut far = base(DiskBackend::Phy, "/x", "xvda");
        far.backend_domid = 70000;
        assert_eq!(of(&far), "there is no backend domain 70000");
    }
}
