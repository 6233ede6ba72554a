//! What can be known before a domain is created: that what its configuration names is there.

use libxl::types::{DiskBackend, DiskFormat, DomainConfig, TypeInfo};
use std::path::Path;

/// What there is of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing.
    Nothing,
    /// A directory.
    Directory,
    /// A file or a device.
    File,
}

impl Found {
    /// What is wrong with it where a file or a device is needed.
    fn problem(self, path: &str) -> Option<String> {
        match self {
            Found::Nothing => Some(format!("there is no {path}")),
            Found::Directory => Some(format!("{path} is a directory")),
            Found::File => None,
        }
    }
}

/// What of the host a configuration may name; a value of it is the host itself, or a pretended one.
pub(crate) trait Host {
    /// What there is of this path.
    fn find(&self, path: &Path) -> Found;
    /// Whether there is a network bridge of this name; `None` if that cannot be told.
    fn has_bridge(&self, name: &str) -> Option<bool>;
    /// Whether a domain has this name; `None` if that cannot be told.
    fn has_domain(&self, name: &str) -> Option<bool>;
}

/// What is missing or in the way, one line each.
pub(crate) fn problems(config: &DomainConfig, host: &dyn Host) -> Vec<String> {
    let mut problems = Vec::new();
    files(config, host, &mut problems);
    disks(config, host, &mut problems);
    bridges(config, host, &mut problems);
    if let Some(name) = &config.c_info.name
        && host.has_domain(name) == Some(true)
    {
        problems.push(format!("there is already a domain `{name}'"));
    }
    problems
}

/// The files that libxl or the device model opens.
fn files(config: &DomainConfig, host: &dyn Host, problems: &mut Vec<String>) {
    let build = &config.b_info;
    let mut named = vec![
        ("kernel", &build.kernel),
        ("ramdisk", &build.ramdisk),
        ("bootloader", &build.bootloader),
        ("device_model_override", &build.device_model),
        ("stubdomain_kernel", &build.stubdomain_kernel),
        ("stubdomain_ramdisk", &build.stubdomain_ramdisk),
    ];
    match &build.type_info {
        TypeInfo::Hvm(hvm) => named.extend([
            ("firmware_override", &hvm.firmware),
            ("bios_path_override", &hvm.system_firmware),
            ("smbios_firmware", &hvm.smbios_firmware),
            ("acpi_firmware", &hvm.acpi_firmware),
        ]),
        TypeInfo::Pvh(pvh) => named.push(("pvshim_path", &pvh.pvshim_path)),
        _ => {}
    }
    for (key, path) in named {
        let path = path.as_deref().filter(|path| path.starts_with('/'));
        if let Some(problem) = path.and_then(|path| host.find(Path::new(path)).problem(path)) {
            problems.push(format!("{key}: {problem}"));
        }
    }
}

/// Targets that this domain serves from files or devices of its own.
fn disks(config: &DomainConfig, host: &dyn Host, problems: &mut Vec<String>) {
    let served_here = |domain: &Option<String>| domain.as_deref().is_none_or(|d| matches!(d, "0" | "Domain-0"));
    for disk in &config.disks {
        let by_path = matches!(disk.backend, DiskBackend::Unknown | DiskBackend::Phy | DiskBackend::Qdisk);
        let of_its_own = disk.script.is_some() || disk.format == DiskFormat::Empty;
        let target = disk.pdev_path.as_deref().filter(|target| target.starts_with('/'));
        if let Some(target) = target
            && served_here(&disk.backend_domname)
            && by_path
            && !of_its_own
            && let Some(problem) = host.find(Path::new(target)).problem(target)
        {
            let vdev = disk.vdev.as_deref().unwrap_or_default();
            problems.push(format!("disk {vdev}: {problem}"));
        }
    }
}

fn bridges(config: &DomainConfig, host: &dyn Host, problems: &mut Vec<String>) {
    for (number, nic) in config.nics.iter().enumerate() {
        // Only the usual script, vif-bridge, attaches to a bridge.
        let to_bridge = nic.script.as_deref().is_none_or(|script| script.ends_with("vif-bridge"));
        let bridge = nic.bridge.as_deref().unwrap_or("xenbr0");
        if to_bridge && nic.backend_domname.is_none() && host.has_bridge(bridge) == Some(false) {
            let from = if nic.bridge.is_none() { " (libxl's default)" } else { "" };
            problems.push(format!("vif {number}: there is no bridge {bridge}{from}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libxl::types::{DeviceDisk, DeviceNic};

    /// Has the file /there, the directory /directory, bridge0, and a domain `taken`.
    struct Pretended;

    impl Host for Pretended {
        fn find(&self, path: &Path) -> Found {
            match path.to_str() {
                Some("/there") => Found::File,
                Some("/directory") => Found::Directory,
                _ => Found::Nothing,
            }
        }
        fn has_bridge(&self, name: &str) -> Option<bool> {
            Some(name == "bridge0")
        }
        fn has_domain(&self, name: &str) -> Option<bool> {
            Some(name == "taken")
        }
    }

    fn disk(target: &str) -> DeviceDisk {
        DeviceDisk { pdev_path: Some(target.into()), vdev: Some("xvda".into()), ..DeviceDisk::default() }
    }

    #[test]
    fn names_what_is_missing() {
        let mut config = DomainConfig::default();
        config.c_info.name = Some("taken".into());
        config.b_info.kernel = Some("/gone".into());
        config.b_info.ramdisk = Some("/there".into());
        config.disks = vec![disk("/there"), disk("/gone"), disk("/directory")];
        config.nics = vec![DeviceNic { bridge: Some("bridge0".into()), ..DeviceNic::default() }, DeviceNic::default()];
        assert_eq!(
            problems(&config, &Pretended),
            [
                "kernel: there is no /gone",
                "disk xvda: there is no /gone",
                "disk xvda: /directory is a directory",
                "vif 1: there is no bridge xenbr0 (libxl's default)",
                "there is already a domain `taken'"
            ]
        );
    }

    #[test]
    fn leaves_alone_what_others_serve() {
        let mut config = DomainConfig::default();
        let elsewhere = DeviceDisk { backend_domname: Some("storage".into()), ..disk("/gone") };
        let scripted = DeviceDisk { script: Some("block-iscsi".into()), ..disk("/gone") };
        config.disks = vec![elsewhere, scripted];
        config.nics = vec![DeviceNic { script: Some("vif-route".into()), ..DeviceNic::default() }];
        assert_eq!(problems(&config, &Pretended), Vec::<String>::new());
    }
}
