//! Stock xl 4.17 from Debian's packages, unpacked beside the build, never installed.

use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What stock xl needs to run.
const PACKAGES: &[&str] = &[
    "xen-utils-4.17",
    "libxenmisc4.17",
    "libxencall1",
    "libxendevicemodel1",
    "libxenevtchn1",
    "libxenforeignmemory1",
    "libxengnttab1",
    "libxenhypfs1",
    "libxenstore4",
    "libxentoolcore1",
    "libxentoollog1",
    "libyajl2",
    "libnl-3-200",
    "libnl-route-3-200",
    "libfdt1",
];

/// Where Debian's xl has its firmware, which depends on how it was built.
pub const FIRMWARE: &str = "/usr/lib/xen-4.17/boot";

/// Stock xl, ready to run.
pub struct Stock {
    /// The program.
    pub program: PathBuf,
    /// Where its libraries are.
    pub libraries: PathBuf,
    /// What stands in for Xen.
    pub shim: PathBuf,
}

impl Stock {
    /// Fetches and unpacks the packages and builds the shim, unless that is done. Fails, with the reason, where there
    /// is no Debian with these packages, no network or no C compiler.
    pub fn fetch() -> Result<Stock> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/parity");
        let stock = Stock {
            program: root.join("usr/lib/xen-4.17/bin/xl"),
            libraries: root.join("usr/lib/x86_64-linux-gnu"),
            shim: root.join("noxen.so"),
        };
        if !stock.program.exists() {
            download(&root)?;
        }
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("shim/noxen.c");
        run(Command::new("cc").args(["-shared", "-fPIC", "-Wall", "-Wextra", "-o"]).arg(&stock.shim).arg(source))
            .context("building the shim (it needs a C compiler and libxen-dev)")?;
        Ok(stock)
    }
}

fn download(root: &Path) -> Result<()> {
    let packages = root.join("packages");
    std::fs::create_dir_all(&packages)?;
    run(Command::new("apt-get").arg("download").args(PACKAGES).current_dir(&packages))
        .context("fetching stock xl's packages")?;
    for entry in std::fs::read_dir(&packages)? {
        run(Command::new("dpkg-deb").arg("-x").arg(entry?.path()).arg(root))
            .context("unpacking stock xl's packages")?;
    }
    let program = root.join("usr/lib/xen-4.17/bin/xl");
    ensure!(program.exists(), "the packages have no {}", program.display());
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("running {:?}", command.get_program()))?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
