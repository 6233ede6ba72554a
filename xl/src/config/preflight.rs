//! What can be known before a domain is created: that what its configuration names is there.

use super::diagnostic::Diagnostics;
use super::grammar::Settings;
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

/// Something that is missing or in the way.
#[derive(Debug, PartialEq)]
pub(crate) struct Problem {
    /// The key that names it.
    key: &'static str,
    /// Which item of the key's list, if that is one.
    item: Option<usize>,
    /// What is wrong.
    message: String,
    /// What to do about it.
    help: &'static str,
}

impl Problem {
    /// Records it where the configuration names what is missing.
    pub(crate) fn tell(self, settings: &Settings, diagnostics: &mut Diagnostics) {
        let value = settings.get(self.key).map(|setting| &setting.value);
        let item = self.item.and_then(|item| value?.list()?.get(item));
        let error = match item.or(value) {
            Some(value) => diagnostics.error(value.span, self.message),
            None => diagnostics.error_overall(self.message),
        };
        error.help(self.help);
    }
}

/// What is missing or in the way.
pub(crate) fn problems(config: &DomainConfig, host: &dyn Host) -> Vec<Problem> {
    let mut problems = Vec::new();
    files(config, host, &mut problems);
    disks(config, host, &mut problems);
    bridges(config, host, &mut problems);
    if let Some(name) = &config.c_info.name
        && host.has_domain(name) == Some(true)
    {
        problems.push(Problem {
            key: "name",
            item: None,
            message: format!("there is already a domain `{name}'"),
            help: "give this one another name, or end the other (xl shutdown, xl destroy)",
        });
    }
    problems
}

/// The files that libxl or the device model opens.
fn files(config: &DomainConfig, host: &dyn Host, problems: &mut Vec<Problem>) {
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
            let help = "give the path of a file, as domain 0 has it";
            problems.push(Problem { key, item: None, message: format!("{key}: {problem}"), help });
        }
    }
}

/// Targets that this domain serves from files or devices of its own.
fn disks(config: &DomainConfig, host: &dyn Host, problems: &mut Vec<Problem>) {
    let served_here = |domain: &Option<String>| domain.as_deref().is_none_or(|d| matches!(d, "0" | "Domain-0"));
    for (number, disk) in config.disks.iter().enumerate() {
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
            let help = "the target is a block device or an image file; another domain's disk has backend=NAME";
            problems.push(Problem {
                key: "disk",
                item: Some(number),
                message: format!("disk {vdev}: {problem}"),
                help,
            });
        }
    }
}

fn bridges(config: &DomainConfig, host: &dyn Host, problems: &mut Vec<Problem>) {
    for (number, nic) in config.nics.iter().enumerate() {
        // Only the usual script, vif-bridge, attaches to a bridge.
        let to_bridge = nic.script.as_deref().is_none_or(|script| script.ends_with("vif-bridge"));
        let bridge = nic.bridge.as_deref().unwrap_or("xenbr0");
        if to_bridge && nic.backend_domname.is_none() && host.has_bridge(bridge) == Some(false) {
            let from = if nic.bridge.is_none() { " (libxl's default)" } else { "" };
            problems.push(Problem {
                key: "vif",
                item: Some(number),
                message: format!("vif {number}: there is no bridge {bridge}{from}"),
                help: "make one (ip link add NAME type bridge), or name another: bridge= here, vif.default.bridge in xl.conf",
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::form::Form;
    use super::super::source::Source;
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

    fn messages(config: &DomainConfig) -> Vec<String> {
        problems(config, &Pretended).into_iter().map(|problem| problem.message).collect()
    }

    /// The line of the disk that is not there, and what to do.
    #[test]
    fn problems_have_places() {
        let source = Source::new("a.cfg", b"disk = [ '/there,raw,xvda',\n '/gone,raw,xvdb' ]\n");
        let mut found = Diagnostics::new(true);
        let settings = Form::Cfg.parse(&source, &mut found);
        let config = DomainConfig { disks: vec![disk("/there"), disk("/gone")], ..DomainConfig::default() };
        problems(&config, &Pretended).into_iter().for_each(|problem| problem.tell(&settings, &mut found));
        let told = found.render(&source);
        assert!(told.starts_with("a.cfg:2:2: error: disk xvda: there is no /gone\n"), "{told}");
        assert!(told.contains("= the target is"), "{told}");
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
            messages(&config),
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
        assert_eq!(messages(&config), Vec::<String>::new());
    }
}
