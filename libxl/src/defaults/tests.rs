//! The whole pass on configurations as `xl create` makes them, on a host of plain facts.

use std::collections::HashMap;
use std::io;

use libxc::host::HostCapabilities;

use super::{FileKind, HostFacts, apply, memory, stored_form};
use crate::types::*;
use crate::{Error, Result};

struct Host {
    capabilities: HostCapabilities,
}

impl Default for Host {
    fn default() -> Host {
        use HostCapabilities as Can;
        Host { capabilities: Can::HVM | Can::PV | Can::HAP | Can::SHADOW | Can::GNTTAB_V1 | Can::GNTTAB_V2 }
    }
}

impl HostFacts for Host {
    fn capabilities(&self) -> Result<HostCapabilities> {
        Ok(self.capabilities)
    }
    fn firmware_dir(&self) -> String {
        "/usr/lib/xen-4.17/boot".into()
    }
    fn script_dir(&self) -> String {
        "/etc/xen/scripts".into()
    }
    fn qemu(&self) -> String {
        "/usr/bin/qemu".into()
    }
    fn file_kind(&self, path: &str) -> io::Result<FileKind> {
        match path {
            "/dev/vg/disk" => Ok(FileKind::Block),
            "/tmp/disk.img" => Ok(FileKind::Regular),
            "/tmp" => Ok(FileKind::Other),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
    fn is_executable(&self, path: &str) -> io::Result<bool> {
        if path == self.qemu() { Ok(true) } else { Err(io::ErrorKind::NotFound.into()) }
    }
    fn domain(&self, name: &str) -> Result<u32> {
        if name == "storage" { Ok(7) } else { Err(Error::invalid("no such domain")) }
    }
    fn cpupool(&self, name: &str) -> Result<Option<u32>> {
        Ok((name == "Pool-0").then_some(0))
    }
    fn has_cpupool(&self, id: u32) -> Result<bool> {
        Ok(id == 0)
    }
    fn security_id(&self, _: &str) -> Result<Option<u32>> {
        Ok(None)
    }
    fn has_usbback(&self) -> bool {
        false
    }
}

fn guest(kind: DomainType) -> DomainConfig {
    let mut config = DomainConfig::default();
    config.c_info.type_ = kind;
    config.b_info.type_info = TypeInfo::new(kind);
    config
}

fn decided(mut config: DomainConfig) -> DomainConfig {
    apply(&mut config, &Host::default()).unwrap();
    config
}

/// The error of a configuration that cannot be.
fn refused(mut config: DomainConfig) -> String {
    apply(&mut config, &Host::default()).unwrap_err().to_string()
}

/// What stock libxl stored for a guest comes out of what was given for it, which is the same without the values that
/// libxl decided.
#[test]
fn stored_configurations_are_stocks() {
    for text in [
        include_str!("../../tests/fixtures/userdata-pv.json"),
        include_str!("../../tests/fixtures/userdata-pv-drivers.json"),
        include_str!("../../tests/fixtures/userdata-hvm.json"),
    ] {
        let stock: DomainConfig = json::from_str(text).unwrap();
        let mut given = stock.clone();
        given.b_info.video_memkb = None;
        given.b_info.arch_x86.msr_relaxed = DefBool::DEFAULT;
        given.disks.iter_mut().for_each(|disk| disk.pdev_path = Some("/tmp/disk.img".into()));
        for nic in &mut given.nics {
            (nic.devid, nic.nictype) = (None, NicType::Unknown);
        }
        let mut stored = stored_form(&given, &decided(given.clone()));
        for (ours, theirs) in stored.disks.iter_mut().zip(&stock.disks) {
            ours.pdev_path.clone_from(&theirs.pdev_path);
        }
        assert_eq!(json::to_string(&stored), json::to_string(&stock));
    }
}

/// What is decided is what stock libxl decides: with autoballoon it stores its decisions.
#[test]
fn decisions_are_stocks() {
    let pairs: Vec<HashMap<String, DomainConfig>> =
        json::from_str(include_str!("../../tests/fixtures/defaults.json")).unwrap();
    for pair in pairs {
        let mut stock = pair["decided"].clone();
        if pair["given"].b_info.max_vcpus == 0 {
            // Stock forgets the one vCPU that such a guest has.
            *stock.b_info.shadow_memkb.as_mut().unwrap() += 1024;
        }
        assert_eq!(json::to_string(&decided(pair["given"].clone())), json::to_string(&stock));
    }
}

#[test]
fn the_pass_is_idempotent() {
    let mut config = guest(DomainType::Hvm);
    config.nics.push(DeviceNic::default());
    config.usbdevs.push(DeviceUsbdev::default());
    let once = decided(config);
    assert_eq!(decided(once.clone()), once);
}

#[test]
fn memory_and_what_it_costs() {
    let mut config = guest(DomainType::Pvh);
    config.b_info.max_memkb = Some(1 << 20);
    let config = decided(config);
    assert_eq!(config.b_info.target_memkb, Some(1 << 20));
    assert_eq!(config.b_info.shadow_memkb, Some(1024 + 4096));
    // 2 MiB more than guest and tables, rounded up to 2 MiB.
    assert_eq!(memory::needed(&config), (1 << 20) + 8192);
}

#[test]
fn a_host_without_paging_or_iommu_says_so() {
    let bare = Host { capabilities: HostCapabilities::PV };
    let error = apply(&mut guest(DomainType::Pvh), &bare).unwrap_err();
    assert!(error.to_string().contains("hardware-assisted or shadow paging"), "{error}");
    assert!(apply(&mut guest(DomainType::Pv), &bare).is_ok());
    let mut config = guest(DomainType::Pv);
    config.pcidevs.push(DevicePci::default());
    assert!(refused(config).contains("IOMMU"));
}

#[test]
fn passthrough_shares_tables_where_it_can() {
    let can = Host::default().capabilities | HostCapabilities::DIRECTIO;
    for (host, kind, expected) in [
        (can, DomainType::Hvm, Passthrough::SyncPt),
        (can | HostCapabilities::IOMMU_HAP_PT_SHARE, DomainType::Hvm, Passthrough::SharePt),
        (can | HostCapabilities::IOMMU_HAP_PT_SHARE, DomainType::Pv, Passthrough::SyncPt),
    ] {
        let mut config = guest(kind);
        config.pcidevs.push(DevicePci::default());
        apply(&mut config, &Host { capabilities: host }).unwrap();
        assert_eq!(config.c_info.passthrough, expected);
        assert_eq!(config.pcidevs[0].rdm_policy, RdmReservePolicy::Strict);
        assert_eq!(config.b_info.iommu_memkb.unwrap() > 0, expected == Passthrough::SyncPt);
    }
}

#[test]
fn combinations_that_cannot_work() {
    let ballooned = |kind| {
        let mut config = guest(kind);
        (config.b_info.target_memkb, config.b_info.max_memkb) = (Some(65536), Some(131072));
        config
    };
    assert!(apply(&mut ballooned(DomainType::Hvm), &Host::default()).is_ok());

    let mut config = ballooned(DomainType::Hvm);
    config.b_info.vnuma_nodes.push(VnodeInfo::default());
    assert!(refused(config).contains("vnuma"));

    let mut config = ballooned(DomainType::Pvh);
    config.b_info.altp2m = Altp2mMode::Mixed;
    assert!(refused(config).contains("altp2m"));

    let mut config = guest(DomainType::Pv);
    config.b_info.vpmu = DefBool::TRUE;
    assert!(refused(config).contains("performance counters"));
}

/// A stored configuration or one from another host may ask for it, whatever xl.cfg may say here.
#[test]
fn devices_of_later_versions_of_xen_are_refused() {
    let mut config = guest(DomainType::Pvh);
    config.p9s.push(DeviceP9 { type_: P9Type::Xen9pfsd, ..Default::default() });
    assert!(refused(config).contains("type=xen_9pfsd"));

    let mut config = guest(DomainType::Pvh);
    let virtio = DiskSpecification::Virtio;
    config.disks.push(DeviceDisk { specification: virtio, grant_usage: DefBool::FALSE, ..Default::default() });
    assert!(refused(config).contains("grant_usage"));
}

#[test]
fn firmware_and_video_memory_follow_the_device_model() {
    let config = decided(guest(DomainType::Hvm));
    assert_eq!(config.b_info.hvm().unwrap().bios, BiosType::Seabios);
    assert_eq!(config.b_info.video_memkb, Some(8192));

    let mut config = guest(DomainType::Hvm);
    config.b_info.device_model = Some("/gone".into());
    assert_eq!(decided(config).b_info.hvm().unwrap().bios, BiosType::Rombios);

    let mut config = guest(DomainType::Hvm);
    config.b_info.hvm_mut().unwrap().vga.kind = VgaInterfaceType::Std;
    config.b_info.video_memkb = Some(8192);
    assert_eq!(refused(config), "videoram=8: a std card needs at least 16 MiB");
}

#[test]
fn a_spice_server_needs_a_port_and_a_password() {
    let refused_with = |change: fn(&mut SpiceInfo)| {
        let mut config = guest(DomainType::Hvm);
        let spice = &mut config.b_info.hvm_mut().unwrap().spice;
        spice.enable = DefBool::TRUE;
        change(spice);
        apply(&mut config, &Host::default()).map_err(|e| e.to_string())
    };
    assert!(refused_with(|_| ()).unwrap_err().contains("spiceport="));
    assert!(refused_with(|spice| spice.port = 6000).unwrap_err().contains("spicepasswd="));
    assert!(refused_with(|spice| (spice.port, spice.passwd) = (6000, Some("".into()))).is_err());
    assert_eq!(refused_with(|spice| (spice.port, spice.disable_ticketing) = (6000, DefBool::TRUE)), Ok(()));
}

#[test]
fn former_places_of_values_are_heeded_once() {
    let mut config = guest(DomainType::Pv);
    config.b_info.pv_mut().unwrap().kernel = Some("/k".into());
    let b_info = decided(config.clone()).b_info;
    assert_eq!((b_info.kernel.as_deref(), &b_info.pv().unwrap().kernel), (Some("/k"), &None));
    config.b_info.kernel = Some("/other".into());
    assert!(refused(config).contains("former place"));
}

#[test]
fn a_disk_gets_a_backend_that_can_serve_it() {
    let backend = |path: &str, change: fn(&mut DeviceDisk)| {
        let mut config = guest(DomainType::Pv);
        let mut disk = DeviceDisk {
            pdev_path: Some(path.into()),
            vdev: Some("xvda".into()),
            format: DiskFormat::Raw,
            ..Default::default()
        };
        change(&mut disk);
        config.disks.push(disk);
        apply(&mut config, &Host::default()).map(|()| config.disks[0].backend).map_err(|e| e.to_string())
    };
    assert_eq!(backend("/dev/vg/disk", |_| ()), Ok(DiskBackend::Phy));
    assert_eq!(backend("/tmp/disk.img", |disk| disk.format = DiskFormat::Qcow2), Ok(DiskBackend::Qdisk));
    assert_eq!(
        backend("/dev/vg/disk", |disk| disk.specification = DiskSpecification::Virtio),
        Ok(DiskBackend::Standalone)
    );
    assert_eq!(backend("nbd:host", |disk| disk.script = Some("block-nbd".into())), Ok(DiskBackend::Phy));
    assert_eq!(backend("anything", |disk| disk.backend_domname = Some("storage".into())), Ok(DiskBackend::Phy));
    let error = backend("/gone", |_| ()).unwrap_err();
    assert!(error.starts_with("disk xvda: /gone: "), "{error}");
    let error = backend("/tmp", |disk| disk.backend = DiskBackend::Phy).unwrap_err();
    assert!(error.contains("neither a block device nor a file"), "{error}");
    let error = backend("", |disk| disk.format = DiskFormat::Empty).unwrap_err();
    assert!(error.contains("only a CD drive may be empty"), "{error}");
}

#[test]
fn interfaces_are_numbered_above_those_that_have_a_number() {
    let mut config = guest(DomainType::Hvm);
    config.nics = vec![DeviceNic::default(), DeviceNic { devid: Some(4), ..Default::default() }, DeviceNic::default()];
    let nics = decided(config).nics;
    assert_eq!(nics.iter().map(|nic| nic.devid).collect::<Vec<_>>(), [Some(5), Some(4), Some(6)]);
    assert_eq!(nics[0].mac.0[..3], [0x00, 0x16, 0x3e]);
    assert_ne!(nics[0].mac, nics[2].mac);
    assert_eq!(nics[0].nictype, NicType::VifIoemu);

    let mut config = guest(DomainType::Pvh);
    config.nics.push(DeviceNic { nictype: NicType::VifIoemu, ..Default::default() });
    assert_eq!(refused(config), "vif 0: type=ioemu: a pvh guest has no emulated interfaces");
}

#[test]
fn usb_devices_find_a_port() {
    let mut config = guest(DomainType::Hvm);
    config.usbctrls.push(DeviceUsbctrl { version: 1, ..Default::default() });
    config.usbdevs = vec![DeviceUsbdev::default(); 3];
    let config = decided(config);
    let places: Vec<_> = config.usbdevs.iter().map(|dev| (dev.ctrl.unwrap(), dev.port)).collect();
    assert_eq!(places, [(0, 1), (0, 2), (1, 1)]);
    assert_eq!((config.usbctrls[1].version, config.usbctrls[1].ports), (2, 6));

    let mut config = guest(DomainType::Pv);
    config.usbctrls.push(DeviceUsbctrl { ports: 32, ..Default::default() });
    assert_eq!(refused(config), "usbctrl 0: ports=32: a qusb controller of version 2 has 1 to 31");
}
