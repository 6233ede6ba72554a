//! Disks: what serves each one.

use super::{FileKind, HostFacts, devices};
use crate::error::ResultExt;
use crate::types::{DeviceDisk, DiskBackend, DiskFormat, DiskSpecification, DiskTransport, DomainType};
use crate::{Error, Result};

/// The domain that runs the toolstack.
const TOOLSTACK_DOMID: u32 = 0;

/// Decides what a disk leaves open. `is_hotplug` says that the guest runs already.
///
/// # Errors
/// `Invalid` for a disk that cannot be, naming its `vdev`.
pub fn apply(disk: &mut DeviceDisk, kind: DomainType, is_hotplug: bool, host: &dyn HostFacts) -> Result<()> {
    let name = format!("disk {}", disk.vdev.as_deref().unwrap_or("without a name"));
    decide(disk, kind, is_hotplug, host).context(name)
}

fn decide(disk: &mut DeviceDisk, kind: DomainType, is_hotplug: bool, host: &dyn HostFacts) -> Result<()> {
    disk.discard_enable.set_default(disk.readwrite != 0);
    disk.colo_enable.set_default(false);
    disk.colo_restore_enable.set_default(false);
    disk.trusted.set_default(true);
    devices::resolve_backend(disk.backend_domname.as_deref(), &mut disk.backend_domid, host)?;

    if disk.specification == DiskSpecification::Unknown {
        disk.specification = DiskSpecification::Xen;
    }
    match (disk.specification, disk.transport) {
        (DiskSpecification::Xen, DiskTransport::Mmio) => {
            return Err(Error::invalid("transport= is for specification=virtio only"));
        }
        (DiskSpecification::Virtio, _) if is_hotplug => {
            return Err(Error::fail("a virtio disk cannot be attached to a running guest"));
        }
        (DiskSpecification::Virtio, _) => disk.transport = DiskTransport::Mmio,
        _ => {}
    }
    if disk.is_cdrom != 0 && kind == DomainType::Hvm {
        if !matches!(disk.backend, DiskBackend::Qdisk | DiskBackend::Unknown) {
            return Err(Error::fail(format!("a CD drive of an HVM guest is served by qdisk, not {}", disk.backend)));
        }
        disk.backend = DiskBackend::Qdisk;
    }
    disk.backend = choose_backend(disk, host)?;
    Ok(())
}

/// The backend that was asked for if it can serve the disk, or else the first that can
/// (`libxl__device_disk_set_backend`).
fn choose_backend(disk: &DeviceDisk, host: &dyn HostFacts) -> Result<DiskBackend> {
    let path = disk.pdev_path.as_deref().unwrap_or_default();
    let mut target = None;
    if disk.format == DiskFormat::Empty {
        if disk.is_cdrom == 0 {
            return Err(Error::invalid("it has no image: only a CD drive may be empty"));
        }
        if !path.is_empty() {
            return Err(Error::invalid(format!("format=empty contradicts the image {path}")));
        }
    } else if is_looked_at(disk) {
        target = Some(host.file_kind(path).map_err(Error::from).map_err(|e| {
            let e = e.with_kind(crate::ErrorKind::Invalid);
            if path.is_empty() { e.context("no image (target=)") } else { e.context(path) }
        })?);
    }

    let candidates = match disk.backend {
        DiskBackend::Unknown => &[DiskBackend::Phy, DiskBackend::Qdisk, DiskBackend::Standalone][..],
        ref asked => std::slice::from_ref(asked),
    };
    let mut reasons = Vec::new();
    for &backend in candidates {
        match unsuitable(disk, backend, target) {
            None => return Ok(backend),
            Some(why) => reasons.push(format!("{backend}: {why}")),
        }
    }
    Err(Error::invalid(format!("nothing can serve it ({})", reasons.join("; "))))
}

/// Whether the image is a file or device of this domain that may have to be a block device.
fn is_looked_at(disk: &DeviceDisk) -> bool {
    matches!(disk.backend, DiskBackend::Unknown | DiskBackend::Phy | DiskBackend::Standalone)
        && disk.backend_domid == TOOLSTACK_DOMID
        && disk.script.is_none()
}

/// Why a backend cannot serve a disk.
fn unsuitable(disk: &DeviceDisk, backend: DiskBackend, target: Option<FileKind>) -> Option<String> {
    let is_virtio = disk.specification == DiskSpecification::Virtio;
    if is_virtio != (backend == DiskBackend::Standalone) {
        return Some(format!("does not speak {}", disk.specification));
    }
    match backend {
        DiskBackend::Qdisk => disk.script.as_ref().map(|_| "runs no script".into()),
        DiskBackend::Phy | DiskBackend::Standalone => {
            let is_elsewhere = disk.backend_domid != TOOLSTACK_DOMID;
            let has_script = disk.script.is_some();
            if disk.format != DiskFormat::Raw {
                Some(format!("serves format raw, not {}", disk.format))
            } else if disk.colo_enable.is_true() {
                Some("does not do COLO".into())
            } else if has_script && backend == DiskBackend::Standalone {
                Some("runs no script".into())
            } else if !has_script && !is_elsewhere && !matches!(target, Some(FileKind::Block | FileKind::Regular)) {
                Some("the image is neither a block device nor a file".into())
            } else {
                None
            }
        }
        DiskBackend::Tap => Some("blktap is gone".into()),
        DiskBackend::Unknown => Some("is not known".into()),
    }
}
