//! The rc.d scripts of FreeBSD and NetBSD: their syntax, and what their functions do with services that only wait.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A daemon that takes the options of Xen's: it writes its pidfile, goes into the background and waits for a signal.
const DAEMON: &str = r#"#!/bin/sh
[ "$1" != devd ] || shift
case $1 in
    --pid-file) file=$2 ;;
    *) file=${1#*=} ;;
esac
( trap 'exit 0' TERM; while :; do sleep 1 & wait; done ) > /dev/null 2>&1 < /dev/null &
echo $! > "$file"
"#;

/// A host of its own for one system's scripts. What still runs at its end is ended.
struct Host {
    dir: PathBuf,
    /// How a line of rc.conf enables a service, with `@` for its name.
    enable: &'static str,
}

impl Host {
    fn new(system: &str, test: &str, enable: &'static str) -> Self {
        let lab = Path::new(env!("CARGO_MANIFEST_DIR"));
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("rc-{system}-{test}"));
        let _ = fs::remove_dir_all(&dir);
        for (program, text) in [
            ("sbin/xenstored", DAEMON),
            ("sbin/xenconsoled", DAEMON),
            ("sbin/xl", DAEMON),
            ("lib/xen/bin/xen-init-dom0", "#!/bin/sh\necho made >> \"$XEN_LOG_DIR/dom0\"\n"),
        ] {
            let path = dir.join(program);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let rc_subr = lab.join("tests/rc.subr").display().to_string();
        let from = lab.join("../../hotplug").join(system).join("rc.d");
        for name in ["xencommons", "xendriverdomain"] {
            let text = fs::read_to_string(from.join(name)).unwrap();
            assert!(text.contains(". /etc/rc.subr\n"));
            fs::write(dir.join(name), text.replace("/etc/rc.subr", &rc_subr)).unwrap();
        }
        Self { dir, enable }
    }

    /// Runs a script on a host whose rc.conf enables it, or does not.
    fn run(&self, script: &str, verb: &str, enabled: bool) -> Output {
        let mut rc_conf = self.enable.replace('@', script);
        if !enabled {
            rc_conf.clear();
        }
        Command::new("sh")
            .arg(self.dir.join(script))
            .arg(verb)
            .env("RC_CONF", rc_conf)
            .env("XEN_PREFIX", &self.dir)
            .env("XEN_RUN_DIR", self.dir.join("run"))
            .env("XEN_LOG_DIR", self.dir.join("log"))
            .output()
            .unwrap()
    }

    /// The same on a host where it is enabled; whether it succeeded.
    fn succeeds(&self, script: &str, verb: &str) -> bool {
        self.run(script, verb, true).status.success()
    }

    fn pid(&self, daemon: &str) -> Option<String> {
        fs::read_to_string(self.dir.join("run").join(format!("{daemon}.pid"))).ok()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for pid in ["xenstored", "xenconsoled", "xldevd"].iter().filter_map(|daemon| self.pid(daemon)) {
            // Only one that runs from this directory, never another's that has the number by now.
            let command = fs::read_to_string(format!("/proc/{}/cmdline", pid.trim())).unwrap_or_default();
            if command.contains(&self.dir.display().to_string()) {
                let _ = Command::new("kill").arg(pid.trim()).status();
            }
        }
    }
}

fn systems(test: &str) -> [Host; 2] {
    [Host::new("freebsd", test, "@_enable=YES"), Host::new("netbsd", test, "@=YES")]
}

#[test]
fn the_syntax_is_that_of_sh() {
    for host in systems("syntax") {
        for script in ["xencommons", "xendriverdomain"] {
            let checked = Command::new("sh").arg("-n").arg(host.dir.join(script)).output().unwrap();
            assert!(checked.status.success(), "{checked:?}");
        }
    }
}

#[test]
fn a_service_that_is_not_enabled_is_not_started() {
    for host in systems("disabled") {
        assert!(host.run("xencommons", "start", false).status.success());
        assert!(host.run("xendriverdomain", "start", false).status.success());
        assert_eq!((host.pid("xenstored"), host.pid("xldevd")), (None, None));
    }
}

#[test]
fn xencommons_starts_what_does_not_run_and_leaves_xenstored() {
    for host in systems("xencommons") {
        assert!(!host.succeeds("xencommons", "status"));
        assert!(host.succeeds("xencommons", "start"));
        assert!(host.succeeds("xencommons", "status"));
        let first = (host.pid("xenstored"), host.pid("xenconsoled"));
        assert!(host.succeeds("xencommons", "start"));
        assert_eq!((host.pid("xenstored"), host.pid("xenconsoled")), first, "started twice");

        assert!(host.succeeds("xencommons", "stop"));
        let stopped = host.run("xencommons", "status", true);
        assert_eq!(String::from_utf8_lossy(&stopped.stdout), "not running: xenconsoled\n");
        assert!(host.succeeds("xencommons", "restart"));
        assert!(host.succeeds("xencommons", "status"));
        assert_eq!(host.pid("xenstored"), first.0, "xenstored forgets its domains when it is started again");
        assert_ne!(host.pid("xenconsoled"), first.1);
    }
}

#[test]
fn xendriverdomain_takes_a_stale_pidfile_for_what_it_is() {
    for host in systems("xendriverdomain") {
        fs::create_dir_all(host.dir.join("run")).unwrap();
        fs::write(host.dir.join("run/xldevd.pid"), format!("{}\n", std::process::id())).unwrap();
        assert!(!host.succeeds("xendriverdomain", "status"));
        assert!(host.succeeds("xendriverdomain", "start"));
        assert!(host.succeeds("xendriverdomain", "status"));
        let first = host.pid("xldevd");
        assert!(host.succeeds("xendriverdomain", "start"));
        assert_eq!(host.pid("xldevd"), first, "started twice");
        assert!(host.succeeds("xendriverdomain", "stop"));
        assert!(!host.succeeds("xendriverdomain", "status"));
        assert_eq!(host.pid("xldevd"), None);
        assert!(host.succeeds("xendriverdomain", "stop"), "stopped twice");
    }
}
