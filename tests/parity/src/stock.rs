//! Stock xl 4.17 from Debian's packages, unpacked beside the build, never installed.

use anyhow::{Context, Result, bail};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What stock xl needs to run.
const PACKAGES: &[&str] = &[
    "xen-utils-4.17",
    "xen-utils-common",
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
    /// The configurations that Debian's packages bring: `xl.conf`, `xlexample.*`.
    pub examples: PathBuf,
    /// What gives a program another xl.conf, by `REDIRECT_XL_CONF`.
    pub redirect: PathBuf,
}

impl Stock {
    /// Fetches and unpacks the packages and builds the shim, unless that is done. Fails, with the reason, where there
    /// is no Debian 12 to fetch from, no network or no C compiler.
    pub fn fetch() -> Result<Stock> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let cache = manifest.join("../../target/parity");
        std::fs::create_dir_all(&cache)?;
        let root = cache.join("stock");
        let stock = Stock {
            program: root.join("usr/lib/xen-4.17/bin/xl"),
            libraries: root.join("usr/lib/x86_64-linux-gnu"),
            shim: root.join("noxen.so"),
            examples: root.join("etc/xen"),
            redirect: root.join("redirect.so"),
        };
        // The tests are processes of their own and start at once: one makes, the others wait.
        let lock = File::create(cache.join("lock"))?;
        lock.lock()?;
        if !stock.program.exists() || !stock.examples.exists() {
            unpack(&cache, &root)?;
        }
        for (source, shim) in [("shim/noxen.c", &stock.shim), ("shim/redirect.c", &stock.redirect)] {
            let source = manifest.join(source);
            if is_older(shim, &source)? {
                build_shim(&source, shim)?;
            }
        }
        Ok(stock)
    }
}

/// Unpacks the packages; the directory has its name only when it is complete.
fn unpack(cache: &Path, root: &Path) -> Result<()> {
    let making = cache.join("making");
    if making.exists() {
        std::fs::remove_dir_all(&making)?;
    }
    let packages = making.join("packages");
    std::fs::create_dir_all(&packages)?;
    download(cache, &packages).context("fetching stock xl from Debian 12's packages")?;
    for entry in std::fs::read_dir(&packages)? {
        run(Command::new("dpkg-deb").arg("-x").arg(entry?.path()).arg(&making)).context("unpacking stock xl")?;
    }
    std::fs::remove_dir_all(&packages)?;
    if root.exists() {
        std::fs::remove_dir_all(root)?;
    }
    std::fs::rename(&making, root)?;
    Ok(())
}

/// Downloads by the machine's lists of packages; with fresh lists of our own, which needs no root, if those are none.
fn download(cache: &Path, packages: &Path) -> Result<()> {
    let apt = |options: &[String], arguments: &[&str]| {
        run(Command::new("apt-get").args(options).args(arguments).current_dir(packages))
    };
    let download = [&["download"], PACKAGES].concat();
    if apt(&[], &download).is_ok() {
        return Ok(());
    }
    let (lists, archives) = (cache.join("apt/lists"), cache.join("apt/cache"));
    std::fs::create_dir_all(lists.join("partial"))?;
    std::fs::create_dir_all(archives.join("archives/partial"))?;
    let own = [
        "-o".to_string(),
        format!("Dir::State::lists={}", lists.display()),
        "-o".to_string(),
        format!("Dir::Cache={}", archives.display()),
    ];
    apt(&own, &["update"])?;
    apt(&own, &download)
}

fn is_older(made: &Path, source: &Path) -> Result<bool> {
    Ok(!made.exists() || made.metadata()?.modified()? < source.metadata()?.modified()?)
}

fn build_shim(source: &Path, shim: &Path) -> Result<()> {
    let arguments = ["-shared", "-fPIC", "-Wall", "-Wextra", "-o"];
    run(Command::new("cc").args(arguments).arg(shim).arg(source))
        .context("building the shim (it needs a C compiler and libxen-dev)")
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("running {:?}", command.get_program()))?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
