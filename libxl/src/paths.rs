//! Where things are on the host: the directories and programs that Xen's `config/Paths.mk` names.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The directories and programs of this host. The program that uses the library fills it in: from the
/// prefix it is installed under, and from the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// Run-time state, gone after a reboot: QMP sockets, the domid history (`XEN_RUN_DIR`).
    pub run: PathBuf,
    /// State of domains: userdata, QEMU's saved state (`XEN_LIB_DIR`).
    pub lib: PathBuf,
    /// Logs (`XEN_LOG_DIR`).
    pub log: PathBuf,
    /// Locks (`XEN_LOCK_DIR`).
    pub lock: PathBuf,
    /// Core dumps of domains (`XEN_DUMP_DIR`).
    pub dump: PathBuf,
    /// Configuration (`XEN_CONFIG_DIR`).
    pub config: PathBuf,
    /// Hotplug scripts (`XEN_SCRIPT_DIR`).
    pub scripts: PathBuf,
    /// Helper programs (`LIBEXEC_BIN`).
    pub libexec_bin: PathBuf,
    /// hvmloader and other firmware (`XENFIRMWAREDIR`).
    pub firmware: PathBuf,
    /// The device model (`QEMU_XEN_PATH`).
    pub qemu: PathBuf,
    /// The program that connects a terminal to a domain's console.
    pub console: PathBuf,
    /// The program that waits for a domain's end.
    pub monitor: PathBuf,
    /// The helper that copies a domain's memory.
    pub save_helper: PathBuf,
    /// The helper that converts streams of Xen before 4.6.
    pub convert_helper: PathBuf,
    /// xenstored's socket.
    pub xenstored_socket: PathBuf,
    /// The kernel's device for xenstore.
    pub xenbus_device: PathBuf,
    /// The file in which Linux names the hypervisor it runs under.
    pub hypervisor_type: PathBuf,
}

impl Paths {
    /// The paths of a toolstack installed under this prefix (`/usr`, `/usr/local`). State, logs and
    /// configuration are where every Xen toolstack of the host expects them.
    pub fn installed(prefix: &Path) -> Paths {
        let libexec = prefix.join("lib/xen");
        let libexec_bin = libexec.join("bin");
        Paths {
            run: "/run/xen".into(),
            lib: "/var/lib/xen".into(),
            log: "/var/log/xen".into(),
            lock: "/var/lock".into(),
            dump: "/var/lib/xen/dump".into(),
            config: "/etc/xen".into(),
            scripts: "/etc/xen/scripts".into(),
            console: libexec_bin.join("xenconsole"),
            monitor: libexec_bin.join("xl-monitor"),
            save_helper: libexec_bin.join("libxl-save-helper"),
            convert_helper: libexec_bin.join("convert-legacy-stream"),
            firmware: libexec.join("boot"),
            qemu: "/usr/libexec/xen-qemu-system-i386".into(),
            libexec_bin,
            xenstored_socket: "/run/xenstored/socket".into(),
            xenbus_device: "/dev/xen/xenbus".into(),
            hypervisor_type: "/sys/hypervisor/type".into(),
        }
    }

    /// Applies the environment variables that stock libxl and libxenstore honour, as `lookup` gives them:
    /// `LIBXL_SAVE_HELPER`, `LIBXL_CONVERT_HELPER`, `XENSTORED_RUNDIR`, `XENSTORED_PATH`.
    pub fn with_environment(mut self, lookup: impl Fn(&str) -> Option<OsString>) -> Paths {
        let path = |name: &str| lookup(name).map(PathBuf::from);
        if let Some(helper) = path("LIBXL_SAVE_HELPER") {
            self.save_helper = helper;
        }
        if let Some(helper) = path("LIBXL_CONVERT_HELPER") {
            self.convert_helper = helper;
        }
        if let Some(rundir) = path("XENSTORED_RUNDIR") {
            self.xenstored_socket = rundir.join("socket");
        }
        // A socket or a device: it stands for both.
        if let Some(xenstored) = path("XENSTORED_PATH") {
            self.xenstored_socket = xenstored.clone();
            self.xenbus_device = xenstored;
        }
        self
    }

    /// Every path that holds state, moved below `root`: a toolstack that leaves the host alone.
    pub fn rooted(mut self, root: &Path) -> Paths {
        for path in [
            &mut self.run,
            &mut self.lib,
            &mut self.log,
            &mut self.lock,
            &mut self.dump,
            &mut self.config,
            &mut self.scripts,
            &mut self.xenstored_socket,
            &mut self.xenbus_device,
            &mut self.hypervisor_type,
        ] {
            *path = root.join(path.strip_prefix("/").unwrap_or(path));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn helpers_follow_the_prefix() {
        let paths = Paths::installed(Path::new("/opt/xen"));
        assert_eq!(paths.save_helper, Path::new("/opt/xen/lib/xen/bin/libxl-save-helper"));
        assert_eq!(paths.lib, Path::new("/var/lib/xen"));
    }

    #[test]
    fn the_environment_overrides() {
        let environment = |name: &str| match name {
            "LIBXL_SAVE_HELPER" => Some("/tmp/helper".into()),
            "XENSTORED_RUNDIR" => Some("/tmp/xs".into()),
            _ => None,
        };
        let paths = Paths::installed(Path::new("/usr")).with_environment(environment);
        assert_eq!(paths.save_helper, Path::new("/tmp/helper"));
        assert_eq!(paths.xenstored_socket, Path::new("/tmp/xs/socket"));
        assert_eq!(paths.xenbus_device, Path::new("/dev/xen/xenbus"));

        let both = |name: &str| (name == "XENSTORED_PATH").then(|| "/tmp/sock".into());
        let paths = Paths::installed(Path::new("/usr")).with_environment(both);
        assert_eq!((paths.xenstored_socket, paths.xenbus_device), ("/tmp/sock".into(), "/tmp/sock".into()));
    }

    #[test]
    fn rooted_moves_state_and_keeps_programs() {
        let paths = Paths::installed(Path::new("/usr")).rooted(Path::new("/tmp/r"));
        assert_eq!(paths.log, Path::new("/tmp/r/var/log/xen"));
        assert_eq!(paths.libexec_bin, Path::new("/usr/lib/xen/bin"));
    }
}
