//! Runs a configuration through both programs.

use crate::stock::{FIRMWARE, Stock};
use anyhow::{Context, Result, ensure};
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Output};

/// The host that both suppose.
const CPUS: u32 = 8;
const NODES: u32 = 2;

/// What a script sees of a run.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    /// The exit status; none if it crashed.
    pub status: Option<i32>,
    /// Standard output.
    pub output: String,
}

/// Both programs.
pub struct Runner {
    /// Stock xl, and what came with it.
    pub stock: Stock,
    ours: PathBuf,
    directory: PathBuf,
}

impl Runner {
    /// Builds ours. The directory is where the configurations go.
    pub fn new(stock: Stock, name: &str) -> Result<Runner> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
        let built =
            Command::new(env!("CARGO")).args(["build", "--quiet", "--package", "xl"]).current_dir(&root).status()?;
        ensure!(built.success(), "building xl failed");
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
        let directory = root.join("target/parity/cases").join(name);
        std::fs::create_dir_all(&directory)?;
        Ok(Runner { stock, ours: target.join("debug/xl"), directory })
    }

    /// What stock xl and ours make of a configuration, shown as `xl -N create` shows it.
    pub fn create(&self, name: &str, text: &str) -> Result<(Seen, Seen, String)> {
        let file = format!("{name}.cfg");
        self.write(&file, text)?;
        self.call(&["-N", "create", &file])
    }

    /// Puts a file where both programs are run.
    pub fn write(&self, file: &str, text: &str) -> Result<()> {
        std::fs::write(self.directory.join(file), text).with_context(|| format!("writing {file}"))
    }

    /// What stock xl and ours say and do for a call, and what ours says on standard error.
    pub fn call(&self, arguments: &[&str]) -> Result<(Seen, Seen, String)> {
        self.call_with_xl_conf("none", arguments)
    }

    /// The same, on a host with this file as its xl.conf.
    pub fn call_with_xl_conf(&self, conf: &str, arguments: &[&str]) -> Result<(Seen, Seen, String)> {
        let stock = self.stock(conf, arguments)?;
        let ours = self.ours(conf, arguments)?;
        let stderr = String::from_utf8_lossy(&ours.stderr).into_owned();
        // Firmware is where each was built to look for it.
        let our_firmware = self.ours.join("../../lib/xen/boot");
        Ok((seen(stock, FIRMWARE), seen(ours, &normal(&our_firmware)), stderr))
    }

    /// What ours alone makes of a call: status and standard output.
    pub fn call_ours(&self, arguments: &[&str]) -> Result<(Seen, String)> {
        let ours = self.ours("none", arguments)?;
        let stderr = String::from_utf8_lossy(&ours.stderr).into_owned();
        Ok((seen(ours, FIRMWARE), stderr))
    }

    fn ours(&self, conf: &str, arguments: &[&str]) -> Result<Output> {
        let output = Command::new(&self.ours)
            .args(arguments)
            .current_dir(&self.directory)
            .env("LD_PRELOAD", &self.stock.redirect)
            .env("REDIRECT_XL_CONF", conf)
            .env("XL_DRYRUN_HOST", format!("cpus={CPUS},nodes={NODES}"))
            .output();
        output.context("running xl")
    }

    fn stock(&self, conf: &str, arguments: &[&str]) -> Result<Output> {
        let preloaded = format!("{}:{}", self.stock.shim.display(), self.stock.redirect.display());
        let output = Command::new(&self.stock.program)
            .args(arguments)
            .current_dir(&self.directory)
            .env("LD_LIBRARY_PATH", &self.stock.libraries)
            .env("LD_PRELOAD", preloaded)
            .env("REDIRECT_XL_CONF", conf)
            .env("NOXEN_CPUS", CPUS.to_string())
            .env("NOXEN_NODES", NODES.to_string())
            .output();
        output.context("running stock xl")
    }
}

fn seen(output: Output, firmware: &str) -> Seen {
    let text = String::from_utf8_lossy(&output.stdout).replace(firmware, "FIRMWARE");
    Seen { status: output.status.code(), output: text }
}

/// A path without `..`, though it may not exist.
fn normal(path: &Path) -> String {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                normal.pop();
            }
            part => normal.push(part),
        }
    }
    normal.to_string_lossy().into_owned()
}
