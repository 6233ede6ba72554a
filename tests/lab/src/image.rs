//! What QEMU boots: Xen, dom0's kernel, its small initrd and its disk; and the guest's ramdisk.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::output;
use crate::progress;
use crate::setup::Dom0;
use crate::workspace::{self, Workspace};

/// Modules that dom0's disk carries: Xen's own, devices for guests, file systems, what the hotplug scripts load.
const DOM0_MODULES: [&str; 49] = [
    "xen-privcmd",
    "xenfs",
    "xen-evtchn",
    "xen-gntdev",
    "xen-gntalloc",
    "xen-blkback",
    "xen-netback",
    "xen-pciback",
    "xen-blkfront",
    "xen-netfront",
    "bridge",
    "loop",
    "tun",
    "veth",
    "nbd",
    "virtio_pci",
    "virtio_blk",
    "virtio_net",
    "virtio_console",
    "ext4",
    "9p",
    "9pnet_virtio",
    "9pnet_xen",
    "e1000",
    "e1000e",
    "sch_plug",
    "sch_prio",
    "sch_ingress",
    "ifb",
    "act_mirred",
    "act_police",
    "cls_u32",
    "usb-storage",
    "usbsevseg",
    "xhci-pci",
    "ehci-pci",
    "iptable_nat",
    "iptable_filter",
    "xt_physdev",
    "xt_conntrack",
    "br_netfilter",
    "dummy",
    "sd_mod",
    "iscsi_tcp",
    "iscsi_target_mod",
    "target_core_file",
    "xt_nat",
    "xt_tcpudp",
    "netconsole",
];

/// Modules that dom0's initrd loads to reach its disk.
const INITRD_MODULES: [&str; 3] = ["virtio_pci", "virtio_blk", "ext4"];

/// Modules that the Linux guest's ramdisk loads.
const GUEST_MODULES: [&str; 2] = ["xen-blkfront", "xen-netfront"];

/// The files that QEMU boots.
pub(crate) struct Image {
    dir: PathBuf,
}

impl Image {
    /// The image in directory `dir`.
    #[cfg(test)]
    pub(crate) fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    pub(crate) fn xen(&self) -> PathBuf {
        self.dir.join("xen")
    }

    pub(crate) fn kernel(&self) -> PathBuf {
        self.dir.join("vmlinuz")
    }

    pub(crate) fn initrd(&self) -> PathBuf {
        self.dir.join("initrd.gz")
    }

    pub(crate) fn disk(&self) -> PathBuf {
        self.dir.join("dom0.img")
    }

    /// Makes the image, unless one of the same inputs is there.
    pub(crate) fn prepare(workspace: &Workspace, dom0: &Dom0) -> Result<Self> {
        let files = workspace.lab().join("dom0");
        let key = workspace::key(&(
            &dom0.key,
            workspace::contents(&files)?,
            include_str!("image.rs"), // how it is made is an input too
        ));
        let dir = workspace::cached(&workspace.cache(), "image", &key, |dir| {
            progress::say("image: dom0's disk, initrd and the guest's ramdisk");
            Builder { dom0, files: &files, kernel: kernel_version(&dom0.kernels())?, dir }.build()
        })?;
        Ok(Self { dir })
    }
}

/// The version of the one kernel in `lib/modules`.
fn kernel_version(root: &Path) -> Result<String> {
    let modules = root.join("lib/modules");
    let entry = fs::read_dir(&modules)?.next().with_context(|| format!("no kernel in {}", modules.display()))??;
    Ok(entry.file_name().to_string_lossy().into_owned())
}

struct Builder<'a> {
    dom0: &'a Dom0,
    /// tests/lab/dom0
    files: &'a Path,
    kernel: String,
    dir: &'a Path,
}

impl Builder<'_> {
    fn build(&self) -> Result<()> {
        self.extract_xen()?;
        fs::copy(self.boot("vmlinuz"), self.dir.join("vmlinuz"))?;
        self.extract_kernel()?;
        output(Command::new("depmod").arg("-b").arg(self.dom0.kernels()).arg(&self.kernel))?;
        self.pack_ramdisk("guest", "guest.gz", &GUEST_MODULES)?;
        self.pack_ramdisk("initrd", "initrd.gz", &INITRD_MODULES)?;
        self.make_disk()
    }

    fn boot(&self, file: &str) -> PathBuf {
        self.dom0.kernels().join("boot").join(format!("{file}-{}", self.kernel))
    }

    /// QEMU's multiboot loader wants Xen uncompressed.
    fn extract_xen(&self) -> Result<()> {
        let compressed = self.dom0.kernels().join("boot/xen-4.17-amd64.gz");
        shell("gzip -dc \"$1\" > \"$2\"", &[&compressed, &self.dir.join("xen")])
    }

    /// The kernel as a bootloader unpacks it. Guests of the cases boot this one: unpacking it for each takes six seconds
    /// under software emulation.
    fn extract_kernel(&self) -> Result<()> {
        let image = fs::read(self.dir.join("vmlinuz"))?;
        let packed = self.dir.join("vmlinux.xz");
        fs::write(&packed, payload(&image).context("vmlinuz: no payload where its header says")?)?;
        shell("xz -dc \"$1\" > \"$2\"", &[&packed, &self.dir.join("vmlinux")])?;
        Ok(fs::remove_file(packed)?)
    }

    /// A busybox ramdisk around `files/<name>-init`, with the modules listed in load order in /modules.
    fn pack_ramdisk(&self, name: &str, archive: &str, modules: &[&str]) -> Result<()> {
        let tree = self.dir.join(name);
        for dir in ["bin", "sbin", "dev", "proc", "sys", "mnt", "tmp", "lib"] {
            fs::create_dir_all(tree.join(dir))?;
        }
        fs::copy(self.dom0.root().join("usr/bin/busybox"), tree.join("bin/busybox"))?;
        let mut list = String::new();
        for module in self.module_files(modules)? {
            let file = Path::new("lib").join(module.file_name().context("a module has a name")?);
            fs::copy(&module, tree.join(&file)).with_context(|| format!("copying {}", module.display()))?;
            list += &format!("/{}\n", file.display());
        }
        fs::write(tree.join("modules"), list)?;
        install_executable(&self.files.join(format!("{name}-init")), &tree.join("init"))?;
        shell("cd \"$1\" && find . | cpio --quiet -o -H newc | gzip -9n > \"$2\"", &[&tree, &self.dir.join(archive)])?;
        Ok(fs::remove_dir_all(tree)?)
    }

    /// dom0's root with the lab's files, the guests' kernels and the modules it may load, as an ext4 file system.
    fn make_disk(&self) -> Result<()> {
        let tree = self.dir.join("tree");
        output(Command::new("cp").arg("-al").arg(self.dom0.root()).arg(&tree))?;
        fs::create_dir_all(tree.join("boot"))?;
        for file in ["vmlinuz", "vmlinux", "guest.gz"] {
            fs::hard_link(self.dir.join(file), tree.join("boot").join(file))?;
        }
        self.copy_modules(&tree)?;
        install_executable(&self.files.join("dom0-init"), &tree.join("lab-init"))?;
        install_executable(&self.files.join("stockxl"), &tree.join("usr/local/bin/stockxl"))?;
        // The tree under test is installed over the ones in /etc; a link would change with them.
        output(
            Command::new("cp").arg("-a").args(["etc/xen/scripts", "usr/lib/xen-4.17/scripts"].map(|d| tree.join(d))),
        )?;
        let disk = self.dir.join("dom0.img");
        fs::File::create(&disk)?.set_len(3 << 30)?;
        output(Command::new("mke2fs").args(["-q", "-t", "ext4", "-O", "^has_journal", "-d"]).args([&tree, &disk]))?;
        Ok(fs::remove_dir_all(tree)?)
    }

    fn copy_modules(&self, tree: &Path) -> Result<()> {
        let kernels = self.dom0.kernels();
        let below = |path: &Path| -> Result<PathBuf> { Ok(tree.join("usr").join(path.strip_prefix(&kernels)?)) };
        let mut files = self.module_files(&DOM0_MODULES)?;
        let lists = ["builtin", "order", "builtin.modinfo"].map(|list| format!("modules.{list}"));
        files.extend(lists.map(|list| kernels.join("lib/modules").join(&self.kernel).join(list)));
        for file in files {
            let copy = below(&file)?;
            fs::create_dir_all(copy.parent().context("a module is in a directory")?)?;
            fs::copy(&file, copy).with_context(|| format!("copying {}", file.display()))?;
        }
        output(Command::new("depmod").arg("-b").arg(tree).arg(&self.kernel)).map(drop)
    }

    /// The files of `modules` and of what they depend on, in the order of loading; modules built into the kernel
    /// have none.
    fn module_files(&self, modules: &[&str]) -> Result<Vec<PathBuf>> {
        let mut seen = BTreeSet::new();
        let mut files = Vec::new();
        for module in modules {
            let mut modprobe = Command::new("modprobe");
            modprobe.arg("-d").arg(self.dom0.kernels()).args(["-S", &self.kernel, "--show-depends", module]);
            for file in output(&mut modprobe)?.lines().filter_map(inserted_file) {
                files.extend(seen.insert(file.clone()).then_some(file));
            }
        }
        Ok(files)
    }
}

/// The compressed kernel in a bzImage, without the size behind it (Linux's Documentation/x86/boot.rst).
fn payload(image: &[u8]) -> Option<&[u8]> {
    let word = |at: usize| Some(u32::from_le_bytes(*image.get(at..)?.first_chunk()?) as usize);
    let kernel = image.get((usize::from(*image.get(0x1f1)?) + 1) * 512..)?;
    let (offset, length) = (word(0x248)?, word(0x24c)?);
    kernel.get(offset..)?.get(..length.checked_sub(4)?)
}

/// The file of a line "insmod FILE.ko OPTION..." of modprobe's.
fn inserted_file(line: &str) -> Option<PathBuf> {
    let (stem, _options) = line.strip_prefix("insmod ")?.rsplit_once(".ko")?;
    Some(PathBuf::from(format!("{stem}.ko")))
}

/// Runs a line of shell with `paths` as its arguments.
fn shell(script: &str, paths: &[&Path]) -> Result<()> {
    output(Command::new("sh").args(["-ec", script, "sh"]).args(paths)).map(drop)
}

fn install_executable(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("copying {}", from.display()))?;
    Ok(fs::set_permissions(to, fs::Permissions::from_mode(0o755))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_of_a_kernel_is_where_its_header_says() {
        let mut image = vec![0; 0x600];
        image[0x1f1] = 1;
        image[0x248] = 0x10;
        image[0x24c] = 4 + 3;
        image[0x410..0x413].copy_from_slice(b"abc");
        assert_eq!(payload(&image), Some(&b"abc"[..]));
        assert_eq!(payload(&image[..0x412]), None);
        assert_eq!(payload(&image[..0x100]), None);
    }

    #[test]
    fn options_of_a_module_are_not_its_file() {
        assert_eq!(inserted_file("insmod /l m/ifb.ko numifbs=0 "), Some(PathBuf::from("/l m/ifb.ko")));
        assert_eq!(inserted_file("insmod /l/tun.ko "), Some(PathBuf::from("/l/tun.ko")));
        assert_eq!(inserted_file("builtin ext4"), None);
    }
}
