//! Devices other than disks: backends, addresses, and the numbers of those that have none.

use super::{HostFacts, disk, usb};
use crate::error::ResultExt;
use crate::types::*;
use crate::{Error, ErrorKind, Result};

/// The MTU of an interface whose configuration says nothing.
const MTU: i32 = 1500;

/// Decides what the devices of a domain that is to be created leave open.
pub(super) fn apply(config: &mut DomainConfig, host: &dyn HostFacts) -> Result<()> {
    let kind = config.c_info.type_;
    for one in &mut config.disks {
        // libxl looks at the disks when the domain exists already; from then on every failure is of this kind.
        disk::apply(one, kind, false, host).map_err(|e| e.with_kind(ErrorKind::Fail))?;
    }
    for (i, one) in config.nics.iter_mut().enumerate() {
        nic(one, kind, false, host).with_context(|| format!("vif {i}"))?;
    }
    for one in &mut config.pcidevs {
        pci(one);
    }
    for (i, one) in config.vfbs.iter_mut().enumerate() {
        vfb(one, host).with_context(|| format!("vfb {i}"))?;
    }
    for (i, one) in config.vkbs.iter_mut().enumerate() {
        vkb(one, host).with_context(|| format!("vkb {i}"))?;
    }
    for (i, one) in config.vtpms.iter_mut().enumerate() {
        vtpm(one, host).with_context(|| format!("vtpm {i}"))?;
    }
    for (i, one) in config.channels.iter_mut().enumerate() {
        channel(one, host).with_context(|| format!("channel {i}"))?;
    }
    usb::apply(config, host)?;
    plain_backends(config, host)?;
    number_all(config);
    Ok(())
}

/// Decides what an interface leaves open. `is_hotplug` says that the guest runs already.
pub fn nic(nic: &mut DeviceNic, kind: DomainType, is_hotplug: bool, host: &dyn HostFacts) -> Result<()> {
    if nic.mtu == 0 {
        nic.mtu = MTU;
    }
    nic.model.get_or_insert_with(|| "rtl8139".into());
    if nic.mac == Mac::default() {
        nic.mac = random_mac();
    }
    nic.bridge.get_or_insert_with(|| "xenbr0".into());
    nic.script.get_or_insert_with(|| format!("{}/vif-bridge", host.script_dir()));
    nic.trusted.set_default(true);
    nic.nictype = match (kind, nic.nictype) {
        (DomainType::Hvm, NicType::Unknown) if is_hotplug => NicType::Vif,
        (DomainType::Hvm, NicType::Unknown) => NicType::VifIoemu,
        (DomainType::Hvm, given) => given,
        (_, NicType::VifIoemu) => {
            return Err(Error::invalid(format!("type=ioemu: a {kind} guest has no emulated interfaces")));
        }
        _ => NicType::Vif,
    };
    resolve_backend(nic.backend_domname.as_deref(), &mut nic.backend_domid, host)
}

/// An address of Xen's own range (00:16:3e), random in the rest.
fn random_mac() -> Mac {
    let [a, b, c, ..] = Uuid::new_v4().into_bytes();
    Mac([0x00, 0x16, 0x3e, a & 0x7f, b, c])
}

/// Decides what a PCI device leaves open.
pub fn pci(pci: &mut DevicePci) {
    if pci.rdm_policy == RdmReservePolicy::Invalid {
        pci.rdm_policy = RdmReservePolicy::Strict;
    }
}

/// Decides what a framebuffer leaves open.
pub fn vfb(vfb: &mut DeviceVfb, host: &dyn HostFacts) -> Result<()> {
    if vfb.vnc.enable.set_default(true) {
        vfb.vnc.listen.get_or_insert_with(|| "127.0.0.1".into());
    }
    vfb.vnc.findunused.set_default(vfb.vnc.enable.is_true());
    vfb.sdl.enable.set_default(false);
    vfb.sdl.opengl.set_default(false);
    resolve_backend(vfb.backend_domname.as_deref(), &mut vfb.backend_domid, host)
}

/// Decides what a keyboard leaves open.
pub fn vkb(vkb: &mut DeviceVkb, host: &dyn HostFacts) -> Result<()> {
    if vkb.backend_type == VkbBackend::Unknown {
        vkb.backend_type = VkbBackend::Qemu;
    }
    resolve_backend(vkb.backend_domname.as_deref(), &mut vkb.backend_domid, host)
}

/// Decides what a trusted platform module leaves open.
pub fn vtpm(vtpm: &mut DeviceVtpm, host: &dyn HostFacts) -> Result<()> {
    if vtpm.uuid.is_nil() {
        vtpm.uuid = Uuid::new_v4();
    }
    resolve_backend(vtpm.backend_domname.as_deref(), &mut vtpm.backend_domid, host)
}

/// Finds the backend of a display.
pub fn vdispl(vdispl: &mut DeviceVdispl, host: &dyn HostFacts) -> Result<()> {
    resolve_backend(vdispl.backend_domname.as_deref(), &mut vdispl.backend_domid, host)
}

/// Finds the backend of a sound card.
pub fn vsnd(vsnd: &mut DeviceVsnd, host: &dyn HostFacts) -> Result<()> {
    resolve_backend(vsnd.backend_domname.as_deref(), &mut vsnd.backend_domid, host)
}

/// Checks a channel, and finds its backend.
fn channel(channel: &mut DeviceChannel, host: &dyn HostFacts) -> Result<()> {
    if channel.name.is_none() {
        return Err(Error::invalid("it has no name (name=)"));
    }
    if channel.connection == ChannelEnd::Unknown {
        return Err(Error::invalid("it ends nowhere (connection=pty or connection=socket)"));
    }
    resolve_backend(channel.backend_domname.as_deref(), &mut channel.backend_domid, host)
}

/// Finds the backends of the kinds that have nothing else to decide.
fn plain_backends(config: &mut DomainConfig, host: &dyn HostFacts) -> Result<()> {
    let p9s = config.p9s.iter_mut().map(|d| ("p9", &d.backend_domname, &mut d.backend_domid));
    let pvcalls = config.pvcallsifs.iter_mut().map(|d| ("pvcalls", &d.backend_domname, &mut d.backend_domid));
    let vdispls = config.vdispls.iter_mut().map(|d| ("vdispl", &d.backend_domname, &mut d.backend_domid));
    let vsnds = config.vsnds.iter_mut().map(|d| ("vsnd", &d.backend_domname, &mut d.backend_domid));
    for (kind, name, domid) in p9s.chain(pvcalls).chain(vdispls).chain(vsnds) {
        resolve_backend(name.as_deref(), domid, host).context(kind)?;
    }
    Ok(())
}

/// Finds the domain that a device names as its backend, if it names one.
pub(super) fn resolve_backend(name: Option<&str>, domid: &mut u32, host: &dyn HostFacts) -> Result<()> {
    if let Some(name) = name {
        *domid = host.domain(name).with_context(|| format!("backend=\"{name}\""))?;
    }
    Ok(())
}

/// Numbers the devices that have no number yet, kind by kind, above those that have one.
fn number_all(config: &mut DomainConfig) {
    number(config.nics.iter_mut().map(|d| &mut d.devid).collect());
    number(config.vfbs.iter_mut().map(|d| &mut d.devid).collect());
    number(config.vkbs.iter_mut().map(|d| &mut d.devid).collect());
    number(config.vtpms.iter_mut().map(|d| &mut d.devid).collect());
    number(config.p9s.iter_mut().map(|d| &mut d.devid).collect());
    number(config.pvcallsifs.iter_mut().map(|d| &mut d.devid).collect());
    number(config.vdispls.iter_mut().map(|d| &mut d.devid).collect());
    number(config.vsnds.iter_mut().map(|d| &mut d.devid).collect());
    number(config.channels.iter_mut().map(|d| &mut d.devid).collect());
}

/// Numbers what has no number yet, above what has one.
pub(super) fn number(devids: Vec<&mut Option<u32>>) {
    let mut next = devids.iter().filter_map(|devid| **devid).max().map_or(0, |last| last.saturating_add(1));
    for devid in devids {
        if devid.is_none() {
            *devid = Some(next);
            next = next.saturating_add(1);
        }
    }
}
