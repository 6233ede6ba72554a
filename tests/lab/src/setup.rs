//! What the lab needs on this machine: Debian packages, and the root directory of dom0 made from Debian's packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::apt::{self, Source};
use crate::process::{output, run_logged};
use crate::workspace::{self, Workspace};

/// The Debian release that dom0 is made of: the one with Xen 4.17.
const RELEASE: &str = "bookworm";

/// Packages for this machine: QEMU, the tools that make dom0's disk, and what building libxc takes.
const HOST_PACKAGES: [&str; 8] =
    ["qemu-system-x86", "mmdebstrap", "e2fsprogs", "cpio", "kmod", "xz-utils", "libxen-dev", "libclang-dev"];

/// Packages of dom0: Xen and its stock tools, a kernel, and what the cases use to look at a host.
const DOM0_PACKAGES: [&str; 25] = [
    "xen-hypervisor-4.17-amd64",
    "xen-utils-4.17",
    "xenstore-utils",
    "qemu-system-xen",
    "qemu-utils",
    "linux-image-amd64",
    "grub-xen-host",
    "busybox-static",
    "libgcc-s1",
    "kmod",
    "udev",
    "procps",
    "iproute2",
    "iptables",
    "iputils-ping",
    "bridge-utils",
    "ethtool",
    "pciutils",
    "usbutils",
    "python3-minimal",
    "socat",
    "strace",
    "nbd-client",
    "open-iscsi",
    "systemd", // for systemd-analyze
];

/// Installs the packages that this machine lacks, or says which commands do.
pub(crate) fn host_packages(workspace: &Workspace) -> Result<()> {
    let missing = missing_packages()?;
    if missing.is_empty() {
        return Ok(());
    }
    if !nix::unistd::geteuid().is_root() {
        bail!("{}", commands_for_root(&missing));
    }
    let log = workspace.cache().join("log/packages.log");
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").arg("-q").args(arguments);
        command
    };
    run_logged("packages: updating the list", &mut apt(&["update"]), &log)?;
    let install = [&["install", "-y", "--no-install-recommends"], &missing[..]].concat();
    run_logged(&format!("packages: installing {}", missing.join(" ")), &mut apt(&install), &log)
}

/// The packages of [`HOST_PACKAGES`] that dpkg does not have.
fn missing_packages() -> Result<Vec<&'static str>> {
    // dpkg-query exits 1 when it knows one of the names not at all: that is an answer too.
    let query = Command::new("dpkg-query")
        .args(["-W", "-f", "${db:Status-Abbrev} ${Package}\n"])
        .args(HOST_PACKAGES)
        .output()
        .map_err(|_| anyhow::anyhow!("{}", without_apt()))?;
    let installed = String::from_utf8_lossy(&query.stdout).into_owned();
    Ok(HOST_PACKAGES.into_iter().filter(|name| !is_installed(&installed, name)).collect())
}

fn is_installed(dpkg_list: &str, package: &str) -> bool {
    dpkg_list.lines().any(|line| line.starts_with("ii ") && line.split_whitespace().nth(1) == Some(package))
}

fn commands_for_root(missing: &[&str]) -> String {
    format!(
        "the lab needs packages, and installing them needs root. Run these two commands, then this one again:\n  \
         sudo apt-get update\n  sudo apt-get install -y --no-install-recommends {}",
        missing.join(" ")
    )
}

fn without_apt() -> String {
    format!(
        "the lab makes its dom0 from Debian's packages and needs dpkg and apt. On a Debian 12 machine, or in a \
         container of it, run as root:\n  apt-get install -y --no-install-recommends {}\n  cargo lab demo",
        HOST_PACKAGES.join(" ")
    )
}

/// dom0's root directory and, apart from it, its kernels and modules.
pub(crate) struct Dom0 {
    /// Changes with the packages and with where they come from.
    pub key: String,
    dir: PathBuf,
}

impl Dom0 {
    /// The root file system, with neither kernels nor modules.
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.join("root")
    }

    /// A root that holds `boot` and `lib/modules` only.
    pub(crate) fn kernels(&self) -> PathBuf {
        self.dir.join("kernels")
    }
}

/// Makes dom0's root from Debian's packages, unless it is there.
pub(crate) fn dom0(workspace: &Workspace) -> Result<Dom0> {
    let sources = apt::sources_of(RELEASE)?;
    let key = workspace::key(&(RELEASE, DOM0_PACKAGES, &sources));
    let dir = workspace::cached(&workspace.cache(), "dom0", &key, |dir| make_dom0(workspace, &sources, dir))?;
    Ok(Dom0 { key, dir })
}

fn make_dom0(workspace: &Workspace, sources: &[Source], dir: &Path) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!(
            "making dom0's root directory needs root (mmdebstrap). Run this once, then this command again:\n  \
             sudo env PATH=\"$PATH\" cargo lab setup"
        );
    }
    let root = dir.join("root");
    let [list, options] = ["sources.list", "apt.conf"].map(|name| dir.join(name));
    fs::write(&list, sources.iter().map(Source::line).collect::<String>())?;
    fs::write(&options, acquire_options(&output(Command::new("apt-config").args(["dump", "Acquire"]))?))?;
    let mut command = Command::new("mmdebstrap");
    command
        .env("INITRD", "No") // the kernel package would spend half a minute on an initrd that nobody boots
        .arg("--variant=minbase")
        .arg("--dpkgopt=force-unsafe-io")
        .args(["doc", "man", "locale"].map(|d| format!("--dpkgopt=path-exclude=/usr/share/{d}/*")))
        .arg(format!("--aptopt={}", options.display()))
        .arg(format!("--include={}", DOM0_PACKAGES.join(",")))
        .arg(RELEASE)
        .arg(&root)
        .arg(&list);
    let log = workspace.cache().join("log/dom0.log");
    run_logged("dom0: making its root from Debian packages (about a minute)", &mut command, &log)?;
    let kernels = dir.join("kernels");
    fs::create_dir_all(kernels.join("lib"))?;
    fs::rename(root.join("boot"), kernels.join("boot"))?;
    fs::rename(root.join("usr/lib/modules"), kernels.join("lib/modules"))?;
    Ok(())
}

/// How this machine's apt fetches (proxies, checks of dates), as options for the one that fills dom0.
fn acquire_options(dump: &str) -> String {
    let set = dump.lines().filter(|l| !l.ends_with(" \"\";"));
    set.filter(|l| !l.starts_with("Acquire::IndexTargets")).flat_map(|l| [l, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_package_with_configuration_left_is_not_installed() {
        let list = "ii  cpio\nrc  kmod\nun  mmdebstrap\n";
        assert!(is_installed(list, "cpio"));
        assert!(!is_installed(list, "kmod"));
        assert!(!is_installed(list, "mmdebstrap"));
    }

    #[test]
    fn the_commands_for_root_name_what_is_missing() {
        let text = commands_for_root(&["cpio", "kmod"]);
        assert!(text.contains("sudo apt-get install -y --no-install-recommends cpio kmod"));
    }

    #[test]
    fn acquire_options_keep_proxies_and_drop_empty_groups() {
        let dump = "Acquire \"\";\nAcquire::http \"\";\nAcquire::http::Proxy \"http://p.example:3142/\";\n\
                    Acquire::IndexTargets::deb::DEP-11::KeepCompressed \"true\";\n";
        assert_eq!(acquire_options(dump), "Acquire::http::Proxy \"http://p.example:3142/\";\n");
    }
}
