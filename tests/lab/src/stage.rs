//! The tree as installed on a host: prefix /usr/local, as Xen's own `make install` has it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::run_logged;
use crate::workspace::Workspace;

/// How much time the compiler may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// Little: for tests.
    Quick,
    /// Minutes: what a host gets, and what benchmarks measure.
    Release,
}

impl Build {
    /// The profile of the root Cargo.toml.
    fn profile(self) -> &'static str {
        match self {
            Build::Quick => "lab",
            Build::Release => "release",
        }
    }
}

/// Builds the programs and puts the installed tree under `dir`.
pub(crate) fn stage(workspace: &Workspace, dir: &Path) -> Result<()> {
    build(workspace, Build::Release)?;
    install(workspace, Build::Release, dir)
}

/// What the programs are built for. Named, so that the flags below are for them alone and not for build scripts.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Linked with everything they need, at fixed addresses: starting takes half the system calls, instructions and page
/// faults (each goes through Xen in a PV dom0), and they run in driver domains of any distribution.
const STATIC: (&str, &str) =
    ("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "-C target-feature=+crt-static -C relocation-model=static");

/// Builds xl and the helpers as they are installed.
pub(crate) fn build(workspace: &Workspace, build: Build) -> Result<()> {
    let mut command = Command::new("cargo");
    command.args(["build", "--profile", build.profile(), "--target", TARGET]).env(STATIC.0, STATIC.1);
    command.current_dir(&workspace.root);
    for program in &workspace.programs {
        command.args(["--package", &program.package, "--bin", &program.name]);
    }
    run_logged("build: xl", &mut command, &workspace.cache().join("log/build.log"))
}

/// Puts what was built under `dir`, with everything that goes with it.
pub(crate) fn install(workspace: &Workspace, build: Build, dir: &Path) -> Result<()> {
    let local = dir.join("usr/local");
    for program in &workspace.programs {
        // xl is for operators; the others are run by it.
        let place = if program.name == "xl" { "sbin" } else { "lib/xen/bin" };
        let built = workspace.target.join(TARGET).join(build.profile());
        install_file(&built.join(&program.name), &local.join(place), 0o755)?;
    }
    let tree = |from: &str, to: &str, mode| install_tree(&workspace.root.join(from), &local.join(to), mode);
    install_tree(&workspace.root.join("hotplug/linux/scripts"), &dir.join("etc/xen/scripts"), 0o755)?;
    install_file(&workspace.root.join("hotplug/linux/xendomains"), &local.join("lib/xen/bin"), 0o755)?;
    tree("hotplug/linux/sysv", "lib/xen/init", 0o755)?;
    tree("hotplug/linux/openrc", "lib/xen/init/openrc", 0o755)?;
    tree("hotplug/linux/systemd", "lib/systemd/system", 0o644)?;
    described(&local)
}

/// What xl tells of itself to manual readers and shells.
fn described(local: &Path) -> Result<()> {
    let documents: [(&[&str], &str); 4] = [
        (&["manual"], "share/man/man1/xl.1"),
        (&["completions", "bash"], "share/bash-completion/completions/xl"),
        (&["completions", "zsh"], "share/zsh/site-functions/_xl"),
        (&["completions", "fish"], "share/fish/vendor_completions.d/xl.fish"),
    ];
    for (call, to) in documents {
        let output = Command::new(local.join("sbin/xl")).args(call).output().context("running the staged xl")?;
        anyhow::ensure!(output.status.success(), "xl {}: {}", call.join(" "), String::from_utf8_lossy(&output.stderr));
        let to = local.join(to);
        fs::create_dir_all(to.parent().context("a file has a directory")?)?;
        fs::write(&to, output.stdout).with_context(|| format!("writing {}", to.display()))?;
    }
    Ok(())
}

/// Copies every file of a directory.
fn install_tree(from: &Path, to: &Path, mode: u32) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let path = entry?.path();
        if path.is_file() {
            install_file(&path, to, mode)?;
        }
    }
    Ok(())
}

fn install_file(from: &Path, dir: &Path, mode: u32) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    let to = dir.join(from.file_name().context("a file has a name")?);
    fs::copy(from, &to).with_context(|| format!("copying {} to {}", from.display(), to.display()))?;
    Ok(fs::set_permissions(&to, fs::Permissions::from_mode(mode))?)
}
