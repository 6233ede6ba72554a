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
        Runner::of_profile(stock, name, "dev")
    }

    /// The same, with ours as this profile of cargo has it.
    pub fn of_profile(stock: Stock, name: &str, profile: &str) -> Result<Runner> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
        let build = ["build", "--quiet", "--package", "xl", "--profile", profile];
        let built = Command::new(env!("CARGO")).args(build).current_dir(&root).status()?;
        ensure!(built.success(), "building xl failed");
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
        let directory = root.join("target/parity/cases").join(name);
        std::fs::create_dir_all(&directory)?;
        let ours = target.join(if profile == "dev" { "debug" } else { profile }).join("xl");
        Ok(Runner { stock, ours, directory })
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
        let stock = self.stock_command(conf, &[], arguments).output().context("running stock xl")?;
        let ours = self.our_command(conf, &[], arguments).output().context("running xl")?;
        let stderr = String::from_utf8_lossy(&ours.stderr).into_owned();
        // Firmware is where each was built to look for it.
        let our_firmware = self.ours.join("../../lib/xen/boot");
        Ok((seen(stock, FIRMWARE), seen(ours, &normal(&our_firmware)), stderr))
    }

    /// What ours alone makes of a call, and what it says on standard error.
    pub fn call_ours(&self, arguments: &[&str]) -> Result<(Seen, String)> {
        let ours = self.our_command("none", &[], arguments).output().context("running xl")?;
        let stderr = String::from_utf8_lossy(&ours.stderr).into_owned();
        Ok((seen(ours, FIRMWARE), stderr))
    }

    /// A call of ours, under another program if one is given.
    pub fn our_command(&self, conf: &str, under: &[&str], arguments: &[&str]) -> Command {
        let mut command = self.command(&self.ours, conf, under, arguments);
        command.env("LD_PRELOAD", &self.stock.redirect).env("XL_DRYRUN_HOST", format!("cpus={CPUS},nodes={NODES}"));
        command
    }

    /// A call of stock xl, under another program if one is given.
    pub fn stock_command(&self, conf: &str, under: &[&str], arguments: &[&str]) -> Command {
        let mut command = self.command(&self.stock.program, conf, under, arguments);
        command
            .env("LD_LIBRARY_PATH", &self.stock.libraries)
            .env("LD_PRELOAD", format!("{}:{}", self.stock.shim.display(), self.stock.redirect.display()))
            .env("NOXEN_CPUS", CPUS.to_string())
            .env("NOXEN_NODES", NODES.to_string());
        command
    }

    fn command(&self, program: &Path, conf: &str, under: &[&str], arguments: &[&str]) -> Command {
        let mut words = under.iter().map(|word| word.as_ref()).chain([program.as_os_str()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).args(arguments).current_dir(&self.directory).env("REDIRECT_XL_CONF", conf);
        command
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
